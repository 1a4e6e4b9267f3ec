/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

enum {
    POISON = 0xdb,
    SHOWN_STEP = 1 << 20, /* in which the high-water mark is reported */
};

/* ---- attaching ---- */

static int retire_gap(struct rem_writer *writer, uint64_t from, uint64_t to, uint64_t epoch)
{
    struct rem_retired *grown;

    if (from == to)
        return REM_OK;
    if (writer->retired_count == writer->retired_room) {
        size_t room = writer->retired_room != 0 ? writer->retired_room * 2 : 64;
        grown = realloc(writer->retired, room * sizeof(*grown));
        if (grown == NULL)
            return REM_ENOMEM;
        writer->retired = grown;
        writer->retired_room = room;
    }
    writer->retired[writer->retired_count++] = (struct rem_retired){from, to - from, epoch};
    writer->retired_bytes += to - from;
    return REM_OK;
}

/* What the root does not reach below the high-water mark may still be read by a worker that began
 * its turn under an earlier root: it becomes free as any retired block does. */
static int retire_gaps(struct rem_writer *writer, const struct rem_walk *walk, uint64_t epoch,
                       uint64_t high_water)
{
    uint64_t at = writer->region.header->data;
    int rc = REM_OK;

    for (size_t i = 0; i < walk->count && rc == REM_OK; i++) {
        rc = retire_gap(writer, at, walk->extents[i].off, epoch);
        at = walk->extents[i].off + walk->extents[i].size;
    }
    return rc == REM_OK ? retire_gap(writer, at, high_water, epoch) : rc;
}

/* The epoch in which everything unreachable is retired: later than any that a worker is in now. */
static uint64_t attach_epoch(const struct rem_writer *writer)
{
    /* relaxed: no other process stores it */
    uint64_t epoch = atomic_load_explicit(&writer->region.header->epoch, memory_order_relaxed);

    /* The earlier writer may have died between the root and the epoch. */
    if (writer->dir != NULL && writer->dir->epoch > epoch)
        epoch = writer->dir->epoch;
    return epoch + 1;
}

static bool has_orphans(const struct rem_writer *writer)
{
    for (uint32_t i = 0; i < writer->dir->count; i++)
        if (rem_dir_set(&writer->region, writer->dir, i)->flags & REM_UPSTREAM_ORPHAN)
            return true;
    for (uint32_t i = 0; i < writer->dir->table_count; i++)
        if (rem_dir_tables(writer->dir)[i].flags & REM_TABLE_ORPHAN)
            return true;
    return false;
}

static int attach(struct rem_writer *writer, const struct rem_walk *walk)
{
    struct rem_shm_header *header = writer->region.header;
    /* relaxed: stored by earlier writers only, and those are gone */
    uint64_t high_water = atomic_load_explicit(&header->high_water, memory_order_relaxed);
    uint64_t root = atomic_load_explicit(&header->root, memory_order_relaxed);
    uint64_t limit = header->size / REM_SHM_UNIT * REM_SHM_UNIT, epoch;
    int rc;

    writer->dir = root != 0 ? rem_region_at(&writer->region, root) : NULL;
    writer->orphans = writer->dir != NULL && has_orphans(writer);
    epoch = attach_epoch(writer);
    high_water = high_water / REM_SHM_UNIT * REM_SHM_UNIT;
    rc = rem_alloc_init(&writer->alloc, header->data, limit, high_water);
    if (rc == REM_OK)
        rc = retire_gaps(writer, walk, epoch, high_water);
    if (rc != REM_OK)
        return rc;
    /* seq_cst and a fence, as in a publish */
    atomic_store(&header->epoch, epoch);
    atomic_thread_fence(memory_order_seq_cst);
    return REM_OK;
}

