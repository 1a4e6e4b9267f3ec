/* SPDX-License-Identifier: Apache-2.0 */
/* The writing half of a connection: answers, and getting them across to clients that do not
 * listen. */
#include "agent/admin_conn_priv.h"
#include "proto/wire/put.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Bytes read and thrown away behind an error. */
enum { LINGER_MAX = 1 << 20 };

/* Pipelined answers are put together up to this size, those with bodies up to that. */
enum { BATCH_MAX = 65536, BATCH_BODY = 16384 };

/* A status that goes without content has no length either. */
static bool has_content(const struct rem_api_response *response)
{
    return response->status != 204 && response->status != 304;
}

/* A stream needs the end of the connection, or chunks; and no proxy on the way that collects what
 * passes. */
static void put_stream_fields(struct rem_admin_conn *conn, struct rem_put *put)
{
    conn->keepalive = false;
    conn->chunked = rem_admin_conn_first(conn)->minor != 0;
    if (conn->chunked)
        REM_PUT_FIELD(put, "Transfer-Encoding", REM_STR("chunked"));
    REM_PUT_FIELD(put, "X-Accel-Buffering", REM_STR("no"));
}

/* Writes the first answer's head to `out`. */
static void compose(struct rem_admin_conn *conn)
{
    const struct rem_api_response *response = &rem_admin_conn_first(conn)->call.response;
    struct rem_put put;

    if (conn->server->quitting)
        conn->keepalive = false;
    rem_put_init(&put, conn->out, sizeof(conn->out));
    rem_put_status_line(&put, (unsigned)response->status, REM_STR(""));
    REM_PUT_FIELD(&put, "Server", REM_STR("remora"));
    REM_PUT_FIELD(&put, "Date", rem_clock_http(conn->server->clock));
    if (response->content_type != NULL)
        REM_PUT_FIELD(&put, "Content-Type", rem_str_from(response->content_type));
    if (response->streams)
        put_stream_fields(conn, &put);
    else if (has_content(response))
        rem_put_field_u64(&put, REM_STR("Content-Length"), response->body.n);
    if (response->has_etag) {
        REM_PUT(&put, "ETag: \"");
        rem_put_u64(&put, response->etag);
        REM_PUT(&put, "\"\r\n");
    }
    if (response->allow != NULL)
        REM_PUT_FIELD(&put, "Allow", rem_str_from(response->allow));
    if (response->status == 401)
        REM_PUT_FIELD(&put, "WWW-Authenticate", REM_STR("Bearer realm=\"remora\""));
    if (response->request_id[0] != '\0')
        REM_PUT_FIELD(&put, "X-Request-ID", rem_str_from(response->request_id));
    if (response->retry_sec != 0)
        rem_put_field_u64(&put, REM_STR("Retry-After"), response->retry_sec);
    if (response->policy != NULL)
        REM_PUT_FIELD(&put, "Content-Security-Policy", rem_str_from(response->policy));
    REM_PUT_FIELD(&put, "X-Content-Type-Options", REM_STR("nosniff"));
    REM_PUT_FIELD(&put, "Cache-Control", REM_STR("no-store"));
    REM_PUT_FIELD(&put, "Connection",
                  conn->keepalive || conn->count > 1 ? REM_STR("keep-alive") : REM_STR("close"));
    rem_put_crlf(&put);
    REM_CHECK(!put.full);
    conn->out_n = rem_put_str(&put).n;
    conn->sent = 0;
}

/* The socket has taken nothing for a while.  Has the client?  It may be reading slowly from what
 * the socket holds, which is a lot before it takes more. */
static bool client_reads(struct rem_admin_conn *conn)
{
    int unread = 0;
    bool reads = ioctl(conn->fd, SIOCOUTQ, &unread) == 0 && unread < conn->unread;

    conn->unread = unread;
    return reads;
}

/* All answers are out: what next? */
static void end_requests(struct rem_admin_conn *conn)
{
    rem_h1_request_init(&conn->head, &rem_admin_conn_limits, &conn->x->arena);
    conn->joins = false;
    if (conn->keepalive) {
        rem_admin_conn_goto(conn, REM_ADMIN_READ_HEAD);
        if (conn->in_n != 0)
            rem_admin_conn_arm(conn, conn->server->patience.head);
    } else if (conn->linger && !conn->eof) {
        (void)shutdown(conn->fd, SHUT_WR);
        conn->in_n = 0;
        conn->body_left = LINGER_MAX;
        rem_admin_conn_goto(conn, REM_ADMIN_LINGER);
    } else {
        rem_admin_conn_goto(conn, REM_ADMIN_CLOSED);
        return;
    }
    (void)event_add(conn->readable, NULL);
}

