/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/outlier.h"

#include "proto/shm/reader.h"
#include "tests/unit/proto/shm/fixture.h"

static struct fixture fix;
static struct rem_reader reader;
static struct rem_upstream_ref ref;

static void setup(void)
{
    fix_init(&fix, 1);
    fix_worker(&fix, &reader);
    rem_upstream_ref_init(&ref, REM_STR("app"));
}

static void teardown(void)
{
    rem_reader_quiesce(&reader);
    rem_upstream_ref_fini(&ref);
    fix_fini(&fix);
}

static const struct rem_shm_set *publish(uint32_t count, uint32_t percent)
{
    struct rem_upstream_spec spec = fix_upstream(&fix, "app", 1, count);
    struct rem_commit commit;

    spec.outlier = (struct rem_outlier_spec){.consecutive_5xx = 1,
                                             .interval_ms = 1000,
                                             .base_ejection_ms = 1000,
                                             .max_ejection_ms = 3500,
                                             .max_ejection_percent = percent};
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    return rem_reader_find(&reader, &ref);
}

static struct rem_shm_server_slot *slot_at(const struct rem_shm_set *set, uint32_t index)
{
    return rem_reader_slot(&reader, rem_set_server(set, index));
}

static const struct {
    uint32_t servers, percent, ejected;
} shares[] = {
    {1, 100, 0}, {2, 10, 1},  {2, 100, 2}, {3, 0, 0},   {5, 10, 1},
    {5, 50, 2},  {10, 10, 1}, {25, 10, 2}, {29, 10, 2}, {30, 10, 3},
};

START_TEST(no_more_than_a_share)
{
    const struct rem_shm_set *set = publish(shares[_i].servers, shares[_i].percent);
    uint32_t ejected = 0;

    for (uint32_t i = 0; i < set->count; i++)
        ejected +=
            rem_outlier_eject(set, rem_reader_upstream_slot(&reader, set), slot_at(set, i), 1);
    ck_assert_uint_eq(ejected, shares[_i].ejected);
}
END_TEST

/* Ejects, says for how long, lets in again. */
static uint64_t eject(const struct rem_shm_set *set, uint64_t now_ms)
{
    struct rem_shm_upstream_slot *upstream = rem_reader_upstream_slot(&reader, set);
    struct rem_shm_server_slot *slot = slot_at(set, 0);
    uint64_t until;

    ck_assert(rem_outlier_eject(set, upstream, slot, now_ms));
    until = atomic_load(&slot->ejected_until_ms);
    ck_assert(rem_server_uneject(upstream, slot, until));
    return until - now_ms;
}

/* However often a server was ejected for the longest time, as many quiet intervals as that time has
 * base times bring it back to the shortest. */
START_TEST(grows_and_is_forgotten)
{
    static const uint64_t expected[] = {1000, 2000, 3000, 3500, 3500, 3500, 3500, 3500};
    const struct rem_shm_set *set = publish(2, 10);

    for (size_t i = 0; i < REM_COUNT(expected); i++)
        ck_assert_uint_eq(eject(set, 100 * i), expected[i]);
    rem_outlier_calm(slot_at(set, 0));
    ck_assert_uint_eq(eject(set, 5000), 3000);
    for (int i = 0; i < 4; i++)
        rem_outlier_calm(slot_at(set, 0));
    ck_assert_uint_eq(eject(set, 9000), 1000);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("outlier");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, no_more_than_a_share, 0, REM_COUNT(shares));
    tcase_add_test(tcase, grows_and_is_forgotten);
    return run_suite("outlier", tcase);
}
