/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/queue.h"

#include "proxy/upstream/pool.h"
#include "proxy/upstream/upstream_conf.h"

enum { LOOK_AGAIN_MS = 10 };

static struct rem_loop *loop_of(const struct rem_upstream_group *group)
{
    return &group->owner->worker->loop;
}

static struct rem_upstream_exchange *first_of(const struct rem_upstream_group *group)
{
    return REM_LIST_ENTRY(group->queue.next, struct rem_upstream_exchange, queue_node);
}

/* Those in front try; the first that has no luck ends it, but for those whose time is up. */
static void serve(struct rem_upstream_group *group)
{
    while (!rem_list_empty(&group->queue)) {
        struct rem_upstream_exchange *x = first_of(group);

        rem_upstream_run(x);
        if (!rem_list_empty(&group->queue) && first_of(group) == x)
            break;
    }
    if (!rem_list_empty(&group->queue))
        rem_timer_set(&loop_of(group)->timers, &group->queue_timer, LOOK_AGAIN_MS);
}

static void on_timer(struct rem_timer *timer)
{
    serve(REM_CONTAINER(timer, struct rem_upstream_group, queue_timer));
}

static void on_wake(struct rem_post *post)
{
    serve(REM_CONTAINER(post, struct rem_upstream_group, queue_wake));
}

void rem_queue_init(struct rem_upstream_group *group)
{
    rem_list_init(&group->queue);
    rem_timer_init(&group->queue_timer, on_timer);
    rem_post_init(&group->queue_wake, on_wake);
}

void rem_queue_fini(struct rem_upstream_group *group)
{
    rem_timer_cancel(&loop_of(group)->timers, &group->queue_timer);
    rem_post_cancel(&group->queue_wake);
}

/* Adds to the registry's gauge, if there still is the upstream that was counted on. */
static void count(struct rem_upstream_exchange *x, int n)
{
    const struct rem_shm_set *set = rem_reader_find(&x->request->worker->reader, &x->group->ref);

    if (set != NULL && n > 0)
        x->queue_uid = set->upstream_uid;
    if (set != NULL && set->upstream_uid == x->queue_uid)
        /* relaxed: see layout.h */
        atomic_fetch_add_explicit(&x->group->ref.line->queued, n, memory_order_relaxed);
}

bool rem_queue_is_behind(const struct rem_upstream_exchange *x)
{
    return x->group->queue_count != 0 && first_of(x->group) != x;
}

bool rem_queue_wait(struct rem_upstream_exchange *x)
{
    struct rem_upstream_group *group = x->group;
    uint64_t now_ms = x->request->worker->loop.clock.mono_ms;

    if (group == NULL || group->conf == NULL || group->conf->queue == 0)
        return false;
    if (x->queue_due_ms != 0)
        return now_ms < x->queue_due_ms;
    if (group->queue_count >= group->conf->queue) {
        rem_upstream_count(&group->ref.line->overflows[REM_OVERFLOW_QUEUE]); /* found by the pick */
        return false;
    }
    x->queue_due_ms = now_ms + group->conf->queue_timeout_ms;
    rem_list_append(&group->queue, &x->queue_node);
    group->queue_count++;
    count(x, 1);
    if (!rem_timer_armed(&group->queue_timer))
        rem_timer_set(&loop_of(group)->timers, &group->queue_timer, LOOK_AGAIN_MS);
    return true;
}

void rem_queue_leave(struct rem_upstream_exchange *x)
{
    if (x->queue_due_ms == 0)
        return;
    x->queue_due_ms = 0;
    rem_list_remove(&x->queue_node);
    x->group->queue_count--;
    count(x, -1);
}

void rem_queue_wake(struct rem_upstream_group *group)
{
    if (REM_UNLIKELY(group->queue_count != 0))
        rem_loop_post(loop_of(group), &group->queue_wake);
}
