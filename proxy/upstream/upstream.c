/* SPDX-License-Identifier: Apache-2.0 */
/* upstream.c - the driver: states and their legal edges, events, timers, beginning and end.  What
 * happens in each state is in steps.c (up to the head) and answer.c (from the head on). */
#include "proxy/upstream/upstream.h"

#include "proxy/http/body.h"
#include "proxy/upstream/accel.h"
#include "proxy/upstream/limits.h"
#include "proxy/upstream/next.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/queue.h"
#include "proxy/upstream/record.h"
#include "proxy/upstream/sticky.h"
#include "proxy/upstream/store.h"
#include "proxy/upstream/upstream_priv.h"

#define EDGE(state) (1u << REM_UPSTREAM_##state)

static const struct upstream_state {
    const char *name;
    rem_upstream_step_fn run;
    unsigned edges; /* states that may follow */
} states[REM_UPSTREAM_STATES] = {
    [REM_UPSTREAM_INIT] = {"init", rem_step_init, EDGE(RESOLVE) | EDGE(PICK) | EDGE(FINALIZE)},
    [REM_UPSTREAM_RESOLVE] = {"resolve", rem_step_resolve, EDGE(PICK) | EDGE(FINALIZE)},
    [REM_UPSTREAM_PICK] = {"pick", rem_step_pick, EDGE(CONNECT) | EDGE(SEND) | EDGE(FINALIZE)},
    [REM_UPSTREAM_CONNECT] = {"connect", rem_step_connect,
                              EDGE(SEND) | EDGE(PICK) | EDGE(FINALIZE)},
    [REM_UPSTREAM_SEND] = {"send", rem_step_send, EDGE(READ_HEAD) | EDGE(PICK) | EDGE(FINALIZE)},
    [REM_UPSTREAM_READ_HEAD] = {"read head", rem_step_read_head,
                                EDGE(RELAY) | EDGE(TUNNEL) | EDGE(PICK) | EDGE(FINALIZE)},
    [REM_UPSTREAM_RELAY] = {"relay", rem_step_relay, EDGE(FINALIZE)},
    [REM_UPSTREAM_TUNNEL] = {"tunnel", rem_step_tunnel, EDGE(FINALIZE)},
    [REM_UPSTREAM_FINALIZE] = {"finalize", rem_step_finalize, 0},
};

const char *rem_upstream_state_name(enum rem_upstream_state state)
{
    return states[state].name;
}

void rem_upstream_goto(struct rem_upstream_exchange *x, enum rem_upstream_state next)
{
    REM_CHECK_OBJ(x, REM_UPSTREAM_MAGIC);
    if (REM_UNLIKELY((states[x->state].edges & 1u << next) == 0)) {
        REM_LOG_IN(&x->request->log, REM_LOG_ALERT, 0, "upstream exchange went from %s to %s",
                   states[x->state].name, states[next].name);
        rem_check_failed(__FILE__, __LINE__, "legal edge");
    }
    REM_LOG_IN(&x->request->log, REM_LOG_DEBUG, 0, "upstream %s -> %s", states[x->state].name,
               states[next].name);
    x->state = next;
    x->armed = false;
    x->timed_out = false;
}

/* ---- timers ---- */

/* How long what is waited for may take; 0: it has no limit here. */
static int64_t upstream_patience(const struct rem_upstream_exchange *x)
{
    const struct rem_upstream_policy *policy = x->policy;

    switch (x->state) {
    case REM_UPSTREAM_CONNECT:
        return policy->connect_timeout;
    case REM_UPSTREAM_SEND:
    case REM_UPSTREAM_READ_HEAD:
        if (x->upload.state == REM_UPLOAD_SENDING)
            return policy->send_timeout;
        return x->upload.state == REM_UPLOAD_WAITING ? 0 : policy->read_timeout;
    case REM_UPSTREAM_RELAY:
        if (x->relay.delayed)
            return (int64_t)x->relay.wait_ms;
        return rem_relay_wants_input(x) ? policy->read_timeout : 0;
    case REM_UPSTREAM_TUNNEL:
        if (x->upload.state == REM_UPLOAD_SENDING)
            return policy->send_timeout;
        return rem_relay_wants_input(x) ? policy->read_timeout : 0;
    default:
        return 0;
    }
}

static void upstream_arm(struct rem_upstream_exchange *x)
{
    struct rem_timers *timers = &x->request->worker->loop.timers;
    int64_t patience;

    if (x->peer == NULL)
        return;
    patience = upstream_patience(x);
    if (patience == 0) {
        rem_timer_cancel(timers, &x->peer->conn.timer);
        x->armed = false;
    } else if (!x->armed || x->progress) {
        rem_timer_set(timers, &x->peer->conn.timer, (uint64_t)patience);
        x->armed = true;
    }
    x->progress = false;
}

/* ---- the driver ---- */

