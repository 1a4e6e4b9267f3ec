/* SPDX-License-Identifier: Apache-2.0 */
/* conn.h - a connection: a socket registered once with the loop, edge-triggered both ways.
 *
 * Runs in:    workers.
 * Lifecycle:  the struct is embedded in its owner (client connection, upstream connection); open ->
 *             on_event* -> close; the owner's memory is freed with rem_loop_defer after close.
 * Readiness:  `readable` and `writable` say whether a call is worth trying.  The I/O functions
 *             clear them on EAGAIN, and `readable` also after a short read unless the peer has
 *             closed (`hangup`), which saves the second read().  The owner that stops reading for
 *             want of room reads on later without waiting for an event, since `readable` is still
 *             set.
 * Not here:   TLS (comes behind struct rem_conn_io), timeouts' meaning (the owner's).  */
#ifndef REM_NET_CONN_H
#define REM_NET_CONN_H

#include "proto/base/buf.h"
#include "proxy/net/loop.h"

#include <event2/event_struct.h>
#include <sys/uio.h>

enum { REM_CONN_MAGIC = 0x72636f6e, REM_CONN_IOV = 64 };

struct rem_conn;

/* How bytes move; plain sockets now, TLS later.  All return bytes moved, or REM_EAGAIN,
 * REM_ECLOSED (recv: orderly end; send: reset), REM_EIO (errno set). */
struct rem_conn_io {
    ssize_t (*recv)(struct rem_conn *conn, char *to, size_t n);
    ssize_t (*writev)(struct rem_conn *conn, const struct iovec *iov, int count);
    ssize_t (*sendfile)(struct rem_conn *conn, int fd, off_t from, size_t n);
};

struct rem_conn {
    uint32_t magic;
    int fd; /* -1: closed */
    const struct rem_conn_io *io;
    struct rem_loop *loop;
    void (*on_event)(struct rem_conn *conn); /* readiness changed, either way */
    struct rem_timer timer;                  /* the owner's; cancelled by close */
    uint64_t number;                         /* "*N" of log lines, unique in the process */
    uint64_t sent;                           /* bytes written */
    uint64_t received;
    bool readable;
    bool writable;
    bool hangup; /* the peer has closed its side (data may still wait to be read) */
    bool error;  /* the socket is broken: a call will say how */
    bool torn;   /* a sending call was told so: what was received has no orderly end */
    bool nodelay_set;
    bool more; /* more bytes follow this write at once (a file behind the head) */
    struct event event;
};

/* Registers a connected (or connecting) non-blocking socket.  `on_event` is not called before the
 * next turn.  A fresh socket counts as writable when `connected`; as readable never.  The owner has
 * zeroed *conn once before its first use; `timer` and `number` are left as they are.
 * Takes: fd (closed on failure too).  Errors: REM_ENOMEM, REM_EIO. */
int rem_conn_open(struct rem_conn *conn, struct rem_loop *loop, int fd, bool connected,
                  void (*on_event)(struct rem_conn *conn)) REM_MUST_CHECK;

/* Deregisters, cancels the timer, closes the socket.  Twice does no harm. */
void rem_conn_close(struct rem_conn *conn);

/* The reason a connect() failed (SO_ERROR), 0 when it succeeded. */
int rem_conn_connect_error(struct rem_conn *conn);

static inline ssize_t rem_conn_recv(struct rem_conn *conn, char *to, size_t n)
{
    return conn->io->recv(conn, to, n);
}

/* Writes a list of bufs, memory and file, until all is written or the socket is full.  Consumed
 * bufs leave the list (their `done` is called), a partly written one stays with `pos` advanced.
 * Stops after `limit` bytes (0: no limit) with REM_EAGAIN, `writable` then still being set.
 * Returns: REM_OK (list empty), REM_EAGAIN, REM_ECLOSED or REM_EIO. */
int rem_conn_write_bufs(struct rem_conn *conn, struct rem_buf **list, size_t limit) REM_MUST_CHECK;

/* TCP_NODELAY, once; nothing on a unix socket. */
void rem_conn_nodelay(struct rem_conn *conn);

#endif
