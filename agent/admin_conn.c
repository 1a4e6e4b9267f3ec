/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/admin_conn.h"

#include "proto/base/addr.h"
#include "proto/wire/chunk.h"
#include "proto/wire/put.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    CONN_MAGIC = 0x61646d63,
    INPUT_SIZE = REM_ADMIN_HEAD_MAX,
    REQUESTS_PER_TURN = 32, /* a pipelining client lets others have their turn after so many */
    LINGER_MAX = 1 << 20,   /* bytes read and thrown away behind an error */
    ANSWER_HEAD = 1024,
};

/* In the order a request takes; each waits for what is named, with the timer in brackets. */
enum conn_state {
    STATE_READ_HEAD = 0, /* a head [idle, then head] */
    STATE_READ_BODY,     /* the rest of a body [body, whole] */
    STATE_ANSWER,        /* rem_admin_call_reply [none: the handler bounds it] */
    STATE_WRITE,         /* room in the socket's buffer [body] */
    STATE_LINGER,        /* the client to read the answer and close [linger] */
    STATE_CLOSED,
    STATES
};

enum step { STEP_NEXT = 0, STEP_WAIT };

struct rem_admin_conn {
    uint32_t magic;
    int fd;
    struct rem_list node;
    struct rem_admin_server *server;
    struct event *readable;
    struct event *writable;
    struct event *timer;
    enum conn_state state;
    bool driving;   /* drive() is on the stack and will look at the state again */
    bool keepalive; /* as far as the request allows */
    bool linger;    /* input was left unread */
    bool eof;
    bool expired; /* the timer of this state has run out */
    unsigned budget;

    char *in; /* INPUT_SIZE bytes; NULL while idle */
    size_t in_n;

    struct rem_arena arena; /* everything of the current request */
    struct rem_h1_request head;
    struct rem_chunk_decoder chunks;
    uint64_t body_left;  /* REM_FRAMING_LENGTH: bytes to come */
    uint64_t body_since; /* monotonic ms, when the body began */
    struct rem_sbuf body;

    struct rem_admin_call call;
    char out[ANSWER_HEAD];
    size_t out_n;
    size_t sent; /* of head and body together */
    int unread;  /* bytes the client's side had not taken yet when this was last looked at */
};

static enum step step_read_head(struct rem_admin_conn *conn);
static enum step step_read_body(struct rem_admin_conn *conn);
static enum step step_answer(struct rem_admin_conn *conn);
static enum step step_write(struct rem_admin_conn *conn);
static enum step step_linger(struct rem_admin_conn *conn);

static const struct conn_step {
    const char *name;
    enum step (*run)(struct rem_admin_conn *conn);
    unsigned next; /* bits of the states that may follow */
} steps[STATES] = {
    [STATE_READ_HEAD] = {"read head", step_read_head,
                         1 << STATE_READ_BODY | 1 << STATE_WRITE | 1 << STATE_CLOSED},
    [STATE_READ_BODY] = {"read body", step_read_body,
                         1 << STATE_ANSWER | 1 << STATE_WRITE | 1 << STATE_CLOSED},
    [STATE_ANSWER] = {"answer", step_answer, 1 << STATE_WRITE | 1 << STATE_CLOSED},
    [STATE_WRITE] = {"write", step_write,
                     1 << STATE_READ_HEAD | 1 << STATE_LINGER | 1 << STATE_CLOSED},
    [STATE_LINGER] = {"linger", step_linger, 1 << STATE_CLOSED},
    [STATE_CLOSED] = {"closed", NULL, 0},
};

static const struct rem_h1_limits limits = {
    .max_line = REM_ADMIN_HEAD_MAX,
    .max_head = REM_ADMIN_HEAD_MAX,
    .max_fields = 100,
    .ignore_invalid = true,
};

