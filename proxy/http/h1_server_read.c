/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/h1_server_priv.h"

#include "proxy/http/special.h"

#include <errno.h>
#include <stdlib.h>

/* Less room than this behind a pipelined head's first bytes is not worth a call. */
enum { HEAD_ROOM = 1024 };

/* ---- blocks ---- */

struct rem_h1_block *h1_block_new(struct rem_worker *worker, size_t size)
{
    bool in_pool = size <= REM_H1_BLOCK_ROOM;
    struct rem_h1_block *block =
        in_pool ? rem_block_get(&worker->large) : malloc(sizeof(*block) + size);

    if (block != NULL) {
        block->refs = 1;
        block->size = (uint32_t)(in_pool ? REM_H1_BLOCK_ROOM : size);
        block->in_pool = in_pool;
    }
    return block;
}

void h1_block_put(struct rem_worker *worker, struct rem_h1_block *block)
{
    if (block == NULL || --block->refs > 0)
        return;
    if (block->in_pool)
        rem_block_put(&worker->large, block);
    else
        free(block);
}

/* ---- making an exchange ---- */

static void on_reset(void *data)
{
    struct rem_h1_exchange *x = data;

    struct rem_worker *worker = x->request->worker; /* the client may be gone already */

    h1_block_put(worker, x->in != x->head ? x->in : NULL);
    h1_block_put(worker, x->head);
}

/* Takes: the caller's count of `block`, also on failure.  Returns: NULL without memory. */
static struct rem_h1_exchange *new_exchange(struct rem_h1_client *client,
                                            struct rem_h1_block *block, uint32_t pos, uint32_t last)
{
    struct rem_request *request =
        rem_request_new(client->worker, &rem_h1_server_ops, &client->conn, client->address);
    struct rem_h1_exchange *x = NULL;

    if (request != NULL)
        x = rem_arena_zalloc(&request->arena, sizeof(*x));
    if (x == NULL || rem_arena_on_reset(&request->arena, on_reset, x) != REM_OK) {
        h1_block_put(client->worker, block);
        if (request != NULL)
            rem_request_drop(request);
        return NULL;
    }
    x->client = client;
    x->request = request;
    x->head = block;
    x->in = block;
    x->base = pos;
    x->pos = pos;
    x->last = last;
    request->codec = x;
    request->scheme = REM_STR("http");
    request->peer = &client->peer;
    request->listener = client->listener;
    request->proxied = client->proxied;
    rem_h1_request_init(&x->parse, &client->address->fallback->limits, &request->arena);
    client->x = x;
    return x;
}

/* A client that goes away between two requests, or before its first, is worth an info line. */
static void log_leaving(const struct rem_h1_client *client)
{
    struct rem_log_scope scope = {.log = client->worker->loop.log,
                                  .connection = client->conn.number};
    char peer[REM_ADDR_TEXT];
    char here[REM_ADDR_TEXT];

    if (scope.log->level < REM_LOG_INFO)
        return;
    rem_addr_host_text(&client->peer, peer, sizeof(peer));
    rem_addr_text(&client->listener->addr, here, sizeof(here));
    if (client->requests != 0)
        rem_log_write_in(&scope, REM_LOG_INFO, 0, "client %s closed keepalive connection", peer);
    else
        rem_log_write_in(&scope, REM_LOG_INFO, 0,
                         "client closed connection while waiting for request, client: %s, "
                         "server: %s",
                         peer, here);
}

/* The connection's first bytes of a request are here, or come right now.
 * Returns: NULL when there are none, or the connection has been closed. */
static struct rem_h1_exchange *begin(struct rem_h1_client *client)
{
    struct rem_h1_block *block = client->left;
    bool pipelined = block != NULL && client->requests != 0;
    struct rem_h1_exchange *x;
    uint32_t pos = 0;
    uint32_t last = 0;

    if (block != NULL) {
        pos = client->left_pos;
        last = client->left_last;
        client->left = NULL;
    } else {
        ssize_t n = REM_ENOMEM;

        block = h1_block_new(client->worker, 1);
        if (block != NULL)
            n = rem_conn_recv(&client->conn, block->data, block->size);
        if (n <= 0) {
            h1_block_put(client->worker, block);
            if (n != REM_EAGAIN) {
                log_leaving(client);
                h1_close(client);
            }
            return NULL;
        }
        last = (uint32_t)n;
    }
    x = new_exchange(client, block, pos, last);
    if (x == NULL) {
        REM_LOG(client->worker->loop.log, REM_LOG_ALERT, ENOMEM, "no memory for a request");
        h1_close(client);
        return NULL;
    }
    x->request->pipelined = pipelined;
    x->request->connection_start_ms = client->accepted_ms;
    h1_goto(client, REM_H1_IN_HEAD);
    return x;
}

/* ---- room for more of a head ---- */

