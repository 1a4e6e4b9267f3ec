/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/var.h"

#include "tests/unit/proxy/conf/variables.h"

START_TEST(one_index_per_name)
{
    struct stage s;
    uint32_t index = 99;

    stage_init(&s);
    ck_assert_uint_eq(index_of(&s, "host"), 0);
    ck_assert_uint_eq(index_of(&s, "scheme"), 1);
    ck_assert_uint_eq(index_of(&s, "HOST"), 0);
    ck_assert_uint_eq(rem_vars_count(s.vars), 2);
    ck_assert_int_eq(
        rem_var_index(s.vars, REM_STR(""), (struct rem_conf_pos){{NULL, 0}, 0}, &index),
        REM_EINVAL);
    ck_assert_uint_eq(index, 99);
    stage_ready(&s);
    assert_text(rem_vars_at(s.vars, 1)->name, "scheme");
    stage_fini(&s);
}
END_TEST

START_TEST(many_references)
{
    struct stage s;
    char name[32];

    stage_init(&s);
    for (uint32_t i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "arg_%u", i);
        ck_assert_uint_eq(index_of(&s, name), i);
    }
    stage_ready(&s);
    assert_text(ask(&s, 0), "<0>");
    assert_text(ask(&s, 999), "<999>");
    stage_fini(&s);
}
END_TEST

/* Every unknown name is reported, where it was mentioned first. */
START_TEST(unknown_names)
{
    struct stage s;
    uint32_t index;

    stage_init(&s);
    (void)index_of(&s, "nobody");
    (void)index_of(&s, "host");
    ck_assert_int_eq(rem_var_index(s.vars, REM_STR("nobody"),
                                   (struct rem_conf_pos){REM_STR("other"), 9}, &index),
                     0);
    ck_assert_int_eq(rem_var_index(s.vars, REM_STR("None"),
                                   (struct rem_conf_pos){REM_STR("command line"), 0}, &index),
                     0);
    ck_assert_int_lt(rem_vars_resolve(s.vars, &s.cf), 0);
    ck_assert_str_eq(reported(), "unknown \"nobody\" variable in file:7\n"
                                 "unknown \"none\" variable in command line\n");
    stage_fini(&s);
}
END_TEST

START_TEST(definitions)
{
    struct stage s;
    struct rem_var *var;

    stage_init(&s);
    ck_assert_ptr_null(rem_var_add(s.vars, REM_STR("HOST"), get_text, "x", 0));
    ck_assert_ptr_null(rem_var_add(s.vars, REM_STR("arg_"), get_text, "x", REM_VAR_PREFIX));
    var = define(&s, "Mine", NULL, NULL, REM_VAR_CHANGEABLE);
    ck_assert_ptr_eq(rem_var_find(s.vars, REM_STR("mINE")), var);
    ck_assert_ptr_null(rem_var_find(s.vars, REM_STR("arg_")));
    /* `set` after `map` keeps the map's function; `map` after `set` brings its own. */
    ck_assert_ptr_eq(define(&s, "mine", get_text, "map", REM_VAR_CHANGEABLE), var);
    ck_assert_ptr_eq(define(&s, "mine", NULL, NULL, REM_VAR_CHANGEABLE), var);
    (void)index_of(&s, "mine");
    stage_ready(&s);
    assert_text(ask(&s, 0), "map");
    stage_fini(&s);
}
END_TEST

static const struct {
    const char *name, *report; /* report "": fine */
} names[] = {
    {"$mine", ""},
    {"mine", ""},
    {"$", "invalid variable name \"$\"\n"},
    {"", "invalid variable name \"\"\n"},
    {"$host", "the duplicate \"host\" variable\n"},
};

START_TEST(names_in_files)
{
    struct stage s;
    struct rem_var *var = NULL;
    int rc;

    stage_init(&s);
    rc =
        rem_conf_var_add(&s.cf, rem_str_from(names[_i].name), NULL, NULL, REM_VAR_CHANGEABLE, &var);
    ck_assert_str_eq(reported(), names[_i].report);
    ck_assert_int_eq(rc < 0, names[_i].report[0] != '\0');
    if (rc == 0)
        assert_text(var->name, "mine");
    stage_fini(&s);
}
END_TEST

START_TEST(caching)
{
    struct stage s;
    uint32_t once, count, empty;
    const struct rem_var_value *value;

    stage_init(&s);
    once = index_of(&s, "once");
    count = index_of(&s, "count");
    empty = index_of(&s, "empty");
    stage_ready(&s);
    assert_text(ask(&s, once), "1");
    assert_text(ask(&s, once), "1");
    assert_text(ask(&s, count), "2");
    assert_text(ask(&s, count), "3");
    ck_assert_int_eq(rem_var_get(&s.e, empty, &value), 0);
    ck_assert_int_eq(value->state, REM_VAR_NOT_FOUND);
    assert_text(value->str, "");
    (void)ask(&s, empty);
    ck_assert_int_eq(s.subject.asked, 4); /* "not found" is cached too */
    rem_var_forget(&s.e);
    assert_text(ask(&s, once), "5");
    stage_fini(&s);
}
END_TEST

