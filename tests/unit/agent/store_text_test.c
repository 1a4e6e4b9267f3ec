/* SPDX-License-Identifier: Apache-2.0 */
/* What is written is read back, and nothing else is. */
#include "agent/store_read.h"
#include "agent/store_text.h"
#include "proto/shm/keyval.h"
#include "proto/shm/state_mark.h"

#include "tests/unit/agent/server.h"

#include <stdlib.h>

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

/* An upstream of which every number has a value of its own. */
static struct rem_upstream_spec make_unusual(struct rem_server_spec servers[2])
{
    struct rem_upstream_spec spec = {.name = {"n\"\xff", 3},
                                     .zone = REM_STR("z"),
                                     .zone_size = 5000000000,
                                     .config_hash = 0xfedcba9876543210,
                                     .flags = REM_UPSTREAM_RUNTIME,
                                     .servers = servers,
                                     .server_count = 2};
    uint32_t n = 1000;

    servers[0] = server("127.0.0.1:1");
    servers[1] = server("unix:/a b");
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
    return spec;
}

static void write_one(const struct rem_upstream_spec *spec, struct rem_sbuf *text)
{
    begin(text);
    rem_store_text_upstream(spec, REM_STR("what"), text);
    rem_sbuf_adds(text, "]");
    rem_store_text_end(text);
}

static void check_servers(const struct rem_server_spec *servers, const struct rem_server_spec *got)
{
    for (int i = 0; i < 2; i++) {
        const struct rem_server_spec *a = &servers[i], *b = &got[i];
        ck_assert_uint_eq(a->id, b->id);
        ck_assert(rem_addr_eq(&a->addr, &b->addr));
        ck_assert_uint_eq(a->flags, b->flags);
        for (const struct rem_store_field *f = rem_store_server_fields; f->name != NULL; f++)
            ck_assert_msg(rem_store_number_of(a, f) == rem_store_number_of(b, f), "%s", f->name);
    }
    ck_assert(rem_str_is(got[0].server, "127.0.0.1:1"));
    ck_assert(rem_str_is(got[1].server, "shown"));
    ck_assert(rem_str_is(got[1].name, "named"));
    ck_assert(rem_str_is(got[1].fail_timeout_text, "1m"));
    ck_assert(rem_str_is(got[1].slow_start_text, "2h"));
    ck_assert(rem_str_is(got[1].route, "r"));
}

START_TEST(all_of_an_upstream_comes_back)
{
    struct rem_server_spec servers[2];
    struct rem_upstream_spec spec = make_unusual(servers);
    const struct rem_upstream_spec *got;
    struct rem_store_saved saved;
    struct rem_arena arena;
    struct rem_sbuf text;
    struct rem_err err = {0};

    write_one(&spec, &text);
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
    check_servers(servers, got->servers);
    rem_arena_reset(&arena);
    rem_sbuf_fini(&text);
}
END_TEST

/* No bit of a file may be another one, and none may be missing. */
START_TEST(damage_is_noticed)
{
    struct rem_server_spec servers[2];
    struct rem_upstream_spec spec = make_unusual(servers);
    struct rem_store_saved saved;
    struct rem_arena arena;
    struct rem_sbuf text;
    struct rem_err err = {0};
    size_t key;

    write_one(&spec, &text);
    rem_arena_init(&arena, NULL);
    key = (size_t)((char *)memmem(text.p, text.n, "digest", 6) - text.p);
    for (size_t i = 0; i < text.n; i++) {
        text.p[i] ^= 1;
        if (i < key || i >= key + 6) /* without the name it is an edited file's */
            ck_assert_int_ne(rem_store_read(rem_sbuf_str(&text), &arena, &saved, &err), 0);
        text.p[i] ^= 1;
    }
    for (size_t i = 0; i + 1 < text.n; i++) /* the last is a line's end */
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

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, strings, 0, (int)REM_COUNT(string_cases));
    tcase_add_test(tc, all_of_an_upstream_comes_back);
    tcase_add_test(tc, damage_is_noticed);
    tcase_add_test(tc, tables_come_back);
    tcase_add_loop_test(tc, read_what_strangers_wrote, 0, (int)REM_COUNT(read_cases));
    tcase_add_loop_test(tc, versions, 0, (int)REM_COUNT(version_cases));
    return run_suite("store_text", tc);
}
