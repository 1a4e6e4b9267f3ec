/* SPDX-License-Identifier: Apache-2.0 */
/* steps.c - an exchange from its beginning to the sent request: init, pick, connect, send; and what
 * happens when a try fails. */
#include "proxy/http/body.h"
#include "proxy/upstream/bind.h"
#include "proxy/upstream/limits.h"
#include "proxy/upstream/next.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/queue.h"
#include "proxy/upstream/record.h"
#include "proxy/upstream/upstream_priv.h"

#include <errno.h>

/* ---- init ---- */

enum rem_upstream_step rem_step_init(struct rem_upstream_exchange *x)
{
    struct rem_request *request = x->request;
    int rc;

    if (x->client_gone)
        return rem_upstream_end(x, 499);
    if (request->has_body && x->policy->pass_body && !x->upload.streamed &&
        !(request->body != NULL && request->body->complete))
        return REM_STEP_WAIT;
    rc = x->protocol->create_request(x);
    if (rc != 0)
        return rem_upstream_end(x, rc > 0 ? rc : 500);
    if (x->policy->bind != NULL) {
        struct rem_upstream_local *local = rem_arena_alloc(&request->arena, sizeof(*local));

        if (local == NULL || rem_bind_eval(request, x->policy->bind, local) != 0)
            return rem_upstream_end(x, 500);
        x->local = local;
    }
    rem_upstream_goto(x, x->resolve != NULL ? REM_UPSTREAM_RESOLVE : REM_UPSTREAM_PICK);
    return REM_STEP_NEXT;
}

/* ---- pick ---- */

/* Variables show the upstream's name, and our status, where no server was asked. */
static enum rem_upstream_step end_unasked(struct rem_upstream_exchange *x, int status)
{
    x->outcome = REM_OUTCOME_NEUTRAL;
    if (!x->try_open && rem_record_try(x) == 0) {
        x->current->status = status;
        x->current->response_ms = 0;
        x->try_open = false;
    }
    return rem_upstream_end(x, status);
}

static enum rem_upstream_step pick_failed(struct rem_upstream_exchange *x, int rc)
{
    if (rc == REM_ENOMEM)
        return rem_upstream_end(x, 500);
    x->addr_text = x->group != NULL ? x->group->ref.name : x->addr_text;
    rem_record_log(x, REM_LOG_ERROR, 0, "no live upstreams", "connecting to upstream");
    return end_unasked(x, 502);
}

/* One of the upstream's `limits` is reached: at once 503, so that nobody waits behind it. */
static enum rem_upstream_step limit_reached(struct rem_upstream_exchange *x,
                                            enum rem_overflow which)
{
    if (!x->try_open)
        x->addr_text = x->group->ref.name;
    rem_record_log(x, REM_LOG_ERROR, 0, rem_limits_text(which), "connecting to upstream");
    if (x->try_open)
        x->current->status = 503;
    return end_unasked(x, 503);
}

/* Gives the exchange a server, unless one was picked when the last try failed.
 * Returns: REM_STEP_NEXT with x->try_open, or else what becomes of the exchange. */
static enum rem_upstream_step choose_server(struct rem_upstream_exchange *x)
{
    int rc = 0;

    if (x->client_gone)
        return rem_upstream_end(x, 499);
    if (!rem_limits_enter(x))
        return limit_reached(x, REM_OVERFLOW_REQUESTS);
    if (!x->picked)
        rc = x->group != NULL && rem_queue_is_behind(x) ? REM_EBUSY : rem_next_pick(x);
    if (rc == REM_EBUSY && rem_queue_wait(x))
        return rem_limits_wait(x) ? REM_STEP_WAIT : limit_reached(x, REM_OVERFLOW_PENDING);
    rem_queue_leave(x);
    if (rc != 0)
        return pick_failed(x, rc);
    x->picked = false;
    x->fresh = false;
    rc = rem_record_try(x);
    if (rc != 0) {
        rem_record_give_up(x);
        return rem_upstream_end(x, 500);
    }
    return REM_STEP_NEXT;
}

