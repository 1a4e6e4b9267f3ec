/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

enum { WRITE_CHUNK = 1024 }; /* stored between two steps */

/* Room for `want` elements of `each` bytes in *items. */
static int reserve(void *items, size_t want, size_t each, size_t *room)
{
    void **array = items;
    size_t grown_room = *room != 0 ? *room : 16;
    void *grown;

    if (want <= *room)
        return REM_OK;
    while (grown_room < want)
        grown_room *= 2;
    grown = realloc(*array, grown_room * each);
    if (grown == NULL)
        return REM_ENOMEM;
    *array = grown;
    *room = grown_room;
    return REM_OK;
}

static int blocks_add(struct rem_extents *blocks, uint64_t off, uint64_t size)
{
    int rc = reserve(&blocks->items, blocks->count + 1, sizeof(*blocks->items), &blocks->room);

    if (rc == REM_OK)
        blocks->items[blocks->count++] = (struct rem_extent){off, size};
    return rc;
}

int rem_plan_init(struct rem_plan *plan, struct rem_writer *writer)
{
    const struct rem_shm_dir *dir = writer->dir;
    struct rem_plan made = {.writer = writer};

    /* relaxed: this process alone stores it */
    made.epoch = atomic_load_explicit(&writer->region.header->epoch, memory_order_relaxed) + 1;
    made.entry_room = (dir != NULL ? dir->count : 0) + 4;
    made.zombie_room = (dir != NULL ? dir->zombie_count : 0) + 16;
    made.table_room = (dir != NULL ? dir->table_count : 0) + 4;
    made.entries = malloc(made.entry_room * sizeof(*made.entries));
    made.tables = malloc(made.table_room * sizeof(*made.tables));
    made.zombies = malloc(made.zombie_room * sizeof(*made.zombies));
    if (made.entries == NULL || made.zombies == NULL || made.tables == NULL) {
        rem_plan_fini(&made);
        return REM_ENOMEM;
    }
    if (dir != NULL) {
        made.entry_count = dir->count;
        memcpy(made.entries, rem_dir_entries(dir), dir->count * sizeof(*made.entries));
        made.zombie_count = dir->zombie_count;
        memcpy(made.zombies, rem_dir_zombies(dir), dir->zombie_count * sizeof(*made.zombies));
        made.table_count = dir->table_count;
        memcpy(made.tables, rem_dir_tables(dir), dir->table_count * sizeof(*made.tables));
        made.revision = dir->revision;
        made.config_generation = dir->config_generation;
    }
    *plan = made;
    return REM_OK;
}

void rem_plan_fini(struct rem_plan *plan)
{
    if (!plan->published)
        for (size_t i = 0; i < plan->taken.count; i++)
            rem_alloc_give(&plan->writer->alloc, plan->taken.items[i].off,
                           plan->taken.items[i].size);
    free(plan->entries);
    free(plan->zombies);
    free(plan->tables);
    free(plan->taken.items);
    free(plan->retired.items);
    *plan = (struct rem_plan){0};
}

/* Raises the mark over all that is taken, before any of it is used: what a later writer finds below
 * it may have been seen by a worker, what lies above was not. */
static void raise_high_water(struct rem_writer *writer)
{
    struct rem_shm_header *header = writer->region.header;
    uint64_t top = rem_alloc_top(&writer->alloc);

    /* relaxed: this process alone stores it */
    if (top <= atomic_load_explicit(&header->high_water, memory_order_relaxed))
        return;
    rem_writer_step(writer);
    /* release: before the stores that follow; pairs with rem_walk_run's acquire */
    atomic_store_explicit(&header->high_water, top, memory_order_release);
}

