/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/h1_server_priv.h"

#include "proxy/http/special.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

enum { LINGER_READS = 16, DRAIN_GRACE_MS = 10000, EBB_STEP_MS = 20 };

/* ---- closing ---- */

void h1_close(struct rem_h1_client *client)
{
    struct rem_h1_exchange *x = client->x;

    if (client->in == REM_H1_IN_CLOSED)
        return;
    client->x = NULL;
    if (x != NULL) { /* a head that never came whole, or a body that nobody waits for */
        h1_drop_queue(x);
        if (x->request->held)
            rem_request_release(x->request);
        else
            rem_request_drop(x->request);
    }
    h1_block_put(client->worker, client->left);
    client->left = NULL;
    h1_goto(client, REM_H1_IN_CLOSED);
    rem_post_cancel(&client->wake);
    rem_list_remove(&client->node);
    rem_conn_close(&client->conn);
    rem_loop_defer(&client->worker->loop, &client->free);
    rem_worker_released(client->worker);
}

/* Closes with a reset, so that nothing of a client that did not keep up stays in the kernel. */
static void close_hard(struct rem_h1_client *client)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    setsockopt(client->conn.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    h1_close(client);
}

/* ---- lingering ---- */

/* How long the client may stay silent now; not positive: its time is up. */
static int64_t linger_left(const struct rem_h1_client *client)
{
    uint64_t now = client->worker->loop.clock.mono_ms;
    int64_t left = (int64_t)(client->linger_until_ms - now);

    if (client->linger_until_ms <= now)
        return 0;
    return left < client->loc->lingering_timeout ? left : client->loc->lingering_timeout;
}

static void start_lingering(struct rem_h1_client *client)
{
    client->linger_until_ms =
        client->worker->loop.clock.mono_ms + (uint64_t)client->loc->lingering_time;
}

void h1_linger(struct rem_h1_client *client)
{
    struct rem_block_pool *pool = &client->worker->large;
    char *block = NULL;
    ssize_t n = REM_EAGAIN;
    int64_t left = linger_left(client);

    if (client->conn.readable && left > 0) {
        block = rem_block_get(pool);
        if (block == NULL) {
            h1_close(client);
            return;
        }
        for (int i = 0; i < LINGER_READS; i++) {
            n = rem_conn_recv(&client->conn, block, pool->block_size);
            if (n < 0 || !client->conn.readable)
                break;
        }
        rem_block_put(pool, block);
    }
    if (left <= 0 || (n < 0 && n != REM_EAGAIN)) {
        h1_close(client);
        return;
    }
    h1_set_timer(client, left);
    if (client->conn.readable)
        h1_wake(client);
}

/* A reset takes away what the client has not been sent yet, so it waits for that. */
void h1_ebb(struct rem_h1_client *client)
{
    int unsent = 0;

    if (client->conn.error || linger_left(client) <= 0 ||
        ioctl(client->conn.fd, SIOCOUTQ, &unsent) != 0 || unsent == 0)
        close_hard(client);
    else
        h1_set_timer(client, EBB_STEP_MS);
}

/* The client would have gone on with this connection; its next request may be on its way. */
static bool stopped_by_us(const struct rem_h1_client *client, const struct rem_h1_exchange *x)
{
    return client->worker->draining && x->request->keepalive;
}

/* Whether bytes may be on their way for which closing now would mean a reset, which can take the
 * answer away from a client that has not read it yet. */
static bool must_linger(const struct rem_h1_client *client, const struct rem_h1_exchange *x)
{
    const struct rem_conn *conn = &client->conn;

    if (conn->error || (conn->hangup && !conn->readable))
        return false;
    if (client->loc->lingering_close == REM_LINGERING_ALWAYS)
        return true;
    return client->loc->lingering_close == REM_LINGERING_ON &&
           (client->pipelined || stopped_by_us(client, x) || x->request->lingering ||
            client->in == REM_H1_IN_BODY || x->pos != x->last || conn->readable);
}

