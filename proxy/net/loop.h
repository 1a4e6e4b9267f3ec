/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - the event loop of a worker: libevent underneath, with turns made visible.
 *
 * Runs in:    workers, one loop each; everything in it is single-threaded.
 * A turn:     wait for events -> update the clock -> run the callbacks of ready connections ->
 *             run due timers -> run posted work -> free what was deferred -> end-of-turn hook (the
 *             registry's quiescent state) -> wait again.
 * Rule:       nothing that a callback can reach is freed before the end of the turn: objects end
 *             through rem_loop_defer.  So a callback may close the object it was called for and
 *             its caller can still look at it.  */
#ifndef REM_NET_LOOP_H
#define REM_NET_LOOP_H

#include "proto/base/arena.h"
#include "proto/base/clock.h"
#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proxy/net/timer.h"

struct event;
struct event_base;

/* Work to be done later in this turn (or in the next, if posted by posted work).  A node is on one
 * list at a time; posting it again while it waits does nothing. */
struct rem_post {
    struct rem_list node;
    void (*run)(struct rem_post *post);
};

struct rem_loop {
    struct event_base *base;
    struct event *tick;   /* wakes the loop for the wheel */
    uint64_t tick_due_ms; /* what `tick` is armed for; 0: not armed */
    struct rem_timers timers;
    struct rem_clock clock;
    const struct rem_log *log;
    struct rem_list posted;
    struct rem_list deferred;
    bool stopping;
    bool awake; /* the clock has been read since the last wait */
    void (*on_turn_end)(void *data);
    void *turn_data;
};

/* Errors: REM_ENOMEM, REM_EIO (no epoll). */
int rem_loop_init(struct rem_loop *loop, const struct rem_log *log) REM_MUST_CHECK;
void rem_loop_fini(struct rem_loop *loop);

/* Turns until rem_loop_stop. */
void rem_loop_run(struct rem_loop *loop);
void rem_loop_stop(struct rem_loop *loop);

/* To be called first by every libevent callback that is not a rem_conn's: reads the clock if this
 * is the first callback of the turn. */
static inline void rem_loop_enter(struct rem_loop *loop)
{
    if (!loop->awake) {
        loop->awake = true;
        rem_clock_update(&loop->clock);
        loop->timers.now_ms = loop->clock.mono_ms;
    }
}

void rem_post_init(struct rem_post *post, void (*run)(struct rem_post *post));
void rem_loop_post(struct rem_loop *loop, struct rem_post *post);
void rem_post_cancel(struct rem_post *post);

/* Has `run` called at the end of the turn, after all other callbacks: for freeing. */
void rem_loop_defer(struct rem_loop *loop, struct rem_post *post);

/* Runs what was deferred.  The loop does so itself; for when it has stopped. */
void rem_loop_free_deferred(struct rem_loop *loop);

#endif
