/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/check_priv.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

/* Tests as a match block has them, in words: "s" status, "h" header, "b" body, "r" require. */
static struct rem_arena arena;

static const struct rem_check_range ranges_2xx_301[] = {{200, 299}, {301, 301}};

static const struct rem_regex *regex(const char *pattern)
{
    struct rem_regex *out;
    struct rem_err err;

    ck_assert_int_eq(rem_regex_new(&arena, rem_str_from(pattern), 0, &out, &err), 0);
    return out;
}

static struct rem_check_test status_test(bool negated)
{
    return (struct rem_check_test){.subject = REM_MATCH_STATUS,
                                   .how = REM_MATCH_RANGES,
                                   .negated = negated,
                                   .ranges = ranges_2xx_301,
                                   .range_count = REM_COUNT(ranges_2xx_301)};
}

static struct rem_check_test header_test(const char *name, enum rem_match_how how, bool negated,
                                         const char *value)
{
    return (struct rem_check_test){.subject = REM_MATCH_HEADER,
                                   .how = how,
                                   .negated = negated,
                                   .name = rem_str_from(name),
                                   .value = rem_str_from(value),
                                   .regex = how == REM_MATCH_REGEX ? regex(value) : NULL};
}

static bool matches(const struct rem_check_test *test, unsigned status, const char *const *fields,
                    const char **doing)
{
    const struct rem_match_spec match = {.name = REM_STR("m"), .tests = test, .count = 1};
    struct rem_check_answer answer = {.status = status};
    struct rem_fields list;

    rem_fields_init(&list, &arena);
    for (; fields != NULL && *fields != NULL; fields += 2)
        ck_assert_int_eq(rem_fields_add(&list, rem_str_from(fields[0]), rem_str_from(fields[1])),
                         0);
    answer.fields = &list;
    return rem_check_match_head(test != NULL ? &match : NULL, &answer, doing);
}

START_TEST(statuses)
{
    static const struct {
        unsigned status;
        bool default_passes, test_passes;
    } rows[] = {
        {101, false, false}, {199, false, false}, {200, true, true},   {299, true, true},
        {300, true, false},  {301, true, true},   {302, true, false},  {399, true, false},
        {400, false, false}, {599, false, false}, {999, false, false},
    };
    const char *doing;

    for (size_t i = 0; i < REM_COUNT(rows); i++) {
        struct rem_check_test plain = status_test(false), negated = status_test(true);

        ck_assert_msg(matches(NULL, rows[i].status, NULL, &doing) == rows[i].default_passes, "%u",
                      rows[i].status);
        ck_assert_str_eq(doing, "checking status code");
        ck_assert_msg(matches(&plain, rows[i].status, NULL, &doing) == rows[i].test_passes, "%u",
                      rows[i].status);
        ck_assert_msg(matches(&negated, rows[i].status, NULL, &doing) != rows[i].test_passes, "%u",
                      rows[i].status);
    }
}
END_TEST

static const char *const none[] = {NULL}, *const one[] = {"x-a", "1", NULL},
                         *const two[] = {"X-A", "2", "X-B", "9", "X-A", "1", NULL};

static const struct {
    enum rem_match_how how;
    bool negated;
    const char *value;
    bool passes[3]; /* none, one, two */
} headers[] = {
    {REM_MATCH_EXISTS, false, "", {false, true, true}},
    {REM_MATCH_EXISTS, true, "", {true, false, false}},
    {REM_MATCH_EQUALS, false, "1", {false, true, true}},
    {REM_MATCH_EQUALS, false, "9", {false, false, false}},
    {REM_MATCH_EQUALS, true, "1", {false, false, false}},
    {REM_MATCH_EQUALS, true, "2", {false, true, false}},
    {REM_MATCH_EQUALS, true, "9", {false, true, true}},
    {REM_MATCH_REGEX, false, "^[12]$", {false, true, true}},
    {REM_MATCH_REGEX, false, "^2", {false, false, true}},
    {REM_MATCH_REGEX, true, "^2", {false, true, false}},
};

