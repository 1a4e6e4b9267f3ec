/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/zone.h"

#include "proto/shm/zone_layout.h"

#include "tests/unit/suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* One configuration. */
struct conf {
    struct rem_arena arena;
    struct rem_zone *list;
    struct rem_zone *zone;
};

static const struct rem_zone usual = {
    .name = {"one", 3},
    .tag = {"$key", 4},
    .kind = REM_ZONE_LIMIT_REQ,
    .size = 1 << 20,
    .value_size = 24,
};

static void declare(struct conf *conf, const struct rem_zone *spec)
{
    memset(conf, 0, sizeof(*conf));
    rem_arena_init(&conf->arena, NULL);
    ck_assert_int_eq(rem_zone_declare(&conf->list, &conf->arena, spec, &conf->zone), 0);
}

static void start(struct conf *conf, const struct rem_zone *spec)
{
    declare(conf, spec);
    ck_assert_int_eq(rem_zones_open(conf->list, NULL, NULL), 0);
}

static void stop(struct conf *conf)
{
    rem_arena_reset(&conf->arena);
}

/* Adds to the number under a key; a new key may need room.  Returns: the new number, 0 without. */
static uint64_t bump(struct rem_zone *zone, struct rem_str key, uint64_t now_ms, bool evict)
{
    struct rem_zone_hold hold;
    uint64_t *value, n = 0;

    rem_zone_lock(zone, key, &hold);
    value = rem_zone_get(&hold);
    if (value != NULL)
        rem_zone_touch(&hold, value, now_ms);
    else
        value = rem_zone_put(&hold, now_ms);
    while (value == NULL && evict && rem_zone_evict(&hold))
        value = rem_zone_put(&hold, now_ms);
    if (value != NULL)
        n = ++*value;
    rem_zone_unlock(&hold);
    return n;
}

static uint64_t look(struct rem_zone *zone, struct rem_str key)
{
    struct rem_zone_hold hold;
    uint64_t *value, n;

    rem_zone_lock(zone, key, &hold);
    value = rem_zone_get(&hold);
    n = value != NULL ? *value : 0;
    rem_zone_unlock(&hold);
    return n;
}

START_TEST(test_declare_refuses)
{
    struct conf conf;
    struct rem_zone spec = usual, *out = NULL;

    declare(&conf, &usual);
    spec.kind = REM_ZONE_LIMIT_CONN;
    ck_assert_int_eq(rem_zone_declare(&conf.list, &conf.arena, &spec, &out), REM_EEXIST);
    spec.name = REM_STR("two");
    spec.size = REM_ZONE_SIZE_MIN - 1;
    ck_assert_int_eq(rem_zone_declare(&conf.list, &conf.arena, &spec, &out), REM_EINVAL);
    spec.size = SIZE_MAX;
    ck_assert_int_eq(rem_zone_declare(&conf.list, &conf.arena, &spec, &out), REM_EINVAL);
    ck_assert_ptr_null(out);
    ck_assert_ptr_eq(rem_zone_find(conf.list, REM_STR("one")), conf.zone);
    ck_assert_ptr_null(rem_zone_find(conf.list, REM_STR("two")));
    stop(&conf);
}
END_TEST

/* Keys of every length around the borders between chunks, all different and all found again. */
START_TEST(test_keys_of_all_lengths)
{
    static const size_t lengths[] = {0, 1, 7, 8, 9, 63, 64, 65, 120, 121, 1000, REM_ZONE_KEY_MAX};
    static char bytes[REM_ZONE_KEY_MAX];
    struct rem_zone_stats stats;
    struct conf conf;

    memset(bytes, 'k', sizeof(bytes));
    start(&conf, &usual);
    for (unsigned round = 1; round <= 3; round++) {
        for (size_t i = 0; i < REM_COUNT(lengths) - 1; i++)
            ck_assert_uint_eq(bump(conf.zone, rem_str_make(bytes, lengths[i]), 1, false), round);
    }
    /* Longer than a shard has chunks for: refused, and all that was tried is given back. */
    rem_zone_peek(conf.zone, &stats);
    ck_assert_uint_eq(stats.entries, REM_COUNT(lengths) - 1);
    ck_assert_uint_eq(bump(conf.zone, rem_str_make(bytes, REM_ZONE_KEY_MAX), 1, false), 0);
    {
        struct rem_zone_stats after;

        rem_zone_peek(conf.zone, &after);
        ck_assert_uint_eq(after.used, stats.used);
        ck_assert_uint_eq(after.refused, 1);
    }
    /* One byte differs, in each chunk the key lies in. */
    for (size_t at = 0; at < 121; at += 40) {
        bytes[at] = 'x';
        ck_assert_uint_eq(look(conf.zone, rem_str_make(bytes, 121)), 0);
        bytes[at] = 'k';
    }
    ck_assert_uint_eq(look(conf.zone, rem_str_make(bytes, 121)), 3);
    stop(&conf);
}
END_TEST

