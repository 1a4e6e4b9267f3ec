/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the time as of this turn of the event loop, and its usual spellings.
 *
 * Runs in:    every process; one struct rem_clock in each, updated once per loop turn.
 *             Timers and intervals use `mono_ms`, never the wall clock.
 *             Texts are made when first asked for within a second.  */
#ifndef REM_BASE_CLOCK_H
#define REM_BASE_CLOCK_H

#include "proto/base/str.h"

#include <time.h>

struct rem_clock {
    uint64_t mono_ms;   /* CLOCK_MONOTONIC, milliseconds */
    int64_t wall_sec;   /* seconds since the epoch */
    uint32_t wall_msec; /* 0..999 */

    struct rem_clock_text {
        int64_t http_sec, log_sec, error_sec, iso_sec; /* the second each text is of */
        char http[32];                                 /* Sun, 06 Nov 1994 08:49:37 GMT */
        char log[32];                                  /* 06/Nov/1994:08:49:37 +0000 */
        char error[24];                                /* 1994/11/06 08:49:37 */
        char iso[32];                                  /* 1994-11-06T08:49:37+00:00 */
    } text;
};

/* Reads both clocks. */
void rem_clock_update(struct rem_clock *clock);

/* Borrowed until the next call in a later second. */
struct rem_str rem_clock_http(struct rem_clock *clock);  /* IMF-fixdate, RFC 9110 section 5.6.7 */
struct rem_str rem_clock_log(struct rem_clock *clock);   /* $time_local */
struct rem_str rem_clock_error(struct rem_clock *clock); /* error log */
struct rem_str rem_clock_iso(struct rem_clock *clock);   /* $time_iso8601 */

/* CLOCK_MONOTONIC in milliseconds, read now. */
uint64_t rem_mono_ms(void);

#endif
