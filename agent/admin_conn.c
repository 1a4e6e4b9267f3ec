/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/admin_conn_priv.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* A pipelining client lets others have their turn after so many. */
enum { REQUESTS_PER_TURN = 64 };

/* An answer not written after so long may be that of a client that does not read. */
enum { SLOW_MS = 1000 };

static enum rem_admin_step step_answer(struct rem_admin_conn *conn);

static const struct conn_step {
    const char *name;
    enum rem_admin_step (*run)(struct rem_admin_conn *conn);
    unsigned next; /* bits of the states that may follow */
} steps[REM_ADMIN_STATES] = {
    [REM_ADMIN_READ_HEAD] = {"read head", rem_admin_conn_read_head,
                             1 << REM_ADMIN_READ_BODY | 1 << REM_ADMIN_WRITE |
                                 1 << REM_ADMIN_CLOSED},
    [REM_ADMIN_READ_BODY] = {"read body", rem_admin_conn_read_body,
                             1 << REM_ADMIN_ANSWER | 1 << REM_ADMIN_WRITE | 1 << REM_ADMIN_CLOSED},
    [REM_ADMIN_ANSWER] = {"answer", step_answer, 1 << REM_ADMIN_WRITE | 1 << REM_ADMIN_CLOSED},
    [REM_ADMIN_WRITE] = {"write", rem_admin_conn_write,
                         1 << REM_ADMIN_READ_HEAD | 1 << REM_ADMIN_STREAM | 1 << REM_ADMIN_LINGER |
                             1 << REM_ADMIN_CLOSED},
    [REM_ADMIN_STREAM] = {"stream", rem_admin_conn_stream, 1 << REM_ADMIN_CLOSED},
    [REM_ADMIN_LINGER] = {"linger", rem_admin_conn_linger, 1 << REM_ADMIN_CLOSED},
    [REM_ADMIN_CLOSED] = {"closed", NULL, 0},
};

static void set_timer(struct rem_admin_conn *conn, uint64_t ms)
{
    struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};

    if (evtimer_add(conn->timer, &tv) == 0)
        conn->fires_ms = conn->server->clock->mono_ms + ms;
}

/* A timer that is set fires too early rather than being set anew with every state. */
void rem_admin_conn_arm(struct rem_admin_conn *conn, uint32_t ms)
{
    conn->expired = false;
    conn->deadline_ms = ms != 0 ? conn->server->clock->mono_ms + ms : UINT64_MAX;
    if (conn->deadline_ms < conn->fires_ms)
        set_timer(conn, ms);
}

void rem_admin_conn_goto(struct rem_admin_conn *conn, enum rem_admin_state state)
{
    const struct rem_admin_patience *patience = &conn->server->patience;

    REM_CHECK(steps[conn->state].next & 1u << state);
    conn->state = state;
    conn->since_ms = conn->server->clock->mono_ms;
    switch (state) {
    case REM_ADMIN_READ_HEAD:
        rem_admin_conn_arm(conn, patience->idle);
        break;
    case REM_ADMIN_READ_BODY:
    case REM_ADMIN_WRITE:
        rem_admin_conn_arm(conn, patience->body);
        break;
    case REM_ADMIN_STREAM:
        rem_admin_conn_arm(conn, patience->stream);
        break;
    case REM_ADMIN_LINGER:
        rem_admin_conn_arm(conn, patience->linger);
        break;
    default:
        rem_admin_conn_arm(conn, 0);
    }
}

/* Answers come by rem_admin_call_reply; they are written when all calls under way have theirs. */
static enum rem_admin_step step_answer(struct rem_admin_conn *conn)
{
    if (rem_admin_conn_look_ahead(conn))
        return REM_ADMIN_NEXT;
    if (conn->open != 0)
        return REM_ADMIN_WAIT;
    rem_admin_conn_goto(conn, REM_ADMIN_WRITE);
    return REM_ADMIN_NEXT;
}

/* ---- exchanges ---- */

static struct rem_admin_exchange *exchange_at(struct rem_list *node)
{
    return REM_LIST_ENTRY(node, struct rem_admin_exchange, node);
}

