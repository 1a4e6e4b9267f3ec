/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/walk.h"

#include "proto/shm/objects.h"

#include <stdlib.h>

struct walker {
    const struct rem_region *region;
    struct rem_walk walk;
    uint64_t end; /* the high-water mark */
    struct rem_err *err;
};

static int damaged(struct walker *walker, const char *what, uint64_t off)
{
    return rem_err_set(walker->err, REM_EPROTO, "shared memory is damaged: %s at %llu", what,
                       (unsigned long long)off);
}

/* Is there room for `size` bytes of an object at `off`? */
static bool inside(const struct walker *walker, uint64_t off, uint64_t size)
{
    return off >= walker->region->header->data && off % REM_SHM_UNIT == 0 && size != 0 &&
           off <= walker->end && size <= walker->end - off;
}

static int note(struct walker *walker, uint64_t off, uint64_t size)
{
    struct rem_walk *walk = &walker->walk;

    if (walk->count == walk->room) {
        size_t room = walk->room != 0 ? walk->room * 2 : 64;
        struct rem_extent *grown = realloc(walk->extents, room * sizeof(*grown));
        if (grown == NULL)
            return REM_ENOMEM;
        walk->extents = grown;
        walk->room = room;
    }
    size = (size + REM_SHM_UNIT - 1) / REM_SHM_UNIT * REM_SHM_UNIT;
    walk->extents[walk->count++] = (struct rem_extent){off, size};
    walk->bytes += size;
    return REM_OK;
}

static int walk_server_slot(struct walker *walker, uint64_t off, uint64_t uid)
{
    uint64_t size = rem_object_server_slot_size(walker->region);
    const struct rem_shm_server_slot *slot = rem_region_at(walker->region, off);

    if (!inside(walker, off, size))
        return damaged(walker, "server slot", off);
    if (slot->uid == 0 || (uid != 0 && slot->uid != uid) || slot->name_len >= REM_SHM_NAME)
        return damaged(walker, "server slot's identity", off);
    return note(walker, off, size);
}

static bool text_inside(const struct rem_shm_set *set, struct rem_shm_text text)
{
    return text.off <= set->size && text.len <= set->size - text.off;
}

static bool schedule_inside(const struct rem_shm_set *set, const struct rem_shm_schedule *schedule)
{
    const uint32_t *turns = (const void *)((const char *)set + schedule->off);

    if (schedule->off == 0)
        return schedule->length <= set->count;
    if (schedule->off % sizeof(*turns) != 0 || schedule->off > set->size ||
        schedule->length > (set->size - schedule->off) / sizeof(*turns))
        return false;
    for (uint32_t i = 0; i < schedule->length; i++)
        if (turns[i] >= set->count)
            return false;
    return true;
}

/* `n` things of `size` bytes at `off`; an offset of 0 says that there are none. */
static bool extra_inside(const struct rem_shm_set *set, uint32_t off, uint64_t n, size_t size)
{
    return off == 0 || (off <= set->size && n <= (set->size - off) / size);
}

/* What readers index with is below the number of servers. */
static bool extras_sound(const struct rem_shm_set *set)
{
    const struct rem_shm_point *ring = rem_set_ring(set);
    const uint32_t *routes = (const void *)((const char *)set + set->routes_off);

    if (!extra_inside(set, set->shares_off, set->count, sizeof(uint32_t)) ||
        !extra_inside(set, set->ring_off, set->ring_length, sizeof(*ring)) ||
        !extra_inside(set, set->routes_off, (uint64_t)set->routes_mask + 1, sizeof(*routes)) ||
        !extra_inside(set, set->sticky_ids_off, set->count, REM_STICKY_ID) ||
        (set->ring_length != 0 && set->ring_off == 0))
        return false;
    for (uint32_t i = 0; i < set->ring_length; i++)
        if (ring[i].server >= set->count)
            return false;
    for (uint32_t i = 0; set->routes_off != 0 && i <= set->routes_mask; i++)
        if (routes[i] != REM_SHM_NONE && routes[i] >= set->count)
            return false;
    return true;
}

static bool set_sound(const struct rem_shm_set *set)
{
    return set->servers_off % REM_SHM_UNIT == 0 && set->servers_off <= set->size &&
           set->count <= (set->size - set->servers_off) / sizeof(struct rem_shm_server) &&
           text_inside(set, set->name) && text_inside(set, set->zone) &&
           set->texts_off <= set->size && schedule_inside(set, &set->primary) &&
           schedule_inside(set, &set->backup) && extras_sound(set);
}

static bool server_sound(const struct rem_shm_set *set, const struct rem_shm_server *server)
{
    if (server->addr_len > sizeof(union rem_addr_any))
        return false;
    return server->addr_len <=
               (server->addr_inline ? (uint32_t)REM_SHM_SOCKADDR : server->addr_text.len) &&
           text_inside(set, server->addr_text) && text_inside(set, server->server) &&
           text_inside(set, server->name) && text_inside(set, server->route) &&
           text_inside(set, server->fail_timeout_text) && text_inside(set, server->slow_start_text);
}

