/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - an exchange from the response's head to its end: read head, relay, tunnel. */
#include "proxy/http/core.h"
#include "proxy/http/filter.h"
#include "proxy/upstream/accel.h"
#include "proxy/upstream/limits.h"
#include "proxy/upstream/next.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/record.h"
#include "proxy/upstream/sticky.h"
#include "proxy/upstream/store.h"
#include "proxy/upstream/upstream_priv.h"

#include <errno.h>

/* ---- read head ---- */

static enum rem_upstream_step head_bad(struct rem_upstream_exchange *x, const char *why)
{
    rem_record_log(x, REM_LOG_ERROR, 0, why, "reading response header from upstream");
    return rem_upstream_fail(x, REM_FAULT_INVALID_HEADER);
}

/* Gives the request to another server, if that may be and there is one. */
static bool try_another(struct rem_upstream_exchange *x)
{
    bool retried = x->holds & REM_HOLD_RETRY;

    if (!rem_limits_retry(x))
        return false;
    if (rem_next_swap(x, x->outcome) == 0)
        return true;
    if (!retried)
        rem_limits_stay(x);
    return false;
}

/* The server's answer is a fault that another server might not have. */
static bool head_is_fault(struct rem_upstream_exchange *x)
{
    uint32_t fault = rem_next_fault_of(x->status);

    if (fault == 0 || (x->policy->next_upstream & fault) == 0)
        return false;
    if ((fault & (REM_FAULT_HTTP_403 | REM_FAULT_HTTP_404)) == 0)
        x->outcome = REM_OUTCOME_FAIL;
    else
        x->outcome = REM_OUTCOME_NEUTRAL;
    if (!rem_next_allowed(x, (enum rem_upstream_fault)fault) || !try_another(x))
        return false;
    rem_next_count_retry(x, (enum rem_upstream_fault)fault);
    x->peer->exchange = NULL;
    rem_pool_close(&x->peer);
    return true;
}

/* proxy_intercept_errors: an error_page of ours stands for what the server says. */
static bool head_is_intercepted(const struct rem_upstream_exchange *x)
{
    const struct rem_array *pages = rem_core_location(x->request)->error_pages;

    if (!x->policy->intercept_errors || x->status < 300 || pages == NULL)
        return false;
    for (uint32_t i = 0; i < pages->n; i++) {
        if (REM_ARRAY_OF(pages, struct rem_http_error_page)[i].status == x->status)
            return true;
    }
    return false;
}

/* Of the server's own fields a page in its place keeps what the client has to know to go on. */
static int keep_challenges(struct rem_upstream_exchange *x)
{
    const struct rem_field *field = rem_fields_find(x->fields, REM_FIELD_WWW_AUTHENTICATE);
    int rc = 0;

    for (; x->status == 401 && field != NULL && rc == 0; field = rem_fields_next(x->fields, field))
        rc = rem_fields_append(&x->request->response.fields, field);
    return rc;
}

/* The rate of reading may hang on what the head says. */
static int limit_reading(struct rem_upstream_exchange *x)
{
    struct rem_rate *rate = &x->relay.rate;
    struct rem_str text;
    int rc;

    if (x->policy->limit_rate == NULL || !x->relay.buffering || x->upgraded)
        return 0;
    rc = rem_value_eval(x->policy->limit_rate, &x->request->eval, &text);
    if (rc != 0)
        return rc;
    rate->start_ms = x->request->worker->loop.clock.mono_ms;
    if (rem_rate_parse(text, &rate->limit) != 0)
        rate->limit = 0;
    if (rate->limit > REM_RATE_MAX)
        rate->limit = REM_RATE_MAX;
    return 0;
}

/* Does what the head says to us rather than to the client.  Returns: REM_OK, or what the exchange
 * is to end with, since the client gets something else. */
static int head_obey(struct rem_upstream_exchange *x, bool *diverted)
{
    int rc;

    rem_accel_apply(x);
    *diverted = true;
    if (head_is_intercepted(x))
        return keep_challenges(x) == 0 ? x->status : 500;
    if (rem_accel_redirects(x, &x->redirect)) {
        rc = x->protocol->answer_redirect(x);
        if (rc != 0)
            x->redirect.p = NULL;
        return rc != 0 ? 500 : REM_HTTP_OK;
    }
    rc = limit_reading(x);
    if (rc != 0)
        return 500;
    rem_store_begin(x);
    *diverted = false;
    return 0;
}

static enum rem_upstream_step head_done(struct rem_upstream_exchange *x)
{
    bool diverted;
    struct rem_request *request = x->request;
    int rc;

