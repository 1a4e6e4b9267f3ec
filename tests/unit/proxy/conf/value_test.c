/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/value.h"

#include "tests/unit/proxy/conf/variables.h"

static const struct {
    const char *text;
    const char *result; /* NULL: does not compile, and `error` says why */
    const char *error;
    uint32_t n_ops; /* 0: static */
} cases[] = {
    {"", "", NULL, 0},
    {"plain {text} }", "plain {text} }", NULL, 0},
    {"$host", "example.org", NULL, 1},
    {"${host}", "example.org", NULL, 1},
    {"$HoSt", "example.org", NULL, 1},
    {"$scheme://${host}:80/", "http://example.org:80/", NULL, 4},
    {"${scheme}s", "https", NULL, 2},
    {"a$empty-b", "a-b", NULL, 3},
    {"$1", "one", NULL, 1},
    {"$1$2$3", "onetwo", NULL, 3},
    {"$10", "one0", NULL, 2},
    {"[$9]", "[]", NULL, 3},
    {"$arg_a.b", "<a>.b", NULL, 2},
    {"$arg_", "<>", NULL, 1},
    {"$ARG_X", "<x>", NULL, 1},
    {"$sent_http_x", "<x>", NULL, 1}, /* the longest prefix */
    {"$sent_x", "short", NULL, 1},
    {"$count$count$once$once$count", "12334", NULL, 5},
    {"$", NULL, "invalid variable name", 0},
    {"a$", NULL, "invalid variable name", 0},
    {"$-", NULL, "invalid variable name", 0},
    {"$$host", NULL, "invalid variable name", 0},
    {"${}", NULL, "invalid variable name", 0},
    {"${", NULL, "the closing bracket in \"\" variable is missing", 0},
    {"${host", NULL, "the closing bracket in \"host\" variable is missing", 0},
    {"${host-}", NULL, "the closing bracket in \"host\" variable is missing", 0},
};

/* The same texts without a byte behind them. */
START_TEST(texts)
{
    static const size_t ovector[] = {0, 6, 0, 3, 3, 6};
    size_t n = strlen(cases[_i].text);
    char *copy = malloc(n + (n == 0));
    struct stage s;
    struct rem_value value;
    struct rem_err err;
    struct rem_str out;
    int rc;

    memcpy(copy, cases[_i].text, n);
    stage_init(&s);
    rc = rem_value_compile_in(s.vars, &s.arena, rem_str_make(copy, n), (struct rem_conf_pos){0},
                              &value, &err);
    if (cases[_i].result == NULL) {
        ck_assert_int_eq(rc, REM_EINVAL);
        ck_assert_str_eq(err.text, cases[_i].error);
    } else {
        ck_assert_int_eq(rc, 0);
        ck_assert_uint_eq(value.n_ops, cases[_i].n_ops);
        ck_assert_int_eq(rem_value_is_static(&value), cases[_i].n_ops == 0);
        stage_ready(&s);
        s.e.captured = "onetwo";
        s.e.ovector = ovector;
        s.e.n_captures = 3;
        ck_assert_int_eq(rem_value_eval(&value, &s.e, &out), 0);
        assert_text(out, cases[_i].result);
    }
    stage_fini(&s);
    free(copy);
}
END_TEST

START_TEST(counts_captures)
{
    struct stage s;
    struct rem_value value;
    struct rem_err err;

    stage_init(&s);
    ck_assert_int_eq(rem_value_compile_in(s.vars, &s.arena, REM_STR("$2a$1"),
                                          (struct rem_conf_pos){0}, &value, &err),
                     0);
    ck_assert_uint_eq(value.n_captures, 3);
    ck_assert_int_eq(rem_value_compile_in(s.vars, &s.arena, REM_STR("$host"),
                                          (struct rem_conf_pos){0}, &value, &err),
                     0);
    ck_assert_uint_eq(value.n_captures, 0);
    stage_fini(&s);
}
END_TEST

/* A group that took no part, one that ends before it starts, and one that does not exist. */
START_TEST(odd_captures)
{
    static const size_t ovector[] = {0, 3, ~(size_t)0, ~(size_t)0, 2, 1};
    struct stage s;
    struct rem_value value;
    struct rem_err err;
    struct rem_str out;

    stage_init(&s);
    ck_assert_int_eq(rem_value_compile_in(s.vars, &s.arena, REM_STR("<$1$2$3>"),
                                          (struct rem_conf_pos){0}, &value, &err),
                     0);
    stage_ready(&s);
    s.e.captured = "abc";
    s.e.ovector = ovector;
    s.e.n_captures = 3;
    ck_assert_int_eq(rem_value_eval(&value, &s.e, &out), 0);
    assert_text(out, "<>");
    stage_fini(&s);
}
END_TEST

