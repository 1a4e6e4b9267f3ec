/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/request.h"

#include "proxy/http/core.h"
#include "proxy/http/exchange.h"
#include "proxy/http/filter.h"
#include "proxy/http/phase.h"
#include "proxy/http/post_action.h"
#include "proxy/http/special.h"
#include "proxy/http/status_zone.h"
#include "proxy/http/subrequest.h"

#include <stdio.h>

enum { BLOCK_HEAD = 16 };

/* A request starts in its arena's first block, so that it costs one recycled block and no malloc.
 */
_Static_assert(sizeof(struct rem_request) <= REM_BLOCK_SMALL / 2, "room for a request's own data");

/* ---- log lines ---- */

static size_t put_text(char *buf, size_t size, size_t at, const char *label, struct rem_str text,
                       const char *quote)
{
    int n = snprintf(buf + at, size - at, ", %s: %s%.*s%s", label, quote, REM_STR_ARG(text), quote);

    if (n < 0)
        return at;
    return (size_t)n < size - at ? at + (size_t)n : size - 1;
}

static size_t log_context(void *data, char *buf, size_t size)
{
    const struct rem_request *request = data;
    const struct rem_field *host = rem_fields_find(&request->fields, REM_FIELD_HOST);
    const struct rem_field *referrer = rem_fields_find(&request->fields, REM_FIELD_REFERER);
    char text[REM_ADDR_TEXT];
    size_t at = 0;

    if (size == 0)
        return 0;
    if (request->peer != NULL) {
        size_t n = rem_addr_host_text(request->peer, text, sizeof(text));
        at = put_text(buf, size, at, "client", rem_str_make(text, n), "");
    }
    if (request->server != NULL)
        at = put_text(buf, size, at, "server", request->server->name, "");
    if (request->line.n != 0)
        at = put_text(buf, size, at, "request", request->line, "\"");
    if (request->parent != NULL)
        at = put_text(buf, size, at, "subrequest", request->uri, "\"");
    if (request->log_upstream.n != 0)
        at = put_text(buf, size, at, "upstream", request->log_upstream, "\"");
    if (host != NULL)
        at = put_text(buf, size, at, "host", host->value, "\"");
    if (referrer != NULL)
        at = put_text(buf, size, at, "referrer", referrer->value, "\"");
    return at;
}

/* ---- birth ---- */

/* Zeroed memory for a table, in the arena's block, in a block of its own, or else malloc'ed. */
static void *alloc_table(struct rem_request *request, size_t size)
{
    struct rem_arena *arena = &request->arena;
    size_t room = (size_t)(arena->end - arena->at);
    struct rem_block *block;

    if (size <= room || size > arena->pool->block_size - BLOCK_HEAD)
        return rem_arena_zalloc(arena, size);
    block = rem_block_get(arena->pool);
    if (block == NULL)
        return NULL;
    /* Behind the first: what is left of that one stays in use. */
    block->next = arena->blocks->next;
    arena->blocks->next = block;
    return memset((char *)block + BLOCK_HEAD, 0, size);
}

static struct rem_request *alloc_request(struct rem_block_pool *pool)
{
    struct rem_block *block = rem_block_get(pool);
    struct rem_request *request;

    if (block == NULL)
        return NULL;
    block->next = NULL;
    request = (struct rem_request *)(void *)((char *)block + BLOCK_HEAD);
    memset(request, 0, sizeof(*request));
    request->arena = (struct rem_arena){
        .pool = pool,
        .blocks = block,
        .at = (char *)block + BLOCK_HEAD + ((sizeof(*request) + 15) & ~(size_t)15),
        .end = (char *)block + pool->block_size,
    };
    return request;
}

static void free_request(struct rem_request *request)
{
    struct rem_arena arena = request->arena; /* which holds the request itself */

    request->magic = 0;
    rem_arena_reset(&arena);
}

/* Has the request freed at the end of the turn, unless somebody still looks at its memory. */
static void may_free(struct rem_request *request)
{
    struct rem_request *client = rem_subrequest_client(request);

    if (client->over && !client->held && !rem_subrequest_alive(client))
        rem_loop_defer(&client->worker->loop, &client->free);
}

static void on_free(struct rem_post *post)
{
    struct rem_request *request = REM_CONTAINER(post, struct rem_request, free), *child;

    while ((child = rem_subrequest_take(request)) != NULL)
        free_request(child);
    free_request(request);
}

