/* SPDX-License-Identifier: Apache-2.0 */
/* range.c - sends the parts of a body that the client asks for (206, 416).
 *
 * Who may:    responses of status 200 and known length whose handler says `allow_ranges`, and whose
 *             body no filter changes: those take the permission away.
 * Order:      last of the header filters, so that it sees the date and the tag the client sees.
 * One part:   bufs are cut as they pass, whatever pieces they come in.
 * Several:    the whole body must come as one buf, since parts may come in any order; a handler
 *             that cannot do so sets `single_range`.  */
#include "proto/wire/put.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/byte_ranges.h"
#include "proxy/http/mod/conditional.h"
#include "proxy/http/response.h"

enum { BOUNDARY = 20 };

struct range_conf {
    int64_t max_ranges; /* 0: none; default: any number */
};

/* In the request's arena, where parts are sent. */
struct range_ctx {
    struct rem_byte_ranges ranges;
    int64_t size;   /* of the whole body */
    int64_t offset; /* of the next buf in it */
    bool ended;
    struct rem_buf *whole;     /* several: what the parts are parts of */
    struct rem_str *part_head; /* several: what stands before each part */
    struct rem_str tail;       /* and behind the last */
};

extern struct rem_module rem_range_module;

static void *create_location(struct rem_conf *cf)
{
    struct range_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        conf->max_ranges = REM_CONF_UNSET;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct range_conf *prev = parent;
    struct range_conf *conf = child;

    (void)cf;
    rem_merge_num(&conf->max_ranges, prev->max_ranges, INT32_MAX);
    return 0;
}

/* ---- the head ---- */

static int add_content_range(struct rem_request *request, struct rem_str value)
{
    if (value.p == NULL)
        return REM_ENOMEM;
    return rem_fields_add(&request->response.fields, REM_STR("Content-Range"), value);
}

static struct rem_str format_range(struct rem_request *request, const struct rem_byte_range *range,
                                   int64_t size)
{
    return rem_arena_printf(&request->arena, "bytes %lld-%lld/%lld", (long long)range->first,
                            (long long)range->end - 1, (long long)size);
}

static int refuse(struct rem_request *request)
{
    int64_t size = request->response.content_length;
    int rc;

    rem_response_reset(request);
    rc = add_content_range(request,
                           rem_arena_printf(&request->arena, "bytes */%lld", (long long)size));
    return rc != 0 ? rc : 416;
}

static int begin_one(struct rem_request *request, struct range_ctx *ctx)
{
    const struct rem_byte_range *range = &ctx->ranges.v[0];

    request->response.content_length = range->end - range->first;
    return add_content_range(request, format_range(request, range, ctx->size));
}

/* Something that will hardly stand in a body: its bytes are nobody's to choose but ours. */
static void make_boundary(const struct rem_request *request, char text[BOUNDARY + 1])
{
    const uint64_t seed[3] = {(uint64_t)(uintptr_t)request, request->start_ms,
                              request->conn->number};
    uint64_t hash = rem_hash(seed, sizeof(seed));

    for (int i = BOUNDARY - 1; i >= 0; i--) {
        text[i] = (char)('0' + hash % 10);
        hash /= 10;
    }
    text[BOUNDARY] = '\0';
}

static int begin_several(struct rem_request *request, struct range_ctx *ctx)
{
    struct rem_response *response = &request->response;
    const struct rem_byte_ranges *ranges = &ctx->ranges;
    char boundary[BOUNDARY + 1];
    int64_t length = 0;

    make_boundary(request, boundary);
    ctx->part_head = rem_arena_alloc(&request->arena, ranges->n * sizeof(*ctx->part_head));
    ctx->tail = rem_arena_printf(&request->arena, "\r\n--%s--\r\n", boundary);
    if (ctx->part_head == NULL || ctx->tail.p == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < ranges->n; i++) {
        struct rem_str type = response->content_type;
        struct rem_str range = format_range(request, &ranges->v[i], ctx->size);

        if (range.p == NULL)
            return REM_ENOMEM;
        ctx->part_head[i] =
            rem_arena_printf(&request->arena, "\r\n--%s\r\n%s%.*s%sContent-Range: %.*s\r\n\r\n",
                             boundary, type.n != 0 ? "Content-Type: " : "", REM_STR_ARG(type),
                             type.n != 0 ? "\r\n" : "", REM_STR_ARG(range));
        if (ctx->part_head[i].p == NULL)
            return REM_ENOMEM;
        length += (int64_t)ctx->part_head[i].n + ranges->v[i].end - ranges->v[i].first;
    }
    response->content_length = length + (int64_t)ctx->tail.n;
    response->content_type =
        rem_arena_printf(&request->arena, "multipart/byteranges; boundary=%s", boundary);
    return response->content_type.p != NULL ? 0 : REM_ENOMEM;
}

