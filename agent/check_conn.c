/* SPDX-License-Identifier: Apache-2.0 */
/* check_conn.c - the connection of one check: opened or used again, the request sent, let go.
 *
 * Connections are in an epoll set of their own, edge-triggered and registered once, so that a
 * closed descriptor needs no call to be forgotten.  A request is sent at once where the kernel
 * takes it: to a server nearby, connecting is over before connect() returns.  */
#include "agent/check_priv.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

const char *rem_check_doing(const struct rem_check_conn *conn)
{
    static const char *const doings[] = {
        [REM_CHECK_CONNECTING] = "connecting to upstream",
        [REM_CHECK_SENDING] = "sending request to upstream",
        [REM_CHECK_HEAD] = "reading response header from upstream",
        [REM_CHECK_BODY] = "reading upstream",
        [REM_CHECK_DRAIN] = "reading upstream",
        [REM_CHECK_IDLE] = "keeping connection alive",
    };

    return doings[conn->step];
}

static uint64_t now_of(const struct rem_checks_io *io)
{
    return io->owner->clock->mono_ms;
}

static void set_step(struct rem_checks_io *io, struct rem_check_conn *conn,
                     enum rem_check_step step)
{
    const struct rem_check_spec *spec = conn->check->spec;
    uint32_t patience = spec->read_ms;

    if (step == REM_CHECK_CONNECTING)
        patience = spec->connect_ms;
    else if (step == REM_CHECK_SENDING)
        patience = spec->send_ms;
    conn->step = step;
    rem_check_wait(io, conn->check, now_of(io) + patience);
}

/* ---- closing ---- */

/* Its memory stays until the events of this batch have been looked at. */
static void conn_close(struct rem_checks_io *io, struct rem_check_conn *conn)
{
    rem_list_remove(&conn->idle_node);
    rem_check_read_reset(io, conn);
    (void)close(conn->fd); /* and epoll forgets it */
    conn->fd = -1;
    conn->check->conn = NULL;
    conn->check = NULL;
    conn->next = io->dead;
    io->dead = conn;
    io->open--;
    io->full = false;
}

void rem_check_bury(struct rem_checks_io *io)
{
    while (io->dead != NULL) {
        struct rem_check_conn *conn = io->dead;

        io->dead = conn->next;
        conn->next = io->free;
        io->free = conn;
    }
}

void rem_check_close(struct rem_checks_io *io, struct rem_check *check)
{
    if (check->conn != NULL)
        conn_close(io, check->conn);
}

void rem_check_finish(struct rem_checks_io *io, struct rem_check *check, bool keep)
{
    struct rem_check_conn *conn = check->conn;

    if (keep && now_of(io) < conn->opened_ms + check->spec->keepalive_ms) {
        rem_check_read_reset(io, conn);
        conn->step = REM_CHECK_IDLE;
        conn->used = true;
        rem_list_append(&io->idle, &conn->idle_node);
        io->full = false; /* it can be closed for another */
    } else {
        conn_close(io, conn);
    }
    rem_check_end(io, check);
}

void rem_check_fail(struct rem_checks_io *io, struct rem_check *check, int sys_errno,
                    const char *what)
{
    const char *doing =
        check->conn != NULL ? rem_check_doing(check->conn) : "connecting to upstream";

    rem_check_log_failure(check, sys_errno, what, doing);
    rem_check_close(io, check);
    rem_check_verdict(check, false, doing);
    rem_check_end(io, check);
}

void rem_check_expire(struct rem_checks_io *io, struct rem_check *check)
{
    if (check->conn->step == REM_CHECK_DRAIN)
        rem_check_finish(io, check, false);
    else
        rem_check_fail(io, check, ETIMEDOUT, "upstream timed out");
}

/* ---- sending ---- */

/* Has epoll tell when the connection can be written to. */
static bool watch(struct rem_checks_io *io, struct rem_check_conn *conn, bool added, bool out)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};

    if (added && (conn->wants_out || !out))
        return true;
    if (out)
        event.events |= EPOLLOUT;
    conn->wants_out = out;
    return epoll_ctl(io->epoll, added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, conn->fd, &event) == 0;
}

