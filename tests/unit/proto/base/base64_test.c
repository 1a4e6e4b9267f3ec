/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/base64.h"

#include <check.h>

START_TEST(test_base64)
{
    static const struct {
        const char *text, *plain; /* NULL: refused */
    } cases[] = {
        {"", ""},        {"YQ==", "a"},   {"YWI=", "ab"},
        {"YWJj", "abc"}, {"YQ", "a"},     {"Zm9vOmJhcg==", "foo:bar"},
        {"Y", NULL},     {"YW Jj", NULL}, {"YQ=a", NULL},
        {"Y_-j", NULL},  {"=", ""},       {"YWJj\n", NULL},
    };
    char out[64];
    size_t n;

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        bool ok = rem_base64_decode(rem_str_from(cases[i].text), out, &n);

        ck_assert_msg(ok == (cases[i].plain != NULL), "%s", cases[i].text);
        if (ok)
            ck_assert_msg(rem_str_is(rem_str_make(out, n), cases[i].plain), "%s", cases[i].text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base64");
    TCase *tests = tcase_create("base64");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, test_base64);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
