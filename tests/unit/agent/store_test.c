/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of changes; what a registry is merged with. */
#include "agent/store.h"
#include "agent/store_diff.h"
#include "agent/store_read.h"
#include "proto/shm/keyval.h"
#include "proto/shm/state_mark.h"

#include "tests/unit/agent/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- differences ---- */

enum { MOST = 3 };

/* A server: address, weight, flags, parent. */
struct brief {
    const char *addr;
    uint32_t weight, flags, parent;
};

static const struct diff_case {
    struct brief conf[4], now[4];
    uint32_t conf_limit, now_limit;
    bool with_service;
    const char *changes; /* NULL: the same */
} diff_cases[] = {
    {{{"127.0.0.1:1", 0, 0, 0}}, {{"127.0.0.1:1", 0, 0, 0}}, 0, 0, false, NULL},
    {{{NULL, 0, 0, 0}}, {{NULL, 0, 0, 0}}, 3, 3, false, NULL},
    {{{NULL, 0, 0, 0}}, {{NULL, 0, 0, 0}}, 3, 4, false, "max_requests=4"},
    {{{"127.0.0.1:1", 0, 0, 0}}, {{"127.0.0.1:1", 5, 0, 0}}, 0, 0, false, "127.0.0.1:1 weight=5"},
    {{{"127.0.0.1:1", 5, 0, 0}}, {{"127.0.0.1:1", 0, 0, 0}}, 0, 0, false, "127.0.0.1:1 weight=1"},
    {{{"127.0.0.1:1", 0, 0, 0}},
     {{"127.0.0.2:1", 0, 0, 0}},
     0,
     0,
     false,
     "+127.0.0.2:1, -127.0.0.1:1"},
    {{{"127.0.0.1:1", 1, REM_SERVER_DOWN, 0}},
     {{"127.0.0.1:1", 1, REM_SERVER_DRAIN, 0}},
     0,
     0,
     false,
     "127.0.0.1:1 down=off drain"},
    {{{"127.0.0.1:1", 0, 0, 0}, {"127.0.0.2:1", 0, 0, 0}},
     {{"127.0.0.2:1", 0, 0, 0}, {"127.0.0.1:1", 0, 0, 0}},
     0,
     0,
     false,
     "the order of the servers"},
    /* one address twice */
    {{{"127.0.0.1:1", 0, 0, 0}, {"127.0.0.1:1", 2, 0, 0}},
     {{"127.0.0.1:1", 0, 0, 0}},
     0,
     0,
     false,
     "-127.0.0.1:1"},
    {{{"127.0.0.1:1", 0, 0, 0}, {"127.0.0.1:1", 2, 0, 0}},
     {{"127.0.0.1:1", 0, 0, 0}, {"127.0.0.1:1", 2, 0, 0}},
     0,
     0,
     false,
     NULL},
    /* found by asking */
    {{{"127.0.0.1:1", 0, 0, 0}},
     {{"127.0.0.9:1", 1, 0, 1}, {"127.0.0.1:1", 0, 0, 0}},
     0,
     0,
     false,
     NULL},
    {{{NULL, 0, 0, 0}}, {{"127.0.0.9:1", 4, 0, 1}}, 0, 0, false, "127.0.0.9:1 weight=4"},
    {{{NULL, 0, 0, 0}}, {{"127.0.0.9:1", 4, REM_SERVER_BACKUP, 1}}, 0, 0, true, NULL},
    {{{NULL, 0, 0, 0}},
     {{"127.0.0.9:1", 4, REM_SERVER_DOWN, 1}},
     0,
     0,
     true,
     "127.0.0.9:1 weight=4 down"},
    /* more than are told */
    {{{"127.0.0.1:1", 0, 0, 0}, {"127.0.0.2:1", 0, 0, 0}, {"127.0.0.3:1", 0, 0, 0}},
     {{"127.0.0.4:1", 0, 0, 0}, {"127.0.0.5:1", 0, 0, 0}, {"127.0.0.6:1", 0, 0, 0}},
     0,
     0,
     false,
     "+127.0.0.4:1, +127.0.0.5:1, +127.0.0.6:1 and 3 more"},
};

