/* SPDX-License-Identifier: Apache-2.0 */
#include "api/names.h"

#include "proto/dns/dns.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

static struct rem_arena arena;
static const struct rem_dns_spec resolver;

static void setup(void)
{
    rem_arena_init(&arena, NULL);
}

static void teardown(void)
{
    rem_arena_reset(&arena);
}

static struct rem_name make(const char *upstream, const char *server, const char *service)
{
    struct rem_name name = {.upstream = rem_str_from(upstream),
                            .config_hash = 0xfedcba9876543210,
                            .number = REM_NAMES_FIRST + 4};

    rem_server_spec_init(&name.server);
    name.server.server = rem_str_from(server);
    name.server.service = rem_str_from(service);
    name.server.weight = 7;
    name.server.flags = REM_SERVER_BACKUP | REM_SERVER_DRAIN;
    name.server.fail_timeout_ms = 60000;
    name.server.fail_timeout_text = REM_STR("1m");
    return name;
}

START_TEST(what_is_written_is_read)
{
    struct rem_name items[] = {make("u", "app.test:80", ""), make("v", "app.test", "http")};
    struct rem_names names = {.items = items, .count = 2, .next = REM_NAMES_FIRST + 9}, read;
    struct rem_str bytes;

    ck_assert_int_eq(rem_names_write(&names, &arena, &bytes), 0);
    ck_assert_int_eq(rem_names_read(bytes, &arena, &read), 0);
    ck_assert_uint_eq(read.count, 2);
    ck_assert_uint_eq(read.next, names.next);
    for (size_t i = 0; i < 2; i++) {
        const struct rem_name *a = &items[i], *b = &read.items[i];

        ck_assert(rem_str_eq(a->upstream, b->upstream));
        ck_assert_uint_eq(a->config_hash, b->config_hash);
        ck_assert_uint_eq(a->number, b->number);
        ck_assert_uint_eq(b->server.id, REM_NAMES_ID + a->number);
        ck_assert(rem_str_eq(a->server.server, b->server.server));
        ck_assert(rem_str_eq(a->server.service, b->server.service));
        ck_assert(rem_str_eq(b->server.fail_timeout_text, REM_STR("1m")));
        ck_assert_uint_eq(b->server.fail_timeout_ms, 60000);
        ck_assert_uint_eq(b->server.weight, 7);
        ck_assert_uint_eq(b->server.flags, a->server.flags);
        ck_assert_uint_eq(b->server.addr.len, 0);
    }
}
END_TEST

static const struct {
    const char *text;
    int rc;
} texts[] = {
    {"", 0},
    {"{}", 0},
    {"{\"next\":70000,\"names\":[]}", 0},
    {"{\"next\":\"x\",\"names\":5}", 0},
    {"[", REM_EPROTO},
    {"{\"names\":[5]}", REM_EPROTO},
    {"{\"names\":[{}]}", REM_EPROTO},
    {"{\"names\":[{\"id\":70000,\"upstream\":\"u\",\"server\":\"a:1\"}]}", REM_EPROTO},
    {"{\"names\":[{\"id\":1,\"upstream\":\"u\",\"config_hash\":\"1\",\"server\":\"a:1\"}]}",
     REM_EPROTO},
    {"{\"names\":[{\"id\":70000,\"upstream\":\"u\",\"config_hash\":\"1\",\"server\":\"127.0.0.1:"
     "1\"}]}",
     REM_EPROTO},
    {"{\"names\":[{\"id\":70000,\"upstream\":\"u\",\"config_hash\":\"1\",\"server\":\"a:1\"}]}", 0},
};

/* Nothing of a text that is partly wrong is believed. */
START_TEST(other_texts)
{
    struct rem_names read;
    int rc = rem_names_read(rem_str_from(texts[_i].text), &arena, &read);

    ck_assert_int_eq(rc, texts[_i].rc);
    ck_assert_uint_ge(read.next, REM_NAMES_FIRST);
    ck_assert_uint_eq(read.count, _i == (int)REM_COUNT(texts) - 1);
}
END_TEST

START_TEST(which_upstream_they_belong_to)
{
    struct rem_name name = make("u", "app.test:80", "");
    struct rem_upstream_spec conf = {
        .name = REM_STR("u"), .config_hash = name.config_hash, .resolver = &resolver};

    ck_assert(!rem_names_holds(&name, NULL));
    ck_assert(rem_names_holds(&name, &conf));
    conf.config_hash++;
    ck_assert(!rem_names_holds(&name, &conf));
    conf.flags = REM_UPSTREAM_STATE;
    ck_assert(rem_names_holds(&name, &conf));
    conf.resolver = NULL;
    ck_assert(!rem_names_holds(&name, &conf));
    conf.resolver = &resolver;
    conf.name = REM_STR("v");
    ck_assert(!rem_names_holds(&name, &conf));
}
END_TEST

static const struct {
    const char *server, *service;
    int rc;
    const char *host;
    uint16_t port;
    const char *question; /* of SRV records */
} questions[] = {
    {"app.test:81", "", 0, "app.test", 81, ""},
    {"app.test", "http", 0, "app.test", 0, "_http._tcp.app.test"},
    {"app.test", "_dns._udp", 0, "app.test", 0, "_dns._udp.app.test"},
    {"127.0.0.1:80", "", REM_EINVAL, "", 0, ""},
    {"", "", REM_EINVAL, "", 0, ""},
};

START_TEST(what_is_asked)
{
    struct rem_name name = make("u", questions[_i].server, questions[_i].service);
    const struct rem_upstream_spec conf = {.resolver = &resolver, .resolver_timeout_ms = 5};
    struct rem_resolve_spec spec;

    ck_assert_int_eq(rem_names_question(&name, &conf, &arena, &spec), questions[_i].rc);
    if (questions[_i].rc != 0)
        return;
    ck_assert(rem_str_is(spec.host, questions[_i].host));
    ck_assert_uint_eq(spec.port, questions[_i].port);
    ck_assert(rem_str_is(spec.service, questions[_i].question));
    ck_assert_ptr_eq(spec.resolver, &resolver);
    ck_assert_uint_eq(spec.timeout_ms, 5);
    ck_assert_uint_eq(spec.server.weight, 7);
    ck_assert(rem_str_is(spec.server.name, questions[_i].server));
    ck_assert_uint_eq(spec.server.server.n, 0);
    ck_assert_uint_eq(spec.server.service.n, 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("names");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_written_is_read);
    tcase_add_loop_test(tests, other_texts, 0, REM_COUNT(texts));
    tcase_add_test(tests, which_upstream_they_belong_to);
    tcase_add_loop_test(tests, what_is_asked, 0, REM_COUNT(questions));
    return run_suite("names", tests);
}