int rem_writer_new(const struct rem_region *region, struct rem_writer **out, struct rem_err *err)
{
    struct rem_writer *writer = calloc(1, sizeof(*writer));
    struct rem_walk walk = {0};
    int rc;

    if (writer == NULL)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    writer->magic = REM_WRITER_MAGIC;
    writer->region = *region;
    rc = rem_walk_run(region, &walk, err);
    if (rc == REM_OK) {
        rc = attach(writer, &walk);
        if (rc != REM_OK)
            (void)rem_err_set(err, rc, "cannot attach to the registry: %s", rem_err_text(rc));
    }
    rem_walk_fini(&walk);
    if (rc != REM_OK)
        rem_writer_free(&writer);
    else
        *out = writer;
    return rc;
}

void rem_writer_free(struct rem_writer **writer)
{
    if (*writer == NULL)
        return;
    REM_CHECK_OBJ(*writer, REM_WRITER_MAGIC);
    rem_change_free(&(*writer)->change);
    rem_alloc_fini(&(*writer)->alloc);
    free((*writer)->retired);
    (*writer)->magic = 0;
    free(*writer);
    *writer = NULL;
}

uint64_t rem_writer_revision(const struct rem_writer *writer)
{
    return writer->dir != NULL ? writer->dir->revision : 0;
}

void rem_writer_raise(struct rem_writer *writer, uint64_t revision)
{
    if (writer->least_revision < revision)
        writer->least_revision = revision;
}

uint64_t rem_writer_epoch(const struct rem_writer *writer)
{
    /* relaxed: this process stores it */
    return atomic_load_explicit(&writer->region.header->epoch, memory_order_relaxed);
}

void rem_writer_set_watch(struct rem_writer *writer, const struct rem_writer_watch *watch)
{
    REM_CHECK_OBJ(writer, REM_WRITER_MAGIC);
    writer->watch = watch != NULL ? *watch : (struct rem_writer_watch){0};
}

void rem_writer_set_step(struct rem_writer *writer, rem_writer_step_fn step, void *data)
{
    writer->step = step;
    writer->step_data = data;
}

void rem_writer_set_poison(struct rem_writer *writer, bool on)
{
    writer->poison = on;
}

/* ---- grace ---- */

uint64_t rem_writer_oldest_reader(const struct rem_writer *writer)
{
    uint64_t oldest = UINT64_MAX;

    for (unsigned slot = 0; slot < REM_SHM_WORKERS; slot++) {
        const struct rem_shm_worker *worker = &writer->region.header->workers[slot];
        /* acquire, after the fence that follows every store of the epoch: pairs with the reader's
         * release when it goes offline, so that its reads are over before the block is reused */
        uint64_t seen = atomic_load_explicit(&worker->seen, memory_order_acquire);

        if (seen != 0 && seen < oldest)
            oldest = seen;
    }
    return oldest;
}

bool rem_writer_applied(const struct rem_writer *writer, uint64_t epoch)
{
    return rem_writer_oldest_reader(writer) >= epoch;
}

static void free_block(struct rem_writer *writer, const struct rem_retired *block)
{
    if (writer->poison) {
        rem_writer_step(writer);
        memset(rem_region_at(&writer->region, block->off), POISON, block->size);
    }
    rem_alloc_give(&writer->alloc, block->off, block->size);
    writer->retired_bytes -= (block->size + REM_SHM_UNIT - 1) / REM_SHM_UNIT * REM_SHM_UNIT;
}

static void free_retired(struct rem_writer *writer)
{
    uint64_t oldest = rem_writer_oldest_reader(writer);
    size_t freed = 0;

    while (freed < writer->retired_count && writer->retired[freed].epoch <= oldest)
        free_block(writer, &writer->retired[freed++]);
    if (freed == 0)
        return;
    writer->retired_count -= freed;
    memmove(writer->retired, writer->retired + freed,
            writer->retired_count * sizeof(*writer->retired));
}

/* ---- what dead workers held ---- */