static int set_upper(struct rem_eval *e, const struct rem_var *v, struct rem_str value)
{
    struct subject *s = e->subject;

    (void)v;
    s->asked = (int)value.n;
    return 0;
}

START_TEST(setting)
{
    struct stage s;
    uint32_t mine, count, special, header;
    const struct rem_var_value *value;

    stage_init(&s);
    define(&s, "mine", NULL, NULL, REM_VAR_CHANGEABLE);
    define(&s, "arg_own", NULL, NULL, REM_VAR_CHANGEABLE);
    define(&s, "special", get_count, NULL, REM_VAR_NOCACHE)->set = set_upper;
    mine = index_of(&s, "mine");
    count = index_of(&s, "count");
    special = index_of(&s, "special");
    header = index_of(&s, "arg_own");
    stage_ready(&s);

    ck_assert_int_eq(rem_var_get(&s.e, mine, &value), 0);
    ck_assert_int_eq(value->state, REM_VAR_NOT_FOUND);
    ck_assert_int_eq(rem_var_set(&s.e, mine, REM_STR("now")), 0);
    assert_text(ask(&s, mine), "now");
    /* What is set stays, even for a variable that is otherwise asked every time. */
    ck_assert_int_eq(rem_var_set(&s.e, count, REM_STR("fixed")), 0);
    assert_text(ask(&s, count), "fixed");
    /* A set function replaces the cache. */
    ck_assert_int_eq(rem_var_set(&s.e, special, REM_STR("12345")), 0);
    assert_text(ask(&s, special), "6");
    /* A name that only `set` defines is the prefix's until it is set. */
    assert_text(ask(&s, header), "<own>");
    ck_assert_int_eq(rem_var_set(&s.e, header, REM_STR("mine")), 0);
    assert_text(ask(&s, header), "mine");
    stage_fini(&s);
}
END_TEST

START_TEST(failure_is_not_cached)
{
    struct stage s;
    uint32_t broken;
    const struct rem_var_value *value = NULL;

    stage_init(&s);
    broken = index_of(&s, "broken");
    stage_ready(&s);
    ck_assert_int_eq(rem_var_get(&s.e, broken, &value), REM_EIO);
    ck_assert_int_eq(rem_var_get(&s.e, broken, &value), REM_EIO);
    ck_assert_ptr_null(value);
    ck_assert_uint_eq(s.e.depth, 0);
    stage_fini(&s);
}
END_TEST

/* A copy knows the same indexes, but only some have a value; what is made of others is empty too.
 */
START_TEST(only_some)
{
    struct stage s;
    const struct rem_vars *only;

    stage_init(&s);
    define(&s, "own", get_text, "mine", REM_VAR_CLIENTLESS);
    define(&s, "own_", get_rest, NULL, REM_VAR_CLIENTLESS | REM_VAR_PREFIX);
    ck_assert_uint_eq(index_of(&s, "host"), 0);
    ck_assert_uint_eq(index_of(&s, "own"), 1);
    ck_assert_uint_eq(index_of(&s, "own_x"), 2);
    ck_assert_uint_eq(index_of(&s, "arg_x"), 3);
    stage_ready(&s);
    only = rem_vars_only(s.vars, &s.arena, REM_VAR_CLIENTLESS);
    ck_assert_ptr_nonnull(only);
    ck_assert_uint_eq(rem_vars_count(only), 4);
    s.e.vars = only;
    assert_text(ask(&s, 0), "");
    assert_text(ask(&s, 1), "mine");
    assert_text(ask(&s, 2), "<x>");
    assert_text(ask(&s, 3), "");
    s.e.vars = s.vars;
    rem_var_forget(&s.e);
    assert_text(ask(&s, 0), "example.org");
    assert_text(ask(&s, 3), "<x>");
    stage_fini(&s);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("var");

    tcase_add_test(tc, one_index_per_name);
    tcase_add_test(tc, many_references);
    tcase_add_test(tc, unknown_names);
    tcase_add_test(tc, definitions);
    tcase_add_loop_test(tc, names_in_files, 0, REM_COUNT(names));
    tcase_add_test(tc, caching);
    tcase_add_test(tc, setting);
    tcase_add_test(tc, failure_is_not_cached);
    tcase_add_test(tc, only_some);
    return run_tests(tc);
}
