/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/codes.h"

#include "tests/unit/proto/shm/fixture.h"

#include <pthread.h>

static uint64_t count_of(const struct rem_codes *codes, uint32_t status)
{
    for (size_t i = 0; i < codes->count; i++)
        if (codes->items[i].status == status)
            return codes->items[i].count;
    return 0;
}

START_TEST(counts_each_code)
{
    static const struct {
        unsigned status;
        int times;
    } seen[] = {{404, 3}, {200, 5}, {204, 2}, {503, 1}, {99, 1}, {600, 1}, {404, 1}};
    struct rem_shm_codes lines[2] = {0};
    struct rem_codes sum = {0};

    for (size_t i = 0; i < REM_COUNT(seen); i++)
        for (int n = 0; n < seen[i].times; n++)
            rem_codes_count(lines, 2, seen[i].status);
    /* a 200 leaves no trace, nor does what is no status */
    ck_assert_uint_eq(atomic_load(&lines[0].entries[3]), 0);
    rem_codes_sum(lines, 2, &sum);
    ck_assert_uint_eq(sum.count, 3);
    rem_codes_finish(&sum, 7);
    ck_assert_uint_eq(sum.count, 4);
    for (size_t i = 1; i < sum.count; i++)
        ck_assert_uint_lt(sum.items[i - 1].status, sum.items[i].status);
    ck_assert_uint_eq(count_of(&sum, 200), 5);
    ck_assert_uint_eq(count_of(&sum, 204), 2);
    ck_assert_uint_eq(count_of(&sum, 404), 4);
    ck_assert_uint_eq(count_of(&sum, 503), 1);
}
END_TEST

START_TEST(what_has_no_room_is_left_out)
{
    struct rem_shm_codes lines[2] = {0};
    struct rem_codes sum = {0}, other = {0};

    for (unsigned status = 400; status < 400 + 3 * REM_SHM_CODES; status++)
        rem_codes_count(lines, 2, status);
    rem_codes_sum(lines, 2, &sum);
    ck_assert_uint_eq(sum.count, 2 * REM_SHM_CODES);
    /* those that are in go on counting, in line and in sum */
    rem_codes_count(lines, 2, 400 + 2 * REM_SHM_CODES - 1);
    rem_codes_sum(lines, 2, &sum);
    ck_assert_uint_eq(count_of(&sum, 400), 2);
    ck_assert_uint_eq(count_of(&sum, 400 + 2 * REM_SHM_CODES - 1), 3);
    rem_codes_sum(lines, 1, &other);
    ck_assert_uint_eq(other.count, REM_SHM_CODES);
}
END_TEST

/* Two workers share a line during a reload. */
static void *count_all(void *data)
{
    struct rem_shm_codes *codes = data;

    for (unsigned i = 0; i < 80000; i++)
        rem_codes_count(codes, 1, 400 + i % REM_SHM_CODES);
    return NULL;
}

START_TEST(two_at_once_lose_nothing)
{
    struct rem_shm_codes codes = {0};
    struct rem_codes sum = {0};
    pthread_t other;

    ck_assert_int_eq(pthread_create(&other, NULL, count_all, &codes), 0);
    count_all(&codes);
    pthread_join(other, NULL);
    rem_codes_sum(&codes, 1, &sum);
    ck_assert_uint_eq(sum.count, REM_SHM_CODES);
    for (size_t i = 0; i < sum.count; i++)
        ck_assert_uint_eq(sum.items[i].count, 2 * 80000 / REM_SHM_CODES);
}
END_TEST

START_TEST(servers_have_codes)
{
    struct fixture fix;
    struct rem_reader reader[2];
    struct rem_upstream_ref ref;
    struct rem_upstream_status status;
    struct rem_arena arena;
    struct rem_pin pin = {0};

    fix_init(&fix, 2);
    rem_arena_init(&arena, NULL);
    fix_put(&fix, "app", 1, 2);
    for (int i = 0; i < 2; i++) {
        fix_worker(&fix, &reader[i]);
        rem_upstream_ref_init(&ref, REM_STR("app"));
        const struct rem_shm_set *set = rem_reader_find(&reader[i], &ref);
        for (unsigned k = 0; k < 10; k++) {
            const struct rem_pin_report report = {.status = k < 7 ? 200 : 404 + (unsigned)i};
            ck_assert_int_eq(rem_pin_take(&reader[i], set, rem_set_server(set, 0), 1, &pin),
                             REM_OK);
            rem_pin_done(&pin, &report, 2);
        }
        rem_reader_quiesce(&reader[i]);
        rem_upstream_ref_fini(&ref);
    }
    status = fix_status(&fix, "app", &arena);
    ck_assert_uint_eq(status.servers[1].code_count, 0);
    ck_assert_uint_eq(status.servers[0].code_count, 3);
    ck_assert(status.servers[0].codes[0].status == 200 && status.servers[0].codes[0].count == 14);
    ck_assert(status.servers[0].codes[1].status == 404 && status.servers[0].codes[1].count == 3);
    ck_assert(status.servers[0].codes[2].status == 405 && status.servers[0].codes[2].count == 3);
    /* a server that comes anew in the same place begins at zero */
    fix_remove(&fix, "app");
    fix_settle(&fix);
    fix_put(&fix, "app", 1, 2);
    ck_assert_uint_eq(fix_status(&fix, "app", &arena).servers[0].code_count, 0);
    rem_arena_reset(&arena);
    fix_fini(&fix);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("codes");

    tcase_add_test(tcase, counts_each_code);
    tcase_add_test(tcase, what_has_no_room_is_left_out);
    tcase_add_test(tcase, two_at_once_lose_nothing);
    tcase_add_test(tcase, servers_have_codes);
    return run_suite("codes", tcase);
}