/* The states of the worker slots that share a line, as bits 1 << state. */
static unsigned line_states(const struct rem_writer *writer, uint32_t line)
{
    unsigned states = 0;

    for (uint32_t slot = line; slot < REM_SHM_WORKERS; slot += writer->region.lines)
        /* seq_cst: pairs with the master's claim, see region.c */
        states |= 1u << atomic_load(&writer->region.header->workers[slot].state);
    return states;
}

static void line_move(struct rem_writer *writer, uint32_t line, uint32_t from, uint32_t to)
{
    for (uint32_t slot = line; slot < REM_SHM_WORKERS; slot += writer->region.lines) {
        _Atomic uint32_t *state = &writer->region.header->workers[slot].state;
        uint32_t expected = from;

        if (atomic_load(state) != from)
            continue;
        rem_writer_step(writer);
        /* seq_cst: as above.  The master may give a dead worker's slot to another. */
        (void)atomic_compare_exchange_strong(state, &expected, to);
    }
}

static void zero_active(struct rem_writer *writer, uint64_t slot_off, uint32_t line)
{
    struct rem_shm_server_slot *slot = rem_object_server_slot(&writer->region, slot_off);
    _Atomic int32_t *active = &rem_slot_lines(slot)[line].active;

    /* relaxed: nobody else writes this line, see clean_line */
    if (atomic_load_explicit(active, memory_order_relaxed) == 0)
        return;
    rem_writer_step(writer);
    atomic_store_explicit(active, 0, memory_order_relaxed);
    atomic_store_explicit(&rem_slot_lines(slot)[line].open_since_ms, 0, memory_order_relaxed);
}

static void zero_gauges(struct rem_shm_upstream_line *line)
{
    /* relaxed: as in zero_active */
    atomic_store_explicit(&line->idle, 0, memory_order_relaxed);
    atomic_store_explicit(&line->requests, 0, memory_order_relaxed);
    atomic_store_explicit(&line->pending, 0, memory_order_relaxed);
    atomic_store_explicit(&line->retrying, 0, memory_order_relaxed);
    atomic_store_explicit(&line->connections, 0, memory_order_relaxed);
    atomic_store_explicit(&line->queued, 0, memory_order_relaxed);
}

static int32_t count_ejected(const struct rem_writer *writer, const struct rem_shm_set *set)
{
    int32_t ejected = 0;

    for (uint32_t i = 0; i < set->count; i++) {
        struct rem_shm_server_slot *slot =
            rem_object_server_slot(&writer->region, rem_set_server(set, i)->slot);
        /* relaxed: as in recount_ejected */
        ejected +=
            (atomic_load_explicit(&slot->health, memory_order_relaxed) & REM_HEALTH_EJECTED) != 0;
    }
    return ejected;
}

/* Who dies between the bit and the count leaves the count wrong. */
static void recount_ejected(struct rem_writer *writer, const struct rem_shm_set *set)
{
    struct rem_shm_upstream_slot *upstream = rem_region_at(&writer->region, set->upstream_slot);
    /* relaxed: the count is a hint; that it did not change meanwhile is enough */
    int32_t before = atomic_load_explicit(&upstream->ejected, memory_order_relaxed);
    int32_t ejected = count_ejected(writer, set);

    rem_writer_step(writer);
    if (ejected != before)
        (void)atomic_compare_exchange_strong_explicit(&upstream->ejected, &before, ejected,
                                                      memory_order_relaxed, memory_order_relaxed);
}

