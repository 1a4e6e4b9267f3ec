/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/addr.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

static const struct split_case {
    const char *text;
    int rc;
    enum rem_addr_kind kind;
    const char *host;
    int port; /* -1: none */
} split_cases[] = {
    {"1.2.3.4:80", REM_OK, REM_ADDR_INET, "1.2.3.4", 80},
    {"1.2.3.4", REM_OK, REM_ADDR_INET, "1.2.3.4", -1},
    {"[::1]:80", REM_OK, REM_ADDR_INET6, "::1", 80},
    {"[::1]", REM_OK, REM_ADDR_INET6, "::1", -1},
    {"backend", REM_OK, REM_ADDR_NAME, "backend", -1},
    {"backend.example:65535", REM_OK, REM_ADDR_NAME, "backend.example", 65535},
    {"1.2.3.400:80", REM_OK, REM_ADDR_NAME, "1.2.3.400", 80},
    {"unix:/run/a:b.sock", REM_OK, REM_ADDR_UNIX, "/run/a:b.sock", -1},
    {"", REM_EINVAL, 0, NULL, 0},
    {":80", REM_EINVAL, 0, NULL, 0},
    {"a:", REM_EINVAL, 0, NULL, 0},
    {"a:0", REM_EINVAL, 0, NULL, 0},
    {"a:65536", REM_EINVAL, 0, NULL, 0},
    {"a:-1", REM_EINVAL, 0, NULL, 0},
    {"a:80x", REM_EINVAL, 0, NULL, 0},
    {"::1", REM_EINVAL, 0, NULL, 0},
    {"[::1", REM_EINVAL, 0, NULL, 0},
    {"[]:80", REM_EINVAL, 0, NULL, 0},
    {"[::1]80", REM_EINVAL, 0, NULL, 0},
    {"a b:80", REM_EINVAL, 0, NULL, 0},
    {"a/b:80", REM_EINVAL, 0, NULL, 0},
    {"unix:", REM_EINVAL, 0, NULL, 0},
};

START_TEST(splits)
{
    const struct split_case *c = &split_cases[_i];
    struct rem_addr_parts parts;
    int rc = rem_addr_split(rem_str_from(c->text), &parts);

    ck_assert_msg(rc == c->rc, "\"%s\": %s", c->text, rem_err_name(rc));
    if (rc != REM_OK)
        return;
    ck_assert_int_eq(parts.kind, c->kind);
    ck_assert_msg(rem_str_is(parts.host, c->host), "host \"%.*s\"", REM_STR_ARG(parts.host));
    ck_assert_int_eq(parts.has_port ? parts.port : -1, c->port);
}
END_TEST

static const struct parse_case {
    const char *text;
    bool listen;
    uint16_t default_port;
    const char *canonical; /* NULL: refused */
} parse_cases[] = {
    {"127.0.0.1:8001", false, 0, "127.0.0.1:8001"},
    {"127.0.0.1", false, 80, "127.0.0.1:80"},
    {"127.0.0.1", false, 0, NULL},
    {"[0:0:0:0:0:0:0:1]:080", false, 0, "[::1]:80"},
    {"[::g]:80", false, 0, NULL},
    {"[127.0.0.1]:80", false, 0, NULL},
    {"localhost:80", false, 0, NULL},
    {"unix:/p", false, 0, "unix:/p"},
    {"*:80", false, 0, NULL},
    {"80", false, 80, NULL},
    {"80", true, 8000, "0.0.0.0:80"},
    {":80", true, 8000, "0.0.0.0:80"},
    {"*:80", true, 8000, "0.0.0.0:80"},
    {"*", true, 8000, "0.0.0.0:8000"},
    {"*", true, 0, NULL},
    {"*80", true, 0, NULL},
    {"0", true, 0, NULL},
    {"65536", true, 0, NULL},
    {":", true, 80, NULL},
    {"", true, 80, NULL},
    {"[::]:443", true, 80, "[::]:443"},
    {"127.0.0.1", true, 8000, "127.0.0.1:8000"},
    {"unix:/run/remora.sock", true, 80, "unix:/run/remora.sock"},
};

START_TEST(parses_and_spells)
{
    const struct parse_case *c = &parse_cases[_i];
    struct rem_addr addr, before;
    char text[REM_ADDR_TEXT];
    int rc;

    memset(&addr, 0x5a, sizeof(addr));
    before = addr;
    rc = c->listen ? rem_addr_parse_listen(rem_str_from(c->text), c->default_port, &addr)
                   : rem_addr_parse(rem_str_from(c->text), c->default_port, &addr);
    if (c->canonical == NULL) {
        ck_assert_msg(rc == REM_EINVAL, "\"%s\" was taken", c->text);
        ck_assert_mem_eq(&addr, &before, sizeof(addr));
        return;
    }
    ck_assert_msg(rc == REM_OK, "\"%s\": %s", c->text, rem_err_name(rc));
    ck_assert_uint_eq(rem_addr_text(&addr, text, sizeof(text)), strlen(c->canonical));
    ck_assert_str_eq(text, c->canonical);
}
END_TEST

START_TEST(unix_paths_have_a_limit)
{
    char text[256] = "unix:/";
    size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    struct rem_addr addr;

    memset(text + 6, 'x', sizeof(text) - 6);
    ck_assert_int_eq(rem_addr_parse(rem_str_make(text, 5 + max), 0, &addr), REM_OK);
    ck_assert_uint_lt(addr.len, sizeof(addr.u) + 1);
    ck_assert_int_eq(rem_addr_parse(rem_str_make(text, 6 + max), 0, &addr), REM_EINVAL);
}
END_TEST

