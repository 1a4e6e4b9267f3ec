/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/writer.h"

#include "tests/unit/proto/shm/fixture.h"

#include <time.h>

static struct fixture fix;
static struct rem_arena arena;

static void setup(void)
{
    fix_init(&fix, 2);
    rem_arena_init(&arena, NULL);
}

static void teardown(void)
{
    rem_arena_reset(&arena);
    fix_fini(&fix);
}

START_TEST(publishes_and_reads_back)
{
    struct rem_upstream_spec spec = fix_upstream(&fix, "app", 10, 3), back;
    struct rem_commit commit;
    size_t index;

    spec.keepalive = (struct rem_keepalive_spec){1, 2, 3, 4};
    fix.servers[0].fail_timeout_text = REM_STR("1m");
    fix.servers[0].route = REM_STR("r0");
    fix.servers[1].flags = REM_SERVER_BACKUP | REM_SERVER_DOWN;
    fix.servers[2].name = REM_STR("backend:8001");
    ck_assert_int_eq(rem_addr_parse(rem_str_from("unix:/tmp/a.sock"), 0, &fix.servers[1].addr),
                     REM_OK);
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    ck_assert_uint_eq(commit.revision, 1);
    ck_assert_uint_eq(rem_writer_revision(fix.writer), 1);
    ck_assert_uint_eq(rem_region_revision(&fix.region), 1);
    ck_assert_uint_eq(rem_writer_count(fix.writer), 1);
    ck_assert_int_eq(rem_writer_find(fix.writer, rem_str_from("other"), &index), REM_ENOTFOUND);
    ck_assert_int_eq(rem_writer_find(fix.writer, rem_str_from("app"), &index), REM_OK);
    ck_assert_int_eq(rem_writer_spec(fix.writer, index, &arena, &back), REM_OK);
    ck_assert(rem_str_is(back.name, "app") && rem_str_is(back.zone, "z"));
    ck_assert_mem_eq(&back.keepalive, &spec.keepalive, sizeof(spec.keepalive));
    ck_assert_uint_eq(back.server_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(back.servers[i].id, i);
        ck_assert(rem_addr_eq(&back.servers[i].addr, &fix.servers[i].addr));
        ck_assert_uint_eq(back.servers[i].weight, fix.servers[i].weight);
        ck_assert_uint_eq(back.servers[i].flags, fix.servers[i].flags);
    }
    ck_assert(rem_str_is(back.servers[0].fail_timeout_text, "1m"));
    ck_assert(rem_str_is(back.servers[0].route, "r0"));
    ck_assert(rem_str_has_prefix(back.servers[0].server, REM_STR("127.0.0.10:")));
    ck_assert(rem_str_is(back.servers[1].server, "unix:/tmp/a.sock"));
    ck_assert(rem_str_is(back.servers[1].name, "unix:/tmp/a.sock"));
    ck_assert(rem_str_is(back.servers[2].name, "backend:8001"));
    fix_settle(&fix);
}
END_TEST

START_TEST(refuses_bad_specs)
{
    struct rem_upstream_spec spec;
    struct rem_change *change;
    struct rem_commit commit;
    struct rem_err err;

    fix_put(&fix, "app", 1, 1);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    struct rem_change *second;
    ck_assert_int_eq(rem_change_new(fix.writer, &second), REM_EBUSY);
    for (int bad = 0; bad < 7; bad++) {
        spec = fix_upstream(&fix, bad == 0 ? "" : "app", 1, 3);
        if (bad == 1)
            fix.servers[2].weight = 0;
        if (bad == 2)
            fix.servers[2].weight = 65536;
        if (bad == 3)
            fix.servers[2].addr.len = 0;
        if (bad == 4)
            fix.servers[2].flags = 1u << 30;
        if (bad == 5)
            fix.servers[2].max_conns = UINT32_MAX;
        if (bad == 6)
            spec.method = 99;
        ck_assert_msg(rem_change_put(change, &spec, &err) == REM_EINVAL, "case %d was taken", bad);
    }
    spec = fix_upstream(&fix, "app", 1, 3);
    fix.servers[0].id = fix.servers[1].id = 5;
    ck_assert_int_eq(rem_change_put(change, &spec, &err), REM_EEXIST);
    fix_server(&fix.servers[0], 2);
    fix_server(&fix.servers[1], 2);
    ck_assert_int_eq(rem_change_servers(change, spec.name, fix.servers, 2, &err), REM_EEXIST);
    ck_assert_int_eq(rem_change_servers(change, rem_str_from("none"), fix.servers, 1, &err),
                     REM_ENOTFOUND);
    ck_assert_int_eq(rem_change_remove(change, rem_str_from("none")), REM_ENOTFOUND);
    /* and nothing of all that is in the change */
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, &err), REM_OK);
    ck_assert_uint_eq(commit.revision, 1);
    rem_change_free(&change);
    ck_assert_uint_eq(fix_status(&fix, "app", &arena).server_count, 1);
}
END_TEST