/* Moves what has arrived to a block of its own, twice as large where that is full too. */
static int make_room(struct rem_h1_exchange *x)
{
    struct rem_worker *worker = x->client->worker;
    uint32_t n = x->last - x->base;
    struct rem_h1_block *block;

    if (x->in->size - x->last > (x->base > 0 ? HEAD_ROOM : 0))
        return REM_OK;
    block = h1_block_new(worker, x->base > 0 ? n + 1 : (size_t)x->in->size * 2);
    if (block == NULL)
        return REM_ENOMEM;
    memcpy(block->data, x->in->data + x->base, n);
    h1_block_put(worker, x->in);
    x->head = block;
    x->in = block;
    x->base = 0;
    x->pos = 0;
    x->last = n;
    return REM_OK;
}

/* Asks the socket even where it seems drained: a reset that came together with the last bytes shows
 * only so, and a head in pieces is rare.
 * Returns: REM_OK when bytes have been added, or REM_EAGAIN, REM_ECLOSED, REM_EIO, REM_ENOMEM. */
static int receive(struct rem_h1_exchange *x)
{
    struct rem_h1_client *client = x->client;
    int rc = make_room(x);
    ssize_t n;

    if (rc != REM_OK)
        return rc;
    n = rem_conn_recv(&client->conn, x->in->data + x->last, x->in->size - x->last);
    if (n < 0)
        return (int)n;
    x->last += (uint32_t)n;
    return REM_OK;
}

/* ---- from a parsed head to a request ---- */

/* The digits behind "host:", as sent. */
static struct rem_str port_digits(const struct rem_authority *authority)
{
    struct rem_str digits = {NULL, 0};

    if (!authority->has_port)
        return digits;
    digits.p = memrchr(authority->text.p, ':', authority->text.n);
    if (digits.p == NULL)
        return (struct rem_str){NULL, 0};
    digits.p++;
    digits.n = (size_t)(authority->text.p + authority->text.n - digits.p);
    return digits;
}

/* The target from its path on: what a server would have been sent in origin form. */
static int origin_target(struct rem_request *request, const struct rem_h1_request *parse)
{
    const struct rem_target *uri = &parse->uri;

    if (uri->form != REM_TARGET_ABSOLUTE && !uri->has_fragment) {
        request->target = parse->target;
        return REM_OK;
    }
    request->target = rem_arena_printf(&request->arena, "%.*s%s%.*s", REM_STR_ARG(uri->path),
                                       uri->has_args ? "?" : "", REM_STR_ARG(uri->args));
    return request->target.p != NULL ? REM_OK : REM_ENOMEM;
}

static int fill_target(struct rem_request *request, const struct rem_h1_request *parse)
{
    const struct rem_target *uri = &parse->uri;
    bool merge = request->server->merge_slashes != 0;
    int rc = origin_target(request, parse);

    if (rc != REM_OK)
        return rc;
    request->args = uri->args;
    request->uri_as_sent = true;
    request->uri_quoted = rem_str_chr(uri->path, '%') != NULL;
    return rem_uri_normalize(uri->path, merge, &request->arena, &request->uri);
}

/* What a head says of the request whatever its target and its body are. */
static void fill_head(struct rem_h1_exchange *x)
{
    const struct rem_h1_request *parse = &x->parse;
    struct rem_request *request = x->request;

    request->method = parse->method;
    request->method_name = parse->method_text;
    request->line = parse->line;
    request->version = parse->head.minor >= 1 ? 11 : 10;
    request->fields = parse->head.fields;
}

/* Errors: REM_EINVAL (the target cannot be understood), REM_ENOMEM. */
static int fill_request(struct rem_h1_exchange *x)
{
    const struct rem_h1_request *parse = &x->parse;
    struct rem_request *request = x->request;
    const struct rem_h1_head *head = &parse->head;
    int rc;

    fill_head(x);
    request->head_size = head->head_size;
    request->received = head->head_size;
    request->expect_continue = (head->flags & REM_H1_EXPECT_CONTINUE) != 0;
    request->upgrade_asked = (head->flags & REM_H1_UPGRADE) != 0 && head->minor >= 1;
    request->keepalive = rem_h1_persists(head);
    request->connection_requests = ++x->client->requests;
    rc = fill_target(request, parse);
    if (rc != REM_OK || parse->host.host.n == 0)
        return rc;
    request->host_port = port_digits(&parse->host);
    return rem_host_lower(&parse->host, &request->arena, &request->host);
}

/* ---- requests that cannot be ---- */

/* A head that is complete and wrong all the same has a target that makes no sense. */
static const char *doing(const struct rem_h1_exchange *x)
{
    return x->parse.line.n != 0 && x->request->line.n == 0 ? "reading client request headers"
                                                           : "reading client request line";
}

/* The pages, logs and limits of the server that the client named, if it got that far: whose they
 * are is nobody else's to see. */
