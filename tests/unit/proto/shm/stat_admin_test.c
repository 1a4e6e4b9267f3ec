/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/stat_admin.h"

#include "proto/shm/region.h"

#include "tests/unit/suite.h"

#include <stdio.h>

static struct rem_region region;

static void setup(void)
{
    ck_assert_int_eq(rem_region_create(&region, 4 << 20, 4), REM_OK);
}

static void teardown(void)
{
    rem_region_close(&region);
}

START_TEST(test_absent)
{
    struct rem_stat *stat;

    ck_assert_ptr_null(rem_stat_admin(region.header));
    ck_assert_int_eq(rem_stat_open(region.header, REM_STAT_LISTENER, REM_STR("a"), 1, &stat),
                     REM_OK);
    ck_assert_ptr_null(rem_stat_admin(region.header));
}
END_TEST

START_TEST(test_routes)
{
    char name[80];
    struct rem_stat *stat, *again;
    struct rem_stat_admin *admin;
    struct rem_stat_route *first;

    ck_assert_int_eq(rem_stat_open(region.header, REM_STAT_ADMIN, REM_STR("admin"), 1, &stat),
                     REM_OK);
    admin = rem_stat_admin(region.header);
    ck_assert_ptr_eq(admin, rem_stat_line(stat, 3));
    first = rem_stat_admin_route(admin, "GET /a");
    ck_assert_str_eq(first->name, "GET /a");
    ck_assert_ptr_ne(rem_stat_admin_route(admin, "GET /ab"), first);
    ck_assert_ptr_eq(rem_stat_admin_route(admin, "GET /a"), first);
    for (int i = 2; i < REM_STAT_ROUTES; i++) {
        snprintf(name, sizeof(name), "PUT %075d", i); /* cut, so all of them are one */
        ck_assert_ptr_nonnull(rem_stat_admin_route(admin, name));
        snprintf(name, sizeof(name), "GET /%d", i);
        if (i < REM_STAT_ROUTES - 1)
            ck_assert_str_eq(rem_stat_admin_route(admin, name)->name, name);
    }
    ck_assert_uint_eq(atomic_load(&admin->routes), REM_STAT_ROUTES);
    ck_assert_ptr_null(rem_stat_admin_route(admin, "GET /one too many"));
    ck_assert_ptr_eq(rem_stat_admin_route(admin, "GET /a"), first);
    /* The next configuration goes on with it. */
    ck_assert_int_eq(rem_stat_open(region.header, REM_STAT_ADMIN, REM_STR("admin"), 2, &again),
                     REM_OK);
    ck_assert_ptr_eq(again, stat);
}
END_TEST

/* A group of its own size does not hide those behind it. */
START_TEST(test_neighbours)
{
    struct rem_stat *admin, *after, *found;

    ck_assert_int_eq(rem_stat_open(region.header, REM_STAT_ADMIN, REM_STR("admin"), 1, &admin),
                     REM_OK);
    ck_assert_int_eq(rem_stat_open(region.header, REM_STAT_SERVER, REM_STR("z"), 1, &after),
                     REM_OK);
    found = rem_stat_next(region.header, rem_stat_next(region.header, NULL));
    ck_assert_ptr_eq(found, after);
    ck_assert_ptr_null(rem_stat_next(region.header, found));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_absent);
    tcase_add_test(tc, test_routes);
    tcase_add_test(tc, test_neighbours);
    return run_suite("stat_admin", tc);
}
