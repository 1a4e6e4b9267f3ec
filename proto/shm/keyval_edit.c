/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/keyval_priv.h"

#include <stdlib.h>
#include <sys/random.h>

enum { INDEX_MIN = 8, ROOM_MIN = 16 };

/* ---- the index of touched entries ---- */

uint32_t rem_keyval_index_size(uint32_t count)
{
    uint32_t size = INDEX_MIN;

    while (size / 2 <= count)
        size *= 2;
    return size;
}

void rem_keyval_index_add(uint32_t *index, uint32_t mask, uint64_t hash, uint32_t at)
{
    uint32_t i = (uint32_t)hash & mask;

    while (index[i] != REM_KEYVAL_NONE)
        i = (i + 1) & mask;
    index[i] = at;
}

/* Room for `count` slots, and an index that is at most half full with them.  Errors: REM_ENOMEM. */
static int edit_reserve(struct rem_keyval_edit *edit, uint32_t count)
{
    uint32_t size = rem_keyval_index_size(count);
    struct rem_keyval_slot *slots;
    uint32_t *index;

    if (count > edit->room) {
        uint32_t room = count > 2 * edit->room ? count : 2 * edit->room;

        slots = reallocarray(edit->slots, room, sizeof(*slots));
        if (slots == NULL)
            return REM_ENOMEM;
        edit->slots = slots;
        edit->room = room;
    }
    if (edit->index != NULL && size <= edit->mask + 1)
        return 0;
    index = malloc(size * sizeof(*index));
    if (index == NULL)
        return REM_ENOMEM;
    memset(index, 0xff, size * sizeof(*index));
    for (uint32_t i = 0; i < edit->used; i++)
        rem_keyval_index_add(index, size - 1, edit->slots[i].hash, i);
    free(edit->index);
    edit->index = index;
    edit->mask = size - 1;
    return 0;
}

/* Errors: REM_EINVAL (not a key of this type). */
static int identify(const struct rem_keyval_edit *edit, struct rem_str key,
                    struct rem_keyval_id *out)
{
    *out = (struct rem_keyval_id){.key = key};
    if (key.n == 0)
        return REM_EINVAL;
    if (edit->type != REM_KEYVAL_IP) {
        out->hash = rem_siphash(edit->seed, key.p, key.n);
        return 0;
    }
    if (rem_keyval_net_parse(key, &out->net) != 0)
        return REM_EINVAL;
    out->hash = rem_keyval_net_hash(edit->seed, &out->net);
    return 0;
}

/* The slot of an entry that was touched, removed or not. */
static struct rem_keyval_slot *find_slot(const struct rem_keyval_edit *edit,
                                         const struct rem_keyval_id *id)
{
    for (uint32_t i = (uint32_t)id->hash & edit->mask; edit->index[i] != REM_KEYVAL_NONE;
         i = (i + 1) & edit->mask) {
        struct rem_keyval_slot *slot = edit->slots + edit->index[i];

        if (slot->hash == id->hash &&
            (edit->type == REM_KEYVAL_IP ? rem_keyval_net_eq(&slot->net, &id->net)
                                         : rem_str_eq(slot->key, id->key)))
            return slot;
    }
    return NULL;
}

static uint32_t find_base(const struct rem_keyval_edit *edit, const struct rem_keyval_id *id)
{
    if (edit->base.n == 0)
        return REM_KEYVAL_NONE;
    return rem_keyval_find_id(rem_keyval_head_of(edit->base), id);
}

/* The slot of an entry; one of the base gets a slot now.  `id` may be new.
 * Errors: REM_ENOTFOUND (neither touched nor in the base), REM_ENOMEM. */
static int touch(struct rem_keyval_edit *edit, const struct rem_keyval_id *id,
                 struct rem_keyval_slot **out)
{
    struct rem_keyval_entry entry;
    uint32_t item;

    *out = find_slot(edit, id);
    if (*out != NULL)
        return (*out)->removed ? REM_ENOTFOUND : 0;
    item = find_base(edit, id);
    if (item == REM_KEYVAL_NONE)
        return REM_ENOTFOUND;
    if (edit_reserve(edit, edit->used + 1) != 0)
        return REM_ENOMEM;
    rem_keyval_at(edit->base, item, &entry);
    *out = edit->slots + edit->used;
    **out = (struct rem_keyval_slot){
        id->hash, entry.expires_ms, entry.key, entry.value, id->net, item, false};
    rem_keyval_index_add(edit->index, edit->mask, id->hash, edit->used++);
    return 0;
}

static void drop(struct rem_keyval_edit *edit, struct rem_keyval_slot *slot)
{
    slot->removed = true;
    edit->count--;
    edit->text_size -= slot->key.n + slot->value.n;
}

/* ---- editing ---- */

/* Removes what is dead; finds out when the next one dies. */
static int bury(struct rem_keyval_edit *edit, uint64_t now_ms)
{
    const struct rem_keyval_head *head = rem_keyval_head_of(edit->base);
    const struct rem_keyval_item *items = rem_keyval_items(head);

    edit->first_expiry_ms = 0;
    for (uint32_t i = 0; i < head->count; i++) {
        struct rem_keyval_id id = {.hash = items[i].hash};
        struct rem_keyval_slot *slot;

        if (items[i].expires_ms > now_ms &&
            (edit->first_expiry_ms == 0 || items[i].expires_ms < edit->first_expiry_ms))
            edit->first_expiry_ms = items[i].expires_ms;
        if (items[i].expires_ms == 0 || items[i].expires_ms > now_ms)
            continue;
        id.key = rem_keyval_text(head, items[i].key_off, items[i].key_len);
        if (edit->type == REM_KEYVAL_IP)
            id.net = rem_keyval_nets(head)[i];
        if (touch(edit, &id, &slot) != 0)
            return REM_ENOMEM;
        drop(edit, slot);
    }
    return 0;
}

