/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/h1_server_priv.h"

#include "proxy/http/special.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { DRAIN_GRACE_MS = 10000 };

const struct rem_exchange_ops rem_h1_server_ops = {
    .name = "HTTP/1.1",
    .send_informational = h1_send_informational,
    .send_head = h1_send_head,
    .send_body = h1_send_body,
    .queued = h1_queued,
    .read_body = h1_read_body,
    .upgrade = h1_upgrade,
    .finish = h1_finish,
};

/* ---- states ---- */

/* Where each state may lead. */
static const uint16_t edges[REM_H1_IN_STATES] = {
    [REM_H1_IN_IDLE] = 1 << REM_H1_IN_HEAD | 1 << REM_H1_IN_CLOSED,
    [REM_H1_IN_HEAD] =
        1 << REM_H1_IN_IDLE | 1 << REM_H1_IN_BODY | 1 << REM_H1_IN_NEXT | 1 << REM_H1_IN_CLOSED,
    [REM_H1_IN_BODY] = 1 << REM_H1_IN_NEXT | 1 << REM_H1_IN_RAW | 1 << REM_H1_IN_DISCARD |
                       1 << REM_H1_IN_LINGER | 1 << REM_H1_IN_EBB | 1 << REM_H1_IN_CLOSED,
    [REM_H1_IN_NEXT] = 1 << REM_H1_IN_IDLE | 1 << REM_H1_IN_RAW | 1 << REM_H1_IN_LINGER |
                       1 << REM_H1_IN_EBB | 1 << REM_H1_IN_CLOSED,
    [REM_H1_IN_RAW] = 1 << REM_H1_IN_LINGER | 1 << REM_H1_IN_CLOSED,
    [REM_H1_IN_DISCARD] = 1 << REM_H1_IN_NEXT | 1 << REM_H1_IN_CLOSED,
    [REM_H1_IN_LINGER] = 1 << REM_H1_IN_CLOSED,
    [REM_H1_IN_EBB] = 1 << REM_H1_IN_CLOSED,
    [REM_H1_IN_CLOSED] = 0,
    [REM_H1_IN_PROXY] = 1 << REM_H1_IN_IDLE | 1 << REM_H1_IN_CLOSED,
};

/* The gauge that a connection in this state counts in; this worker alone writes it. */
static _Atomic int64_t *gauge(struct rem_shm_worker *counters, enum rem_h1_in in)
{
    switch (in) {
    case REM_H1_IN_IDLE:
    case REM_H1_IN_PROXY:
        return &counters->conn_waiting;
    case REM_H1_IN_HEAD:
        return &counters->conn_reading;
    case REM_H1_IN_CLOSED:
        return NULL;
    default:
        return &counters->conn_writing;
    }
}

/* The same for the connections of a listener; several workers may write it during a reload. */
static _Atomic int64_t *listener_gauge(struct rem_stat_listener_line *line, enum rem_h1_in in)
{
    switch (in) {
    case REM_H1_IN_IDLE:
    case REM_H1_IN_PROXY:
        return &line->idle;
    case REM_H1_IN_CLOSED:
        return NULL;
    default:
        return &line->active;
    }
}

void h1_count_rejected(const struct rem_listener *listener, enum rem_reject_reason reason)
{
    struct rem_stat_listener_line *line = listener->stat != NULL ? listener->stat->line : NULL;

    if (line != NULL)
        atomic_fetch_add_explicit(&line->rejected[reason], 1, memory_order_relaxed);
}

/* From CLOSED: a connection begins. */
static void count_on_listener(const struct rem_h1_client *client, enum rem_h1_in from,
                              enum rem_h1_in to)
{
    const struct rem_stat_spec *stat = client->listener->stat;
    struct rem_stat_listener_line *line = stat != NULL ? stat->line : NULL;
    _Atomic int64_t *less, *more;

    if (line == NULL)
        return;
    less = listener_gauge(line, from);
    more = listener_gauge(line, to);
    if (less == more)
        return;
    if (less != NULL)
        atomic_fetch_sub_explicit(less, 1, memory_order_relaxed);
    if (more != NULL)
        atomic_fetch_add_explicit(more, 1, memory_order_relaxed);
}

static void add(_Atomic int64_t *to, int64_t change)
{
    if (to != NULL)
        atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + change,
                              memory_order_relaxed);
}

void h1_goto(struct rem_h1_client *client, enum rem_h1_in next)
{
    struct rem_shm_worker *counters = client->worker->counters;

    REM_CHECK((edges[client->in] & (1u << next)) != 0);
    if (counters != NULL) {
        _Atomic int64_t *from = gauge(counters, client->in);
        _Atomic int64_t *to = gauge(counters, next);

        if (from != to) {
            add(from, -1);
            add(to, 1);
        }
    }
    count_on_listener(client, client->in, next);
    client->in = (uint8_t)next;
}

