/* SPDX-License-Identifier: Apache-2.0 */
/* byte_ranges.h - what a Range field asks for (RFC 9110 section 14.1). */
#ifndef REM_HTTP_MOD_BYTE_RANGES_H
#define REM_HTTP_MOD_BYTE_RANGES_H

#include "proto/base/arena.h"
#include "proto/base/err.h"

/* [first, end) */
struct rem_byte_range {
    int64_t first;
    int64_t end;
};

struct rem_byte_ranges {
    struct rem_byte_range *v; /* in the order of the field; may overlap */
    uint32_t n;
};

/* How much more than the whole several parts may cost with their heads before the whole is sent. */
enum { REM_BYTE_RANGES_SLACK = 16384, REM_BYTE_RANGES_PART = 80 };

/* Reads "bytes=..." for a body of `size` bytes; parts that lie behind its end are left out.
 * Returns: 206 with *out filled in; 416 when nothing is left, or the text is no set of ranges;
 * 0 for the whole: another unit, more than `max` parts, or parts that together cost more than the
 * whole does; REM_ENOMEM. */
int rem_byte_ranges_parse(struct rem_arena *arena, struct rem_str value, int64_t size, uint32_t max,
                          struct rem_byte_ranges *out) REM_MUST_CHECK;

#endif
