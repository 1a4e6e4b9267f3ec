/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/clock.h"

#include "proto/base/err.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

static void zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

START_TEST(texts)
{
    static const struct {
        const char *zone; /* POSIX: the sign is reversed */
        int64_t sec;
        const char *http, *log, *error, *iso;
    } rows[] = {
        {"UTC0", 784111777, "Sun, 06 Nov 1994 08:49:37 GMT", "06/Nov/1994:08:49:37 +0000",
         "1994/11/06 08:49:37", "1994-11-06T08:49:37+00:00"},
        {"AAA-5:30", 784111777, "Sun, 06 Nov 1994 08:49:37 GMT", "06/Nov/1994:14:19:37 +0530",
         "1994/11/06 14:19:37", "1994-11-06T14:19:37+05:30"},
        {"BBB3:30", 784111777, "Sun, 06 Nov 1994 08:49:37 GMT", "06/Nov/1994:05:19:37 -0330",
         "1994/11/06 05:19:37", "1994-11-06T05:19:37-03:30"},
        {"CCC0:30", 0, "Thu, 01 Jan 1970 00:00:00 GMT", "31/Dec/1969:23:30:00 -0030",
         "1969/12/31 23:30:00", "1969-12-31T23:30:00-00:30"},
    };

    for (size_t i = 0; i < REM_COUNT(rows); i++) {
        struct rem_clock clock = {.wall_sec = rows[i].sec};

        zone(rows[i].zone);
        for (int twice = 0; twice < 2; twice++) {
            ck_assert_str_eq(rem_clock_http(&clock).p, rows[i].http);
            ck_assert_str_eq(rem_clock_log(&clock).p, rows[i].log);
            ck_assert_str_eq(rem_clock_error(&clock).p, rows[i].error);
            ck_assert_str_eq(rem_clock_iso(&clock).p, rows[i].iso);
        }
        ck_assert_uint_eq(rem_clock_iso(&clock).n, 25);
    }
}
END_TEST

/* A text is made anew in another second, and only then. */
START_TEST(texts_follow_the_second)
{
    struct rem_clock clock = {.wall_sec = 1000};

    zone("UTC0");
    ck_assert_str_eq(rem_clock_http(&clock).p, "Thu, 01 Jan 1970 00:16:40 GMT");
    clock.text.http[0] = 'X';
    ck_assert_str_eq(rem_clock_http(&clock).p, "Xhu, 01 Jan 1970 00:16:40 GMT");
    clock.wall_sec++;
    ck_assert_str_eq(rem_clock_http(&clock).p, "Thu, 01 Jan 1970 00:16:41 GMT");
    ck_assert_str_eq(rem_clock_log(&clock).p, "01/Jan/1970:00:16:41 +0000");
    clock.wall_sec--;
    ck_assert_str_eq(rem_clock_log(&clock).p, "01/Jan/1970:00:16:40 +0000");
}
END_TEST

START_TEST(reading)
{
    struct rem_clock clock = {0};
    uint64_t before = rem_mono_ms();
    time_t wall = time(NULL);

    rem_clock_update(&clock);
    ck_assert_uint_ge(clock.mono_ms, before);
    ck_assert_uint_le(clock.mono_ms, rem_mono_ms());
    ck_assert_int_ge(clock.wall_sec, wall);
    ck_assert_int_le(clock.wall_sec, time(NULL));
    ck_assert_uint_lt(clock.wall_msec, 1000);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, texts);
    tcase_add_test(tc, texts_follow_the_second);
    tcase_add_test(tc, reading);
    return run_suite("clock", tc);
}
