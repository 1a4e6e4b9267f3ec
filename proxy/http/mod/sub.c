/* SPDX-License-Identifier: Apache-2.0 */
/* sub.c - sub_filter: replaces strings in responses.
 *
 * Inheritance: a level with any sub_filter has none of its parent's.
 * Patterns:   those without variables are compiled with the configuration, others per request.  */
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/sub_match.h"
#include "proxy/http/mod/transform.h"
#include "proxy/http/mod/type_set.h"
#include "proxy/http/response.h"

enum { BLOCKS = 8 };

struct pair {
    struct rem_value search;
    struct rem_value replacement;
};

struct sub_conf {
    struct rem_array *pairs; /* of struct pair; NULL: none */
    struct rem_sub_set *set; /* NULL: patterns depend on the request, or there are none */
    bool dynamic;
    int once;
    int last_modified;
    struct rem_type_set *types;
};

/* One response that is searched; in the request's arena. */
struct sub_ctx {
    struct rem_transform t;
    const struct sub_conf *conf;
    struct rem_sub_scan scan;
    struct rem_str *replacements; /* by pattern; .p NULL: not evaluated yet */
    struct rem_str piece;         /* to be put out next */
    size_t taken;                 /* of the input, given back once `piece` is out */
    bool searched;                /* to the end */
    bool done;                    /* the final buf has been passed on */
};

extern struct rem_module rem_sub_module;

/* ---- configuration ---- */

static void *create_location(struct rem_conf *cf)
{
    struct sub_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    conf->once = REM_CONF_UNSET;
    conf->last_modified = REM_CONF_UNSET;
    return conf;
}

static int set_pair(struct rem_conf *cf, const struct rem_directive *d, void *data)
{
    struct sub_conf *conf = data;
    struct pair *pair;
    int rc;

    (void)d;
    if (cf->args[1].n == 0)
        return rem_conf_error(cf, "empty search pattern");
    pair = rem_set_push(cf, &conf->pairs, sizeof(struct pair));
    if (pair == NULL)
        return REM_ENOMEM;
    rc = rem_value_compile(cf, cf->args[1], &pair->search);
    if (rc != 0)
        return rc;
    conf->dynamic = conf->dynamic || !rem_value_is_static(&pair->search);
    return rem_value_compile(cf, cf->args[2], &pair->replacement);
}

/* Once for each list, by the first that needs it. */
static int compile(struct rem_conf *cf, struct sub_conf *conf)
{
    uint32_t n = conf->pairs != NULL ? conf->pairs->n : 0;
    const struct pair *pairs;
    struct rem_str *texts;

    if (n == 0 || conf->dynamic || conf->set != NULL)
        return 0;
    pairs = REM_ARRAY_OF(conf->pairs, const struct pair);
    texts = rem_arena_alloc(cf->arena, n * sizeof(*texts));
    if (texts == NULL)
        return rem_conf_nomem(cf);
    for (uint32_t i = 0; i < n; i++)
        texts[i] = pairs[i].search.text;
    return rem_sub_set_new(cf->arena, texts, n, &conf->set) != 0 ? rem_conf_nomem(cf) : 0;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    struct sub_conf *prev = parent, *conf = child;
    int rc = compile(cf, conf->pairs != NULL ? conf : prev);

    if (rc != 0)
        return rc;
    if (conf->pairs == NULL) {
        conf->pairs = prev->pairs;
        conf->set = prev->set;
        conf->dynamic = prev->dynamic;
    }
    rem_merge_flag(&conf->once, prev->once, 1);
    rem_merge_flag(&conf->last_modified, prev->last_modified, 0);
    if (conf->types == NULL)
        conf->types = prev->types;
    return 0;
}

/* ---- the head ---- */

