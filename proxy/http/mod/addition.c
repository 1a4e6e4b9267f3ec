/* SPDX-License-Identifier: Apache-2.0 */
/* addition.c - add_before_body, add_after_body, addition_types: the answers to other requests stand
 * before and behind the body.
 *
 * Which:      responses to clients with status 200 and one of the types, text/html always included.
 * Position:   behind the filters that change the body itself, so that nothing of it is held back
 *             where the addition is to follow.  */
#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/type_set.h"
#include "proxy/http/response.h"
#include "proxy/http/subrequest.h"

struct addition_conf {
    struct rem_str before; /* a URI; empty: none */
    struct rem_str after;
    struct rem_type_set *types;
};

/* In module_ctx of a response with additions. */
struct addition_ctx {
    bool before_started;
};

extern struct rem_module rem_addition_module;

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct addition_conf));
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct addition_conf *prev = parent;
    struct addition_conf *conf = child;

    (void)cf;
    rem_merge_str(&conf->before, prev->before, REM_STR(""));
    rem_merge_str(&conf->after, prev->after, REM_STR(""));
    if (conf->types == NULL)
        conf->types = prev->types;
    return 0;
}

/* ---- responses ---- */

static bool has_additions(const struct rem_request *request, const struct addition_conf *conf)
{
    const struct rem_response *response = &request->response;

    return (conf->before.n != 0 || conf->after.n != 0) && request->parent == NULL &&
           response->status == 200 && rem_type_set_has(conf->types, response->content_type);
}

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    const struct addition_conf *conf = request->location_conf[rem_addition_module.index];

    if (has_additions(request, conf)) {
        struct addition_ctx *ctx = rem_arena_zalloc(&request->arena, sizeof(*ctx));

        if (ctx == NULL || rem_response_weaken_tag(request) != 0)
            return REM_ENOMEM;
        request->module_ctx[rem_addition_module.index] = ctx;
        rem_response_changes_body(&request->response);
    }
    return next->run(request, next->next);
}

static int start(struct rem_request *request, struct rem_str uri)
{
    const struct rem_subrequest_spec spec = {
        .kind = REM_SUBREQUEST_OUTPUT, .uri = uri, .with_body = true};

    return rem_subrequest_start(request, &spec, NULL) == 0 ? REM_OK : REM_ECLOSED;
}

/* The end of the body moves behind what is added.  Returns: whether it is there. */
static bool take_end(struct rem_buf *list)
{
    for (; list != NULL; list = list->next) {
        if (list->final) {
            list->final = false;
            return true;
        }
    }
    return false;
}

static int add_after(struct rem_request *request, struct rem_str uri,
                     const struct rem_body_filter *next)
{
    struct rem_buf *end = rem_arena_zalloc(&request->arena, sizeof(*end));

    if (end == NULL || start(request, uri) != REM_OK)
        return REM_ECLOSED;
    end->fd = -1;
    end->final = true;
    return next->run(request, end, next->next);
}

static int on_body(struct rem_request *request, struct rem_buf *list,
                   const struct rem_body_filter *next)
{
    const struct addition_conf *conf = request->location_conf[rem_addition_module.index];
    struct addition_ctx *ctx = request->module_ctx[rem_addition_module.index];
    bool ended;
    int rc;

    if (ctx == NULL || request->response.no_body)
        return next->run(request, list, next->next);
    if (!ctx->before_started && conf->before.n != 0 && start(request, conf->before) != REM_OK)
        return REM_ECLOSED;
    ctx->before_started = true;
    ended = conf->after.n != 0 && take_end(list);
    rc = next->run(request, list, next->next);
    if (!ended || (rc != REM_OK && rc != REM_EAGAIN))
        return rc;
    return add_after(request, conf->after, next);
}

static int install(struct rem_http_setup *setup)
{
    int rc = rem_http_add_header_filter(setup, on_head);

    return rc != 0 ? rc : rem_http_add_body_filter(setup, on_body);
}

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

static const struct rem_directive directives[] = {
    {"add_before_body", HSL, REM_ARGS_1, rem_set_str, REM_LEVEL_LOCATION,
     offsetof(struct addition_conf, before), NULL},
    {"add_after_body", HSL, REM_ARGS_1, rem_set_str, REM_LEVEL_LOCATION,
     offsetof(struct addition_conf, after), NULL},
    {"addition_types", HSL, REM_ARGS_1MORE, rem_type_set_directive, REM_LEVEL_LOCATION,
     offsetof(struct addition_conf, types), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_addition_module = {
    .name = "addition",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
