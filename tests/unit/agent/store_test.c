/* SPDX-License-Identifier: Apache-2.0 */
/* What is written is read back; what is told of changes; what a registry is merged with. */
#include "agent/store.h"
#include "agent/store_diff.h"
#include "agent/store_read.h"
#include "proto/shm/keyval.h"
#include "proto/shm/state_mark.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct rem_server_spec server(const char *addr)
{
    struct rem_server_spec s;

    rem_server_spec_init(&s);
    ck_assert_int_eq(rem_addr_parse(rem_str_from(addr), 80, &s.addr), 0);
    return s;
}

/* ---- text ---- */

static const struct string_case {
    struct rem_str s;
    const char *text;
} string_cases[] = {
    {REM_STR(""), "\"\""},
    {REM_STR("plain ~"), "\"plain ~\""},
    {REM_STR("a\"b\\c"), "\"a\\u0022b\\u005cc\""},
    {REM_STR("\n\x7f"), "\"\\u000a\\u007f\""},
    {REM_STR("\xff\xc3\xa9"), "\"\\u00ff\\u00c3\\u00a9\""},
    {{"a\0b", 3}, "\"a\\u0000b\""},
};

START_TEST(strings)
{
    struct rem_sbuf out;

    rem_sbuf_init(&out);
    rem_store_text_string(string_cases[_i].s, &out);
    rem_sbuf_addc(&out, '\0');
    ck_assert_str_eq(out.p, string_cases[_i].text);
    rem_sbuf_fini(&out);
}
END_TEST

static void begin(struct rem_sbuf *out)
{
    rem_sbuf_init(out);
    rem_sbuf_adds(out, "{\"remora_state\":1,\n\"revision\":7,\"reserved\":9,\n\"upstreams\":[");
}

