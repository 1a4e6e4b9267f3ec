/* SPDX-License-Identifier: Apache-2.0 */
/* health.h - what active checks find out about a server: kept in its slot, so that it outlives
 * sets, reloads and the agent, and workers heed it without being told.
 *
 * Runs in:    the agent, the only one to write these fields (but for the bit of ejections beside
 *             the state, and for what max_fails shares with checks).
 * Not here:   when checks are made and what they ask (agent/check.h).  */
#ifndef REM_SHM_HEALTH_H
#define REM_SHM_HEALTH_H

#include "proto/shm/reader.h"
#include "proto/shm/writer.h"

/* The published set of an upstream; borrowed until the next commit or reclaim.  NULL: none. */
const struct rem_shm_set *rem_health_set(const struct rem_writer *writer, struct rem_str upstream);

/* The runtime state of a server, and of an upstream; as long as the set is borrowed. */
struct rem_shm_server_slot *rem_health_slot(const struct rem_writer *writer,
                                            const struct rem_shm_server *server);

struct rem_shm_upstream_slot *rem_health_upstream(const struct rem_writer *writer,
                                                  const struct rem_shm_set *set);

/* How many lines a slot has. */
uint32_t rem_health_lines(const struct rem_writer *writer);

/* Is `generation` another configuration than the registry was last reconciled with? */
bool rem_health_is_reload(const struct rem_writer *writer, uint64_t generation);

static inline enum rem_shm_health rem_health_get(struct rem_shm_server_slot *slot)
{
    /* relaxed: this process alone changes the state */
    return (enum rem_shm_health)(atomic_load_explicit(&slot->health, memory_order_relaxed) &
                                 REM_HEALTH_MASK);
}

/* Has the server ever been checked? */
static inline bool rem_health_known(struct rem_shm_server_slot *slot)
{
    return atomic_load_explicit(&slot->last_passed, memory_order_relaxed) != REM_VERDICT_NONE;
}

/* When that was last, by the wall clock. */
static inline uint64_t rem_health_checked(struct rem_shm_server_slot *slot)
{
    return atomic_load_explicit(&slot->checked_wall_ms, memory_order_relaxed);
}

/* Counts a check and its result. */
void rem_health_count(struct rem_shm_server_slot *slot, bool passed, uint64_t wall_ms);

/* Changes the state, with what belongs to it: the time the server has been down; when it comes
 * back, its failures are forgotten and its slow start begins.  Returns: false if it has that state.
 */
bool rem_health_move(const struct rem_writer *writer, struct rem_shm_server_slot *slot,
                     enum rem_shm_health to, uint64_t now_ms);

/* Nobody checks the servers of a set any more: they are as good as any.  `count` and `last_passed`
 * stay for who asks. */
void rem_health_forget(const struct rem_writer *writer, const struct rem_shm_set *set,
                       uint64_t now_ms);

/* Calls `visit` for every upstream. */
void rem_health_each(const struct rem_writer *writer,
                     void (*visit)(void *data, const struct rem_shm_set *set), void *data);

#endif
