/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/reader.h"

#include "tests/unit/proto/shm/fixture.h"

#include <pthread.h>

static struct fixture fix;
static struct rem_reader reader;
static struct rem_upstream_ref ref;
static struct rem_arena arena;

/* With outlier detection, or without. */
static void publish(uint32_t first, uint32_t count, bool outlier)
{
    struct rem_upstream_spec spec = fix_upstream(&fix, "app", first, count);
    struct rem_commit commit;

    if (outlier)
        spec.outlier = (struct rem_outlier_spec){.consecutive_5xx = 1, .interval_ms = 1000};
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
}

static void setup(void)
{
    fix_init(&fix, 2);
    publish(1, 3, true);
    fix_worker(&fix, &reader);
    rem_upstream_ref_init(&ref, REM_STR("app"));
    rem_arena_init(&arena, NULL);
}

static void teardown(void)
{
    rem_reader_quiesce(&reader);
    rem_upstream_ref_fini(&ref);
    rem_arena_reset(&arena);
    fix_fini(&fix);
}

static const struct rem_shm_set *set_now(struct rem_shm_upstream_slot **upstream)
{
    const struct rem_shm_set *set = rem_reader_find(&reader, &ref);

    *upstream = rem_reader_upstream_slot(&reader, set);
    return set;
}

static bool available(uint32_t index, uint64_t now_ms, uint64_t *retry_ms)
{
    const struct rem_shm_set *set = rem_reader_find(&reader, &ref);
    const struct rem_shm_server *server = rem_set_server(set, index);

    return rem_server_available(set, server, rem_reader_slot(&reader, server), now_ms, retry_ms);
}

START_TEST(ends_by_itself)
{
    struct rem_shm_upstream_slot *upstream;
    const struct rem_shm_set *set = set_now(&upstream);
    struct rem_shm_server_slot *slot = rem_reader_slot(&reader, rem_set_server(set, 1));
    struct rem_upstream_status status;
    uint64_t retry_ms = 0;

    ck_assert(available(1, 10, &retry_ms));
    ck_assert(rem_server_eject(upstream, slot, 99, 5000));
    ck_assert(!rem_server_eject(upstream, slot, 99, 6000)); /* but once */
    ck_assert_int_eq(atomic_load(&upstream->ejected), 1);
    ck_assert(!available(1, 4999, &retry_ms));
    ck_assert_uint_eq(retry_ms, 5000);
    ck_assert(available(0, 4999, &retry_ms));
    status = fix_status(&fix, "app", &arena); /* at 1000 */
    ck_assert(rem_str_is(status.servers[1].state, "ejected") && status.servers[1].ejected);
    ck_assert_uint_eq(status.servers[1].ejected_until_ms, 5000);
    ck_assert_int_eq(status.ejected, 1);
    ck_assert(available(1, 5000, &retry_ms));
    ck_assert_int_eq(atomic_load(&upstream->ejected), 0);
    ck_assert_uint_eq(atomic_load(&slot->slow_from_ms), 5000);
    ck_assert(!rem_server_uneject(upstream, slot, 5001));
    status = fix_status(&fix, "app", &arena);
    ck_assert(rem_str_is(status.servers[1].state, "up") && status.servers[1].ejections == 1);
}
END_TEST

START_TEST(no_more_than_may)
{
    struct rem_shm_upstream_slot *upstream;
    const struct rem_shm_set *set = set_now(&upstream);
    struct rem_shm_server_slot *slots[3];

    for (uint32_t i = 0; i < 3; i++)
        slots[i] = rem_reader_slot(&reader, rem_set_server(set, i));
    ck_assert(!rem_server_eject(upstream, slots[0], 0, 5000));
    ck_assert(rem_server_eject(upstream, slots[0], 2, 5000));
    ck_assert(rem_server_eject(upstream, slots[1], 2, 5000));
    ck_assert(!rem_server_eject(upstream, slots[2], 2, 5000));
    ck_assert_uint_eq(atomic_load(&slots[2]->health), REM_HEALTH_UNKNOWN);
    ck_assert_int_eq(atomic_load(&upstream->ejected), 2);
    ck_assert(rem_server_uneject(upstream, slots[0], 100));
    ck_assert(rem_server_eject(upstream, slots[2], 2, 5000));
    ck_assert_int_eq(atomic_load(&upstream->ejected), 2);
}
END_TEST

