/* SPDX-License-Identifier: Apache-2.0 */
/* strmap.c - see strmap.h. */
#include "proxy/conf/strmap.h"

enum { FIRST_SLOTS = 16 };

void rem_strmap_init(struct rem_strmap *map, struct rem_arena *arena, bool nocase)
{
    *map = (struct rem_strmap){.arena = arena, .nocase = nocase};
}

static uint64_t hash_of(const struct rem_strmap *map, struct rem_str key)
{
    return map->nocase ? rem_hash_nocase(key.p, key.n) : rem_hash(key.p, key.n);
}

/* The slot that holds `key`, or the empty one where it belongs.  There is always an empty one. */
static struct rem_strmap_slot *slot_of(const struct rem_strmap *map, struct rem_str key,
                                       uint64_t hash)
{
    for (uint32_t i = (uint32_t)hash & map->mask;; i = (i + 1) & map->mask) {
        struct rem_strmap_slot *slot = &map->slots[i];

        if (slot->key.p == NULL)
            return slot;
        if (slot->hash != hash)
            continue;
        if (map->nocase ? rem_str_eq_nocase(slot->key, key) : rem_str_eq(slot->key, key))
            return slot;
    }
}

static int grow(struct rem_strmap *map)
{
    uint32_t old_n = map->slots != NULL ? map->mask + 1 : 0;
    uint32_t n = old_n == 0 ? FIRST_SLOTS : old_n * 2;
    struct rem_strmap_slot *old = map->slots, *slots;

    if (old_n > UINT32_MAX / 4)
        return REM_ENOMEM;
    slots = rem_arena_zalloc(map->arena, n * sizeof(*slots));
    if (slots == NULL)
        return REM_ENOMEM;
    map->slots = slots;
    map->mask = n - 1;
    for (uint32_t i = 0; i < old_n; i++) {
        if (old[i].key.p != NULL)
            *slot_of(map, old[i].key, old[i].hash) = old[i];
    }
    return 0;
}

static int put(struct rem_strmap *map, struct rem_str key, void *value, bool replace)
{
    uint64_t hash;
    struct rem_strmap_slot *slot;

    if (key.p == NULL)
        key.p = ""; /* the empty name is a name; NULL marks empty slots */
    if (map->slots == NULL || (map->count + 1) * 2 > map->mask + 1) {
        int err = grow(map);
        if (err < 0)
            return err;
    }
    hash = hash_of(map, key);
    slot = slot_of(map, key, hash);
    if (slot->key.p != NULL) {
        if (!replace)
            return REM_EEXIST;
        slot->value = value;
        return 0;
    }
    *slot = (struct rem_strmap_slot){.key = key, .value = value, .hash = hash};
    map->count++;
    return 0;
}

int rem_strmap_add(struct rem_strmap *map, struct rem_str key, void *value)
{
    return put(map, key, value, false);
}

int rem_strmap_set(struct rem_strmap *map, struct rem_str key, void *value)
{
    return put(map, key, value, true);
}

void *rem_strmap_get(const struct rem_strmap *map, struct rem_str key)
{
    const struct rem_strmap_slot *slot;

    if (map->slots == NULL)
        return NULL;
    if (key.p == NULL)
        key.p = "";
    slot = slot_of(map, key, hash_of(map, key));
    return slot->key.p != NULL ? slot->value : NULL;
}
