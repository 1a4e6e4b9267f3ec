/* SPDX-License-Identifier: Apache-2.0 */
/* conditional.h - preconditions and ranges (RFC 9110 sections 13 and 14) against a file. */
#ifndef REM_HTTP_MOD_CONDITIONAL_H
#define REM_HTTP_MOD_CONDITIONAL_H

#include "proto/base/err.h"
#include "proto/wire/field.h"

#include <time.h>

/* What is being asked for. */
struct rem_conditional_target {
    struct rem_str etag; /* with its quotes; empty: none */
    time_t modified;     /* -1: unknown */
    int64_t size;
    bool before; /* if_modified_since before: any later date will do; else the very same */
    bool ignore_since;
};

/* Returns: 0 (send it), 304 or 412. */
int rem_conditional_status(const struct rem_fields *fields, time_t now,
                           const struct rem_conditional_target *target);

/* The one range that is asked for, [*first, *end).  Several ranges, other units, or an If-Range
 * that does not hold: the whole.  Returns: 0 (the whole), 206 or 416. */
int rem_conditional_range(const struct rem_fields *fields, time_t now,
                          const struct rem_conditional_target *target, int64_t *first,
                          int64_t *end);

#endif
