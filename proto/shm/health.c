/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/health.h"

#include "proto/shm/writer_priv.h"

/* relaxed throughout: each field stands alone; workers may see a change a moment late */
#define LOAD(field)         atomic_load_explicit(&(field), memory_order_relaxed)
#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)
#define ADD(field, value)   atomic_fetch_add_explicit(&(field), (value), memory_order_relaxed)

const struct rem_shm_set *rem_health_set(const struct rem_writer *writer, struct rem_str upstream)
{
    size_t index;

    if (rem_writer_find(writer, upstream, &index) != REM_OK)
        return NULL;
    return rem_dir_set(&writer->region, writer->dir, (uint32_t)index);
}

struct rem_shm_server_slot *rem_health_slot(const struct rem_writer *writer,
                                            const struct rem_shm_server *server)
{
    return rem_object_server_slot(&writer->region, server->slot);
}

struct rem_shm_upstream_slot *rem_health_upstream(const struct rem_writer *writer,
                                                  const struct rem_shm_set *set)
{
    return rem_region_at(&writer->region, set->upstream_slot);
}

uint32_t rem_health_lines(const struct rem_writer *writer)
{
    return writer->region.lines;
}

bool rem_health_is_reload(const struct rem_writer *writer, uint64_t generation)
{
    return writer->dir != NULL && writer->dir->config_generation != generation;
}

void rem_health_count(struct rem_shm_server_slot *slot, bool passed, uint64_t wall_ms)
{
    /* One process counts, so that plain stores do. */
    STORE(slot->checks, LOAD(slot->checks) + 1);
    if (!passed)
        STORE(slot->check_fails, LOAD(slot->check_fails) + 1);
    STORE(slot->last_passed, passed ? REM_VERDICT_PASSED : REM_VERDICT_FAILED);
    STORE(slot->checked_wall_ms, wall_ms);
}

/* Becomes one that gets requests again. */
static void come_back(const struct rem_writer *writer, struct rem_shm_server_slot *slot,
                      enum rem_shm_health to, uint64_t now_ms)
{
    uint64_t down_from = atomic_exchange_explicit(&slot->down_from_ms, 0, memory_order_relaxed);

    if (down_from != 0 && now_ms > down_from)
        ADD(slot->downtime_ms, now_ms - down_from);
    STORE(slot->fails, 0);
    if (to == REM_HEALTH_UP)
        STORE(slot->slow_from_ms, now_ms);
    /* release, with the state stored before: who sees the count sees the server as it is now */
    atomic_fetch_add_explicit(&writer->region.header->recoveries, 1, memory_order_release);
}

bool rem_health_move(const struct rem_writer *writer, struct rem_shm_server_slot *slot,
                     enum rem_shm_health to, uint64_t now_ms)
{
    uint32_t old = LOAD(slot->health), state = old & REM_HEALTH_MASK;
    uint64_t never = 0;

    if (to >= REM_HEALTH_CHECKING) /* a slot is made without a clock */
        (void)atomic_compare_exchange_strong_explicit(&slot->down_from_ms, &never, now_ms,
                                                      memory_order_relaxed, memory_order_relaxed);
    if (state == to)
        return false;
    if (to == REM_HEALTH_DOWN)
        STORE(slot->unhealthy, LOAD(slot->unhealthy) + 1);
    /* An ejection may come at any moment; its bit must survive. */
    while (!atomic_compare_exchange_weak_explicit(&slot->health, &old,
                                                  (old & ~(uint32_t)REM_HEALTH_MASK) | to,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    if (state >= REM_HEALTH_CHECKING && to < REM_HEALTH_CHECKING)
        come_back(writer, slot, to, now_ms);
    return true;
}

void rem_health_forget(const struct rem_writer *writer, const struct rem_shm_set *set,
                       uint64_t now_ms)
{
    for (uint32_t i = 0; i < set->count; i++) {
        struct rem_shm_server_slot *slot = rem_health_slot(writer, rem_set_server(set, i));

        (void)rem_health_move(writer, slot, REM_HEALTH_UNKNOWN, now_ms);
    }
}

void rem_health_each(const struct rem_writer *writer,
                     void (*visit)(void *data, const struct rem_shm_set *set), void *data)
{
    for (size_t i = 0; i < rem_writer_count(writer); i++)
        visit(data, rem_dir_set(&writer->region, writer->dir, (uint32_t)i));
}