/* Sends what the kernel takes.  Returns 0, or errno. */
static int send_some(struct rem_checks_io *io, struct rem_check_conn *conn)
{
    struct rem_str request = conn->check->spec->request;

    while (conn->sent < request.n) {
        ssize_t n = send(conn->fd, request.p + conn->sent, request.n - conn->sent, MSG_NOSIGNAL);

        if (n < 0)
            return errno == EINTR ? 0 : errno;
        if (conn->step == REM_CHECK_CONNECTING) {
            conn->connected_ms = now_of(io);
            set_step(io, conn, REM_CHECK_SENDING);
        }
        conn->sent += (size_t)n;
    }
    set_step(io, conn, REM_CHECK_HEAD);
    return 0;
}

static void fail_send(struct rem_checks_io *io, struct rem_check_conn *conn, int error)
{
    if (conn->used)
        rem_check_again(io, conn->check);
    else
        rem_check_fail(io, conn->check, error,
                       conn->step == REM_CHECK_CONNECTING ? "connect() failed" : "send() failed");
}

/* The first attempt, on a connection that is new to epoll or (`added`) not. */
static void send_first(struct rem_checks_io *io, struct rem_check_conn *conn, bool added)
{
    int error = send_some(io, conn);

    if (error != 0 && error != EAGAIN)
        fail_send(io, conn, error);
    else if (!watch(io, conn, added, error == EAGAIN))
        rem_check_fail(io, conn->check, errno, "epoll_ctl() failed");
}

/* ---- opening ---- */

static struct rem_check_conn *conn_get(struct rem_checks_io *io)
{
    struct rem_check_conn *conn = io->free;

    if (conn != NULL)
        io->free = conn->next;
    else
        conn = malloc(sizeof(*conn));
    return conn;
}

/* Where the check connects to. */
static void target_addr(const struct rem_check *check, struct rem_addr *addr)
{
    rem_set_addr(check->target->upstream->set, check->target->server, addr);
    if (check->spec->port != 0 && rem_addr_family(addr) != AF_UNIX)
        rem_addr_set_port(addr, check->spec->port);
}

static int bind_local(int fd, const struct rem_addr *local, const struct rem_addr *to)
{
    int on = 1;

    if (local->len == 0 || rem_addr_family(local) != rem_addr_family(to))
        return 0;
    if (rem_addr_port(local) == 0)
        (void)setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    else
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    return bind(fd, &local->u.sa, local->len);
}