static void choose_server(struct rem_h1_exchange *x)
{
    struct rem_request *request = x->request;
    struct rem_authority host;

    if (!rem_h1_request_seen_host(&x->parse, x->in->data + x->base, x->last - x->base, &host) ||
        rem_host_lower(&host, &request->arena, &request->host) != REM_OK)
        return;
    request->host_port = port_digits(&host);
    (void)rem_request_choose_server(request); /* without memory the default one does */
}

/* For the log and the error page: a head that is refused is told of as far as it came. */
static void salvage(struct rem_h1_exchange *x)
{
    struct rem_request *request = x->request;

    choose_server(x);
    if (request->line.n != 0)
        return;
    request->line = rem_h1_request_seen_line(&x->parse, x->in->data + x->base, x->last - x->base);
    if (!rem_h1_request_salvage(&x->parse, x->in->data + x->base))
        return;
    fill_head(x);
    if (x->parse.uri.path.n != 0)
        (void)fill_target(request, &x->parse); /* what it made no sense of is empty */
}

static void reject(struct rem_h1_exchange *x, int status, const char *reason)
{
    struct rem_request *request = x->request;
    struct rem_h1_client *client = x->client;
    const char *then = doing(x);

    salvage(x);
    REM_LOG_IN(&request->log, REM_LOG_INFO, 0, "%s while %s", reason, then);
    request->received = x->last - x->base;
    request->version = request->version != 0 ? request->version : 10;
    client->loc = rem_core_location(request);
    x->in_error = REM_EPROTO; /* what follows is read by nobody */
    h1_goto(client, REM_H1_IN_BODY);
    rem_request_reject(request, status);
}

/* The client closed, or its socket broke, before the head was complete. */
static void head_cut(struct rem_h1_exchange *x, const char *why)
{
    struct rem_h1_client *client = x->client;

    if (rem_h1_is_untouched(&x->parse.head)) {
        h1_close(client);
        return;
    }
    x->gone = true; /* there is nobody to answer */
    x->request->client_gone = true;
    reject(x, 400, why);
}

void h1_head_timeout(struct rem_h1_client *client)
{
    struct rem_h1_exchange *x = client->x;
    const char *then = doing(x);

    x->timed_out = true;
    salvage(x);
    client->loc = rem_core_location(x->request);
    REM_LOG_IN(&x->request->log, REM_LOG_INFO, 0, "client timed out (%d: %s) while %s", ETIMEDOUT,
               strerror(ETIMEDOUT), then);
    h1_goto(client, REM_H1_IN_BODY);
    rem_request_reject(x->request, 408);
}

/* ---- the driver's step ---- */

/* Who misses a field in a log or behind the proxy finds here that it was left out. */
static void log_left_out(const struct rem_h1_exchange *x)
{
    struct rem_h1_walk walk = {0};
    struct rem_str line;

    while (rem_h1_next_left_out(&x->parse, x->in->data + x->base, &walk, &line))
        REM_LOG_IN(&x->request->log, REM_LOG_INFO, 0,
                   "client sent invalid header line: \"%.*s\" while reading client request headers",
                   REM_STR_ARG(line));
}

static void head_complete(struct rem_h1_exchange *x)
{
    struct rem_h1_client *client = x->client;
    int rc = fill_request(x);

    if (x->parse.head.dropped != 0 && x->request->log.log->level >= REM_LOG_INFO)
        log_left_out(x);
    if (rc != REM_OK) {
        reject(x, rc == REM_ENOMEM ? 500 : 400, "client sent invalid request");
        return;
    }
    x->base += x->parse.head.head_size;
    x->pos = x->base;
    client->loc = rem_core_location(x->request);
    h1_body_begin(x);
    rem_request_start(x->request);
}

void h1_read_head(struct rem_h1_client *client)
{
    struct rem_h1_exchange *x = client->x;
    bool fresh = x == NULL;
    int rc = REM_OK;

    if (fresh)
        x = begin(client);
    else
        rc = receive(x);
    if (x == NULL)
        return;
    while (rc == REM_OK) {
        rc = rem_h1_request_parse(&x->parse, x->in->data + x->base, x->last - x->base);
        if (rc == REM_OK) {
            head_complete(x);
            return;
        }
        if (rc != REM_EAGAIN) {
            reject(x, x->parse.head.status,
                   rem_h1_refusal(&x->parse.head, x->in->data + x->base, x->last - x->base,
                                  &x->request->arena));
            return;
        }
        rc = receive(x);
    }
    if (rc == REM_ENOMEM)
        reject(x, 500, "no memory for a request's head");
    else if (rc != REM_EAGAIN)
        head_cut(x, rc == REM_ECLOSED ? "client prematurely closed connection"
                                      : "client connection failed");
    else if (fresh)
        h1_set_timer(client, client->address->fallback->client_header_timeout);
}