/* One address many times costs no more than many addresses do. */
START_TEST(one_address_many_times)
{
    enum { MANY = 1 << 17 };
    struct rem_server_spec *servers = calloc(MANY, sizeof(*servers));
    struct rem_upstream_spec spec = fix_upstream(&fix, "app", 1, 1);
    struct rem_change *change;
    struct rem_commit commit;
    struct rem_err err;
    clock_t before;

    ck_assert_ptr_nonnull(servers);
    for (size_t i = 0; i < MANY; i++)
        servers[i] = fix.servers[0];
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_put(change, &spec, &err), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, &err), REM_OK);
    rem_change_free(&change);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    before = clock();
    ck_assert_int_eq(rem_change_servers(change, spec.name, servers, MANY, &err), REM_EEXIST);
    ck_assert_int_lt((clock() - before) / CLOCKS_PER_SEC, 1);
    rem_change_free(&change);
    free(servers);
}
END_TEST

START_TEST(many_upstreams_in_one_publish)
{
    struct rem_upstream_spec spec;
    const struct rem_upstream_spec *seen;
    struct rem_change *change;
    struct rem_commit commit;
    char name[16];

    fix_put(&fix, "gone", 1, 4);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "up%u", i);
        spec = fix_upstream(&fix, name, i * 8, i % 5);
        ck_assert_int_eq(rem_change_put(change, &spec, NULL), REM_OK);
    }
    ck_assert_int_eq(rem_change_remove(change, rem_str_from("gone")), REM_OK);
    ck_assert_int_eq(rem_change_get(change, rem_str_from("gone"), &seen), REM_ENOTFOUND);
    /* a later step sees what an earlier one left, ids included */
    ck_assert_int_eq(rem_change_get(change, rem_str_from("up4"), &seen), REM_OK);
    ck_assert_uint_eq(seen->server_count, 4);
    ck_assert_uint_eq(seen->servers[3].id, 3);
    ck_assert_int_eq(rem_change_servers(change, rem_str_from("up4"), seen->servers + 1, 3, NULL),
                     REM_OK);
    ck_assert_int_eq(rem_change_commit(change, 5, &commit, NULL), REM_ECONFLICT);
    ck_assert_uint_eq(rem_writer_revision(fix.writer), 1);
    ck_assert_int_eq(rem_change_commit(change, 1, &commit, NULL), REM_OK);
    rem_change_free(&change);
    ck_assert_uint_eq(commit.revision, 2);
    ck_assert_uint_eq(rem_writer_count(fix.writer), 300);
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "up%u", i);
        ck_assert_uint_eq(fix_status(&fix, name, &arena).server_count, i == 4 ? 3 : i % 5);
    }
    fix_settle(&fix);
    ck_assert_uint_eq(rem_writer_revision(fix.writer), 2); /* housekeeping is no change */
}
END_TEST

/* A server that stays keeps slot, id and counters; one that comes back soon does too, with a new
 * id; later it is a new one. */
