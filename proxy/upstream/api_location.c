/* SPDX-License-Identifier: Apache-2.0 */
/* api_location.c - `api`: a location that serves the agent's API, as configurations written for
 * NGINX Plus have it.
 *
 * The worker passes the exchange to the agent through the inlet (proto/shm/inlet.h).  What stands
 * behind the location's own name is a path of the Plus API ("/9/http/upstreams"), or of the API of
 * our own ("/v1/...").  Access to the location is for its other directives to say; the client's
 * credentials stay here.
 * While there is no agent, requests wait for the next one, for a while, and are answered 503 then.
 * A request that only reads is asked again when the agent dies over it; one that changes something
 * is not, as it may have been carried out.  */
#include "proto/shm/inlet.h"
#include "proto/wire/put.h"
#include "proto/wire/uri.h"
#include "proxy/conf/set.h"
#include "proxy/http/body.h"
#include "proxy/http/core.h"
#include "proxy/http/core_var.h"
#include "proxy/http/response.h"
#include "proxy/net/setup.h"
#include "proxy/upstream/h1_client.h"

enum {
    HEAD_MAX = 16384,
    CONNECT_MS = 1000,
    TRIES = 3,
    ANSWER_MS = 5000, /* for the head; an agent that was killed is back much sooner */
};

struct api_conf {
    bool on;
    bool write;
    struct rem_str prefix; /* the location's name without a slash at its end */
    const struct rem_setup *setup;
    struct rem_value local; /* the address that the client connected to */
    struct rem_value request_id;
};

struct api_ctx {
    struct rem_h1_client client;
    const struct api_conf *conf;
};

extern struct rem_module rem_api_module;

static const struct rem_h1_limits limits = {
    .max_line = HEAD_MAX, .max_head = HEAD_MAX, .max_fields = 100};

#define POLICY(next, read_ms)                                                                      \
    {                                                                                              \
        .connect_timeout = CONNECT_MS, .send_timeout = ANSWER_MS, .read_timeout = (read_ms),       \
        .next_upstream = (next), .request_buffering = 1, .pass_body = 1, .needs_length = true,     \
        .buffer_size = HEAD_MAX, .bufs = {8, HEAD_MAX}, .busy_size = (size_t)2 * HEAD_MAX          \
    }

static const struct rem_upstream_policy reading = POLICY(REM_FAULT_ERROR, ANSWER_MS);
static const struct rem_upstream_policy writing = POLICY(REM_FAULT_OFF, ANSWER_MS);
/* Once the head has come there is no limit: events may be rare. */
static const struct rem_upstream_policy answering = POLICY(REM_FAULT_OFF, 0);

/* ---- the request ---- */

/* The fields that mean something to the API. */
static bool passes(const struct rem_field *field)
{
    switch (field->id) {
    case REM_FIELD_HOST:
    case REM_FIELD_ACCEPT:
    case REM_FIELD_ORIGIN:
    case REM_FIELD_IF_MATCH:
    case REM_FIELD_IF_NONE_MATCH:
    case REM_FIELD_CONTENT_TYPE:
        return (field->flags & REM_FIELD_HOP) == 0;
    default:
        return rem_str_eq_nocase(field->name, REM_STR("Last-Event-ID"));
    }
}

/* The URI as it was sent, if only its escapes make it another: a name in it may hold a "%2F".
 * Returns: the URI that the request was found by, in all other cases. */
static struct rem_str path_of(struct rem_request *request, bool *raw)
{
    struct rem_str path = request->target;
    const char *mark = rem_str_chr(path, '?');

    *raw = false;
    if (mark != NULL)
        path.n = (size_t)(mark - path.p);
    if (!request->uri_quoted || !request->uri_as_sent || path.n == 0 || path.p[0] != '/')
        return request->uri;
    for (size_t i = 0; i + 1 < path.n; i++)
        if (path.p[i] == '/' && (path.p[i + 1] == '/' || path.p[i + 1] == '.'))
            return request->uri;
    *raw = true;
    return path;
}

/* What the agent knows the path as: that of the Plus API begins with "/api" there. */
static struct rem_str target_prefix(struct rem_request *request, const struct api_conf *conf,
                                    struct rem_str *rest, bool *raw)
{
    const struct rem_str own = REM_STR("/v1");