static void arm(struct rem_admin_conn *conn, uint32_t ms)
{
    struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

    conn->expired = false;
    if (ms == 0)
        (void)evtimer_del(conn->timer);
    else
        (void)evtimer_add(conn->timer, &tv);
}

/* The only place where the state changes. */
static void conn_goto(struct rem_admin_conn *conn, enum conn_state state)
{
    const struct rem_admin_patience *patience = &conn->server->patience;

    REM_CHECK(steps[conn->state].next & 1u << state);
    conn->state = state;
    switch (state) {
    case STATE_READ_HEAD:
        arm(conn, patience->idle);
        break;
    case STATE_READ_BODY:
    case STATE_WRITE:
        arm(conn, patience->body);
        break;
    case STATE_LINGER:
        arm(conn, patience->linger);
        break;
    default:
        arm(conn, 0);
    }
}

/* ---- life ---- */

static void conn_free(struct rem_admin_conn *conn)
{
    struct rem_admin_server *server = conn->server;

    rem_list_remove(&conn->node);
    if (conn->readable != NULL)
        event_free(conn->readable);
    if (conn->writable != NULL)
        event_free(conn->writable);
    if (conn->timer != NULL)
        event_free(conn->timer);
    close(conn->fd);
    free(conn->in);
    rem_sbuf_fini(&conn->body);
    rem_api_response_fini(&conn->call.response);
    rem_arena_reset(&conn->arena);
    conn->magic = 0;
    server->connection_count--;
    free(conn);
}

/* Runs the steps until one has to wait; the one place that frees a connection. */
static void drive(struct rem_admin_conn *conn)
{
    enum step step = STEP_NEXT;

    REM_CHECK_OBJ(conn, CONN_MAGIC);
    conn->driving = true;
    while (step == STEP_NEXT && conn->state != STATE_CLOSED)
        step = steps[conn->state].run(conn);
    conn->driving = false;
    if (conn->state == STATE_CLOSED)
        conn_free(conn);
}

static void on_io(evutil_socket_t fd, short what, void *data)
{
    struct rem_admin_conn *conn = data;

    (void)fd;
    (void)what;
    rem_clock_update(conn->server->clock);
    conn->budget = REQUESTS_PER_TURN;
    drive(conn);
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
    struct rem_admin_conn *conn = data;

    (void)fd;
    (void)what;
    rem_clock_update(conn->server->clock);
    conn->expired = true;
    drive(conn);
}

int rem_admin_conn_new(struct rem_admin_server *server, int fd)
{
    struct rem_admin_conn *conn = calloc(1, sizeof(*conn));

    if (conn == NULL) {
        close(fd);
        return REM_ENOMEM;
    }
    conn->magic = CONN_MAGIC;
    conn->fd = fd;
    conn->server = server;
    rem_list_init(&conn->node);
    rem_list_init(&conn->call.node);
    rem_sbuf_init(&conn->body);
    rem_api_response_init(&conn->call.response);
    rem_arena_init(&conn->arena, NULL);
    rem_h1_request_init(&conn->head, &limits, &conn->arena);
    server->connection_count++;
    conn->readable = event_new(server->base, fd, EV_READ | EV_PERSIST, on_io, conn);
    conn->writable = event_new(server->base, fd, EV_WRITE, on_io, conn);
    conn->timer = evtimer_new(server->base, on_timer, conn);
    if (conn->readable == NULL || conn->writable == NULL || conn->timer == NULL ||
        event_add(conn->readable, NULL) != 0) {
        conn_free(conn);
        return REM_ENOMEM;
    }
    rem_list_append(&server->connections, &conn->node);
    arm(conn, server->patience.idle);
    return 0;
}

struct rem_admin_conn *rem_admin_conn_at(struct rem_list *node)
{
    return REM_LIST_ENTRY(node, struct rem_admin_conn, node);
}

void rem_admin_conn_close(struct rem_admin_conn *conn)
{
    REM_CHECK_OBJ(conn, CONN_MAGIC);
    if (conn->state == STATE_ANSWER)
        conn->server->handler.on_abandon(conn->server->handler.data, &conn->call);
    conn_free(conn);
}

