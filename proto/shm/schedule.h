/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.h - the order in which weighted servers take turns, computed ahead.
 *
 * Runs in:    the agent, when it builds a set.
 * Order:      that of smooth weighted round robin, ties in list order, where that is cheap to
 *             compute; else earliest deadline first, with the same proportions.  */
#ifndef REM_SHM_SCHEDULE_H
#define REM_SHM_SCHEDULE_H

#include "proto/base/err.h"

#include <stdint.h>

struct rem_schedule {
    uint32_t length; /* turns in a round */
    uint32_t *turns; /* owned; positions in the weights given; NULL: 0, 1, 2, ... */
};

/* `weights` are 1 or more.  Rounds longer than 65536 + 16 * count are shortened by rounding the
 * weights, none to zero.  Errors: REM_ENOMEM. */
int rem_schedule_build(const uint32_t *weights, uint32_t count,
                       struct rem_schedule *out) REM_MUST_CHECK;
void rem_schedule_fini(struct rem_schedule *schedule);

#endif
