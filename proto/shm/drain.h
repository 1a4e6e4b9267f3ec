/* SPDX-License-Identifier: Apache-2.0 */
/* drain.h - how far an instance has come on its way out.
 *
 *     NONE -> ANNOUNCED (not ready, but accepting) -> CLOSING (answers end their connections) ->
 * exit
 *
 * Runs in:    the master decides; the agent keeps a copy, to tell.
 * Times:      CLOCK_MONOTONIC in milliseconds, which all processes share.  */
#ifndef REM_SHM_DRAIN_H
#define REM_SHM_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

enum rem_drain_phase { REM_DRAIN_NONE = 0, REM_DRAIN_ANNOUNCED, REM_DRAIN_CLOSING };

struct rem_drain {
    uint32_t phase;       /* enum rem_drain_phase */
    int64_t started_sec;  /* wall clock */
    uint64_t close_at_ms; /* when listeners are closed */
    uint64_t deadline_ms; /* when what is left is cut off; 0: never */
};

static inline uint64_t rem_drain_earlier(uint64_t a, uint64_t b)
{
    return a != 0 && a < b ? a : b;
}

/* Announces the end, `delay_ms` before connections are closed and `timeout_ms` (0: without bound)
 * before the deadline.  Once announced it can only be brought forward.  Returns whether anything
 * has changed. */
static inline bool rem_drain_announce(struct rem_drain *drain, uint64_t now_ms, int64_t wall_sec,
                                      uint32_t delay_ms, uint32_t timeout_ms)
{
    struct rem_drain before = *drain;
    uint32_t wait_ms = timeout_ms != 0 && timeout_ms < delay_ms ? timeout_ms : delay_ms;

    if (drain->phase == REM_DRAIN_NONE) {
        drain->phase = REM_DRAIN_ANNOUNCED;
        drain->started_sec = wall_sec;
    }
    if (drain->phase == REM_DRAIN_ANNOUNCED)
        drain->close_at_ms = rem_drain_earlier(drain->close_at_ms, now_ms + wait_ms);
    if (timeout_ms != 0)
        drain->deadline_ms = rem_drain_earlier(drain->deadline_ms, now_ms + timeout_ms);
    return before.phase != drain->phase || before.close_at_ms != drain->close_at_ms ||
           before.deadline_ms != drain->deadline_ms;
}

/* Listeners are being closed now. */
static inline void rem_drain_close(struct rem_drain *drain, uint64_t now_ms, int64_t wall_sec)
{
    if (drain->phase == REM_DRAIN_NONE)
        drain->started_sec = wall_sec;
    drain->phase = REM_DRAIN_CLOSING;
    drain->close_at_ms = rem_drain_earlier(drain->close_at_ms, now_ms);
}

static inline const char *rem_drain_phase_name(uint32_t phase)
{
    static const char *const names[] = {"none", "announced", "closing"};

    return phase <= REM_DRAIN_CLOSING ? names[phase] : "none";
}

#endif
