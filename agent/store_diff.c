/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store_diff.h"

#include "agent/store_text.h"

#include <stdlib.h>

enum { FLAGS = REM_SERVER_BACKUP | REM_SERVER_DOWN | REM_SERVER_DRAIN };

static const char *const flag_names[] = {"backup", "down", "drain"}; /* by bit */

static bool same_settings(const struct rem_server_spec *a, const struct rem_server_spec *b)
{
    return a->weight == b->weight && a->max_conns == b->max_conns && a->max_fails == b->max_fails &&
           a->fail_timeout_ms == b->fail_timeout_ms && a->slow_start_ms == b->slow_start_ms &&
           (a->flags & FLAGS) == (b->flags & FLAGS) && rem_str_eq(a->route, b->route);
}

/* Is the server one that DNS has brought, as its name's line describes it?  SRV records have
 * weights and backups of their own. */
static bool is_found(const struct rem_upstream_spec *conf, const struct rem_server_spec *server)
{
    const struct rem_resolve_spec *resolve;
    struct rem_server_spec usual;

    if (server->parent == 0 || conf == NULL || server->parent > conf->resolve_count)
        return false;
    resolve = &conf->resolves[server->parent - 1];
    usual = resolve->server;
    if (resolve->service.n != 0) {
        usual.weight = server->weight;
        usual.flags =
            (usual.flags & ~(uint32_t)REM_SERVER_BACKUP) | (server->flags & REM_SERVER_BACKUP);
    }
    return same_settings(server, &usual);
}

bool rem_store_same_settings(const struct rem_upstream_spec *conf,
                             const struct rem_upstream_spec *now)
{
    for (const struct rem_store_field *field = rem_store_upstream_fields; field->name != NULL;
         field++)
        if (rem_store_number_of(conf, field) != rem_store_number_of(now, field))
            return false;
    return true;
}

bool rem_store_same(const struct rem_upstream_spec *conf, const struct rem_upstream_spec *now)
{
    size_t at = 0;

    for (size_t i = 0; i < now->server_count; i++) {
        const struct rem_server_spec *server = &now->servers[i];
        if (is_found(conf, server))
            continue;
        if (at == conf->server_count || !rem_addr_eq(&conf->servers[at].addr, &server->addr) ||
            !same_settings(&conf->servers[at], server))
            return false;
        at++;
    }
    return at == conf->server_count && rem_store_same_settings(conf, now);
}

/* ---- in words ---- */

/* Servers by address, each to be found once. */
struct index {
    const struct rem_upstream_spec *spec; /* NULL: none */
    struct slot {
        uint64_t hash;
        size_t server;
        bool met;
    } * slots;
    size_t count;
};

static int by_hash(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->server < y->server ? -1 : x->server > y->server;
}

static int index_init(struct index *index, const struct rem_upstream_spec *spec)
{
    *index = (struct index){.spec = spec, .count = spec != NULL ? spec->server_count : 0};
    index->slots = calloc(index->count + 1, sizeof(*index->slots));
    if (index->slots == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < index->count; i++)
        index->slots[i] = (struct slot){.hash = rem_addr_hash(&spec->servers[i].addr), .server = i};
    qsort(index->slots, index->count, sizeof(*index->slots), by_hash);
    return REM_OK;
}

/* The first one with the address that was not met before.  NULL: there is none. */
static const struct rem_server_spec *meet(struct index *index, const struct rem_addr *addr)
{
    uint64_t hash = rem_addr_hash(addr);
    size_t low = 0, high = index->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->slots[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < index->count && index->slots[low].hash == hash; low++) {
        struct slot *slot = &index->slots[low];
        if (slot->met || !rem_addr_eq(&index->spec->servers[slot->server].addr, addr))
            continue;
        slot->met = true;
        return &index->spec->servers[slot->server];
    }
    return NULL;
}

/* Counts words, and writes the first ones. */
struct words {
    struct rem_sbuf *out;
    size_t n, most;
};

static bool next_word(struct words *words)
{
    if (words->n++ >= words->most)
        return false;
    if (words->n > 1)
        rem_sbuf_adds(words->out, ", ");
    return true;
}

static void add_addr(const char *lead, const struct rem_server_spec *server, struct rem_sbuf *out)
{
    char text[REM_ADDR_TEXT];

    rem_sbuf_adds(out, lead);
    rem_sbuf_add(out, rem_str_make(text, rem_addr_text(&server->addr, text, sizeof(text))));
}

static void add_settings(const struct rem_server_spec *was, const struct rem_server_spec *now,
                         struct rem_sbuf *out)
{
    for (const struct rem_store_field *field = rem_store_server_fields; field->name != NULL;
         field++)
        if (field->offset != offsetof(struct rem_server_spec, parent) &&
            rem_store_number_of(was, field) != rem_store_number_of(now, field))
            rem_sbuf_addf(out, " %s=%u", field->name, rem_store_number_of(now, field));
    if (!rem_str_eq(was->route, now->route))
        rem_sbuf_addf(out, " route=%.*s", REM_STR_ARG(now->route));
    for (size_t i = 0; i < REM_COUNT(flag_names); i++)
        if ((was->flags ^ now->flags) & 1u << i)
            rem_sbuf_addf(out, " %s%s", flag_names[i], now->flags & 1u << i ? "" : "=off");
}

static void add_servers(const struct rem_upstream_spec *conf, const struct rem_upstream_spec *now,
                        struct index *index, struct words *words)
{
    struct rem_server_spec usual;

    rem_server_spec_init(&usual);
    for (size_t i = 0; i < now->server_count; i++) {
        const struct rem_server_spec *server = &now->servers[i];
        const struct rem_server_spec *was = meet(index, &server->addr);
        if (was != NULL ? same_settings(was, server) : is_found(conf, server))
            continue;
        if (was == NULL && server->parent != 0 && conf != NULL &&
            server->parent <= conf->resolve_count)
            was = &conf->resolves[server->parent - 1].server; /* found, and changed since */
        if (!next_word(words))
            continue;
        add_addr(was == NULL ? "+" : "", server, words->out);
        add_settings(was == NULL ? &usual : was, server, words->out);
    }
    for (size_t i = 0; i < index->count; i++)
        if (!index->slots[i].met && next_word(words))
            add_addr("-", &conf->servers[index->slots[i].server], words->out);
}

int rem_store_changes(const struct rem_upstream_spec *conf, const struct rem_upstream_spec *now,
                      size_t most, struct rem_sbuf *out)
{
    struct words words = {.out = out, .most = most};
    struct index index;
    int rc = index_init(&index, conf);

    if (rc != REM_OK)
        return rc;
    for (const struct rem_store_field *field = rem_store_upstream_fields;
         conf != NULL && field->name != NULL; field++) {
        uint32_t n = rem_store_number_of(now, field);
        if (n != rem_store_number_of(conf, field) && next_word(&words))
            rem_sbuf_addf(out, "%s=%u", field->name, n);
    }
    add_servers(conf, now, &index, &words);
    free(index.slots);
    if (words.n == 0 && conf != NULL && !rem_store_same(conf, now))
        rem_sbuf_adds(out, "the order of the servers");
    if (words.n > most)
        rem_sbuf_addf(out, " and %zu more", words.n - most);
    return out->failed ? REM_ENOMEM : REM_OK;
}