    *rest = path_of(request, raw);
    if (*raw && !rem_str_has_prefix(*rest, conf->prefix)) {
        *rest = request->uri;
        *raw = false;
    }
    if (rem_str_has_prefix(*rest, conf->prefix))
        *rest = rem_str_skip(*rest, conf->prefix.n);
    if (rem_str_has_prefix(*rest, own) && (rest->n == own.n || rest->p[own.n] == '/'))
        return REM_STR("");
    return rest->n != 0 && rest->p[0] != '/' ? REM_STR("/api/") : REM_STR("/api");
}

static void put_fields(struct rem_upstream_exchange *x, struct rem_put *put)
{
    struct rem_request *request = x->request;
    const struct api_ctx *ctx = x->data;
    char client[REM_ADDR_TEXT];
    struct rem_str local;

    REM_PUT(put, REM_INLET_FIELD ": ");
    rem_put_add(put, rem_str_from(ctx->conf->setup->inlet->secret));
    rem_put_add(put, ctx->conf->write ? REM_STR(" write\r\n") : REM_STR(" read\r\n"));
    if (rem_http_value(request, &ctx->conf->local, &local) == 0 && local.n <= REM_ADDR_TEXT)
        REM_PUT_FIELD(put, REM_INLET_LOCAL, local);
    REM_PUT_FIELD(put, REM_INLET_CLIENT,
                  rem_str_make(client, rem_addr_text(request->peer, client, sizeof(client))));
    REM_PUT(put, "Connection: close\r\n");
    if (request->has_body)
        rem_put_field_u64(put, REM_STR("Content-Length"), request->body->size);
    REM_FIELDS_EACH(field, &request->fields) {
        if (passes(field))
            rem_put_field(put, field->name, field->value);
    }
    rem_put_crlf(put);
}

static int create_request(struct rem_upstream_exchange *x)
{
    struct rem_request *request = x->request;
    const struct api_ctx *ctx = x->data;
    bool raw;
    struct rem_str rest, prefix = target_prefix(request, ctx->conf, &rest, &raw);
    size_t size = 2 * sizeof("/api/") + rem_uri_escape_size(rest, REM_URI_ESCAPE_PATH) +
                  rem_uri_escape_size(request->args, REM_URI_ESCAPE_ARGS) + request->method_name.n +
                  rem_put_fields_size(&request->fields) + 1024;
    char *memory = rem_arena_alloc(&request->arena, size);
    struct rem_put put;

    if (memory == NULL)
        return REM_ENOMEM;
    rem_put_init(&put, memory, size);
    rem_put_add(&put, request->method_name);
    rem_put_char(&put, ' ');
    x->target.p = put.at;
    rem_put_add(&put, prefix);
    if (raw)
        rem_put_add(&put, rest);
    else
        put.at = rem_uri_escape_to(put.at, rest, REM_URI_ESCAPE_PATH);
    if (request->args.n != 0) {
        rem_put_char(&put, '?');
        put.at = rem_uri_escape_to(put.at, request->args, REM_URI_ESCAPE_ARGS);
    }
    x->target.n = (size_t)(put.at - x->target.p);
    /* The agent takes HTTP/1.1 without a Host for a mistake, as it is; HTTP/1.0 may have none. */
    if (rem_fields_find(&request->fields, REM_FIELD_HOST) != NULL)
        REM_PUT(&put, " HTTP/1.1\r\n");
    else
        REM_PUT(&put, " HTTP/1.0\r\n");
    put_fields(x, &put);
    REM_CHECK(!put.full);
    x->upload.head = rem_put_str(&put);
    if (request->has_body)
        x->upload.body = request->body->bufs;
    return 0;
}

static int reinit_request(struct rem_upstream_exchange *x)
{
    struct api_ctx *ctx = x->data;
    bool head = x->request->method == REM_METHOD_HEAD;

    rem_h1_client_init(&ctx->client, x, &limits, head ? REM_H1_ASKED_HEAD : REM_H1_ASKED_OTHER,
                       false);
    return 0;
}

/* ---- the answer ---- */

static int process_head(struct rem_upstream_exchange *x)
{
    struct api_ctx *ctx = x->data;

    return rem_h1_client_head(&ctx->client, x);
}

