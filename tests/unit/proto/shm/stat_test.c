/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/stat.h"

#include "tests/unit/proto/shm/fixture.h"

static struct fixture fix;

static void setup(void)
{
    fix_init(&fix, 2);
}

static void teardown(void)
{
    fix_fini(&fix);
}

static struct rem_stat *open_stat(enum rem_stat_kind kind, const char *name, uint64_t generation)
{
    struct rem_stat *stat = NULL;

    ck_assert_int_eq(rem_stat_open(fix.region.header, kind, rem_str_from(name), generation, &stat),
                     REM_OK);
    return stat;
}

START_TEST(is_found_again_by_kind_and_name)
{
    struct rem_stat *server = open_stat(REM_STAT_SERVER, "web", 1);
    struct rem_stat *location = open_stat(REM_STAT_LOCATION, "web", 1);
    struct rem_stat *limit = open_stat(REM_STAT_LIMIT_REQ, "web", 1);
    struct rem_stat *other, *last = NULL;
    char name[REM_STAT_NAME + 2];
    size_t n = 0;

    ck_assert_ptr_ne(server, location);
    ck_assert_ptr_ne(location, limit);
    ck_assert_ptr_eq(open_stat(REM_STAT_SERVER, "web", 2), server);
    ck_assert_uint_eq(atomic_load(&server->generation), 2);
    ck_assert_uint_eq(atomic_load(&location->generation), 1);
    while ((last = rem_stat_next(fix.region.header, last)) != NULL) {
        ck_assert(rem_str_is(rem_stat_name(last), "web"));
        n++;
    }
    ck_assert_uint_eq(n, 3);
    memset(name, 'n', sizeof(name));
    ck_assert_int_eq(rem_stat_open(fix.region.header, REM_STAT_SERVER,
                                   rem_str_make(name, REM_STAT_NAME + 1), 1, &other),
                     REM_EINVAL);
    ck_assert_int_eq(rem_stat_open(fix.region.header, REM_STAT_SERVER, REM_STR(""), 1, &other),
                     REM_EINVAL);
    ck_assert_int_eq(rem_stat_open(fix.region.header, REM_STAT_SERVER,
                                   rem_str_make(name, REM_STAT_NAME), 1, &other),
                     REM_OK);
    ck_assert_uint_eq(rem_stat_name(other).n, REM_STAT_NAME);
    /* a binary upgrade finds them where they are */
    ck_assert_ptr_eq(open_stat(REM_STAT_LIMIT_REQ, "web", 3), limit);
}
END_TEST

START_TEST(workers_count_on_lines_of_their_own)
{
    struct rem_stat *stat = open_stat(REM_STAT_SERVER, "web", 1);
    struct rem_stat *limits = open_stat(REM_STAT_LIMIT_CONN, "web", 1);
    struct rem_stat *listener = open_stat(REM_STAT_LISTENER, "web", 1);
    struct rem_stat_http sum;
    struct rem_stat_limit limit;
    struct rem_stat_listener listening;

    for (unsigned slot = 0; slot < 3; slot++) {
        struct rem_stat_http_line *line = rem_stat_line(stat, slot);
        struct rem_stat_limit_line *limit_line = rem_stat_line(limits, slot);
        struct rem_stat_listener_line *listener_line = rem_stat_line(listener, slot);

        ck_assert_uint_eq((uintptr_t)line % 64, 0);
        rem_gauge(&line->processing, 1);
        rem_count(&line->requests, slot + 1);
        rem_count(&line->responses[1], 2);
        rem_count(&line->responses[4], 1);
        rem_count(&line->received, 10);
        rem_histogram_count(&line->duration, 3 * slot);
        rem_codes_count(line->codes, REM_STAT_CODE_LINES, 502);
        rem_count(&limit_line->rejected, 1);
        rem_count(&limit_line->passed, 5);
        rem_gauge(&listener_line->active, 4);
        rem_gauge(&listener_line->idle, 1);
        rem_count(&listener_line->rejected[REM_REJECT_PROTOCOL], 1);
    }
    rem_stat_http_sum(stat, &sum);
    ck_assert_int_eq(sum.processing, 3);
    ck_assert_uint_eq(sum.requests, 6);
    ck_assert_uint_eq(sum.responses[1], 6);
    ck_assert_uint_eq(sum.received, 30);
    ck_assert_uint_eq(sum.duration.count, 3);
    ck_assert_uint_eq(sum.duration.sum_ms, 9);
    ck_assert_uint_eq(sum.duration.buckets[0], 1); /* 0 ms */
    ck_assert_uint_eq(sum.duration.buckets[2], 1); /* 3 ms: up to 5 */
    ck_assert_uint_eq(sum.duration.buckets[3], 1); /* 6 ms: up to 10 */
    ck_assert_uint_eq(sum.codes.count, 2);
    ck_assert(sum.codes.items[0].status == 200 && sum.codes.items[0].count == 6);
    ck_assert(sum.codes.items[1].status == 502 && sum.codes.items[1].count == 3);
    rem_stat_limit_sum(limits, &limit);
    ck_assert(limit.passed == 15 && limit.rejected == 3 && limit.delayed == 0);
    rem_stat_listener_sum(listener, &listening);
    ck_assert(listening.active == 12 && listening.idle == 3);
    ck_assert_uint_eq(listening.rejected[REM_REJECT_PROTOCOL], 3);
}
END_TEST

