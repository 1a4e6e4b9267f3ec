/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/health.h"

#include "tests/unit/proto/shm/fixture.h"

#define U  REM_HEALTH_UNKNOWN
#define UP REM_HEALTH_UP
#define C  REM_HEALTH_CHECKING
#define D  REM_HEALTH_DOWN

static struct rem_shm_server_slot *slot_of(const struct fixture *fix, uint32_t index)
{
    const struct rem_shm_set *set = rem_health_set(fix->writer, REM_STR("a"));

    ck_assert_ptr_nonnull(set);
    return rem_health_slot(fix->writer, rem_set_server(set, index));
}

/* One state after another, 100 ms apart: when down, how long in all, how often unhealthy. */
static const struct {
    size_t n;
    enum rem_shm_health states[6];
    uint64_t down_from, downtime, recoveries;
    uint32_t unhealthy;
} moves[] = {
    {1, {UP}, 0, 0, 0, 0},
    {1, {C}, 100, 0, 0, 0},
    {2, {C, UP}, 0, 100, 1, 0},
    {1, {D}, 100, 0, 0, 1},
    {3, {UP, D, D}, 200, 0, 0, 1},
    {2, {C, D}, 100, 0, 0, 1},
    {3, {C, D, UP}, 0, 200, 1, 1},
    {4, {UP, D, UP, D}, 400, 100, 1, 2},
    {6, {UP, D, UP, D, UP, UP}, 0, 200, 2, 2},
    {2, {D, U}, 0, 100, 1, 1},
    {2, {D, C}, 100, 0, 0, 1},
};

START_TEST(moving)
{
    struct fixture fix;
    struct rem_shm_server_slot *slot;
    uint64_t before;
    enum rem_shm_health last = U;

    fix_init(&fix, 1);
    (void)fix_put(&fix, "a", 1, 1);
    slot = slot_of(&fix, 0);
    before = atomic_load(&fix.region.header->recoveries);
    for (size_t i = 0; i < moves[_i].n; i++) {
        enum rem_shm_health to = moves[_i].states[i];

        ck_assert_int_eq(rem_health_move(fix.writer, slot, to, 100 * (i + 1)), to != last);
        last = to;
        ck_assert_uint_eq(rem_health_get(slot), to);
    }
    ck_assert_uint_eq(atomic_load(&slot->down_from_ms), moves[_i].down_from);
    ck_assert_uint_eq(atomic_load(&slot->downtime_ms), moves[_i].downtime);
    ck_assert_uint_eq(atomic_load(&slot->unhealthy), moves[_i].unhealthy);
    ck_assert_uint_eq(atomic_load(&fix.region.header->recoveries) - before, moves[_i].recoveries);
    fix_fini(&fix);
}
END_TEST

/* What comes back has no failures behind it, and starts slowly; an ejection is none of our
 * business. */
START_TEST(coming_back)
{
    struct fixture fix;
    struct rem_shm_server_slot *slot;

    fix_init(&fix, 1);
    (void)fix_put(&fix, "a", 1, 1);
    slot = slot_of(&fix, 0);
    ck_assert(rem_health_move(fix.writer, slot, D, 1000));
    atomic_store(&slot->fails, 7);
    atomic_fetch_or(&slot->health, REM_HEALTH_EJECTED);
    ck_assert_uint_eq(rem_health_get(slot), D);
    ck_assert(rem_health_move(fix.writer, slot, UP, 1500));
    ck_assert_uint_eq(atomic_load(&slot->health), UP | REM_HEALTH_EJECTED);
    ck_assert_uint_eq(atomic_load(&slot->fails), 0);
    ck_assert_uint_eq(atomic_load(&slot->slow_from_ms), 1500);
    ck_assert_uint_eq(atomic_load(&slot->downtime_ms), 500);
    fix_fini(&fix);
}
END_TEST