int rem_plan_take(struct rem_plan *plan, uint64_t size, uint64_t *out_off)
{
    struct rem_writer *writer = plan->writer;
    uint64_t off;
    int rc = rem_alloc_take(&writer->alloc, size, &off);

    rem_count(&writer->region.header->space_requests, 1);
    if (rc != REM_OK) {
        rem_count(&writer->region.header->space_failures, 1);
        return rc;
    }
    rc = blocks_add(&plan->taken, off, size);
    if (rc != REM_OK) {
        rem_alloc_give(&writer->alloc, off, size);
        return rc;
    }
    raise_high_water(writer);
    *out_off = off;
    return REM_OK;
}

void rem_plan_write(struct rem_plan *plan, uint64_t off, const void *image, uint64_t size)
{
    char *to = rem_region_at(&plan->writer->region, off);
    const char *from = image;

    for (uint64_t at = 0; at < size; at += WRITE_CHUNK) {
        size_t n = size - at < WRITE_CHUNK ? (size_t)(size - at) : WRITE_CHUNK;

        rem_writer_step(plan->writer);
        if (from != NULL)
            memcpy(to + at, from + at, n);
        else
            memset(to + at, 0, n);
    }
}

uint64_t rem_plan_uid(struct rem_plan *plan)
{
    rem_writer_step(plan->writer);
    /* relaxed: only writers look at it, one after the other; raised before the identity is used */
    return atomic_fetch_add_explicit(&plan->writer->region.header->next_uid, 1,
                                     memory_order_relaxed);
}

int rem_plan_retire(struct rem_plan *plan, uint64_t off, uint64_t size)
{
    return blocks_add(&plan->retired, off, size);
}

int rem_plan_add_entry(struct rem_plan *plan, const struct rem_shm_dir_entry *entry)
{
    size_t room = plan->entry_room;
    int rc = reserve(&plan->entries, (size_t)plan->entry_count + 1, sizeof(*entry), &room);

    if (rc != REM_OK)
        return rc;
    plan->entry_room = (uint32_t)room;
    plan->named_anew = true;
    plan->entries[plan->entry_count++] = *entry;
    return REM_OK;
}

int rem_plan_add_zombie(struct rem_plan *plan, uint64_t slot, uint32_t upstream)
{
    size_t room = plan->zombie_room;
    int rc = reserve(&plan->zombies, (size_t)plan->zombie_count + 1, sizeof(*plan->zombies), &room);

    if (rc != REM_OK)
        return rc;
    plan->zombie_room = (uint32_t)room;
    plan->zombies[plan->zombie_count++] =
        (struct rem_shm_zombie){.slot = slot, .epoch = plan->epoch, .upstream = upstream};
    return REM_OK;
}

int rem_plan_add_table(struct rem_plan *plan, const struct rem_shm_dir_table *table)
{
    size_t room = plan->table_room;
    int rc = reserve(&plan->tables, (size_t)plan->table_count + 1, sizeof(*table), &room);

    if (rc != REM_OK)
        return rc;
    plan->table_room = (uint32_t)room;
    plan->tables[plan->table_count++] = *table;
    return REM_OK;
}

int rem_plan_drop_table(struct rem_plan *plan, uint32_t index)
{
    const struct rem_shm_table *table =
        rem_region_at(&plan->writer->region, plan->tables[index].table);
    int rc = rem_plan_retire(plan, plan->tables[index].table, table->size);

    if (rc == REM_OK)
        plan->tables[index].table = 0;
    return rc;
}

int rem_plan_drop_entry(struct rem_plan *plan, uint32_t index)
{
    const struct rem_region *region = &plan->writer->region;
    const struct rem_shm_set *set = rem_region_at(region, plan->entries[index].set);
    int rc = REM_OK;

    for (uint32_t i = 0; i < set->count && rc == REM_OK; i++)
        rc = rem_plan_add_zombie(plan, rem_set_server(set, i)->slot, index);
    if (rc == REM_OK)
        rc = rem_plan_retire(plan, set->upstream_slot, rem_object_upstream_slot_size(region));
    if (rc == REM_OK)
        rc = rem_plan_retire(plan, plan->entries[index].set, set->size);
    if (rc == REM_OK)
        plan->entries[index].set = 0;
    plan->named_anew = true;
    return rc;
}

