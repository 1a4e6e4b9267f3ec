/* SPDX-License-Identifier: Apache-2.0 */
/* timer.h - a coarse timer wheel, re-armed lazily.
 *
 * Runs in:    workers (one wheel per event loop, no locks).
 * Cost:       setting a timer that is already armed for an earlier moment stores one word; the
 *             wheel puts it where it belongs when the earlier moment comes.
 * Precision:  never early; late by at most REM_TIMER_TICK_MS and the length of a loop turn.
 * Not here:   the libevent timeout that wakes the loop (see loop.h).  */
#ifndef REM_NET_TIMER_H
#define REM_NET_TIMER_H

#include "proto/base/list.h"

#include <stdint.h>

enum { REM_TIMER_TICK_MS = 4, REM_TIMER_LEVELS = 4, REM_TIMER_SLOTS = 64 };

struct rem_timer;
typedef void (*rem_timer_fn)(struct rem_timer *timer);

struct rem_timer {
    struct rem_list node; /* on a slot of the wheel while armed */
    uint64_t due_ms;      /* monotonic; 0: not armed */
    uint64_t slot_ms;     /* the moment it sits in the wheel for; at most due_ms */
    rem_timer_fn fire;
};

struct rem_timers {
    uint64_t now_ms; /* the present, from which delays count */
    uint64_t tick;   /* up to which the wheel has run, in REM_TIMER_TICK_MS */
    uint64_t occupied[REM_TIMER_LEVELS];
    struct rem_list slot[REM_TIMER_LEVELS][REM_TIMER_SLOTS];
    uint64_t count;
};

void rem_timers_init(struct rem_timers *timers, uint64_t now_ms);

/* The timer must be zeroed or initialised once before it is first set. */
void rem_timer_init(struct rem_timer *timer, rem_timer_fn fire);

/* Arms or re-arms: `fire` is called once, not before `delay_ms` from the wheel's now. */
void rem_timer_set(struct rem_timers *timers, struct rem_timer *timer, uint64_t delay_ms);
void rem_timer_cancel(struct rem_timers *timers, struct rem_timer *timer);

static inline int rem_timer_armed(const struct rem_timer *timer)
{
    return timer->due_ms != 0;
}

/* Fires what is due.  A fired timer may be set again, and any timer be cancelled, from `fire`. */
void rem_timers_run(struct rem_timers *timers, uint64_t now_ms);

/* Milliseconds from `now_ms` until the wheel next needs to run; -1: nothing is armed. */
int64_t rem_timers_next(const struct rem_timers *timers, uint64_t now_ms);

#endif
