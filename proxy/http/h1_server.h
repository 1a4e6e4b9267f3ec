/* SPDX-License-Identifier: Apache-2.0 */
/* h1_server.h - HTTP/1 towards clients: connections, and the exchange each request talks to.
 *
 * Runs in:    workers.
 * Lifecycle:  accept -> (idle -> head -> body -> answer)* -> linger -> close; see h1_server_priv.h.
 * Cost:       an idle connection is one struct of at most 512 bytes, without buffer or request.
 * Not here:   parsing heads and chunks (proto/wire), what a request does (request.h).  */
#ifndef REM_HTTP_H1_SERVER_H
#define REM_HTTP_H1_SERVER_H

#include "proxy/http/exchange.h"
#include "proxy/net/listener.h"

/* For rem_listener.on_accept.  Takes: fd. */
void rem_h1_server_accept(struct rem_worker *worker, struct rem_listener *listener, int fd,
                          const struct rem_addr *peer);

/* For rem_setup.worker_drain: requests on their way are answered with "Connection: close", idle
 * connections are closed after a time of grace. */
void rem_h1_server_drain(struct rem_worker *worker);

/* For rem_setup.worker_reclaim: closes up to `n` idle connections, the oldest first.
 * Returns: how many. */
uint32_t rem_h1_server_reclaim(struct rem_worker *worker, uint32_t n);

/* Aborts every client connection: the worker is about to exit. */
void rem_h1_server_abort_all(struct rem_worker *worker);

extern const struct rem_exchange_ops rem_h1_server_ops;

#endif
