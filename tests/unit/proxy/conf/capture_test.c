/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/capture.h"

#include "tests/unit/proxy/conf/variables.h"

START_TEST(numbered_and_named)
{
    struct stage s;
    struct rem_capture capture;
    struct rem_value value;
    struct rem_str out;
    char subject[] = "/users/ann/7";
    uint32_t user, id;

    stage_init(&s);
    ck_assert_int_eq(
        rem_capture_compile(&s.cf, REM_STR("^/users/(?<User>[a-z]+)(?:/(?<id>\\d))?"), 0, &capture),
        0);
    ck_assert_int_eq(rem_value_compile(&s.cf, REM_STR("$2:$1:$user:$id"), &value), 0);
    user = index_of(&s, "user");
    id = index_of(&s, "id");
    stage_ready(&s);
    ck_assert_int_eq(rem_capture_match(&capture, &s.e, rem_str_from(subject)), 1);
    memset(subject, 'x', sizeof(subject) - 1); /* captures do not point into the subject */
    assert_text(ask(&s, user), "ann");
    assert_text(ask(&s, id), "7");
    ck_assert_int_eq(rem_value_eval(&value, &s.e, &out), 0);
    assert_text(out, "7:ann:ann:7");

    /* Without a match nothing changes. */
    ck_assert_int_eq(rem_capture_match(&capture, &s.e, REM_STR("/other")), 0);
    ck_assert_int_eq(rem_value_eval(&value, &s.e, &out), 0);
    assert_text(out, "7:ann:ann:7");

    /* A group that takes no part empties its variable. */
    ck_assert_int_eq(rem_capture_match(&capture, &s.e, REM_STR("/users/bob")), 1);
    ck_assert_int_eq(rem_value_eval(&value, &s.e, &out), 0);
    assert_text(out, ":bob:bob:");
    stage_fini(&s);
}
END_TEST

START_TEST(no_groups)
{
    struct stage s;
    struct rem_capture with, without;
    struct rem_value value;
    struct rem_str out;

    stage_init(&s);
    ck_assert_int_eq(rem_capture_compile(&s.cf, REM_STR("(b)"), 0, &with), 0);
    ck_assert_int_eq(rem_capture_compile(&s.cf, REM_STR("B"), REM_REGEX_NOCASE, &without), 0);
    ck_assert_int_eq(rem_value_compile(&s.cf, REM_STR("[$1]"), &value), 0);
    stage_ready(&s);
    ck_assert_int_eq(rem_capture_match(&with, &s.e, REM_STR("abc")), 1);
    ck_assert_int_eq(rem_value_eval(&value, &s.e, &out), 0);
    assert_text(out, "[b]");
    ck_assert_int_eq(rem_capture_match(&without, &s.e, REM_STR("abc")), 1);
    ck_assert_int_eq(rem_value_eval(&value, &s.e, &out), 0);
    assert_text(out, "[]");
    stage_fini(&s);
}
END_TEST

START_TEST(same_name_twice)
{
    struct stage s;
    struct rem_capture first, second;
    uint32_t name;

    stage_init(&s);
    ck_assert_int_eq(rem_capture_compile(&s.cf, REM_STR("a(?<name>.)"), 0, &first), 0);
    ck_assert_int_eq(rem_capture_compile(&s.cf, REM_STR("b(?<name>.)"), 0, &second), 0);
    name = index_of(&s, "name");
    stage_ready(&s);
    ck_assert_int_eq(rem_capture_match(&second, &s.e, REM_STR("b2")), 1);
    assert_text(ask(&s, name), "2");
    ck_assert_int_eq(rem_capture_match(&first, &s.e, REM_STR("a1")), 1);
    assert_text(ask(&s, name), "1");
    stage_fini(&s);
}
END_TEST

START_TEST(refused)
{
    struct stage s;
    struct rem_capture capture = {.n_vars = 99};

    stage_init(&s);
    ck_assert_int_lt(rem_capture_compile(&s.cf, REM_STR("(?<host>a)"), 0, &capture), 0);
    ck_assert_int_lt(rem_capture_compile(&s.cf, REM_STR("(a"), 0, &capture), 0);
    ck_assert_str_eq(reported(), "the duplicate \"host\" variable\n"
                                 "pcre2_compile() failed: missing closing parenthesis in \"(a\"\n");
    ck_assert_uint_eq(capture.n_vars, 99);
    stage_fini(&s);
}
END_TEST

START_TEST(limit)
{
    struct stage s;
    struct rem_capture capture;

    stage_init(&s);
    ck_assert_int_eq(rem_capture_compile(&s.cf, REM_STR("^(a|a|aa)+$"), 0, &capture), 0);
    stage_ready(&s);
    ck_assert_int_eq(rem_capture_match(&capture, &s.e,
                                       REM_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")),
                     REM_ETOOBIG);
    ck_assert_uint_eq(s.e.n_captures, 0);
    stage_fini(&s);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("capture");

    tcase_add_test(tc, numbered_and_named);
    tcase_add_test(tc, no_groups);
    tcase_add_test(tc, same_name_twice);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, limit);
    return run_tests(tc);
}
