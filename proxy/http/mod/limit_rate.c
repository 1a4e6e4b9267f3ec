/* SPDX-License-Identifier: Apache-2.0 */
/* limit_rate.c - limit_rate, limit_rate_after and $limit_rate.
 *
 * The location that answers says how fast, unless `set $limit_rate` or an upstream's
 * X-Accel-Limit-Rate has said so before.  */
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/core_var.h"

struct rate_conf {
    struct rem_value *limit; /* UNSET_PTR until merged; NULL: none */
    struct rem_value *after;
};

extern struct rem_module rem_limit_rate_module;

static void *create_location(struct rem_conf *cf)
{
    struct rate_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    conf->limit = REM_CONF_UNSET_PTR;
    conf->after = REM_CONF_UNSET_PTR;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct rate_conf *prev = parent;
    struct rate_conf *conf = child;

    (void)cf;
    rem_merge_ptr(conf->limit, prev->limit, NULL);
    rem_merge_ptr(conf->after, prev->after, NULL);
    return 0;
}

/* What is fixed is checked here; "0" becomes no value at all. */
static int set_rate(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_value **value = (void *)((char *)conf + d->offset);
    uint64_t size;
    int rc = rem_set_value(cf, d, conf);

    if (rc != 0 || !rem_value_is_static(*value))
        return rc;
    if (rem_rate_parse((*value)->text, &size) != 0)
        return rem_conf_invalid(cf);
    if (size == 0)
        *value = NULL;
    return 0;
}

/* ---- requests ---- */

/* A value that is no size, or empty, means none. */
static int eval_size(struct rem_request *request, const struct rem_value *value, uint64_t *out)
{
    struct rem_str text;
    int rc;

    *out = 0;
    if (value == NULL)
        return 0;
    rc = rem_http_value(request, value, &text);
    if (rc != 0 || text.n == 0)
        return rc;
    if (rem_rate_parse(text, out) != 0)
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "invalid size \"%.*s\" for a rate",
                   REM_STR_ARG(text));
    return 0;
}

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    const struct rate_conf *conf = request->location_conf[rem_limit_rate_module.index];
    struct rem_rate *rate = &request->rate;
    uint64_t limit;

    if (conf->limit == NULL && !rate->limit_set)
        return next->run(request, next->next);
    if (!rate->limit_set) {
        if (eval_size(request, conf->limit, &limit) != 0)
            return REM_ENOMEM;
        rem_rate_set(rate, limit);
    }
    if (eval_size(request, conf->after, &rate->after) != 0)
        return REM_ENOMEM;
    rate->start_ms = request->worker->loop.clock.mono_ms;
    return next->run(request, next->next);
}

/* ---- $limit_rate ---- */

static int get_limit_rate(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);

    (void)v;
    return rem_core_var_number(e, out, (int64_t)request->rate.limit);
}

static int set_limit_rate(struct rem_eval *e, const struct rem_var *v, struct rem_str value)
{
    struct rem_request *request = rem_core_var_request(e);
    uint64_t limit;

    (void)v;
    if (rem_rate_parse(value, &limit) == 0)
        rem_rate_set(&request->rate, limit);
    else
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "invalid $limit_rate \"%.*s\"",
                   REM_STR_ARG(value));
    return 0;
}

static int variables(struct rem_http_setup *setup)
{
    struct rem_var *var = rem_var_add(setup->vars, REM_STR("limit_rate"), get_limit_rate, NULL,
                                      REM_VAR_CHANGEABLE | REM_VAR_NOCACHE);

    if (var == NULL)
        return REM_ENOMEM;
    var->set = set_limit_rate;
    return 0;
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_header_filter(setup, on_head);
}

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION | REM_CTX_LOCATION_IF };

static const struct rem_directive directives[] = {
    {"limit_rate", HSL, REM_ARGS_1, set_rate, REM_LEVEL_LOCATION, offsetof(struct rate_conf, limit),
     NULL},
    {"limit_rate_after", HSL, REM_ARGS_1, set_rate, REM_LEVEL_LOCATION,
     offsetof(struct rate_conf, after), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.variables = variables, .install = install};

struct rem_module rem_limit_rate_module = {
    .name = "limit_rate",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
