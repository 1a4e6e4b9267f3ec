/* SPDX-License-Identifier: Apache-2.0 */
/* timer_test.c - the wheel: never early, hardly late, lazy, and safe against its own callbacks. */
#include "proxy/net/timer.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

struct probe {
    struct rem_timer timer;
    uint64_t fired_ms; /* 0: not yet */
    int count;
    struct rem_timers *timers;
    struct rem_timer *victim; /* cancelled by fire */
    uint64_t again_ms;        /* set again by fire */
};

static void on_fire(struct rem_timer *timer)
{
    struct probe *p = REM_CONTAINER(timer, struct probe, timer);

    p->fired_ms = p->timers->now_ms;
    p->count++;
    if (p->victim != NULL)
        rem_timer_cancel(p->timers, p->victim);
    if (p->again_ms != 0)
        rem_timer_set(p->timers, timer, p->again_ms);
}

static void probe_init(struct probe *p, struct rem_timers *timers)
{
    *p = (struct probe){.timers = timers};
    rem_timer_init(&p->timer, on_fire);
}

/* Turns as the loop does: sleeps for as long as the wheel says, or `step` if that is less. */
static void run_until(struct rem_timers *timers, uint64_t end, uint64_t step)
{
    while (timers->now_ms < end) {
        int64_t next = rem_timers_next(timers, timers->now_ms);
        uint64_t to = timers->now_ms + step;

        if (next >= 0 && timers->now_ms + (uint64_t)next < to)
            to = timers->now_ms + (uint64_t)(next > 0 ? next : 1);
        rem_timers_run(timers, to < end ? to : end);
    }
}

static const struct {
    uint64_t start, delay;
} delays[] = {
    {1000, 0},      {1000, 1},        {1000, 3},        {1000, 4},         {1003, 5},
    {1000, 255},    {1000, 256},      {1001, 257},      {1000, 1000},      {1020, 16383},
    {1000, 16384},  {1000, 16385},    {999, 65000},     {1000, 1048575},   {1000, 1048576},
    {77, 3600000},  {4095, 67108863}, {4096, 67108864}, {1234, 100000000}, {0, 300000000},
    {16383, 60000}, {16384, 60000},   {16380, 4},       {1048572, 8},      {67108860, 75000},
};

START_TEST(fires_in_time)
{
    static struct rem_timers timers;
    struct probe p;
    uint64_t due = delays[_i].start + delays[_i].delay;

    rem_timers_init(&timers, delays[_i].start);
    probe_init(&p, &timers);
    rem_timer_set(&timers, &p.timer, delays[_i].delay);
    ck_assert(rem_timer_armed(&p.timer));
    run_until(&timers, due + 20, UINT64_MAX / 4);
    ck_assert_int_eq(p.count, 1);
    ck_assert_uint_ge(p.fired_ms, due);
    ck_assert_uint_le(p.fired_ms, due + 2 * REM_TIMER_TICK_MS);
    ck_assert(!rem_timer_armed(&p.timer));
    ck_assert_int_eq(rem_timers_next(&timers, timers.now_ms), -1);
}
END_TEST