/* The head becomes our own: who answers is nobody's business. */
static int answer(struct rem_upstream_exchange *x)
{
    const struct api_ctx *ctx = x->data;
    const struct rem_h1_head *head = &ctx->client.head.head;
    struct rem_response *response = &x->request->response;

    response->status = x->status;
    response->from_upstream = true; /* preconditions, above all, are the agent's to judge */
    response->content_length = -1;
    if (ctx->client.framing == REM_FRAMING_LENGTH ||
        (ctx->client.framing == REM_FRAMING_NONE && (head->flags & REM_H1_HAS_LENGTH) != 0))
        response->content_length = (int64_t)head->content_length;
    REM_FIELDS_EACH(field, &head->fields) {
        int rc = 0;

        if (field->id == REM_FIELD_CONTENT_TYPE)
            response->content_type = field->value;
        else if ((field->flags & REM_FIELD_HOP) == 0 && field->id != REM_FIELD_CONTENT_LENGTH &&
                 field->id != REM_FIELD_SERVER && field->id != REM_FIELD_DATE)
            rc = rem_fields_append(&response->fields, field);
        if (rc != 0)
            return rc;
    }
    x->policy = &answering;
    return 0;
}

static int answer_redirect(struct rem_upstream_exchange *x)
{
    (void)x; /* of the agent's fields nothing is owed to whoever answers instead */
    return 0;
}

static int input_filter(struct rem_upstream_exchange *x, char **at, size_t n, size_t *used,
                        size_t *kept)
{
    struct api_ctx *ctx = x->data;

    return rem_h1_client_body(&ctx->client, x, at, n, used, kept);
}

static int input_end(struct rem_upstream_exchange *x)
{
    struct api_ctx *ctx = x->data;

    return rem_h1_client_end(&ctx->client);
}

/* There was no agent, or it died: clients of the API expect its errors, not a page. */
static void finalize(struct rem_upstream_exchange *x, int result)
{
    struct rem_request *request = x->request;

    if (result < 502 || result > 504 || request->response.head_sent || request->finalized)
        return;
    rem_response_reset(request);
    x->result = 503; /* JSON, as the location's errors are */
}

static const struct rem_upstream_protocol protocol = {
    .name = "http",
    .scheme = "http://",
    .create_request = create_request,
    .reinit_request = reinit_request,
    .process_head = process_head,
    .answer = answer,
    .answer_redirect = answer_redirect,
    .input_filter = input_filter,
    .input_end = input_end,
    .finalize = finalize,
};

static int handle(struct rem_request *request)
{
    const struct api_conf *conf = request->location_conf[rem_api_module.index];
    struct api_ctx *ctx = rem_arena_alloc(&request->arena, sizeof(*ctx));
    bool reads = request->method == REM_METHOD_GET || request->method == REM_METHOD_HEAD;

    if (ctx == NULL)
        return 500;
    ctx->conf = conf;
    return rem_upstream_start_again(request, reads ? &reading : &writing, &protocol, ctx,
                                    &conf->setup->inlet->addr, TRIES);
}

/* ---- configuration ---- */

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct api_conf));
}

/* A block in the location (limit_except) has its requests answered by the location's handler. */
static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    struct api_conf *conf = child;

    (void)cf;
    if (!conf->on)
        *conf = *(const struct api_conf *)parent;
    return 0;
}

static int set_api(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_location_conf *location = rem_conf_location(cf, &rem_http_core_module);
    struct rem_setup *setup = cf->user;
    struct api_conf *api = conf;
    int rc;

    (void)d;
    if (api->on)
        return rem_conf_duplicate(cf);
    if (location->regex != NULL || location->named)
        return rem_conf_error(cf, "\"api\" cannot be used in a location given by regular "
                                  "expression or in a named location");
    if (cf->n_args == 2 && !rem_str_is(cf->args[1], "write=on") &&
        !rem_str_is(cf->args[1], "write=off"))
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[1]));
    api->on = true;
    api->write = cf->n_args == 2 && rem_str_is(cf->args[1], "write=on");
    api->setup = setup;
    api->prefix = location->name;
    if (api->prefix.n != 0 && api->prefix.p[api->prefix.n - 1] == '/')
        api->prefix.n--;
    rc = rem_value_compile(cf, REM_STR("$server_addr"), &api->local);
    if (rc == 0)
        rc = rem_value_compile(cf, REM_STR("$request_id"), &api->request_id);
    if (rc != 0)
        return rc;
    location->json_errors = &api->request_id; /* whoever refuses a client of the API */
    setup->wants_inlet = true;
    rem_core_set_handler(cf, handle);
    return 0;
}

static const struct rem_directive directives[] = {
    {"api", REM_CTX_LOCATION, REM_ARGS_0 | REM_ARGS_1, set_api, REM_LEVEL_LOCATION, 0, NULL},
    REM_DIRECTIVE_END,
};

struct rem_module rem_api_module = {
    .name = "api",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
};
