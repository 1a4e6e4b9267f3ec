/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy/conf/language.h"

static const struct {
    const char *line, *report;
} bad[] = {
    {"flag maybe;", "invalid value \"maybe\" in \"flag\" directive, it must be \"on\" or \"off\" "
                    "in DIR/c.conf:2\n"},
    {"flag on; flag off;", "\"flag\" directive is duplicate in DIR/c.conf:2\n"},
    {"choice x;", "invalid value \"x\" in DIR/c.conf:2\n"},
    {"choice exact; choice off;", "\"choice\" directive is duplicate in DIR/c.conf:2\n"},
    {"mask exact x;", "invalid value \"x\" in DIR/c.conf:2\n"},
    {"num x;", "\"num\" directive invalid number in DIR/c.conf:2\n"},
    {"num 1; num 1;", "\"num\" directive is duplicate in DIR/c.conf:2\n"},
    {"size 1x;", "\"size\" directive invalid value in DIR/c.conf:2\n"},
    {"size 1; size 1;", "\"size\" directive is duplicate in DIR/c.conf:2\n"},
    {"off 1x;", "\"off\" directive invalid value in DIR/c.conf:2\n"},
    {"off 0; off 0;", "\"off\" directive is duplicate in DIR/c.conf:2\n"},
    {"msec 1y;", "\"msec\" directive invalid value in DIR/c.conf:2\n"},
    {"msec 1; msec 1;", "\"msec\" directive is duplicate in DIR/c.conf:2\n"},
    {"sec 1ms;", "\"sec\" directive invalid value in DIR/c.conf:2\n"},
    {"str ''; str '';", "\"str\" directive is duplicate in DIR/c.conf:2\n"},
    {"path a; path b;", "\"path\" directive is duplicate in DIR/c.conf:2\n"},
    {"bufs 0 4k;", "\"bufs\" directive invalid value in DIR/c.conf:2\n"},
    {"bufs 8 0;", "\"bufs\" directive invalid value in DIR/c.conf:2\n"},
    {"bufs x 4k;", "\"bufs\" directive invalid value in DIR/c.conf:2\n"},
    {"bufs 8 4x;", "\"bufs\" directive invalid value in DIR/c.conf:2\n"},
    {"bufs 9223372036854775807 4k;", "\"bufs\" directive invalid value in DIR/c.conf:2\n"},
    {"bufs 8 4k; bufs 8 4k;", "\"bufs\" directive is duplicate in DIR/c.conf:2\n"},
    {"value a; value b;", "\"value\" directive is duplicate in DIR/c.conf:2\n"},
    {"value $;", "invalid variable name in DIR/c.conf:2\n"},
    {"value a$-b;", "invalid variable name in DIR/c.conf:2\n"},
    {"value '${}';", "invalid variable name in DIR/c.conf:2\n"},
    {"value '${foo';", "the closing bracket in \"foo\" variable is missing in DIR/c.conf:2\n"},
    {"value $nobody; str x;", "unknown \"nobody\" variable in DIR/c.conf:2\n"},
};

START_TEST(bad_values)
{
    struct rem_conf_cycle *cycle;
    char text[256];

    make_dir();
    snprintf(text, sizeof(text), "http {\n%s\n}", bad[_i].line);
    ck_assert_int_lt(load_lang(text, "", &cycle), 0);
    ck_assert_str_eq(reported(), bad[_i].report);
    drop_dir();
}
END_TEST

START_TEST(good_values)
{
    struct rem_conf_cycle *cycle;
    const struct lang_location *l;
    char path[128];

    make_dir();
    write_file("sub/in.inc", "path rel;");
    ck_assert_int_eq(load_lang("http { flag ON; choice EXACT; num 5; size 2k; off 3g; msec 1h30m; "
                               "sec 1M; mask exact before; mask off; bufs 8 4k; str 'a b';"
                               "strs a b; strs c; value 'a b';"
                               "include sub/*.inc; }",
                               "", &cycle),
                     0);
    ck_assert_str_eq(reported(), "");
    l = location_at(cycle, "");
    ck_assert_int_eq(l->flag, 1);
    ck_assert_int_eq(l->choice, 2);
    ck_assert_int_eq(l->num, 5);
    ck_assert_uint_eq(l->size, 2048);
    ck_assert_int_eq(l->off, (int64_t)3 << 30);
    ck_assert_int_eq(l->msec, 5400000);
    ck_assert_int_eq(l->sec, 30 * 86400);
    ck_assert_uint_eq(l->mask, 7);
    ck_assert_int_eq(l->bufs.num, 8);
    ck_assert_uint_eq(l->bufs.size, 4096);
    ck_assert_str_eq(l->str.p, "a b");
    ck_assert_uint_eq(l->strs->n, 3);
    ck_assert_str_eq(REM_ARRAY_OF(l->strs, struct rem_str)[2].p, "c");
    ck_assert(rem_value_is_static(l->value));
    ck_assert_str_eq(l->value->text.p, "a b");
    snprintf(path, sizeof(path), "%s/rel", test_dir);
    ck_assert_str_eq(l->path.p, path);
    rem_conf_free(cycle);
    drop_dir();
}
END_TEST

START_TEST(repeated_mask)
{
    struct rem_conf_cycle *cycle;

    make_dir();
    ck_assert_int_eq(load_lang("http {\nmask exact before exact;\n}", "", &cycle), 0);
    ck_assert_str_eq(reported(), "warn: duplicate value \"exact\" in DIR/c.conf:2\n");
    ck_assert_uint_eq(location_at(cycle, "")->mask, 6);
    rem_conf_free(cycle);
    drop_dir();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("set");

    tcase_add_loop_test(tc, bad_values, 0, REM_COUNT(bad));
    tcase_add_test(tc, good_values);
    tcase_add_test(tc, repeated_mask);
    return run_tests(tc);
}
