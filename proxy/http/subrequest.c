/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/subrequest.h"

#include "proto/wire/proxy_protocol.h"
#include "proxy/http/body.h"
#include "proxy/http/core.h"
#include "proxy/http/exchange.h"
#include "proxy/http/order.h"
#include "proxy/http/subrequest_priv.h"

/* What is left of a connection for a subrequest that outlives it. */
struct stub {
    struct rem_conn conn;
    struct rem_addr peer, real_peer;
};

/* ---- families ---- */

/* Somebody's output has moved, or a child has ended: goes on with what that lets go on. */
static void on_wake(struct rem_post *post)
{
    struct rem_family *family = REM_CONTAINER(post, struct rem_family, wake);
    struct rem_request *request = family->request, *root = family->root;

    if (!root->over) {
        int rc = rem_order_advance(root->family);

        if (rc != REM_OK && rc != REM_EAGAIN) {
            rem_request_abort(root);
            return;
        }
    }
    if (!request->over && request->response.head_sent)
        rem_request_writable(request);
}

static struct rem_family *new_family(struct rem_request *request)
{
    struct rem_family *family = rem_arena_zalloc(&request->arena, sizeof(*family));

    if (family == NULL)
        return NULL;
    family->request = request;
    family->client = request;
    family->root = request;
    family->active = request;
    rem_post_init(&family->wake, on_wake);
    rem_list_init(&family->node);
    rem_list_init(&family->member);
    rem_list_init(&family->children);
    rem_list_init(&family->members);
    request->family = family;
    return family;
}

static bool is_waited_for(const struct rem_family *family)
{
    return family->spec.kind != REM_SUBREQUEST_BACKGROUND;
}

/* The child counts no longer among those its parent waits for. */
static void unlink_child(struct rem_family *family)
{
    if (rem_list_empty(&family->node))
        return;
    rem_list_remove(&family->node);
    if (is_waited_for(family))
        family->request->parent->family->waited--;
}

/* ---- the exchange of a subrequest ---- */

static int send_informational(struct rem_request *request, int status,
                              const struct rem_fields *fields)
{
    (void)request;
    (void)status;
    (void)fields;
    return REM_OK; /* it is the client's own response that may be announced */
}

static int send_head(struct rem_request *request)
{
    (void)request;
    return REM_OK;
}

static size_t queued(const struct rem_request *request)
{
    return (size_t)request->family->held + request->family->lent_bytes;
}

/* A body that a subrequest has is complete before it starts. */
static int read_body(struct rem_request *request, struct rem_str *data, bool *final)
{
    (void)request;
    *data = (struct rem_str){NULL, 0};
    *final = true;
    return REM_OK;
}

static int upgrade(struct rem_request *request)
{
    (void)request;
    return REM_ECLOSED; /* there is no connection of its own that could change hands */
}

static void tell_parent(struct rem_family *family, bool abort)
{
    struct rem_request *child = family->request;
    struct rem_subrequest_result result = {
        .status = child->response.status,
        .body = rem_str_make(family->memory, family->used),
        .too_big = family->too_big,
    };

    /* Of a head without its body the status says nothing, unless the head was all that counted. */
    if (result.status == 0 || (abort && child->response.head_sent && !family->too_big &&
                               family->spec.kind == REM_SUBREQUEST_MEMORY))
        result.status = 500;
    if (family->spec.done != NULL)
        family->spec.done(child, &result, family->spec.data);
}

/* One member less; a worker that is to finish waits for no more of them. */
static void let_go(struct rem_family *client)
{
    if (--client->alive != 0 || !client->holds_worker)
        return;
    client->holds_worker = false;
    rem_worker_released(client->request->worker);
}

static void finish(struct rem_request *child, bool abort)
{
    struct rem_family *family = child->family;
    struct rem_request *parent = child->parent, *root = family->root;

    unlink_child(family);
    let_go(family->client->family);
    if (abort)
        rem_subrequest_leave(child);
    rem_order_leave(family);
    child->codec = NULL;
    /* A body that stops in the middle of another: only the end of the whole tells the client. */
    if (abort && family->spec.kind == REM_SUBREQUEST_OUTPUT) {
        rem_request_abort(root);
        return;
    }
    if (parent->over)
        return;
    tell_parent(family, abort);
    rem_loop_post(&parent->worker->loop, &parent->family->wake);
}