/* However many keys come, the zone neither grows nor loses count of its chunks. */
START_TEST(test_full_zone_forgets_the_oldest)
{
    struct rem_zone spec = usual;
    struct rem_zone_stats stats;
    struct conf conf;
    char key[16];

    spec.size = REM_ZONE_SIZE_MIN; /* one shard, so that "oldest" is of all */
    start(&conf, &spec);
    rem_zone_peek(conf.zone, &stats);
    ck_assert_uint_ge(stats.chunks, 400);
    for (unsigned i = 0; i < stats.chunks + 100; i++) {
        int n = snprintf(key, sizeof(key), "%u", i);

        ck_assert_uint_eq(bump(conf.zone, rem_str_make(key, (size_t)n), i, true), 1);
        ck_assert_uint_ge(bump(conf.zone, REM_STR("0"), i, true), 1); /* in use, so never old */
    }
    rem_zone_peek(conf.zone, &stats);
    ck_assert_uint_eq(stats.entries, stats.chunks);
    ck_assert_uint_eq(stats.used, stats.chunks);
    ck_assert_uint_eq(stats.evicted, 100);
    ck_assert_uint_eq(stats.asked, stats.chunks + 100 + 100); /* those refused were asked again */
    ck_assert_uint_eq(look(conf.zone, REM_STR("0")), stats.chunks + 101);
    ck_assert_uint_eq(look(conf.zone, REM_STR("100")), 0);
    ck_assert_uint_eq(look(conf.zone, REM_STR("101")), 1);
    stop(&conf);
}
END_TEST

START_TEST(test_full_zone_refuses)
{
    struct rem_zone spec = usual;
    struct rem_zone_stats stats;
    struct rem_zone_hold hold;
    struct conf conf;
    unsigned i = 0;
    char key[16];
    int n;

    spec.size = REM_ZONE_SIZE_MIN;
    start(&conf, &spec);
    do {
        n = snprintf(key, sizeof(key), "%u", i++);
    } while (bump(conf.zone, rem_str_make(key, (size_t)n), 1, false) != 0);
    rem_zone_peek(conf.zone, &stats);
    ck_assert_uint_eq(stats.entries, i - 1);
    ck_assert_uint_eq(stats.refused, 1);
    rem_zone_lock(conf.zone, REM_STR("7"), &hold);
    rem_zone_remove(&hold, rem_zone_get(&hold));
    ck_assert_ptr_null(rem_zone_get(&hold));
    rem_zone_unlock(&hold);
    ck_assert_uint_eq(bump(conf.zone, rem_str_make(key, (size_t)n), 1, false), 1);
    stop(&conf);
}
END_TEST

static bool keep_even(void *data, void *value)
{
    ++*(int *)data;
    return *(uint64_t *)value % 2 == 0;
}

START_TEST(test_each_removes)
{
    struct rem_zone_stats stats;
    struct conf conf;
    int visited = 0;

    start(&conf, &usual);
    for (unsigned i = 0; i < 100; i++) {
        struct rem_str key = rem_str_make((const char *)&i, sizeof(i));

        for (unsigned k = 0; k <= i % 4; k++)
            bump(conf.zone, key, 1, false);
    }
    rem_zone_each(conf.zone, keep_even, &visited);
    ck_assert_int_eq(visited, 100);
    rem_zone_peek(conf.zone, &stats);
    ck_assert_uint_eq(stats.entries, 50);
    ck_assert_uint_eq(stats.used, 50);
    stop(&conf);
}
END_TEST

/* What a reload keeps: the same name, kind, size and tag. */
START_TEST(test_reload)
{
    struct rem_zone specs[6];
    struct conf old;

    start(&old, &usual);
    bump(old.zone, REM_STR("a"), 1, false);
    for (size_t i = 0; i < REM_COUNT(specs); i++)
        specs[i] = usual;
    specs[1].name = REM_STR("two");
    specs[2].kind = REM_ZONE_LIMIT_CONN;
    specs[3].size *= 2;
    specs[4].tag = REM_STR("$other");
    specs[5].value_size = 16;
    for (size_t i = 0; i < REM_COUNT(specs); i++) {
        struct conf next;

        declare(&next, &specs[i]);
        ck_assert_int_eq(rem_zones_open(next.list, old.list, NULL), 0);
        ck_assert_msg(look(next.zone, REM_STR("a")) == (i == 0 ? 1u : 0u), "spec %zu", i);
        stop(&next); /* the reload failed later on: the former zone lives */
        ck_assert_uint_eq(look(old.zone, REM_STR("a")), 1);
    }
    {
        struct conf next;

        declare(&next, &usual);
        ck_assert_int_eq(rem_zones_open(next.list, old.list, NULL), 0);
        stop(&old);
        ck_assert_uint_eq(bump(next.zone, REM_STR("a"), 2, false), 2);
        stop(&next);
    }
}
END_TEST

