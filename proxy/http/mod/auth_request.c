/* SPDX-License-Identifier: Apache-2.0 */
/* auth_request.c - auth_request and auth_request_set: a subrequest says whether the client is let
 * in.
 *
 * Verdicts:   2xx lets in; 401 (with its WWW-Authenticate fields) and 403 refuse; anything else is
 *             a fault: 500.
 * Variables:  auth_request_set takes what it says of the subrequest, whatever the verdict.  */
#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/subrequest.h"
#include "proxy/upstream/upstream.h"

struct setting {
    uint32_t index; /* of the variable */
    struct rem_value value;
};

struct auth_conf {
    struct rem_str uri;         /* empty: off */
    struct rem_array *settings; /* of struct setting; NULL: none, or inherited */
};

/* Of one location's question; in module_ctx. */
struct auth_ctx {
    int status; /* 0: no answer yet */
};

extern struct rem_module rem_auth_request_module;

/* ---- configuration ---- */

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct auth_conf));
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct auth_conf *prev = parent;
    struct auth_conf *conf = child;

    (void)cf;
    rem_merge_str(&conf->uri, prev->uri, REM_STR(""));
    if (conf->settings == NULL)
        conf->settings = prev->settings;
    return 0;
}

static int set_auth_request(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct auth_conf *location = conf;

    (void)d;
    if (location->uri.p != NULL)
        return rem_conf_duplicate(cf);
    location->uri = rem_str_is(cf->args[1], "off") ? REM_STR("") : cf->args[1];
    return 0;
}

static int set_auth_request_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct auth_conf *location = conf;
    struct setting *setting;
    struct rem_str name;
    struct rem_var *var;
    int rc = rem_conf_var_name(cf, cf->args[1], &name);

    (void)d;
    if (rc == 0)
        rc = rem_conf_var_add(cf, name, NULL, NULL, REM_VAR_CHANGEABLE, &var);
    if (rc != 0)
        return rc;
    setting = rem_set_push(cf, &location->settings, sizeof(*setting));
    if (setting == NULL)
        return REM_ENOMEM;
    if (rem_var_index(cf->vars, name, rem_conf_here(cf), &setting->index) != 0)
        return rem_conf_nomem(cf);
    return rem_value_compile(cf, cf->args[2], &setting->value);
}

/* ---- the answer ---- */

/* The values are the subrequest's, the variables its parent's. */
static int take_values(struct rem_request *request, struct rem_request *child)
{
    const struct auth_conf *conf = request->location_conf[rem_auth_request_module.index];

    for (uint32_t i = 0; conf->settings != NULL && i < conf->settings->n; i++) {
        const struct setting *setting = rem_array_at(conf->settings, i);
        struct rem_str value;
        int rc = rem_http_value(child, &setting->value, &value);

        if (rc == 0)
            rc = rem_var_set(&request->eval, setting->index, value);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int copy_challenges(struct rem_request *request, const struct rem_fields *from, bool *found)
{
    const struct rem_field *field = rem_fields_find(from, REM_FIELD_WWW_AUTHENTICATE);

    for (; field != NULL; field = rem_fields_next(from, field)) {
        int rc = rem_fields_append(&request->response.fields, field);

        if (rc != 0)
            return rc;
        *found = true;
    }
    return 0;
}

/* What a client has to do to be let in. */
static int take_challenges(struct rem_request *request, const struct rem_request *child)
{
    const struct rem_upstream_exchange *x = child->upstream;
    bool found = false;
    int rc = copy_challenges(request, &child->response.fields, &found);

    if (rc == 0 && !found && x != NULL && x->fields != NULL)
        rc = copy_challenges(request, x->fields, &found);
    return rc;
}

static void on_answer(struct rem_request *child, const struct rem_subrequest_result *result,
                      void *data)
{
    struct rem_request *request = child->parent;
    struct auth_ctx *ctx = data;

    ctx->status = result->status;
    if (take_values(request, child) != 0 ||
        (ctx->status == 401 && take_challenges(request, child) != 0))
        ctx->status = 500;
    request->on_client_gone = NULL;
    rem_request_resume(request);
}

/* ---- the question ---- */

static void on_client_gone(struct rem_request *request)
{
    rem_request_finalize(request, 499);
}

static int ask(struct rem_request *request, const struct auth_conf *conf)
{
    struct auth_ctx *ctx = rem_arena_zalloc(&request->arena, sizeof(*ctx));
    const struct rem_subrequest_spec spec = {
        .kind = REM_SUBREQUEST_HEAD,
        .uri = conf->uri,
        .done = on_answer,
        .data = ctx,
    };

    if (ctx == NULL || rem_subrequest_start(request, &spec, NULL) != 0)
        return 500;
    request->module_ctx[rem_auth_request_module.index] = ctx;
    request->on_client_gone = on_client_gone;
    return REM_HTTP_AGAIN;
}

static int on_access(struct rem_request *request)
{
    const struct auth_conf *conf = request->location_conf[rem_auth_request_module.index];
    const struct auth_ctx *ctx = request->module_ctx[rem_auth_request_module.index];

    if (conf->uri.n == 0)
        return REM_HTTP_DECLINED;
    if (ctx == NULL)
        return ask(request, conf);
    if (ctx->status == 0)
        return REM_HTTP_AGAIN;
    if (ctx->status == 401 || ctx->status == 403)
        return ctx->status;
    if (ctx->status >= 200 && ctx->status < 300)
        return REM_HTTP_OK;
    REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "auth request unexpected status: %d", ctx->status);
    return 500;
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_ACCESS, on_access);
}

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

static const struct rem_directive directives[] = {
    {"auth_request", HSL, REM_ARGS_1, set_auth_request, REM_LEVEL_LOCATION, 0, NULL},
    {"auth_request_set", HSL, REM_ARGS_2, set_auth_request_set, REM_LEVEL_LOCATION, 0, NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_auth_request_module = {
    .name = "auth_request",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