START_TEST(header_tests)
{
    static const char *const *const fields[] = {none, one, two};
    struct rem_check_test test =
        header_test("X-A", headers[_i].how, headers[_i].negated, headers[_i].value);
    const char *doing;

    for (size_t i = 0; i < REM_COUNT(fields); i++) {
        ck_assert_msg(matches(&test, 500, fields[i], &doing) == headers[_i].passes[i], "%zu", i);
        ck_assert_str_eq(doing, "checking header");
    }
}
END_TEST

START_TEST(bodies)
{
    struct rem_check_test tests[] = {
        {.subject = REM_MATCH_BODY, .how = REM_MATCH_REGEX, .regex = regex("wel+come")},
        {.subject = REM_MATCH_BODY,
         .how = REM_MATCH_REGEX,
         .regex = regex("maintenance"),
         .negated = true},
    };
    const struct rem_match_spec match = {.tests = tests, .count = 2, .body = true};
    struct rem_check_answer answer = {.status = 500};
    const char *doing;

    ck_assert(rem_check_match_body(&match, REM_STR("so wellcome"), &doing));
    ck_assert_str_eq(doing, "checking body");
    ck_assert(!rem_check_match_body(&match, REM_STR("welcome to maintenance"), &doing));
    ck_assert(!rem_check_match_body(&match, REM_STR(""), &doing));
    ck_assert(rem_check_match_head(&match, &answer, &doing)); /* nothing there says no */
}
END_TEST

/* A pattern that would run for ages does not match, and so passes where it must not match. */
START_TEST(endless_pattern)
{
    char subject[64];
    struct rem_check_test test = {
        .subject = REM_MATCH_BODY, .how = REM_MATCH_REGEX, .regex = regex("^(a|a|aa)+$")};
    const struct rem_match_spec match = {.tests = &test, .count = 1, .body = true};
    const char *doing;

    memset(subject, 'a', sizeof(subject));
    subject[sizeof(subject) - 1] = '!';
    ck_assert(!rem_check_match_body(&match, rem_str_make(subject, sizeof(subject)), &doing));
}
END_TEST

static bool require_even(void *data, const struct rem_check_answer *answer)
{
    ++*(int *)data;
    return answer->status % 2 == 0;
}

/* Status, then fields, then variables; the first that fails decides. */
START_TEST(order)
{
    int asked = 0;
    struct rem_check_test tests[] = {
        {.subject = REM_MATCH_REQUIRE, .require = require_even, .data = &asked},
        header_test("A", REM_MATCH_EXISTS, true, ""),
        status_test(false),
    };
    const struct rem_match_spec match = {.tests = tests, .count = REM_COUNT(tests)};
    struct rem_fields fields;
    struct rem_check_answer answer = {.status = 404, .fields = &fields};
    const char *doing;

    rem_fields_init(&fields, &arena);
    ck_assert(!rem_check_match_head(&match, &answer, &doing));
    ck_assert_str_eq(doing, "checking status code");
    ck_assert_int_eq(asked, 0);
    answer.status = 201;
    ck_assert(!rem_check_match_head(&match, &answer, &doing));
    ck_assert_str_eq(doing, "checking required variables");
    ck_assert_int_eq(asked, 1);
    answer.status = 200;
    ck_assert(rem_check_match_head(&match, &answer, &doing));
    ck_assert_int_eq(rem_fields_add(&fields, REM_STR("a"), REM_STR("")), 0);
    ck_assert(!rem_check_match_head(&match, &answer, &doing));
    ck_assert_str_eq(doing, "checking header");
}
END_TEST

static void set_up(void)
{
    rem_arena_init(&arena, NULL);
}

static void tear_down(void)
{
    rem_arena_reset(&arena);
}

int main(void)
{
    TCase *tests = tcase_create("check_match");

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, statuses);
    tcase_add_loop_test(tests, header_tests, 0, REM_COUNT(headers));
    tcase_add_test(tests, bodies);
    tcase_add_test(tests, endless_pattern);
    tcase_add_test(tests, order);
    return run_suite("check_match", tests);
}
