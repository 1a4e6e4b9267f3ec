/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_head.c - the head of the request that the server gets. */
#include "proxy/http/body.h"
#include "proxy/http/http.h"
#include "proxy/upstream/proxy.h"

/* One request's head while it is made. */
struct head {
    struct rem_request *request;
    const struct rem_proxy_ctx *ctx;
    struct rem_str method;
    struct rem_str target;
    struct rem_str *values; /* of conf->own_sets */
    bool chunked;
    int64_t length; /* of the body; -1: no such field */
};

/* ---- the target ---- */

/* Path and args as the client sent them, without what an absolute target has before them. */
static struct rem_str raw_target(const struct rem_request *request)
{
    struct rem_str raw = request->target;
    struct rem_target parts;

    if (raw.n != 0 && raw.p[0] == '/' && rem_str_chr(raw, '#') == NULL)
        return raw;
    if (rem_target_split(raw, false, request->method == REM_METHOD_OPTIONS, &parts) != 0)
        return rem_str_make(NULL, 0);
    if (parts.form == REM_TARGET_ASTERISK)
        return raw;
    /* "http://host?x": there is no "/" in the bytes to begin with. */
    if (parts.path.n == 0 || parts.path.p < raw.p || parts.path.p >= raw.p + raw.n)
        return rem_str_make(NULL, 0);
    if (!parts.has_args)
        return parts.path;
    return rem_str_make(parts.path.p, (size_t)(parts.args.p + parts.args.n - parts.path.p));
}

/* `prefix`, the escaped path, and the request's args. */
static int join_target(struct rem_request *request, struct rem_str prefix, struct rem_str path,
                       struct rem_str *out)
{
    struct rem_put put;
    size_t size = prefix.n + rem_uri_escape_size(path, REM_URI_ESCAPE_PATH) + 2 +
                  rem_uri_escape_size(request->args, REM_URI_ESCAPE_ARGS);
    char *memory = rem_arena_alloc(&request->arena, size);

    if (memory == NULL)
        return REM_ENOMEM;
    rem_put_init(&put, memory, size);
    rem_put_add(&put, prefix);
    put.at = rem_uri_escape_to(put.at, path, REM_URI_ESCAPE_PATH);
    if (request->args.n != 0) {
        rem_put_char(&put, '?');
        put.at = rem_uri_escape_to(put.at, request->args, REM_URI_ESCAPE_ARGS);
    }
    *out = rem_put_str(&put);
    return 0;
}

int rem_proxy_target_uri(struct rem_request *request, const struct rem_proxy_target *target,
                         const struct rem_proxy_url *url, struct rem_str *out)
{
    struct rem_str path = request->uri;

    if (url->uri.n != 0 && target->value != NULL) {
        /* With variables the URI part is all there is: it is sent as it came out. */
        *out = url->uri;
        if (out->p[0] == '/')
            return 0;
        *out = rem_arena_printf(&request->arena, "/%.*s", REM_STR_ARG(url->uri));
        return out->p != NULL ? 0 : REM_ENOMEM;
    }
    if (url->uri.n == 0 || request->uri_replaced) {
        *out = request->uri_as_sent ? raw_target(request) : rem_str_make(NULL, 0);
        return out->n != 0 ? 0 : join_target(request, rem_str_make(NULL, 0), path, out);
    }
    if (rem_str_has_prefix(path, target->location))
        path = rem_str_skip(path, target->location.n);
    return join_target(request, url->uri, path, out);
}

/* ---- the body ---- */

static int body_framing(struct rem_upstream_exchange *x, struct head *head)
{
    const struct rem_proxy_conf *conf = head->ctx->conf;
    struct rem_request *request = x->request;
    struct rem_upload *up = &x->upload;

    head->chunked = false;
    head->length = -1;
    if (conf->body != NULL) {
        struct rem_buf *buf = rem_arena_zalloc(&request->arena, sizeof(*buf));
        struct rem_str text;
        if (buf == NULL || rem_http_value(request, conf->body, &text) != 0)
            return REM_ENOMEM;
        buf->pos = (char *)(uintptr_t)text.p;
        buf->last = buf->pos + text.n;
        buf->fd = -1;
        up->streamed = false;
        up->body = text.n != 0 ? buf : NULL;
        head->length = (int64_t)text.n;
    } else if (request->has_body && conf->policy.pass_body) {
        if (up->streamed) {
            head->length = request->content_length;
            head->chunked = head->length < 0;
            up->chunked = head->chunked;
        } else {
            up->body = request->body->bufs;
            head->length = (int64_t)request->body->size;
        }
    } else if (conf->policy.pass_body &&
               rem_fields_find(&request->fields, REM_FIELD_CONTENT_LENGTH) != NULL) {
        head->length = 0; /* it said so itself */
    }
    return 0;
}

/* ---- fields ---- */

