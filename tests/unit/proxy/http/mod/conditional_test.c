/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/conditional.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

enum { MODIFIED = 784111777 };
#define SAME   "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER  "Sun, 06 Nov 1994 08:49:38 GMT"

/* Up to two fields. */
static void make_fields(struct rem_fields *fields, struct rem_arena *arena,
                        const char *const pairs[4])
{
    rem_arena_init(arena, NULL);
    rem_fields_init(fields, arena);
    for (int i = 0; i < 4 && pairs[i] != NULL; i += 2)
        ck_assert_int_eq(rem_fields_add(fields, rem_str_from(pairs[i]), rem_str_from(pairs[i + 1])),
                         0);
}

static const struct {
    const char *fields[4];
    int status;
    int status_before; /* with if_modified_since before */
} conditions[] = {
    {{NULL}, 0, 0},
    {{"If-Modified-Since", SAME}, 304, 304},
    {{"If-Modified-Since", AFTER}, 0, 304},
    {{"If-Modified-Since", BEFORE}, 0, 0},
    {{"If-Modified-Since", "junk"}, 0, 0},
    {{"If-None-Match", "\"e\""}, 304, 304},
    {{"If-None-Match", "W/\"e\""}, 304, 304},
    {{"If-None-Match", "*"}, 304, 304},
    {{"If-None-Match", "\"a,\\\", \"e\""}, 304, 304},
    {{"If-None-Match", "\"a\" , \"e\""}, 304, 304},
    {{"If-None-Match", "\"a, e\""}, 0, 0},
    {{"If-None-Match", "e"}, 0, 0},
    {{"If-None-Match", ""}, 0, 0},
    {{"If-None-Match", "\"a\"", "If-None-Match", "\"e\""}, 304, 304},
    /* If-None-Match decides, whatever the date says */
    {{"If-None-Match", "\"a\"", "If-Modified-Since", SAME}, 0, 0},
    {{"If-None-Match", "\"e\"", "If-Modified-Since", BEFORE}, 304, 304},
    {{"If-Match", "\"e\""}, 0, 0},
    {{"If-Match", "*"}, 0, 0},
    {{"If-Match", "\"a\", \"e\""}, 0, 0},
    {{"If-Match", "\"a\""}, 412, 412},
    {{"If-Match", "W/\"e\""}, 412, 412},
    {{"If-Match", "\"a\"", "If-Match", "\"e\""}, 0, 0},
    {{"If-Match", "\"e\"", "If-Unmodified-Since", BEFORE}, 0, 0},
    {{"If-Unmodified-Since", SAME}, 0, 0},
    {{"If-Unmodified-Since", AFTER}, 0, 0},
    {{"If-Unmodified-Since", BEFORE}, 412, 412},
    {{"If-Unmodified-Since", "junk"}, 0, 0},
};

START_TEST(preconditions)
{
    struct rem_conditional_target target = {.etag = REM_STR("\"e\""), .modified = MODIFIED};

    for (size_t i = 0; i < REM_COUNT(conditions); i++) {
        struct rem_fields fields;
        struct rem_arena arena;

        make_fields(&fields, &arena, conditions[i].fields);
        target.before = false;
        ck_assert_msg(rem_conditional_status(&fields, MODIFIED, &target) == conditions[i].status,
                      "case %zu", i);
        target.before = true;
        ck_assert_msg(rem_conditional_status(&fields, MODIFIED, &target) ==
                          conditions[i].status_before,
                      "case %zu, before", i);
        rem_arena_reset(&arena);
    }
}
END_TEST

START_TEST(without_etag_or_date)
{
    const struct rem_conditional_target bare = {.modified = -1};
    const struct rem_conditional_target off = {.modified = MODIFIED, .ignore_since = true};
    static const char *const since[4] = {"If-Modified-Since", SAME};
    static const char *const none[4] = {"If-None-Match", "\"\""};
    static const char *const match[4] = {"If-Match", "\"e\""};
    struct rem_fields fields;
    struct rem_arena arena;

    make_fields(&fields, &arena, since);
    ck_assert_int_eq(rem_conditional_status(&fields, MODIFIED, &bare), 0);
    ck_assert_int_eq(rem_conditional_status(&fields, MODIFIED, &off), 0);
    rem_arena_reset(&arena);
    make_fields(&fields, &arena, none);
    ck_assert_int_eq(rem_conditional_status(&fields, MODIFIED, &bare), 0);
    rem_arena_reset(&arena);
    make_fields(&fields, &arena, match);
    ck_assert_int_eq(rem_conditional_status(&fields, MODIFIED, &bare), 412);
    rem_arena_reset(&arena);
}
END_TEST

static const struct {
    const char *if_range;
    bool holds;
} if_ranges[] = {
    {NULL, true}, {"\"e\"", true}, {"\"a\"", false}, {"W/\"e\"", false},
    {SAME, true}, {AFTER, false},  {"junk", false},  {"", false},
};

START_TEST(if_range)
{
    const struct rem_conditional_target target = {.etag = REM_STR("\"e\""), .modified = MODIFIED};

    for (size_t i = 0; i < REM_COUNT(if_ranges); i++) {
        const char *const pairs[4] = {if_ranges[i].if_range != NULL ? "If-Range" : NULL,
                                      if_ranges[i].if_range};
        struct rem_fields fields;
        struct rem_arena arena;

        make_fields(&fields, &arena, pairs);
        ck_assert_msg(rem_conditional_if_range(&fields, MODIFIED, &target) == if_ranges[i].holds,
                      "case %zu", i);
        rem_arena_reset(&arena);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("conditional");

    tcase_add_test(tc, preconditions);
    tcase_add_test(tc, without_etag_or_date);
    tcase_add_test(tc, if_range);
    return run_suite("conditional", tc);
}
