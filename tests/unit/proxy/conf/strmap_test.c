/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/strmap.h"

#include "tests/unit/proxy/conf/helper.h"

START_TEST(adds_and_finds)
{
    struct rem_arena arena;
    struct rem_strmap map;
    int values[3];

    rem_arena_init(&arena, NULL);
    rem_strmap_init(&map, &arena, false);
    ck_assert_ptr_null(rem_strmap_get(&map, REM_STR("a")));
    ck_assert_int_eq(rem_strmap_add(&map, REM_STR("a"), &values[0]), 0);
    ck_assert_int_eq(rem_strmap_add(&map, REM_STR("A"), &values[1]), 0);
    ck_assert_int_eq(rem_strmap_add(&map, REM_STR("a"), &values[2]), REM_EEXIST);
    ck_assert_ptr_eq(rem_strmap_get(&map, REM_STR("a")), &values[0]);
    ck_assert_ptr_eq(rem_strmap_get(&map, REM_STR("A")), &values[1]);
    ck_assert_int_eq(rem_strmap_set(&map, REM_STR("a"), &values[2]), 0);
    ck_assert_ptr_eq(rem_strmap_get(&map, REM_STR("a")), &values[2]);
    ck_assert_uint_eq(map.count, 2);
    /* The empty name is a name like any other, and not every name. */
    ck_assert_ptr_null(rem_strmap_get(&map, (struct rem_str){NULL, 0}));
    ck_assert_int_eq(rem_strmap_add(&map, (struct rem_str){NULL, 0}, &values[0]), 0);
    ck_assert_ptr_eq(rem_strmap_get(&map, REM_STR("")), &values[0]);
    ck_assert_ptr_null(rem_strmap_get(&map, REM_STR("b")));
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(ignores_case)
{
    struct rem_arena arena;
    struct rem_strmap map;
    int value;

    rem_arena_init(&arena, NULL);
    rem_strmap_init(&map, &arena, true);
    ck_assert_int_eq(rem_strmap_add(&map, REM_STR("Host-x"), &value), 0);
    ck_assert_ptr_eq(rem_strmap_get(&map, REM_STR("hOST-X")), &value);
    ck_assert_ptr_null(rem_strmap_get(&map, REM_STR("hOST-")));
    ck_assert_int_eq(rem_strmap_add(&map, REM_STR("HOST-X"), &value), REM_EEXIST);
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(grows)
{
    enum { N = 5000 };
    struct rem_arena arena;
    struct rem_strmap map;

    rem_arena_init(&arena, NULL);
    rem_strmap_init(&map, &arena, false);
    for (uintptr_t i = 1; i <= N; i++) {
        struct rem_str key = rem_arena_printf(&arena, "name-%d", (int)i);
        ck_assert_int_eq(rem_strmap_add(&map, key, (void *)i), 0);
    }
    for (uintptr_t i = 1; i <= N; i++) {
        struct rem_str key = rem_arena_printf(&arena, "name-%d", (int)i);
        ck_assert_uint_eq((uintptr_t)rem_strmap_get(&map, key), i);
    }
    ck_assert_ptr_null(rem_strmap_get(&map, REM_STR("name-5001")));
    ck_assert_uint_ge(map.mask + 1, 2 * N);
    rem_arena_reset(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("strmap");

    tcase_add_test(tc, adds_and_finds);
    tcase_add_test(tc, ignores_case);
    tcase_add_test(tc, grows);
    return run_tests(tc);
}
