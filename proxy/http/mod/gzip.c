/* SPDX-License-Identifier: Apache-2.0 */
/* gzip.c - compresses responses for clients that accept it.
 *
 * Memory:     gzip_buffers bounds what is compressed and not yet sent; a compressor is taken from
 *             the worker's pool when the first bytes come, and given back behind the last.
 * Flushing:   a buf marked `flush` reaches the client in full; others wait in the compressor.  */
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/deflates.h"
#include "proxy/http/mod/gzip_accept.h"
#include "proxy/http/mod/transform_zlib.h"
#include "proxy/http/mod/type_set.h"
#include "proxy/http/response.h"

struct gzip_conf {
    int enable;
    int64_t level;
    int64_t min_length;
    struct rem_conf_bufs buffers;
    struct rem_type_set *types;
};

/* One response that is being compressed; in the request's arena. */
struct gzip_ctx {
    struct rem_transform t;
    struct rem_deflate *deflate; /* NULL: not begun, or all is done */
    int level;
    int64_t size; /* of the body, if known */
    uint64_t bytes_in, bytes_out;
    bool done;
};

extern struct rem_module rem_gzip_module;

static void *create_location(struct rem_conf *cf)
{
    struct gzip_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    conf->enable = REM_CONF_UNSET;
    conf->level = REM_CONF_UNSET;
    conf->min_length = REM_CONF_UNSET;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct gzip_conf *prev = parent;
    struct gzip_conf *conf = child;

    (void)cf;
    rem_merge_flag(&conf->enable, prev->enable, 0);
    rem_merge_num(&conf->level, prev->level, 1);
    rem_merge_num(&conf->min_length, prev->min_length, 20);
    rem_merge_bufs(&conf->buffers, prev->buffers, 32, 4096);
    if (conf->types == NULL)
        conf->types = prev->types;
    return 0;
}

/* ---- the head ---- */

static bool is_fit(const struct rem_response *response, const struct gzip_conf *conf)
{
    if (response->status != 200 && response->status != 403 && response->status != 404)
        return false;
    if (response->content_length >= 0 && response->content_length < conf->min_length)
        return false;
    return rem_type_set_has(conf->types, response->content_type) &&
           rem_response_field(response, REM_FIELD_CONTENT_ENCODING).n == 0;
}

static void give_back(struct gzip_ctx *ctx)
{
    if (ctx->deflate != NULL)
        rem_deflates_put(ctx->t.request->worker->deflates, ctx->deflate);
    ctx->deflate = NULL;
}

static void on_cleanup(void *data)
{
    give_back(data);
}

static int begin(struct rem_request *request, const struct gzip_conf *conf)
{
    struct rem_response *response = &request->response;
    struct gzip_ctx *ctx = rem_arena_zalloc(&request->arena, sizeof(*ctx));

    if (ctx == NULL)
        return REM_ENOMEM;
    ctx->level = (int)conf->level;
    ctx->size = response->content_length;
    if (rem_transform_init(&ctx->t, request, conf->buffers.num, conf->buffers.size) != 0 ||
        rem_request_on_cleanup(request, on_cleanup, ctx) != 0 ||
        rem_response_weaken_tag(request) != 0 ||
        rem_fields_add(&response->fields, REM_STR("Content-Encoding"), REM_STR("gzip")) != 0)
        return REM_ENOMEM;
    rem_response_changes_body(response);
    request->module_ctx[rem_gzip_module.index] = ctx;
    return 0;
}

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    const struct gzip_conf *conf = request->location_conf[rem_gzip_module.index];

    if (!conf->enable || request->parent != NULL || !is_fit(&request->response, conf))
        return next->run(request, next->next);
    if (rem_gzip_vary(request) != 0)
        return REM_ENOMEM;
    if (rem_gzip_accepted(request) && begin(request, conf) != 0)
        return REM_ENOMEM;
    return next->run(request, next->next);
}

/* ---- the body ---- */

/* What the compressor is to do with what it has. */
static int mode_of(const struct gzip_ctx *ctx)
{
    if (ctx->t.in.head != NULL)
        return Z_NO_FLUSH;
    if (ctx->t.marks.final)
        return Z_FINISH;
    return ctx->t.marks.flush ? Z_SYNC_FLUSH : Z_NO_FLUSH;
}

/* Passes the block on.  Results as exchange->send_body. */
static int emit(struct gzip_ctx *ctx, bool caught_up, const struct rem_body_filter *next)
{
    ctx->bytes_out += rem_buf_size(&ctx->t.block->buf);
    return rem_transform_emit(&ctx->t, ctx->done, caught_up, next);
}

/* Runs the compressor once over the bytes at the front and into the block. */
static int compress_some(struct gzip_ctx *ctx, int *result)
{
    z_stream *z = &ctx->deflate->z;
    unsigned given;
    int rc = rem_transform_zlib_begin(&ctx->t, z, &given);

    if (rc != REM_OK)
        return rc;
    *result = deflate(z, mode_of(ctx));
    if (*result == Z_STREAM_ERROR)
        return REM_EIO;
    ctx->bytes_in += rem_transform_zlib_end(&ctx->t, z, given);
    return REM_OK;
}