/* Its answer is no longer held. */
static void uncount(struct rem_admin_exchange *x)
{
    x->conn->server->answers -= x->counted;
    x->counted = 0;
}

/* As it is before a request.  Whoever waits holds no large buffers. */
static void exchange_reset(struct rem_admin_exchange *x)
{
    uncount(x);
    if (x->body.size > REM_ADMIN_INPUT_SIZE)
        rem_sbuf_fini(&x->body);
    else
        rem_sbuf_clear(&x->body);
    rem_api_response_fini(&x->call.response);
    rem_api_response_init(&x->call.response);
    x->call.request = (struct rem_api_request){0};
    rem_arena_reset(&x->arena);
    x->answered = false;
}

static void exchange_free(struct rem_admin_exchange *x)
{
    uncount(x);
    rem_sbuf_fini(&x->body);
    rem_api_response_fini(&x->call.response);
    rem_arena_reset(&x->arena);
    free(x);
}

bool rem_admin_conn_make_exchange(struct rem_admin_conn *conn)
{
    struct rem_admin_exchange *x;

    if (conn->x != NULL)
        return true;
    x = calloc(1, sizeof(*x));
    if (x == NULL)
        return false;
    x->conn = conn;
    rem_list_init(&x->node);
    rem_list_init(&x->call.node);
    rem_sbuf_init(&x->body);
    rem_api_response_init(&x->call.response);
    rem_arena_init(&x->arena, NULL);
    conn->x = x;
    return true;
}

struct rem_admin_exchange *rem_admin_conn_first(const struct rem_admin_conn *conn)
{
    return exchange_at(conn->line.next);
}

void rem_admin_conn_enqueue(struct rem_admin_conn *conn, bool answered)
{
    struct rem_admin_exchange *x = conn->x;

    conn->x = NULL;
    x->method = conn->head.method;
    x->minor = conn->head.head.minor;
    x->answered = answered;
    rem_list_append(&conn->line, &x->node);
    conn->count++;
    conn->open += !answered;
}

void rem_admin_conn_drop(struct rem_admin_conn *conn)
{
    struct rem_admin_exchange *x = rem_admin_conn_first(conn);

    rem_list_remove(&x->node);
    conn->count--;
    if (conn->x != NULL) {
        exchange_free(x);
        return;
    }
    exchange_reset(x);
    conn->x = x;
}

/* Nobody is there any more to be answered. */
static void abandon(struct rem_admin_conn *conn)
{
    struct rem_admin_handler *handler = &conn->server->handler;

    while (!rem_list_empty(&conn->line)) {
        struct rem_admin_exchange *x = rem_admin_conn_first(conn);
        if (!x->answered)
            handler->on_abandon(handler->data, &x->call);
        rem_list_remove(&x->node);
        exchange_free(x);
    }
}

/* ---- life ---- */

static void conn_free(struct rem_admin_conn *conn)
{
    struct rem_admin_server *server = conn->server;

    rem_list_remove(&conn->node);
    if (!rem_list_empty(&conn->stream))
        server->stream_count--;
    rem_list_remove(&conn->stream);
    if (conn->readable != NULL)
        event_free(conn->readable);
    if (conn->writable != NULL)
        event_free(conn->writable);
    if (conn->timer != NULL)
        event_free(conn->timer);
    close(conn->fd);
    free(conn->in);
    abandon(conn);
    if (conn->x != NULL)
        exchange_free(conn->x);
    rem_sbuf_fini(&conn->batch);
    conn->magic = 0;
    if (conn->listener != NULL)
        conn->listener->connection_count--;
    server->connection_count--;
    free(conn);
}

/* Runs the steps until one has to wait; the one place that frees a connection. */
static void drive(struct rem_admin_conn *conn)
{
    enum rem_admin_step step = REM_ADMIN_NEXT;

    REM_CHECK_OBJ(conn, REM_ADMIN_CONN_MAGIC);
    conn->driving = true;
    while (step == REM_ADMIN_NEXT && conn->state != REM_ADMIN_CLOSED)
        step = steps[conn->state].run(conn);
    conn->driving = false;
    if (conn->state == REM_ADMIN_CLOSED)
        conn_free(conn);
}