static void on_resume(struct rem_post *post)
{
    struct rem_request *request = REM_CONTAINER(post, struct rem_request, resume);

    if (!request->finalized)
        rem_phase_run(request);
}

static int alloc_values(struct rem_request *request)
{
    const struct rem_http_main_conf *http = rem_core_main(request);
    size_t n_vars = rem_vars_count(http->vars);

    request->eval =
        (struct rem_eval){.subject = request, .arena = &request->arena, .vars = http->vars};
    request->eval.cache = alloc_table(request, (n_vars + 1) * sizeof(*request->eval.cache));
    return request->eval.cache != NULL ? REM_OK : REM_ENOMEM;
}

/* What every request begins with; only module contexts take memory. */
static int init_request(struct rem_request *request, struct rem_worker *worker,
                        const struct rem_exchange_ops *ops, struct rem_conn *conn,
                        const struct rem_http_server_conf *server)
{
    const struct rem_clock *clock = &worker->loop.clock;

    request->magic = REM_REQUEST_MAGIC;
    request->worker = worker;
    request->exchange = ops;
    request->conn = conn;
    request->log = (struct rem_log_scope){worker->loop.log, conn->number, log_context, request};
    request->start_ms = clock->mono_ms;
    request->start_sec = clock->wall_sec;
    request->start_msec = clock->wall_msec;
    request->response.content_length = -1;
    request->response.last_modified = -1;
    rem_fields_init(&request->response.fields, &request->arena);
    rem_fields_init(&request->response.trailers, &request->arena);
    rem_post_init(&request->resume, on_resume);
    rem_post_init(&request->free, on_free);
    rem_core_use_server(request, server);
    request->module_ctx = alloc_table(request, rem_core_main(request)->n_modules * sizeof(void *));
    return request->module_ctx != NULL ? REM_OK : REM_ENOMEM;
}

struct rem_request *rem_request_new(struct rem_worker *worker, const struct rem_exchange_ops *ops,
                                    struct rem_conn *conn, const struct rem_http_address *address)
{
    struct rem_request *request = alloc_request(&worker->small);

    if (request == NULL)
        return NULL;
    request->address = address;
    if (init_request(request, worker, ops, conn, address->fallback) != REM_OK ||
        alloc_values(request) != REM_OK) {
        free_request(request);
        return NULL;
    }
    return request;
}

/* The head that the client sent, and what is known of the client. */
static void inherit(struct rem_request *child, const struct rem_request *parent)
{
    child->parent = (struct rem_request *)(uintptr_t)parent;
    child->peer = parent->peer;
    child->real_peer = parent->real_peer;
    child->proxied = parent->proxied;
    child->listener = parent->listener;
    child->address = parent->address;
    child->line = parent->line;
    child->target = parent->target;
    child->version = parent->version;
    child->fields = parent->fields;
    child->scheme = parent->scheme;
    child->host = parent->host;
    child->host_port = parent->host_port;
    child->head_size = parent->head_size;
    child->connection_requests = parent->connection_requests;
    child->connection_start_ms = parent->connection_start_ms;
    child->pipelined = parent->pipelined;
    child->limit_req_status = parent->limit_req_status;
    child->limit_conn_status = parent->limit_conn_status;
    child->eval = parent->eval; /* its values and their memory, but not its captures */
    child->eval.subject = child;
    child->eval.captured = NULL;
    child->eval.ovector = NULL;
    child->eval.n_captures = 0;
    child->eval.depth = 0;
}

struct rem_request *rem_request_new_child(struct rem_request *parent,
                                          const struct rem_exchange_ops *ops)
{
    struct rem_request *child = alloc_request(&parent->worker->small);

    if (child == NULL)
        return NULL;
    if (init_request(child, parent->worker, ops, parent->conn, parent->server) != REM_OK) {
        free_request(child);
        return NULL;
    }
    inherit(child, parent);
    child->method = REM_METHOD_GET;
    child->method_name = REM_STR("GET");
    child->internal = true;
    rem_phase_enter(child, REM_PHASE_SERVER_REWRITE);
    return child;
}

/* ---- counting; this worker is the only writer of its lines, so load and store do ---- */

static void count(_Atomic uint64_t *counter)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}

