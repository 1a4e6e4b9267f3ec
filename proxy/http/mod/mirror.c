/* SPDX-License-Identifier: Apache-2.0 */
/* mirror.c - mirror and mirror_request_body: requests are made again, in the background, for others
 * to look at.
 *
 * Order:      the request's body is read first, so that it can be shared; then the mirrors start,
 *             and the request goes its own way.  Nothing that becomes of them is seen by the
 *             client, and the connection does not wait for them.  */
#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/http/body.h"
#include "proxy/http/core.h"
#include "proxy/http/subrequest.h"

struct mirror_conf {
    struct rem_array *uris; /* of struct rem_str; NULL: not set here; of none: off */
    bool off;
    int with_body;
};

/* In module_ctx: what the mirrors' start has come to. */
struct mirror_ctx {
    bool started;
    int result;
};

extern struct rem_module rem_mirror_module;

/* ---- configuration ---- */

static void *create_location(struct rem_conf *cf)
{
    struct mirror_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        conf->with_body = REM_CONF_UNSET;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct mirror_conf *prev = parent;
    struct mirror_conf *conf = child;

    (void)cf;
    if (conf->uris == NULL)
        conf->uris = prev->uris;
    rem_merge_flag(&conf->with_body, prev->with_body, 1);
    return 0;
}

static int set_mirror(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct mirror_conf *location = conf;
    bool off = rem_str_is(cf->args[1], "off");
    struct rem_str *uri;

    (void)d;
    if (location->off || (off && location->uris != NULL))
        return rem_conf_duplicate(cf);
    if (location->uris == NULL)
        location->uris = rem_array_new(cf->arena, sizeof(struct rem_str));
    if (location->uris == NULL)
        return rem_conf_nomem(cf);
    location->off = off;
    if (off)
        return 0;
    uri = rem_array_push(cf->arena, location->uris);
    if (uri == NULL)
        return rem_conf_nomem(cf);
    *uri = cf->args[1];
    return 0;
}

/* ---- requests ---- */

static int start_mirrors(struct rem_request *request, const struct mirror_conf *conf)
{
    for (uint32_t i = 0; i < conf->uris->n; i++) {
        const struct rem_subrequest_spec spec = {
            .kind = REM_SUBREQUEST_BACKGROUND,
            .uri = REM_ARRAY_OF(conf->uris, const struct rem_str)[i],
            .args = request->args,
            .same_method = true,
            .with_body = conf->with_body != 0,
        };

        if (rem_subrequest_start(request, &spec, NULL) != 0)
            return 500;
    }
    return REM_HTTP_DECLINED;
}

/* The body is there. */
static void on_ready(struct rem_request *request)
{
    const struct mirror_conf *conf = request->location_conf[rem_mirror_module.index];
    struct mirror_ctx *ctx = request->module_ctx[rem_mirror_module.index];

    ctx->started = true;
    ctx->result = start_mirrors(request, conf);
    rem_request_resume(request);
}

static int on_precontent(struct rem_request *request)
{
    const struct mirror_conf *conf = request->location_conf[rem_mirror_module.index];
    struct mirror_ctx *ctx = request->module_ctx[rem_mirror_module.index];
    int rc;

    if (request->parent != NULL || conf->uris == NULL || conf->uris->n == 0)
        return REM_HTTP_DECLINED;
    if (ctx != NULL)
        return ctx->started ? ctx->result : REM_HTTP_AGAIN;
    if (!conf->with_body || !request->has_body)
        return start_mirrors(request, conf);
    ctx = rem_arena_zalloc(&request->arena, sizeof(*ctx));
    if (ctx == NULL)
        return 500;
    request->module_ctx[rem_mirror_module.index] = ctx;
    rc = rem_body_read(request, on_ready);
    return rc == REM_HTTP_DONE ? REM_HTTP_AGAIN : rc;
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_PRECONTENT, on_precontent);
}

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

static const struct rem_directive directives[] = {
    {"mirror", HSL, REM_ARGS_1, set_mirror, REM_LEVEL_LOCATION, 0, NULL},
    {"mirror_request_body", HSL, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_LOCATION,
     offsetof(struct mirror_conf, with_body), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_mirror_module = {
    .name = "mirror",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