/* The patterns for this request; *out NULL when all are empty. */
static int evaluate(struct rem_request *request, const struct sub_conf *conf,
                    const struct rem_sub_set **out)
{
    const struct pair *pairs = REM_ARRAY_OF(conf->pairs, const struct pair);
    struct rem_str *texts;
    struct rem_sub_set *set;

    *out = conf->set;
    if (conf->set != NULL)
        return 0;
    texts = rem_arena_alloc(&request->arena, conf->pairs->n * sizeof(*texts));
    if (texts == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < conf->pairs->n; i++) {
        int rc = rem_http_value(request, &pairs[i].search, &texts[i]);

        if (rc != 0)
            return rc;
    }
    if (rem_sub_set_new(&request->arena, texts, conf->pairs->n, &set) != 0)
        return REM_ENOMEM;
    *out = set->distinct != 0 ? set : NULL;
    return 0;
}

static int begin(struct rem_request *request, const struct sub_conf *conf,
                 const struct rem_sub_set *set)
{
    struct rem_response *response = &request->response;
    struct sub_ctx *ctx = rem_arena_zalloc(&request->arena, sizeof(*ctx));

    if (ctx == NULL)
        return REM_ENOMEM;
    ctx->conf = conf;
    ctx->replacements =
        rem_arena_zalloc(&request->arena, conf->pairs->n * sizeof(*ctx->replacements));
    if (ctx->replacements == NULL ||
        rem_sub_scan_init(&ctx->scan, &request->arena, set, conf->once) != 0 ||
        rem_transform_init(&ctx->t, request, BLOCKS, REM_BLOCK_LARGE) != 0)
        return REM_ENOMEM;
    request->module_ctx[rem_sub_module.index] = ctx;
    rem_response_changes_body(response);
    if (conf->last_modified)
        return rem_response_weaken_tag(request);
    response->last_modified = -1;
    rem_fields_remove_all(&response->fields, REM_FIELD_LAST_MODIFIED);
    rem_fields_remove_all(&response->fields, REM_FIELD_ETAG);
    return 0;
}

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    const struct sub_conf *conf = request->location_conf[rem_sub_module.index];
    const struct rem_response *response = &request->response;
    const struct rem_sub_set *set;

    if (conf->pairs == NULL || response->content_length == 0 ||
        !rem_type_set_has(conf->types, response->content_type))
        return next->run(request, next->next);
    if (evaluate(request, conf, &set) != 0 || (set != NULL && begin(request, conf, set) != 0))
        return REM_ENOMEM;
    return next->run(request, next->next);
}

/* ---- the body ---- */

static int emit(struct sub_ctx *ctx, const struct rem_body_filter *next)
{
    bool caught_up = ctx->t.in.head == NULL && ctx->piece.n == 0;

    return rem_transform_emit(&ctx->t, ctx->done, caught_up, next);
}

/* Copies what fits of the piece into a block, and passes the block on when it is full. */
static int put_piece(struct sub_ctx *ctx, const struct rem_body_filter *next)
{
    int rc = rem_transform_want(&ctx->t, next);
    struct rem_buf *buf;
    size_t n;

    if (rc != REM_OK)
        return rc;
    buf = &ctx->t.block->buf;
    n = rem_transform_room(&ctx->t);
    if (n > ctx->piece.n)
        n = ctx->piece.n;
    memcpy(buf->last, ctx->piece.p, n);
    buf->last += n;
    ctx->piece = rem_str_skip(ctx->piece, n);
    if (rem_transform_room(&ctx->t) != 0)
        return REM_OK;
    rc = emit(ctx, next);
    return rc == REM_OK && rem_transform_in_pauses(&ctx->t.in) ? REM_EAGAIN : rc;
}

static int replace(struct sub_ctx *ctx, uint32_t pattern)
{
    const struct pair *pair = rem_array_at(ctx->conf->pairs, pattern);
    struct rem_str *text = &ctx->replacements[pattern];

    if (text->p == NULL) {
        if (rem_http_value(ctx->t.request, &pair->replacement, text) != 0)
            return REM_ENOMEM;
        if (text->p == NULL)
            *text = REM_STR("");
    }
    ctx->piece = *text;
    return REM_OK;
}

static bool has_work(const struct sub_ctx *ctx)
{
    return !ctx->done && (ctx->t.in.head != NULL || ctx->piece.n != 0 || ctx->t.marks.final);
}

