/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/byte_ranges.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

enum { MOST = 4 };

static const struct {
    const char *text;
    int64_t size;
    uint32_t max;
    int status;
    struct rem_byte_range parts[MOST]; /* the first with end 0 ends the list */
} cases[] = {
    {"bytes=0-1", 100, MOST, 206, {{0, 2}}},
    {"bytes=0-0", 100, MOST, 206, {{0, 1}}},
    {"Bytes=5-", 100, MOST, 206, {{5, 100}}},
    {"bytes=99-", 100, MOST, 206, {{99, 100}}},
    {"bytes=-10", 100, MOST, 206, {{90, 100}}},
    {"bytes=-100", 100, MOST, 206, {{0, 100}}},
    {"bytes=-1000", 100, MOST, 206, {{0, 100}}},
    {"bytes=0-100", 100, MOST, 206, {{0, 100}}},
    {"bytes=0-9223372036854775806", 100, MOST, 206, {{0, 100}}},
    {"bytes= 1 - 2 ", 100, MOST, 206, {{1, 3}}},
    {"bytes=100-", 100, MOST, 416, {{0}}},
    {"bytes=-0", 100, MOST, 416, {{0}}},
    {"bytes=2-1", 100, MOST, 416, {{0}}},
    {"bytes=-", 100, MOST, 416, {{0}}},
    {"bytes=x", 100, MOST, 416, {{0}}},
    {"bytes=1-x", 100, MOST, 416, {{0}}},
    {"bytes=1-2-3", 100, MOST, 416, {{0}}},
    {"bytes=99999999999999999999-", 100, MOST, 416, {{0}}},
    {"bytes=,", 100, MOST, 416, {{0}}},
    {"bytes=0-1,", 100, MOST, 416, {{0}}},
    {"bytes=0-1,x", 100, MOST, 416, {{0}}},
    {"bytes=0-1, 3-4", 100, MOST, 206, {{0, 2}, {3, 5}}},
    {"bytes=3-4,0-1", 100, MOST, 206, {{3, 5}, {0, 2}}},
    {"bytes=0-0,-1", 100, MOST, 206, {{0, 1}, {99, 100}}},
    {"bytes=200-,0-1", 100, MOST, 206, {{0, 2}}},
    {"bytes=-0,0-1", 100, MOST, 206, {{0, 2}}},
    {"bytes=2-1,0-1", 100, MOST, 206, {{0, 2}}},
    {"bytes=0-49,0-49", 100, MOST, 206, {{0, 50}, {0, 50}}},
    {"bytes=0-50,0-49", 100, MOST, 0, {{0}}},                /* more than the whole */
    {"bytes=0-,0-,0-,0-", (int64_t)1 << 62, MOST, 0, {{0}}}, /* a sum that wraps around to 0 */
    {"bytes=0-0,1-1,2-2,3-3,4-4", 100, MOST, 0, {{0}}},
    {"bytes=0-0,1-1,2-2", 100, 2, 0, {{0}}},
    {"bytes=0-0", 100, 0, 0, {{0}}},
    {"lines=0-1", 100, MOST, 0, {{0}}},
    {"byte", 100, MOST, 0, {{0}}},
    {"bytes=", 100, MOST, 0, {{0}}},
    {"bytes=0-", 0, MOST, 0, {{0}}},
};

START_TEST(table)
{
    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_byte_ranges ranges = {NULL, 0};
        struct rem_arena arena;
        int status;

        rem_arena_init(&arena, NULL);
        status = rem_byte_ranges_parse(&arena, rem_str_from(cases[i].text), cases[i].size,
                                       cases[i].max, &ranges);
        ck_assert_msg(status == cases[i].status, "\"%s\": %d, want %d", cases[i].text, status,
                      cases[i].status);
        for (uint32_t k = 0; status == 206 && k < MOST && cases[i].parts[k].end != 0; k++)
            ck_assert_msg(k < ranges.n && ranges.v[k].first == cases[i].parts[k].first &&
                              ranges.v[k].end == cases[i].parts[k].end,
                          "\"%s\": part %u", cases[i].text, k);
        rem_arena_reset(&arena);
    }
}
END_TEST

/* Thousands of parts of a byte each would cost a hundred times what was asked for. */
START_TEST(many_parts)
{
    enum { PARTS = 1000 };
    static char text[PARTS * 4 + 8] = "bytes=";
    struct rem_byte_ranges ranges;
    struct rem_arena arena;

    for (int i = 0; i < PARTS; i++)
        memcpy(text + 6 + i * 4, "0-0,", 4);
    text[6 + PARTS * 4 - 1] = '\0';
    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_byte_ranges_parse(&arena, rem_str_from(text), PARTS, UINT32_MAX, &ranges),
                     0);
    ck_assert_int_eq(
        rem_byte_ranges_parse(&arena, rem_str_from(text), 1 << 20, UINT32_MAX, &ranges), 206);
    ck_assert_uint_eq(ranges.n, PARTS);
    rem_arena_reset(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("byte_ranges");

    tcase_add_test(tc, table);
    tcase_add_test(tc, many_parts);
    return run_suite("byte_ranges", tc);
}
