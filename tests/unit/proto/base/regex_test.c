/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/regex.h"

#include "proto/base/sbuf.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

static const struct {
    const char *pattern;
    uint32_t flags;
    const char *subject;
    const char *captures; /* joined with |, "-" for a group without part; NULL: no match */
} cases[] = {
    {"^/a(.)c$", 0, "/abc", "/abc|b"},
    {"^/a(.)c$", 0, "/ABC", NULL},
    {"^/a(.)c$", REM_REGEX_NOCASE, "/ABC", "/ABC|B"},
    {"(a)|(b)", 0, "b", "b|-|b"},
    {"(a)|(b)", 0, "a", "a|a"}, /* groups behind the last are not counted */
    {"", 0, "", ""},
    {"^$", 0, "x", NULL},
    {"x*", 0, "", ""},
    {"\\.php", 0, "a.php", ".php"},
    {"\\xff", 0, "\xff", "\xff"}, /* bytes, not UTF-8 */
};

START_TEST(matches)
{
    struct rem_arena arena;
    struct rem_regex *regex;
    struct rem_err err;
    struct rem_sbuf out;
    const size_t *o;
    struct rem_str subject = rem_str_from(cases[_i].subject);
    int n;

    rem_arena_init(&arena, NULL);
    rem_sbuf_init(&out);
    ck_assert_int_eq(
        rem_regex_new(&arena, rem_str_from(cases[_i].pattern), cases[_i].flags, &regex, &err), 0);
    n = rem_regex_match(regex, subject, &o);
    if (cases[_i].captures == NULL) {
        ck_assert_int_eq(n, 0);
    } else {
        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++) {
            rem_sbuf_adds(&out, i > 0 ? "|" : "");
            if (o[2 * i] == REM_REGEX_NONE)
                rem_sbuf_addc(&out, '-');
            else
                rem_sbuf_add(&out, rem_str_make(subject.p + o[2 * i], o[2 * i + 1] - o[2 * i]));
        }
        rem_sbuf_addc(&out, '\0');
        ck_assert_str_eq(out.p, cases[_i].captures);
    }
    rem_sbuf_fini(&out);
    rem_arena_reset(&arena);
}
END_TEST

static const struct {
    const char *pattern, *error;
} bad[] = {
    {"(foo", "pcre2_compile() failed: missing closing parenthesis in \"(foo\""},
    {"foo(*)bar", "pcre2_compile() failed: quantifier does not follow a repeatable item in "
                  "\"foo(*)bar\" at \"*)bar\""},
    {"^/(?<1a>.)", "pcre2_compile() failed: subpattern name must start with a non-digit in "
                   "\"^/(?<1a>.)\" at \"1a>.)\""},
};

START_TEST(bad_patterns)
{
    struct rem_arena arena;
    struct rem_regex *regex = NULL;
    struct rem_err err;

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_regex_new(&arena, rem_str_from(bad[_i].pattern), 0, &regex, &err),
                     REM_EINVAL);
    ck_assert_str_eq(err.text, bad[_i].error);
    ck_assert_ptr_null(regex);
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(names)
{
    struct rem_arena arena;
    struct rem_regex *regex;
    struct rem_err err;
    const struct rem_regex_name *found;
    uint32_t n, seen = 0;

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_regex_new(&arena, REM_STR("(?<user>a)(b)(?<host>c)"), 0, &regex, &err), 0);
    ck_assert_uint_eq(rem_regex_captures(regex), 3);
    ck_assert_str_eq(rem_regex_pattern(regex).p, "(?<user>a)(b)(?<host>c)");
    found = rem_regex_names(regex, &n);
    ck_assert_uint_eq(n, 2);
    for (uint32_t i = 0; i < n; i++) {
        if (rem_str_is(found[i].name, "user"))
            seen |= 1u << found[i].number;
        if (rem_str_is(found[i].name, "host"))
            seen |= 16u << found[i].number;
    }
    ck_assert_uint_eq(seen, (1u << 1) | (16u << 3));
    rem_arena_reset(&arena);
}
END_TEST

/* Exponential backtracking ends in an error, not in a hung worker. */
START_TEST(bounded)
{
    struct rem_arena arena;
    struct rem_regex *regex;
    struct rem_err err;
    const size_t *o;
    char subject[64];

    memset(subject, 'a', sizeof(subject));
    subject[sizeof(subject) - 1] = '!';
    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_regex_new(&arena, REM_STR("^(a|a|aa)+$"), 0, &regex, &err), 0);
    ck_assert_int_eq(rem_regex_match(regex, rem_str_make(subject, sizeof(subject)), &o),
                     REM_ETOOBIG);
    ck_assert_int_gt(rem_regex_match(regex, REM_STR("aa"), &o), 0);
    rem_arena_reset(&arena);
}
END_TEST

/* A long subject needs more than the machine code's stack. */
START_TEST(deep_stack)
{
    enum { N = 20000 };
    struct rem_arena arena;
    struct rem_regex *regex;
    struct rem_err err;
    const size_t *o;
    char *subject = malloc(N);

    memset(subject, 'a', N);
    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_regex_new(&arena, REM_STR("^(?:(a)|b)*$"), 0, &regex, &err), 0);
    ck_assert_int_eq(rem_regex_match(regex, rem_str_make(subject, N), &o), 2);
    ck_assert_uint_eq(o[1], N);
    rem_arena_reset(&arena);
    free(subject);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("regex");

    tcase_add_loop_test(tc, matches, 0, REM_COUNT(cases));
    tcase_add_loop_test(tc, bad_patterns, 0, REM_COUNT(bad));
    tcase_add_test(tc, names);
    tcase_add_test(tc, bounded);
    tcase_add_test(tc, deep_stack);
    return run_suite("regex", tc);
}