START_TEST(terminated)
{
    static const char *const samples[] = {"static", "$host", "$scheme$host", "$empty"};
    struct stage s;
    struct rem_value values[REM_COUNT(samples)];
    struct rem_str out;

    stage_init(&s);
    for (size_t i = 0; i < REM_COUNT(samples); i++)
        ck_assert_int_eq(rem_value_compile(&s.cf, rem_str_from(samples[i]), &values[i]), 0);
    stage_ready(&s);
    for (size_t i = 0; i < REM_COUNT(samples); i++) {
        ck_assert_int_eq(rem_value_eval_z(&values[i], &s.e, &out), 0);
        ck_assert_uint_eq(strlen(out.p), out.n);
    }
    stage_fini(&s);
}
END_TEST

START_TEST(many_pieces)
{
    enum { N = 100 };
    struct stage s;
    struct rem_value value;
    struct rem_sbuf text, want;
    struct rem_str out;

    stage_init(&s);
    rem_sbuf_init(&text);
    rem_sbuf_init(&want);
    for (int i = 0; i < N; i++) {
        rem_sbuf_addf(&text, "%d${scheme}", i % 10);
        rem_sbuf_addf(&want, "%dhttp", i % 10);
    }
    rem_sbuf_addc(&want, '\0');
    ck_assert_int_eq(rem_value_compile(&s.cf, rem_sbuf_str(&text), &value), 0);
    ck_assert_uint_eq(value.n_ops, 2 * N);
    stage_ready(&s);
    ck_assert_int_eq(rem_value_eval(&value, &s.e, &out), 0);
    assert_text(out, want.p);
    ck_assert_int_eq(s.subject.asked, 1);
    rem_sbuf_fini(&text);
    rem_sbuf_fini(&want);
    stage_fini(&s);
}
END_TEST

START_TEST(failing_variable)
{
    struct stage s;
    struct rem_value value;
    struct rem_str out = REM_STR("untouched");

    stage_init(&s);
    ck_assert_int_eq(rem_value_compile(&s.cf, REM_STR("a$broken"), &value), 0);
    stage_ready(&s);
    ck_assert_int_eq(rem_value_eval(&value, &s.e, &out), REM_EIO);
    assert_text(out, "untouched");
    assert_text(s.e.failed->name, "broken");
    stage_fini(&s);
}
END_TEST

/* $a -> $b -> $a: an error, not an overflow; afterwards others still work. */
START_TEST(cycle)
{
    struct stage s;
    struct rem_value a, b, other;
    struct rem_str out;

    stage_init(&s);
    ck_assert_int_eq(rem_value_compile(&s.cf, REM_STR("x$b"), &a), 0);
    ck_assert_int_eq(rem_value_compile(&s.cf, REM_STR("y$a"), &b), 0);
    ck_assert_int_eq(rem_value_compile(&s.cf, REM_STR("$host"), &other), 0);
    define(&s, "a", get_value, &a, REM_VAR_CHANGEABLE);
    define(&s, "b", get_value, &b, REM_VAR_CHANGEABLE);
    stage_ready(&s);
    ck_assert_int_eq(rem_value_eval(&a, &s.e, &out), REM_EINVAL);
    ck_assert_ptr_nonnull(s.e.failed);
    ck_assert_uint_eq(s.e.depth, 0);
    ck_assert_int_eq(rem_value_eval(&other, &s.e, &out), 0);
    assert_text(out, "example.org");
    stage_fini(&s);
}
END_TEST

START_TEST(without_variables)
{
    struct stage s;
    struct rem_value value;

    stage_init(&s);
    s.cf.vars = NULL;
    ck_assert_int_eq(rem_value_compile(&s.cf, REM_STR("plain"), &value), 0);
    ck_assert_int_lt(rem_value_compile(&s.cf, REM_STR("$host"), &value), 0);
    ck_assert_str_eq(reported(), "no variable \"host\" here: invalid value\n");
    stage_fini(&s);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("value");

    tcase_add_loop_test(tc, texts, 0, REM_COUNT(cases));
    tcase_add_test(tc, counts_captures);
    tcase_add_test(tc, odd_captures);
    tcase_add_test(tc, terminated);
    tcase_add_test(tc, many_pieces);
    tcase_add_test(tc, failing_variable);
    tcase_add_test(tc, cycle);
    tcase_add_test(tc, without_variables);
    return run_tests(tc);
}
