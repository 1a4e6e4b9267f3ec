/* SPDX-License-Identifier: Apache-2.0 */
/* limit_except.c - limit_except: what holds in a location for all but the methods it names.
 *
 * Phases:     rewrite, before the steps of the location: those are not for the methods in here.  */
#include "proxy/http/core.h"

struct limit_conf {
    uint32_t allowed; /* bits of enum rem_method */
    const struct rem_http_location_conf *others;
};

extern struct rem_module rem_limit_except_module;

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct limit_conf));
}

static uint32_t bit_of(enum rem_method method)
{
    return UINT32_C(1) << method;
}

static int parse_method(struct rem_conf *cf, struct rem_str name, struct limit_conf *limit)
{
    static const struct {
        const char *name;
        enum rem_method method;
    } methods[] = {
        {"GET", REM_METHOD_GET},
        {"HEAD", REM_METHOD_HEAD},
        {"POST", REM_METHOD_POST},
        {"PUT", REM_METHOD_PUT},
        {"DELETE", REM_METHOD_DELETE},
        {"MKCOL", REM_METHOD_MKCOL},
        {"COPY", REM_METHOD_COPY},
        {"MOVE", REM_METHOD_MOVE},
        {"OPTIONS", REM_METHOD_OPTIONS},
        {"PROPFIND", REM_METHOD_PROPFIND},
        {"PROPPATCH", REM_METHOD_PROPPATCH},
        {"LOCK", REM_METHOD_LOCK},
        {"UNLOCK", REM_METHOD_UNLOCK},
        {"PATCH", REM_METHOD_PATCH},
    };

    for (size_t i = 0; i < REM_COUNT(methods); i++) {
        if (!rem_str_eq_nocase(name, rem_str_from(methods[i].name)))
            continue;
        limit->allowed |= bit_of(methods[i].method);
        if (methods[i].method == REM_METHOD_GET)
            limit->allowed |= bit_of(REM_METHOD_HEAD);
        return 0;
    }
    return rem_conf_error(cf, "invalid method \"%.*s\"", REM_STR_ARG(name));
}

static int set_limit_except(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct limit_conf *limit = conf;
    struct rem_conf_ctx *ctx;
    int rc;

    (void)d;
    if (limit->others != NULL)
        return rem_conf_duplicate(cf);
    for (size_t i = 1; i < cf->n_args; i++) {
        rc = parse_method(cf, cf->args[i], limit);
        if (rc != 0)
            return rc;
    }
    rc = rem_core_new_block(cf, &ctx);
    if (rc != 0)
        return rc;
    limit->others = ctx->location[rem_http_core_module.index];
    return rem_conf_block(cf, REM_CTX_LIMIT_EXCEPT, ctx);
}

static int on_rewrite(struct rem_request *request)
{
    const struct limit_conf *limit = request->location_conf[rem_limit_except_module.index];

    if (limit->others != NULL && (limit->allowed & bit_of(request->method)) == 0)
        rem_core_use_block(request, limit->others);
    return REM_HTTP_DECLINED;
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_REWRITE, on_rewrite);
}

static const struct rem_directive directives[] = {
    {"limit_except", REM_CTX_LOCATION, REM_ARGS_1MORE | REM_ARGS_BLOCK, set_limit_except,
     REM_LEVEL_LOCATION, 0, NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_limit_except_module = {
    .name = "limit_except",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .hooks = &hooks,
};
