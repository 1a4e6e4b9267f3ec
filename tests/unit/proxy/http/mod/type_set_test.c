/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/type_set.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

static char present;

static const struct {
    const char *type;
    bool html, some, any; /* in each of the three sets */
} cases[] = {
    {"text/html", true, true, true},
    {"Text/HTML", true, true, true},
    {"text/html; charset=utf-8", true, true, true},
    {"text/html;charset=utf-8", true, true, true},
    {"text/plain", false, true, true},
    {"TEXT/PLAIN ;x", false, true, true},
    {"text/plainer", false, false, true},
    {"text/htm", false, false, true},
    {"text", false, false, true},
    {";text/html", false, false, true},
    {"", false, false, true},
};

START_TEST(table)
{
    struct rem_type_set some = {.any = false}, any = {.any = true};
    struct rem_arena arena;

    rem_arena_init(&arena, NULL);
    rem_strmap_init(&some.map, &arena, true);
    rem_strmap_init(&any.map, &arena, true);
    ck_assert_int_eq(rem_strmap_add(&some.map, REM_STR("text/html"), &present), 0);
    ck_assert_int_eq(rem_strmap_add(&some.map, REM_STR("text/plain"), &present), 0);
    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_str type = rem_str_from(cases[i].type);

        ck_assert_msg(rem_type_set_has(NULL, type) == cases[i].html, "\"%s\"", cases[i].type);
        ck_assert_msg(rem_type_set_has(&some, type) == cases[i].some, "\"%s\"", cases[i].type);
        ck_assert_msg(rem_type_set_has(&any, type) == cases[i].any, "\"%s\"", cases[i].type);
    }
    rem_arena_reset(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("type_set");

    tcase_add_test(tc, table);
    return run_suite("type_set", tc);
}
