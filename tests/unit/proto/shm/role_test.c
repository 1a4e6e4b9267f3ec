/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/role.h"

#include "proto/base/err.h"

#include "tests/unit/suite.h"

START_TEST(test_names)
{
    enum rem_api_role role = REM_ROLE_NONE;

    for (int i = REM_ROLE_METRICS; i < REM_ROLES; i++) {
        const char *name = rem_role_name((enum rem_api_role)i);

        ck_assert_int_eq(rem_role_parse(rem_str_from(name), &role), 0);
        ck_assert_int_eq(role, i);
    }
    ck_assert_str_eq(rem_role_name(REM_ROLE_NONE), "none");
}
END_TEST

static const char *const wrong[] = {"", "none", "Admin", "admin ", "root", "rea", "readwrite"};

START_TEST(test_no_names)
{
    enum rem_api_role role = REM_ROLE_READ;

    ck_assert_int_eq(rem_role_parse(rem_str_from(wrong[_i]), &role), REM_EINVAL);
    ck_assert_int_eq(role, REM_ROLE_READ);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, test_names);
    tcase_add_loop_test(tc, test_no_names, 0, REM_COUNT(wrong));
    return run_suite("role", tc);
}