static int walk_set(struct walker *walker, uint64_t off)
{
    const struct rem_shm_set *set = rem_region_at(walker->region, off);
    const struct rem_shm_upstream_slot *slot;
    uint64_t slot_size = rem_object_upstream_slot_size(walker->region);
    int rc;

    if (!inside(walker, off, sizeof(*set)) || set->size < sizeof(*set) ||
        !inside(walker, off, set->size) || !set_sound(set))
        return damaged(walker, "set", off);
    slot = rem_region_at(walker->region, set->upstream_slot);
    if (!inside(walker, set->upstream_slot, slot_size) || slot->uid != set->upstream_uid)
        return damaged(walker, "upstream slot", set->upstream_slot);
    rc = note(walker, off, set->size);
    if (rc == REM_OK)
        rc = note(walker, set->upstream_slot, slot_size);
    for (uint32_t i = 0; i < set->count && rc == REM_OK; i++) {
        const struct rem_shm_server *server = rem_set_server(set, i);

        if (!server_sound(set, server))
            return damaged(walker, "server", off);
        rc = walk_server_slot(walker, server->slot, server->uid);
    }
    return rc;
}

static int walk_table(struct walker *walker, const struct rem_shm_dir_table *entry)
{
    const struct rem_shm_table *table = rem_region_at(walker->region, entry->table);

    if (!inside(walker, entry->table, sizeof(*table)) || table->size < sizeof(*table) ||
        !inside(walker, entry->table, table->size) || table->kind != entry->kind ||
        table->name_len > table->size - sizeof(*table) || table->bytes_off > table->size ||
        table->bytes_off % REM_SHM_UNIT != 0 || table->bytes_len > table->size - table->bytes_off)
        return damaged(walker, "table", entry->table);
    return note(walker, entry->table, table->size);
}

static bool array_inside(const struct rem_shm_dir *dir, uint32_t off, uint64_t count, uint64_t each)
{
    return off <= dir->size && off % 8 == 0 && count <= (dir->size - off) / each;
}

static bool dir_sound(const struct rem_shm_dir *dir)
{
    const uint32_t *table = (const void *)((const char *)dir + dir->table_off);
    bool empty = false;

    if (!array_inside(dir, dir->table_off, (uint64_t)dir->mask + 1, sizeof(uint32_t)) ||
        !array_inside(dir, dir->entries_off, dir->count, sizeof(struct rem_shm_dir_entry)) ||
        !array_inside(dir, dir->zombies_off, dir->zombie_count, sizeof(struct rem_shm_zombie)) ||
        !array_inside(dir, dir->tables_off, dir->table_count, sizeof(struct rem_shm_dir_table)) ||
        (dir->mask & (dir->mask + 1)) != 0)
        return false;
    for (uint64_t i = 0; i <= dir->mask; i++) {
        if (table[i] != REM_SHM_NONE && table[i] >= dir->count)
            return false;
        empty = empty || table[i] == REM_SHM_NONE;
    }
    return empty;
}

static int walk_dir(struct walker *walker, uint64_t off)
{
    const struct rem_shm_dir *dir = rem_region_at(walker->region, off);
    int rc;

    if (!inside(walker, off, sizeof(*dir)) || dir->size < sizeof(*dir) ||
        !inside(walker, off, dir->size) || !dir_sound(dir))
        return damaged(walker, "directory", off);
    rc = note(walker, off, dir->size);
    for (uint32_t i = 0; i < dir->count && rc == REM_OK; i++)
        rc = walk_set(walker, rem_dir_entries(dir)[i].set);
    for (uint32_t i = 0; i < dir->zombie_count && rc == REM_OK; i++)
        rc = walk_server_slot(walker, rem_dir_zombies(dir)[i].slot, 0);
    for (uint32_t i = 0; i < dir->table_count && rc == REM_OK; i++)
        rc = walk_table(walker, &rem_dir_tables(dir)[i]);
    return rc;
}

static int by_offset(const void *a, const void *b)
{
    const struct rem_extent *left = a, *right = b;

    return left->off < right->off ? -1 : left->off > right->off;
}

static int sort_and_check(struct walker *walker)
{
    struct rem_walk *walk = &walker->walk;

    if (walk->count != 0)
        qsort(walk->extents, walk->count, sizeof(*walk->extents), by_offset);
    for (size_t i = 1; i < walk->count; i++)
        if (walk->extents[i - 1].off + walk->extents[i - 1].size > walk->extents[i].off)
            return damaged(walker, "overlap", walk->extents[i].off);
    return REM_OK;
}

int rem_walk_run(const struct rem_region *region, struct rem_walk *out, struct rem_err *err)
{
    struct walker walker = {.region = region, .err = err};
    uint64_t root;
    int rc = REM_OK;

    /* acquire: pairs with the store of whoever wrote before (an earlier writer, perhaps dead) */
    root = atomic_load_explicit(&region->header->root, memory_order_acquire);
    walker.end = atomic_load_explicit(&region->header->high_water, memory_order_acquire);
    if (walker.end > region->size || walker.end < region->header->data)
        return damaged(&walker, "high-water mark", walker.end);
    if (root != 0)
        rc = walk_dir(&walker, root);
    if (rc == REM_OK)
        rc = sort_and_check(&walker);
    if (rc != REM_OK) {
        rem_walk_fini(&walker.walk);
        return rc;
    }
    *out = walker.walk;
    return REM_OK;
}

void rem_walk_fini(struct rem_walk *walk)
{
    free(walk->extents);
    *walk = (struct rem_walk){0};
}