static int eval_sets(struct head *head)
{
    const struct rem_array *sets = head->ctx->conf->own_sets;
    struct rem_request *request = head->request;

    head->values = rem_arena_alloc(&request->arena, sets->n * sizeof(*head->values));
    if (head->values == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < sets->n; i++) {
        const struct rem_proxy_set *set = rem_array_at(sets, i);
        int rc = rem_http_value(request, &set->value, &head->values[i]);
        if (rc != 0)
            return rc == REM_ENOMEM ? rc : 500;
        /* A variable may hold what the client encoded; a line end would be a field of its own. */
        if (!rem_value_is_static(&set->value) && !rem_put_is_value(head->values[i])) {
            REM_LOG_IN(&request->log, REM_LOG_ERROR, 0,
                       "control characters in the value of \"%.*s\" for the upstream",
                       REM_STR_ARG(set->name));
            return 400;
        }
    }
    return 0;
}

/* Whether a field of the client's is passed on. */
static bool passes(const struct head *head, const struct rem_field *field)
{
    return (field->flags & (REM_FIELD_HOP | REM_FIELD_INVALID_NAME)) == 0 &&
           !rem_proxy_names_has(head->ctx->conf->skip, field);
}

static size_t head_size(const struct head *head)
{
    const struct rem_proxy_conf *conf = head->ctx->conf;
    size_t size = rem_put_request_line_size(head->method, head->target) + 2;

    for (uint32_t i = 0; i < conf->own_sets->n; i++)
        size += rem_put_field_size(REM_ARRAY_OF(conf->own_sets, struct rem_proxy_set)[i].name,
                                   head->values[i]);
    size +=
        sizeof("Transfer-Encoding: chunked\r\n") + sizeof("Content-Length: \r\n") + REM_PUT_U64_MAX;
    if (conf->pass_headers)
        size += rem_put_fields_size(&head->request->fields);
    return size;
}

static void put_head(const struct head *head, struct rem_put *put)
{
    const struct rem_proxy_conf *conf = head->ctx->conf;

    rem_put_request_line(put, head->method, head->target, conf->http_version == 10 ? 0 : 1);
    for (uint32_t i = 0; i < conf->own_sets->n; i++) {
        if (head->values[i].n != 0)
            rem_put_field(put, REM_ARRAY_OF(conf->own_sets, struct rem_proxy_set)[i].name,
                          head->values[i]);
    }
    if (head->chunked)
        REM_PUT(put, "Transfer-Encoding: chunked\r\n");
    else if (head->length >= 0)
        rem_put_field_u64(put, REM_STR("Content-Length"), (uint64_t)head->length);
    if (conf->pass_headers) {
        REM_FIELDS_EACH(field, &head->request->fields) {
            if (passes(head, field))
                rem_put_field(put, field->name, field->value);
        }
    }
    rem_put_crlf(put);
}

/* Whether the fields we set ask for an upgrade. */
static bool asks_upgrade(const struct head *head)
{
    const struct rem_array *sets = head->ctx->conf->own_sets;
    bool upgrade = false, connection = false;

    for (uint32_t i = 0; i < sets->n; i++) {
        enum rem_field_id id = rem_field_id(REM_ARRAY_OF(sets, struct rem_proxy_set)[i].name);
        struct rem_str rest = head->values[i], item;
        upgrade = upgrade || (id == REM_FIELD_UPGRADE && rest.n != 0);
        while (id == REM_FIELD_CONNECTION && rem_field_list_next(&rest, &item))
            connection = connection || rem_str_eq_nocase(item, REM_STR("upgrade"));
    }
    return upgrade && connection;
}

static int head_method(struct head *head)
{
    struct rem_request *request = head->request;
    int rc;

    head->method = request->method_name;
    if (head->ctx->conf->method == NULL)
        return 0;
    rc = rem_http_value(request, head->ctx->conf->method, &head->method);
    if (rc != 0)
        return rc;
    return rem_put_is_token(head->method) ? 0 : 500;
}

int rem_proxy_create_request(struct rem_upstream_exchange *x)
{
    struct rem_proxy_ctx *ctx = x->data;
    struct head head = {.request = x->request, .ctx = ctx};
    struct rem_put put;
    char *memory;
    size_t size;
    int rc = head_method(&head);

    if (rc == 0)
        rc = rem_proxy_target_uri(x->request, ctx->conf->target, ctx->url, &head.target);
    if (rc == 0 && ctx->conf->target->value != NULL &&
        (!rem_put_is_value(head.target) || rem_str_chr(head.target, ' ') != NULL))
        rc = 400;
    if (rc == 0)
        rc = body_framing(x, &head);
    if (rc == 0)
        rc = eval_sets(&head);
    if (rc != 0)
        return rc;
    size = head_size(&head);
    memory = rem_arena_alloc(&x->request->arena, size);
    if (memory == NULL)
        return REM_ENOMEM;
    rem_put_init(&put, memory, size);
    put_head(&head, &put);
    REM_CHECK(!put.full);
    x->upload.head = rem_put_str(&put);
    x->target = head.target;
    ctx->head = rem_str_is(head.method, "HEAD");
    ctx->upgrade = asks_upgrade(&head);
    return 0;
}