/* Whether the compressor has, or may have, something to do. */
static bool has_work(const struct gzip_ctx *ctx)
{
    return !ctx->done && (ctx->t.in.head != NULL || ctx->t.marks.final || ctx->t.marks.flush);
}

/* One step.  Returns: REM_OK to go on, REM_EAGAIN for want of room, or an error. */
static int step(struct gzip_ctx *ctx, const struct rem_body_filter *next)
{
    int mode = mode_of(ctx), result;
    int rc = rem_transform_want(&ctx->t, next);

    if (rc == REM_OK)
        rc = compress_some(ctx, &result);
    if (rc != REM_OK)
        return rc;
    if (result == Z_STREAM_END) {
        give_back(ctx);
        ctx->done = true;
        return emit(ctx, true, next);
    }
    if (rem_transform_room(&ctx->t) == 0) /* what is to be flushed goes on in the next block */
        return emit(ctx, !has_work(ctx), next);
    return mode == Z_SYNC_FLUSH ? emit(ctx, true, next) : REM_OK;
}

static int run(struct gzip_ctx *ctx, const struct rem_body_filter *next)
{
    int rc = REM_OK;

    if (ctx->deflate == NULL && !ctx->done) {
        ctx->deflate = rem_deflates_get(ctx->t.request->worker->deflates, ctx->level, ctx->size);
        if (ctx->deflate == NULL)
            return REM_ENOMEM;
    }
    while (rc == REM_OK && has_work(ctx))
        rc = rem_transform_in_pauses(&ctx->t.in) ? REM_EAGAIN : step(ctx, next);
    if (!has_work(ctx))
        ctx->t.marks.idle = false;
    rem_transform_hold(&ctx->t, REM_FILTER_GZIP, rc == REM_EAGAIN && has_work(ctx));
    return rc;
}

static int on_body(struct rem_request *request, struct rem_buf *list,
                   const struct rem_body_filter *next)
{
    struct gzip_ctx *ctx = request->module_ctx[rem_gzip_module.index];
    int rc;

    if (ctx == NULL || request->response.no_body)
        return next->run(request, list, next->next);
    if (ctx->done) {
        rem_buf_drop(list);
        return next->run(request, NULL, next->next);
    }
    rem_transform_in_push(&ctx->t.in, list);
    if (list == NULL && !has_work(ctx))
        return next->run(request, NULL, next->next);
    rc = run(ctx, next);
    if (rc != REM_OK && rc != REM_EAGAIN && rc != REM_ECLOSED)
        REM_LOG_IN(&request->log, REM_LOG_ALERT, 0, "compressing a response failed");
    return rc;
}

/* ---- $gzip_ratio ---- */

static int get_ratio(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = e->subject;
    const struct gzip_ctx *ctx = request->module_ctx[rem_gzip_module.index];
    uint64_t hundredths;

    (void)v;
    out->state = REM_VAR_NOT_FOUND;
    out->str = REM_STR("");
    if (ctx == NULL || !ctx->done || ctx->bytes_out == 0)
        return 0;
    hundredths = (ctx->bytes_in * 100 + ctx->bytes_out / 2) / ctx->bytes_out;
    out->str = rem_arena_printf(e->arena, "%llu.%02llu", (unsigned long long)(hundredths / 100),
                                (unsigned long long)(hundredths % 100));
    out->state = REM_VAR_FOUND;
    return out->str.p != NULL ? 0 : REM_ENOMEM;
}

static int variables(struct rem_http_setup *setup)
{
    const struct rem_var *var =
        rem_var_add(setup->vars, REM_STR("gzip_ratio"), get_ratio, NULL, REM_VAR_NOCACHE);

    return var != NULL ? 0 : REM_ENOMEM;
}

static int worker_init(struct rem_worker *worker)
{
    worker->deflates = rem_deflates_new();
    return worker->deflates != NULL ? 0 : REM_ENOMEM;
}

static void worker_fini(struct rem_worker *worker)
{
    rem_deflates_free(worker->deflates);
    worker->deflates = NULL;
}

static int install(struct rem_http_setup *setup)
{
    int rc = rem_http_add_header_filter(setup, on_head);

    return rc != 0 ? rc : rem_http_add_body_filter(setup, on_body);
}

static const struct rem_conf_bounds levels = {1, 9};

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

#define FIELD(name) REM_LEVEL_LOCATION, offsetof(struct gzip_conf, name)

static const struct rem_directive directives[] = {
    {"gzip", HSL | REM_CTX_LOCATION_IF, REM_ARGS_FLAG, rem_set_flag, FIELD(enable), NULL},
    {"gzip_buffers", HSL, REM_ARGS_2, rem_set_bufs, FIELD(buffers), NULL},
    {"gzip_types", HSL, REM_ARGS_1MORE, rem_type_set_directive, FIELD(types), NULL},
    {"gzip_comp_level", HSL, REM_ARGS_1, rem_set_num, FIELD(level), &levels},
    {"gzip_min_length", HSL, REM_ARGS_1, rem_set_off, FIELD(min_length), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {
    .variables = variables,
    .install = install,
    .worker_init = worker_init,
    .worker_fini = worker_fini,
};

struct rem_module rem_gzip_module = {
    .name = "gzip",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