static void count_current(struct rem_shm_worker *counters, int64_t change)
{
    int64_t value = atomic_load_explicit(&counters->requests_current, memory_order_relaxed);

    atomic_store_explicit(&counters->requests_current, value + change, memory_order_relaxed);
}

static void count_begin(struct rem_request *request)
{
    struct rem_shm_worker *counters = request->worker->counters;

    if (counters == NULL)
        return;
    count(&counters->requests);
    count_current(counters, 1);
    rem_status_zone_begin(request);
}

static void count_end(struct rem_request *request)
{
    struct rem_shm_worker *counters = request->worker->counters;
    int class = request->response.status / 100;

    if (counters == NULL)
        return;
    count_current(counters, -1);
    if (class >= 1 && class <= REM_SHM_CLASSES)
        count(&counters->responses[class - 1]);
    rem_status_zone_end(request);
}

/* ---- life ---- */

int rem_request_choose_server(struct rem_request *request)
{
    const struct rem_http_server_conf *server;
    int rc = rem_core_find_server(request->address, request->host, &request->eval, &server);

    if (rc == REM_OK && server != request->server)
        rem_core_use_server(request, server);
    return rc;
}

void rem_request_start(struct rem_request *request)
{
    int rc;

    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    rc = rem_request_choose_server(request);
    count_begin(request);
    if (rc != REM_OK) {
        rem_request_finalize(request, 500);
        return;
    }
    rem_phase_enter(request, REM_PHASE_POST_READ);
    rem_phase_run(request);
}

void rem_request_reject(struct rem_request *request, int status)
{
    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    count_begin(request);
    request->keepalive = false;
    request->lingering = true;
    /* The codec names it by the standard; configurations know it by nginx's number. */
    rem_request_finalize(request, status == 431 ? REM_STATUS_HEAD_TOO_LARGE : status);
}

void rem_request_resume(struct rem_request *request)
{
    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    /* Not from inside the handler that is about to return REM_HTTP_AGAIN. */
    rem_loop_post(&request->worker->loop, &request->resume);
}

int rem_request_on_cleanup(struct rem_request *request, void (*run)(void *data), void *data)
{
    struct rem_http_cleanup *cleanup = rem_arena_alloc(&request->arena, sizeof(*cleanup));

    if (cleanup == NULL)
        return REM_ENOMEM;
    *cleanup = (struct rem_http_cleanup){request->cleanups, run, data};
    request->cleanups = cleanup;
    return REM_OK;
}

static void run_cleanups(struct rem_request *request)
{
    while (request->cleanups != NULL) {
        struct rem_http_cleanup *cleanup = request->cleanups;

        request->cleanups = cleanup->next;
        cleanup->run(cleanup->data);
    }
}

void rem_request_release(struct rem_request *request)
{
    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    request->held = false;
    may_free(request);
}

void rem_request_drop(struct rem_request *request)
{
    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    request->finalized = true;
    request->over = true;
    request->codec = NULL;
    rem_request_release(request);
}

/* Of a subrequest that was given up before it had an answer there is nothing to tell. */
static bool is_logged(const struct rem_request *request)
{
    return request->parent == NULL || request->logs_parent ||
           (request->response.status != 0 && rem_core_location(request)->log_subrequest);
}

/* The single exit. */
static void terminate(struct rem_request *request, bool abort)
{
    bool acted;

    if (request->over) /* what ends with it may have brought us here again */
        return;
    request->finalized = true;
    request->over = true;
    request->on_writable = NULL;
    request->on_body = NULL;
    request->on_client_gone = NULL;
    rem_post_cancel(&request->resume);
    /* An abort gives queued bufs back first, while their owners are alive. */
    if (abort)
        request->exchange->finish(request, true);
    acted = rem_post_action_start(request);
    rem_subrequest_leave(request);
    run_cleanups(request);
    if (!acted && is_logged(request))
        rem_phase_log(request);
    if (request->parent == NULL)
        count_end(request);
    if (!abort)
        request->exchange->finish(request, false);
    may_free(request);
}

void rem_request_abort(struct rem_request *request)
{
    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    terminate(request, true);
}

static bool is_flushed(const struct rem_request *request)
{
    return request->buffered == 0 && request->exchange->queued(request) == 0 &&
           !rem_subrequest_pending(request);
}

static void on_flushed(struct rem_request *request)
{
    if (is_flushed(request))
        terminate(request, false);
}