/* ---- the directory ---- */

/* Drops entries that were struck out and gives zombies their upstreams' new indices. */
static int compact_entries(struct rem_plan *plan)
{
    uint32_t *moved = malloc((plan->entry_count + 1) * sizeof(*moved));
    uint32_t entries = plan->entry_count, kept = 0;

    if (moved == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < entries; i++) {
        moved[i] = plan->entries[i].set != 0 ? kept : REM_SHM_NONE;
        if (plan->entries[i].set != 0)
            plan->entries[kept++] = plan->entries[i];
    }
    plan->entry_count = kept;
    for (uint32_t i = 0; i < plan->zombie_count; i++) {
        uint32_t *upstream = &plan->zombies[i].upstream;
        *upstream = *upstream < entries ? moved[*upstream] : REM_SHM_NONE;
    }
    free(moved);
    return REM_OK;
}

/* Drops all that was struck out. */
static int compact(struct rem_plan *plan)
{
    uint32_t kept = 0;

    if (plan->named_anew && compact_entries(plan) != REM_OK)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < plan->zombie_count; i++)
        if (plan->zombies[i].slot != 0)
            plan->zombies[kept++] = plan->zombies[i];
    plan->zombie_count = kept;
    kept = 0;
    for (uint32_t i = 0; i < plan->table_count; i++)
        if (plan->tables[i].table != 0)
            plan->tables[kept++] = plan->tables[i];
    plan->table_count = kept;
    return REM_OK;
}

static void fill_table(const struct rem_plan *plan, uint32_t *table, uint32_t mask)
{
    const struct rem_shm_dir *former = plan->writer->dir;
    const struct rem_shm_dir_entry *entries = plan->entries;

    if (!plan->named_anew && former != NULL) {
        memcpy(table, (const char *)former + former->table_off,
               ((size_t)mask + 1) * sizeof(*table));
        return;
    }
    memset(table, 0xff, ((size_t)mask + 1) * sizeof(*table));
    for (uint32_t i = 0; i < plan->entry_count; i++) {
        uint32_t at = (uint32_t)entries[i].name_hash & mask;
        while (table[at] != REM_SHM_NONE)
            at = (at + 1) & mask;
        table[at] = i;
    }
}

/* The directory in private memory.  Returns NULL without memory. */
static struct rem_shm_dir *make_dir(const struct rem_plan *plan)
{
    uint32_t mask = 1, entries_off = sizeof(struct rem_shm_dir), zombies_off, tables_off, table_off;
    struct rem_shm_dir *dir;
    size_t size;

    while (mask < 2 * plan->entry_count)
        mask = mask * 2 + 1;
    zombies_off = entries_off + plan->entry_count * (uint32_t)sizeof(struct rem_shm_dir_entry);
    tables_off = zombies_off + plan->zombie_count * (uint32_t)sizeof(struct rem_shm_zombie);
    table_off = tables_off + plan->table_count * (uint32_t)sizeof(struct rem_shm_dir_table);
    size = (table_off + ((size_t)mask + 1) * sizeof(uint32_t) + REM_SHM_UNIT - 1) / REM_SHM_UNIT *
           REM_SHM_UNIT;
    dir = aligned_alloc(REM_SHM_UNIT, size);
    if (dir == NULL)
        return NULL;
    memset((char *)dir + size - REM_SHM_UNIT, 0, REM_SHM_UNIT); /* what lies behind the table */
    *dir = (struct rem_shm_dir){
        .size = size,
        .epoch = plan->epoch,
        .revision = plan->revision,
        .count = plan->entry_count,
        .mask = mask,
        .table_off = table_off,
        .entries_off = entries_off,
        .zombie_count = plan->zombie_count,
        .zombies_off = zombies_off,
        .table_count = plan->table_count,
        .tables_off = tables_off,
        .config_generation = plan->config_generation,
    };
    memcpy((char *)dir + entries_off, plan->entries, plan->entry_count * sizeof(*plan->entries));
    memcpy((char *)dir + zombies_off, plan->zombies, plan->zombie_count * sizeof(*plan->zombies));
    memcpy((char *)dir + tables_off, plan->tables, plan->table_count * sizeof(*plan->tables));
    fill_table(plan, (void *)((char *)dir + table_off), mask);
    return dir;
}