static void on_io(evutil_socket_t fd, short what, void *data)
{
    struct rem_admin_conn *conn = data;

    (void)fd;
    if (what & EV_READ)
        conn->drained = false;
    if (conn->state == REM_ADMIN_ANSWER) { /* what arrives meanwhile stays in the socket */
        (void)event_del(conn->readable);
        return;
    }
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
    conn->fires_ms = UINT64_MAX;
    if (conn->deadline_ms > conn->server->clock->mono_ms) {
        if (conn->deadline_ms != UINT64_MAX)
            set_timer(conn, conn->deadline_ms - conn->server->clock->mono_ms);
        return;
    }
    conn->deadline_ms = UINT64_MAX;
    conn->expired = true;
    conn->drained = false;
    drive(conn);
}

int rem_admin_conn_new(struct rem_admin_listener_event *listener, int fd,
                       const struct rem_addr *peer)
{
    struct rem_admin_server *server = listener->server;
    struct rem_admin_conn *conn = calloc(1, sizeof(*conn));

    if (conn == NULL) {
        close(fd);
        return REM_ENOMEM;
    }
    conn->magic = REM_ADMIN_CONN_MAGIC;
    conn->fd = fd;
    conn->server = server;
    conn->listener = listener;
    conn->inlet = listener->inlet;
    conn->since_ms = server->clock->mono_ms;
    conn->fires_ms = conn->deadline_ms = UINT64_MAX;
    rem_admin_auth_meet(server->auth, fd, listener->role, peer, &conn->client);
    rem_list_init(&conn->node);
    rem_list_init(&conn->stream);
    rem_list_init(&conn->line);
    rem_sbuf_init(&conn->batch);
    listener->connection_count++;
    server->connection_count++;
    conn->readable = event_new(server->base, fd, EV_READ | EV_PERSIST, on_io, conn);
    conn->writable = event_new(server->base, fd, EV_WRITE, on_io, conn);
    conn->timer = evtimer_new(server->base, on_timer, conn);
    if (conn->readable == NULL || conn->writable == NULL || conn->timer == NULL ||
        !rem_admin_conn_make_exchange(conn) || event_add(conn->readable, NULL) != 0) {
        conn_free(conn);
        return REM_ENOMEM;
    }
    rem_h1_request_init(&conn->head, &rem_admin_conn_limits, &conn->x->arena);
    rem_list_append(&server->connections, &conn->node);
    rem_admin_conn_arm(conn, server->patience.idle);
    return 0;
}

struct rem_admin_conn *rem_admin_conn_at(struct rem_list *node)
{
    return REM_LIST_ENTRY(node, struct rem_admin_conn, node);
}

void rem_admin_conn_close(struct rem_admin_conn *conn)
{
    REM_CHECK_OBJ(conn, REM_ADMIN_CONN_MAGIC);
    conn_free(conn);
}

void rem_admin_conn_quit(struct rem_admin_conn *conn)
{
    REM_CHECK_OBJ(conn, REM_ADMIN_CONN_MAGIC);
    conn->listener = NULL;
    conn->keepalive = false;
    /* Whoever is about to send a request may have it in the socket already: the step reads once
     * more and closes only if nothing is there. */
    if ((conn->state == REM_ADMIN_READ_HEAD || conn->state == REM_ADMIN_STREAM) && !conn->driving) {
        conn->budget = 1;
        conn->drained = false;
        drive(conn);
    }
}

void rem_admin_conn_poke(struct rem_list *stream)
{
    struct rem_admin_conn *conn = REM_LIST_ENTRY(stream, struct rem_admin_conn, stream);

    REM_CHECK_OBJ(conn, REM_ADMIN_CONN_MAGIC);
    if (!conn->driving && conn->out_n == 0)
        drive(conn);
}

/* Whether the client keeps us waiting; an answer that it takes without a break is let be, and so
 * are streams, whose number is limited. */
static bool is_idle(const struct rem_admin_conn *conn)
{
    switch (conn->state) {
    case REM_ADMIN_ANSWER:
    case REM_ADMIN_STREAM:
    case REM_ADMIN_CLOSED:
        return false;
    case REM_ADMIN_WRITE:
        return conn->server->clock->mono_ms - conn->since_ms >= SLOW_MS;
    default:
        return !conn->driving;
    }
}