enum rem_admin_step rem_admin_conn_send(struct rem_admin_conn *conn, struct rem_str body)
{
    struct iovec iov[2];
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    size_t from;
    ssize_t n;

    if (conn->expired && !client_reads(conn)) {
        rem_admin_conn_goto(conn, REM_ADMIN_CLOSED);
        return REM_ADMIN_NEXT;
    }
    if (conn->expired)
        rem_admin_conn_arm(conn, conn->server->patience.body);
    from = conn->sent < conn->out_n ? conn->sent : conn->out_n;
    iov[0] = (struct iovec){conn->out + from, conn->out_n - from};
    from = conn->sent - from;
    iov[1] = (struct iovec){body.n != 0 ? (char *)(uintptr_t)body.p + from : NULL, body.n - from};
    n = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    if (n >= 0) {
        conn->sent += (size_t)n;
        conn->unread = INT_MAX;
        rem_admin_conn_arm(conn, conn->server->patience.body);
        return REM_ADMIN_NEXT;
    }
    if (errno == EINTR)
        return REM_ADMIN_NEXT;
    if (errno == EAGAIN && event_add(conn->writable, NULL) == 0) {
        (void)event_del(conn->readable);
        return REM_ADMIN_WAIT;
    }
    rem_admin_conn_goto(conn, REM_ADMIN_CLOSED);
    return REM_ADMIN_NEXT;
}

/* What is sent of an answer's body. */
static struct rem_str body_of(const struct rem_admin_exchange *x)
{
    struct rem_str body = rem_sbuf_str(&x->call.response.body);

    if (x->method == REM_METHOD_HEAD || !has_content(&x->call.response) || x->call.response.streams)
        body.n = 0;
    return body;
}

/* Puts short answers together; large ones go out from where they are. */
static void fill_batch(struct rem_admin_conn *conn)
{
    while (conn->count != 0 && conn->batch.n < BATCH_MAX) {
        struct rem_admin_exchange *x = rem_admin_conn_first(conn);
        struct rem_str body = body_of(x);

        if (body.n > BATCH_BODY || x->call.response.streams)
            break;
        compose(conn);
        rem_sbuf_add(&conn->batch, rem_str_make(conn->out, conn->out_n));
        rem_sbuf_add(&conn->batch, body);
        rem_admin_conn_drop(conn);
    }
    conn->out_n = conn->sent = 0;
    if (conn->batch.failed)
        rem_admin_conn_goto(conn, REM_ADMIN_CLOSED);
}

static enum rem_admin_step write_batch(struct rem_admin_conn *conn)
{
    if (conn->sent != conn->batch.n)
        return rem_admin_conn_send(conn, rem_sbuf_str(&conn->batch));
    rem_sbuf_fini(&conn->batch);
    rem_sbuf_init(&conn->batch);
    conn->sent = 0;
    if (conn->count == 0)
        end_requests(conn);
    return REM_ADMIN_NEXT;
}

enum rem_admin_step rem_admin_conn_write(struct rem_admin_conn *conn)
{
    struct rem_admin_exchange *x;
    struct rem_str body;

    if (conn->batch.n == 0 && conn->out_n == 0 && conn->count > 1)
        fill_batch(conn);
    if (conn->batch.n != 0 || conn->batch.failed)
        return conn->batch.failed ? REM_ADMIN_NEXT : write_batch(conn);
    x = rem_admin_conn_first(conn);
    if (conn->out_n == 0)
        compose(conn);
    body = body_of(x);
    if (conn->sent != conn->out_n + body.n)
        return rem_admin_conn_send(conn, body);
    if (x->call.response.streams) {
        rem_admin_conn_begin_stream(conn);
        return REM_ADMIN_NEXT;
    }
    conn->out_n = conn->sent = 0;
    rem_admin_conn_drop(conn);
    if (conn->count == 0)
        end_requests(conn);
    return REM_ADMIN_NEXT;
}

enum rem_admin_step rem_admin_conn_linger(struct rem_admin_conn *conn)
{
    while (!conn->expired && rem_admin_conn_fill(conn)) {
        if (conn->body_left <= conn->in_n) {
            conn->eof = true;
            break;
        }
        conn->body_left -= conn->in_n;
        conn->in_n = 0;
    }
    if (!conn->eof && !conn->expired)
        return REM_ADMIN_WAIT;
    rem_admin_conn_goto(conn, REM_ADMIN_CLOSED);
    return REM_ADMIN_NEXT;
}
