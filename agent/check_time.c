/* SPDX-License-Identifier: Apache-2.0 */
/* check_time.c - when checks begin and when they are given up: two heaps and one timer. */
#include "agent/check_priv.h"

#include <event2/event.h>
#include <stdlib.h>

/* ---- heaps ---- */

static void place(struct rem_check_heap *heap, size_t at, struct rem_check *check)
{
    heap->v[at] = check;
    check->at = (uint32_t)at;
}

static void sift_up(struct rem_check_heap *heap, size_t at, struct rem_check *check)
{
    while (at > 0 && heap->v[(at - 1) / 2]->due_ms > check->due_ms) {
        place(heap, at, heap->v[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(heap, at, check);
}

static void sift_down(struct rem_check_heap *heap, size_t at, struct rem_check *check)
{
    size_t child;

    while ((child = 2 * at + 1) < heap->n) {
        if (child + 1 < heap->n && heap->v[child + 1]->due_ms < heap->v[child]->due_ms)
            child++;
        if (heap->v[child]->due_ms >= check->due_ms)
            break;
        place(heap, at, heap->v[child]);
        at = child;
    }
    place(heap, at, check);
}

static void heap_add(struct rem_check_heap *heap, struct rem_check *check)
{
    REM_CHECK(heap->n < heap->room);
    sift_up(heap, heap->n++, check);
}

static void heap_remove(struct rem_check_heap *heap, struct rem_check *check)
{
    size_t at = check->at;
    struct rem_check *last = heap->v[--heap->n];

    REM_CHECK(heap->v[at] == check || last == check);
    check->at = REM_CHECK_NOWHERE;
    if (last == check)
        return;
    if (at > 0 && heap->v[(at - 1) / 2]->due_ms > last->due_ms)
        sift_up(heap, at, last);
    else
        sift_down(heap, at, last);
}

static int heap_reserve(struct rem_check_heap *heap, size_t n)
{
    size_t room = heap->room != 0 ? heap->room : 16;
    struct rem_check **grown;

    if (n <= heap->room)
        return REM_OK;
    while (room < n)
        room *= 2;
    grown = reallocarray(heap->v, room, sizeof(*grown));
    if (grown == NULL)
        return REM_ENOMEM;
    heap->v = grown;
    heap->room = room;
    return REM_OK;
}

int rem_check_reserve(struct rem_checks_io *io, size_t n)
{
    int rc = heap_reserve(&io->starts, n);

    return rc != REM_OK ? rc : heap_reserve(&io->deadlines, n);
}

/* ---- waiting ---- */

void rem_check_unwait(struct rem_checks_io *io, struct rem_check *check)
{
    if (check->at != REM_CHECK_NOWHERE)
        heap_remove(check->running ? &io->deadlines : &io->starts, check);
}

void rem_check_wait(struct rem_checks_io *io, struct rem_check *check, uint64_t due_ms)
{
    rem_check_unwait(io, check);
    check->due_ms = due_ms;
    heap_add(check->running ? &io->deadlines : &io->starts, check);
}

static uint64_t next_random(struct rem_checks_io *io)
{
    io->random ^= io->random << 13;
    io->random ^= io->random >> 7;
    io->random ^= io->random << 17;
    return io->random;
}

/* Each place is as far as can be from those given before it: steps of the golden section. */
uint64_t rem_check_phase(struct rem_checks_io *io, uint32_t interval_ms)
{
    uint32_t part = io->sequence++ * UINT32_C(2654435769);

    return (uint64_t)interval_ms * part >> 32;
}

/* A turn that has been missed is left out, so that checks do not drift towards each other. */
void rem_check_end(struct rem_checks_io *io, struct rem_check *check)
{
    uint64_t now = io->owner->clock->mono_ms, interval = check->spec->interval_ms;
    uint64_t jitter = check->spec->jitter_ms;

    rem_check_unwait(io, check);
    check->running = false;
    if (check->turn_ms <= now)
        check->turn_ms += (now - check->turn_ms) / interval * interval + interval;
    rem_check_wait(io, check, check->turn_ms + (jitter != 0 ? next_random(io) % (jitter + 1) : 0));
}

/* ---- the timer ---- */

static uint64_t next_due(const struct rem_checks_io *io)
{
    uint64_t due = UINT64_MAX;

    if (io->starts.n != 0 && !io->full)
        due = io->starts.v[0]->due_ms;
    if (io->deadlines.n != 0 && io->deadlines.v[0]->due_ms < due)
        due = io->deadlines.v[0]->due_ms;
    return due;
}

void rem_check_arm(struct rem_checks_io *io)
{
    uint64_t now = io->owner->clock->mono_ms, due = next_due(io);
    struct timeval tv;

    if (due == UINT64_MAX)
        return;
    if (due <= now)
        due = now + 1;
    due = (due + REM_CHECK_SLACK_MS - 1) / REM_CHECK_SLACK_MS * REM_CHECK_SLACK_MS;
    if (io->armed_ms != 0 && io->armed_ms <= due)
        return;
    io->armed_ms = due;
    tv = (struct timeval){(time_t)((due - now) / 1000), (suseconds_t)((due - now) % 1000 * 1000)};
    (void)evtimer_add(io->timer, &tv);
}

static void start_due(struct rem_checks_io *io, uint64_t now)
{
    for (int n = 0; n < REM_CHECK_STARTS_MAX && io->starts.n != 0 && !io->full; n++) {
        struct rem_check *check = io->starts.v[0];

        if (check->due_ms > now)
            return;
        io->full = !rem_check_begin(io, check);
    }
}

void rem_check_on_timer(int fd, short what, void *data)
{
    struct rem_checks_io *io = data;
    uint64_t now;

    (void)fd;
    (void)what;
    rem_clock_update(io->owner->clock);
    io->armed_ms = 0;
    rem_checks_sync(io->owner);
    now = io->owner->clock->mono_ms;
    while (io->deadlines.n != 0 && io->deadlines.v[0]->due_ms <= now)
        rem_check_expire(io, io->deadlines.v[0]);
    rem_check_bury(io);
    start_due(io, now);
    rem_check_arm(io);
}
