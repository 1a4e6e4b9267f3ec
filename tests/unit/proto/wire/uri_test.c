/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/uri.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

struct target_row {
    const char *text;
    char method;      /* 'c'onnect, 'o'ptions, or another */
    const char *want; /* form scheme|authority|path|args, or NULL */
};

static const struct target_row target_rows[] = {
    {"/", 'g', "0|||/|-"},
    {"/a?b", 'g', "0|||/a|b"},
    {"/a?b?c=/d", 'g', "0|||/a|b?c=/d"},
    {"/a?", 'g', "0|||/a|"},
    {"/a#b?c", 'g', "0|||/a|-#"},
    {"/a?b#c", 'g', "0|||/a|b#"},
    {"//evil/c", 'g', "0|||//evil/c|-"},
    {"http://h", 'g', "1|http|h|/|-"},
    {"http://h?x", 'g', "1|http|h|/|x"},
    {"http://h#x", 'g', "1|http|h|/|-#"},
    {"HTTPS://H:1/a?b", 'g', "1|HTTPS|H:1|/a|b"},
    {"http://h/@", 'g', "1|http|h|/@|-"},
    {"http://", 'g', NULL},
    {"http:///a", 'g', NULL},
    {"http://:80/a", 'g', NULL},
    {"http://?a", 'g', NULL},
    {"http:/a", 'g', NULL},
    {"ftp://h/", 'g', NULL},
    {"http://u@h/", 'g', NULL},
    {"http://u:p@h/", 'g', NULL},
    {"", 'g', NULL},
    {"a", 'g', NULL},
    {"*", 'g', NULL},
    {"?a", 'g', NULL},
    {"h:80", 'g', NULL},
    {"*", 'o', "3||||-"},
    {"**", 'o', NULL},
    {"/x", 'o', "0|||/x|-"},
    {"h:80", 'c', "2||h:80||-"},
    {"[::1]:80", 'c', "2||[::1]:80||-"},
    {"h", 'c', NULL},
    {"h:", 'c', NULL},
    {"/x", 'c', NULL},
    {"http://h/", 'c', NULL},
    {"*", 'c', NULL},
};

START_TEST(targets)
{
    const struct target_row *row = &target_rows[_i];
    struct rem_target target = {.form = (enum rem_target_form)9};
    char got[200];
    int rc =
        rem_target_split(rem_str_from(row->text), row->method == 'c', row->method == 'o', &target);

    ck_assert_int_eq(rc, row->want != NULL ? REM_OK : REM_EINVAL);
    if (row->want == NULL) {
        ck_assert_int_eq((int)target.form, 9);
        return;
    }
    snprintf(got, sizeof(got), "%d|%.*s|%.*s|%.*s|%.*s%s", (int)target.form,
             REM_STR_ARG(target.scheme), REM_STR_ARG(target.authority), REM_STR_ARG(target.path),
             target.has_args ? (int)target.args.n : 1, target.has_args ? target.args.p : "-",
             target.has_fragment ? "#" : "");
    ck_assert_str_eq(got, row->want);
}
END_TEST

struct host_row {
    const char *text;
    size_t n;
    const char *want; /* host|port, or NULL */
};

#define HOST(text, want)                                                                           \
    {                                                                                              \
        text, sizeof(text) - 1, want                                                               \
    }