/* ---- events ---- */

void h1_wake(struct rem_h1_client *client)
{
    rem_loop_post(&client->worker->loop, &client->wake);
}

/* A client that has closed its side while its answer is being made has, most of the time, gone;
 * what that means is for the request to say.  Bytes that wait to be read say it has not, yet.  A
 * reset looks like bytes until they are asked for. */
static void check_hangup(struct rem_h1_client *client)
{
    struct rem_h1_exchange *x = client->x;
    struct rem_conn *conn = &client->conn;
    ssize_t n;
    char peek;

    if (x == NULL || x->gone || x->hangup_told || client->in != REM_H1_IN_NEXT ||
        !(conn->hangup || conn->readable) || x->pos != x->last ||
        x->request->on_client_gone == NULL)
        return;
    n = recv(conn->fd, &peek, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        conn->error = true;
        h1_gone(x);
    } else if (n == 0) {
        x->hangup_told = true;
        x->request->on_client_gone(x->request);
    }
}

static void run_output(struct rem_h1_client *client)
{
    struct rem_h1_exchange *x = client->x;

    if (x == NULL || x->gone || x->out == NULL || !client->conn.writable)
        return;
    h1_flush(x);
    if (x->gone)
        h1_gone(x);
    else if (x->queued < REM_H1_WATERMARK)
        rem_request_writable(x->request);
}

static void run_input(struct rem_h1_client *client)
{
    struct rem_h1_exchange *x = client->x;

    switch ((enum rem_h1_in)client->in) {
    case REM_H1_IN_PROXY:
        h1_read_proxy(client);
        break;
    case REM_H1_IN_IDLE:
    case REM_H1_IN_HEAD:
        h1_read_head(client);
        break;
    case REM_H1_IN_BODY:
    case REM_H1_IN_RAW:
        if (x->request->on_body != NULL && (client->conn.readable || x->in_error != REM_OK))
            x->request->on_body(x->request);
        break;
    case REM_H1_IN_DISCARD:
        h1_discard(client);
        break;
    case REM_H1_IN_LINGER:
        h1_linger(client);
        break;
    case REM_H1_IN_EBB:
        h1_ebb(client);
        break;
    default:
        break;
    }
}

/* Whether the next of several pipelined requests can be looked at right now. */
static bool has_next(const struct rem_h1_client *client)
{
    return client->in == REM_H1_IN_IDLE && (client->left != NULL || client->conn.readable);
}

static void run(struct rem_h1_client *client)
{
    unsigned n = 0;

    if (client->running || client->in == REM_H1_IN_CLOSED)
        return;
    client->running = true;
    client->reads = REM_H1_READS;
    if (client->conn.error && client->x != NULL && !client->x->gone &&
        client->in != REM_H1_IN_HEAD && client->in != REM_H1_IN_DISCARD)
        h1_gone(client->x);
    run_output(client);
    do {
        run_input(client);
        check_hangup(client);
    } while (has_next(client) && ++n < REM_H1_PIPELINE_MAX);
    client->running = false;
    if (has_next(client))
        h1_wake(client);
}

static void on_event(struct rem_conn *conn)
{
    run(REM_CONTAINER(conn, struct rem_h1_client, conn));
}

static void on_wake(struct rem_post *post)
{
    run(REM_CONTAINER(post, struct rem_h1_client, wake));
}

/* ---- timers ---- */

void h1_set_timer(struct rem_h1_client *client, int64_t delay_ms)
{
    rem_timer_set(&client->worker->loop.timers, &client->conn.timer,
                  delay_ms > 0 ? (uint64_t)delay_ms : 1);
}

void h1_arm_exchange(struct rem_h1_exchange *x)
{
    uint64_t now = x->client->worker->loop.clock.mono_ms;
    uint64_t due = x->send_due_ms;

    if (due == 0 || (x->body_due_ms != 0 && x->body_due_ms < due))
        due = x->body_due_ms;
    if (due == 0 || (x->rate_due_ms != 0 && x->rate_due_ms < due))
        due = x->rate_due_ms;
    if (due != 0)
        h1_set_timer(x->client, due > now ? (int64_t)(due - now) : 1);
}

/* The timer of an exchange may fire for a moment that has been put off, or for none. */
static void exchange_timeout(struct rem_h1_client *client)
{
    struct rem_h1_exchange *x = client->x;
    uint64_t now = client->worker->loop.clock.mono_ms;

    if (x->send_due_ms != 0 && now >= x->send_due_ms) {
        REM_LOG_IN(&x->request->log, REM_LOG_INFO, ETIMEDOUT, "client timed out");
        x->timed_out = true;
        x->send_due_ms = 0;
        x->gone = true;
        h1_drop_queue(x);
        h1_gone(x);
        return;
    }
    if (x->body_due_ms != 0 && now >= x->body_due_ms) {
        REM_LOG_IN(&x->request->log, REM_LOG_INFO, ETIMEDOUT, "client timed out");
        x->timed_out = true;
        x->body_due_ms = 0;
        x->in_error = REM_ETIMEOUT;
        run(client);
        return;
    }
    if (x->rate_due_ms != 0 && now >= x->rate_due_ms) {
        x->rate_due_ms = 0;
        run(client);
        return;
    }
    h1_arm_exchange(x);
}