START_TEST(counting)
{
    struct fixture fix;
    struct rem_shm_server_slot *slot;

    fix_init(&fix, 1);
    (void)fix_put(&fix, "a", 1, 2);
    slot = slot_of(&fix, 0);
    ck_assert(!rem_health_known(slot));
    rem_health_count(slot, true, 10);
    ck_assert(rem_health_known(slot));
    rem_health_count(slot, false, 20);
    rem_health_count(slot, false, 30);
    ck_assert_uint_eq(atomic_load(&slot->checks), 3);
    ck_assert_uint_eq(atomic_load(&slot->check_fails), 2);
    ck_assert_uint_eq(atomic_load(&slot->last_passed), REM_VERDICT_FAILED);
    ck_assert_uint_eq(atomic_load(&slot->checked_wall_ms), 30);
    ck_assert_uint_eq(atomic_load(&slot_of(&fix, 1)->checks), 0);
    fix_fini(&fix);
}
END_TEST

static void count_sets(void *data, const struct rem_shm_set *set)
{
    size_t *servers = data;

    *servers += set->count;
}

START_TEST(forgetting)
{
    struct fixture fix;
    size_t servers = 0;

    fix_init(&fix, 1);
    (void)fix_put(&fix, "a", 1, 3);
    (void)fix_put(&fix, "b", 10, 4);
    for (uint32_t i = 0; i < 3; i++)
        (void)rem_health_move(fix.writer, slot_of(&fix, i), i == 1 ? D : UP, 100);
    rem_health_forget(fix.writer, rem_health_set(fix.writer, REM_STR("a")), 250);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(atomic_load(&slot_of(&fix, i)->health), U);
        ck_assert_uint_eq(atomic_load(&slot_of(&fix, i)->downtime_ms), i == 1 ? 150 : 0);
    }
    rem_health_each(fix.writer, count_sets, &servers);
    ck_assert_uint_eq(servers, 7);
    ck_assert_ptr_null(rem_health_set(fix.writer, REM_STR("c")));
    fix_fini(&fix);
}
END_TEST

/* Where checks are mandatory, a new server is "checking" in the publish that brings it; one that
 * stays is left as it is, and a reload may begin and end that. */
START_TEST(mandatory)
{
    struct fixture fix;
    struct rem_upstream_spec spec;
    struct rem_registry_conf conf = {.upstreams = &spec, .upstream_count = 1, .generation = 1};
    struct rem_commit commit;

    fix_init(&fix, 1);
    spec = fix_upstream(&fix, "a", 1, 1);
    ck_assert(!rem_health_is_reload(fix.writer, 1));
    ck_assert_int_eq(rem_writer_reconcile(fix.writer, &conf, NULL), REM_OK);
    ck_assert(!rem_health_is_reload(fix.writer, 1));
    ck_assert(rem_health_is_reload(fix.writer, 2));
    ck_assert_uint_eq(rem_health_get(slot_of(&fix, 0)), U);
    spec.flags |= REM_UPSTREAM_MANDATORY;
    conf.generation = 2;
    ck_assert_int_eq(rem_writer_reconcile(fix.writer, &conf, NULL), REM_OK);
    ck_assert_uint_eq(rem_health_get(slot_of(&fix, 0)), U);
    spec = fix_upstream(&fix, "a", 1, 2);
    spec.flags |= REM_UPSTREAM_MANDATORY;
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    ck_assert_uint_eq(rem_health_get(slot_of(&fix, 0)), U);
    ck_assert_uint_eq(rem_health_get(slot_of(&fix, 1)), C);
    spec.flags &= ~(uint32_t)REM_UPSTREAM_MANDATORY;
    conf.generation = 3;
    ck_assert_int_eq(rem_writer_reconcile(fix.writer, &conf, NULL), REM_OK);
    ck_assert_uint_eq(rem_health_set(fix.writer, REM_STR("a"))->count, 2);
    ck_assert_uint_eq(rem_health_set(fix.writer, REM_STR("a"))->flags & REM_UPSTREAM_MANDATORY, 0);
    fix_fini(&fix);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("health");

    tcase_add_loop_test(tests, moving, 0, REM_COUNT(moves));
    tcase_add_test(tests, coming_back);
    tcase_add_test(tests, counting);
    tcase_add_test(tests, forgetting);
    tcase_add_test(tests, mandatory);
    return run_suite("health", tests);
}
