/* SPDX-License-Identifier: Apache-2.0 */
/* reset.h - DELETE on statistics of the NGINX Plus API.
 *
 * Counters in the region belong to the workers and never go back; what is reset is this API's
 * view of them: the values at the reset are kept and taken off.  /metrics knows no reset.
 * Memory:     tables of the registry (REM_TABLE_RESET), so that a reset outlives the agent and
 *             reloads, as the counters do.
 * Runs in:    agent.  */
#ifndef REM_API_RESET_H
#define REM_API_RESET_H

#include "api/call.h"

/* What was kept at the last reset of an object, `kind` and `name` being its path below /api/N
 * ("http/server_zones", "a"; a single object has no name).  NULL: never reset, or what is kept is
 * shorter than `min`.  Borrowed until the next publish. */
const void *rem_reset_find(struct rem_api_call *call, const char *kind, struct rem_str name,
                           size_t min, size_t *size);

/* Stages that the values of now are kept.  Errors: REM_EINVAL with the fault. */
int rem_reset_keep(struct rem_api_call *call, const char *kind, struct rem_str name,
                   const void *values, size_t size) REM_MUST_CHECK;

/* The answer to a DELETE that went well. */
int rem_reset_answer(struct rem_api_call *call);

/* A counter since the last reset. */
static inline uint64_t rem_reset_less(uint64_t now, uint64_t base)
{
    return now > base ? now - base : 0;
}

/* The same for all counters of an object that consists of counters only; `base` may be NULL. */
void rem_reset_apply(uint64_t *counters, const uint64_t *base, size_t count);

#endif