static void end_connection(struct rem_h1_client *client, struct rem_h1_exchange *x)
{
    if (x->in_error == REM_ECLOSED || !must_linger(client, x)) {
        h1_close(client);
        return;
    }
    if (!x->shut)
        shutdown(client->conn.fd, SHUT_WR);
    h1_goto(client, REM_H1_IN_LINGER);
    start_lingering(client);
    h1_linger(client);
}

/* ---- from one request to the next ---- */

static void next_request(struct rem_h1_client *client, struct rem_h1_exchange *x)
{
    int64_t wait = client->loc->keepalive_timeout;

    client->x = NULL;
    if (x->pos != x->last) {
        x->in->refs++;
        client->left = x->in;
        client->left_pos = x->pos;
        client->left_last = x->last;
        client->pipelined = true;
    }
    if (client->worker->draining && wait > DRAIN_GRACE_MS)
        wait = DRAIN_GRACE_MS;
    h1_goto(client, REM_H1_IN_IDLE);
    h1_set_timer(client, wait);
    if (!client->running && (client->left != NULL || client->conn.readable))
        h1_wake(client);
}

void h1_discard(struct rem_h1_client *client)
{
    struct rem_h1_exchange *x = client->x;
    struct rem_request *request = x->request;
    int rc = h1_body_drop(x);

    if (rc == REM_OK) {
        next_request(client, x);
        rem_request_release(request);
    } else if (rc != REM_EAGAIN || linger_left(client) <= 0) {
        h1_close(client);
    } else {
        h1_set_timer(client, linger_left(client));
    }
}

/* The answer is out and the connection is kept: what is left of the body must go first. */
static void after_answer(struct rem_h1_client *client, struct rem_h1_exchange *x)
{
    int rc = h1_body_drop(x);

    if (rc == REM_OK) {
        next_request(client, x);
    } else if (rc == REM_EAGAIN) {
        client->x = x;
        x->request->held = true;
        h1_goto(client, REM_H1_IN_DISCARD);
        start_lingering(client);
        h1_set_timer(client, linger_left(client));
    } else {
        end_connection(client, x);
    }
}

static void count_received(const struct rem_request *request)
{
    struct rem_shm_worker *counters = request->worker->counters;

    if (counters != NULL)
        atomic_store_explicit(&counters->received,
                              atomic_load_explicit(&counters->received, memory_order_relaxed) +
                                  request->received,
                              memory_order_relaxed);
}

/* Ends the connection in the middle of an answer.  Where its framing does not tell the client, a
 * reset does; elsewhere a reset could take earlier answers away that it has not read yet. */
static void break_off(struct rem_h1_client *client, struct rem_h1_exchange *x)
{
    const struct rem_request *request = x->request;

    if (x->gone || x->timed_out || request->client_gone || !request->response.head_sent)
        h1_close(client);
    else if (x->mode == REM_H1_OUT_UNTIL_CLOSE) {
        h1_goto(client, REM_H1_IN_EBB);
        start_lingering(client);
        h1_ebb(client);
    } else
        end_connection(client, x);
}

void h1_finish(struct rem_request *request, bool abort)
{
    struct rem_h1_exchange *x = request->codec;
    struct rem_h1_client *client = x->client;
    bool reset = client->loc->reset_timedout_connection &&
                 (x->timed_out || request->response.status == REM_STATUS_CLOSE);

    client->x = NULL;
    h1_drop_queue(x);
    count_received(request);
    x->body_due_ms = 0;
    x->send_due_ms = 0;
    x->rate_due_ms = 0;
    if (abort || x->gone) {
        if (reset)
            close_hard(client);
        else
            break_off(client, x);
    } else if (!x->keep || !request->keepalive || client->in == REM_H1_IN_RAW) {
        end_connection(client, x);
    } else {
        after_answer(client, x);
    }
}

void h1_gone(struct rem_h1_exchange *x)
{
    struct rem_request *request = x->request;

    x->gone = true;
    request->client_gone = true;
    h1_drop_queue(x);
    if (request->on_client_gone != NULL)
        request->on_client_gone(request);
    else
        rem_request_finalize(request, REM_STATUS_CLIENT_CLOSED);
}
