/* SPDX-License-Identifier: Apache-2.0 */
/* next.h - choosing a server for a try, and deciding whether there is another try.
 *
 * Runs in:    workers.
 * Rules:      a request goes to another server when proxy_next_upstream lists what went wrong,
 *             nothing of the response has reached the client, the request can be sent again, tries
 *             and time are left, and it either is idempotent or has not been sent.  Each server
 *             is tried once.  */
#ifndef REM_UPSTREAM_NEXT_H
#define REM_UPSTREAM_NEXT_H

#include "proxy/upstream/upstream.h"

/* Picks a server from the registry's current set into x->balance.pin and copies what the try
 * needs.  Errors: REM_ENOTFOUND (no such upstream), REM_EBUSY (none to be had), REM_ENOMEM. */
int rem_next_pick(struct rem_upstream_exchange *x) REM_MUST_CHECK;

/* Whether another server may be asked after `fault`, as far as the rules above go. */
bool rem_next_allowed(const struct rem_upstream_exchange *x, enum rem_upstream_fault fault);

/* Whether the failure is only that a pooled connection had been closed: then the same server is
 * asked again on a fresh one, and it counts as nothing. */
bool rem_next_stale(const struct rem_upstream_exchange *x, enum rem_upstream_fault fault);

/* The fault that a status stands for; 0: none. */
uint32_t rem_next_fault_of(int status);

/* Picks another server while the present one is still held, so that its answer can be passed on
 * if there is none.  On success the former try has been reported with `outcome`. */
int rem_next_swap(struct rem_upstream_exchange *x, enum rem_outcome outcome) REM_MUST_CHECK;

/* Counts that the request goes on to another server, and why. */
void rem_next_count_retry(struct rem_upstream_exchange *x, enum rem_upstream_fault fault);

/* The registry's counters of the upstream; NULL: none.  Valid until the end of the turn. */
struct rem_shm_upstream_line *rem_next_line(struct rem_upstream_exchange *x);

#endif