static void on_gone_while_flushing(struct rem_request *request)
{
    if (request->client_gone)
        terminate(request, true);
    else
        rem_subrequest_hangup(request);
}

/* The response is complete: waits until the codec has sent it. */
static void finish(struct rem_request *request)
{
    struct rem_response *response = &request->response;

    if (!response->head_sent || (!response->body_done && !response->no_body)) {
        /* The client cannot tell a response that stops in the middle but by a connection that ends.
         */
        terminate(request, true);
        return;
    }
    request->finalized = true;
    if (is_flushed(request)) {
        terminate(request, false);
        return;
    }
    request->on_writable = on_flushed;
    request->on_client_gone = on_gone_while_flushing;
    request->on_body = NULL;
    if (request->buffered != 0) {
        rem_request_writable(request);
        return;
    }
    request->exchange->send_body(request, NULL);
    /* Nothing is called back from inside send_body, so what it changed is looked at here. */
    if (request->client_gone)
        terminate(request, true);
    else
        on_flushed(request);
}

void rem_request_writable(struct rem_request *request)
{
    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    if (request->buffered != 0) {
        int rc = rem_http_send_body(request, NULL);

        if (request->client_gone && request->on_client_gone != NULL) {
            request->on_client_gone(request);
            return;
        }
        if (rc != REM_OK && rc != REM_EAGAIN) {
            terminate(request, true);
            return;
        }
        if (request->buffered != 0)
            return;
    }
    rem_subrequest_writable(request);
    if (request->on_writable != NULL)
        request->on_writable(request);
}

/* Statuses that are logged and never sent. */
static bool is_silent(int status)
{
    return status == REM_STATUS_CLOSE || status == REM_STATUS_CLIENT_CLOSED || status == 408;
}

void rem_request_finalize(struct rem_request *request, int result)
{
    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    if (request->finalized || result == REM_HTTP_DONE || result == REM_HTTP_AGAIN)
        return;
    if (result > 0 && !request->response.head_sent && !is_silent(result) && !request->client_gone) {
        result = rem_special_respond(request, result);
        if (request->finalized || result == REM_HTTP_DONE)
            return;
    }
    if (result == REM_HTTP_OK || result == REM_HTTP_DECLINED) {
        finish(request);
        return;
    }
    if (result > 0 && !request->response.head_sent)
        request->response.status = result;
    terminate(request, true);
}

/* ---- redirects ---- */

/* Counts a redirect, of the kind that `doing` names.  Returns: whether it may be. */
static bool may_redirect(struct rem_request *request, const char *doing, struct rem_str where)
{
    if (request->uri_changes++ < REM_URI_CHANGES_MAX)
        return true;
    REM_LOG_IN(&request->log, REM_LOG_ERROR, 0,
               "rewrite or internal redirection cycle while %s \"%.*s\"", doing,
               REM_STR_ARG(where));
    rem_request_finalize(request, 500);
    return false;
}

static void forget_contexts(struct rem_request *request)
{
    memset(request->module_ctx, 0, rem_core_main(request)->n_modules * sizeof(void *));
    request->content = NULL;
    request->internal = true;
    request->uri_changed = false;
    request->uri_behind_alias = false;
    request->access_status = 0;
}

int rem_request_redirect(struct rem_request *request, struct rem_str uri, struct rem_str args)
{
    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    request->uri = uri;
    request->args = args;
    request->uri_as_sent = false;
    if (!may_redirect(request, "internally redirecting to", uri))
        return REM_HTTP_DONE;
    forget_contexts(request);
    rem_core_use_server(request, request->server);
    rem_phase_enter(request, REM_PHASE_SERVER_REWRITE);
    rem_phase_run(request);
    return REM_HTTP_DONE;
}

int rem_request_redirect_named(struct rem_request *request, struct rem_str name)
{
    const struct rem_http_location_conf *location;

    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    if (!may_redirect(request, "redirect to named location", name))
        return REM_HTTP_DONE;
    location = rem_core_find_named(request->server, name);
    if (location == NULL) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "could not find named location \"%.*s\"",
                   REM_STR_ARG(name));
        rem_request_finalize(request, 500);
        return REM_HTTP_DONE;
    }
    forget_contexts(request);
    rem_core_use_location(request, location);
    rem_phase_enter(request, REM_PHASE_REWRITE);
    rem_phase_run(request);
    return REM_HTTP_DONE;
}
