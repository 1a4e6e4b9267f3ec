/* SPDX-License-Identifier: Apache-2.0 */
/* objects.h - sizes and parts of the region's objects, for the writer's side.
 *
 * Runs in:    the agent.  */
#ifndef REM_SHM_OBJECTS_H
#define REM_SHM_OBJECTS_H

#include "proto/shm/reader.h"

/* An odd number of cache lines: slots lie one behind the other, and the same line of all of them
 * would fall into few sets of the cache otherwise. */
static inline uint64_t rem_object_server_slot_size(const struct rem_region *region)
{
    return (sizeof(struct rem_shm_server_slot) +
            region->lines * (sizeof(struct rem_shm_line) + sizeof(struct rem_shm_codes))) |
           REM_SHM_UNIT;
}

static inline uint64_t rem_object_upstream_slot_size(const struct rem_region *region)
{
    return sizeof(struct rem_shm_upstream_slot) +
           region->lines * sizeof(struct rem_shm_upstream_line);
}

static inline const struct rem_shm_dir_entry *rem_dir_entries(const struct rem_shm_dir *dir)
{
    return (const void *)((const char *)dir + dir->entries_off);
}

static inline const struct rem_shm_zombie *rem_dir_zombies(const struct rem_shm_dir *dir)
{
    return (const void *)((const char *)dir + dir->zombies_off);
}

static inline const struct rem_shm_dir_table *rem_dir_tables(const struct rem_shm_dir *dir)
{
    return (const void *)((const char *)dir + dir->tables_off);
}

static inline struct rem_str rem_object_table_name(const struct rem_shm_table *table)
{
    return (struct rem_str){(const char *)(table + 1), table->name_len};
}

static inline const struct rem_shm_set *rem_dir_set(const struct rem_region *region,
                                                    const struct rem_shm_dir *dir, uint32_t index)
{
    return rem_region_at(region, rem_dir_entries(dir)[index].set);
}

static inline struct rem_shm_server_slot *rem_object_server_slot(const struct rem_region *region,
                                                                 uint64_t off)
{
    return rem_region_at(region, off);
}

static inline struct rem_shm_upstream_line *rem_upstream_lines(struct rem_shm_upstream_slot *slot)
{
    return (struct rem_shm_upstream_line *)(void *)(slot + 1);
}

#endif