static void *eject_own(void *data)
{
    struct rem_shm_upstream_slot *upstream;
    const struct rem_shm_set *set = set_now(&upstream);
    struct rem_shm_server_slot *slot =
        rem_reader_slot(&reader, rem_set_server(set, (uint32_t)(uintptr_t)data));

    for (int i = 0; i < 20000; i++) {
        if (rem_server_eject(upstream, slot, 1, 5000)) {
            /* with the place goes the right to be the only one */
            ck_assert_int_eq(atomic_load(&upstream->ejected), 1);
            ck_assert(rem_server_uneject(upstream, slot, 0));
        }
    }
    return NULL;
}

START_TEST(of_several_at_once_no_more_than_may)
{
    struct rem_shm_upstream_slot *upstream;
    pthread_t threads[3];

    set_now(&upstream);
    for (uintptr_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, eject_own, (void *)i), 0);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(atomic_load(&upstream->ejected), 0);
}
END_TEST

START_TEST(health_goes_before)
{
    static const struct {
        uint32_t health;
        const char *state;
        bool available;
    } cases[] = {
        {REM_HEALTH_UNKNOWN, "up", true},
        {REM_HEALTH_UP, "up", true},
        {REM_HEALTH_CHECKING, "checking", false},
        {REM_HEALTH_DOWN, "unhealthy", false},
        {REM_HEALTH_UP | REM_HEALTH_EJECTED, "ejected", false},
        {REM_HEALTH_DOWN | REM_HEALTH_EJECTED, "unhealthy", false},
    };
    struct rem_shm_upstream_slot *upstream;
    const struct rem_shm_set *set = set_now(&upstream);
    struct rem_shm_server_slot *slot = rem_reader_slot(&reader, rem_set_server(set, 0));
    uint64_t retry_ms;

    atomic_store(&slot->ejected_until_ms, 2000);
    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        atomic_store(&slot->health, cases[i].health);
        ck_assert_msg(available(0, 1000, &retry_ms) == cases[i].available, "%zu", i);
        ck_assert(rem_str_is(fix_status(&fix, "app", &arena).servers[0].state, cases[i].state));
    }
    /* the end of the ejection leaves the verdict of the checks alone */
    ck_assert(!available(0, 3000, &retry_ms));
    ck_assert_uint_eq(retry_ms, UINT64_MAX);
    atomic_fetch_and(&slot->health, ~(uint32_t)REM_HEALTH_DOWN);
    ck_assert(available(0, 3000, &retry_ms));
    ck_assert_uint_eq(atomic_load(&slot->health), REM_HEALTH_UNKNOWN);
}
END_TEST

START_TEST(a_removed_server_is_not_counted)
{
    struct rem_shm_upstream_slot *upstream;
    const struct rem_shm_set *set = set_now(&upstream);
    struct rem_shm_server_slot *gone = rem_reader_slot(&reader, rem_set_server(set, 0));
    struct rem_shm_server_slot *late = rem_reader_slot(&reader, rem_set_server(set, 1));
    struct rem_change *change;
    struct rem_commit commit;

    ck_assert(rem_server_eject(upstream, gone, 99, 5000));
    publish(2, 2, true); /* 2 and 3 stay */
    ck_assert_int_eq(atomic_load(&upstream->ejected), 0);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_server_remove(change, REM_STR("app"), 1), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    ck_assert(rem_server_eject(upstream, late, 99, 5000)); /* by a worker that still sees it */
    ck_assert_int_eq(atomic_load(&upstream->ejected), 1);
    rem_reader_quiesce(&reader);
    fix_settle(&fix);
    set_now(&upstream);
    ck_assert_int_eq(atomic_load(&upstream->ejected), 0);
}
END_TEST

/* Without room, or only tried. */
START_TEST(a_change_that_is_not_made_ends_none)
{
    struct rem_str large = rem_str_make(calloc(1, FIX_SIZE), FIX_SIZE);
    struct rem_shm_upstream_slot *upstream;
    const struct rem_shm_set *set = set_now(&upstream);
    struct rem_shm_server_slot *slot = rem_reader_slot(&reader, rem_set_server(set, 0));
    struct rem_writer_stats before, after;
    struct rem_change *change;
    struct rem_commit commit;
    struct rem_err err;

    ck_assert_ptr_nonnull(large.p);
    ck_assert(rem_server_eject(upstream, slot, 99, 5000));
    ck_assert_int_eq(rem_writer_stats(fix.writer, &before), REM_OK);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_server_remove(change, REM_STR("app"), 0), REM_OK);
    ck_assert_int_eq(rem_change_try(change), REM_OK);
    ck_assert_int_eq(rem_change_table(change, REM_TABLE_KEYVAL, REM_STR("large"), large, 1, &err),
                     REM_OK);
    ck_assert_int_eq(rem_change_try(change), REM_EFULL);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, &err), REM_EFULL);
    rem_change_free(&change);
    free((void *)(uintptr_t)large.p);
    ck_assert(atomic_load(&slot->health) & REM_HEALTH_EJECTED);
    ck_assert_int_eq(atomic_load(&upstream->ejected), 1);
    ck_assert_int_eq(rem_writer_stats(fix.writer, &after), REM_OK);
    ck_assert_uint_eq(after.used, before.used);
}
END_TEST

