/* SPDX-License-Identifier: Apache-2.0 */
/* The reading half of a connection: heads, bodies, and what is wrong with them. */
#include "agent/admin_conn_priv.h"
#include "agent/browser.h"
#include "proto/base/addr.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>

const struct rem_h1_limits rem_admin_conn_limits = {
    .max_line = REM_ADMIN_HEAD_MAX,
    .max_head = REM_ADMIN_HEAD_MAX,
    .max_fields = 100,
    .ignore_invalid = true,
};

bool rem_admin_conn_fill(struct rem_admin_conn *conn)
{
    ssize_t n;

    if (conn->eof || conn->drained)
        return false;
    if (conn->in == NULL && (conn->in = malloc(REM_ADMIN_INPUT_SIZE)) == NULL) {
        conn->eof = true;
        return false;
    }
    do
        n = recv(conn->fd, conn->in + conn->in_n, REM_ADMIN_INPUT_SIZE - conn->in_n, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        conn->in_n += (size_t)n;
        /* Of what comes from now on the loop tells. */
        conn->drained = conn->in_n < REM_ADMIN_INPUT_SIZE;
        return true;
    }
    conn->drained = true;
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

/* Answers an error that ends the connection, behind what is under way. */
static void fail(struct rem_admin_conn *conn, int status)
{
    struct rem_admin_handler *handler = &conn->server->handler;

    rem_api_response_reset(&conn->x->call.response);
    handler->on_error(handler->data, &conn->x->call.request, status, &conn->x->call.response);
    conn->keepalive = false;
    conn->linger = true;
    rem_admin_conn_enqueue(conn, true);
    if (conn->state != REM_ADMIN_ANSWER)
        rem_admin_conn_goto(conn, REM_ADMIN_WRITE);
}

/* The address the client connected to, without its port. */
static struct rem_str local_address(struct rem_admin_conn *conn)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    struct rem_addr addr = {0};

    if (!conn->has_local && getsockname(conn->fd, (struct sockaddr *)&storage, &len) == 0) {
        rem_addr_from((const struct sockaddr *)&storage, len, &addr);
        conn->local_n = rem_addr_host_text(&addr, conn->local, sizeof(conn->local));
    }
    conn->has_local = true;
    return rem_str_make(conn->local, conn->local_n);
}

/* A copy of a field's value, which may come in several lines; empty if there is no such field.
 * Returns: false without memory. */
static bool take_field(struct rem_admin_conn *conn, const struct rem_field *field,
                       struct rem_str *out)
{
    const struct rem_fields *fields = &conn->head.head.fields;
    struct rem_arena *arena = &conn->x->arena;

    *out = field != NULL ? rem_arena_dup(arena, field->value) : REM_STR("");
    while (field != NULL && out->p != NULL && (field = rem_fields_next(fields, field)) != NULL)
        *out = rem_arena_printf(arena, "%.*s, %.*s", REM_STR_ARG(*out), REM_STR_ARG(field->value));
    return out->p != NULL;
}

/* Copies out of the head what the API looks at, as the input buffer will be used again.
 * Errors: REM_ENOMEM. */
static int take_head(struct rem_admin_conn *conn)
{
    const struct rem_h1_request *head = &conn->head;
    struct rem_api_request *request = &conn->x->call.request;
    const struct rem_fields *fields = &head->head.fields;
    const struct rem_field *match = rem_fields_find(fields, REM_FIELD_IF_MATCH);
    const struct rem_field *none = rem_fields_find(fields, REM_FIELD_IF_NONE_MATCH);

    *request = (struct rem_api_request){
        .method = head->method,
        .method_text = rem_arena_dup(&conn->x->arena, head->method_text),
        .path = rem_arena_dup(&conn->x->arena, head->uri.path),
        .args = rem_arena_dup(&conn->x->arena, head->uri.args),
        .local = local_address(conn),
        .has_if_match = match != NULL,
        .has_if_none_match = none != NULL,
    };
    if (!take_field(conn, match, &request->if_match) ||
        !take_field(conn, none, &request->if_none_match) ||
        !take_field(conn, rem_fields_find(fields, REM_FIELD_ACCEPT), &request->accept) ||
        !take_field(conn, rem_fields_find_name(fields, REM_STR("last-event-id")),
                    &request->last_event_id) ||
        !take_field(conn, rem_fields_find(fields, REM_FIELD_CONTENT_TYPE),
                    &request->content_type) ||
        request->method_text.p == NULL || request->path.p == NULL || request->args.p == NULL)
        return REM_ENOMEM;
    return 0;
}

/* A request that a worker passes on: what it may and where it came to, the worker says.  False: it
 * is not from a worker of ours. */