START_TEST(a_dead_workers_gauges_are_zeroed)
{
    struct rem_stat *stat = open_stat(REM_STAT_LOCATION, "web", 1);
    struct rem_stat *listener = open_stat(REM_STAT_LISTENER, "web", 1);
    struct rem_reader dead, alive;
    unsigned slots[2] = {fix_worker(&fix, &dead), fix_worker(&fix, &alive)};
    struct rem_upstream_status status;
    struct rem_stat_listener listening;
    struct rem_stat_http sum;
    struct rem_arena arena;

    fix_put(&fix, "app", 1, 2);
    rem_arena_init(&arena, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct rem_stat_http_line *line = rem_stat_line(stat, slots[i]);
        struct rem_stat_listener_line *listener_line = rem_stat_line(listener, slots[i]);
        struct rem_reader *reader = i == 0 ? &dead : &alive;
        struct rem_upstream_ref ref;

        rem_gauge(&line->processing, 7);
        rem_count(&line->requests, 7);
        rem_gauge(&listener_line->active, 7);
        rem_gauge(&listener_line->idle, 7);
        rem_upstream_ref_init(&ref, REM_STR("app"));
        ck_assert_ptr_ne(rem_reader_find(reader, &ref), NULL);
        atomic_store(&ref.line->requests, 3);
        atomic_store(&ref.line->pending, 3);
        atomic_store(&ref.line->retrying, 3);
        atomic_store(&ref.line->connections, 3);
        rem_histogram_count(&ref.line->request_ms, 20000);
        rem_histogram_count(&ref.line->connect_ms, 1);
        rem_count(&ref.line->retries_by[REM_RETRY_TIMEOUT], 2);
        rem_count(&ref.line->overflows[REM_OVERFLOW_PENDING], 4);
        rem_count(&ref.line->budget_exhausted, 1);
        rem_reader_quiesce(reader);
        rem_upstream_ref_fini(&ref);
    }
    status = fix_status(&fix, "app", &arena);
    ck_assert_int_eq(status.requests, 6);
    rem_region_worker_gone(&fix.region, slots[0]);
    fix_settle(&fix);
    rem_stat_http_sum(stat, &sum);
    ck_assert_int_eq(sum.processing, 7);
    ck_assert_uint_eq(sum.requests, 14); /* counters stay */
    rem_stat_listener_sum(listener, &listening);
    ck_assert(listening.active == 7 && listening.idle == 7);
    status = fix_status(&fix, "app", &arena);
    ck_assert(status.requests == 3 && status.pending == 3 && status.retrying == 3 &&
              status.connections == 3);
    ck_assert_uint_eq(status.retries_by[REM_RETRY_TIMEOUT], 4);
    ck_assert_uint_eq(status.overflows[REM_OVERFLOW_PENDING], 8);
    ck_assert_uint_eq(status.budget_exhausted, 2);
    ck_assert_uint_eq(status.request_ms.buckets[REM_SHM_BUCKETS - 1], 2);
    ck_assert_uint_eq(status.request_ms.sum_ms, 40000);
    ck_assert_uint_eq(status.connect_ms.buckets[0], 2);
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(a_configuration_declares_and_opens_them)
{
    struct rem_stat_spec *list = NULL, *first, *second, *again;
    struct rem_arena arena;
    struct rem_err err;

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_stat_declare(&list, &arena, REM_STAT_SERVER, REM_STR("a"), &first),
                     REM_OK);
    ck_assert_int_eq(rem_stat_declare(&list, &arena, REM_STAT_LOCATION, REM_STR("a"), &second),
                     REM_OK);
    ck_assert_int_eq(rem_stat_declare(&list, &arena, REM_STAT_SERVER, REM_STR("a"), &again),
                     REM_OK);
    ck_assert_ptr_eq(first, again);
    ck_assert_ptr_ne(first, second);
    ck_assert_int_eq(rem_stat_declare(&list, &arena, REM_STAT_SERVER, REM_STR(""), &again),
                     REM_EINVAL);
    ck_assert_int_eq(rem_stats_open(list, fix.region.header, 4, &err), REM_OK);
    ck_assert_ptr_eq(first->stat, open_stat(REM_STAT_SERVER, "a", 4));
    ck_assert_ptr_eq(second->stat, open_stat(REM_STAT_LOCATION, "a", 4));
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(room_comes_to_an_end)
{
    struct rem_stat *stat, *found = NULL;
    struct rem_region region;
    char name[16];
    int n = 0, rc = REM_OK;

    ck_assert_int_eq(rem_region_create(&region, REM_REGION_MIN, 2), REM_OK);
    while (rc == REM_OK) {
        snprintf(name, sizeof(name), "zone%d", n);
        rc = rem_stat_open(region.header, REM_STAT_SERVER, rem_str_from(name), 1, &stat);
        if (rc == REM_OK)
            memset(rem_stat_line(stat, 3), 0xff, sizeof(struct rem_stat_http_line));
        n += rc == REM_OK;
    }
    ck_assert_int_eq(rc, REM_EFULL);
    ck_assert_int_gt(n, 10);
    /* nothing of the registry was touched, and those that are there are still found */
    while ((found = rem_stat_next(region.header, found)) != NULL)
        ck_assert_uint_le((uintptr_t)found + found->size - (uintptr_t)region.header,
                          region.header->data);
    ck_assert_int_eq(rem_stat_open(region.header, REM_STAT_SERVER, REM_STR("zone0"), 2, &stat),
                     REM_OK);
    rem_region_close(&region);
}
END_TEST

START_TEST(buckets_have_inclusive_bounds)
{
    static const struct {
        uint64_t ms;
        unsigned bucket;
    } cases[] = {{0, 0},   {1, 0},   {2, 1},    {3, 2},     {5, 2},      {6, 3},      {100, 6},
                 {101, 7}, {999, 9}, {1000, 9}, {1001, 10}, {10000, 11}, {10001, 12}, {~0u, 12}};

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_shm_histogram histogram = {0};
        rem_histogram_count(&histogram, cases[i].ms);
        ck_assert_msg(atomic_load(&histogram.buckets[cases[i].bucket]) == 1, "%llu ms",
                      (unsigned long long)cases[i].ms);
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("stat");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, is_found_again_by_kind_and_name);
    tcase_add_test(tcase, workers_count_on_lines_of_their_own);
    tcase_add_test(tcase, a_dead_workers_gauges_are_zeroed);
    tcase_add_test(tcase, a_configuration_declares_and_opens_them);
    tcase_add_test(tcase, room_comes_to_an_end);
    tcase_add_test(tcase, buckets_have_inclusive_bounds);
    return run_suite("stat", tcase);
}
