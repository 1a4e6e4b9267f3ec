/* SPDX-License-Identifier: Apache-2.0 */
/* zone.h - shared memory that workers themselves write: small values by key, bounded by a size.
 *
 * Runs in:    declared while a configuration is read; opened by the master; used in workers.
 * Lifecycle:  declare -> rem_zones_open (takes over the former configuration's memory where name,
 *             kind, size, value size and tag agree) -> used by forked workers -> released with the
 *             configuration's arena; the memory goes with the last configuration that has it.
 * Locks:      a zone has up to 16 shards with a robust lock each, held for a lookup's length.  One
 *             thread holds one shard at a time.  When a worker dies holding a lock, the next one to
 *             come empties that shard: what was in it is forgotten, and nobody hangs.
 * Eviction:   the caller's choice: rem_zone_evict takes the entry that was longest not touched.
 * Not here:   what is in it (zone_layout.h); what it means (the modules').  */
#ifndef REM_SHM_ZONE_H
#define REM_SHM_ZONE_H

#include "proto/base/arena.h"
#include "proto/base/err.h"
#include "proto/base/str.h"

struct rem_zone_memory;
struct rem_zone_shard;

enum { REM_ZONE_MAGIC = 0x7a6f6e65, REM_ZONE_SIZE_MIN = 32768, REM_ZONE_KEY_MAX = 65535 };

/* Entries of one kind mean the same; a name has one kind. */
enum rem_zone_kind {
    REM_ZONE_LIMIT_REQ = 1,
    REM_ZONE_LIMIT_CONN,
    REM_ZONE_STICKY,
    REM_ZONE_OTHER,
};

/* The memory as one process has it mapped, shared by the configurations that use it. */
struct rem_zone_map {
    struct rem_zone_memory *memory;
    size_t size;
    uint32_t refs;
};

struct rem_zone {
    uint32_t magic;
    struct rem_zone *next; /* of the configuration's list */
    struct rem_str name;
    struct rem_str tag; /* what its keys mean ("$binary_remote_addr"): another tag, another zone */
    enum rem_zone_kind kind;
    size_t size;
    uint32_t value_size;
    struct rem_zone_map *map; /* NULL until opened */
};

struct rem_zone_stats {
    uint64_t size;         /* bytes */
    uint64_t chunks, used; /* of REM_ZONE_CHUNK bytes */
    uint64_t entries;
    uint64_t lookups;
    uint64_t asked;     /* chunks, whether or not there were any */
    uint64_t evicted;   /* entries that made room for others */
    uint64_t refused;   /* entries there was no room for */
    uint64_t recovered; /* shards emptied because a process had died in them */
};

/* A shard held, and the key it was locked for. */
struct rem_zone_hold {
    struct rem_zone *zone;
    struct rem_zone_shard *shard;
    struct rem_str key; /* borrowed */
    uint32_t hash;
};

/* Adds a zone to the list at `*list`.  `name` and `tag` must live in `arena` or longer; the value
 * has `value_size` bytes (at most 32), aligned to 8.
 * Errors: REM_EEXIST (the name is taken), REM_EINVAL (size below REM_ZONE_SIZE_MIN or above 4 TiB),
 * REM_ENOMEM. */
int rem_zone_declare(struct rem_zone **list, struct rem_arena *arena, const struct rem_zone *spec,
                     struct rem_zone **out) REM_MUST_CHECK;

/* The zone of a name, or NULL. */
struct rem_zone *rem_zone_find(struct rem_zone *list, struct rem_str name);

/* Master: gives every zone of `list` its memory.  On failure nothing of `previous` (may be NULL)
 * has changed.  Errors: REM_ENOMEM, REM_EIO. */
int rem_zones_open(struct rem_zone *list, struct rem_zone *previous,
                   struct rem_err *err) REM_MUST_CHECK;

/* Locks the shard of `key` (at most REM_ZONE_KEY_MAX bytes). */
void rem_zone_lock(struct rem_zone *zone, struct rem_str key, struct rem_zone_hold *hold);
void rem_zone_unlock(struct rem_zone_hold *hold);

/* While held.  A value may be read and written until the shard is unlocked. */

/* The value of the hold's key, or NULL. */
void *rem_zone_get(struct rem_zone_hold *hold);

/* A new entry for the hold's key, which has none, with a zeroed value, as the most recently used.
 * Returns: NULL when the shard has no room. */
void *rem_zone_put(struct rem_zone_hold *hold, uint64_t now_ms);

/* Counts as the most recently used from now on. */
void rem_zone_touch(struct rem_zone_hold *hold, void *value, uint64_t now_ms);

/* The entry that was not touched for longest, and since when; NULL: the shard is empty. */
void *rem_zone_oldest(struct rem_zone_hold *hold, uint64_t *used_ms);

void rem_zone_remove(struct rem_zone_hold *hold, void *value);

/* Removes the oldest entry to make room.  Returns: false if there was none. */
bool rem_zone_evict(struct rem_zone_hold *hold);

/* Calls `visit` for every entry, shard by shard, oldest first; entries for which it returns false
 * are removed. */
void rem_zone_each(struct rem_zone *zone, bool (*visit)(void *data, void *value), void *data);

/* Takes no lock, so that it may be asked by a process that may be killed at any time: sums of
 * numbers that change meanwhile. */
void rem_zone_peek(const struct rem_zone *zone, struct rem_zone_stats *out);

#endif