static const struct rem_exchange_ops subrequest_ops = {
    .name = "subrequest",
    .send_informational = send_informational,
    .send_head = send_head,
    .send_body = rem_order_output,
    .queued = queued,
    .read_body = read_body,
    .upgrade = upgrade,
    .finish = finish,
};

/* ---- the beginning ---- */

static int refuse_more(const struct rem_request *parent, const struct rem_subrequest_spec *spec)
{
    const struct rem_family *family = parent->family;

    if (family->depth < REM_SUBREQUEST_DEPTH_MAX &&
        family->client->family->total < REM_SUBREQUEST_COUNT_MAX)
        return REM_OK;
    REM_LOG_IN(&parent->log, REM_LOG_ERROR, 0, "subrequests cycle while processing \"%.*s\"",
               REM_STR_ARG(spec->uri));
    return REM_ETOOBIG;
}

/* What a proxy before us said of the connection, told again. */
static const struct rem_proxy_header *copy_proxied(struct rem_arena *arena,
                                                   const struct rem_proxy_header *from)
{
    struct rem_proxy_header *copy = rem_arena_alloc(arena, sizeof(*copy));

    if (copy == NULL)
        return NULL;
    *copy = *from;
    copy->tlvs = rem_arena_dup(arena, from->tlvs);
    return copy->tlvs.p != NULL ? copy : NULL;
}

/* A subrequest in the background knows the client when the connection has gone. */
static int make_stub(struct rem_family *family)
{
    struct rem_request *child = family->request;
    struct stub *stub = rem_arena_zalloc(&child->arena, sizeof(*stub));

    if (stub == NULL)
        return REM_ENOMEM;
    stub->conn.fd = -1;
    stub->conn.number = child->conn->number;
    family->stub = &stub->conn;
    if (child->peer != NULL) {
        stub->peer = *child->peer;
        child->peer = &stub->peer;
    }
    if (child->real_peer != NULL) {
        stub->real_peer = *child->real_peer;
        child->real_peer = &stub->real_peer;
    }
    if (child->proxied != NULL) {
        child->proxied = copy_proxied(&child->arena, child->proxied);
        if (child->proxied == NULL)
            return REM_ENOMEM;
    }
    return REM_OK;
}

/* All of a child that may fail. */
static int prepare(struct rem_request *child, const struct rem_subrequest_spec *spec)
{
    struct rem_family *family = new_family(child), *parent = child->parent->family;
    int rc = REM_OK;

    if (family == NULL)
        return REM_ENOMEM;
    family->spec = *spec;
    family->client = parent->client;
    family->depth = parent->depth + 1;
    if (spec->kind == REM_SUBREQUEST_OUTPUT) {
        family->root = parent->root;
    } else if (spec->kind == REM_SUBREQUEST_BACKGROUND) {
        rc = make_stub(family);
    }
    if (rc == REM_OK && spec->kind == REM_SUBREQUEST_OUTPUT)
        rc = rem_order_reserve(family);
    if (rc == REM_OK && spec->with_body) /* the last step: drop runs no cleanups */
        rc = rem_body_share(child, child->parent);
    return rc;
}

int rem_subrequest_start(struct rem_request *parent, const struct rem_subrequest_spec *spec,
                         struct rem_request **out)
{
    struct rem_family *client;
    struct rem_request *child;
    int rc;