static void zero_line(struct rem_writer *writer, uint32_t line)
{
    const struct rem_shm_dir *dir = writer->dir;

    for (uint32_t i = 0; dir != NULL && i < dir->count; i++) {
        const struct rem_shm_set *set = rem_dir_set(&writer->region, dir, i);
        struct rem_shm_upstream_slot *slot = rem_region_at(&writer->region, set->upstream_slot);

        rem_writer_step(writer);
        zero_gauges(&rem_upstream_lines(slot)[line]);
        for (uint32_t server = 0; server < set->count; server++)
            zero_active(writer, rem_set_server(set, server)->slot, line);
        recount_ejected(writer, set);
    }
    for (uint32_t i = 0; dir != NULL && i < dir->zombie_count; i++)
        zero_active(writer, rem_dir_zombies(dir)[i].slot, line);
    for (struct rem_stat *stat = rem_stat_next(writer->region.header, NULL); stat != NULL;
         stat = rem_stat_next(writer->region.header, stat))
        rem_stat_zero_gauges(stat, line);
}

/* Takes back the pins of dead workers, once nobody lives on their line. */
static void clean_line(struct rem_writer *writer, uint32_t line)
{
    const unsigned gone = 1u << REM_WORKER_DEAD | 1u << REM_WORKER_CLEANING;
    const unsigned live = 1u << REM_WORKER_LIVE;
    unsigned states = line_states(writer, line);

    if (!(states & gone) || states & live)
        return;
    line_move(writer, line, REM_WORKER_DEAD, REM_WORKER_CLEANING);
    /* The master refuses a line that is being cleaned, or we see here that it gave it away. */
    if (line_states(writer, line) & live) {
        line_move(writer, line, REM_WORKER_CLEANING, REM_WORKER_DEAD);
        return;
    }
    zero_line(writer, line);
    line_move(writer, line, REM_WORKER_CLEANING, REM_WORKER_FREE);
}

/* ---- zombies and orphans ---- */

/* Are there live workers whose configuration is older than that of the directory? */
static bool older_workers(const struct rem_writer *writer)
{
    for (unsigned slot = 0; slot < REM_SHM_WORKERS; slot++) {
        const struct rem_shm_worker *worker = &writer->region.header->workers[slot];

        /* relaxed: too old a number only delays */
        if (rem_region_worker_live(&writer->region, slot) &&
            atomic_load_explicit(&worker->config_generation, memory_order_relaxed) <
                writer->dir->config_generation)
            return true;
    }
    return false;
}

/* A worker may have ejected it after it was removed. */
static void end_ejection(const struct rem_writer *writer, const struct rem_shm_dir_entry *entry,
                         struct rem_shm_server_slot *slot)
{
    const struct rem_shm_set *set = rem_region_at(&writer->region, entry->set);

    /* relaxed: nobody pins it any more */
    if (!(atomic_load_explicit(&slot->health, memory_order_relaxed) & REM_HEALTH_EJECTED))
        return;
    rem_writer_step(writer);
    (void)rem_server_uneject(rem_region_at(&writer->region, set->upstream_slot), slot, 0);
}

/* Takes the zombies that nobody holds out of the plan; their counts go to their upstream. */
static int bury(struct rem_plan *plan, uint64_t oldest, bool *any)
{
    struct rem_writer *writer = plan->writer;
    int rc = REM_OK;

    for (uint32_t i = 0; i < plan->zombie_count && rc == REM_OK; i++) {
        struct rem_shm_zombie *zombie = &plan->zombies[i];
        struct rem_shm_server_slot *slot = rem_object_server_slot(&writer->region, zombie->slot);

        /* A worker that has passed the removal cannot pin it any more; what it pinned before shows
         * in the sum. */
        if (zombie->epoch > oldest || rem_writer_slot_active(writer, slot) != 0)
            continue;
        if (zombie->upstream != REM_SHM_NONE)
            end_ejection(writer, &plan->entries[zombie->upstream], slot);
        if (zombie->upstream != REM_SHM_NONE)
            rem_writer_slot_totals(writer, slot, &plan->entries[zombie->upstream].folded);
        rc = rem_plan_retire(plan, zombie->slot, rem_object_server_slot_size(&writer->region));
        zombie->slot = 0;
        *any = true;
    }
    return rc;
}

