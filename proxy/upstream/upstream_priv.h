/* SPDX-License-Identifier: Apache-2.0 */
/* upstream_priv.h - what the driver and its steps share.  */
#ifndef REM_UPSTREAM_UPSTREAM_PRIV_H
#define REM_UPSTREAM_UPSTREAM_PRIV_H

#include "proxy/upstream/upstream.h"

enum rem_upstream_step {
    REM_STEP_NEXT = 0, /* another state, or the same one again: go on */
    REM_STEP_WAIT,     /* until an event */
    REM_STEP_DONE,     /* everything is released */
};

typedef enum rem_upstream_step (*rem_upstream_step_fn)(struct rem_upstream_exchange *x);

/* One function per state, in the order of the states; steps.c and answer.c. */
enum rem_upstream_step rem_step_init(struct rem_upstream_exchange *x);
enum rem_upstream_step rem_step_resolve(struct rem_upstream_exchange *x); /* resolve.c */
enum rem_upstream_step rem_step_pick(struct rem_upstream_exchange *x);
enum rem_upstream_step rem_step_connect(struct rem_upstream_exchange *x);
enum rem_upstream_step rem_step_send(struct rem_upstream_exchange *x);
enum rem_upstream_step rem_step_read_head(struct rem_upstream_exchange *x);
enum rem_upstream_step rem_step_relay(struct rem_upstream_exchange *x);
enum rem_upstream_step rem_step_tunnel(struct rem_upstream_exchange *x);
enum rem_upstream_step rem_step_finalize(struct rem_upstream_exchange *x);

/* The try has failed: back to PICK where that is allowed, else to FINALIZE. */
enum rem_upstream_step rem_upstream_fail(struct rem_upstream_exchange *x,
                                         enum rem_upstream_fault fault);

/* resolve.c: what RESOLVE needs.  Errors: REM_ENOMEM. */
int rem_resolve_init(struct rem_upstream_exchange *x, struct rem_str host,
                     uint16_t port) REM_MUST_CHECK;
/* Nobody waits for an answer any more. */
void rem_resolve_fini(struct rem_upstream_exchange *x);

/* The exchange ends with `result`. */
enum rem_upstream_step rem_upstream_end(struct rem_upstream_exchange *x, int result);

/* The response has been read (or given up): reports the try and lets go of the connection, which is
 * kept for others if everything about it is in order. */
void rem_upstream_release(struct rem_upstream_exchange *x, bool keep);

#endif