/* Nobody waits for the end of what is not wanted any more. */
START_TEST(none_holds_without_outlier_detection)
{
    struct rem_shm_upstream_slot *upstream;
    const struct rem_shm_set *set = set_now(&upstream);
    struct rem_shm_server_slot *slot = rem_reader_slot(&reader, rem_set_server(set, 1));
    struct rem_server_status *server;
    struct rem_upstream_status status;
    uint64_t retry_ms;

    ck_assert(rem_server_eject(upstream, slot, 99, 5000));
    rem_reader_quiesce(&reader);
    publish(1, 3, false);
    status = fix_status(&fix, "app", &arena); /* at 1000 */
    server = &status.servers[1];
    ck_assert(rem_str_is(server->state, "up") && !server->ejected);
    ck_assert(available(1, 1000, &retry_ms));
    set_now(&upstream);
    ck_assert_int_eq(atomic_load(&upstream->ejected), 0);
    ck_assert_uint_eq(atomic_load(&slot->health), REM_HEALTH_UNKNOWN);
}
END_TEST

START_TEST(a_count_that_a_death_left_wrong_is_mended)
{
    struct rem_shm_upstream_slot *upstream;
    const struct rem_shm_set *set = set_now(&upstream);
    struct rem_reader other;
    unsigned slot = fix_worker(&fix, &other);

    ck_assert(
        rem_server_eject(upstream, rem_reader_slot(&reader, rem_set_server(set, 0)), 99, 5000));
    atomic_store(&upstream->ejected, 5);
    rem_reader_quiesce(&reader);
    rem_region_worker_gone(&fix.region, slot);
    fix_settle(&fix);
    set_now(&upstream);
    ck_assert_int_eq(atomic_load(&upstream->ejected), 1);
}
END_TEST

START_TEST(new_servers_wait_for_their_first_check_where_that_is_mandatory)
{
    struct rem_upstream_spec spec = fix_upstream(&fix, "checked", 1, 2);
    struct rem_upstream_status status;
    struct rem_server_spec server;
    struct rem_change *change;
    struct rem_commit commit;
    uint32_t id;

    spec.flags = REM_UPSTREAM_MANDATORY;
    spec.limits = (struct rem_limits_spec){1, 2, 3, 4, 5, 6};
    spec.outlier = (struct rem_outlier_spec){1, 2, 3, 4, 5, 6, 7, 8, 9};
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    status = fix_status(&fix, "checked", &arena);
    ck_assert(rem_str_is(status.servers[0].state, "checking"));
    ck_assert_mem_eq(&status.spec.limits, &spec.limits, sizeof(spec.limits));
    ck_assert_mem_eq(&status.spec.outlier, &spec.outlier, sizeof(spec.outlier));
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    fix_server(&server, 9);
    ck_assert_int_eq(rem_change_server_add(change, REM_STR("checked"), &server, &id, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    status = fix_status(&fix, "checked", &arena);
    ck_assert(rem_str_is(status.servers[2].state, "checking"));
    ck_assert_mem_eq(&status.spec.limits, &spec.limits, sizeof(spec.limits));
    ck_assert_mem_eq(&status.spec.outlier, &spec.outlier, sizeof(spec.outlier));
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("eject");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, ends_by_itself);
    tcase_add_test(tcase, no_more_than_may);
    tcase_add_test(tcase, of_several_at_once_no_more_than_may);
    tcase_add_test(tcase, health_goes_before);
    tcase_add_test(tcase, a_removed_server_is_not_counted);
    tcase_add_test(tcase, a_change_that_is_not_made_ends_none);
    tcase_add_test(tcase, none_holds_without_outlier_detection);
    tcase_add_test(tcase, a_count_that_a_death_left_wrong_is_mended);
    tcase_add_test(tcase, new_servers_wait_for_their_first_check_where_that_is_mandatory);
    return run_suite("eject", tcase);
}
