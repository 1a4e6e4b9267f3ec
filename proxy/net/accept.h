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

/* Client connections of this worker, by its gauges. */
static inline int64_t rem_accept_clients(const struct rem_worker *worker)
{
    const struct rem_shm_worker *c = worker->counters;

    return atomic_load_explicit(&c->conn_reading, memory_order_relaxed) +
           atomic_load_explicit(&c->conn_writing, memory_order_relaxed) +
           atomic_load_explicit(&c->conn_waiting, memory_order_relaxed);
}

/* Forgets the listeners without closing them (the process ends, or a test does). */
void rem_accept_fini(struct rem_worker *worker);

#endif