START_TEST(identity_across_swaps)
{
    struct rem_reader reader;
    struct rem_upstream_ref ref;
    struct rem_pin_report report = {.status = 200, .sent = 10, .received = 20};
    struct rem_pin pin = {0};
    struct rem_upstream_status status;
    uint64_t uid;

    fix_worker(&fix, &reader);
    rem_upstream_ref_init(&ref, rem_str_from("app"));
    fix_put(&fix, "app", 1, 3); /* 1 2 3 */
    const struct rem_shm_set *set = rem_reader_find(&reader, &ref);
    ck_assert_int_eq(rem_pin_take(&reader, set, rem_set_server(set, 2), 50, &pin), REM_OK);
    uid = pin.uid;
    rem_reader_quiesce(&reader);
    fix_put(&fix, "app", 3, 2); /* 3 4 */
    status = fix_status(&fix, "app", &arena);
    ck_assert_uint_eq(status.servers[0].spec.id, 2);
    ck_assert_uint_eq(status.servers[1].spec.id, 3);
    ck_assert_int_eq(status.servers[0].active, 1);
    set = rem_reader_find(&reader, &ref);
    ck_assert_uint_eq(rem_set_server(set, 0)->uid, uid);
    rem_reader_quiesce(&reader);
    /* removed while pinned: a zombie, found again by its address */
    fix_put(&fix, "app", 5, 1);
    for (int i = 0; i < 5; i++)
        ck_assert(rem_writer_reclaim(fix.writer)); /* pinned */
    ck_assert_uint_eq(fix_status(&fix, "app", &arena).zombies, 1);
    fix_put(&fix, "app", 3, 1);
    status = fix_status(&fix, "app", &arena);
    ck_assert_uint_eq(status.zombies, 1); /* 5 now */
    ck_assert_uint_eq(status.servers[0].spec.id, 5);
    ck_assert_uint_eq(status.servers[0].totals.requests, 1);
    /* the pin outlives the last of its server's sets, and its counts are not lost */
    fix_put(&fix, "app", 9, 0);
    rem_writer_reclaim(fix.writer);
    ck_assert(rem_str_has_prefix(rem_pin_name(&pin), REM_STR("127.0.0.3:")));
    rem_pin_done(&pin, &report, 60);
    ck_assert_ptr_null(pin.slot);
    fix_settle(&fix);
    status = fix_status(&fix, "app", &arena);
    ck_assert_uint_eq(status.zombies, 0);
    ck_assert_uint_eq(status.server_count, 0);
    ck_assert_uint_eq(status.totals.requests, 1);
    ck_assert_uint_eq(status.totals.responses[1], 1);
    ck_assert_uint_eq(status.totals.sent, 10);
    ck_assert_uint_eq(status.totals.received, 20);
    fix_put(&fix, "app", 3, 1);
    status = fix_status(&fix, "app", &arena);
    ck_assert_uint_eq(status.servers[0].totals.requests, 0);
    ck_assert_uint_eq(status.servers[0].spec.id, 6);
    ck_assert_uint_eq(status.totals.requests, 1); /* a sum never goes back */
    set = rem_reader_find(&reader, &ref);
    ck_assert_uint_ne(rem_set_server(set, 0)->uid, uid);
    rem_upstream_ref_fini(&ref);
}
END_TEST