void rem_admin_conn_quit(struct rem_admin_conn *conn)
{
    REM_CHECK_OBJ(conn, CONN_MAGIC);
    conn->keepalive = false;
    /* Whoever is about to send a request may have it in the socket already: the step reads once
     * more and closes only if nothing is there. */
    if (conn->state == STATE_READ_HEAD && !conn->driving) {
        conn->budget = 1;
        drive(conn);
    }
}

/* ---- input ---- */

/* Reads once into the free part of `in`.  Returns: false when there is nothing to be had now
 * (also at the end of input, with eof set). */
static bool fill(struct rem_admin_conn *conn)
{
    ssize_t n;

    if (conn->eof)
        return false;
    if (conn->in == NULL && (conn->in = malloc(INPUT_SIZE)) == NULL) {
        conn->eof = true;
        return false;
    }
    do
        n = recv(conn->fd, conn->in + conn->in_n, INPUT_SIZE - conn->in_n, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        conn->in_n += (size_t)n;
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        conn->eof = true;
    return false;
}

static void consume(struct rem_admin_conn *conn, size_t n)
{
    conn->in_n -= n;
    if (conn->in_n != 0)
        memmove(conn->in, conn->in + n, conn->in_n);
}

/* Answers an error that ends the connection. */
static void fail(struct rem_admin_conn *conn, int status)
{
    struct rem_admin_handler *handler = &conn->server->handler;

    rem_api_response_reset(&conn->call.response);
    handler->on_error(handler->data, &conn->call.request, status, &conn->call.response);
    conn->keepalive = false;
    conn->linger = true;
    conn_goto(conn, STATE_WRITE);
    conn->out_n = 0;
}

/* The address the client connected to, without its port; .p is NULL without memory. */
static struct rem_str local_address(struct rem_admin_conn *conn)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    struct rem_addr addr = {0};
    char text[REM_ADDR_TEXT];

    if (getsockname(conn->fd, (struct sockaddr *)&storage, &len) != 0)
        return rem_arena_dup(&conn->arena, REM_STR(""));
    rem_addr_from((const struct sockaddr *)&storage, len, &addr);
    return rem_arena_dup(&conn->arena,
                         rem_str_make(text, rem_addr_host_text(&addr, text, sizeof(text))));
}

/* Copies out of the head what the API looks at, as the input buffer will be used again.
 * Errors: REM_ENOMEM. */
static int take_head(struct rem_admin_conn *conn)
{
    const struct rem_h1_request *head = &conn->head;
    struct rem_api_request *request = &conn->call.request;
    const struct rem_field *field;

    *request = (struct rem_api_request){
        .method = head->method,
        .method_text = rem_arena_dup(&conn->arena, head->method_text),
        .path = rem_arena_dup(&conn->arena, head->uri.path),
        .args = rem_arena_dup(&conn->arena, head->uri.args),
        .local = local_address(conn),
        .has_origin = rem_fields_find(&head->head.fields, REM_FIELD_ORIGIN) != NULL,
    };
    field = rem_fields_find(&head->head.fields, REM_FIELD_IF_MATCH);
    if (field != NULL) {
        request->has_if_match = true;
        request->if_match = rem_arena_dup(&conn->arena, field->value);
    }
    if (request->method_text.p == NULL || request->path.p == NULL || request->args.p == NULL ||
        request->local.p == NULL || (field != NULL && request->if_match.p == NULL))
        return REM_ENOMEM;
    return 0;
}

