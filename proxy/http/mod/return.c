/* SPDX-License-Identifier: Apache-2.0 */
/* return.c - the directives `set` and `return`: steps that run in the order of the file.
 *
 * Phases:     server-rewrite (a server's own steps) and rewrite (a location's).  */
#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/http/body.h"
#include "proxy/http/core.h"

enum step_kind { STEP_SET = 0, STEP_RETURN };

struct step {
    enum step_kind kind;
    uint32_t index;         /* SET: of the variable */
    int status;             /* RETURN */
    bool has_text;          /* RETURN */
    struct rem_value value; /* SET: the value; RETURN: text or URL */
};

struct return_conf {
    struct rem_array steps; /* of struct step; not inherited */
};

extern struct rem_module rem_return_module;

static void *create_location(struct rem_conf *cf)
{
    struct return_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        rem_array_init(&conf->steps, sizeof(struct step));
    return conf;
}

/* ---- directives ---- */

static int set_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct return_conf *location = conf;
    struct rem_str name = cf->args[1];
    struct rem_var *var;
    struct step *step;
    int rc;

    (void)d;
    if (name.n < 2 || name.p[0] != '$')
        return rem_conf_error(cf, "invalid variable name \"%.*s\"", REM_STR_ARG(name));
    name = rem_str_skip(name, 1);
    rc = rem_conf_var_add(cf, name, NULL, NULL, REM_VAR_CHANGEABLE, &var);
    if (rc != 0)
        return rc;
    step = rem_array_push(cf->arena, &location->steps);
    if (step == NULL || rem_var_index(cf->vars, name, rem_conf_here(cf), &step->index) != 0)
        return rem_conf_nomem(cf);
    step->kind = STEP_SET;
    return rem_value_compile(cf, cf->args[2], &step->value);
}

static bool is_url(struct rem_str text)
{
    return rem_str_has_prefix(text, REM_STR("http://")) ||
           rem_str_has_prefix(text, REM_STR("https://")) ||
           rem_str_has_prefix(text, REM_STR("$scheme"));
}

static int set_return(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct return_conf *location = conf;
    struct step *step = rem_array_push(cf->arena, &location->steps);
    struct rem_str text = cf->args[cf->n_args - 1];
    int64_t status;

    (void)d;
    if (step == NULL)
        return rem_conf_nomem(cf);
    step->kind = STEP_RETURN;
    if (rem_conf_parse_num(cf->args[1], &status) == 0 && status <= 999) {
        step->status = (int)status;
        step->has_text = cf->n_args == 3 && text.n != 0;
    } else if (cf->n_args == 2 && is_url(text)) {
        step->status = 302;
        step->has_text = true;
    } else {
        return rem_conf_error(cf, "invalid return code \"%.*s\"", REM_STR_ARG(cf->args[1]));
    }
    return step->has_text ? rem_value_compile(cf, text, &step->value) : 0;
}

/* ---- requests ---- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Returns what a content handler returns. */
static int respond(struct rem_request *request, const struct step *step)
{
    struct rem_str text = REM_STR("");

    if (!step->has_text && step->status >= 400)
        return step->status;
    request->response.status = step->status; /* the text may ask for $status */
    if (step->has_text && rem_http_value(request, &step->value, &text) != 0)
        return 500;
    rem_body_discard(request);
    if (is_redirect(step->status)) {
        if (rem_core_set_location_field(request, text) != 0)
            return 500;
        return step->status;
    }
    return rem_http_respond(request, step->status,
                            step->status != 204 ? rem_core_type(request) : REM_STR(""), text);
}

static int run_steps(struct rem_request *request)
{
    const struct return_conf *conf = request->location_conf[rem_return_module.index];
    const struct step *steps = REM_ARRAY_OF(&conf->steps, const struct step);

    for (uint32_t i = 0; i < conf->steps.n; i++) {
        struct rem_str value;

        if (steps[i].kind == STEP_RETURN) {
            rem_request_finalize(request, respond(request, &steps[i]));
            return REM_HTTP_DONE;
        }
        if (rem_http_value(request, &steps[i].value, &value) != 0 ||
            rem_var_set(&request->eval, steps[i].index, value) != 0)
            return 500;
    }
    return REM_HTTP_DECLINED;
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
    int rc = rem_http_add_handler(setup, REM_PHASE_SERVER_REWRITE, run_steps);

    return rc != 0 ? rc : rem_http_add_handler(setup, REM_PHASE_REWRITE, run_location_steps);
}

static const struct rem_directive directives[] = {
    {"set", REM_CTX_SERVER | REM_CTX_LOCATION, REM_ARGS_2, set_set, REM_LEVEL_LOCATION, 0, NULL},
    {"return", REM_CTX_SERVER | REM_CTX_LOCATION, REM_ARGS_12, set_return, REM_LEVEL_LOCATION, 0,
     NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_return_module = {
    .name = "return",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .hooks = &hooks,
};
