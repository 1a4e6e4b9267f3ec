/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/field.h"

#include "proto/base/err.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

/* Every known name, in three spellings, in memory of exactly its size. */
START_TEST(known_names)
{
    for (unsigned id = 1; id < REM_FIELD_IDS; id++) {
        struct rem_str name = rem_field_name((enum rem_field_id)id);
        char *copy = malloc(name.n);

        ck_assert_uint_gt(name.n, 0);
        if (id > 1)
            ck_assert_uint_ge(name.n, rem_field_name((enum rem_field_id)(id - 1)).n);
        for (size_t i = 0; i < name.n; i++)
            ck_assert(rem_lower(name.p[i]) == name.p[i]);
        for (int spelling = 0; spelling < 3; spelling++) {
            for (size_t i = 0; i < name.n; i++) {
                bool upper = spelling == 2 || (spelling == 1 && i % 2 == 0);
                bool letter = name.p[i] >= 'a' && name.p[i] <= 'z';

                copy[i] = (char)(name.p[i] - (upper && letter ? 0x20 : 0));
            }
            ck_assert_uint_eq(rem_field_id(rem_str_make(copy, name.n)), id);
        }
        free(copy);
    }
    ck_assert_uint_eq(rem_field_name(REM_FIELD_OTHER).n, 0);
    ck_assert_uint_eq(rem_field_name(REM_FIELD_IDS).n, 0);
}
END_TEST

/* One byte changed anywhere makes another name. */
START_TEST(near_misses)
{
    for (unsigned id = 1; id < REM_FIELD_IDS; id++) {
        struct rem_str name = rem_field_name((enum rem_field_id)id);
        char copy[64];

        for (size_t i = 0; i < name.n; i++) {
            memcpy(copy, name.p, name.n);
            copy[i] = copy[i] == '_' ? 'q' : '_';
            ck_assert_uint_eq(rem_field_id(rem_str_make(copy, name.n)), REM_FIELD_OTHER);
        }
        memcpy(copy, name.p, name.n);
        copy[name.n] = 'q';
        ck_assert_uint_eq(rem_field_id(rem_str_make(copy, name.n + 1)), REM_FIELD_OTHER);
    }
    ck_assert_uint_eq(rem_field_id(REM_STR("")), REM_FIELD_OTHER);
    ck_assert_uint_eq(rem_field_id(REM_STR("x")), REM_FIELD_OTHER);
    ck_assert_uint_eq(rem_field_id(REM_STR("upgrade-insecure-requests-")), REM_FIELD_OTHER);
}
END_TEST

START_TEST(hop_by_hop)
{
    ck_assert(rem_field_is_hop(REM_FIELD_CONNECTION));
    ck_assert(rem_field_is_hop(REM_FIELD_TE));
    ck_assert(rem_field_is_hop(REM_FIELD_HTTP2_SETTINGS));
    ck_assert(!rem_field_is_hop(REM_FIELD_CONTENT_LENGTH));
    ck_assert(!rem_field_is_hop(REM_FIELD_OTHER));
}
END_TEST

START_TEST(append_and_find)
{
    struct rem_field storage[2];
    struct rem_arena arena;
    struct rem_fields fields;
    struct rem_field *field;
    char names[100][16];

    rem_arena_init(&arena, NULL);
    rem_fields_init_in(&fields, storage, 2, &arena);
    ck_assert_int_eq(rem_fields_add(&fields, REM_STR("Host"), REM_STR("a")), REM_OK);
    ck_assert_int_eq(rem_fields_add(&fields, REM_STR("TE"), REM_STR("b")), REM_OK);
    ck_assert_ptr_eq(fields.v, storage);
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "X-%d", i / 2);
        ck_assert_int_eq(
            rem_fields_add(&fields, rem_str_from(names[i]), rem_str_from(names[i] + 2)), REM_OK);
    }
    ck_assert_ptr_ne(fields.v, storage);
    ck_assert_uint_eq(fields.n, 102);
    field = rem_fields_find(&fields, REM_FIELD_TE);
    ck_assert_ptr_nonnull(field);
    ck_assert_uint_eq(field->flags, REM_FIELD_HOP);
    ck_assert_ptr_null(rem_fields_next(&fields, field));
    ck_assert_ptr_null(rem_fields_find(&fields, REM_FIELD_DATE));
    ck_assert_ptr_eq(rem_fields_find_name(&fields, REM_STR("hOST")), &fields.v[0]);
    ck_assert_ptr_null(rem_fields_find_name(&fields, REM_STR("X-50")));
    field = rem_fields_find_name(&fields, REM_STR("x-49"));
    ck_assert_ptr_eq(field, &fields.v[100]);
    field = rem_fields_next(&fields, field);
    ck_assert_ptr_eq(field, &fields.v[101]);
    ck_assert_ptr_null(rem_fields_next(&fields, field));
    rem_fields_remove(&fields, &fields.v[1]);
    ck_assert_uint_eq(fields.n, 101);
    ck_assert_ptr_null(rem_fields_find(&fields, REM_FIELD_TE));
    ck_assert(rem_str_is(fields.v[1].name, "X-0"));
    ck_assert(rem_str_is(fields.v[100].name, "X-49"));
    rem_fields_remove(&fields, &fields.v[100]);
    ck_assert_uint_eq(fields.n, 100);
    ck_assert_int_eq(rem_fields_add(&fields, REM_STR("host"), REM_STR("b")), 0);
    rem_fields_remove_all(&fields, REM_FIELD_HOST);
    ck_assert_uint_eq(fields.n, 99);
    ck_assert(rem_str_is(fields.v[0].name, "X-0"));
    rem_fields_remove_all(&fields, REM_FIELD_HOST);
    ck_assert_uint_eq(fields.n, 99);
    rem_fields_remove_all(&fields, REM_FIELD_OTHER);
    ck_assert_uint_eq(fields.n, 0);
    rem_fields_remove_all(&fields, REM_FIELD_OTHER);
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(no_arena_no_growth)
{
    struct rem_field storage[1];
    struct rem_fields fields;

    rem_fields_init_in(&fields, storage, 1, NULL);
    ck_assert_int_eq(rem_fields_add(&fields, REM_STR("a"), REM_STR("")), REM_OK);
    ck_assert_int_eq(rem_fields_add(&fields, REM_STR("a"), REM_STR("")), REM_ENOMEM);
    ck_assert_uint_eq(fields.n, 1);
}
END_TEST

START_TEST(lists)
{
    static const struct {
        const char *text;
        const char *items; /* joined by "/" */
    } rows[] = {
        {"", ""},    {",", ""},      {" , \t, ", ""},
        {"a", "a"},  {"a,b", "a/b"}, {" a ,, b c\t,", "a/b c"},
        {",a", "a"},
    };

    for (size_t i = 0; i < REM_COUNT(rows); i++) {
        struct rem_str rest = rem_str_from(rows[i].text);
        struct rem_str item;
        char got[64] = "";

        while (rem_field_list_next(&rest, &item))
            snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%.*s", got[0] ? "/" : "",
                     REM_STR_ARG(item));
        ck_assert_str_eq(got, rows[i].items);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, known_names);
    tcase_add_test(tc, near_misses);
    tcase_add_test(tc, hop_by_hop);
    tcase_add_test(tc, append_and_find);
    tcase_add_test(tc, no_arena_no_growth);
    tcase_add_test(tc, lists);
    return run_suite("field", tc);
}