static void send_continue(struct rem_admin_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    /* Nothing else is under way to the client, so there is room for these 25 bytes; if not, it
     * has to go on without, as RFC 9110 section 10.1.1 makes it. */
    (void)!send(conn->fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The head is complete: what follows it? */
static void begin_body(struct rem_admin_conn *conn)
{
    const struct rem_h1_head *head = &conn->head.head;

    conn->keepalive = rem_h1_persists(head) && !conn->server->quitting;
    conn->body_left = head->framing == REM_FRAMING_LENGTH ? head->content_length : 0;
    conn->body_since = conn->server->clock->mono_ms;
    rem_sbuf_clear(&conn->body);
    if (take_head(conn) != 0) {
        fail(conn, 500);
        return;
    }
    consume(conn, head->head_size);
    if (conn->body_left > REM_ADMIN_BODY_MAX) {
        fail(conn, 413);
        return;
    }
    if (head->framing == REM_FRAMING_CHUNKED)
        rem_chunk_decoder_init(&conn->chunks, &limits, &conn->arena);
    if ((head->flags & REM_H1_EXPECT_CONTINUE) && conn->in_n == 0 &&
        (conn->body_left != 0 || head->framing == REM_FRAMING_CHUNKED))
        send_continue(conn);
    conn_goto(conn, STATE_READ_BODY);
}

/* No head is complete: goes on waiting, or ends the connection. */
static enum step await_head(struct rem_admin_conn *conn)
{
    bool fresh = conn->in_n == 0;

    if (conn->in_n == INPUT_SIZE) {
        fail(conn, 431);
        return STEP_NEXT;
    }
    if (fill(conn)) {
        if (fresh)
            arm(conn, conn->server->patience.head);
        return STEP_NEXT;
    }
    if (conn->in_n != 0 && conn->expired) {
        conn->call.request = (struct rem_api_request){0};
        fail(conn, 408);
        return STEP_NEXT;
    }
    if (conn->eof || conn->expired || (conn->server->quitting && conn->in_n == 0)) {
        conn_goto(conn, STATE_CLOSED);
        return STEP_NEXT;
    }
    if (conn->in_n == 0) {
        free(conn->in);
        conn->in = NULL;
    }
    return STEP_WAIT;
}

/* ---- steps ---- */

static enum step step_read_head(struct rem_admin_conn *conn)
{
    int rc = REM_EAGAIN;

    if (conn->in_n != 0) {
        if (conn->budget == 0) {
            event_active(conn->readable, EV_READ, 0);
            return STEP_WAIT;
        }
        rc = rem_h1_request_parse(&conn->head, conn->in, conn->in_n);
    }
    if (rc == 0) {
        begin_body(conn);
        return STEP_NEXT;
    }
    if (rc == REM_EAGAIN)
        return await_head(conn);
    conn->call.request = (struct rem_api_request){0};
    fail(conn, conn->head.head.status);
    return STEP_NEXT;
}

/* Takes body bytes from the input.  Returns 0 with *done, REM_EAGAIN, or why the request is
 * refused (REM_EPROTO, REM_ETOOBIG, REM_ENOMEM). */
static int take_body(struct rem_admin_conn *conn)
{
    int rc = 0;

    if (conn->head.head.framing != REM_FRAMING_CHUNKED) {
        size_t n = conn->in_n < conn->body_left ? conn->in_n : (size_t)conn->body_left;
        rem_sbuf_add(&conn->body, rem_str_make(conn->in, n));
        consume(conn, n);
        conn->body_left -= n;
        rc = conn->body_left == 0 ? 0 : REM_EAGAIN;
    }
    while (rc == 0 && conn->head.head.framing == REM_FRAMING_CHUNKED) {
        struct rem_str data = {NULL, 0};
        size_t used = 0;
        rc = rem_chunk_decode(&conn->chunks, conn->in, conn->in_n, &used, &data);
        if (rc != 0 && rc != REM_EAGAIN)
            return rc;
        rem_sbuf_add(&conn->body, data);
        consume(conn, used);
        if (conn->body.n > REM_ADMIN_BODY_MAX)
            return REM_ETOOBIG;
        if (rc == 0 && data.n == 0)
            break;
    }
    return conn->body.failed ? REM_ENOMEM : rc;
}

/* The request is complete: asks for its answer. */
static void hand_over(struct rem_admin_conn *conn)
{
    struct rem_admin_handler *handler = &conn->server->handler;

    conn->call.request.body = rem_sbuf_str(&conn->body);
    rem_api_response_reset(&conn->call.response);
    if (conn->budget > 0)
        conn->budget--;
    conn_goto(conn, STATE_ANSWER);
    /* What arrives meanwhile stays in the socket. */
    (void)event_del(conn->readable);
    handler->on_call(handler->data, &conn->call);
}

static enum step step_read_body(struct rem_admin_conn *conn)
{
    const struct rem_admin_patience *patience = &conn->server->patience;
    uint64_t taken = conn->server->clock->mono_ms - conn->body_since;
    int rc = take_body(conn);

    if (rc == 0) {
        hand_over(conn);
        return STEP_NEXT;
    }
    if (rc != REM_EAGAIN) {
        fail(conn, rem_err_status(rc));
        return STEP_NEXT;
    }
    if (fill(conn)) {
        arm(conn, patience->body);
        return STEP_NEXT;
    }
    if (conn->expired || taken > patience->whole)
        fail(conn, 408);
    else if (conn->eof)
        conn_goto(conn, STATE_CLOSED);
    else
        return STEP_WAIT;
    return STEP_NEXT;
}

static enum step step_answer(struct rem_admin_conn *conn)
{
    (void)conn;
    return STEP_WAIT;
}

/* Writes the answer's head to `out`. */
static void compose(struct rem_admin_conn *conn)
{
    const struct rem_api_response *response = &conn->call.response;
    struct rem_put put;

    if (conn->server->quitting)
        conn->keepalive = false;
    rem_put_init(&put, conn->out, sizeof(conn->out));
    rem_put_status_line(&put, (unsigned)response->status, REM_STR(""));
    REM_PUT_FIELD(&put, "Server", REM_STR("remora"));
    REM_PUT_FIELD(&put, "Date", rem_clock_http(conn->server->clock));
    if (response->content_type != NULL)
        REM_PUT_FIELD(&put, "Content-Type", rem_str_from(response->content_type));
    if (response->status != 204)
        rem_put_field_u64(&put, REM_STR("Content-Length"), response->body.n);
    if (response->has_etag) {
        REM_PUT(&put, "ETag: \"");
        rem_put_u64(&put, response->etag);
        REM_PUT(&put, "\"\r\n");
    }
    if (response->allow != NULL)
        REM_PUT_FIELD(&put, "Allow", rem_str_from(response->allow));
    REM_PUT_FIELD(&put, "Cache-Control", REM_STR("no-store"));
    REM_PUT_FIELD(&put, "Connection", conn->keepalive ? REM_STR("keep-alive") : REM_STR("close"));
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

/* The answer is out: what next? */
static void end_request(struct rem_admin_conn *conn)
{
    rem_api_response_reset(&conn->call.response);
    if (conn->body.size > INPUT_SIZE) { /* an idle connection holds no large buffers */
        rem_sbuf_fini(&conn->body);
        rem_sbuf_init(&conn->body);
    }
    rem_api_response_fini(&conn->call.response);
    rem_api_response_init(&conn->call.response);
    conn->call.request = (struct rem_api_request){0};
    rem_arena_reset(&conn->arena);
    rem_h1_request_init(&conn->head, &limits, &conn->arena);
    conn->out_n = 0;
    if (conn->keepalive) {
        conn_goto(conn, STATE_READ_HEAD);
        if (conn->in_n != 0)
            arm(conn, conn->server->patience.head);
    } else if (conn->linger && !conn->eof) {
        (void)shutdown(conn->fd, SHUT_WR);
        conn->in_n = 0;
        conn->body_left = LINGER_MAX;
        conn_goto(conn, STATE_LINGER);
    } else {
        conn_goto(conn, STATE_CLOSED);
        return;
    }
    (void)event_add(conn->readable, NULL);
}

static enum step step_write(struct rem_admin_conn *conn)
{
    struct rem_api_response *response = &conn->call.response;
    struct rem_str body = rem_sbuf_str(&response->body);
    struct iovec iov[2];
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    size_t from;
    ssize_t n;

    if (conn->out_n == 0)
        compose(conn);
    if (conn->head.method == REM_METHOD_HEAD || response->status == 204)
        body.n = 0;
    if (conn->sent == conn->out_n + body.n) {
        end_request(conn);
        return STEP_NEXT;
    }
    if (conn->expired && !client_reads(conn)) {
        conn_goto(conn, STATE_CLOSED);
        return STEP_NEXT;
    }
    if (conn->expired)
        arm(conn, conn->server->patience.body);
    from = conn->sent < conn->out_n ? conn->sent : conn->out_n;
    iov[0] = (struct iovec){conn->out + from, conn->out_n - from};
    from = conn->sent - from;
    iov[1] = (struct iovec){body.n != 0 ? response->body.p + from : NULL, body.n - from};
    n = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    if (n >= 0) {
        conn->sent += (size_t)n;
        conn->unread = INT_MAX;
        arm(conn, conn->server->patience.body);
        return STEP_NEXT;
    }
    if (errno == EINTR)
        return STEP_NEXT;
    if (errno == EAGAIN && event_add(conn->writable, NULL) == 0) {
        (void)event_del(conn->readable);
        return STEP_WAIT;
    }
    conn_goto(conn, STATE_CLOSED);
    return STEP_NEXT;
}

static enum step step_linger(struct rem_admin_conn *conn)
{
    while (!conn->expired && fill(conn)) {
        if (conn->body_left <= conn->in_n) {
            conn->eof = true;
            break;
        }
        conn->body_left -= conn->in_n;
        conn->in_n = 0;
    }
    if (!conn->eof && !conn->expired)
        return STEP_WAIT;
    conn_goto(conn, STATE_CLOSED);
    return STEP_NEXT;
}

/* ---- from outside ---- */

void rem_admin_call_reply(struct rem_admin_call *call)
{
    struct rem_admin_conn *conn = REM_CONTAINER(call, struct rem_admin_conn, call);

    REM_CHECK_OBJ(conn, CONN_MAGIC);
    REM_CHECK(conn->state == STATE_ANSWER);
    if (call->response.body.failed) {
        struct rem_admin_handler *handler = &conn->server->handler;
        rem_sbuf_fini(&call->response.body);
        rem_api_response_init(&call->response);
        handler->on_error(handler->data, &call->request, 500, &call->response);
    }
    conn_goto(conn, STATE_WRITE);
    conn->out_n = 0;
    if (!conn->driving) {
        conn->budget = REQUESTS_PER_TURN;
        drive(conn);
    }
}

void rem_admin_conn_refuse(struct rem_admin_server *server, int fd)
{
    struct rem_api_response response;
    char head[256];
    struct iovec iov[2];
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    int n;

    rem_api_response_init(&response);
    server->handler.on_error(server->handler.data, &(struct rem_api_request){0}, 503, &response);
    n = snprintf(head, sizeof(head),
                 "HTTP/1.1 503 Service Unavailable\r\nServer: remora\r\nContent-Type: %s\r\n"
                 "Content-Length: %zu\r\nRetry-After: 1\r\nConnection: close\r\n\r\n",
                 response.content_type, response.body.n);
    iov[0] = (struct iovec){head, (size_t)n};
    iov[1] = (struct iovec){response.body.p, response.body.n};
    (void)!sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(fd, SHUT_WR);
    /* Unread input would turn the close into a reset that may overtake the answer. */
    (void)!recv(fd, head, sizeof(head), MSG_DONTWAIT);
    close(fd);
    rem_api_response_fini(&response);
}