void rem_upstream_run(struct rem_upstream_exchange *x)
{
    enum rem_upstream_step step = REM_STEP_WAIT;
    struct rem_request *request = x->request;
    struct rem_str redirect;

    REM_CHECK_OBJ(x, REM_UPSTREAM_MAGIC);
    if (x->running || x->state == REM_UPSTREAM_FINALIZE) {
        x->again = true;
        return;
    }
    x->running = true;
    do {
        x->again = false;
        do
            step = states[x->state].run(x);
        while (step == REM_STEP_NEXT);
    } while (step == REM_STEP_WAIT && x->again);
    x->running = false;
    redirect = x->redirect;
    if (step != REM_STEP_DONE)
        upstream_arm(x);
    else if (redirect.p != NULL && !request->finalized)
        rem_accel_follow(request, redirect);
    else
        rem_request_finalize(request, x->result);
}

/* ---- events: each records itself and runs the driver ---- */

void rem_upstream_on_conn(struct rem_conn *conn)
{
    struct rem_upstream_conn *uc = REM_CONTAINER(conn, struct rem_upstream_conn, conn);

    REM_CHECK_OBJ(uc, REM_UPSTREAM_CONN_MAGIC);
    if (uc->exchange != NULL)
        rem_upstream_run(uc->exchange);
}

void rem_upstream_on_timer(struct rem_timer *timer)
{
    struct rem_conn *conn = REM_CONTAINER(timer, struct rem_conn, timer);
    struct rem_upstream_conn *uc = REM_CONTAINER(conn, struct rem_upstream_conn, conn);

    REM_CHECK_OBJ(uc, REM_UPSTREAM_CONN_MAGIC);
    if (uc->exchange == NULL)
        return;
    uc->exchange->timed_out = true;
    uc->exchange->armed = false;
    rem_upstream_run(uc->exchange);
}

static void on_wake(struct rem_post *post)
{
    rem_upstream_run(REM_CONTAINER(post, struct rem_upstream_exchange, wake));
}

static void on_writable(struct rem_request *request)
{
    request->upstream->relay.down_full = false;
    rem_upstream_run(request->upstream);
}

static void on_body(struct rem_request *request)
{
    rem_upstream_run(request->upstream);
}

static void on_client_gone(struct rem_request *request)
{
    struct rem_upstream_exchange *x = request->upstream;

    /* With a tunnel, or an answer on its way, there is nobody left to serve; unless the answer is
     * kept. */
    if ((x->policy->ignore_client_abort || x->policy->store != NULL) &&
        x->state < REM_UPSTREAM_RELAY)
        return;
    if (x->store != NULL && x->state == REM_UPSTREAM_RELAY) {
        rem_relay_detach(x);
        return;
    }
    if (!x->client_gone && x->peer != NULL && x->state < REM_UPSTREAM_TUNNEL)
        rem_record_log(x, REM_LOG_INFO, 0,
                       "client prematurely closed connection, so upstream connection is closed too",
                       rem_record_doing(x));
    x->client_gone = true;
    rem_upstream_run(x);
}

/* ---- the end ---- */

void rem_upstream_release(struct rem_upstream_exchange *x, bool keep)
{
    struct rem_upstream_conn *uc = x->peer;

    rem_record_done(x, x->outcome);
    if (uc == NULL)
        return;
    uc->exchange = NULL;
    if (keep && x->group != NULL && x->key != 0 && x->reusable && x->relay.input_done &&
        !x->relay.surplus && x->upload.state == REM_UPLOAD_DONE)
        rem_pool_put(&x->peer, x->group, &x->keepalive, x->upstream_uid);
    else
        rem_pool_close(&x->peer);
}

enum rem_upstream_step rem_upstream_end(struct rem_upstream_exchange *x, int result)
{
    x->result = result;
    rem_upstream_goto(x, REM_UPSTREAM_FINALIZE);
    return REM_STEP_NEXT;
}

/* The single exit of a running exchange. */
enum rem_upstream_step rem_step_finalize(struct rem_upstream_exchange *x)
{
    struct rem_request *request = x->request;

    if (x->result != REM_HTTP_OK && x->protocol->abort != NULL)
        x->protocol->abort(x);
    if (x->result == REM_HTTP_OK)
        rem_sticky_on_end(x);
    rem_queue_leave(x);
    rem_upstream_release(x, x->result == REM_HTTP_OK);
    rem_resolve_fini(x);
    rem_store_fini(x);
    rem_relay_fini(x);
    rem_balance_fini(&x->balance);
    rem_limits_leave(x);
    rem_post_cancel(&x->wake);
    request->on_writable = NULL;
    request->on_body = NULL;
    request->on_client_gone = NULL;
    if (x->protocol->finalize != NULL)
        x->protocol->finalize(x, x->result);
    return REM_STEP_DONE;
}

/* The request ended by itself (the client's doing, a failed body) or after us. */
static void on_request_cleanup(void *data)
{
    struct rem_upstream_exchange *x = data;

    if (x->state == REM_UPSTREAM_FINALIZE)
        return;
    x->outcome = REM_OUTCOME_NEUTRAL;
    x->result = REM_HTTP_ERROR;
    rem_upstream_goto(x, REM_UPSTREAM_FINALIZE);
    (void)rem_step_finalize(x);
}