static int write_dir(struct rem_plan *plan, uint64_t *out_off)
{
    struct rem_shm_dir *image;
    int rc = compact(plan);

    if (rc != REM_OK)
        return rc;
    image = make_dir(plan);
    if (image == NULL)
        return REM_ENOMEM;
    rc = rem_plan_take(plan, image->size, out_off);
    if (rc == REM_OK)
        rem_plan_write(plan, *out_off, image, image->size);
    free(image);
    return rc;
}

int rem_plan_try(struct rem_plan *plan)
{
    uint64_t off;

    return write_dir(plan, &off);
}

/* Has to succeed before the line of no return. */
static int reserve_retired(struct rem_plan *plan)
{
    struct rem_writer *writer = plan->writer;

    return reserve(&writer->retired, writer->retired_count + plan->retired.count,
                   sizeof(*writer->retired), &writer->retired_room);
}

/* Ejections of servers that have just left end, as nobody would count them any more. */
static void end_ejections(const struct rem_plan *plan)
{
    const struct rem_region *region = &plan->writer->region;

    for (uint32_t i = 0; i < plan->zombie_count; i++) {
        const struct rem_shm_zombie *zombie = &plan->zombies[i];
        struct rem_shm_server_slot *slot = rem_object_server_slot(region, zombie->slot);
        const struct rem_shm_set *set;

        /* relaxed: a hint */
        if (zombie->epoch != plan->epoch || zombie->upstream >= plan->entry_count ||
            !(atomic_load_explicit(&slot->health, memory_order_relaxed) & REM_HEALTH_EJECTED))
            continue;
        set = rem_region_at(region, plan->entries[zombie->upstream].set);
        (void)rem_server_uneject(rem_region_at(region, set->upstream_slot), slot, 0);
        rem_writer_step(plan->writer);
    }
}

int rem_plan_publish(struct rem_plan *plan)
{
    struct rem_writer *writer = plan->writer;
    struct rem_shm_header *header = writer->region.header;
    uint64_t root = 0;
    int rc = REM_OK;

    if (writer->dir != NULL)
        rc = rem_plan_retire(plan, (uint64_t)((const char *)writer->dir - (const char *)header),
                             writer->dir->size);
    if (rc == REM_OK)
        rc = write_dir(plan, &root);
    if (rc == REM_OK)
        rc = reserve_retired(plan);
    if (rc != REM_OK)
        return rc;

    rem_writer_step(writer);
    /* ================= the line of no return =================
     * release: all that the root reaches was stored before; pairs with the readers' acquire. */
    atomic_store_explicit(&header->root, root, memory_order_release);
    rem_writer_step(writer);
    /* seq_cst (release suffices for the pairing with the readers' acquire of the epoch): who sees
     * the new epoch sees the new root. */
    atomic_store(&header->epoch, plan->epoch);
    /* seq_cst: "the root is out" before "who is awake"; pairs with the fence in
     * rem_reader_go_online. */
    atomic_thread_fence(memory_order_seq_cst);
    rem_writer_step(writer);

    writer->dir = rem_region_at(&writer->region, root);
    end_ejections(plan);
    for (size_t i = 0; i < plan->retired.count; i++) {
        struct rem_extent *block = &plan->retired.items[i];
        writer->retired[writer->retired_count++] =
            (struct rem_retired){block->off, block->size, plan->epoch};
        writer->retired_bytes += (block->size + REM_SHM_UNIT - 1) / REM_SHM_UNIT * REM_SHM_UNIT;
    }
    plan->published = true;
    return REM_OK;
}
