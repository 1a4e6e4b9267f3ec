/* SPDX-License-Identifier: Apache-2.0 */
/* accept.h - the worker's side of listeners, for worker.c: room and the lack of it.
 *
 * Runs in:    workers.
 * Not here:   rem_listeners_enable and rem_listeners_disable (declared in listener.h).  */
#ifndef REM_NET_ACCEPT_H
#define REM_NET_ACCEPT_H

#include "proxy/net/listener.h"
#include "proxy/net/worker.h"

/* A connection has been released: a worker that had paused accepts again. */
void rem_accept_room(struct rem_worker *worker);

/* Logs `N worker_connections are not enough`, at most once a second. */
void rem_accept_complain_limit(struct rem_worker *worker);

/* Forgets the listeners without closing them (the process ends, or a test does). */
void rem_accept_fini(struct rem_worker *worker);

#endif
