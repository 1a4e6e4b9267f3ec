/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

/* The most one sendfile() is asked for, so that one connection does not hold up a turn. */
enum { SENDFILE_MAX = 2 << 20 };

static ssize_t plain_recv(struct rem_conn *conn, char *to, size_t n)
{
    ssize_t got;

    do
        got = recv(conn->fd, to, n, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        /* What arrives after this call brings an event of its own, so a short read needs no
         * second one to find the socket empty; the end of the stream has had its event. */
        if ((size_t)got < n && !conn->hangup)
            conn->readable = false;
        conn->received += (uint64_t)got;
        return got;
    }
    conn->readable = false;
    /* The kernel tells of a reset once; whoever asks after that finds the stream at its end. */
    if (got == 0 && conn->torn) {
        errno = ECONNRESET;
        return REM_EIO;
    }
    if (got == 0) {
        conn->hangup = true;
        return REM_ECLOSED;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return REM_EAGAIN;
    conn->error = true;
    return REM_EIO;
}

/* The outcome of a sending call that was asked for `n` bytes. */
static ssize_t sent(struct rem_conn *conn, ssize_t done, size_t n)
{
    if (done >= 0) {
        if ((size_t)done < n)
            conn->writable = false;
        conn->sent += (uint64_t)done;
        return done;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        conn->writable = false;
        return REM_EAGAIN;
    }
    conn->error = true;
    /* EPIPE: the peer's end has come before, in order, or somebody was told already. */
    if (errno != EPIPE)
        conn->torn = true;
    return errno == EPIPE || errno == ECONNRESET ? REM_ECLOSED : REM_EIO;
}

/* One piece goes by send(), which spares the kernel a look at the list. */
static ssize_t plain_writev(struct rem_conn *conn, const struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                             .msg_iovlen = (size_t)count};
    int flags = MSG_NOSIGNAL | (conn->more ? MSG_MORE : 0);
    size_t n = 0;
    ssize_t done;

    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    do
        done = count == 1 ? send(conn->fd, iov->iov_base, iov->iov_len, flags)
                          : sendmsg(conn->fd, &message, flags);
    while (done < 0 && errno == EINTR);
    return sent(conn, done, n);
}

static ssize_t plain_sendfile(struct rem_conn *conn, int fd, off_t from, size_t n)
{
    ssize_t done;

    if (n > SENDFILE_MAX)
        n = SENDFILE_MAX;
    do
        done = sendfile(conn->fd, fd, &from, n);
    while (done < 0 && errno == EINTR);
    if (done == 0 && n > 0) {
        conn->error = true;
        errno = EIO;
        return REM_EIO;
    }
    /* Fewer bytes may also mean that the file has become shorter, and then no event would come:
     * the next call tells which it was. */
    return sent(conn, done, done > 0 ? (size_t)done : n);
}

static const struct rem_conn_io plain_io = {plain_recv, plain_writev, plain_sendfile};

/* A reset shows as readable and writable only.  An owner that is not reading now has both already,
 * so it is asked for here. */
static bool is_broken(int fd)
{
    struct pollfd p = {.fd = fd};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR) != 0;
}

static void on_ready(evutil_socket_t fd, short what, void *data)
{
    struct rem_conn *conn = data;
    bool news = false;

    REM_CHECK_OBJ(conn, REM_CONN_MAGIC);
    rem_loop_enter(conn->loop);
    if ((what & EV_CLOSED) != 0) {
        news = !conn->hangup || !conn->readable;
        conn->hangup = true;
        conn->readable = true;
    }
    if ((what & EV_READ) != 0) {
        if ((what & (EV_WRITE | EV_CLOSED)) == EV_WRITE && conn->readable && !conn->error &&
            is_broken(fd)) {
            conn->error = true;
            news = true;
        }
        news = news || !conn->readable;
        conn->readable = true;
    }
    if ((what & EV_WRITE) != 0) {
        news = news || !conn->writable;
        conn->writable = true;
    }
    if (news)
        conn->on_event(conn);
}

