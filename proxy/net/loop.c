/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/loop.h"

#include <event2/event.h>

static void on_tick(evutil_socket_t fd, short what, void *data)
{
    struct rem_loop *loop = data;

    (void)fd;
    (void)what;
    loop->tick_due_ms = 0;
    rem_loop_enter(loop);
}

/* Without locks (one thread), with epoll_ctl calls gathered until the wait, and without the clock
 * that libevent would read for its callbacks: rem_loop_enter reads one for us. */
static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config == NULL)
        return NULL;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK |
                                          EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST |
                                          EVENT_BASE_FLAG_NO_CACHE_TIME) == 0 &&
        event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

int rem_loop_init(struct rem_loop *loop, const struct rem_log *log)
{
    *loop = (struct rem_loop){.log = log};
    rem_list_init(&loop->posted);
    rem_list_init(&loop->deferred);
    rem_clock_update(&loop->clock);
    rem_timers_init(&loop->timers, loop->clock.mono_ms);
    loop->base = new_base();
    if (loop->base == NULL)
        return REM_EIO;
    loop->tick = event_new(loop->base, -1, 0, on_tick, loop);
    if (loop->tick == NULL) {
        event_base_free(loop->base);
        loop->base = NULL;
        return REM_ENOMEM;
    }
    return REM_OK;
}

void rem_loop_fini(struct rem_loop *loop)
{
    if (loop->base == NULL)
        return;
    rem_loop_free_deferred(loop);
    event_free(loop->tick);
    event_base_free(loop->base);
    loop->base = NULL;
}

void rem_post_init(struct rem_post *post, void (*run)(struct rem_post *post))
{
    rem_list_init(&post->node);
    post->run = run;
}

void rem_loop_post(struct rem_loop *loop, struct rem_post *post)
{
    if (rem_list_empty(&post->node))
        rem_list_append(&loop->posted, &post->node);
}

void rem_post_cancel(struct rem_post *post)
{
    rem_list_remove(&post->node);
}

void rem_loop_defer(struct rem_loop *loop, struct rem_post *post)
{
    if (rem_list_empty(&post->node))
        rem_list_append(&loop->deferred, &post->node);
}

void rem_loop_stop(struct rem_loop *loop)
{
    loop->stopping = true;
}

/* Runs what is on the list now; what that puts on the list waits for the next time. */
static void run_list(struct rem_list *list)
{
    struct rem_list batch;

    if (rem_list_empty(list))
        return;
    rem_list_insert(list, &batch);
    rem_list_remove(list);
    while (!rem_list_empty(&batch)) {
        struct rem_post *post = REM_LIST_ENTRY(batch.next, struct rem_post, node);

        rem_list_remove(&post->node);
        post->run(post);
    }
}

/* libevent's timeout follows the wheel only when the wheel wants to run earlier than it is armed
 * for; waking once too often is cheaper than moving it with every timer. */
static void arm_tick(struct rem_loop *loop)
{
    int64_t wait = rem_timers_next(&loop->timers, loop->clock.mono_ms);
    struct timeval tv;

    if (wait < 0)
        return;
    if (loop->tick_due_ms != 0 && loop->tick_due_ms <= loop->clock.mono_ms + (uint64_t)wait)
        return;
    tv.tv_sec = wait / 1000;
    tv.tv_usec = wait % 1000 * 1000;
    loop->tick_due_ms = loop->clock.mono_ms + (uint64_t)wait;
    if (event_add(loop->tick, &tv) != 0)
        loop->tick_due_ms = 0; /* out of memory: tried again at the end of the next turn */
}

void rem_loop_free_deferred(struct rem_loop *loop)
{
    while (!rem_list_empty(&loop->deferred))
        run_list(&loop->deferred);
}

/* What follows the callbacks of ready connections. */
static void end_turn(struct rem_loop *loop)
{
    rem_timers_run(&loop->timers, loop->clock.mono_ms);
    run_list(&loop->posted);
    rem_loop_free_deferred(loop);
    if (loop->on_turn_end != NULL)
        loop->on_turn_end(loop->turn_data);
}

void rem_loop_run(struct rem_loop *loop)
{
    while (!loop->stopping) {
        int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;

        if (!rem_list_empty(&loop->posted))
            flags |= EVLOOP_NONBLOCK;
        arm_tick(loop);
        loop->awake = false;
        event_base_loop(loop->base, flags);
        rem_loop_enter(loop);
        end_turn(loop);
    }
}