/* Searches on, up to the next piece that is to be put out. */
static int search(struct sub_ctx *ctx)
{
    struct rem_str run = {NULL, 0}, rest;
    bool final = ctx->t.in.head == NULL && ctx->t.marks.final;
    enum rem_sub_event event;
    uint32_t pattern;

    if (ctx->t.in.head != NULL) {
        int rc = rem_transform_in_peek(&ctx->t.in, &run);

        if (rc != REM_OK)
            return rc;
    }
    rest = run;
    event = rem_sub_scan_next(&ctx->scan, &rest, final, &ctx->piece, &pattern);
    ctx->taken = run.n - rest.n;
    if (event == REM_SUB_MATCH)
        return replace(ctx, pattern);
    if (event == REM_SUB_MORE)
        ctx->searched = final;
    return REM_OK;
}

static int put_end(struct sub_ctx *ctx, const struct rem_body_filter *next)
{
    int rc = rem_transform_want(&ctx->t, next);

    if (rc != REM_OK)
        return rc;
    ctx->done = true;
    return emit(ctx, next);
}

/* One step.  Returns: REM_OK to go on, REM_EAGAIN for want of room, or an error. */
static int step(struct sub_ctx *ctx, const struct rem_body_filter *next)
{
    int rc;

    if (ctx->piece.n != 0)
        return put_piece(ctx, next);
    if (ctx->searched)
        return put_end(ctx, next);
    if (ctx->taken == 0 || ctx->t.in.head == NULL) {
        rc = search(ctx);
        if (rc != REM_OK || ctx->piece.n != 0)
            return rc;
    }
    if (ctx->t.in.head != NULL)
        rem_transform_in_use(&ctx->t.in, ctx->taken, &ctx->t.marks);
    ctx->taken = 0;
    return REM_OK;
}

/* What stands in the block waits for nobody; a flush goes on even without bytes. */
static int put_rest(struct sub_ctx *ctx, const struct rem_body_filter *next)
{
    int rc = ctx->t.marks.flush ? rem_transform_want(&ctx->t, next) : REM_OK;

    if (rc != REM_OK)
        return rc;
    return ctx->t.block != NULL ? emit(ctx, next) : REM_OK;
}

static int run(struct sub_ctx *ctx, const struct rem_body_filter *next)
{
    int rc = REM_OK;

    while (rc == REM_OK && has_work(ctx))
        rc = step(ctx, next);
    if (rc == REM_OK && !ctx->done)
        rc = put_rest(ctx, next);
    rem_transform_hold(&ctx->t, REM_FILTER_SUB, rc == REM_EAGAIN && has_work(ctx));
    return rc;
}

static int on_body(struct rem_request *request, struct rem_buf *list,
                   const struct rem_body_filter *next)
{
    struct sub_ctx *ctx = request->module_ctx[rem_sub_module.index];

    if (ctx == NULL || request->response.no_body)
        return next->run(request, list, next->next);
    rem_transform_in_push(&ctx->t.in, list);
    if (list == NULL && !has_work(ctx))
        return next->run(request, NULL, next->next);
    return run(ctx, next);
}

static int install(struct rem_http_setup *setup)
{
    int rc = rem_http_add_header_filter(setup, on_head);

    return rc != 0 ? rc : rem_http_add_body_filter(setup, on_body);
}

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

#define FIELD(name) REM_LEVEL_LOCATION, offsetof(struct sub_conf, name)

static const struct rem_directive directives[] = {
    {"sub_filter", HSL, REM_ARGS_2, set_pair, REM_LEVEL_LOCATION, 0, NULL},
    {"sub_filter_types", HSL, REM_ARGS_1MORE, rem_type_set_directive, FIELD(types), NULL},
    {"sub_filter_once", HSL, REM_ARGS_FLAG, rem_set_flag, FIELD(once), NULL},
    {"sub_filter_last_modified", HSL, REM_ARGS_FLAG, rem_set_flag, FIELD(last_modified), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_sub_module = {
    .name = "sub",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
