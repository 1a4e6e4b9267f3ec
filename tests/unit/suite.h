/* SPDX-License-Identifier: Apache-2.0 */
/* suite.h - what the main of a unit test does with its cases.  */
#ifndef REM_TESTS_UNIT_SUITE_H
#define REM_TESTS_UNIT_SUITE_H

#include <check.h>

/* Runs the cases; CK_VERBOSITY says how much of that is shown.  Returns: the exit code. */
static inline int run_suite(const char *name, TCase *tests)
{
    Suite *suite = suite_create(name);
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
