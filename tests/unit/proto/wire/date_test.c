/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/date.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

struct row {
    const char *text;
    int64_t want; /* -1: refused */
};

static const struct row rows[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Sun Nov 06 08:49:37 1994", 784111777},
    {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, /* a wrong day of week */
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
    {"Friday, 31-Dec-75 00:00:00 GMT", 3344976000}, /* not more than 50 years ahead of 2026 */
    {"Saturday, 31-Dec-77 00:00:00 GMT", 252374400},
    {"", -1},
    {"Sun, 06 Nov 1994 08:49:37 GM", -1},
    {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
    {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
    {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 06 Nov 94 08:49:37 GMT", -1},
    {"Sun, 06 NOV 1994 08:49:37 GMT", -1},
    {"sun, 06 Nov 1994 08:49:37 GMT", -1},
    {"Sun,06 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 31 Nov 1994 08:49:37 GMT", -1},
    {"Wed, 29 Feb 2023 00:00:00 GMT", -1},
    {"Wed, 29 Feb 1900 00:00:00 GMT", -1},
    {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
    {"Sun, 06 Nov 1994 08:60:00 GMT", -1},
    {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
    {"Sun, 06 Nov 1994 08:49:3x GMT", -1},
    {"Sunday, 06 Nov 1994 08:49:37 GMT", -1},
    {"Sun Nov  6 08:49:37 1994 GMT", -1},
    {"784111777", -1},
};

enum { NOW = 1795132800 }; /* November 2026 */

START_TEST(parse)
{
    size_t n = strlen(rows[_i].text);
    char *exact = malloc(n ? n : 1);
    time_t got = 42;
    int rc;

    memcpy(exact, rows[_i].text, n);
    rc = rem_date_parse(rem_str_make(exact, n), NOW, &got);
    free(exact);
    if (rows[_i].want < 0) {
        ck_assert_int_eq(rc, REM_EINVAL);
        ck_assert_int_eq(got, 42);
    } else {
        ck_assert_int_eq(rc, REM_OK);
        ck_assert_int_eq(got, rows[_i].want);
    }
}
END_TEST

/* Every prefix of a good date is refused without reading past it. */
START_TEST(prefixes)
{
    for (size_t row = 0; row < 3; row++)
        for (size_t n = 0; n < strlen(rows[row].text); n++) {
            char *exact = malloc(n ? n : 1);
            time_t got;

            memcpy(exact, rows[row].text, n);
            ck_assert_int_eq(rem_date_parse(rem_str_make(exact, n), NOW, &got), REM_EINVAL);
            free(exact);
        }
}
END_TEST

static void check_format(time_t when)
{
    char got[REM_DATE_SIZE + 1] = "";
    char want[64];
    struct tm tm;
    time_t back;

    rem_date_format(got, when);
    gmtime_r(&when, &tm);
    strftime(want, sizeof(want), "%a, %d %b ", &tm);
    snprintf(want + strlen(want), sizeof(want) - strlen(want), "%04d %02d:%02d:%02d GMT",
             tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    ck_assert_str_eq(got, want);
    ck_assert_int_eq(rem_date_parse(rem_str_make(got, REM_DATE_SIZE), NOW, &back), REM_OK);
    ck_assert_int_eq(back, when);
}

/* Against the C library, over the years 0 to 9999. */
START_TEST(format)
{
    for (time_t when = -62167219200; when <= 253402300799; when += 86400 * 13 + 4567)
        check_format(when);
    for (time_t when = 951700000; when < 952100000; when += 3599)
        check_format(when);
    check_format(-1);
    check_format(-62167219200);
    check_format(253402300799);
}
END_TEST

START_TEST(format_clamps)
{
    char got[REM_DATE_SIZE + 1] = "";

    rem_date_format(got, (time_t)INT64_MAX);
    ck_assert_str_eq(got, "Fri, 31 Dec 9999 23:59:59 GMT");
    rem_date_format(got, (time_t)INT64_MIN);
    ck_assert_str_eq(got, "Sat, 01 Jan 0000 00:00:00 GMT");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, prefixes);
    tcase_add_test(tc, format);
    tcase_add_test(tc, format_clamps);
    tcase_add_loop_test(tc, parse, 0, (int)REM_COUNT(rows));
    return run_suite("date", tc);
}