/* Against a plain model: many timers, set, moved and cancelled at random. */
START_TEST(agrees_with_a_model)
{
    enum { N = 300, ROUNDS = 4000 };
    static struct rem_timers timers;
    static struct probe p[N];
    static uint64_t due[N]; /* 0: not armed */
    unsigned seed = (unsigned)_i + 1;

    rem_timers_init(&timers, 5000);
    for (int i = 0; i < N; i++) {
        probe_init(&p[i], &timers);
        due[i] = 0;
    }
    for (int round = 0; round < ROUNDS; round++) {
        int i = rand_r(&seed) % N;
        unsigned what = (unsigned)rand_r(&seed) % 4;
        uint64_t before = timers.now_ms;

        if (what == 0) {
            rem_timer_cancel(&timers, &p[i].timer);
            due[i] = 0;
        } else if (what < 3) {
            uint64_t delay = (uint64_t)rand_r(&seed) % (1u << (rand_r(&seed) % 20));

            rem_timer_set(&timers, &p[i].timer, delay);
            due[i] = timers.now_ms + delay;
        } else {
            rem_timers_run(&timers, before + (uint64_t)rand_r(&seed) % 700);
        }
        for (int k = 0; k < N; k++) {
            bool fired = p[k].count != 0;
            bool early = fired && (due[k] == 0 || due[k] > timers.now_ms);
            bool late = !fired && what == 3 && due[k] > before &&
                        due[k] + REM_TIMER_TICK_MS <= timers.now_ms;

            if (fired) {
                due[k] = early ? due[k] : 0;
                p[k].count = 0;
            }
            /* one assertion for all: each costs a system call */
            if (early || late || (rem_timer_armed(&p[k].timer) != 0) != (due[k] != 0))
                ck_abort_msg("timer %d: early %d late %d, due %lu now %lu", k, early, late,
                             (unsigned long)due[k], (unsigned long)timers.now_ms);
        }
    }
}
END_TEST

START_TEST(moving_later_only_stores)
{
    static struct rem_timers timers;
    struct probe p;
    uint64_t slot;

    rem_timers_init(&timers, 1000);
    probe_init(&p, &timers);
    rem_timer_set(&timers, &p.timer, 60);
    slot = p.timer.slot_ms;
    rem_timer_set(&timers, &p.timer, 60000);
    ck_assert_uint_eq(p.timer.slot_ms, slot); /* not moved in the wheel */
    rem_timers_run(&timers, 1100);
    ck_assert_int_eq(p.count, 0);
    ck_assert_uint_gt(p.timer.slot_ms, slot);
    rem_timer_set(&timers, &p.timer, 8); /* earlier than it sits: moved */
    rem_timers_run(&timers, 1107);
    ck_assert_int_eq(p.count, 0);
    rem_timers_run(&timers, 1112);
    ck_assert_int_eq(p.count, 1);
}
END_TEST

START_TEST(callbacks_may_cancel_and_set)
{
    static struct rem_timers timers;
    struct probe a, b, c;

    rem_timers_init(&timers, 1000);
    probe_init(&a, &timers);
    probe_init(&b, &timers);
    probe_init(&c, &timers);
    rem_timer_set(&timers, &a.timer, 40);
    rem_timer_set(&timers, &b.timer, 40);
    rem_timer_set(&timers, &c.timer, 40);
    a.victim = &b.timer; /* due in the same slot */
    c.again_ms = 40;
    rem_timers_run(&timers, 1044);
    ck_assert_int_eq(a.count, 1);
    ck_assert_int_eq(b.count, 0);
    ck_assert_int_eq(c.count, 1);
    ck_assert(!rem_timer_armed(&b.timer));
    rem_timers_run(&timers, 1092);
    ck_assert_int_eq(c.count, 2);
    rem_timer_cancel(&timers, &c.timer);
    rem_timer_cancel(&timers, &c.timer); /* twice does no harm */
    ck_assert_uint_eq(timers.count, 0);
    ck_assert_int_eq(rem_timers_next(&timers, timers.now_ms), -1);
}
END_TEST

START_TEST(cancelling_leaves_nothing_to_wake_for)
{
    static struct rem_timers timers;
    struct probe a, b;

    rem_timers_init(&timers, 1000);
    probe_init(&a, &timers);
    probe_init(&b, &timers);
    rem_timer_set(&timers, &a.timer, 20);
    rem_timer_set(&timers, &b.timer, 5000);
    rem_timer_cancel(&timers, &a.timer);
    ck_assert_int_gt(rem_timers_next(&timers, 1000), 1000);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("wheel");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, fires_in_time, 0, (int)REM_COUNT(delays));
    tcase_add_loop_test(t, agrees_with_a_model, 0, 5);
    tcase_add_test(t, moving_later_only_stores);
    tcase_add_test(t, callbacks_may_cancel_and_set);
    tcase_add_test(t, cancelling_leaves_nothing_to_wake_for);
    return run_suite("timer", t);
}
