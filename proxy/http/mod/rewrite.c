/* SPDX-License-Identifier: Apache-2.0 */
/* rewrite.c - the module of rewrite, if, set, break and return: their list, and walking it. */
#include "proxy/http/mod/rewrite.h"

#include "proxy/conf/set.h"
#include "proxy/http/core_var.h"

static void *create_location(struct rem_conf *cf)
{
    struct rem_rewrite_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL) {
        conf->log = REM_CONF_UNSET;
        conf->warn_unset = REM_CONF_UNSET;
    }
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct rem_rewrite_conf *prev = parent;
    struct rem_rewrite_conf *conf = child;

    (void)cf;
    rem_merge_flag(&conf->log, prev->log, 0);
    rem_merge_flag(&conf->warn_unset, prev->warn_unset, 1);
    return 0;
}

/* ---- directives ---- */

struct rem_rewrite_step *rem_rewrite_add(struct rem_conf *cf, struct rem_rewrite_conf *conf,
                                         enum rem_rewrite_kind kind)
{
    struct rem_rewrite_step *step = rem_set_push(cf, &conf->steps, sizeof(*step));

    if (step != NULL)
        step->kind = kind;
    return step;
}

/* The value of a variable that `set` names but has not given a value yet. */
static int get_unset(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct rem_request *request = rem_core_var_request(e);

    if (rem_rewrite_conf_of(request)->warn_unset)
        REM_LOG_IN(&request->log, REM_LOG_WARN, 0, "using uninitialized \"%.*s\" variable",
                   REM_STR_ARG(v->name));
    return rem_core_var_text(out, REM_STR(""));
}

static int set_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_rewrite_step *step;
    struct rem_value *value;
    struct rem_str name;
    struct rem_var *var;
    int rc = rem_conf_var_name(cf, cf->args[1], &name);

    (void)d;
    if (rc == 0)
        rc = rem_conf_var_add(cf, name, NULL, NULL, REM_VAR_CHANGEABLE, &var);
    if (rc != 0)
        return rc;
    /* A name like http_x stays what it is until it is set. */
    if (var->get == NULL && !rem_vars_has_prefix(cf->vars, var->name))
        var->get = get_unset;
    value = rem_arena_zalloc(cf->arena, sizeof(*value));
    if (value == NULL)
        return rem_conf_nomem(cf);
    rc = rem_value_compile(cf, cf->args[2], value);
    if (rc != 0)
        return rc;
    step = rem_rewrite_add(cf, conf, REM_REWRITE_SET);
    if (step == NULL || rem_var_index(cf->vars, name, rem_conf_here(cf), &step->index) != 0)
        return REM_ENOMEM;
    step->u.value = value;
    return 0;
}

static int set_break(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    (void)d;
    return rem_rewrite_add(cf, conf, REM_REWRITE_BREAK) != NULL ? 0 : REM_ENOMEM;
}

/* ---- requests ---- */

enum outcome { GO_ON = 0, STOP, ANSWERED, FAILED };

static enum outcome run_set(struct rem_request *request, const struct rem_rewrite_step *step)
{
    struct rem_str text;

    if (rem_rewrite_eval(request, step->u.value, &text) != 0 ||
        rem_var_set(&request->eval, step->index, text) != 0)
        return FAILED;
    return GO_ON;
}

static enum outcome run_rewrite(struct rem_request *request, const struct rem_rewrite *rewrite)
{
    int rc = rem_rewrite_apply(request, rewrite);

    if (rc < 0)
        return FAILED;
    if (rc == 0)
        return GO_ON;
    if (rewrite->status != 0)
        return ANSWERED;
    return rewrite->last ? STOP : GO_ON;
}

/* *next becomes the step to go on with. */
static enum outcome run_if(struct rem_request *request, const struct rem_rewrite_step *step,
                           uint32_t *next)
{
    int rc = rem_if_test(request, step->u.condition);

    if (rc < 0)
        return FAILED;
    if (rc == 0)
        *next = step->end;
    else if (step->location != NULL)
        rem_core_use_block(request, step->location);
    return GO_ON;
}

static enum outcome run_step(struct rem_request *request, const struct rem_rewrite_step *step,
                             uint32_t *next)
{
    switch (step->kind) {
    case REM_REWRITE_SET:
        return run_set(request, step);
    case REM_REWRITE_RETURN:
        rem_return_answer(request, step->u.answer);
        return ANSWERED;
    case REM_REWRITE_URI:
        return run_rewrite(request, step->u.rewrite);
    case REM_REWRITE_BREAK:
        request->uri_changed = false;
        return STOP;
    case REM_REWRITE_IF:
        return run_if(request, step, next);
    }
    return FAILED;
}

static int run_steps(struct rem_request *request)
{
    const struct rem_array *steps = rem_rewrite_conf_of(request)->steps;
    uint32_t i = 0;

    while (steps != NULL && i < steps->n) {
        const struct rem_rewrite_step *step = rem_array_at(steps, i++);

        switch (run_step(request, step, &i)) {
        case GO_ON:
            break;
        case STOP:
            return REM_HTTP_DECLINED;
        case ANSWERED:
            return REM_HTTP_DONE;
        case FAILED:
            return 500;
        }
    }
    return REM_HTTP_DECLINED;
}

/* Here each request begins, and each internal redirect. */
static int run_server_steps(struct rem_request *request)
{
    request->uri_replaced = false;
    return run_steps(request);
}

/* Where no location fits, the server's own steps have run already. */
static int run_location_steps(struct rem_request *request)
{
    if (request->location_conf == request->server->ctx->location)
        return REM_HTTP_DECLINED;
    return run_steps(request);
}

static int install(struct rem_http_setup *setup)
{
    int rc = rem_http_add_handler(setup, REM_PHASE_SERVER_REWRITE, run_server_steps);

    return rc != 0 ? rc : rem_http_add_handler(setup, REM_PHASE_REWRITE, run_location_steps);
}

enum {
    SL = REM_CTX_SERVER | REM_CTX_LOCATION,
    SLI = SL | REM_CTX_SERVER_IF | REM_CTX_LOCATION_IF,
    HSLI = REM_CTX_HTTP | SLI,
};

static const struct rem_directive directives[] = {
    {"rewrite", SLI, REM_ARGS_23, rem_rewrite_set, REM_LEVEL_LOCATION, 0, NULL},
    {"if", SL, REM_ARGS_BLOCK | REM_ARGS_1MORE, rem_if_set, REM_LEVEL_LOCATION, 0, NULL},
    {"set", SLI, REM_ARGS_2, set_set, REM_LEVEL_LOCATION, 0, NULL},
    {"break", SLI, REM_ARGS_0, set_break, REM_LEVEL_LOCATION, 0, NULL},
    {"return", SLI, REM_ARGS_12, rem_return_set, REM_LEVEL_LOCATION, 0, NULL},
    {"rewrite_log", HSLI, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_LOCATION,
     offsetof(struct rem_rewrite_conf, log), NULL},
    {"uninitialized_variable_warn", HSLI, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_LOCATION,
     offsetof(struct rem_rewrite_conf, warn_unset), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_rewrite_module = {
    .name = "rewrite",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