static const struct host_row host_rows[] = {
    HOST("a", "a|-"),
    HOST("A.b-C_d~", "a.b-c_d~|-"),
    HOST("a.", "a|-"),
    HOST("a.:80", "a|80"),
    HOST("a:80", "a|80"),
    HOST("a:0", "a|0"),
    HOST("a:65535", "a|65535"),
    HOST("a:", "a|-"),
    HOST(".a", ".a|-"),
    HOST("1.2.3.4:080", "1.2.3.4|80"),
    HOST("a%41b", "a%41b|-"),
    HOST("a!$&'()*+;=", "a!$&'()*+;=|-"),
    HOST("[::1]", "[::1]|-"),
    HOST("[::FFFF:1.2.3.4]:8080", "[::ffff:1.2.3.4]|8080"),
    HOST("", NULL),
    HOST(".", NULL),
    HOST("..", NULL),
    HOST("a..", NULL),
    HOST("a..b", NULL),
    HOST(":80", NULL),
    HOST("a:65536", NULL),
    HOST("a:99999", NULL),
    HOST("a:80x", NULL),
    HOST("a:+80", NULL),
    HOST("a:80:90", NULL),
    HOST("a b", NULL),
    HOST("a,b", NULL),
    HOST("a/x", NULL),
    HOST("a\\x", NULL),
    HOST("a#x", NULL),
    HOST("a?x", NULL),
    HOST("u@a", NULL),
    HOST("a%zz", NULL),
    HOST("a%4", NULL),
    HOST("a\0.evil", NULL),
    HOST("a\xe9", NULL),
    HOST("a\"b", NULL),
    HOST("a|b", NULL),
    HOST("::1", NULL),
    HOST("[", NULL),
    HOST("[]", NULL),
    HOST("[::1", NULL),
    HOST("[::1]x", NULL),
    HOST("[::1].", NULL),
    HOST("[zz]", NULL),
    HOST("[::1%25eth0]", NULL),
    HOST("[::1\0]", NULL),
    HOST("[1.2.3.4]", NULL),
    HOST("[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", NULL),
};

START_TEST(hosts)
{
    const struct host_row *row = &host_rows[_i];
    struct rem_authority authority = {.port = 7};
    struct rem_arena arena;
    struct rem_str lower;
    char *exact = malloc(row->n ? row->n : 1);
    char port[16] = "-";
    char got[200];
    int rc;

    memcpy(exact, row->text, row->n);
    rc = rem_authority_split(rem_str_make(exact, row->n), &authority);
    ck_assert_msg(rc == (row->want != NULL ? REM_OK : REM_EINVAL), "'%s': %d", row->text, rc);
    if (row->want == NULL) {
        ck_assert_uint_eq(authority.port, 7);
    } else {
        rem_arena_init(&arena, NULL);
        ck_assert_int_eq(rem_host_lower(&authority, &arena, &lower), REM_OK);
        ck_assert_int_eq(lower.p == authority.host.p, !authority.has_upper);
        if (authority.has_port)
            snprintf(port, sizeof(port), "%u", authority.port);
        snprintf(got, sizeof(got), "%.*s|%s", REM_STR_ARG(lower), port);
        ck_assert_str_eq(got, row->want);
        ck_assert_int_eq(authority.kind == REM_HOST_IPV6, row->text[0] == '[');
        rem_arena_reset(&arena);
    }
    free(exact);
}
END_TEST

START_TEST(arguments)
{
    static const struct {
        const char *args;
        const char *name;
        const char *want;
    } rows[] = {
        {"a=1&b=2", "a", "1"},    {"a=1&b=2", "b", "2"}, {"a=1&b=2", "c", NULL},
        {"ab=1&a=2", "a", "2"},   {"a", "a", ""},        {"a=", "a", ""},
        {"&&a=x=y&", "a", "x=y"}, {"", "a", NULL},       {"A=1", "a", NULL},
        {"a=1&a=2", "a", "1"},    {"ba=1", "a", NULL},
    };

    for (size_t i = 0; i < REM_COUNT(rows); i++) {
        struct rem_str value = REM_STR("unset");
        bool found = rem_uri_arg(rem_str_from(rows[i].args), rem_str_from(rows[i].name), &value);

        ck_assert_msg(found == (rows[i].want != NULL), "row %zu", i);
        ck_assert_msg(rem_str_is(value, found ? rows[i].want : "unset"), "row %zu: '%.*s'", i,
                      REM_STR_ARG(value));
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, arguments);
    tcase_add_loop_test(tc, targets, 0, (int)REM_COUNT(target_rows));
    tcase_add_loop_test(tc, hosts, 0, (int)REM_COUNT(host_rows));
    return run_suite("uri", tc);
}
