/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/state.h"

#include "proto/shm/state_mark.h"

#include "tests/unit/agent/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A registry with one upstream whose state file is in a directory of its own. */
struct world {
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_log_file log_file;
    struct rem_log_target target;
    struct rem_clock clock;
    struct rem_log log;
    char dir[64], path[80], aside[96], fresh[96];
    struct rem_upstream_spec spec;
    struct rem_states states;
    struct rem_persist persist;
    int saved; /* what came of the last save */
};

static void world_init(struct world *w)
{
    struct rem_err err;

    *w = (struct world){.log_file = {.fd = -1}};
    strcpy(w->dir, "/tmp/remora-state-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(w->dir));
    snprintf(w->path, sizeof(w->path), "%s/u", w->dir);
    snprintf(w->aside, sizeof(w->aside), "%s.broken", w->path);
    snprintf(w->fresh, sizeof(w->fresh), "%s.new", w->path);
    w->target = (struct rem_log_target){.file = &w->log_file, .level = REM_LOG_INFO};
    w->log = (struct rem_log){.targets = &w->target, .level = REM_LOG_INFO, .clock = &w->clock};
    w->spec = (struct rem_upstream_spec){.name = REM_STR("u"),
                                         .zone = REM_STR("z"),
                                         .config_hash = 1,
                                         .flags = REM_UPSTREAM_STATE,
                                         .state = rem_str_from(w->path)};
    rem_persist_init(&w->persist, &w->log);
    ck_assert_int_eq(rem_region_create(&w->region, REM_REGION_MIN, 1), 0);
    ck_assert_int_eq(rem_writer_new(&w->region, &w->writer, &err), 0);
    ck_assert_int_eq(rem_writer_reconcile(w->writer,
                                          &(struct rem_registry_conf){.upstreams = &w->spec,
                                                                      .upstream_count = 1,
                                                                      .generation = 1},
                                          &err),
                     0);
}

static void on_saved(void *data, struct rem_save *save, int rc)
{
    (void)save;
    ((struct world *)data)->saved = rc;
}

static void start(struct world *w)
{
    rem_persist_init(&w->persist, &w->log);
    w->persist.on_saved = on_saved;
    w->persist.data = w;
    w->states = (struct rem_states){.writer = w->writer, .log = &w->log, .persist = &w->persist};
    ck_assert_int_eq(rem_states_start(&w->states, &w->spec, 1), 0);
    rem_persist_run(&w->persist);
}

static void stop(struct world *w)
{
    rem_persist_stop(&w->persist);
    rem_states_stop(&w->states);
}

static void world_fini(struct world *w)
{
    stop(w);
    rem_writer_free(&w->writer);
    rem_region_close(&w->region);
    unlink(w->path);
    unlink(w->aside);
    ck_assert_int_eq(rmdir(w->dir), 0); /* nothing else is left */
}

/* Publishes one server as the API does; returns what saving it did. */
static int change(struct world *w, const char *addr)
{
    struct rem_server_spec s = server(addr);
    struct rem_change *c;
    struct rem_commit commit;
    struct rem_save save;
    struct rem_err err;

    ck_assert_int_eq(rem_change_new(w->writer, &c), 0);
    ck_assert_int_eq(rem_change_servers(c, w->spec.name, &s, 1, &err), 0);
    rem_states_note(&w->states, c);
    ck_assert_int_eq(rem_persist_prepare(&w->persist, &save), 0);
    ck_assert_int_eq(rem_change_commit(c, REM_REVISION_ANY, &commit, &err), 0);
    rem_change_free(&c);
    w->saved = rem_persist_needed(&save) ? 1 : 0;
    rem_persist_queue(&w->persist, &save);
    rem_persist_run(&w->persist);
    return w->saved;
}

/* A change of another upstream. */
static void change_other(struct world *w)
{
    struct rem_save save;

    ck_assert_int_eq(rem_persist_prepare(&w->persist, &save), 0);
    ck_assert(!rem_persist_needed(&save));
    rem_persist_queue(&w->persist, &save);
    rem_persist_run(&w->persist);
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static const char *get_file(const char *path)
{
    static char text[4096];
    FILE *f = fopen(path, "r");
    size_t n;

    ck_assert_msg(f != NULL, "%s is missing", path);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static void check_file(const struct world *w, const char *lines)
{
    const char *text = get_file(w->path);

    ck_assert(rem_state_mark_ok(rem_str_from(text)));
    ck_assert_msg(strncmp(text, lines, strlen(lines)) == 0 && text[strlen(lines)] == '#', "%s",
                  text);
}

/* ---- the mark ---- */

START_TEST(mark)
{
    struct rem_sbuf text;

    for (int lines = 0; lines < 3; lines++) {
        rem_sbuf_init(&text);
        for (int i = 0; i < lines; i++)
            rem_sbuf_adds(&text, "server 127.0.0.1;\n");
        ck_assert(!rem_state_mark_ok(rem_sbuf_str(&text)));
        rem_state_mark_add(&text);
        ck_assert(rem_state_mark_ok(rem_sbuf_str(&text)));
        for (size_t i = 0; i < text.n; i++) {
            ck_assert(!rem_state_mark_ok(rem_str_make(text.p, i))); /* cut */
            text.p[i] ^= 1;
            ck_assert(!rem_state_mark_ok(rem_sbuf_str(&text)));
            text.p[i] ^= 1;
        }
        rem_sbuf_addc(&text, '\n');
        ck_assert(!rem_state_mark_ok(rem_sbuf_str(&text)));
        rem_sbuf_fini(&text);
    }
}
END_TEST

/* ---- the text ---- */

static const struct text_case {
    const char *addr;
    struct rem_server_spec with; /* what is not 0 counts */
    const char *line;
} text_cases[] = {
    {"127.0.0.1", {.id = 0}, "server 127.0.0.1:80;\n"},
    {"[::1]:8080", {.weight = 7}, "server [::1]:8080 weight=7;\n"},
    {"unix:/a b", {.max_conns = 9}, "server \"unix:/a b\" max_conns=9;\n"},
    {"unix:/a\"\\\n", {.max_fails = 2}, "server \"unix:/a\\\"\\\\\\n\" max_fails=2;\n"},
    {"127.0.0.1",
     {.fail_timeout_ms = 60000, .slow_start_ms = 1},
     "server 127.0.0.1:80 fail_timeout=60s slow_start=1ms;\n"},
    {"127.0.0.1", {.route = REM_STR("a")}, "server 127.0.0.1:80 route=a;\n"},
    {"127.0.0.1", {.route = REM_STR("a;{}")}, "server 127.0.0.1:80 \"route=a;{}\";\n"},
    {"127.0.0.1", {.route = REM_STR("#'$\t")}, "server 127.0.0.1:80 \"route=#'$\\t\";\n"},
    {"127.0.0.1",
     {.flags = REM_SERVER_BACKUP | REM_SERVER_DOWN | REM_SERVER_DRAIN},
     "server 127.0.0.1:80 backup down drain;\n"},
    {"127.0.0.1", {.parent = 1}, ""}, /* found by asking */
};

START_TEST(texts)
{
    const struct text_case *c = &text_cases[_i];
    struct rem_server_spec s = server(c->addr);
    struct rem_upstream_spec now = {.servers = &s, .server_count = 1}, spec = {0};
    struct rem_sbuf out;

    s.weight = c->with.weight != 0 ? c->with.weight : s.weight;
    s.max_conns = c->with.max_conns;
    s.max_fails = c->with.max_fails != 0 ? c->with.max_fails : s.max_fails;
    s.fail_timeout_ms = c->with.fail_timeout_ms != 0 ? c->with.fail_timeout_ms : s.fail_timeout_ms;
    s.slow_start_ms = c->with.slow_start_ms;
    s.route = c->with.route;
    s.flags = c->with.flags;
    s.parent = c->with.parent;
    rem_sbuf_init(&out);
    rem_state_text(&spec, &now, &out);
    ck_assert(rem_state_mark_ok(rem_sbuf_str(&out)));
    ck_assert_msg(rem_str_has_prefix(rem_sbuf_str(&out), rem_str_from(c->line)) &&
                      out.p[strlen(c->line)] == '#',
                  "%.*s", (int)out.n, out.p);
    rem_sbuf_fini(&out);
}
END_TEST

START_TEST(names)
{
    struct rem_resolve_spec resolves[2] = {
        {.host = REM_STR("a.test"), .port = 81},
        {.host = REM_STR("b.test"), .service = REM_STR("_http._tcp.b.test")},
    };
    struct rem_upstream_spec spec = {.resolves = resolves, .resolve_count = 2}, now = {0};
    const char *expected = "server a.test:81 resolve weight=2;\n"
                           "server b.test resolve service=_http._tcp;\n#";
    struct rem_sbuf out;

    rem_server_spec_init(&resolves[0].server);
    rem_server_spec_init(&resolves[1].server);
    resolves[0].server.weight = 2;
    resolves[0].server.name = REM_STR("a.test:81");
    resolves[1].server.name = REM_STR("b.test");
    rem_sbuf_init(&out);
    rem_state_text(&spec, &now, &out);
    ck_assert_msg(rem_str_has_prefix(rem_sbuf_str(&out), rem_str_from(expected)), "%.*s",
                  (int)out.n, out.p);
    rem_sbuf_fini(&out);
}
END_TEST

/* ---- files ---- */

START_TEST(changes_are_written)
{
    struct world w;
    struct stat before, after;

    world_init(&w);
    start(&w);
    check_file(&w, "");
    ck_assert_int_eq(change(&w, "127.0.0.1"), 0);
    check_file(&w, "server 127.0.0.1:80;\n");
    ck_assert_int_eq(stat(w.path, &before), 0);
    ck_assert_int_eq(change(&w, "127.0.0.1"), 0); /* says nothing new: the same file */
    ck_assert_int_eq(stat(w.path, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_int_eq(change(&w, "127.0.0.2"), 0);
    check_file(&w, "server 127.0.0.2:80;\n");
    world_fini(&w);
}
END_TEST

START_TEST(a_start_writes_what_a_killed_agent_did_not)
{
    struct world w;

    world_init(&w);
    start(&w);
    ck_assert_int_eq(change(&w, "127.0.0.1"), 0);
    stop(&w);
    w.states.job_count = 0;
    ck_assert_int_eq(change(&w, "127.0.0.2"), 0); /* nobody writes it */
    check_file(&w, "server 127.0.0.1:80;\n");
    start(&w);
    check_file(&w, "server 127.0.0.2:80;\n");
    world_fini(&w);
}
END_TEST

START_TEST(a_start_leaves_what_somebody_edited)
{
    struct world w;

    world_init(&w);
    put_file(w.path, "server 127.0.0.9;\n");
    start(&w);
    ck_assert_str_eq(get_file(w.path), "server 127.0.0.9;\n");
    ck_assert_int_eq(change(&w, "127.0.0.1"), 0);
    check_file(&w, "server 127.0.0.1:80;\n");
    ck_assert_int_ne(access(w.aside, F_OK), 0);
    world_fini(&w);
}
END_TEST

START_TEST(a_broken_one_is_kept_aside)
{
    struct world w;

    world_init(&w);
    put_file(w.path, "serv");
    put_file(w.fresh, "left by a killed agent");
    w.spec.state_flags = REM_STATE_BROKEN;
    start(&w);
    ck_assert_str_eq(get_file(w.path), "serv");
    ck_assert_int_eq(change(&w, "127.0.0.1"), 0);
    check_file(&w, "server 127.0.0.1:80;\n");
    ck_assert_str_eq(get_file(w.aside), "serv");
    ck_assert_int_eq(change(&w, "127.0.0.2"), 0); /* once is enough */
    ck_assert_str_eq(get_file(w.aside), "serv");
    world_fini(&w);
}
END_TEST

START_TEST(a_failure_is_told_until_it_is_over)
{
    struct world w;

    world_init(&w);
    start(&w);
    ck_assert_int_eq(change(&w, "127.0.0.1"), 0);
    ck_assert_int_eq(mkdir(w.fresh, 0700), 0); /* in the way */
    ck_assert_int_eq(change(&w, "127.0.0.2"), REM_EIO);
    ck_assert_int_eq(change(&w, "127.0.0.2"), REM_EIO); /* the client's second attempt */
    change_other(&w);
    check_file(&w, "server 127.0.0.1:80;\n");
    ck_assert_int_eq(rmdir(w.fresh), 0);
    change_other(&w); /* and this one is made up for */
    check_file(&w, "server 127.0.0.2:80;\n");
    world_fini(&w);
}
END_TEST

/* ---- what a new configuration begins with ---- */

static const struct inherit_case {
    uint64_t hash;
    uint32_t method, state_flags;
    const char *file;  /* NULL: the agent's own */
    const char *first; /* the server it begins with; NULL: none */
    bool other_hash;
} inherit_cases[] = {
    {1, REM_BALANCE_ROUND_ROBIN, 0, NULL, "127.0.0.9:80", false}, /* unchanged: kept by hash */
    {2, REM_BALANCE_ROUND_ROBIN, 0, NULL, "127.0.0.1:80", false},
    {2, REM_BALANCE_IP_HASH, 0, NULL, "127.0.0.1:80", false},
    {2, REM_BALANCE_ROUND_ROBIN, REM_STATE_EDITED, "server 127.0.0.9;", "127.0.0.9:80", false},
    /* written again since the master read it */
    {2, REM_BALANCE_ROUND_ROBIN, REM_STATE_EDITED, NULL, "127.0.0.1:80", false},
    {1, REM_BALANCE_ROUND_ROBIN, REM_STATE_EDITED, "server 127.0.0.9;", "127.0.0.9:80", true},
    {2, REM_BALANCE_ROUND_ROBIN, REM_STATE_BROKEN, "x", "127.0.0.1:80", false},
};

/* The block as an agent begins with it. */
static void inherit(struct world *w, struct rem_arena *arena)
{
    struct rem_upstream_spec old;
    size_t index;

    ck_assert_int_eq(rem_writer_find(w->writer, w->spec.name, &index), 0);
    ck_assert_int_eq(rem_writer_spec(w->writer, index, arena, &old), 0);
    ck_assert_int_eq(rem_state_inherit(arena, &old, &w->spec), 0);
}

START_TEST(inherits)
{
    const struct inherit_case *c = &inherit_cases[_i];
    struct rem_server_spec s = server("127.0.0.9");
    struct rem_arena arena;
    struct world w;
    char text[REM_ADDR_TEXT];

    world_init(&w);
    start(&w);
    ck_assert_int_eq(change(&w, "127.0.0.1"), 0);
    if (c->file != NULL)
        put_file(w.path, c->file);
    w.spec.config_hash = c->hash;
    w.spec.method = c->method;
    w.spec.state_flags = c->state_flags;
    w.spec.servers = &s;
    w.spec.server_count = 1;
    rem_arena_init(&arena, NULL);
    inherit(&w, &arena);
    ck_assert_uint_eq(w.spec.server_count, 1);
    rem_addr_text(&w.spec.servers[0].addr, text, sizeof(text));
    ck_assert_str_eq(text, c->first);
    ck_assert_int_eq(w.spec.config_hash != c->hash, c->other_hash);
    rem_arena_reset(&arena);
    world_fini(&w);
}
END_TEST

START_TEST(a_method_without_backups_leaves_them_out)
{
    struct rem_server_spec two[2] = {server("127.0.0.1"), server("127.0.0.2")};
    struct rem_arena arena;
    struct rem_err err;
    struct world w;

    world_init(&w);
    two[0].slow_start_ms = 1000;
    two[1].flags = REM_SERVER_BACKUP;
    w.spec.servers = two;
    w.spec.server_count = 2;
    w.spec.config_hash = 2;
    ck_assert_int_eq(
        rem_writer_reconcile(
            w.writer,
            &(struct rem_registry_conf){.upstreams = &w.spec, .upstream_count = 1, .generation = 2},
            &err),
        0);
    w.spec.config_hash = 3;
    w.spec.method = REM_BALANCE_IP_HASH;
    w.spec.server_count = 0;
    rem_arena_init(&arena, NULL);
    inherit(&w, &arena);
    ck_assert_uint_eq(w.spec.server_count, 1);
    ck_assert_uint_eq(w.spec.servers[0].slow_start_ms, 0);
    ck_assert_int_eq(
        rem_writer_reconcile(
            w.writer,
            &(struct rem_registry_conf){.upstreams = &w.spec, .upstream_count = 1, .generation = 3},
            &err),
        0);
    rem_arena_reset(&arena);
    world_fini(&w);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, mark);
    tcase_add_loop_test(tc, texts, 0, (int)REM_COUNT(text_cases));
    tcase_add_test(tc, names);
    tcase_add_test(tc, changes_are_written);
    tcase_add_test(tc, a_start_writes_what_a_killed_agent_did_not);
    tcase_add_test(tc, a_start_leaves_what_somebody_edited);
    tcase_add_test(tc, a_broken_one_is_kept_aside);
    tcase_add_test(tc, a_failure_is_told_until_it_is_over);
    tcase_add_loop_test(tc, inherits, 0, (int)REM_COUNT(inherit_cases));
    tcase_add_test(tc, a_method_without_backups_leaves_them_out);
    return run_suite("state", tc);
}