START_TEST(ids_stay_and_are_never_reused)
{
    const struct rem_upstream_spec *now;
    struct rem_server_spec changed[3];
    struct rem_change *change;
    struct rem_commit commit;

    fix_put(&fix, "app", 1, 3);
    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_get(change, rem_str_from("app"), &now), REM_OK);
    /* reversed, and the last with another address: ids go with who says them */
    for (int i = 0; i < 3; i++)
        changed[i] = now->servers[2 - i];
    fix_server(&changed[2], 77);
    changed[2].id = 0;
    ck_assert_int_eq(rem_change_servers(change, rem_str_from("app"), changed, 3, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    struct rem_upstream_status status = fix_status(&fix, "app", &arena);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_uint_eq(status.servers[i].spec.id, 2 - i);
    fix_put(&fix, "app", 1, 0);
    fix_settle(&fix);
    fix_put(&fix, "app", 1, 3);
    status = fix_status(&fix, "app", &arena);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_uint_eq(status.servers[i].spec.id, 3 + i);
}
END_TEST

START_TEST(duplicates_from_a_configuration)
{
    struct rem_upstream_spec spec = fix_upstream(&fix, "app", 1, 3);
    struct rem_upstream_status status;
    struct rem_commit commit;

    fix.servers[1].addr = fix.servers[0].addr;
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    status = fix_status(&fix, "app", &arena);
    ck_assert_uint_eq(status.server_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_uint_eq(status.servers[i].spec.id, i);
    ck_assert_uint_eq(status.zombies, 0);
    fix_settle(&fix);
}
END_TEST

START_TEST(full_region_changes_nothing)
{
    static struct rem_server_spec many[20000];
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_change *change;
    struct rem_commit commit;
    struct rem_writer_stats before, after;
    struct rem_err err;

    ck_assert_int_eq(rem_region_create(&region, REM_REGION_MIN, 1), REM_OK);
    ck_assert_int_eq(rem_writer_new(&region, &writer, NULL), REM_OK);
    struct rem_upstream_spec spec = fix_upstream(&fix, "app", 1, 5);
    ck_assert_int_eq(rem_change_new(writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_put(change, &spec, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    while (rem_writer_reclaim(writer))
        ;
    ck_assert_int_eq(rem_writer_stats(writer, &before), REM_OK);
    for (uint32_t i = 0; i < REM_COUNT(many); i++)
        fix_server(&many[i], 100 + i);
    /* a small upstream before the one that does not fit: all or nothing */
    ck_assert_int_eq(rem_change_new(writer, &change), REM_OK);
    struct rem_upstream_spec small = fix_upstream(&fix, "small", 50, 5);
    ck_assert_int_eq(rem_change_put(change, &small, NULL), REM_OK);
    spec.servers = many;
    spec.server_count = REM_COUNT(many);
    ck_assert_int_eq(rem_change_put(change, &spec, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, &err), REM_EFULL);
    rem_change_free(&change);
    ck_assert_int_eq(rem_writer_stats(writer, &after), REM_OK);
    ck_assert_uint_eq(after.used, before.used);
    ck_assert_uint_eq(after.reachable, before.reachable);
    ck_assert_uint_eq(after.free, before.free);
    ck_assert_uint_eq(rem_writer_revision(writer), 1);
    ck_assert_uint_eq(rem_writer_count(writer), 1);
    /* and there is still room for what fits */
    spec.servers = fix.servers;
    spec.server_count = 5;
    ck_assert_int_eq(rem_change_new(writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_put(change, &spec, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
    rem_writer_free(&writer);
    rem_region_close(&region);
}
END_TEST

START_TEST(a_new_writer_takes_over)
{
    struct rem_writer_stats before, after;

    for (uint32_t i = 0; i < 40; i++)
        fix_put(&fix, i % 2 ? "a" : "b", i * 10, i % 7);
    rem_writer_free(&fix.writer);
    ck_assert_int_eq(rem_writer_new(&fix.region, &fix.writer, NULL), REM_OK);
    ck_assert_uint_eq(rem_writer_revision(fix.writer), 40);
    ck_assert_int_eq(rem_writer_stats(fix.writer, &before), REM_OK);
    ck_assert_uint_gt(before.pending, 0);
    ck_assert_uint_eq(before.used, before.reachable + before.pending);
    fix_settle(&fix);
    ck_assert_int_eq(rem_writer_stats(fix.writer, &before), REM_OK);
    for (uint32_t i = 0; i < 40; i++) {
        fix_put(&fix, i % 2 ? "a" : "b", i * 10, i % 7);
        fix_settle(&fix);
    }
    ck_assert_int_eq(rem_writer_stats(fix.writer, &after), REM_OK);
    ck_assert_uint_eq(after.used, before.used);
    ck_assert_uint_eq(after.high_water, before.high_water);
}
END_TEST

START_TEST(a_reader_in_an_old_turn_delays_freeing_only)
{
    struct rem_reader reader;
    struct rem_upstream_ref ref;
    struct rem_writer_stats stats;
    const struct rem_shm_set *set;

    rem_writer_set_poison(fix.writer, true);
    fix_worker(&fix, &reader);
    rem_upstream_ref_init(&ref, rem_str_from("app"));
    fix_put(&fix, "app", 1, 5);
    set = rem_reader_find(&reader, &ref);
    struct rem_commit commit = fix_put(&fix, "app", 100, 5);
    ck_assert(!rem_writer_applied(fix.writer, commit.epoch));
    ck_assert(rem_writer_applied(fix.writer, commit.epoch - 1));
    for (uint32_t i = 0; i < 20; i++) {
        fix_put(&fix, "app", 100 + 5 * i, 5);
        ck_assert(rem_writer_reclaim(fix.writer));
        for (uint32_t k = 0; k < 5; k++)
            ck_assert_uint_eq(fix_number(set, rem_set_server(set, k)), 1 + k);
    }
    /* so does a writer's death */
    rem_writer_free(&fix.writer);
    ck_assert_int_eq(rem_writer_new(&fix.region, &fix.writer, NULL), REM_OK);
    rem_writer_set_poison(fix.writer, true);
    fix_put(&fix, "app", 500, 5);
    ck_assert(rem_writer_reclaim(fix.writer));
    for (uint32_t k = 0; k < 5; k++)
        ck_assert_uint_eq(fix_number(set, rem_set_server(set, k)), 1 + k);
    ck_assert_int_eq(rem_writer_stats(fix.writer, &stats), REM_OK);
    ck_assert_uint_gt(stats.pending, 0);
    rem_reader_quiesce(&reader);
    ck_assert(rem_writer_applied(fix.writer, commit.epoch));
    fix_settle(&fix);
    rem_upstream_ref_fini(&ref);
}
END_TEST

START_TEST(dead_workers_pins_are_taken_back)
{
    struct rem_reader reader, other;
    struct rem_upstream_ref ref;
    struct rem_pin pin = {0}, other_pin = {0};
    const struct rem_shm_set *set;
    unsigned slot = fix_worker(&fix, &reader);

    fix_worker(&fix, &other);
    rem_upstream_ref_init(&ref, rem_str_from("app"));
    fix_put(&fix, "app", 1, 2);
    set = rem_reader_find(&reader, &ref);
    ck_assert_int_eq(rem_pin_take(&reader, set, rem_set_server(set, 0), 1, &pin), REM_OK);
    ck_assert_int_eq(rem_pin_take(&reader, set, rem_set_server(set, 1), 1, &pin), REM_OK);
    rem_upstream_count_idle(&reader, &ref, set->upstream_uid, 3);
    ck_assert_int_eq(rem_pin_take(&other, set, rem_set_server(set, 1), 1, &other_pin), REM_OK);
    fix_put(&fix, "app", 2, 1); /* one in the set, one a zombie */
    /* it dies in the middle of a turn */
    rem_region_worker_gone(&fix.region, slot);
    ck_assert_int_eq(atomic_load(&rem_region_worker(&fix.region, slot)->state), REM_WORKER_DEAD);
    fix_settle(&fix);
    ck_assert_int_eq(atomic_load(&rem_region_worker(&fix.region, slot)->state), REM_WORKER_FREE);
    struct rem_upstream_status status = fix_status(&fix, "app", &arena);
    ck_assert_int_eq(status.servers[0].active, 1); /* the other's */
    ck_assert_int_eq(status.idle, 0);
    ck_assert_uint_eq(status.zombies, 0);
    rem_upstream_ref_fini(&ref);
}
END_TEST

static void reconcile(const struct rem_upstream_spec *specs, size_t count, uint64_t generation)
{
    const struct rem_registry_conf conf = {
        .upstreams = specs, .upstream_count = count, .generation = generation};

    ck_assert_int_eq(rem_writer_reconcile(fix.writer, &conf, NULL), REM_OK);
}

/* The API changes all of them, and makes one. */
static void change_all(const struct rem_upstream_spec *specs, size_t count)
{
    struct rem_upstream_spec runtime;
    struct rem_change *change;
    struct rem_commit commit;

    ck_assert_int_eq(rem_change_new(fix.writer, &change), REM_OK);
    for (uint32_t i = 0; i < count; i++) {
        fix_server(&fix.servers[0], 50 + i);
        ck_assert_int_eq(rem_change_servers(change, specs[i].name, fix.servers, 1, NULL), REM_OK);
    }
    runtime = fix_upstream(&fix, "made", 90, 1);
    runtime.flags = REM_UPSTREAM_RUNTIME;
    ck_assert_int_eq(rem_change_put(change, &runtime, NULL), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
}

START_TEST(reconciles_with_a_configuration)
{
    static struct rem_server_spec one[1], two[2];
    struct rem_upstream_spec specs[3] = {
        {.name = REM_STR("keep"), .config_hash = 10, .servers = one, .server_count = 1},
        {.name = REM_STR("edit"), .config_hash = 20, .servers = two, .server_count = 2},
        {.name = REM_STR("drop"), .config_hash = 30, .servers = two, .server_count = 2},
    };
    unsigned slot;

    fix_server(&one[0], 1);
    fix_server(&two[0], 2);
    fix_server(&two[1], 3);
    reconcile(specs, 3, 1);
    ck_assert_uint_eq(rem_writer_revision(fix.writer), 1);
    reconcile(specs, 3, 1);
    ck_assert_uint_eq(rem_writer_revision(fix.writer), 1);
    change_all(specs, 3);
    /* a worker of the first configuration lives on through the reload */
    ck_assert_int_eq(rem_region_claim_worker(&fix.region, 1, 0, &slot), REM_OK);
    specs[1].config_hash = 21;
    reconcile(specs, 2, 2);
    fix_settle(&fix);
    ck_assert_uint_eq(rem_writer_count(fix.writer), 4);
    struct rem_upstream_status status = fix_status(&fix, "keep", &arena);
    ck_assert(rem_str_has_prefix(status.servers[0].spec.server, REM_STR("127.0.0.50:")));
    status = fix_status(&fix, "edit", &arena);
    ck_assert_uint_eq(status.server_count, 2);
    ck_assert(rem_str_has_prefix(status.servers[0].spec.server, REM_STR("127.0.0.2:")));
    status = fix_status(&fix, "drop", &arena);
    ck_assert(status.spec.flags & REM_UPSTREAM_ORPHAN);
    ck_assert_uint_eq(status.server_count, 1);
    uint64_t revision = rem_writer_revision(fix.writer);
    rem_region_worker_gone(&fix.region, slot);
    fix_settle(&fix);
    ck_assert_uint_eq(rem_writer_count(fix.writer), 3);
    ck_assert_uint_eq(rem_writer_revision(fix.writer), revision);
    /* a reload that changes nothing: no new revision */
    reconcile(specs, 2, 3);
    ck_assert_uint_eq(rem_writer_revision(fix.writer), revision);
}
END_TEST

START_TEST(damage_is_noticed)
{
    struct rem_writer *second = NULL;
    struct rem_err err;
    uint64_t root;

    fix_put(&fix, "app", 1, 5);
    root = atomic_load(&fix.region.header->root);
    struct rem_shm_dir *dir = rem_region_at(&fix.region, root);
    uint64_t size = dir->size;
    dir->size = FIX_SIZE;
    ck_assert_int_eq(rem_writer_new(&fix.region, &second, &err), REM_EPROTO);
    dir->size = size;
    atomic_store(&fix.region.header->root, root + 64);
    ck_assert_int_eq(rem_writer_new(&fix.region, &second, &err), REM_EPROTO);
    atomic_store(&fix.region.header->root, FIX_SIZE - 64);
    ck_assert_int_eq(rem_writer_new(&fix.region, &second, &err), REM_EPROTO);
    ck_assert_ptr_nonnull(strstr(err.text, "damaged"));
    ck_assert_ptr_null(second);
    atomic_store(&fix.region.header->root, root);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("writer");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, publishes_and_reads_back);
    tcase_add_test(tcase, refuses_bad_specs);
    tcase_add_test(tcase, one_address_many_times);
    tcase_add_test(tcase, many_upstreams_in_one_publish);
    tcase_add_test(tcase, identity_across_swaps);
    tcase_add_test(tcase, ids_stay_and_are_never_reused);
    tcase_add_test(tcase, duplicates_from_a_configuration);
    tcase_add_test(tcase, full_region_changes_nothing);
    tcase_add_test(tcase, a_new_writer_takes_over);
    tcase_add_test(tcase, a_reader_in_an_old_turn_delays_freeing_only);
    tcase_add_test(tcase, dead_workers_pins_are_taken_back);
    tcase_add_test(tcase, reconciles_with_a_configuration);
    tcase_add_test(tcase, damage_is_noticed);
    return run_suite("writer", tcase);
}
