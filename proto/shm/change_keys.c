/* SPDX-License-Identifier: Apache-2.0 */
/* Finds servers in the list of a full item: a change may have thousands of steps about thousands of
 * servers.  What a table says is a hint that is looked at again: servers that have gone, or have
 * another key since, stay in it. */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

enum { SIZE_MIN = 16 };

static size_t length_of(const struct rem_change_item *item)
{
    return item->spec.server_count + item->holes;
}

/* What a server is shown as: the address as it was given, or as it is. */
static struct rem_str shown(const struct rem_server_spec *server, char text[REM_ADDR_TEXT])
{
    if (server->server.n != 0)
        return server->server;
    return rem_str_make(text, rem_addr_text(&server->addr, text, REM_ADDR_TEXT));
}

static uint32_t hash_of(const struct rem_change_key *key)
{
    switch (key->kind) {
    case REM_KEY_ID:
        return (uint32_t)rem_hash(&key->id, sizeof(key->id));
    case REM_KEY_ADDR:
        return (uint32_t)rem_addr_hash(key->addr);
    default:
        return (uint32_t)rem_hash(key->text.p, key->text.n);
    }
}

static bool fits(const struct rem_server_spec *server, const struct rem_change_key *key)
{
    char text[REM_ADDR_TEXT];

    if (server->weight == 0)
        return false;
    switch (key->kind) {
    case REM_KEY_ID:
        return server->id == key->id;
    case REM_KEY_ADDR:
        return server->id != key->id && rem_addr_eq(&server->addr, key->addr);
    default:
        return rem_str_eq(shown(server, text), key->text);
    }
}

static void put(struct rem_change_keys *keys, const struct rem_change_key *key, size_t place)
{
    uint32_t *table = keys->tables[key->kind];
    uint32_t at = hash_of(key) & keys->mask;

    while (table[at] != 0)
        at = (at + 1) & keys->mask;
    table[at] = (uint32_t)place + 1;
}

static void put_all(struct rem_change_item *item, size_t place)
{
    const struct rem_server_spec *server = &item->spec.servers[place];
    char text[REM_ADDR_TEXT];

    put(&item->keys, &(struct rem_change_key){.kind = REM_KEY_ID, .id = server->id}, place);
    put(&item->keys, &(struct rem_change_key){.kind = REM_KEY_ADDR, .addr = &server->addr}, place);
    put(&item->keys, &(struct rem_change_key){.kind = REM_KEY_TEXT, .text = shown(server, text)},
        place);
    item->keys.used++;
}

void rem_change_keys_drop(struct rem_change_item *item)
{
    for (size_t i = 0; i < REM_KEYS; i++)
        free(item->keys.tables[i]);
    item->keys = (struct rem_change_keys){0};
}

/* Tables of all servers, with room for as many entries again.  Errors: REM_ENOMEM. */
static int make(struct rem_change_item *item)
{
    size_t size = SIZE_MIN;

    while (size < 4 * length_of(item))
        size *= 2;
    item->keys.mask = (uint32_t)size - 1;
    for (size_t i = 0; i < REM_KEYS; i++) {
        item->keys.tables[i] = calloc(size, sizeof(uint32_t));
        if (item->keys.tables[i] == NULL) {
            rem_change_keys_drop(item);
            return REM_ENOMEM;
        }
    }
    for (size_t i = 0; i < length_of(item); i++)
        if (item->spec.servers[i].weight != 0)
            put_all(item, i);
    return REM_OK;
}

void rem_change_keys_note(struct rem_change_item *item, size_t place)
{
    if (item->keys.used > item->keys.mask / 2)
        rem_change_keys_drop(item);
    else if (item->keys.tables[0] != NULL)
        put_all(item, place);
}

int rem_change_keys_find(struct rem_change_item *item, const struct rem_change_key *key,
                         uint32_t *out)
{
    uint32_t found = REM_SHM_NONE;
    const uint32_t *table;

    if (item->keys.tables[0] == NULL && make(item) != REM_OK)
        return REM_ENOMEM;
    table = item->keys.tables[key->kind];
    for (uint32_t at = hash_of(key) & item->keys.mask; table[at] != 0;
         at = (at + 1) & item->keys.mask) {
        uint32_t place = table[at] - 1;
        if (place < found && fits(&item->spec.servers[place], key))
            found = place;
    }
    *out = found;
    return found != REM_SHM_NONE ? REM_OK : REM_ENOTFOUND;
}

void rem_change_compact(struct rem_change_item *item)
{
    size_t kept = 0;

    if (item->holes == 0)
        return;
    for (size_t i = 0; i < length_of(item); i++)
        if (item->spec.servers[i].weight != 0)
            item->spec.servers[kept++] = item->spec.servers[i];
    REM_CHECK(kept == item->spec.server_count);
    item->holes = 0;
    rem_change_keys_drop(item);
}