    x->outcome = REM_OUTCOME_OK;
    rem_record_head(x);
    if (head_is_fault(x)) {
        rem_upstream_goto(x, REM_UPSTREAM_PICK);
        return REM_STEP_NEXT;
    }
    rem_relay_keep_head(x);
    rc = head_obey(x, &diverted);
    if (diverted)
        return rem_upstream_end(x, rc);
    /* What came with the head is looked at first: while the client has nothing, a body that is
     * wrong from its start can still be answered with 502. */
    rc = rem_relay_feed(x);
    if (rc != 0) {
        rem_record_log(x, REM_LOG_ERROR, 0, x->fault_text, "reading upstream");
        return rem_upstream_end(x, 502);
    }
    rc = x->protocol->answer(x);
    if (rc == 0)
        rc = rem_sticky_on_head(x);
    if (rc == 0)
        rc = rem_http_send_head(request);
    if (rc == REM_ECLOSED && x->store != NULL) {
        x->relay.detached = true; /* the client has gone, but the file is wanted */
        rc = 0;
    }
    if (rc > 0) /* the client is to get something else */
        return rem_upstream_end(x, rc);
    if (rc != 0)
        return rem_upstream_end(x, rc == REM_ECLOSED ? 499 : REM_HTTP_ERROR);
    if (!x->upgraded) {
        rem_upstream_goto(x, REM_UPSTREAM_RELAY);
        return REM_STEP_NEXT;
    }
    if (request->exchange->upgrade(request) != 0)
        return rem_upstream_end(x, 499);
    rem_upload_tunnel(x);
    x->relay.buffering = false;
    request->on_body = request->on_writable; /* either way: the driver looks at everything */
    rem_upstream_goto(x, REM_UPSTREAM_TUNNEL);
    return REM_STEP_NEXT;
}

/* The connection ended, or broke, before the head was complete. */
static enum rem_upstream_step head_cut(struct rem_upstream_exchange *x, int rc)
{
    int reason = errno;

    /* A pooled connection that is found closed is nothing to complain of. */
    if (!rem_next_stale(x, REM_FAULT_ERROR)) {
        if (rc == REM_EIO)
            rem_record_log(x, REM_LOG_ERROR, reason, "recv() failed", rem_record_doing(x));
        else
            rem_record_log(x, REM_LOG_ERROR, 0, "upstream prematurely closed connection",
                           rem_record_doing(x));
    }
    return rem_upstream_fail(x, REM_FAULT_ERROR);
}

/* Looks at what is there.  REM_STEP_DONE: more is needed. */
static enum rem_upstream_step head_parse(struct rem_upstream_exchange *x)
{
    if (x->relay.in == NULL || x->relay.pos == x->relay.in->last)
        return REM_STEP_DONE;
    switch (x->protocol->process_head(x)) {
    case REM_OK:
        return head_done(x);
    case REM_EAGAIN:
        return REM_STEP_DONE;
    case REM_ETOOBIG:
        return head_bad(x, "upstream sent too big header");
    case REM_ENOMEM:
        return rem_upstream_end(x, 500);
    default:
        return head_bad(x, x->fault_text);
    }
}

/* Goes on with a request that is not all sent, now that the server has begun to answer, or may. */
static int answer_upload(struct rem_upstream_exchange *x)
{
    int rc = rem_upload_pump(x);

    if (rc > 0 || rc == REM_ENOMEM)
        return rc;
    if (rc != 0 && rc != REM_EAGAIN)
        x->peer->conn.readable = true; /* broken: what it said last, if anything, is there */
    return 0;
}

enum rem_upstream_step rem_step_read_head(struct rem_upstream_exchange *x)
{
    int rc;

    if (x->client_gone)
        return rem_upstream_end(x, 499);
    rc = answer_upload(x);
    if (rc != 0)
        return rem_upstream_end(x, rc > 0 ? rc : 500);
    while (rem_relay_may_read(x)) {
        enum rem_upstream_step step;
        ssize_t n;

        rc = rem_relay_room(x);
        if (rc == REM_EAGAIN)
            return head_bad(x, "upstream sent too big header");
        if (rc != 0)
            return rem_upstream_end(x, 500);
        n = rem_relay_recv(x);
        if (n == REM_EAGAIN)
            break;
        if (n <= 0)
            return head_cut(x, (int)n);
        step = head_parse(x);
        if (step != REM_STEP_DONE)
            return step;
    }
    if (!x->timed_out)
        return REM_STEP_WAIT;
    rem_record_log(x, REM_LOG_ERROR, ETIMEDOUT, "upstream timed out", rem_record_doing(x));
    return rem_upstream_fail(x, REM_FAULT_TIMEOUT);
}

/* ---- relay ---- */

/* The response ends unfinished: what there is of it goes out first, however slow the client is. It
 * must be able to tell, so its connection ends then. */