static void peer_attach(struct rem_upstream_exchange *x)
{
    x->peer->exchange = x;
    x->peer->requests++;
    x->received_base = x->peer->conn.received;
    x->armed = false;
}

enum rem_upstream_step rem_step_pick(struct rem_upstream_exchange *x)
{
    int rc;

    if (!x->try_open) {
        enum rem_upstream_step step = choose_server(x);
        if (step != REM_STEP_NEXT || x->state != REM_UPSTREAM_PICK)
            return step;
    }
    x->status = 0;
    x->fields = NULL;
    x->trailers = NULL;
    x->reusable = false;
    x->outcome = REM_OUTCOME_NEUTRAL;
    rem_relay_reset(x);
    rc = x->protocol->reinit_request(x);
    if (rc != 0)
        return rem_upstream_end(x, 500);
    if (!x->fresh && x->keepalive.connections != 0 && x->key != 0)
        x->peer = rem_pool_get(x->request->worker->upstreams, x->key);
    if (x->peer == NULL) {
        rem_upstream_goto(x, REM_UPSTREAM_CONNECT);
        return REM_STEP_NEXT;
    }
    peer_attach(x);
    rem_limits_waited(x);
    rem_record_connected(x);
    if (rem_next_line(x) != NULL)
        rem_upstream_count(&rem_next_line(x)->reused);
    if (rem_upload_start(x) != 0)
        return rem_upstream_end(x, 500);
    rem_upstream_goto(x, REM_UPSTREAM_SEND);
    return REM_STEP_NEXT;
}

/* ---- connect ---- */

static enum rem_upstream_step connect_failed(struct rem_upstream_exchange *x, int reason)
{
    rem_record_log(x, REM_LOG_ERROR, reason, "connect() failed", "connecting to upstream");
    return rem_upstream_fail(x, REM_FAULT_ERROR);
}

/* The system says so at once: of a server that is away an error, of a path that is not there, or
 * not ours to use, something to be looked at here. */
static enum rem_upstream_step connect_refused(struct rem_upstream_exchange *x, int reason)
{
    bool away = reason == ECONNREFUSED || reason == ECONNRESET || reason == ENETDOWN ||
                reason == ENETUNREACH || reason == EHOSTDOWN || reason == EHOSTUNREACH;
    struct rem_str what =
        rem_arena_printf(&x->request->arena, "connect() to %.*s failed", REM_STR_ARG(x->addr_text));

    rem_record_log(x, away ? REM_LOG_ERROR : REM_LOG_CRIT, reason,
                   what.p != NULL ? what.p : "connect() failed", "connecting to upstream");
    return rem_upstream_fail(x, REM_FAULT_ERROR);
}

static enum rem_upstream_step connect_open(struct rem_upstream_exchange *x)
{
    int rc;

    if (!rem_limits_wait(x))
        return limit_reached(x, REM_OVERFLOW_PENDING);
    if (!rem_limits_connect(x))
        return limit_reached(x, REM_OVERFLOW_CONNECTIONS);
    rc = rem_pool_open(x->request->worker->upstreams, &x->addr, x->local, x->key,
                       x->policy->socket_keepalive != 0, &x->peer);
    if (rc != 0)
        rem_limits_unopened(x);
    if (rc == REM_EACCES) { /* no server would be reached from there */
        rem_record_log(x, REM_LOG_CRIT, errno, "bind() failed", "connecting to upstream");
        return rem_upstream_end(x, 500);
    }
    if (rc == REM_EIO)
        return connect_refused(x, errno);
    if (rc == REM_EFULL)
        rem_record_log(x, REM_LOG_CRIT, errno, "socket() failed", "connecting to upstream");
    if (rc != 0) /* our own limits: another server would not help */
        return rem_upstream_end(x, rc == REM_EBUSY ? 503 : 500);
    peer_attach(x);
    if (x->group != NULL)
        rem_limits_opened(x);
    if (rem_next_line(x) != NULL)
        rem_upstream_count(&rem_next_line(x)->opened);
    return x->peer->connected ? REM_STEP_NEXT : REM_STEP_WAIT;
}