int rem_keyval_edit_init(struct rem_keyval_edit *edit, enum rem_keyval_type type,
                         struct rem_str bytes, uint64_t now_ms)
{
    const struct rem_keyval_head *head = rem_keyval_head_of(bytes);
    int rc;

    *edit = (struct rem_keyval_edit){.type = type, .base = bytes};
    rc = edit_reserve(edit, ROOM_MIN);
    if (bytes.n == 0) {
        (void)!getrandom(edit->seed, sizeof(edit->seed), 0);
    } else {
        memcpy(edit->seed, head->seed, sizeof(edit->seed));
        edit->count = head->count;
        edit->text_size = bytes.n - head->texts_off - head->garbage;
        edit->first_expiry_ms = head->first_expiry_ms;
        if (rc == 0 && head->first_expiry_ms != 0 && head->first_expiry_ms <= now_ms)
            rc = bury(edit, now_ms);
    }
    if (rc != 0)
        rem_keyval_edit_fini(edit);
    return rc;
}

void rem_keyval_edit_fini(struct rem_keyval_edit *edit)
{
    free(edit->slots);
    free(edit->index);
    edit->slots = NULL;
    edit->index = NULL;
}

int rem_keyval_edit_get(const struct rem_keyval_edit *edit, struct rem_str key,
                        struct rem_keyval_entry *out)
{
    const struct rem_keyval_slot *slot;
    struct rem_keyval_id id;
    uint32_t item;

    if (identify(edit, key, &id) != 0)
        return REM_ENOTFOUND;
    slot = find_slot(edit, &id);
    if (slot != NULL) {
        if (slot->removed)
            return REM_ENOTFOUND;
        *out = (struct rem_keyval_entry){slot->key, slot->value, slot->expires_ms};
        return 0;
    }
    item = find_base(edit, &id);
    if (item == REM_KEYVAL_NONE)
        return REM_ENOTFOUND;
    rem_keyval_at(edit->base, item, out);
    return 0;
}

static int add(struct rem_keyval_edit *edit, const struct rem_keyval_id *id,
               const struct rem_keyval_entry *entry, struct rem_keyval_slot *removed)
{
    struct rem_keyval_slot *slot = removed;

    if (slot == NULL) {
        if (edit->used >= UINT32_MAX / 8 || edit_reserve(edit, edit->used + 1) != 0)
            return REM_ENOMEM;
        slot = edit->slots + edit->used;
        *slot = (struct rem_keyval_slot){.hash = id->hash, .net = id->net, .item = REM_KEYVAL_NONE};
        rem_keyval_index_add(edit->index, edit->mask, id->hash, edit->used++);
    }
    slot->key = entry->key;
    slot->value = entry->value;
    slot->expires_ms = entry->expires_ms;
    slot->removed = false;
    edit->count++;
    edit->text_size += entry->key.n + entry->value.n;
    return 0;
}

/* Is the entry in the base as it is, and untouched?  What is put again need not be written again,
 * and a zone that is what it was has the bytes that it had. */
static bool is_there(const struct rem_keyval_edit *edit, const struct rem_keyval_id *id,
                     const struct rem_keyval_entry *entry)
{
    struct rem_keyval_entry now;
    uint32_t item = find_slot(edit, id) == NULL ? find_base(edit, id) : REM_KEYVAL_NONE;

    if (item == REM_KEYVAL_NONE)
        return false;
    rem_keyval_at(edit->base, item, &now);
    return now.expires_ms == entry->expires_ms && rem_str_eq(now.value, entry->value);
}

int rem_keyval_edit_put(struct rem_keyval_edit *edit, const struct rem_keyval_entry *entry)
{
    struct rem_keyval_slot *slot;
    struct rem_keyval_id id;
    int rc;

    if (identify(edit, entry->key, &id) != 0)
        return REM_EINVAL;
    if (entry->key.n > REM_KEYVAL_KEY_MAX || entry->value.n > REM_KEYVAL_VALUE_MAX)
        return REM_ETOOBIG;
    if (is_there(edit, &id, entry))
        return 0;
    rc = touch(edit, &id, &slot);
    if (rc == REM_ENOTFOUND)
        return add(edit, &id, entry, slot);
    if (rc != 0)
        return rc;
    edit->text_size += entry->value.n;
    edit->text_size -= slot->value.n;
    slot->value = entry->value;
    slot->expires_ms = entry->expires_ms;
    return 0;
}

int rem_keyval_edit_remove(struct rem_keyval_edit *edit, struct rem_str key)
{
    struct rem_keyval_slot *slot;
    struct rem_keyval_id id;
    int rc = identify(edit, key, &id) == 0 ? touch(edit, &id, &slot) : REM_ENOTFOUND;

    if (rc == 0)
        drop(edit, slot);
    return rc;
}

void rem_keyval_edit_clear(struct rem_keyval_edit *edit)
{
    edit->base = REM_STR("");
    edit->used = 0;
    memset(edit->index, 0xff, (size_t)(edit->mask + 1) * sizeof(*edit->index));
    edit->count = 0;
    edit->text_size = 0;
    edit->first_expiry_ms = 0;
}