/* Looks at Range and If-Range.  Returns: 0 (the whole), 206 with the ranges, 416, or an error. */
static int choose(struct rem_request *request, struct rem_byte_ranges *ranges)
{
    const struct range_conf *conf = request->location_conf[rem_range_module.index];
    const struct rem_field *field = rem_fields_find(&request->fields, REM_FIELD_RANGE);
    const struct rem_response *response = &request->response;
    struct rem_conditional_target target;
    int status;

    if (field == NULL)
        return 0;
    target = (struct rem_conditional_target){
        .etag = rem_response_field(response, REM_FIELD_ETAG),
        .modified = rem_response_modified(request),
    };
    if (!rem_conditional_if_range(&request->fields, request->worker->loop.clock.wall_sec, &target))
        return 0;
    status = rem_byte_ranges_parse(&request->arena, field->value, response->content_length,
                                   (uint32_t)conf->max_ranges, ranges);
    return status == 206 && ranges->n > 1 && response->single_range ? 0 : status;
}

static int send_parts(struct rem_request *request, const struct rem_byte_ranges *ranges)
{
    struct rem_response *response = &request->response;
    struct range_ctx *ctx = rem_arena_zalloc(&request->arena, sizeof(*ctx));
    int rc;

    if (ctx == NULL)
        return REM_ENOMEM;
    ctx->ranges = *ranges;
    ctx->size = response->content_length;
    rem_fields_remove_all(&response->fields, REM_FIELD_ACCEPT_RANGES);
    response->status = 206;
    response->status_line = (struct rem_str){NULL, 0};
    rc = ranges->n == 1 ? begin_one(request, ctx) : begin_several(request, ctx);
    request->module_ctx[rem_range_module.index] = ctx;
    return rc;
}

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    const struct range_conf *conf = request->location_conf[rem_range_module.index];
    struct rem_response *response = &request->response;
    struct rem_byte_ranges ranges;
    int rc;

    if (!response->allow_ranges || response->status != 200 || response->content_length < 0 ||
        request->parent != NULL || conf->max_ranges == 0)
        return next->run(request, next->next);
    rc = choose(request, &ranges);
    if (rc == 416)
        return refuse(request);
    if (rc == 206) {
        rc = send_parts(request, &ranges);
    } else if (rc == 0) {
        rem_fields_remove_all(&response->fields, REM_FIELD_ACCEPT_RANGES);
        rc = rem_fields_add(&response->fields, REM_STR("Accept-Ranges"), REM_STR("bytes"));
    }
    return rc == 0 ? next->run(request, next->next) : rc;
}

/* ---- the body ---- */

/* Cuts what lies outside [first, end) off a buf that stands at ctx->offset.  Returns: whether
 * anything is left of it. */
static bool cut(struct range_ctx *ctx, const struct rem_byte_range *range, struct rem_buf *buf)
{
    int64_t start = ctx->offset, end = start + (int64_t)rem_buf_size(buf);
    int64_t front = range->first > start ? range->first - start : 0;
    int64_t back = end > range->end ? end - range->end : 0;

    ctx->offset = end;
    if (front + back >= end - start)
        return false;
    if (buf->in_file) {
        buf->file_pos += front;
        buf->file_last -= back;
    } else {
        buf->pos += front;
        buf->last -= back;
    }
    return true;
}

