/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/reader.h"

#include "tests/unit/proto/shm/fixture.h"

static struct fixture fix;
static struct rem_reader reader, other;
static struct rem_upstream_ref ref;
static const struct rem_shm_set *set;

static void setup(void)
{
    fix_init(&fix, 2);
    fix_worker(&fix, &reader);
    fix_worker(&fix, &other);
    rem_upstream_ref_init(&ref, rem_str_from("app"));
}

static void teardown(void)
{
    rem_upstream_ref_fini(&ref);
    fix_fini(&fix);
}

/* Publishes `count` servers that fail after `max_fails` and come back after `timeout_ms`. */
static void publish(uint32_t count, uint32_t max_fails, uint32_t timeout_ms, uint32_t max_conns)
{
    struct rem_upstream_spec spec = fix_upstream(&fix, "app", 1, count);
    struct rem_commit commit;

    for (uint32_t i = 0; i < count; i++) {
        fix.servers[i].max_fails = max_fails;
        fix.servers[i].fail_timeout_ms = timeout_ms;
        fix.servers[i].max_conns = max_conns;
    }
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    set = rem_reader_find(&reader, &ref);
    ck_assert_ptr_nonnull(set);
}

static bool available(uint64_t now_ms)
{
    const struct rem_shm_server *server = rem_set_server(set, 0);
    uint64_t retry_ms;

    return rem_server_available(set, server, rem_reader_slot(&reader, server), now_ms, &retry_ms);
}

static int take(struct rem_reader *by, uint64_t now_ms, struct rem_pin *pin)
{
    return rem_pin_take(by, set, rem_set_server(set, 0), now_ms, pin);
}

/* One exchange with server 0. */
static void exchange(enum rem_outcome outcome, uint64_t now_ms)
{
    const struct rem_pin_report report = {.outcome = outcome};
    struct rem_pin pin = {0};

    ck_assert_int_eq(take(&reader, now_ms, &pin), REM_OK);
    rem_pin_done(&pin, &report, now_ms);
}

START_TEST(finds_what_is_published)
{
    struct rem_upstream_ref none;

    rem_upstream_ref_init(&none, rem_str_from("none"));
    ck_assert_ptr_null(rem_reader_find(&reader, &ref)); /* no directory at all */
    rem_reader_quiesce(&reader);
    fix_put(&fix, "app", 1, 0);
    set = rem_reader_find(&reader, &ref);
    ck_assert_ptr_nonnull(set);
    ck_assert_uint_eq(set->count, 0);
    ck_assert_uint_eq(set->primary.length, 0);
    ck_assert_ptr_null(rem_reader_find(&reader, &none));
    rem_reader_quiesce(&reader);
    for (uint32_t i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "up%u", i);
        fix_put(&fix, name, i, 1);
        fix_put(&fix, "app", 1, i);
        ck_assert_uint_eq(rem_reader_find(&reader, &ref)->count, i);
        ck_assert_ptr_eq(rem_reader_find(&reader, &ref), rem_reader_find(&reader, &ref));
        ck_assert_ptr_null(rem_reader_find(&reader, &none));
        rem_reader_quiesce(&reader);
    }
    fix_remove(&fix, "app");
    ck_assert_ptr_null(rem_reader_find(&reader, &ref));
    rem_upstream_ref_fini(&none);
}
END_TEST

START_TEST(says_where_it_is)
{
    struct rem_worker_status status[REM_SHM_WORKERS];

    publish(1, 1, 1000, 0);
    ck_assert_uint_eq(atomic_load(&reader.worker->seen), rem_writer_epoch(fix.writer));
    fix_put(&fix, "app", 1, 2);
    ck_assert_uint_eq(rem_region_workers(&fix.region, status), 2);
    ck_assert_uint_eq(status[0].revision, 1); /* in its turn still */
    ck_assert_uint_eq(status[1].revision, 2); /* asleep */
    ck_assert_ptr_eq(rem_reader_find(&reader, &ref), set);
    rem_reader_quiesce(&reader);
    rem_reader_quiesce(&reader);
    ck_assert_uint_eq(atomic_load(&reader.worker->seen), 0);
    rem_region_workers(&fix.region, status);
    ck_assert_uint_eq(status[0].revision, 2);
}
END_TEST

START_TEST(fails_and_recovers)
{
    struct rem_pin probe = {0}, pin = {0};
    const struct rem_pin_report ok = {.outcome = REM_OUTCOME_OK};
    struct rem_shm_server_slot *slot;

    publish(2, 2, 1000, 0);
    slot = rem_reader_slot(&reader, rem_set_server(set, 0));
    exchange(REM_OUTCOME_FAIL, 5000);
    ck_assert(available(5000));
    exchange(REM_OUTCOME_NEUTRAL, 5000);
    exchange(REM_OUTCOME_OK, 5100); /* within the window: the failure still counts */
    exchange(REM_OUTCOME_FAIL, 5200);
    ck_assert(!available(5200));
    ck_assert(!available(6200));
    /* one probe, by one of two workers that both find it is time */
    ck_assert(available(6201));
    ck_assert_int_eq(take(&reader, 6201, &probe), REM_OK);
    ck_assert_int_eq(take(&other, 6202, &pin), REM_OK); /* who does not ask is not held back, */
    rem_pin_done(&pin, &(struct rem_pin_report){.outcome = REM_OUTCOME_NEUTRAL}, 6202);
    ck_assert(!available(6202)); /* but who asks is */
    rem_pin_done(&probe, &ok, 6300);
    ck_assert(available(6300));
    ck_assert_uint_eq(atomic_load(&slot->fails), 0);
    ck_assert_uint_eq(atomic_load(&slot->downtime_ms), 1100);
    ck_assert_uint_eq(atomic_load(&fix.region.header->recoveries), 1);
    /* a failed probe keeps it away for another while */
    exchange(REM_OUTCOME_FAIL, 7000);
    exchange(REM_OUTCOME_FAIL, 7000);
    exchange(REM_OUTCOME_FAIL, 8001);
    ck_assert(!available(9001));
    ck_assert(available(9002));
}
END_TEST