/* Of two that might give way to others: is it this one, rather than `victim` (NULL: none yet)? */
static bool goes_first(const struct rem_admin_conn *conn, const struct rem_admin_conn *victim)
{
    if (victim == NULL || conn->client.proven != victim->client.proven)
        return victim == NULL || !conn->client.proven;
    return conn->since_ms < victim->since_ms;
}

bool rem_admin_conn_make_room(struct rem_admin_server *server,
                              const struct rem_admin_listener_event *listener, uint64_t idle_ms)
{
    struct rem_admin_conn *victim = NULL;

    REM_LIST_EACH(node, &server->connections) {
        struct rem_admin_conn *conn = rem_admin_conn_at(node);

        if ((listener == NULL || conn->listener == listener) && is_idle(conn) &&
            server->clock->mono_ms - conn->since_ms >= idle_ms && goes_first(conn, victim))
            victim = conn;
    }
    if (victim == NULL)
        return false;
    rem_admin_conn_close(victim);
    return true;
}

/* ---- memory of answers ---- */

/* Who has had a large answer for the longest time and not read it yet; those that have shown a
 * token do not give way to one that has not. */
static struct rem_admin_conn *slowest_reader(const struct rem_admin_conn *client)
{
    struct rem_admin_conn *victim = NULL;

    REM_LIST_EACH(node, &client->server->connections) {
        struct rem_admin_conn *conn = rem_admin_conn_at(node);

        if (conn->state == REM_ADMIN_WRITE && is_idle(conn) && conn->count != 0 &&
            rem_admin_conn_first(conn)->counted > REM_ADMIN_ANSWER_SMALL &&
            conn->client.proven <= client->client.proven && goes_first(conn, victim))
            victim = conn;
    }
    return victim;
}

/* Whether an answer of that size may be held for a client, be it at the cost of those who do not
 * read theirs.  One is, however large it is. */
static bool has_memory(struct rem_admin_conn *conn, size_t size)
{
    struct rem_admin_server *server = conn->server;

    while (size > REM_ADMIN_ANSWER_SMALL && server->answers != 0 &&
           server->answers + size > REM_ADMIN_ANSWERS_MAX) {
        struct rem_admin_conn *victim = slowest_reader(conn);

        if (victim == NULL)
            return false;
        rem_admin_conn_close(victim);
    }
    return true;
}

/* Counts the answer.  Where there is no room, who only asked is told to come back; what a change
 * has come to is told all the same. */
static void count_answer(struct rem_admin_exchange *x)
{
    struct rem_admin_handler *handler = &x->conn->server->handler;
    struct rem_api_response *response = &x->call.response;

    if (!has_memory(x->conn, response->body.n) && !x->call.staged.is_change) {
        struct rem_api_request request = x->call.request;
        const struct rem_route *route = response->route;

        request.why = "other clients have not read their large answers yet";
        rem_sbuf_fini(&response->body);
        rem_api_response_init(response);
        response->route = route;
        handler->on_error(handler->data, &request, 503, response);
        response->retry_sec = 1;
    }
    x->counted = response->body.n;
    x->conn->server->answers += x->counted;
}

/* ---- from outside ---- */

void rem_admin_call_reply(struct rem_admin_call *call)
{
    struct rem_admin_exchange *x = REM_CONTAINER(call, struct rem_admin_exchange, call);
    struct rem_admin_conn *conn = x->conn;

    REM_CHECK_OBJ(conn, REM_ADMIN_CONN_MAGIC);
    REM_CHECK(conn->state == REM_ADMIN_ANSWER && !x->answered);
    if (call->response.body.failed) {
        struct rem_admin_handler *handler = &conn->server->handler;
        rem_sbuf_fini(&call->response.body);
        rem_api_response_init(&call->response);
        handler->on_error(handler->data, &call->request, 500, &call->response);
    }
    if (!call->response.streams)
        count_answer(x);
    conn->server->handler.on_answer(conn->server->handler.data, call);
    x->answered = true;
    conn->open--;
    if (!conn->driving && conn->open == 0) {
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