static int send_one(struct rem_request *request, struct range_ctx *ctx, struct rem_buf *list,
                    const struct rem_body_filter *next)
{
    const struct rem_byte_range *range = &ctx->ranges.v[0];
    struct rem_buf *out = NULL, **tail = &out;

    while (list != NULL) {
        struct rem_buf *buf = list;
        bool kept = !ctx->ended && cut(ctx, range, buf);
        bool final = !ctx->ended && (buf->final || ctx->offset >= range->end);

        list = buf->next;
        buf->next = NULL;
        ctx->ended = ctx->ended || final;
        if (!kept && !final) {
            rem_buf_done(buf);
            continue;
        }
        if (!kept) { /* nothing of it, but the end */
            buf->last = buf->pos;
            buf->file_last = buf->file_pos;
        }
        buf->final = final;
        *tail = buf;
        tail = &buf->next;
    }
    return out != NULL ? next->run(request, out, next->next) : REM_OK;
}

static void on_tail_done(struct rem_buf *tail)
{
    struct range_ctx *ctx = tail->owner;

    if (ctx->whole != NULL)
        rem_buf_done(ctx->whole);
    ctx->whole = NULL;
}

static struct rem_buf text_buf(struct rem_str text)
{
    char *at = (char *)(uintptr_t)text.p; /* bytes are never changed by who consumes them */

    return (struct rem_buf){.pos = at, .last = at + text.n, .fd = -1};
}

/* The part of `whole`, without being its owner. */
static struct rem_buf part_buf(const struct rem_buf *whole, const struct rem_byte_range *range)
{
    struct rem_buf part = {.fd = whole->fd, .in_file = whole->in_file};

    if (whole->in_file) {
        part.file_pos = whole->file_pos + range->first;
        part.file_last = whole->file_pos + range->end;
    } else {
        part.pos = whole->pos + range->first;
        part.last = whole->pos + range->end;
    }
    return part;
}

static int send_several(struct rem_request *request, struct range_ctx *ctx, struct rem_buf *whole,
                        const struct rem_body_filter *next)
{
    uint32_t n = ctx->ranges.n;
    struct rem_buf *bufs;

    if (whole->next != NULL || !whole->final || (int64_t)rem_buf_size(whole) != ctx->size) {
        REM_LOG_IN(&request->log, REM_LOG_ALERT, 0, "parts of a body that comes in pieces");
        rem_buf_drop(whole);
        return REM_ECLOSED;
    }
    bufs = rem_arena_alloc(&request->arena, (2 * (size_t)n + 1) * sizeof(*bufs));
    if (bufs == NULL) {
        rem_buf_drop(whole);
        return REM_ECLOSED;
    }
    for (uint32_t i = 0; i < n; i++) {
        bufs[2 * i] = text_buf(ctx->part_head[i]);
        bufs[2 * i + 1] = part_buf(whole, &ctx->ranges.v[i]);
    }
    bufs[2 * n] = text_buf(ctx->tail);
    bufs[2 * n].final = true;
    bufs[2 * n].done = on_tail_done;
    bufs[2 * n].owner = ctx;
    for (uint32_t i = 0; i < 2 * n; i++)
        bufs[i].next = &bufs[i + 1];
    ctx->whole = whole;
    ctx->ended = true;
    return next->run(request, bufs, next->next);
}

static int on_body(struct rem_request *request, struct rem_buf *list,
                   const struct rem_body_filter *next)
{
    struct range_ctx *ctx = request->module_ctx[rem_range_module.index];

    if (ctx == NULL || list == NULL || request->response.no_body)
        return next->run(request, list, next->next);
    if (ctx->part_head == NULL)
        return send_one(request, ctx, list, next);
    return send_several(request, ctx, list, next);
}

static int install(struct rem_http_setup *setup)
{
    int rc = rem_http_add_header_filter(setup, on_head);

    return rc != 0 ? rc : rem_http_add_body_filter(setup, on_body);
}

static const struct rem_conf_bounds natural = {0, INT32_MAX};

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

static const struct rem_directive directives[] = {
    {"max_ranges", HSL, REM_ARGS_1, rem_set_num, REM_LEVEL_LOCATION,
     offsetof(struct range_conf, max_ranges), &natural},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_range_module = {
    .name = "range",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