/* Later than the log phase, which may still ask for fields of the response. */
static void on_arena_reset(void *data)
{
    struct rem_upstream_exchange *x = data;

    rem_relay_drop_head(x);
    x->magic = 0;
}

/* ---- the beginning ---- */

static struct rem_upstream_exchange *upstream_new(struct rem_request *request,
                                                  const struct rem_upstream_policy *policy,
                                                  const struct rem_upstream_protocol *protocol,
                                                  void *data)
{
    struct rem_upstream_exchange *x = rem_arena_zalloc(&request->arena, sizeof(*x));

    if (x == NULL)
        return NULL;
    x->magic = REM_UPSTREAM_MAGIC;
    x->request = request;
    x->policy = policy;
    x->protocol = protocol;
    x->data = data;
    x->start_ms = request->worker->loop.clock.mono_ms;
    x->relay.file.fd = -1;
    rem_post_init(&x->wake, on_wake);
    if (request->upstream != NULL)
        x->tries = request->upstream->tries;
    if (rem_request_on_cleanup(request, on_request_cleanup, x) != 0 ||
        rem_arena_on_reset(&request->arena, on_arena_reset, x) != 0) {
        x->state = REM_UPSTREAM_FINALIZE; /* for whichever of the two was registered */
        return NULL;
    }
    request->upstream = x;
    request->on_writable = on_writable;
    request->on_client_gone = on_client_gone;
    return x;
}

static int upstream_begin(struct rem_upstream_exchange *x)
{
    struct rem_request *request = x->request;
    int rc = REM_HTTP_DONE;

    rem_balance_init(&x->balance, &request->worker->reader,
                     x->group != NULL ? &x->group->ref : NULL);
    if (request->has_body && x->policy->pass_body) {
        x->running = true; /* `ready` may be called right here */
        if (x->policy->request_buffering || rem_body_is_settled(request) ||
            (x->policy->needs_length && request->content_length < 0)) {
            rc = rem_body_read(request, on_body);
        } else {
            x->upload.streamed = true;
            rc = rem_body_stream(request, on_body);
        }
        x->running = false;
    } else if (request->has_body) {
        rem_body_discard(request);
    }
    if (rc != REM_HTTP_DONE) {
        x->result = rc;
        x->state = REM_UPSTREAM_FINALIZE;
        (void)rem_step_finalize(x);
        return rc;
    }
    if (!request->finalized)
        rem_upstream_run(x);
    return REM_HTTP_DONE;
}

int rem_upstream_start(struct rem_request *request, const struct rem_upstream_policy *policy,
                       const struct rem_upstream_protocol *protocol, void *data,
                       const struct rem_upstream *upstream, const struct rem_addr *literal)
{
    struct rem_upstream_group *group = NULL;
    struct rem_upstream_exchange *x;

    if (upstream != NULL) {
        group = rem_pool_group(request->worker->upstreams, upstream);
        if (group == NULL)
            return 500;
    }
    x = upstream_new(request, policy, protocol, data);
    if (x == NULL)
        return 500;
    x->group = group;
    if (group == NULL) {
        x->literal = *literal;
        x->literals = &x->literal;
        x->literal_count = 1;
    }
    return upstream_begin(x);
}

int rem_upstream_start_again(struct rem_request *request, const struct rem_upstream_policy *policy,
                             const struct rem_upstream_protocol *protocol, void *data,
                             const struct rem_addr *addr, uint32_t tries)
{
    struct rem_addr *list = rem_arena_alloc(&request->arena, tries * sizeof(*list));
    struct rem_upstream_exchange *x;

    if (list == NULL)
        return 500;
    for (uint32_t i = 0; i < tries; i++)
        list[i] = *addr;
    x = upstream_new(request, policy, protocol, data);
    if (x == NULL)
        return 500;
    x->literals = list;
    x->literal_count = tries;
    return upstream_begin(x);
}

int rem_upstream_start_resolved(struct rem_request *request,
                                const struct rem_upstream_policy *policy,
                                const struct rem_upstream_protocol *protocol, void *data,
                                struct rem_str host, uint16_t port)
{
    struct rem_upstream_exchange *x = upstream_new(request, policy, protocol, data);

    if (x == NULL)
        return 500;
    if (rem_resolve_init(x, host, port) != 0) {
        x->result = 500;
        x->state = REM_UPSTREAM_FINALIZE;
        (void)rem_step_finalize(x);
        return 500;
    }
    return upstream_begin(x);
}

int rem_upstream_start_named(struct rem_request *request, const struct rem_upstream_policy *policy,
                             const struct rem_upstream_protocol *protocol, void *data,
                             struct rem_str name)
{
    struct rem_upstream_group *group = rem_pool_group_named(request->worker->upstreams, name);
    struct rem_upstream_exchange *x;

    if (group == NULL)
        return REM_HTTP_DECLINED;
    x = upstream_new(request, policy, protocol, data);
    if (x == NULL)
        return 500;
    x->group = group;
    return upstream_begin(x);
}