    if (parent->family == NULL && new_family(parent) == NULL)
        return REM_ENOMEM;
    rc = refuse_more(parent, spec);
    if (rc != REM_OK)
        return rc;
    child = rem_request_new_child(parent, &subrequest_ops);
    if (child == NULL)
        return REM_ENOMEM;
    rc = prepare(child, spec);
    if (rc != REM_OK) {
        if (child->family != NULL)
            rem_order_leave(child->family);
        child->parent = NULL; /* which knows nothing of it */
        child->family = NULL;
        rem_request_drop(child);
        return rc;
    }
    child->codec = child->family;
    child->uri = spec->uri;
    child->args = spec->args;
    if (spec->same_method) {
        child->method = parent->method;
        child->method_name = parent->method_name;
    }
    rem_list_append(&parent->family->children, &child->family->node);
    if (is_waited_for(child->family))
        parent->family->waited++;
    client = child->family->client->family;
    rem_list_append(&client->members, &child->family->member);
    client->total++;
    client->alive++;
    /* From the loop, so that no chain of subrequests is a chain of calls. */
    rem_request_resume(child);
    if (out != NULL)
        *out = child;
    return REM_OK;
}

/* ---- for request.c ---- */

bool rem_subrequest_pending(const struct rem_request *request)
{
    const struct rem_family *family = request->family;

    return family != NULL && (family->waited != 0 || family->first != NULL || family->lent != 0);
}

void rem_subrequest_writable(struct rem_request *request)
{
    struct rem_family *family = request->family;
    struct rem_request *active;
    int rc;

    if (family == NULL || request->parent != NULL || request->over)
        return;
    rc = rem_order_advance(family);
    if (rc != REM_OK && rc != REM_EAGAIN) {
        rem_request_abort(request);
        return;
    }
    active = family->active;
    if (active != request && rc == REM_OK && active->response.head_sent)
        rem_request_writable(active);
}

void rem_subrequest_hangup(struct rem_request *request)
{
    struct rem_family *family = request->family;

    if (family == NULL)
        return;
    REM_LIST_EACH(node, &family->children) {
        struct rem_family *child = REM_LIST_ENTRY(node, struct rem_family, node);

        if (is_waited_for(child) && child->request->on_client_gone != NULL)
            child->request->on_client_gone(child->request);
        if (request->over) /* and with it all of them */
            return;
    }
}

/* Members of a family of the background, with whatever they have started. */
static void take_stub(struct rem_family *family, struct rem_conn *stub)
{
    family->request->conn = stub;
    REM_LIST_EACH(node, &family->children) {
        take_stub(REM_LIST_ENTRY(node, struct rem_family, node), stub);
    }
}

static struct rem_family *waited_child(const struct rem_family *family)
{
    REM_LIST_EACH(node, &family->children) {
        struct rem_family *child = REM_LIST_ENTRY(node, struct rem_family, node);

        if (is_waited_for(child))
            return child;
    }
    return NULL;
}

void rem_subrequest_leave(struct rem_request *request)
{
    struct rem_family *family = request->family, *child;

    if (family == NULL)
        return;
    /* One by one: the end of one may be the end of others. */
    while ((child = waited_child(family)) != NULL) {
        unlink_child(child);
        rem_request_abort(child->request);
    }
    rem_order_drop(family);
    REM_LIST_EACH(node, &family->children) {
        child = REM_LIST_ENTRY(node, struct rem_family, node);
        take_stub(child, child->stub);
    }
    /* Beyond worker_connections they go on too: that is no reason to drop them. */
    if (request->parent == NULL && family->alive != 0)
        family->holds_worker = rem_worker_acquire(request->worker) == 0;
}

bool rem_subrequest_alive(const struct rem_request *client)
{
    return client->family != NULL && client->family->alive != 0;
}

struct rem_request *rem_subrequest_client(struct rem_request *request)
{
    return request->family != NULL ? request->family->client : request;
}

struct rem_request *rem_subrequest_take(struct rem_request *client)
{
    struct rem_family *family = client->family, *member;

    if (family == NULL)
        return NULL;
    if (rem_list_empty(&family->members)) {
        rem_post_cancel(&family->wake);
        return NULL;
    }
    /* The newest first: it may point into those before it. */
    member = REM_LIST_ENTRY(family->members.prev, struct rem_family, member);
    rem_list_remove(&member->member);
    rem_post_cancel(&member->wake);
    return member->request;
}
