/* SPDX-License-Identifier: Apache-2.0 */
/* listener.h - a listening address and its socket(s).
 *
 * Lifecycle:  described by the configuration -> opened (or taken over from the former configuration
 *             or the former binary) by the master, which holds it for good, so that a dead worker's
 *             accept queue waits for the successor -> enabled in each worker.
 * Sockets:    one shared by all workers, or with `reuseport` one per worker index.  */
#ifndef REM_NET_LISTENER_H
#define REM_NET_LISTENER_H

#include "proto/base/addr.h"
#include "proxy/net/conn.h"

struct rem_stat_spec;
struct rem_worker;

struct rem_listen_options {
    int backlog; /* default 511 */
    int rcvbuf;  /* 0: the system's */
    int sndbuf;
    int fastopen; /* -1: off */
    bool reuseport;
    bool ipv6only; /* default true */
    bool deferred;
    int keepalive; /* so_keepalive: -1 unset, 0 off, 1 on */
    int keepidle, keepintvl, keepcnt;
    unsigned mode; /* of a unix path; 0: 0666, as with TCP whoever reaches it may connect */
};

/* backlog 511, ipv6only, everything else the system's. */
void rem_listen_options_init(struct rem_listen_options *options);

struct rem_listener {
    struct rem_list node; /* on rem_setup.listeners */
    struct rem_addr addr;
    struct rem_listen_options options;
    struct rem_str text; /* as configured, for messages */
    int *fds;            /* one, or one per worker index with reuseport; -1: not open */
    int fd_count;

    /* A connection has been accepted in a worker.  Takes: fd.  `peer` is borrowed. */
    void (*on_accept)(struct rem_worker *worker, struct rem_listener *listener, int fd,
                      const struct rem_addr *peer);
    void *data;                 /* the protocol's (http: its address configuration) */
    struct rem_stat_spec *stat; /* NULL: nothing is counted */
};

/* Master: opens all listeners of `next`, taking over sockets of the same address and type from
 * `previous` (may be NULL): the former configuration's, or a list of what a former binary left.  On
 * failure nothing of `previous` has changed and what was opened is closed again.  Errors: REM_EIO
 * with text as nginx: `bind() to 0.0.0.0:80 failed (98: Address already in use)`. */
int rem_listeners_open(struct rem_list *next, struct rem_list *previous, int workers,
                       struct rem_err *err) REM_MUST_CHECK;

/* Master: closes the sockets that `kept` (may be NULL) does not use, and removes unix paths; those
 * that are kept have the mode that `kept` says from here on. */
void rem_listeners_close(struct rem_list *listeners, struct rem_list *kept);

/* Worker: starts and stops accepting.  Refuses gracefully when descriptors or worker_connections
 * run out (logs once a second, pauses accepting, resumes when one becomes free). */
int rem_listeners_enable(struct rem_list *listeners, struct rem_worker *worker) REM_MUST_CHECK;
void rem_listeners_disable(struct rem_worker *worker);

#endif