START_TEST(old_failures_lapse)
{
    publish(2, 2, 1000, 0);
    exchange(REM_OUTCOME_FAIL, 5000);
    exchange(REM_OUTCOME_OK, 6001); /* opens a new window, and is well */
    exchange(REM_OUTCOME_FAIL, 6002);
    ck_assert(available(6002));
    exchange(REM_OUTCOME_FAIL, 6003);
    ck_assert(!available(6003));
}
END_TEST

START_TEST(a_late_success_is_no_recovery)
{
    const struct rem_pin_report ok = {.outcome = REM_OUTCOME_OK};
    struct rem_pin old = {0};

    publish(2, 1, 1000, 0);
    ck_assert_int_eq(take(&reader, 4000, &old), REM_OK);
    exchange(REM_OUTCOME_FAIL, 5000);
    rem_pin_done(&old, &ok, 5001);
    ck_assert(!available(5001));
}
END_TEST

START_TEST(some_are_never_unavailable)
{
    publish(1, 1, 1000, 0); /* alone in its upstream */
    for (int i = 0; i < 5; i++)
        exchange(REM_OUTCOME_FAIL, 5000);
    ck_assert(available(5000));
    publish(2, 0, 1000, 0); /* max_fails=0 */
    for (int i = 0; i < 5; i++)
        exchange(REM_OUTCOME_FAIL, 5000);
    ck_assert(available(5000));
}
END_TEST

START_TEST(max_conns_within_and_across_workers)
{
    const struct rem_pin_report ok = {.outcome = REM_OUTCOME_OK};
    struct rem_pin pins[3] = {{0}}, more = {0};

    publish(2, 1, 1000, 3);
    ck_assert_int_eq(take(&reader, 1, &pins[0]), REM_OK);
    ck_assert_int_eq(take(&other, 1, &pins[1]), REM_OK);
    ck_assert_int_eq(take(&other, 1, &pins[2]), REM_OK);
    ck_assert_int_eq(take(&reader, 1, &more), REM_EBUSY);
    ck_assert_int_eq(take(&other, 1, &more), REM_EBUSY);
    ck_assert_ptr_null(more.slot);
    rem_pin_done(&pins[1], &ok, 2);
    rem_pin_done(&pins[1], &ok, 2); /* an empty pin is ignored */
    ck_assert_int_eq(take(&reader, 3, &more), REM_OK);
    ck_assert_int_eq(take(&reader, 3, &pins[1]), REM_EBUSY);
}
END_TEST

START_TEST(pins_carry_the_address)
{
    static const char *const texts[] = {"127.0.0.1:8001", "[::1]:80", "unix:/tmp/a.sock"};
    struct rem_upstream_spec spec = fix_upstream(&fix, "app", 1, 3);
    struct rem_commit commit;
    char text[REM_ADDR_TEXT];

    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(rem_addr_parse(rem_str_from(texts[i]), 0, &fix.servers[i].addr), REM_OK);
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    set = rem_reader_find(&reader, &ref);
    for (uint32_t i = 0; i < 3; i++) {
        struct rem_pin pin = {0};
        ck_assert_int_eq(rem_pin_take(&reader, set, rem_set_server(set, i), 1, &pin), REM_OK);
        rem_addr_text(&pin.addr, text, sizeof(text));
        ck_assert_str_eq(text, texts[i]);
        ck_assert(rem_str_is(rem_pin_name(&pin), texts[i]));
        ck_assert(rem_addr_eq(&pin.addr, &fix.servers[i].addr));
        ck_assert_uint_eq(pin.id, i);
    }
}
END_TEST

START_TEST(backups_and_downs_have_their_place)
{
    struct rem_upstream_spec spec = fix_upstream(&fix, "app", 1, 5);
    struct rem_commit commit;

    for (uint32_t i = 0; i < 5; i++)
        fix.servers[i].weight = 3;
    fix.servers[0].flags = REM_SERVER_DOWN;
    fix.servers[2].flags = REM_SERVER_BACKUP;
    fix.servers[3].flags = REM_SERVER_BACKUP | REM_SERVER_DRAIN;
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    set = rem_reader_find(&reader, &ref);
    ck_assert_uint_eq(set->primary.length, 2);
    ck_assert_uint_eq(rem_set_turn(set, &set->primary, 0), 1);
    ck_assert_uint_eq(rem_set_turn(set, &set->primary, 1), 4);
    ck_assert_uint_eq(set->backup.length, 1);
    ck_assert_uint_eq(rem_set_turn(set, &set->backup, 0), 2);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("reader");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, finds_what_is_published);
    tcase_add_test(tcase, says_where_it_is);
    tcase_add_test(tcase, fails_and_recovers);
    tcase_add_test(tcase, old_failures_lapse);
    tcase_add_test(tcase, a_late_success_is_no_recovery);
    tcase_add_test(tcase, some_are_never_unavailable);
    tcase_add_test(tcase, max_conns_within_and_across_workers);
    tcase_add_test(tcase, pins_carry_the_address);
    tcase_add_test(tcase, backups_and_downs_have_their_place);
    return run_suite("reader", tcase);
}
