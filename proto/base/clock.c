/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/clock.h"

#include <stdio.h>

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

uint64_t rem_mono_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void rem_clock_update(struct rem_clock *clock)
{
    struct timespec ts;

    clock->mono_ms = rem_mono_ms();
    clock_gettime(CLOCK_REALTIME, &ts);
    clock->wall_sec = ts.tv_sec;
    clock->wall_msec = (uint32_t)(ts.tv_nsec / 1000000);
}

/* Minutes east of UTC, split for printing. */
static void utc_offset(const struct tm *tm, char *sign, int *hours, int *minutes)
{
    long offset = tm->tm_gmtoff / 60;

    *sign = offset < 0 ? '-' : '+';
    if (offset < 0)
        offset = -offset;
    *hours = (int)(offset / 60);
    *minutes = (int)(offset % 60);
}

struct rem_str rem_clock_http(struct rem_clock *clock)
{
    struct rem_clock_text *text = &clock->text;

    if (text->http_sec != clock->wall_sec || text->http[0] == '\0') {
        struct tm tm;
        time_t sec = clock->wall_sec;

        gmtime_r(&sec, &tm);
        snprintf(text->http, sizeof(text->http), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                 days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
                 tm.tm_min, tm.tm_sec);
        text->http_sec = clock->wall_sec;
    }
    return rem_str_from(text->http);
}

struct rem_str rem_clock_log(struct rem_clock *clock)
{
    struct rem_clock_text *text = &clock->text;

    if (text->log_sec != clock->wall_sec || text->log[0] == '\0') {
        struct tm tm;
        time_t sec = clock->wall_sec;
        char sign;
        int hours, minutes;

        localtime_r(&sec, &tm);
        utc_offset(&tm, &sign, &hours, &minutes);
        snprintf(text->log, sizeof(text->log), "%02d/%s/%04d:%02d:%02d:%02d %c%02d%02d", tm.tm_mday,
                 months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, sign,
                 hours, minutes);
        text->log_sec = clock->wall_sec;
    }
    return rem_str_from(text->log);
}

struct rem_str rem_clock_error(struct rem_clock *clock)
{
    struct rem_clock_text *text = &clock->text;

    if (text->error_sec != clock->wall_sec || text->error[0] == '\0') {
        struct tm tm;
        time_t sec = clock->wall_sec;

        localtime_r(&sec, &tm);
        strftime(text->error, sizeof(text->error), "%Y/%m/%d %H:%M:%S", &tm);
        text->error_sec = clock->wall_sec;
    }
    return rem_str_from(text->error);
}

struct rem_str rem_clock_iso(struct rem_clock *clock)
{
    struct rem_clock_text *text = &clock->text;

    if (text->iso_sec != clock->wall_sec || text->iso[0] == '\0') {
        struct tm tm;
        time_t sec = clock->wall_sec;
        char sign;
        int hours, minutes;
        size_t n;

        localtime_r(&sec, &tm);
        utc_offset(&tm, &sign, &hours, &minutes);
        n = strftime(text->iso, sizeof(text->iso), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text->iso + n, sizeof(text->iso) - n, "%c%02d:%02d", sign, hours, minutes);
        text->iso_sec = clock->wall_sec;
    }
    return rem_str_from(text->iso);
}