int rem_conn_open(struct rem_conn *conn, struct rem_loop *loop, int fd, bool connected,
                  void (*on_event)(struct rem_conn *conn))
{
    conn->magic = REM_CONN_MAGIC;
    conn->fd = fd;
    conn->io = &plain_io;
    conn->loop = loop;
    conn->on_event = on_event;
    conn->sent = 0;
    conn->received = 0;
    conn->readable = false;
    conn->writable = connected;
    conn->hangup = false;
    conn->error = false;
    conn->torn = false;
    conn->nodelay_set = false;
    conn->more = false;
    if (event_assign(&conn->event, loop->base, fd,
                     EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_ready, conn) != 0 ||
        event_add(&conn->event, NULL) != 0) {
        close(fd);
        conn->fd = -1;
        return REM_EIO;
    }
    return REM_OK;
}

void rem_conn_close(struct rem_conn *conn)
{
    REM_CHECK_OBJ(conn, REM_CONN_MAGIC);
    if (conn->fd < 0)
        return;
    event_del(&conn->event);
    rem_timer_cancel(&conn->loop->timers, &conn->timer);
    close(conn->fd);
    conn->fd = -1;
    conn->readable = false;
    conn->writable = false;
}

int rem_conn_connect_error(struct rem_conn *conn)
{
    int reason = 0;
    socklen_t len = sizeof(reason);

    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &reason, &len) != 0)
        return errno;
    return reason;
}

void rem_conn_nodelay(struct rem_conn *conn)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    int on = 1;

    if (conn->nodelay_set)
        return;
    conn->nodelay_set = true;
    if (getsockname(conn->fd, (struct sockaddr *)&ss, &len) == 0 &&
        (ss.ss_family == AF_INET || ss.ss_family == AF_INET6))
        setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Advances the head of the list by `n` written bytes; what is used up leaves it. */
static void consume(struct rem_buf **list, size_t n)
{
    while (*list != NULL) {
        struct rem_buf *buf = *list;
        size_t size = rem_buf_size(buf);
        size_t step = n < size ? n : size;

        if (buf->in_file)
            buf->file_pos += (off_t)step;
        else
            buf->pos += step;
        n -= step;
        if (step < size)
            return;
        *list = buf->next;
        buf->next = NULL;
        rem_buf_done(buf);
        if (n == 0 && (*list == NULL || rem_buf_size(*list) != 0))
            return;
    }
}

/* Gathers memory bufs up to `limit` bytes.  Returns the number of iovecs; *more: a file follows. */
static int gather(const struct rem_buf *list, size_t limit, struct iovec *iov, bool *more)
{
    const struct rem_buf *buf = list;
    int count = 0;

    for (; buf != NULL && !buf->in_file && count < REM_CONN_IOV && limit > 0; buf = buf->next) {
        size_t size = rem_buf_size(buf);

        if (size == 0)
            continue;
        if (size > limit)
            size = limit;
        limit -= size;
        iov[count].iov_base = buf->pos;
        iov[count++].iov_len = size;
    }
    *more = buf != NULL && limit > 0 && rem_buf_size(buf) > 0;
    return count;
}

/* Writes what one call takes.  Returns bytes (0: only empty bufs stood there), or an error. */
static ssize_t write_some(struct rem_conn *conn, const struct rem_buf *list, size_t limit)
{
    struct iovec iov[REM_CONN_IOV];
    ssize_t done;
    int count;

    if (list->in_file) {
        size_t size = rem_buf_size(list);

        if (size == 0)
            return 0;
        return conn->io->sendfile(conn, list->fd, list->file_pos, size < limit ? size : limit);
    }
    count = gather(list, limit, iov, &conn->more);
    if (count == 0)
        return 0;
    done = conn->io->writev(conn, iov, count);
    conn->more = false;
    return done;
}

int rem_conn_write_bufs(struct rem_conn *conn, struct rem_buf **list, size_t limit)
{
    size_t left = limit != 0 ? limit : SIZE_MAX;

    REM_CHECK_OBJ(conn, REM_CONN_MAGIC);
    if (conn->fd < 0)
        return REM_ECLOSED;
    while (*list != NULL) {
        ssize_t done;

        if (left == 0)
            return REM_EAGAIN;
        if (!conn->writable && rem_buf_size(*list) > 0)
            return REM_EAGAIN;
        done = write_some(conn, *list, left);
        if (done < 0)
            return (int)done;
        left -= (size_t)done;
        consume(list, (size_t)done);
    }
    return REM_OK;
}
