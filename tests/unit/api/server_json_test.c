/* SPDX-License-Identifier: Apache-2.0 */
#include "api/server_json.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *text;
    int rc;
    uint32_t ms;
} times[] = {
    {"0", 0, 0},
    {"10", 0, 10000},
    {"10s", 0, 10000},
    {"500ms", 0, 500},
    {"1m", 0, 60000},
    {"1m30s", 0, 90000},
    {"1m 30s", 0, 90000},
    {"1h 5", 0, 3605000},
    {"1d", 0, 86400000},
    {"2w 1d", 0, 15 * 86400000u},
    {"2147483s", 0, 2147483000u},
    {"2147483647ms", 0, 2147483647u},
    {"2147483648ms", REM_EINVAL, 0},
    {"2147484s", REM_EINVAL, 0},
    {"1M", REM_EINVAL, 0}, /* 30 days: more than a timer holds */
    {"99999999999999999999s", REM_EINVAL, 0},
    {"", REM_EINVAL, 0},
    {" ", REM_EINVAL, 0},
    {"s", REM_EINVAL, 0},
    {"1x", REM_EINVAL, 0},
    {"1s1s", REM_EINVAL, 0},
    {"1s1m", REM_EINVAL, 0},
    {"1 s", REM_EINVAL, 0},
    {"1s ", REM_EINVAL, 0},
    {"1s  5ms", REM_EINVAL, 0},
    {" 1s", REM_EINVAL, 0},
    {"-1s", REM_EINVAL, 0},
    {"1.5s", REM_EINVAL, 0},
};

START_TEST(test_time)
{
    uint32_t ms = 77;
    int rc = rem_server_json_time(rem_str_from(times[_i].text), &ms);

    ck_assert_msg(rc == times[_i].rc, "\"%s\": %d", times[_i].text, rc);
    ck_assert_uint_eq(ms, rc == 0 ? times[_i].ms : 77);
}
END_TEST

static int parse(const char *text, enum rem_server_json_use use, struct rem_arena *arena,
                 struct rem_server_spec *spec, struct rem_fault *fault, json_t **keep)
{
    *keep = json_loads(text, JSON_DECODE_ANY, NULL);
    ck_assert_msg(*keep != NULL, "%s", text);
    return rem_server_json_parse(*keep, use, arena, spec, fault);
}

#define LABEL63 "a23456789b123456789c123456789d123456789e123456789f123456789g123"