enum rem_upstream_step rem_step_connect(struct rem_upstream_exchange *x)
{
    struct rem_conn *conn;
    int reason;

    if (x->client_gone)
        return rem_upstream_end(x, 499);
    if (x->peer == NULL)
        return connect_open(x);
    conn = &x->peer->conn;
    if (!x->peer->connected) {
        if (!conn->writable && !conn->hangup && !conn->error) {
            if (!x->timed_out)
                return REM_STEP_WAIT;
            rem_record_log(x, REM_LOG_ERROR, ETIMEDOUT, "upstream timed out",
                           "connecting to upstream");
            return rem_upstream_fail(x, REM_FAULT_TIMEOUT);
        }
        reason = rem_conn_connect_error(conn);
        if (reason != 0)
            return connect_failed(x, reason);
        x->peer->connected = true;
    }
    rem_limits_waited(x);
    rem_record_connected(x);
    if (rem_upload_start(x) != 0)
        return rem_upstream_end(x, 500);
    rem_upstream_goto(x, REM_UPSTREAM_SEND);
    return REM_STEP_NEXT;
}

/* ---- send ---- */

enum rem_upstream_step rem_step_send(struct rem_upstream_exchange *x)
{
    struct rem_conn *conn = &x->peer->conn;
    int rc;

    if (x->client_gone)
        return rem_upstream_end(x, 499);
    rc = rem_upload_pump(x);
    if (rc > 0)
        return rem_upstream_end(x, rc);
    if (rc == REM_ENOMEM)
        return rem_upstream_end(x, 500);
    if (rc == REM_EAGAIN && !conn->readable) {
        if (!x->timed_out)
            return REM_STEP_WAIT;
        rem_record_log(x, REM_LOG_ERROR, ETIMEDOUT, "upstream timed out", rem_record_doing(x));
        return rem_upstream_fail(x, REM_FAULT_TIMEOUT);
    }
    /* A server that takes no more may have answered why: the read tells. */
    if (rc != 0 && rc != REM_EAGAIN)
        conn->readable = true;
    rem_upstream_goto(x, REM_UPSTREAM_READ_HEAD);
    return REM_STEP_NEXT;
}

/* ---- failure ---- */

enum rem_upstream_step rem_upstream_fail(struct rem_upstream_exchange *x,
                                         enum rem_upstream_fault fault)
{
    bool stale = rem_next_stale(x, fault);
    bool allowed = rem_next_allowed(x, fault);

    if (stale) {
        x->current->sent += rem_upload_sent(x);
        x->peer->exchange = NULL;
        rem_pool_close(&x->peer);
        x->fresh = true;
        rem_upstream_goto(x, REM_UPSTREAM_PICK);
        return REM_STEP_NEXT;
    }
    /* A pooled connection that had been closed says nothing about the server's health. */
    x->outcome = x->peer != NULL && x->peer->reused && fault == REM_FAULT_ERROR &&
                         x->peer->conn.received == x->received_base
                     ? REM_OUTCOME_NEUTRAL
                     : REM_OUTCOME_FAIL;
    if (x->current->status == 0)
        x->current->status = fault == REM_FAULT_TIMEOUT ? 504 : 502;
    rem_upstream_release(x, false);
    if (allowed && rem_limits_retry(x) && rem_next_pick(x) == 0) {
        rem_next_count_retry(x, fault);
        x->picked = true;
        rem_upstream_goto(x, REM_UPSTREAM_PICK);
        return REM_STEP_NEXT;
    }
    return rem_upstream_end(x, fault == REM_FAULT_TIMEOUT ? 504 : 502);
}
