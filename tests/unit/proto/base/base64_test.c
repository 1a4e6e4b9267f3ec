/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/base64.h"

#include "tests/unit/suite.h"

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
    TCase *tests = tcase_create("base64");

    tcase_add_test(tests, test_base64);
    return run_suite("base64", tests);
}
