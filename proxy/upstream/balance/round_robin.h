/* SPDX-License-Identifier: Apache-2.0 */
/* round_robin.h - smooth weighted round robin over a set's schedule.
 *
 * Runs in:    workers; each takes turns on its own.
 * Cost:       O(1) amortised, whatever the number of servers and however many of them fail.  */
#ifndef REM_BALANCE_ROUND_ROBIN_H
#define REM_BALANCE_ROUND_ROBIN_H

#include "proxy/upstream/balance/balance.h"

extern const struct rem_balancer rem_round_robin;

#endif