static const struct {
    enum rem_server_json_use use;
    const char *text;
    enum rem_fault_code code; /* NONE: good */
} bodies[] = {
    {REM_SERVER_JSON_ADD, "{\"server\":\"127.0.0.1:1\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_ADD, "{}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_SET, "{}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{}", REM_FAULT_NONE},
    {REM_SERVER_JSON_ADD, "[]", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_ADD, "5", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_ADD, "null", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_ADD, "{\"server\":\"127.0.0.1:1\",\"id\":1}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{\"id\":0}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_SET, "{\"server\":\"127.0.0.1:1\",\"id\":1}", REM_FAULT_NONE},
    {REM_SERVER_JSON_SET, "{\"server\":\"127.0.0.1:1\",\"id\":\"1\"}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{\"backup\":false}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PATCH, "{\"backup\":true}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{\"server\":\"127.0.0.1:1\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PATCH, "{\"server\":\"[::1]:1\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PATCH, "{\"server\":\"x:1\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PATCH, "{\"server\":\"127.0.0.1:0\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PATCH, "{\"weight\":0}", REM_FAULT_BAD_WEIGHT},
    {REM_SERVER_JSON_PATCH, "{\"weight\":65536}", REM_FAULT_BAD_WEIGHT},
    {REM_SERVER_JSON_PATCH, "{\"weight\":65535}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PATCH, "{\"weight\":1.0}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{\"max_conns\":-1}", REM_FAULT_BAD_MAX_CONNS},
    {REM_SERVER_JSON_PATCH, "{\"max_fails\":2147483648}", REM_FAULT_BAD_MAX_FAILS},
    {REM_SERVER_JSON_PATCH, "{\"fail_timeout\":\"x\"}", REM_FAULT_BAD_FAIL_TIMEOUT},
    {REM_SERVER_JSON_PATCH, "{\"slow_start\":\"x\"}", REM_FAULT_BAD_SLOW_START},
    {REM_SERVER_JSON_PATCH, "{\"slow_start\":1}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{\"route\":\"12345678901234567890123456789012\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PATCH, "{\"route\":\"123456789012345678901234567890123\"}",
     REM_FAULT_BAD_ROUTE},
    {REM_SERVER_JSON_PATCH, "{\"down\":true,\"drain\":true}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{\"service\":\"_http._tcp\"}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{\"service\":\"\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PATCH, "{\"server\":\"a.test:1\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_ADD, "{\"server\":\"a.test:1\"}", REM_FAULT_NO_RESOLVER},
    {REM_SERVER_JSON_ADD, "{\"server\":\"10.0.0.256:1\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"a.test:1\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"A-1.x_y.test.:1\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"10.0.0.1.test\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"1a\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"" LABEL63 "\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"" LABEL63 "x\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"10.0.0.256\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"10.0.1:1\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"2130706433\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"a..test\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\".test\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"a.test..\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\".\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"a,b\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"b\u00fc.test\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"server\":\"127.0.0.1:1\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PLUS_ADD, "{\"service\":\"http\",\"server\":\"a.test\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PLUS_ADD, "{\"service\":\"http\"}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PLUS_ADD, "{\"service\":\"\",\"server\":\"a.test\"}", REM_FAULT_BAD_SERVICE},
    {REM_SERVER_JSON_PLUS_ADD, "{\"service\":5,\"server\":\"a.test\"}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PLUS_ADD, "{\"service\":\"http\",\"server\":\"a.test:1\"}",
     REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_ADD, "{\"service\":\"http\",\"server\":\"127.0.0.1\"}",
     REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"server\":\"a.test:1\"}", REM_FAULT_BAD_ADDRESS},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"id\":0}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"backup\":true}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"weight\":\"5\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"weight\":\"0\"}", REM_FAULT_BAD_WEIGHT},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"weight\":\"65536\"}", REM_FAULT_BAD_WEIGHT},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"weight\":\"\"}", REM_FAULT_BAD_WEIGHT},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"weight\":\"1.0\"}", REM_FAULT_BAD_WEIGHT},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"max_conns\":\"0\"}", REM_FAULT_NONE},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"max_conns\":\"-1\"}", REM_FAULT_BAD_MAX_CONNS},
    {REM_SERVER_JSON_PLUS_PATCH, "{\"max_fails\":\"2147483648\"}", REM_FAULT_BAD_MAX_FAILS},
    {REM_SERVER_JSON_PATCH, "{\"weight\":\"5\"}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_ADD, "{\"server\":\"127.0.0.1\",\"max_conns\":\"5\"}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{\"weight\":[]}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{\"Weight\":1}", REM_FAULT_FORMAT},
    {REM_SERVER_JSON_PATCH, "{\"\":1}", REM_FAULT_FORMAT},
};

/* A server to be changed. */
static void present(struct rem_server_spec *spec)
{
    rem_server_spec_init(spec);
    spec->server = REM_STR("127.0.0.1:1");
    ck_assert_int_eq(rem_addr_parse(spec->server, 0, &spec->addr), 0);
    spec->id = 4;
}

START_TEST(test_members)
{
    struct rem_server_spec spec;
    struct rem_fault fault = {0};
    struct rem_arena arena;
    json_t *keep;
    int rc;

    rem_arena_init(&arena, NULL);
    present(&spec);
    rc = parse(bodies[_i].text, bodies[_i].use, &arena, &spec, &fault, &keep);
    ck_assert_msg(fault.code == bodies[_i].code, "%s: %s, %s", bodies[_i].text,
                  rem_fault_name(fault.code), fault.text);
    ck_assert_int_eq(rc, bodies[_i].code == REM_FAULT_NONE ? 0 : REM_EINVAL);
    ck_assert(rc == 0 || fault.text[0] != '\0');
    json_decref(keep);
    rem_arena_reset(&arena);
}
END_TEST

static const struct {
    uint32_t before;
    const char *text;
    uint32_t after, after_plus;
} flags[] = {
    {0, "{\"down\":true}", REM_SERVER_DOWN, REM_SERVER_DOWN},
    {REM_SERVER_DOWN, "{\"down\":false}", 0, 0},
    {REM_SERVER_DOWN, "{\"drain\":true}", REM_SERVER_DRAIN, REM_SERVER_DRAIN},
    {REM_SERVER_DRAIN, "{\"down\":true}", REM_SERVER_DOWN, REM_SERVER_DOWN},
    {REM_SERVER_DRAIN, "{\"down\":false}", REM_SERVER_DRAIN, 0},
    {REM_SERVER_DRAIN, "{\"weight\":1}", REM_SERVER_DRAIN, REM_SERVER_DRAIN},
    {REM_SERVER_DRAIN, "{\"down\":false,\"drain\":false}", 0, 0},
    {REM_SERVER_DRAIN, "{\"drain\":true,\"down\":false}", REM_SERVER_DRAIN, REM_SERVER_DRAIN},
    {REM_SERVER_BACKUP, "{\"backup\":true,\"down\":true}", REM_SERVER_BACKUP | REM_SERVER_DOWN,
     REM_SERVER_BACKUP | REM_SERVER_DOWN},
};

START_TEST(test_flags)
{
    struct rem_server_spec spec;
    struct rem_fault fault = {0};
    json_t *keep;

    present(&spec);
    spec.flags = flags[_i].before;
    ck_assert_int_eq(parse(flags[_i].text, REM_SERVER_JSON_PATCH, NULL, &spec, &fault, &keep), 0);
    ck_assert_uint_eq(spec.flags, flags[_i].after);
    json_decref(keep);
    present(&spec);
    spec.flags = flags[_i].before;
    ck_assert_int_eq(parse(flags[_i].text, REM_SERVER_JSON_PLUS_PATCH, NULL, &spec, &fault, &keep),
                     0);
    ck_assert_uint_eq(spec.flags, flags[_i].after_plus);
    json_decref(keep);
}
END_TEST

static void check_dump(json_t *value, const char *expected)
{
    char *text = json_dumps(value, JSON_COMPACT);

    ck_assert_str_eq(text, expected);
    free(text);
    json_decref(value);
}

START_TEST(test_out)
{
    struct rem_server_spec spec;

    present(&spec);
    check_dump(rem_server_json_make(&spec),
               "{\"id\":4,\"server\":\"127.0.0.1:1\",\"weight\":1,\"max_conns\":0,\"max_fails\":1,"
               "\"fail_timeout\":\"10s\",\"slow_start\":\"0s\",\"route\":\"\",\"backup\":false,"
               "\"down\":false}");
    spec.server.n = 0; /* made from the address */
    spec.fail_timeout_ms = 1500;
    spec.slow_start_text = REM_STR("1m");
    spec.slow_start_ms = 60000;
    spec.flags = REM_SERVER_DRAIN | REM_SERVER_DOWN | REM_SERVER_BACKUP;
    check_dump(rem_server_json_make(&spec),
               "{\"id\":4,\"server\":\"127.0.0.1:1\",\"weight\":1,\"max_conns\":0,\"max_fails\":1,"
               "\"fail_timeout\":\"1500ms\",\"slow_start\":\"1m\",\"route\":\"\",\"backup\":true,"
               "\"down\":false,\"drain\":true}");
}
END_TEST

/* What is shown can be read back and is the same again. */
START_TEST(test_round_trip)
{
    static const char text[] = "{\"id\":9,\"server\":\"[::1]:81\",\"weight\":7,\"max_conns\":3,"
                               "\"max_fails\":0,\"fail_timeout\":\"1m 1s\",\"slow_start\":\"5\","
                               "\"route\":\"a\\\"b\",\"backup\":true,\"down\":true}";
    struct rem_server_spec spec;
    struct rem_fault fault = {0};
    struct rem_arena arena;
    json_t *keep;

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(parse(text, REM_SERVER_JSON_SET, &arena, &spec, &fault, &keep), 0);
    ck_assert_uint_eq(spec.id, REM_ID_NONE);
    spec.id = 9;
    check_dump(rem_server_json_make(&spec), text);
    json_decref(keep);
    rem_arena_reset(&arena);
}
END_TEST

/* The text that is written at once is that of the tree. */
START_TEST(test_text)
{
    static const struct rem_server_spec specs[] = {
        {.server = {"127.0.0.1:80", sizeof("127.0.0.1:80") - 1},
         .weight = 1,
         .max_fails = 1,
         .fail_timeout_ms = 10000},
        {.id = 4294967294u,
         .server = {"unix:/a\"\\\x01", sizeof("unix:/a\"\\\x01") - 1},
         .weight = 65535,
         .max_conns = 2147483647,
         .fail_timeout_ms = 1500,
         .slow_start_ms = 60000,
         .slow_start_text = {"1m", sizeof("1m") - 1},
         .route = {"r\xc3\xa9", sizeof("r\xc3\xa9") - 1},
         .flags = REM_SERVER_BACKUP | REM_SERVER_DOWN},
        {.server = {"\xff", sizeof("\xff") - 1},
         .name = {"name", sizeof("name") - 1},
         .weight = 2,
         .parent = 3,
         .service = {"_http._tcp", sizeof("_http._tcp") - 1},
         .flags = REM_SERVER_DRAIN | REM_SERVER_DOWN},
    };
    struct rem_sbuf text, list;
    json_t *array = json_array();

    rem_sbuf_init(&list);
    rem_sbuf_addc(&list, '[');
    rem_server_json_put_list(&list, specs, REM_COUNT(specs), 0);
    rem_sbuf_adds(&list, "]");
    rem_sbuf_addc(&list, '\0');
    for (size_t i = 0; i < REM_COUNT(specs); i++)
        ck_assert_int_eq(json_array_append_new(array, rem_server_json_make(&specs[i])), 0);
    check_dump(array, list.p);
    rem_sbuf_fini(&list);
    rem_sbuf_init(&text);
    rem_server_json_put(&text, &specs[2], 1000);
    rem_sbuf_addc(&text, '\0');
    ck_assert_ptr_ne(strstr(text.p, "\"parent\":\"1002\",\"host\":\"name\""), NULL);
    rem_sbuf_fini(&text);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, test_time, 0, REM_COUNT(times));
    tcase_add_loop_test(tc, test_members, 0, REM_COUNT(bodies));
    tcase_add_loop_test(tc, test_flags, 0, REM_COUNT(flags));
    tcase_add_test(tc, test_out);
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_text);
    return run_suite("server_json", tc);
}
