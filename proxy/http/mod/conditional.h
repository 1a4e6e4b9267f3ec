/* SPDX-License-Identifier: Apache-2.0 */
/* conditional.h - preconditions (RFC 9110 section 13) against what is to be sent. */
#ifndef REM_HTTP_MOD_CONDITIONAL_H
#define REM_HTTP_MOD_CONDITIONAL_H

#include "proto/base/err.h"
#include "proto/wire/field.h"

#include <time.h>

/* What is being asked for. */
struct rem_conditional_target {
    struct rem_str etag; /* with its quotes; empty: none */
    time_t modified;     /* -1: unknown */
    bool before;         /* if_modified_since before: any later date will do; else the very same */
    bool ignore_since;
};

/* Returns: 0 (send it), 304 or 412. */
int rem_conditional_status(const struct rem_fields *fields, time_t now,
                           const struct rem_conditional_target *target);

/* Whether the ranges that are asked for are ranges of this: there is no If-Range, or it holds. */
bool rem_conditional_if_range(const struct rem_fields *fields, time_t now,
                              const struct rem_conditional_target *target);

#endif