/* ---- several processes ---- */

static pid_t spawn(void (*run)(struct rem_zone *zone, int fd), struct rem_zone *zone, int fd)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        run(zone, fd);
        _exit(0);
    }
    return pid;
}

enum { WRITERS = 4, ROUNDS = 20000, KEYS = 50 };

static void write_much(struct rem_zone *zone, int fd)
{
    (void)fd;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned key = i % KEYS;

        if (bump(zone, rem_str_make((const char *)&key, sizeof(key)), i, false) == 0)
            _exit(1);
    }
}

START_TEST(test_processes_lose_no_count)
{
    struct conf conf;
    pid_t pids[WRITERS];
    int status;

    start(&conf, &usual);
    for (int i = 0; i < WRITERS; i++)
        pids[i] = spawn(write_much, conf.zone, -1);
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    for (unsigned key = 0; key < KEYS; key++)
        ck_assert_uint_eq(look(conf.zone, rem_str_make((const char *)&key, sizeof(key))),
                          WRITERS * ROUNDS / KEYS);
    stop(&conf);
}
END_TEST

/* Takes the lock of "held", breaks the shard and says so; never lets go. */
static void hold_for_ever(struct rem_zone *zone, int fd)
{
    struct rem_zone_hold hold;

    rem_zone_lock(zone, REM_STR("held"), &hold);
    hold.shard->oldest = 0xdeadbeef;
    hold.shard->free = 0xdeadbeef;
    if (write(fd, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

START_TEST(test_killed_with_the_lock)
{
    struct rem_zone_stats before, after;
    struct conf conf;
    unsigned lost = 0;
    int pipes[2];
    char byte;
    pid_t pid;

    start(&conf, &usual);
    for (unsigned i = 0; i < 1000; i++)
        bump(conf.zone, rem_str_make((const char *)&i, sizeof(i)), 1, false);
    bump(conf.zone, REM_STR("held"), 1, false);
    rem_zone_peek(conf.zone, &before);
    ck_assert_int_eq(pipe(pipes), 0);
    pid = spawn(hold_for_ever, conf.zone, pipes[1]);
    ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);

    /* Nobody hangs, the shard is empty and works, the others are as they were. */
    ck_assert_uint_eq(look(conf.zone, REM_STR("held")), 0);
    rem_zone_peek(conf.zone, &after);
    ck_assert_uint_eq(after.recovered, 1);
    for (unsigned i = 0; i < 1000; i++)
        lost += look(conf.zone, rem_str_make((const char *)&i, sizeof(i))) == 0;
    ck_assert_uint_eq(after.entries, before.entries - lost - 1);
    ck_assert_uint_lt(lost, 200); /* a sixteenth of them, more or less */
    ck_assert_uint_eq(bump(conf.zone, REM_STR("held"), 1, false), 1);
    close(pipes[0]);
    close(pipes[1]);
    stop(&conf);
}
END_TEST

static void write_for_ever(struct rem_zone *zone, int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(1);
    for (unsigned i = 0;; i++) {
        unsigned key = i * 2654435761u >> 20;

        bump(zone, rem_str_make((const char *)&key, sizeof(key)), i, true);
    }
}

static bool count_one(void *data, void *value)
{
    (void)value;
    ++*(uint64_t *)data;
    return true;
}

/* Killed at any instruction, over and over, in a zone so small that it always evicts. */
START_TEST(test_killed_anywhere)
{
    struct rem_zone spec = usual;
    struct rem_zone_stats stats;
    struct conf conf;
    uint64_t found = 0;
    int pipes[2];
    char byte;

    spec.size = REM_ZONE_SIZE_MIN;
    start(&conf, &spec);
    ck_assert_int_eq(pipe(pipes), 0);
    for (int i = 0; i < 500; i++) {
        pid_t pid = spawn(write_for_ever, conf.zone, pipes[1]);

        ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
        for (unsigned k = 0; k < 200; k++)
            bump(conf.zone, rem_str_make((const char *)&k, sizeof(k)), k, true);
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    }
    rem_zone_each(conf.zone, count_one, &found);
    rem_zone_peek(conf.zone, &stats);
    ck_assert_uint_eq(found, stats.entries);
    ck_assert_uint_eq(stats.used, stats.entries); /* short keys: a chunk each */
    close(pipes[0]);
    close(pipes[1]);
    stop(&conf);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("zone");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_declare_refuses);
    tcase_add_test(tests, test_keys_of_all_lengths);
    tcase_add_test(tests, test_full_zone_forgets_the_oldest);
    tcase_add_test(tests, test_full_zone_refuses);
    tcase_add_test(tests, test_each_removes);
    tcase_add_test(tests, test_reload);
    tcase_add_test(tests, test_processes_lose_no_count);
    tcase_add_test(tests, test_killed_with_the_lock);
    tcase_add_test(tests, test_killed_anywhere);
    return run_suite("zone", tests);
}