/* Every number of an upstream and of a server has a value of its own, and comes back. */
START_TEST(all_of_an_upstream_comes_back)
{
    struct rem_upstream_spec spec = {.name = {"n\"\xff", 3},
                                     .zone = REM_STR("z"),
                                     .zone_size = 5000000000,
                                     .config_hash = 0xfedcba9876543210,
                                     .flags = REM_UPSTREAM_RUNTIME,
                                     .server_count = 2};
    struct rem_server_spec servers[2] = {server("127.0.0.1:1"), server("unix:/a b")};
    struct rem_store_saved saved;
    const struct rem_upstream_spec *got;
    struct rem_arena arena;
    struct rem_sbuf text;
    struct rem_err err = {0};
    uint32_t n = 1000;

    for (const struct rem_store_field *f = rem_store_upstream_fields; f->name != NULL; f++)
        *rem_store_number(&spec, f) = n++;
    for (const struct rem_store_field *f = rem_store_server_fields; f->name != NULL; f++)
        *rem_store_number(&servers[1], f) = n++;
    servers[0].id = 4;
    servers[1].id = 17;
    servers[1].server = REM_STR("shown");
    servers[1].name = REM_STR("named");
    servers[1].fail_timeout_text = REM_STR("1m");
    servers[1].slow_start_text = REM_STR("2h");
    servers[1].route = REM_STR("r");
    servers[1].flags = REM_SERVER_BACKUP | REM_SERVER_DOWN | REM_SERVER_DRAIN;
    spec.servers = servers;
    begin(&text);
    rem_store_text_upstream(&spec, REM_STR("what"), &text);
    rem_sbuf_adds(&text, "]");
    rem_store_text_end(&text);
    rem_arena_init(&arena, NULL);
    ck_assert_msg(rem_store_read(rem_sbuf_str(&text), &arena, &saved, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(saved.revision, 7);
    ck_assert_uint_eq(saved.reserved, 9);
    ck_assert(!saved.edited);
    ck_assert_uint_eq(saved.upstream_count, 1);
    ck_assert(rem_str_is(saved.changes[0], "what"));
    got = &saved.upstreams[0];
    ck_assert(rem_str_eq(got->name, spec.name) && rem_str_eq(got->zone, spec.zone));
    ck_assert_uint_eq(got->zone_size, spec.zone_size);
    ck_assert_uint_eq(got->config_hash, spec.config_hash);
    ck_assert_uint_eq(got->flags, spec.flags);
    for (const struct rem_store_field *f = rem_store_upstream_fields; f->name != NULL; f++)
        ck_assert_msg(rem_store_number_of(got, f) == rem_store_number_of(&spec, f), "%s", f->name);
    ck_assert_uint_eq(got->server_count, 2);
    for (int i = 0; i < 2; i++) {
        const struct rem_server_spec *a = &servers[i], *b = &got->servers[i];
        ck_assert_uint_eq(a->id, b->id);
        ck_assert(rem_addr_eq(&a->addr, &b->addr));
        ck_assert_uint_eq(a->flags, b->flags);
        for (const struct rem_store_field *f = rem_store_server_fields; f->name != NULL; f++)
            ck_assert_msg(rem_store_number_of(a, f) == rem_store_number_of(b, f), "%s", f->name);
    }
    ck_assert(rem_str_is(got->servers[0].server, "127.0.0.1:1"));
    ck_assert(rem_str_is(got->servers[1].server, "shown"));
    ck_assert(rem_str_is(got->servers[1].name, "named"));
    ck_assert(rem_str_is(got->servers[1].fail_timeout_text, "1m"));
    ck_assert(rem_str_is(got->servers[1].slow_start_text, "2h"));
    ck_assert(rem_str_is(got->servers[1].route, "r"));
    size_t key = (size_t)((char *)memmem(text.p, text.n, "digest", 6) - text.p);
    for (size_t i = 0; i < text.n; i++) { /* no bit of it may be another one */
        text.p[i] ^= 1;
        if (i < key || i >= key + 6) /* without the name it is an edited file's */
            ck_assert_int_ne(rem_store_read(rem_sbuf_str(&text), &arena, &saved, &err), 0);
        text.p[i] ^= 1;
    }
    for (size_t i = 0; i + 1 < text.n; i++) /* or be missing; the last is a line's end */
        ck_assert_int_ne(rem_store_read(rem_str_make(text.p, i), &arena, &saved, &err), 0);
    rem_arena_reset(&arena);
    rem_sbuf_fini(&text);
}
END_TEST

START_TEST(tables_come_back)
{
    const struct rem_keyval_entry entries[] = {{REM_STR("k"), REM_STR("v"), 0},
                                               {REM_STR("\xff\n"), REM_STR(""), 123}};
    struct rem_table zone = {.kind = REM_TABLE_KEYVAL, .name = REM_STR("kv"), .config_hash = 5};
    struct rem_table names = {.kind = REM_TABLE_NAMES, .name = REM_STR("s"), .config_hash = 6};
    struct rem_keyval_edit edit;
    struct rem_store_saved saved;
    struct rem_keyval_entry entry;
    struct rem_arena arena;
    struct rem_sbuf text;
    struct rem_err err = {0};

    for (size_t n = 0; n < 5; n++) { /* all ends of base64 */
        names.bytes = rem_str_make("\xff\x00\x80z", n);
        ck_assert_int_eq(rem_keyval_edit_init(&edit, REM_KEYVAL_PREFIX, REM_STR(""), 0), 0);
        for (size_t i = 0; i < 2; i++)
            ck_assert_int_eq(rem_keyval_edit_put(&edit, &entries[i]), 0);
        ck_assert_int_eq(rem_keyval_edit_build(&edit, &zone.bytes), 0);
        rem_keyval_edit_fini(&edit);
        begin(&text);
        rem_sbuf_adds(&text, "],\"tables\":[");
        rem_store_text_table(&zone, &text);
        rem_sbuf_addc(&text, ',');
        rem_store_text_table(&names, &text);
        rem_sbuf_addc(&text, ']');
        rem_store_text_end(&text);
        rem_arena_init(&arena, NULL);
        ck_assert_msg(rem_store_read(rem_sbuf_str(&text), &arena, &saved, &err) == 0, "%s",
                      err.text);
        ck_assert_uint_eq(saved.table_count, 2);
        ck_assert(rem_keyval_valid(saved.tables[0].bytes, REM_KEYVAL_PREFIX));
        ck_assert_uint_eq((uintptr_t)saved.tables[0].bytes.p % 64, 0);
        ck_assert_uint_eq(rem_keyval_count(saved.tables[0].bytes), 2);
        for (size_t i = 0; i < 2; i++) {
            ck_assert_int_eq(rem_keyval_find(saved.tables[0].bytes, entries[i].key, &entry), 0);
            ck_assert(rem_str_eq(entry.value, entries[i].value));
            ck_assert_uint_eq(entry.expires_ms, entries[i].expires_ms);
        }
        ck_assert(rem_str_eq(saved.tables[1].bytes, names.bytes));
        ck_assert_uint_eq(saved.tables[1].config_hash, 6);
        free((void *)(uintptr_t)zone.bytes.p);
        rem_arena_reset(&arena);
        rem_sbuf_fini(&text);
    }
}
END_TEST

#define U(rest) "{\"remora_state\":1,\"upstreams\":[" rest "]}"
#define HASH    "\"config_hash\":\"0000000000000001\""
#define S(rest) U("{\"name\":\"u\"," HASH ",\"servers\":[" rest "]}")

static const struct read_case {
    const char *text;
    int rc;
} read_cases[] = {
    {"{\"remora_state\":1}", 0},
    {U(""), 0},
    {U("{\"name\":\"u\"," HASH ",\"new\":[1]}"), 0}, /* what a later version may add */
    {S("{\"server\":\"127.0.0.1:1\"}"), 0},
    {"{\"remora_state\":2}", REM_EUNSUPPORTED},
    {"{\"remora_state\":0}", REM_EPROTO},
    {"{\"remora_state\":\"1\"}", REM_EPROTO},
    {"{\"remora_state\":1,\"digest\":\"0000000000000000\"}", REM_EPROTO},
    {"{\"remora_state\":1,\"revision\":-1}", REM_EPROTO},
    {"{\"remora_state\":1,\"upstreams\":1}", REM_EPROTO},
    {"{\"remora_state\":1,\"tables\":{}}", REM_EPROTO},
    {U("1"), REM_EPROTO},
    {U("{}"), REM_EPROTO},
    {U("{\"name\":\"u\"}"), REM_EPROTO},
    {U("{\"name\":\"u\",\"config_hash\":\"xx00000000000001\"}"), REM_EPROTO},
    {U("{\"name\":\"u\",\"config_hash\":\"1\"}"), REM_EPROTO},
    {U("{\"name\":\"\"," HASH "}"), REM_EPROTO},
    {U("{\"name\":\"\xe2\x82\xac\"," HASH "}"), REM_EPROTO}, /* no byte */
    {U("{\"name\":\"u\"," HASH ",\"method\":-1}"), REM_EPROTO},
    {U("{\"name\":\"u\"," HASH ",\"method\":4294967296}"), REM_EPROTO},
    {S("{\"server\":\"127.0.0.1\"}"), REM_EPROTO},
    {S("{\"server\":\"name:1\"}"), REM_EPROTO},
    {S("{\"id\":1}"), REM_EPROTO},
    {S("{\"server\":\"127.0.0.1:1\",\"route\":1}"), REM_EPROTO},
    {S("1"), REM_EPROTO},
    {"{\"remora_state\":1,\"tables\":[{\"kind\":1,\"name\":\"k\"," HASH
     ",\"type\":9,\"entries\":[]}]}",
     REM_EPROTO},
    {"{\"remora_state\":1,\"tables\":[{\"kind\":1,\"name\":\"k\"," HASH
     ",\"type\":0,\"entries\":[[\"\",\"\",0]]}]}",
     REM_EPROTO},
    {"{\"remora_state\":1,\"tables\":[{\"kind\":2,\"name\":\"k\"," HASH ",\"bytes\":\"*\"}]}",
     REM_EPROTO},
    {"{\"remora_state\":1,\"tables\":[{\"kind\":2,\"name\":\"k\"," HASH ",\"bytes\":\"AAAA\"}]}",
     REM_EPROTO},
    {"{\"remora_state\":1,\"tables\":[{\"kind\":3,\"name\":\"k\"," HASH ",\"bytes\":\"AAAA\"}]}",
     0},
    {"{\"remora_state\":1,\"tables\":[{\"kind\":9,\"name\":\"k\"," HASH ",\"bytes\":\"AAAA\"}]}",
     REM_EPROTO},
};

START_TEST(read_what_strangers_wrote)
{
    const struct read_case *c = &read_cases[_i];
    struct rem_store_saved saved;
    struct rem_arena arena;
    struct rem_err err = {0};
    int rc;

    rem_arena_init(&arena, NULL);
    rc = rem_store_read(rem_str_from(c->text), &arena, &saved, &err);
    ck_assert_msg(rc == c->rc, "%s: %d %s", c->text, rc, err.text);
    ck_assert((rc == 0) == (err.text[0] == '\0'));
    if (rc == 0)
        ck_assert(saved.edited);
    rem_arena_reset(&arena);
}
END_TEST

static const struct version_case {
    const char *text;
    unsigned version;
} version_cases[] = {
    {"", 0},
    {"{\"remora_state\":1,", 1},
    {"{ \"a\": 3, \"remora_state\" : 27", 27},
    {"{\"remora_state\":", 0},
    {"{\"remora_state\":\"x\"}", 0},
    {"{\"remora\":4}", 0},
};

START_TEST(versions)
{
    ck_assert_uint_eq(rem_state_version(rem_str_from(version_cases[_i].text)),
                      version_cases[_i].version);
}
END_TEST

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

    tcase_add_loop_test(tc, strings, 0, (int)REM_COUNT(string_cases));
    tcase_add_test(tc, all_of_an_upstream_comes_back);
    tcase_add_test(tc, tables_come_back);
    tcase_add_loop_test(tc, read_what_strangers_wrote, 0, (int)REM_COUNT(read_cases));
    tcase_add_loop_test(tc, versions, 0, (int)REM_COUNT(version_cases));
    tcase_add_loop_test(tc, differences, 0, (int)REM_COUNT(diff_cases));
    tcase_add_loop_test(tc, the_rule, 0, 2);
    tcase_add_test(tc, revisions);
    return run_suite("store", tc);
}