static void on_timer(struct rem_timer *timer)
{
    struct rem_h1_client *client =
        REM_CONTAINER(REM_CONTAINER(timer, struct rem_conn, timer), struct rem_h1_client, conn);

    switch ((enum rem_h1_in)client->in) {
    case REM_H1_IN_PROXY:
    case REM_H1_IN_IDLE:
    case REM_H1_IN_DISCARD:
    case REM_H1_IN_LINGER:
        h1_close(client);
        break;
    case REM_H1_IN_EBB:
        h1_ebb(client);
        break;
    case REM_H1_IN_HEAD:
        h1_head_timeout(client);
        break;
    case REM_H1_IN_CLOSED:
        break;
    default:
        exchange_timeout(client);
        break;
    }
}

/* ---- accepting and draining ---- */

static void on_free(struct rem_post *post)
{
    struct rem_h1_client *client = REM_CONTAINER(post, struct rem_h1_client, free);

    free(client->proxied);
    free(client);
}

void rem_h1_server_accept(struct rem_worker *worker, struct rem_listener *listener, int fd,
                          const struct rem_addr *peer)
{
    struct rem_h1_client *client = calloc(1, sizeof(*client));
    const struct rem_http_server_conf *server;

    if (client == NULL) {
        REM_LOG(worker->loop.log, REM_LOG_ALERT, ENOMEM, "no memory for a client connection");
        h1_count_rejected(listener, REM_REJECT_CONNECTIONS);
        close(fd);
        rem_worker_released(worker);
        return;
    }
    client->worker = worker;
    client->listener = listener;
    client->peer = *peer;
    client->accepted_ms = worker->loop.clock.mono_ms;
    client->address = rem_core_address(listener, fd);
    client->in = client->address->proxy_protocol ? REM_H1_IN_PROXY : REM_H1_IN_IDLE;
    rem_post_init(&client->wake, on_wake);
    rem_post_init(&client->free, on_free);
    rem_timer_init(&client->conn.timer, on_timer);
    client->conn.number = ++worker->next_number;
    if (rem_conn_open(&client->conn, &worker->loop, fd, true, on_event) != REM_OK) {
        free(client);
        h1_count_rejected(listener, REM_REJECT_OTHER);
        rem_worker_released(worker);
        return;
    }
    rem_list_append(&worker->clients, &client->node);
    if (worker->counters != NULL)
        add(gauge(worker->counters, REM_H1_IN_IDLE), 1);
    count_on_listener(client, REM_H1_IN_CLOSED, REM_H1_IN_IDLE);
    server = client->address->fallback;
    h1_set_timer(client, server->client_header_timeout);
}

void rem_h1_server_drain(struct rem_worker *worker)
{
    uint64_t now = worker->loop.clock.mono_ms;

    REM_LIST_EACH(node, &worker->clients) {
        struct rem_h1_client *client = REM_LIST_ENTRY(node, struct rem_h1_client, node);

        if ((client->in == REM_H1_IN_IDLE || client->in == REM_H1_IN_PROXY) &&
            client->conn.timer.due_ms > now + DRAIN_GRACE_MS)
            h1_set_timer(client, DRAIN_GRACE_MS);
    }
}

void rem_h1_server_abort_all(struct rem_worker *worker)
{
    REM_LIST_EACH(node, &worker->clients) {
        struct rem_h1_client *client = REM_LIST_ENTRY(node, struct rem_h1_client, node);

        if (client->x != NULL && client->in != REM_H1_IN_HEAD && client->in != REM_H1_IN_DISCARD)
            h1_gone(client->x);
        if (client->x != NULL && client->in != REM_H1_IN_HEAD && client->in != REM_H1_IN_DISCARD)
            rem_request_finalize(client->x->request, REM_HTTP_ERROR);
        h1_close(client);
    }
}

uint32_t rem_h1_server_reclaim(struct rem_worker *worker, uint32_t n)
{
    uint32_t closed = 0;

    REM_LIST_EACH(node, &worker->clients) {
        struct rem_h1_client *client = REM_LIST_ENTRY(node, struct rem_h1_client, node);

        if (closed == n)
            break;
        /* One that has not asked for anything yet, or whose request is here, is not idle. */
        if (client->in != REM_H1_IN_IDLE || client->requests == 0 || client->left != NULL ||
            client->conn.readable)
            continue;
        h1_close(client);
        closed++;
    }
    return closed;
}
