/* SPDX-License-Identifier: Apache-2.0 */
/* rate.h - how fast a response may be sent (limit_rate and its kin; see mod/limit_rate.c).
 *
 * Whoever writes (a codec) asks rem_rate_room before each write of a request with a limit.
 * Measure:    a second's worth at once, and from then on what time allows, in portions of a quarter
 *             of a second, so that slow transfers do not become many tiny writes.  */
#ifndef REM_HTTP_RATE_H
#define REM_HTTP_RATE_H

#include "proto/base/str.h"

#define REM_RATE_MAX (UINT64_C(1) << 40)

struct rem_rate {
    uint64_t limit;    /* bytes per second; 0: none */
    uint64_t after;    /* so many bytes go first, unlimited */
    uint64_t start_ms; /* of sending */
    bool limit_set;    /* by $limit_rate or an upstream: what the location says counts no more */
};

/* How many bytes may be written now, `sent` having been written and `queued` waiting; when that is
 * 0, *delay_ms says when to ask again. */
uint64_t rem_rate_room(const struct rem_rate *rate, uint64_t sent, uint64_t queued, uint64_t now_ms,
                       uint64_t *delay_ms);

/* Limits it from now on, whatever the location says; 0: not. */
void rem_rate_set(struct rem_rate *rate, uint64_t limit);

/* A size as directives write it ("12k").  Errors: REM_EINVAL. */
int rem_rate_parse(struct rem_str text, uint64_t *out) REM_MUST_CHECK;

#endif
