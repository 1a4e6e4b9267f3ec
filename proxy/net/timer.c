/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/timer.h"

#include "proto/base/err.h"

/* Level l counts in units of 64^l ticks.  A timer lies on the lowest level that reaches its moment;
 * when the wheel comes to a slot of a higher level, the slot's timers move down.  Moments beyond
 * the highest level wait in its farthest slot and are placed again from there. */
enum { BITS = 6, MASK = REM_TIMER_SLOTS - 1 };

_Static_assert(1 << BITS == REM_TIMER_SLOTS, "a slot per bit of `occupied`");

static uint64_t tick_of_due(uint64_t due_ms)
{
    return (due_ms + REM_TIMER_TICK_MS - 1) / REM_TIMER_TICK_MS;
}

void rem_timers_init(struct rem_timers *timers, uint64_t now_ms)
{
    *timers = (struct rem_timers){.now_ms = now_ms, .tick = now_ms / REM_TIMER_TICK_MS};
    for (int level = 0; level < REM_TIMER_LEVELS; level++)
        for (int i = 0; i < REM_TIMER_SLOTS; i++)
            rem_list_init(&timers->slot[level][i]);
}

void rem_timer_init(struct rem_timer *timer, rem_timer_fn fire)
{
    *timer = (struct rem_timer){.fire = fire};
    rem_list_init(&timer->node);
}

/* Puts an unlinked timer where its due_ms wants it; `tick` is the earliest that may be used. */
static void place(struct rem_timers *timers, struct rem_timer *timer, uint64_t earliest)
{
    uint64_t tick = tick_of_due(timer->due_ms);
    uint64_t reach = (uint64_t)1 << BITS;
    int level = 0;
    unsigned index;

    if (tick < earliest)
        tick = earliest;
    while (tick - timers->tick >= reach && level < REM_TIMER_LEVELS - 1) {
        level++;
        reach <<= BITS;
    }
    if (tick - timers->tick >= reach)
        tick = timers->tick + reach - 1;
    timer->slot_ms = tick * REM_TIMER_TICK_MS;
    index = (unsigned)(tick >> (BITS * level)) & MASK;
    rem_list_append(&timers->slot[level][index], &timer->node);
    timers->occupied[level] |= (uint64_t)1 << index;
}

/* Takes a timer off its slot, and the slot's bit with the last one.  While timers fire they hang on
 * a local list, whose head is no slot. */
static void unlink_timer(struct rem_timers *timers, struct rem_timer *timer)
{
    struct rem_list *head = timer->node.next;
    uintptr_t first = (uintptr_t)&timers->slot[0][0];
    uintptr_t offset = (uintptr_t)head - first;

    rem_list_remove(&timer->node);
    if ((uintptr_t)head >= first && offset < sizeof(timers->slot) && rem_list_empty(head)) {
        size_t n = offset / sizeof(struct rem_list);

        timers->occupied[n / REM_TIMER_SLOTS] &= ~((uint64_t)1 << (n % REM_TIMER_SLOTS));
    }
}

void rem_timer_set(struct rem_timers *timers, struct rem_timer *timer, uint64_t delay_ms)
{
    uint64_t due = timers->now_ms + delay_ms;

    if (timer->due_ms != 0) {
        if (timer->slot_ms < due + REM_TIMER_TICK_MS) {
            timer->due_ms = due;
            return;
        }
        unlink_timer(timers, timer);
    } else {
        timers->count++;
    }
    timer->due_ms = due != 0 ? due : 1;
    place(timers, timer, timers->tick + 1);
}

void rem_timer_cancel(struct rem_timers *timers, struct rem_timer *timer)
{
    if (timer->due_ms == 0)
        return;
    unlink_timer(timers, timer);
    timer->due_ms = 0;
    timers->count--;
}

/* Moves all of a slot to `to`. */
static void take_slot(struct rem_timers *timers, int level, unsigned index, struct rem_list *to)
{
    struct rem_list *head = &timers->slot[level][index];

    rem_list_init(to);
    timers->occupied[level] &= ~((uint64_t)1 << index);
    if (rem_list_empty(head))
        return;
    rem_list_insert(head, to);
    rem_list_remove(head);
}

/* The wheel has come to a slot of a higher level: its timers find their places again. */
static void move_down(struct rem_timers *timers, int level)
{
    struct rem_list list;

    take_slot(timers, level, (unsigned)(timers->tick >> (BITS * level)) & MASK, &list);
    while (!rem_list_empty(&list)) {
        struct rem_timer *timer = REM_LIST_ENTRY(list.next, struct rem_timer, node);

        rem_list_remove(&timer->node);
        place(timers, timer, timers->tick);
    }
}

static void fire_slot(struct rem_timers *timers)
{
    struct rem_list list;

    take_slot(timers, 0, (unsigned)timers->tick & MASK, &list);
    while (!rem_list_empty(&list)) {
        struct rem_timer *timer = REM_LIST_ENTRY(list.next, struct rem_timer, node);

        rem_list_remove(&timer->node);
        if (tick_of_due(timer->due_ms) > timers->tick) { /* set again meanwhile, for later */
            place(timers, timer, timers->tick + 1);
            continue;
        }
        timer->due_ms = 0;
        timers->count--;
        timer->fire(timer);
    }
}

/* The next tick at which an occupied slot of any level has its turn; UINT64_MAX: none. */
static uint64_t next_tick(const struct rem_timers *timers)
{
    uint64_t best = UINT64_MAX;

    for (int level = 0; level < REM_TIMER_LEVELS; level++) {
        uint64_t bits = timers->occupied[level];
        uint64_t at = timers->tick >> (BITS * level);
        unsigned from = (unsigned)(at + 1) & MASK;
        uint64_t tick;

        if (bits == 0)
            continue;
        if (from != 0)
            bits = bits >> from | bits << (REM_TIMER_SLOTS - from);
        tick = (at + 1 + (unsigned)__builtin_ctzll(bits)) << (BITS * level);
        if (tick < best)
            best = tick;
    }
    return best;
}

void rem_timers_run(struct rem_timers *timers, uint64_t now_ms)
{
    uint64_t target = now_ms / REM_TIMER_TICK_MS;

    timers->now_ms = now_ms;
    for (uint64_t tick = next_tick(timers); tick <= target; tick = next_tick(timers)) {
        timers->tick = tick;
        for (int level = REM_TIMER_LEVELS - 1; level > 0; level--)
            if ((tick & (((uint64_t)1 << (BITS * level)) - 1)) == 0)
                move_down(timers, level);
        fire_slot(timers);
    }
    if (timers->tick < target)
        timers->tick = target;
}

int64_t rem_timers_next(const struct rem_timers *timers, uint64_t now_ms)
{
    uint64_t tick = next_tick(timers);
    uint64_t at;

    if (timers->count == 0 || tick == UINT64_MAX)
        return -1;
    at = tick * REM_TIMER_TICK_MS;
    return at > now_ms ? (int64_t)(at - now_ms) : 0;
}