static void make_spec(const struct brief *brief, uint32_t limit, struct rem_server_spec servers[4],
                      struct rem_upstream_spec *out)
{
    *out = (struct rem_upstream_spec){.servers = servers, .limits = {.max_requests = limit}};
    for (; out->server_count < 4 && brief[out->server_count].addr != NULL; out->server_count++) {
        const struct brief *b = &brief[out->server_count];
        struct rem_server_spec *s = &servers[out->server_count];
        *s = server(b->addr);
        if (b->weight != 0)
            s->weight = b->weight;
        s->flags = b->flags;
        s->parent = b->parent;
    }
}

START_TEST(differences)
{
    const struct diff_case *c = &diff_cases[_i];
    struct rem_server_spec a[4], b[4];
    struct rem_resolve_spec resolve = {.service = rem_str_from(c->with_service ? "_s" : "")};
    struct rem_upstream_spec conf, now;
    struct rem_sbuf out;

    rem_server_spec_init(&resolve.server);
    make_spec(c->conf, c->conf_limit, a, &conf);
    make_spec(c->now, c->now_limit, b, &now);
    conf.resolves = &resolve;
    conf.resolve_count = 1;
    ck_assert_int_eq(rem_store_same(&conf, &now), c->changes == NULL);
    rem_sbuf_init(&out);
    ck_assert_int_eq(rem_store_changes(&conf, &now, MOST, &out), 0);
    rem_sbuf_addc(&out, '\0');
    ck_assert_str_eq(out.p, c->changes != NULL ? c->changes : "");
    rem_sbuf_fini(&out);
}
END_TEST

/* ---- the rule, with a registry ---- */

struct world {
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_clock clock;
    struct rem_log log;
    struct rem_persist persist;
    struct rem_store store;
    char dir[64], path[128];
};

static void on_saved(void *data, struct rem_save *save, int rc)
{
    (void)data;
    (void)save;
    ck_assert_int_eq(rc, 0);
}

static void world_init(struct world *w)
{
    *w = (struct world){.clock = {.wall_sec = 1700000000}};
    strcpy(w->dir, "/tmp/remora-store-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(w->dir));
    snprintf(w->path, sizeof(w->path), "%s/state.json", w->dir);
    w->log.clock = &w->clock;
}

/* Another life: `fresh` without what the last one left in shared memory. */
static void start(struct world *w, const struct rem_upstream_spec *specs, size_t count, bool fresh)
{
    static uint64_t generation;
    struct rem_registry_conf conf = {
        .upstreams = specs, .upstream_count = count, .generation = ++generation};
    struct rem_err err = {0};

    if (fresh) {
        ck_assert_int_eq(rem_region_create(&w->region, REM_REGION_MIN, 1), 0);
    }
    ck_assert_int_eq(rem_writer_new(&w->region, &w->writer, &err), 0);
    rem_persist_init(&w->persist, &w->log);
    w->persist.on_saved = on_saved;
    w->store = (struct rem_store){
        .writer = w->writer, .log = &w->log, .clock = &w->clock, .persist = &w->persist};
    ck_assert_msg(rem_store_merge(&w->store, w->path, &conf, &err) == 0, "%s", err.text);
    ck_assert_int_eq(rem_writer_reconcile(w->writer, &conf, &err), 0);
    rem_store_start(&w->store);
    rem_persist_run(&w->persist);
}

static void stop(struct world *w, bool end)
{
    if (end)
        rem_store_close(&w->store);
    rem_persist_drain(&w->persist);
    rem_persist_stop(&w->persist);
    rem_store_stop(&w->store);
    rem_writer_free(&w->writer);
    if (end)
        rem_region_close(&w->region);
}

static void put(struct world *w, const struct rem_upstream_spec *spec)
{
    struct rem_change *change;
    struct rem_commit commit;
    struct rem_save save;
    struct rem_err err = {0};

    ck_assert_int_eq(rem_change_new(w->writer, &change), 0);
    ck_assert_int_eq(rem_change_put(change, spec, &err), 0);
    rem_store_note(&w->store);
    ck_assert_int_eq(rem_persist_prepare(&w->persist, &save), 0);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, &err), 0);
    rem_change_free(&change);
    rem_persist_queue(&w->persist, &save);
    rem_persist_run(&w->persist);
}

