/* SPDX-License-Identifier: Apache-2.0 */
/* record.h - what is written down about each server that was asked: times, bytes, the verdict for
 * the balancer, lines of the error log.
 *
 * Runs in:    workers.  */
#ifndef REM_UPSTREAM_RECORD_H
#define REM_UPSTREAM_RECORD_H

#include "proxy/upstream/upstream.h"

/* A try begins, on the server in x->addr_text.  Errors: REM_ENOMEM. */
int rem_record_try(struct rem_upstream_exchange *x) REM_MUST_CHECK;

/* Of a server that was picked for a try that did not begin. */
void rem_record_give_up(struct rem_upstream_exchange *x);
void rem_record_connected(struct rem_upstream_exchange *x);
void rem_record_head(struct rem_upstream_exchange *x);

/* The try is over: completes the record and tells the balancer.  Once per try; further calls do
 * nothing. */
void rem_record_done(struct rem_upstream_exchange *x, enum rem_outcome outcome);

/* A line about the server: "WHAT while DOING", with the context of the request. */
void rem_record_log(struct rem_upstream_exchange *x, enum rem_log_level level, int sys_errno,
                    const char *what, const char *doing);

/* "connecting to upstream", ... for the state the exchange is in. */
const char *rem_record_doing(const struct rem_upstream_exchange *x);

#endif