/* A socket that is connecting; -1 with errno. */
static int open_socket(const struct rem_check *check, bool *no_descriptor)
{
    struct rem_addr addr;
    int fd, error;

    target_addr(check, &addr);
    fd = socket(rem_addr_family(&addr), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *no_descriptor = fd < 0;
    if (fd < 0)
        return -1;
    if (bind_local(fd, &check->spec->local, &addr) == 0 &&
        (connect(fd, &addr.u.sa, addr.len) == 0 || errno == EINPROGRESS))
        return fd;
    error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

static void begin_on(struct rem_checks_io *io, struct rem_check *check, struct rem_check_conn *conn)
{
    conn->began_ms = conn->connected_ms = now_of(io);
    conn->sent = 0;
    conn->received = 0;
    conn->reusable = false;
    check->conn = conn;
}

/* Returns: false if there is no descriptor. */
static bool open_conn(struct rem_checks_io *io, struct rem_check *check)
{
    struct rem_check_conn *conn = conn_get(io);
    bool no_descriptor = conn == NULL;
    int fd = conn != NULL ? open_socket(check, &no_descriptor) : -1;

    if (fd < 0) {
        int error = errno;

        if (conn != NULL) {
            conn->next = io->free;
            io->free = conn;
        }
        errno = error;
        if (!no_descriptor)
            rem_check_fail(io, check, error, "connect() failed");
        return !no_descriptor;
    }
    *conn = (struct rem_check_conn){.check = check, .fd = fd, .opened_ms = now_of(io)};
    rem_list_init(&conn->idle_node);
    rem_arena_init(&conn->trailers, NULL);
    io->open++;
    begin_on(io, check, conn);
    set_step(io, conn, REM_CHECK_CONNECTING);
    send_first(io, conn, false);
    return true;
}

/* Makes room for one more connection by closing a kept one. */
static bool make_room(struct rem_checks_io *io)
{
    if (io->open < io->open_max)
        return true;
    if (rem_list_empty(&io->idle))
        return false;
    conn_close(io, REM_LIST_ENTRY(io->idle.next, struct rem_check_conn, idle_node));
    return true;
}

static bool open_or_wait(struct rem_checks_io *io, struct rem_check *check)
{
    if (make_room(io) && open_conn(io, check))
        return true;
    if (io->open != 0)
        return false; /* it starts when one of them ends */
    REM_LOG(check->spec->log, REM_LOG_ALERT, errno, "no socket for a health check");
    rem_check_end(io, check);
    return true;
}

bool rem_check_begin(struct rem_checks_io *io, struct rem_check *check)
{
    struct rem_check_conn *conn = check->conn;

    if (conn != NULL && now_of(io) >= conn->opened_ms + check->spec->keepalive_ms) {
        conn_close(io, conn);
        conn = NULL;
    }
    if (conn == NULL) {
        rem_check_unwait(io, check);
        check->running = true;
        if (open_or_wait(io, check))
            return true;
        check->running = false;
        rem_check_wait(io, check, check->due_ms);
        return false;
    }
    rem_check_unwait(io, check);
    check->running = true;
    rem_list_remove(&conn->idle_node);
    begin_on(io, check, conn);
    set_step(io, conn, REM_CHECK_SENDING);
    send_first(io, conn, true);
    return true;
}

void rem_check_again(struct rem_checks_io *io, struct rem_check *check)
{
    rem_check_close(io, check);
    if (!open_or_wait(io, check))
        rem_check_end(io, check);
}

/* ---- events ---- */

/* The connection is made, or has failed. */
static int connect_result(int fd)
{
    socklen_t size = sizeof(int);
    int error = 0;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

static void on_out(struct rem_checks_io *io, struct rem_check_conn *conn)
{
    int error = conn->step == REM_CHECK_CONNECTING ? connect_result(conn->fd) : 0;

    if (error == 0)
        error = send_some(io, conn);
    if (error != 0 && error != EAGAIN)
        fail_send(io, conn, error);
}

static void on_event(struct rem_checks_io *io, struct rem_check_conn *conn, uint32_t events)
{
    if (conn->step == REM_CHECK_IDLE) {
        /* Nobody has asked: the server has closed, or talks out of turn. */
        if (events & ~(uint32_t)EPOLLOUT)
            conn_close(io, conn);
        return;
    }
    if (conn->step <= REM_CHECK_SENDING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        on_out(io, conn);
    /* A server may have answered before it got everything, and edges are told once. */
    if (conn->fd >= 0 && conn->step >= REM_CHECK_HEAD && conn->step != REM_CHECK_IDLE)
        rem_check_read(io, conn);
}

void rem_check_on_ready(int fd, short what, void *data)
{
    struct rem_checks_io *io = data;
    struct epoll_event events[REM_CHECK_EVENTS];
    int n;

    (void)what;
    rem_clock_update(io->owner->clock);
    rem_checks_sync(io->owner);
    n = epoll_wait(fd, events, REM_CHECK_EVENTS, 0);
    for (int i = 0; i < n; i++) {
        struct rem_check_conn *conn = events[i].data.ptr;

        if (conn->fd >= 0)
            on_event(io, conn, events[i].events);
    }
    rem_check_bury(io);
    rem_check_arm(io);
}

void rem_check_conns_free(struct rem_checks_io *io)
{
    rem_check_bury(io);
    while (io->free != NULL) {
        struct rem_check_conn *conn = io->free;

        io->free = conn->next;
        free(conn);
    }
    while (io->holds != NULL) {
        struct rem_check_hold *hold = io->holds;

        io->holds = hold->next;
        free(hold->p);
        free(hold);
    }
}
