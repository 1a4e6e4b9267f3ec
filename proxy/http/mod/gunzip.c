/* SPDX-License-Identifier: Apache-2.0 */
/* gunzip.c - decompresses responses for clients that do not accept gzip.
 *
 * Memory:     gunzip_buffers bounds what is decompressed and not yet sent, so a body that grows a
 *             thousandfold costs time, which it shares, but no memory.  */
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/deflates.h"
#include "proxy/http/mod/gzip_accept.h"
#include "proxy/http/mod/transform_zlib.h"
#include "proxy/http/response.h"

struct gunzip_conf {
    int enable;
    struct rem_conf_bufs buffers;
};

/* One response that is being decompressed; in the request's arena. */
struct gunzip_ctx {
    struct rem_transform t;
    struct rem_deflate *inflate; /* NULL: not begun, or all is done */
    bool between;                /* before a member, or behind the last */
    bool full;                   /* the last call filled its block: there may be more */
    bool done;
};

extern struct rem_module rem_gunzip_module;

static void *create_location(struct rem_conf *cf)
{
    struct gunzip_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        conf->enable = REM_CONF_UNSET;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct gunzip_conf *prev = parent;
    struct gunzip_conf *conf = child;

    (void)cf;
    rem_merge_flag(&conf->enable, prev->enable, 0);
    rem_merge_bufs(&conf->buffers, prev->buffers, 32, 4096);
    return 0;
}

/* ---- the head ---- */

static void finish(struct gunzip_ctx *ctx)
{
    if (ctx->inflate != NULL)
        rem_deflates_put(ctx->t.request->worker->deflates, ctx->inflate);
    ctx->inflate = NULL;
    ctx->done = true;
}

static void on_cleanup(void *data)
{
    finish(data);
}

static int begin(struct rem_request *request, const struct gunzip_conf *conf)
{
    struct rem_response *response = &request->response;
    struct gunzip_ctx *ctx = rem_arena_zalloc(&request->arena, sizeof(*ctx));

    if (ctx == NULL)
        return REM_ENOMEM;
    ctx->between = true;
    if (rem_transform_init(&ctx->t, request, conf->buffers.num, conf->buffers.size) != 0 ||
        rem_request_on_cleanup(request, on_cleanup, ctx) != 0 ||
        rem_response_weaken_tag(request) != 0)
        return REM_ENOMEM;
    rem_response_changes_body(response);
    rem_fields_remove_all(&response->fields, REM_FIELD_CONTENT_ENCODING);
    request->module_ctx[rem_gunzip_module.index] = ctx;
    return 0;
}

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    const struct gunzip_conf *conf = request->location_conf[rem_gunzip_module.index];

    if (!conf->enable ||
        !rem_str_eq_nocase(rem_response_field(&request->response, REM_FIELD_CONTENT_ENCODING),
                           REM_STR("gzip")))
        return next->run(request, next->next);
    if (rem_gzip_vary(request) != 0)
        return REM_ENOMEM;
    if (!rem_gzip_accepted(request) && begin(request, conf) != 0)
        return REM_ENOMEM;
    return next->run(request, next->next);
}

/* ---- the body ---- */

static int inflate_some(struct gunzip_ctx *ctx)
{
    z_stream *z = &ctx->inflate->z;
    unsigned given;
    int rc = rem_transform_zlib_begin(&ctx->t, z, &given);

    if (rc != REM_OK)
        return rc;
    if (ctx->between && given != 0) { /* another member follows */
        ctx->between = false;
        if (inflateReset(z) != Z_OK)
            return REM_EIO;
    }
    rc = given != 0 || ctx->full ? inflate(z, Z_NO_FLUSH) : Z_BUF_ERROR;
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return rc == Z_MEM_ERROR ? REM_ENOMEM : REM_EPROTO;
    ctx->between = ctx->between || rc == Z_STREAM_END;
    ctx->full = z->avail_out == 0 && rc != Z_STREAM_END;
    (void)rem_transform_zlib_end(&ctx->t, z, given);
    return REM_OK;
}

static bool has_work(const struct gunzip_ctx *ctx)
{
    return !ctx->done && (ctx->t.in.head != NULL || ctx->full || ctx->t.marks.final);
}

/* One step.  Returns: REM_OK to go on, REM_EAGAIN for want of room, or an error. */
static int step(struct gunzip_ctx *ctx, const struct rem_body_filter *next)
{
    int rc = rem_transform_want(&ctx->t, next);
    bool caught_up;

    if (rc == REM_OK)
        rc = inflate_some(ctx);
    if (rc != REM_OK)
        return rc;
    caught_up = ctx->t.in.head == NULL && !ctx->full;
    if (caught_up && ctx->t.marks.final) {
        if (!ctx->between)
            return REM_EPROTO; /* it ends in the middle of a member */
        finish(ctx);
    }
    /* What there is goes on when the block is full, or no more is to be had for now. */
    if (rem_transform_room(&ctx->t) == 0 || !has_work(ctx))
        return rem_transform_emit(&ctx->t, ctx->done, caught_up, next);
    return REM_OK;
}

static int run(struct gunzip_ctx *ctx, const struct rem_body_filter *next)
{
    int rc = REM_OK;

    if (ctx->inflate == NULL && !ctx->done) {
        ctx->inflate = rem_deflates_get(ctx->t.request->worker->deflates, 0, -1);
        if (ctx->inflate == NULL)
            return REM_ENOMEM;
    }
    while (rc == REM_OK && has_work(ctx))
        rc = rem_transform_in_pauses(&ctx->t.in) ? REM_EAGAIN : step(ctx, next);
    rem_transform_hold(&ctx->t, REM_FILTER_GUNZIP, rc == REM_EAGAIN && has_work(ctx));
    return rc;
}

static int on_body(struct rem_request *request, struct rem_buf *list,
                   const struct rem_body_filter *next)
{
    struct gunzip_ctx *ctx = request->module_ctx[rem_gunzip_module.index];
    int rc;

    if (ctx == NULL || request->response.no_body)
        return next->run(request, list, next->next);
    rem_transform_in_push(&ctx->t.in, list);
    if (list == NULL && !has_work(ctx))
        return next->run(request, NULL, next->next);
    rc = run(ctx, next);
    if (rc == REM_EPROTO) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "a response's gzip data is broken");
        return REM_ECLOSED;
    }
    return rc;
}

static int install(struct rem_http_setup *setup)
{
    int rc = rem_http_add_header_filter(setup, on_head);

    return rc != 0 ? rc : rem_http_add_body_filter(setup, on_body);
}

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

static const struct rem_directive directives[] = {
    {"gunzip", HSL, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_LOCATION,
     offsetof(struct gunzip_conf, enable), NULL},
    {"gunzip_buffers", HSL, REM_ARGS_2, rem_set_bufs, REM_LEVEL_LOCATION,
     offsetof(struct gunzip_conf, buffers), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_gunzip_module = {
    .name = "gunzip",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
