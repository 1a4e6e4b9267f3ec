/* SPDX-License-Identifier: Apache-2.0 */
/* date.h - HTTP dates (RFC 9110 section 5.6.7).
 *
 * Not here:   the current time as text (see proto/base/clock.h, which makes it once a second).  */
#ifndef REM_WIRE_DATE_H
#define REM_WIRE_DATE_H

#include "proto/base/err.h"
#include "proto/base/str.h"

#include <time.h>

enum { REM_DATE_SIZE = 29 }; /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Reads any of the three formats: IMF-fixdate, RFC 850, asctime.  Two-digit years are taken as
 * the nearest that is not more than 50 years ahead of `now`.  A wrong day of week is overlooked.
 * Errors: REM_EINVAL. */
int rem_date_parse(struct rem_str text, time_t now, time_t *out) REM_MUST_CHECK;

/* Writes REM_DATE_SIZE bytes, without a NUL.  Years 0 to 9999; others are clamped. */
void rem_date_format(char *at, time_t when);

#endif