static bool take_inlet(struct rem_admin_conn *conn)
{
    const struct rem_fields *fields = &conn->head.head.fields;
    struct rem_api_request *request = &conn->x->call.request;
    const struct rem_field *field = rem_fields_find_name(fields, REM_STR(REM_INLET_FIELD));
    bool write = false;

    if (field == NULL || !rem_inlet_check(conn->inlet, field->value, &write))
        return false;
    request->role = write ? REM_ROLE_WRITE : REM_ROLE_READ;
    request->read_only = !write;
    request->from_location = true;
    request->who = REM_STR("location");
    field = rem_fields_find(fields, REM_FIELD_ORIGIN);
    request->foreign_origin =
        field != NULL && !rem_browser_same_origin(field->value, &conn->head.host);
    return take_field(conn, rem_fields_find_name(fields, REM_STR(REM_INLET_LOCAL)),
                      &request->local) &&
           take_field(conn, rem_fields_find_name(fields, REM_STR(REM_INLET_CLIENT)),
                      &request->address);
}

static void send_continue(struct rem_admin_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    /* Nothing else is under way to the client, so there is room for these 25 bytes; if not, it
     * has to go on without, as RFC 9110 section 10.1.1 makes it. */
    (void)!send(conn->fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int check_inlet(struct rem_admin_conn *conn)
{
    if (take_inlet(conn))
        return REM_OK;
    fail(conn, 403);
    return REM_EACCES;
}

/* Who may write nothing has nothing to say that takes much memory: a listener that is open to
 * everybody must not be a way to use up the agent's. */
static uint64_t body_limit(const struct rem_admin_conn *conn)
{
    bool small = conn->inlet == NULL && conn->x->call.request.role < REM_ROLE_WRITE;

    return small ? REM_ADMIN_BODY_SMALL : REM_ADMIN_BODY_MAX;
}

/* Who asks?  Somebody unknown gets no more than a short answer: his body is not read. */
static int check_access(struct rem_admin_conn *conn)
{
    struct rem_admin_server *server = conn->server;
    struct rem_api_response *response = &conn->x->call.response;
    struct rem_api_request *request = &conn->x->call.request;
    unsigned retry_sec = 0;
    int status = rem_admin_auth_ask(server->auth, &conn->client, &conn->head, request, &retry_sec);
    bool body = conn->body_left != 0 || conn->head.head.framing == REM_FRAMING_CHUNKED;

    if (status == 0 && request->role == REM_ROLE_NONE && body)
        status = request->hopeless ? 403 : 401;
    if (status == 0 && conn->body_left > body_limit(conn))
        status = conn->body_left > REM_ADMIN_BODY_MAX ? 413 : 403;
    if (status == 0)
        return REM_OK;
    fail(conn, status);
    response->retry_sec = retry_sec;
    return REM_EACCES;
}

/* The head is complete: takes it out of the input.  Returns: false when it is refused. */
static bool accept_head(struct rem_admin_conn *conn)
{
    const struct rem_h1_head *head = &conn->head.head;
    int rc;

    conn->keepalive = rem_h1_persists(head) && !conn->server->quitting;
    conn->body_left = head->framing == REM_FRAMING_LENGTH ? head->content_length : 0;
    conn->body_since = conn->server->clock->mono_ms;
    rem_sbuf_clear(&conn->x->body);
    if (take_head(conn) != 0) {
        fail(conn, 500);
        return false;
    }
    rc = conn->inlet != NULL ? check_inlet(conn) : check_access(conn);
    consume(conn, head->head_size);
    if (rc != REM_OK)
        return false;
    if (conn->body_left > REM_ADMIN_BODY_MAX) {
        fail(conn, 413);
        return false;
    }
    return true;
}

/* What follows the head? */
static void begin_body(struct rem_admin_conn *conn)
{
    const struct rem_h1_head *head = &conn->head.head;

    if (!accept_head(conn))
        return;
    if (head->framing == REM_FRAMING_CHUNKED)
        rem_chunk_decoder_init(&conn->chunks, &rem_admin_conn_limits, &conn->x->arena);
    if ((head->flags & REM_H1_EXPECT_CONTINUE) && conn->in_n == 0 &&
        (conn->body_left != 0 || head->framing == REM_FRAMING_CHUNKED))
        send_continue(conn);
    rem_admin_conn_goto(conn, REM_ADMIN_READ_BODY);
}

/* No head is complete: goes on waiting, or ends the connection. */
static enum rem_admin_step await_head(struct rem_admin_conn *conn)
{
    bool fresh = conn->in_n == 0;

    if (conn->in_n == REM_ADMIN_INPUT_SIZE) {
        fail(conn, 431);
        return REM_ADMIN_NEXT;
    }
    if (rem_admin_conn_fill(conn)) {
        if (fresh)
            rem_admin_conn_arm(conn, conn->server->patience.head);
        return REM_ADMIN_NEXT;
    }
    if (conn->in_n != 0 && conn->expired) {
        conn->x->call.request = (struct rem_api_request){0};
        fail(conn, 408);
        return REM_ADMIN_NEXT;
    }
    if (conn->eof || conn->expired || (conn->server->quitting && conn->in_n == 0)) {
        rem_admin_conn_goto(conn, REM_ADMIN_CLOSED);
        return REM_ADMIN_NEXT;
    }
    if (conn->in_n == 0) {
        free(conn->in);
        conn->in = NULL;
    }
    return REM_ADMIN_WAIT;
}

enum rem_admin_step rem_admin_conn_read_head(struct rem_admin_conn *conn)
{
    int rc = REM_EAGAIN;

    if (conn->in_n != 0) {
        if (conn->budget == 0) {
            event_active(conn->readable, EV_READ, 0);
            return REM_ADMIN_WAIT;
        }
        rc = rem_h1_request_parse(&conn->head, conn->in, conn->in_n);
    }
    if (rc == 0) {
        begin_body(conn);
        return REM_ADMIN_NEXT;
    }
    if (rc == REM_EAGAIN)
        return await_head(conn);
    conn->x->call.request = (struct rem_api_request){.why = conn->head.head.reason};
    fail(conn, conn->head.head.status);
    return REM_ADMIN_NEXT;
}

/* Takes body bytes from the input.  Returns 0 with *done, REM_EAGAIN, or why the request is
 * refused (REM_EPROTO, REM_ETOOBIG, REM_ENOMEM). */
static int take_body(struct rem_admin_conn *conn)
{
    int rc = 0;

    if (conn->head.head.framing != REM_FRAMING_CHUNKED) {
        size_t n = conn->in_n < conn->body_left ? conn->in_n : (size_t)conn->body_left;
        rem_sbuf_add(&conn->x->body, rem_str_make(conn->in, n));
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
        rem_sbuf_add(&conn->x->body, data);
        consume(conn, used);
        if (conn->x->body.n > body_limit(conn))
            return REM_ETOOBIG;
        if (rc == 0 && data.n == 0)
            break;
    }
    return conn->x->body.failed ? REM_ENOMEM : rc;
}

/* Changes may be under way together, as each sees those before it.  What reads must see them
 * published, and so must what has a precondition. */
static bool joins(const struct rem_api_request *request)
{
    return request->method != REM_METHOD_GET && request->method != REM_METHOD_HEAD &&
           !request->has_if_match && !request->has_if_none_match;
}

/* The request is complete: asks for its answer. */
static void hand_over(struct rem_admin_conn *conn)
{
    struct rem_admin_handler *handler = &conn->server->handler;
    struct rem_admin_exchange *x = conn->x;

    conn->x->call.request.body = rem_sbuf_str(&conn->x->body);
    conn->x->call.since_ms = rem_mono_ms();
    rem_api_response_reset(&conn->x->call.response);
    if (conn->budget > 0)
        conn->budget--;
    conn->joins = conn->keepalive && joins(&x->call.request);
    rem_admin_conn_enqueue(conn, false);
    if (conn->state != REM_ADMIN_ANSWER)
        rem_admin_conn_goto(conn, REM_ADMIN_ANSWER);
    handler->on_call(handler->data, &x->call);
}

/* Is the head that was just parsed one that may join, with its body behind it in the input? */
static bool may_join(const struct rem_admin_conn *conn)
{
    const struct rem_h1_head *head = &conn->head.head;
    const struct rem_api_request request = {
        .method = conn->head.method,
        .has_if_match = rem_fields_find(&head->fields, REM_FIELD_IF_MATCH) != NULL,
        .has_if_none_match = rem_fields_find(&head->fields, REM_FIELD_IF_NONE_MATCH) != NULL,
    };

    return joins(&request) && head->framing != REM_FRAMING_CHUNKED &&
           (head->framing != REM_FRAMING_LENGTH ||
            head->content_length <= conn->in_n - head->head_size);
}

bool rem_admin_conn_look_ahead(struct rem_admin_conn *conn)
{
    if (!conn->joins || conn->in_n == 0 || conn->count >= REM_ADMIN_PIPELINE || conn->budget == 0 ||
        !rem_admin_conn_make_exchange(conn))
        return false;
    rem_h1_request_init(&conn->head, &rem_admin_conn_limits, &conn->x->arena);
    /* What cannot join, or is no request, is looked at again when those before it are answered. */
    conn->joins = rem_h1_request_parse(&conn->head, conn->in, conn->in_n) == 0 && may_join(conn);
    if (!conn->joins)
        return false;
    conn->joins = false;
    if (!accept_head(conn))
        return true;
    if (take_body(conn) != 0) {
        fail(conn, 500);
        return true;
    }
    hand_over(conn);
    return true;
}

enum rem_admin_step rem_admin_conn_read_body(struct rem_admin_conn *conn)
{
    const struct rem_admin_patience *patience = &conn->server->patience;
    uint64_t taken = conn->server->clock->mono_ms - conn->body_since;
    int rc = take_body(conn);

    if (rc == 0) {
        hand_over(conn);
        return REM_ADMIN_NEXT;
    }
    if (rc != REM_EAGAIN) {
        fail(conn, rem_err_status(rc));
        return REM_ADMIN_NEXT;
    }
    if (rem_admin_conn_fill(conn)) {
        rem_admin_conn_arm(conn, patience->body);
        return REM_ADMIN_NEXT;
    }
    if (conn->expired || taken > patience->whole)
        fail(conn, 408);
    else if (conn->eof)
        rem_admin_conn_goto(conn, REM_ADMIN_CLOSED);
    else
        return REM_ADMIN_WAIT;
    return REM_ADMIN_NEXT;
}
