/* SPDX-License-Identifier: Apache-2.0 */
/* limits.h - how much an upstream is given at a time (`limits`), over all workers.
 *
 * Runs in:    workers.
 * Counting:   each worker has gauges of its own on its line of the upstream; a look sums the lines.
 *             Counted first and looked at then, so that a limit is never exceeded; of several
 *             that reach for the last place at once, all may be refused, though seldom.
 * Cost:       nothing but a test of a flag for upstreams without limits.
 * Not here:   a server's max_conns (proto/shm/reader.h), the queue (queue.h).  */
#ifndef REM_UPSTREAM_LIMITS_H
#define REM_UPSTREAM_LIMITS_H

#include "proto/shm/layout.h"

#include <stdbool.h>

struct rem_upstream_conn;
struct rem_upstream_exchange;
struct rem_upstream_group;

/* What an exchange is counted as; each is given back once. */
enum rem_limits_hold {
    REM_HOLD_REQUEST = 1 << 0,
    REM_HOLD_PENDING = 1 << 1,
    REM_HOLD_RETRY = 1 << 2,
    REM_HOLD_CONNECTION = 1 << 3, /* until it is there, and counted by itself */
};

/* Before the first pick: counts the request.  Returns: false if there are too many. */
bool rem_limits_enter(struct rem_upstream_exchange *x);

/* Waits for a connection, or in the queue, from here on.  Returns: false if too many do. */
bool rem_limits_wait(struct rem_upstream_exchange *x);
void rem_limits_waited(struct rem_upstream_exchange *x);

/* Another connection is to be opened: makes room for it by closing an idle one if need be.
 * Returns: false if there is none to be had. */
bool rem_limits_connect(struct rem_upstream_exchange *x);

/* It could not be opened; or it is x->peer, which is counted until rem_limits_closed. */
void rem_limits_unopened(struct rem_upstream_exchange *x);
void rem_limits_opened(struct rem_upstream_exchange *x);
void rem_limits_closed(struct rem_upstream_conn *uc);

/* Whether a connection may become idle: half of a limit is left to those that need a new one, for
 * idle ones of other workers are out of reach. */
bool rem_limits_may_idle(struct rem_upstream_group *group);

/* Another server is to be tried.  Returns: false if too many requests are being retried. */
bool rem_limits_retry(struct rem_upstream_exchange *x);

/* There was none, after a first server: the request goes on where it is. */
void rem_limits_stay(struct rem_upstream_exchange *x);

/* Gives back all that the exchange is counted as. */
void rem_limits_leave(struct rem_upstream_exchange *x);

/* What to say when one of these returned false. */
const char *rem_limits_text(enum rem_overflow overflow);

#endif
