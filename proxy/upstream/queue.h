/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - requests that wait until a server can be had: `queue N timeout=T`.
 *
 * Runs in:    workers; each has a queue per upstream of its own.
 * Order:      first come, first served; a request that comes while others wait waits behind them.
 * Woken:      when a request of this worker lets go of a server, and every few milliseconds, as
 *             other workers let go of servers too.  */
#ifndef REM_UPSTREAM_QUEUE_H
#define REM_UPSTREAM_QUEUE_H

#include "proxy/upstream/upstream.h"

void rem_queue_init(struct rem_upstream_group *group);
void rem_queue_fini(struct rem_upstream_group *group);

/* Must the exchange wait although a server may be free, since others were there before? */
bool rem_queue_is_behind(const struct rem_upstream_exchange *x);

/* No server can be had.  Returns: true if the exchange waits (it is run again later), false if it
 * may not: no queue, the queue is full, or it has waited enough. */
bool rem_queue_wait(struct rem_upstream_exchange *x);

/* The exchange has a server, or has ended.  Does nothing for one that does not wait. */
void rem_queue_leave(struct rem_upstream_exchange *x);

/* A server has been let go of. */
void rem_queue_wake(struct rem_upstream_group *group);

#endif