static enum rem_upstream_step relay_rest(struct rem_upstream_exchange *x)
{
    int rc = rem_relay_rest(x);

    if (rc == REM_EAGAIN)
        return REM_STEP_WAIT;
    return rem_upstream_end(x, rc == REM_EACCES ? 499 : REM_HTTP_ERROR);
}

static enum rem_upstream_step relay_break(struct rem_upstream_exchange *x)
{
    x->outcome = REM_OUTCOME_NEUTRAL;
    x->relay.broken = true;
    rem_upstream_release(x, false);
    return relay_rest(x);
}

static enum rem_upstream_step relay_cut(struct rem_upstream_exchange *x, int rc)
{
    int reason = errno;

    if (rc == REM_EACCES)
        return rem_upstream_end(x, 499);
    if (rc == REM_ENOMEM)
        return rem_upstream_end(x, REM_HTTP_ERROR);
    if (rc == REM_EIO)
        rem_record_log(x, REM_LOG_ERROR, reason, "recv() failed", rem_record_doing(x));
    else if (rc == REM_ECLOSED)
        rem_record_log(x, REM_LOG_ERROR, 0, "upstream prematurely closed connection",
                       rem_record_doing(x));
    else if (rc == REM_EPROTO || rc == REM_ETOOBIG)
        rem_record_log(x, REM_LOG_ERROR, 0, x->fault_text, rem_record_doing(x));
    return relay_break(x);
}

/* Before waiting: nothing stays in the codec for the next piece to come along, which may take its
 * time, or even wait for room here.  Only a body of known length follows its head so soon that both
 * may leave together. */
static int relay_flush(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    const struct rem_exchange_ops *codec = x->request->exchange;
    size_t queued = relay->detached ? 0 : codec->queued(x->request);
    int rc;

    if (relay->detached || relay->down_full || queued == 0 ||
        (!relay->handed && !relay->starved && relay->buffering && relay->expected > 0))
        return 0;
    relay->handed = true;
    rc = rem_http_send_body(x->request, NULL);
    if (rc == REM_EAGAIN)
        relay->down_full = true;
    else if (rc == REM_ECLOSED && x->store != NULL)
        relay->detached = true;
    else if (rc != 0)
        return REM_EACCES;
    else if (relay->starved && codec->queued(x->request) < queued)
        x->again = true; /* what it waited for may have been the head alone */
    return 0;
}

enum rem_upstream_step rem_step_relay(struct rem_upstream_exchange *x)
{
    int rc;

    if (x->client_gone)
        return rem_upstream_end(x, 499);
    if (x->relay.broken)
        return relay_rest(x);
    if (x->peer != NULL && !x->relay.input_done) {
        rc = answer_upload(x);
        if (rc != 0)
            return rem_upstream_end(x, REM_HTTP_ERROR);
    }
    if (x->relay.delayed && x->timed_out) {
        x->relay.delayed = false; /* there may be room now */
        x->timed_out = false;
    }
    rc = rem_relay_move(x);
    if (x->relay.input_done)
        rem_store_finish(x);
    if (rc == 0)
        return rem_upstream_end(x, REM_HTTP_OK);
    if (rc != REM_EAGAIN)
        return relay_cut(x, rc);
    if (x->relay.input_done) /* the rest is between us and the client */
        rem_upstream_release(x, true);
    rc = relay_flush(x);
    if (rc != 0)
        return relay_cut(x, rc);
    if (!x->timed_out || !rem_relay_wants_input(x)) {
        x->timed_out = false;
        return REM_STEP_WAIT;
    }
    rem_record_log(x, REM_LOG_ERROR, ETIMEDOUT, "upstream timed out", rem_record_doing(x));
    return relay_break(x);
}

/* ---- tunnel ---- */

enum rem_upstream_step rem_step_tunnel(struct rem_upstream_exchange *x)
{
    int up, down;

    if (x->client_gone)
        return rem_upstream_end(x, REM_HTTP_ERROR);
    up = rem_upload_pump(x);
    down = rem_relay_move(x);
    /* Either side's end is the tunnel's, once what it said before has been passed on. */
    if (down == 0)
        return rem_upstream_end(x, REM_HTTP_OK);
    if (up != REM_EAGAIN || down != REM_EAGAIN)
        return rem_upstream_end(x, REM_HTTP_ERROR);
    if (relay_flush(x) != 0)
        return rem_upstream_end(x, REM_HTTP_ERROR);
    if (!x->timed_out)
        return REM_STEP_WAIT;
    rem_record_log(x, REM_LOG_ERROR, ETIMEDOUT, "upstream timed out", rem_record_doing(x));
    return rem_upstream_end(x, REM_HTTP_ERROR);
}