static uint32_t weight_of(struct world *w, const char *name)
{
    struct rem_upstream_spec spec;
    struct rem_arena arena;
    uint32_t weight = 0;
    size_t index;

    if (rem_writer_find(w->writer, rem_str_from(name), &index) != 0)
        return 0;
    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_writer_spec(w->writer, index, &arena, &spec), 0);
    if (!(spec.flags & REM_UPSTREAM_ORPHAN))
        weight = spec.servers[0].weight;
    rem_arena_reset(&arena);
    return weight;
}

START_TEST(the_rule)
{
    struct rem_server_spec one = server("127.0.0.1:1"), five = server("127.0.0.1:1");
    struct rem_upstream_spec conf[3] = {
        {.name = REM_STR("same"), .config_hash = 1, .servers = &one, .server_count = 1},
        {.name = REM_STR("edited"), .config_hash = 2, .servers = &one, .server_count = 1},
        {.name = REM_STR("gone"), .config_hash = 3, .servers = &one, .server_count = 1}};
    struct rem_upstream_spec changed[3], made = {.name = REM_STR("made"),
                                                 .flags = REM_UPSTREAM_RUNTIME,
                                                 .servers = &five,
                                                 .server_count = 1};
    struct rem_upstream_spec named = made;
    bool fresh = _i == 0;
    struct world w;

    five.weight = 5;
    named.name = REM_STR("named");
    world_init(&w);
    start(&w, conf, 3, true);
    for (int i = 0; i < 3; i++) {
        changed[i] = conf[i];
        changed[i].servers = &five;
        put(&w, &changed[i]);
    }
    put(&w, &made);
    put(&w, &named);
    stop(&w, fresh);
    conf[1].config_hash = 20;
    conf[2].name = REM_STR("named");
    start(&w, conf, 3, fresh);
    ck_assert_uint_eq(weight_of(&w, "same"), 5);
    ck_assert_uint_eq(weight_of(&w, "edited"), 1);
    ck_assert_uint_eq(weight_of(&w, "gone"), 0);
    ck_assert_uint_eq(weight_of(&w, "made"), 5);
    ck_assert_uint_eq(weight_of(&w, "named"), 1);
    ck_assert_uint_eq(w.store.drop_count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(rem_str_is(w.store.drops[i].name, i == 0 ? "edited" : i == 1 ? "gone" : "named"));
        ck_assert(rem_str_is(w.store.drops[i].changes,
                             i == 2 ? "+127.0.0.1:1 weight=5" : "127.0.0.1:1 weight=5"));
        ck_assert_int_eq(w.store.drops[i].sec, 1700000000);
    }
    stop(&w, fresh);
    start(&w, conf, 3, fresh); /* and that is that */
    ck_assert_uint_eq(w.store.drop_count, 3);
    ck_assert_uint_eq(weight_of(&w, "same"), 5);
    stop(&w, true);
    unlink(w.path);
    ck_assert_int_eq(rmdir(w.dir), 0);
}
END_TEST

START_TEST(revisions)
{
    struct rem_server_spec one = server("127.0.0.1:1");
    struct rem_upstream_spec conf = {
        .name = REM_STR("u"), .config_hash = 1, .servers = &one, .server_count = 1};
    struct world w;
    uint64_t last;

    world_init(&w);
    start(&w, &conf, 1, true);
    ck_assert_uint_eq(rem_writer_revision(w.writer), 1);
    one.weight = 2;
    put(&w, &conf);
    stop(&w, true);
    start(&w, &conf, 1, true);
    ck_assert_uint_eq(rem_writer_revision(w.writer), 3);
    stop(&w, false); /* no proper end: as if killed */
    rem_region_close(&w.region);
    start(&w, &conf, 1, true);
    last = rem_writer_revision(w.writer);
    ck_assert_uint_eq(last, 3 + REM_STORE_AHEAD + 1);
    stop(&w, false);
    start(&w, &conf, 1, false); /* another agent, the same registry */
    ck_assert_uint_eq(rem_writer_revision(w.writer), last);
    stop(&w, true);
    unlink(w.path);
    ck_assert_int_eq(rmdir(w.dir), 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, differences, 0, (int)REM_COUNT(diff_cases));
    tcase_add_loop_test(tc, the_rule, 0, 2);
    tcase_add_test(tc, revisions);
    return run_suite("store", tc);
}
