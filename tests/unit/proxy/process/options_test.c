/* SPDX-License-Identifier: Apache-2.0 */
/* options_test.c - command lines, right and wrong, in nginx's words. */
#include "proxy/process/options.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

static const struct {
    const char *argv[8];
    const char *error; /* NULL: accepted */
} lines[] = {
    {{"remora"}, NULL},
    {{"remora", "-t"}, NULL},
    {{"remora", "-tq", "-c", "x.conf"}, NULL},
    {{"remora", "-cx.conf", "-p", "/p", "-g", "daemon off;", "-e"},
     "option \"-e\" requires file name"},
    {{"remora", "-c"}, "option \"-c\" requires file name"},
    {{"remora", "-p"}, "option \"-p\" requires directory name"},
    {{"remora", "-g"}, "option \"-g\" requires parameter"},
    {{"remora", "-s"}, "option \"-s\" requires parameter"},
    {{"remora", "-s", "foo"}, "invalid option: \"-s foo\""},
    {{"remora", "-sreload"}, NULL},
    {{"remora", "-x"}, "invalid option: \"x\""},
    {{"remora", "-tx"}, "invalid option: \"x\""},
    {{"remora", "foo"}, "invalid option: \"foo\""},
    {{"remora", "--help"}, NULL},
    {{"remora", "--version"}, NULL},
    {{"remora", "-?"}, NULL},
};

START_TEST(parses)
{
    struct rem_options o;
    struct rem_err err = {0};
    int argc = 0;
    int rc;

    while (argc < 8 && lines[_i].argv[argc] != NULL)
        argc++;
    rc = rem_options_parse(argc, (char **)(uintptr_t)lines[_i].argv, &o, &err);
    if (lines[_i].error == NULL) {
        ck_assert_int_eq(rc, REM_OK);
    } else {
        ck_assert_int_eq(rc, REM_EINVAL);
        ck_assert_str_eq(err.text, lines[_i].error);
    }
}
END_TEST

START_TEST(values)
{
    const char *argv[] = {"remora", "-Tqc", "a.conf", "-p/x/", "-e",
                          "e.log",  "-g",   "pid p;", "-s",    "quit"};
    struct rem_options o;
    struct rem_err err;

    ck_assert_int_eq(rem_options_parse(10, (char **)(uintptr_t)argv, &o, &err), REM_OK);
    ck_assert(o.test && o.dump && o.quiet && !o.help && !o.version);
    ck_assert_str_eq(o.conf, "a.conf");
    ck_assert_str_eq(o.prefix, "/x/");
    ck_assert_str_eq(o.log, "e.log");
    ck_assert_str_eq(o.globals, "pid p;");
    ck_assert_str_eq(o.signal, "quit");
    ck_assert_int_eq(rem_options_parse(1, (char **)(uintptr_t)argv, &o, &err), REM_OK);
    ck_assert_str_eq(o.prefix, REM_DEFAULT_PREFIX);
    ck_assert_str_eq(o.conf, REM_DEFAULT_CONF);
    ck_assert_ptr_null(o.signal);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("options");

    tcase_add_loop_test(t, parses, 0, (int)REM_COUNT(lines));
    tcase_add_test(t, values);
    return run_suite("options", t);
}