static int drop_orphans(struct rem_plan *plan)
{
    uint32_t count = plan->entry_count;
    int rc = REM_OK;

    for (uint32_t i = 0; i < count && rc == REM_OK; i++) {
        const struct rem_shm_set *set = rem_region_at(&plan->writer->region, plan->entries[i].set);
        if (set->flags & REM_UPSTREAM_ORPHAN)
            rc = rem_plan_drop_entry(plan, i);
    }
    for (uint32_t i = 0; i < plan->table_count && rc == REM_OK; i++)
        if (plan->tables[i].flags & REM_TABLE_ORPHAN)
            rc = rem_plan_drop_table(plan, i);
    return rc;
}

/* Publishes the directory without what nobody needs any more; the revision stays.  On failure
 * everything stays as it is, for the next time. */
static void bury_and_publish(struct rem_writer *writer)
{
    uint64_t oldest = rem_writer_oldest_reader(writer);
    bool orphans = writer->orphans && !older_workers(writer), any = orphans;
    struct rem_plan plan;
    int rc;

    if (writer->dir == NULL || (writer->dir->zombie_count == 0 && !orphans))
        return;
    if (rem_plan_init(&plan, writer) != REM_OK)
        return;
    rc = bury(&plan, oldest, &any);
    if (rc == REM_OK && orphans)
        rc = drop_orphans(&plan);
    if (rc == REM_OK && any)
        rc = rem_plan_publish(&plan);
    if (rc == REM_OK && orphans)
        writer->orphans = false;
    rem_plan_fini(&plan);
}

/* What lies above all that is taken or still waits for workers cannot be seen by anybody: a
 * successor may use it at once.  Without this, each writer that dies young would leave the mark
 * higher. */
static void lower_high_water(struct rem_writer *writer)
{
    _Atomic uint64_t *mark = &writer->region.header->high_water;
    uint64_t top = rem_alloc_top(&writer->alloc);

    /* relaxed: this process alone stores it */
    if (top >= atomic_load_explicit(mark, memory_order_relaxed))
        return;
    rem_writer_step(writer);
    /* release: pairs with rem_walk_run's acquire */
    atomic_store_explicit(mark, top, memory_order_release);
}

bool rem_writer_reclaim(struct rem_writer *writer)
{
    REM_CHECK_OBJ(writer, REM_WRITER_MAGIC);
    for (uint32_t line = 0; line < writer->region.lines; line++)
        clean_line(writer, line);
    free_retired(writer);
    bury_and_publish(writer);
    free_retired(writer); /* with no worker awake, all is done in one go */
    lower_high_water(writer);
    return writer->retired_count != 0 || (writer->dir != NULL && writer->dir->zombie_count != 0);
}

/* ---- stats ---- */

/* Rounded up, so that it stands still while sets of changing sizes come and go. */
static uint64_t shown_high_water(const struct rem_writer *writer)
{
    /* relaxed: this process stores it */
    uint64_t mark = atomic_load_explicit(&writer->region.header->high_water, memory_order_relaxed);

    mark = (mark + SHOWN_STEP - 1) / SHOWN_STEP * SHOWN_STEP;
    return mark < writer->region.size ? mark : writer->region.size;
}

int rem_writer_stats(const struct rem_writer *writer, struct rem_writer_stats *out)
{
    struct rem_walk walk;
    int rc = rem_walk_run(&writer->region, &walk, NULL);

    if (rc != REM_OK)
        return rc;
    *out = (struct rem_writer_stats){
        .size = writer->region.size,
        .used = writer->region.header->data + rem_alloc_used(&writer->alloc),
        .reachable = writer->region.header->data + walk.bytes,
        .pending = writer->retired_bytes,
        .free = rem_alloc_free(&writer->alloc),
        .high_water = shown_high_water(writer),
        .zombies = writer->dir != NULL ? writer->dir->zombie_count : 0,
    };
    rem_walk_fini(&walk);
    return REM_OK;
}