START_TEST(text_is_cut_to_size)
{
    struct rem_addr addr;
    char text[8] = "zzzzzzz";

    ck_assert_int_eq(rem_addr_parse(rem_str_from("127.0.0.1:8001"), 0, &addr), REM_OK);
    ck_assert_uint_eq(rem_addr_text(&addr, text, 5), 4);
    ck_assert_str_eq(text, "127.");
    ck_assert_uint_eq(rem_addr_text(&addr, text, 0), 0);
}
END_TEST

START_TEST(compares)
{
    static const char *const texts[] = {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1", "[::1]:1",
                                        "[::1]:2",     "[::2]:1",     "unix:/a",     "unix:/b"};
    struct rem_addr a, b;

    for (size_t i = 0; i < REM_COUNT(texts); i++)
        for (size_t k = 0; k < REM_COUNT(texts); k++) {
            ck_assert_int_eq(rem_addr_parse(rem_str_from(texts[i]), 0, &a), REM_OK);
            ck_assert_int_eq(rem_addr_parse(rem_str_from(texts[k]), 0, &b), REM_OK);
            ck_assert_msg(rem_addr_eq(&a, &b) == (i == k), "%s %s", texts[i], texts[k]);
            if (i == k)
                ck_assert_uint_eq(rem_addr_hash(&a), rem_addr_hash(&b));
        }
}
END_TEST

START_TEST(knows_loopback_and_wildcard)
{
    static const struct {
        const char *text;
        bool loopback, wildcard;
    } cases[] = {{"127.0.0.1:1", true, false},
                 {"127.9.9.9:1", true, false},
                 {"128.0.0.1:1", false, false},
                 {"0.0.0.0:1", false, true},
                 {"[::1]:1", true, false},
                 {"[::]:1", false, true},
                 {"[::ffff:127.0.0.1]:1", true, false},
                 {"[::ffff:1.2.3.4]:1", false, false},
                 {"unix:/a", true, false}};
    struct rem_addr addr;

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        ck_assert_int_eq(rem_addr_parse(rem_str_from(cases[i].text), 0, &addr), REM_OK);
        ck_assert_msg(rem_addr_is_loopback(&addr) == cases[i].loopback, "%s", cases[i].text);
        ck_assert_msg(rem_addr_is_wildcard(&addr) == cases[i].wildcard, "%s", cases[i].text);
    }
}
END_TEST

START_TEST(resolves)
{
    struct rem_addr_list list;
    struct rem_err err = {0};

    ck_assert_int_eq(rem_addr_resolve(rem_str_from("localhost:81"), 0, &list, &err), REM_OK);
    ck_assert_uint_ge(list.count, 1);
    for (size_t i = 0; i < list.count; i++) {
        ck_assert_uint_eq(rem_addr_port(&list.items[i]), 81);
        ck_assert(rem_addr_is_loopback(&list.items[i]));
        for (size_t k = 0; k < i; k++)
            ck_assert(!rem_addr_eq(&list.items[i], &list.items[k]));
    }
    rem_addr_list_fini(&list);
    ck_assert_int_eq(rem_addr_resolve(rem_str_from("1.2.3.4"), 80, &list, &err), REM_OK);
    ck_assert_uint_eq(list.count, 1);
    rem_addr_list_fini(&list);
    ck_assert_int_eq(rem_addr_resolve(rem_str_from("1.2.3.4"), 0, &list, &err), REM_EINVAL);
    ck_assert_int_eq(rem_addr_resolve(rem_str_from("[::1"), 80, &list, &err), REM_EINVAL);
    ck_assert_int_eq(rem_addr_resolve(rem_str_from("no.such.name.invalid:80"), 0, &list, &err),
                     REM_ENOTFOUND);
    ck_assert_ptr_nonnull(strstr(err.text, "host not found"));
}
END_TEST

START_TEST(takes_what_accept_gives)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct rem_addr addr;
    char text[REM_ADDR_TEXT];

    rem_addr_from((struct sockaddr *)&un, sizeof(sa_family_t), &addr); /* an unnamed peer */
    rem_addr_text(&addr, text, sizeof(text));
    ck_assert_str_eq(text, "unix:");
    rem_addr_host_text(&addr, text, sizeof(text));
    ck_assert_str_eq(text, "unix:");
    rem_addr_from((struct sockaddr *)&un, 0, &addr);
    ck_assert_int_eq(rem_addr_family(&addr), AF_UNSPEC);
    ck_assert_uint_eq(rem_addr_text(&addr, text, sizeof(text)), 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("addr");

    tcase_add_loop_test(tcase, splits, 0, (int)REM_COUNT(split_cases));
    tcase_add_loop_test(tcase, parses_and_spells, 0, (int)REM_COUNT(parse_cases));
    tcase_add_test(tcase, unix_paths_have_a_limit);
    tcase_add_test(tcase, text_is_cut_to_size);
    tcase_add_test(tcase, compares);
    tcase_add_test(tcase, knows_loopback_and_wildcard);
    tcase_add_test(tcase, resolves);
    tcase_add_test(tcase, takes_what_accept_gives);
    return run_suite("addr", tcase);
}
