/* SPDX-License-Identifier: Apache-2.0 */
/* core_block.c - the blocks http, server and location: read, merged, made ready for workers. */
#include "proxy/conf/set.h"
#include "proxy/http/core_listen.h"
#include "proxy/http/core_location.h"
#include "proxy/http/core_names.h"
#include "proxy/http/core_priv.h"
#include "proxy/http/h1_server.h"
#include "proxy/net/setup.h"

/* ---- http ---- */

/* The hooks of an HTTP module, or NULL. */
static const struct rem_http_hooks *hooks_of(const struct rem_module *module)
{
    return module->kind == REM_MODULE_HTTP ? module->hooks : NULL;
}

static int worker_init(struct rem_worker *worker)
{
    for (struct rem_module *const *m = rem_modules; *m != NULL; m++) {
        const struct rem_http_hooks *hooks = hooks_of(*m);
        int rc = hooks != NULL && hooks->worker_init != NULL ? hooks->worker_init(worker) : 0;

        if (rc != 0)
            return rc;
    }
    return 0;
}

static void worker_fini(struct rem_worker *worker)
{
    rem_h1_server_abort_all(worker); /* so that their log lines say how they ended */
    rem_loop_free_deferred(&worker->loop);
    for (struct rem_module *const *m = rem_modules; *m != NULL; m++) {
        const struct rem_http_hooks *hooks = hooks_of(*m);

        if (hooks != NULL && hooks->worker_fini != NULL)
            hooks->worker_fini(worker);
    }
}

static void worker_drain(struct rem_worker *worker)
{
    rem_h1_server_drain(worker);
    for (struct rem_module *const *m = rem_modules; *m != NULL; m++) {
        const struct rem_http_hooks *hooks = hooks_of(*m);

        if (hooks != NULL && hooks->worker_drain != NULL)
            hooks->worker_drain(worker);
    }
}

/* Idle clients first, then what modules can do without. */
static uint32_t worker_reclaim(struct rem_worker *worker, uint32_t n)
{
    uint32_t closed = rem_h1_server_reclaim(worker, n);

    for (struct rem_module *const *m = rem_modules; *m != NULL && closed < n; m++) {
        const struct rem_http_hooks *hooks = hooks_of(*m);

        if (hooks != NULL && hooks->worker_reclaim != NULL)
            closed += hooks->worker_reclaim(worker, n - closed);
    }
    return closed;
}

static int define_variables(struct rem_http_setup *http)
{
    for (struct rem_module *const *m = rem_modules; *m != NULL; m++) {
        const struct rem_http_hooks *hooks = hooks_of(*m);
        int rc = hooks != NULL && hooks->variables != NULL ? hooks->variables(http) : 0;

        if (rc != 0)
            return rem_conf_error(http->conf, "module \"%s\" cannot define its variables",
                                  (*m)->name);
    }
    return 0;
}

static bool is_mentioned(const struct rem_vars *vars, struct rem_str name)
{
    for (uint32_t i = 0; i < rem_vars_count(vars); i++) {
        if (rem_str_eq(rem_vars_at(vars, i)->name, name))
            return true;
    }
    return false;
}

static int install_hooks(struct rem_http_setup *http, struct rem_http_main_conf *conf)
{
    for (struct rem_module *const *m = rem_modules; *m != NULL; m++) {
        const struct rem_http_hooks *hooks = hooks_of(*m);
        int rc = hooks != NULL && hooks->install != NULL ? hooks->install(http) : 0;

        if (rc != 0)
            return rem_conf_nomem(http->conf);
    }
    if (rem_phase_compile(http, &conf->phases) != 0 ||
        rem_filter_compile(http, &conf->header_filters, &conf->body_filters) != 0)
        return rem_conf_nomem(http->conf);
    return 0;
}

static int tell_ready(struct rem_http_setup *http)
{
    for (struct rem_module *const *m = rem_modules; *m != NULL; m++) {
        const struct rem_http_hooks *hooks = hooks_of(*m);
        int rc = hooks != NULL && hooks->ready != NULL ? hooks->ready(http) : 0;

        if (rc != 0)
            return rc;
    }
    return 0;
}

/* What the finished configuration needs before it can serve. */
static int finish(struct rem_http_setup *http, struct rem_http_main_conf *conf)
{
    struct rem_conf *cf = http->conf;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < conf->servers.n; i++) {
        struct rem_http_server_conf **server = rem_array_at(&conf->servers, i);

        rc = rem_http_locations_build(cf, (*server)->ctx->location[rem_http_core_module.index]);
    }
    if (rc == 0)
        rc = install_hooks(http, conf);
    if (rc == 0)
        rc = rem_http_listens_finish(cf, conf->listens, rem_h1_server_accept);
    if (rc == 0)
        rc = rem_vars_resolve(cf->vars, cf);
    if (rc == 0)
        rc = tell_ready(http);
    if (rc != 0)
        return rc;
    conf->shows_body = is_mentioned(cf->vars, REM_STR("request_body"));
    conf->shows_body_file = is_mentioned(cf->vars, REM_STR("request_body_file"));
    http->setup->http = conf;
    http->setup->worker_init = worker_init;
    http->setup->worker_fini = worker_fini;
    http->setup->worker_drain = worker_drain;
    http->setup->worker_reclaim = worker_reclaim;
    return 0;
}

static int read_http(struct rem_http_setup *http, struct rem_conf_ctx *ctx,
                     struct rem_http_main_conf *conf)
{
    struct rem_conf *cf = http->conf;
    int rc = define_variables(http);

    if (rc == 0)
        rc = rem_conf_preconfigure(cf, REM_MODULE_HTTP, ctx);
    if (rc == 0)
        rc = rem_conf_block(cf, REM_CTX_HTTP, ctx);
    if (rc == 0)
        rc = rem_conf_init_main(cf, REM_MODULE_HTTP, ctx);
    if (rc == 0)
        rc = rem_conf_merge(cf, REM_MODULE_HTTP, ctx);
    return rc != 0 ? rc : finish(http, conf);
}

static int set_http(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_main_conf *main_conf = rem_conf_main(cf, &rem_http_core_module);
    struct rem_vars *outer = cf->vars;
    struct rem_http_setup *http;
    struct rem_conf_ctx *ctx;
    int rc;

    (void)d;
    (void)conf;
    if (main_conf != NULL)
        return rem_conf_duplicate(cf);
    ctx = rem_conf_ctx_new(cf, REM_MODULE_HTTP, REM_LEVEL_MAIN);
    if (ctx == NULL)
        return REM_ENOMEM;
    http = rem_arena_zalloc(cf->arena, sizeof(*http));
    cf->vars = rem_vars_new(cf->arena);
    if (http == NULL || cf->vars == NULL)
        return rem_conf_nomem(cf);
    http->conf = cf;
    http->arena = cf->arena;
    http->setup = cf->user;
    http->vars = cf->vars;

    main_conf = ctx->main[rem_http_core_module.index];
    main_conf->ctx = ctx;
    main_conf->vars = cf->vars;
    for (struct rem_module *const *m = rem_modules; *m != NULL; m++)
        main_conf->n_modules++;
    rc = read_http(http, ctx, main_conf);
    cf->vars = outer;
    return rc;
}

/* ---- server ---- */

static struct rem_http_location_conf *location_of(const struct rem_conf_ctx *ctx)
{
    return ctx->location[rem_http_core_module.index];
}

int rem_core_set_server_block(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_main_conf *http = rem_conf_main(cf, &rem_http_core_module);
    struct rem_http_server_conf *server, **slot;
    struct rem_conf_ctx *ctx;
    int rc;

    (void)d;
    (void)conf;
    ctx = rem_conf_ctx_new(cf, REM_MODULE_HTTP, REM_LEVEL_SERVER);
    if (ctx == NULL)
        return REM_ENOMEM;
    server = ctx->server[rem_http_core_module.index];
    server->ctx = ctx;
    server->http = http;
    server->pos = rem_conf_here(cf);
    location_of(ctx)->conf = ctx->location;
    location_of(ctx)->server = server;
    slot = rem_array_push(cf->arena, &http->servers);
    if (slot == NULL)
        return rem_conf_nomem(cf);
    *slot = server;
    rc = rem_conf_block(cf, REM_CTX_SERVER, ctx);
    if (rc == 0 && !server->listens)
        rc = rem_http_listen_default(cf, server);
    return rc;
}

/* ---- location ---- */

/* What a location line says. */
struct location_args {
    struct rem_str name;
    bool exact, noregex, named;
    bool is_regex, nocase;
};

static bool take_modifier(struct rem_str text, struct location_args *args)
{
    if (rem_str_is(text, "="))
        args->exact = true;
    else if (rem_str_is(text, "^~"))
        args->noregex = true;
    else if (rem_str_is(text, "~"))
        args->is_regex = true;
    else if (rem_str_is(text, "~*"))
        args->is_regex = args->nocase = true;
    else
        return false;
    return true;
}

/* "location = /x" or, with the modifier stuck to the name, "location =/x". */
static int parse_location(struct rem_conf *cf, struct location_args *args)
{
    static const char *const modifiers[] = {"=", "^~", "~*", "~"};
    struct rem_str text = cf->args[1];

    *args = (struct location_args){.name = text};
    if (cf->n_args == 3) {
        args->name = cf->args[2];
        if (take_modifier(text, args))
            return 0;
        return rem_conf_error(cf, "invalid location modifier \"%.*s\"", REM_STR_ARG(text));
    }
    for (size_t i = 0; i < REM_COUNT(modifiers); i++) {
        struct rem_str modifier = rem_str_from(modifiers[i]);

        if (!rem_str_has_prefix(text, modifier))
            continue;
        args->name = rem_str_skip(text, modifier.n);
        (void)take_modifier(modifier, args);
        return 0;
    }
    args->named = text.n != 0 && text.p[0] == '@';
    return 0;
}

/* Whether a location may stand inside `parent`, itself a location. */
static int check_nesting(struct rem_conf *cf, const struct location_args *args,
                         const struct rem_http_location_conf *parent)
{
    if (parent->exact || parent->named)
        return rem_conf_error(cf, "location \"%.*s\" cannot be inside the %s location \"%.*s\"",
                              REM_STR_ARG(args->name), parent->exact ? "exact" : "named",
                              REM_STR_ARG(parent->name));
    if (args->named)
        return rem_conf_error(cf, "named location \"%.*s\" can be on the server level only",
                              REM_STR_ARG(args->name));
    /* A prefix inside a regex is looked up only where the regex has matched; whether both can fit
     * one URI is not for us to prove. */
    if (!args->is_regex && parent->regex == NULL && !rem_str_has_prefix(args->name, parent->name))
        return rem_conf_error(cf, "location \"%.*s\" is outside location \"%.*s\"",
                              REM_STR_ARG(args->name), REM_STR_ARG(parent->name));
    return 0;
}

static int compile_regex(struct rem_conf *cf, const struct location_args *args,
                         struct rem_http_location_conf *location)
{
    location->regex = rem_arena_zalloc(cf->arena, sizeof(*location->regex));
    if (location->regex == NULL)
        return rem_conf_nomem(cf);
    return rem_capture_compile(cf, args->name, args->nocase ? REM_REGEX_NOCASE : 0,
                               location->regex);
}

/* Hangs a location where it will be found. */
static int adopt(struct rem_conf *cf, struct rem_http_location_conf *parent,
                 struct rem_http_location_conf *location)
{
    struct rem_http_location_conf **slot;

    if (location->named) {
        struct rem_http_server_conf *server = rem_conf_server(cf, &rem_http_core_module);
        int rc = rem_strmap_add(&server->named, location->name, location);

        if (rc == REM_EEXIST)
            return rem_conf_error(cf, "duplicate location \"%.*s\"", REM_STR_ARG(location->name));
        return rc != 0 ? rem_conf_nomem(cf) : 0;
    }
    slot = rem_set_push(cf, &parent->nested, sizeof(struct rem_http_location_conf *));
    if (slot == NULL)
        return REM_ENOMEM;
    *slot = location;
    return 0;
}

int rem_core_set_location_block(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_location_conf *parent = rem_conf_location(cf, &rem_http_core_module), *location;
    struct location_args args;
    struct rem_conf_ctx *ctx;
    int rc = parse_location(cf, &args);

    (void)d;
    (void)conf;
    if (rc == 0 && cf->context == REM_CTX_LOCATION)
        rc = check_nesting(cf, &args, parent);
    if (rc != 0)
        return rc;
    ctx = rem_conf_ctx_new(cf, REM_MODULE_HTTP, REM_LEVEL_LOCATION);
    if (ctx == NULL)
        return REM_ENOMEM;
    location = location_of(ctx);
    location->conf = ctx->location;
    location->server = parent->server;
    location->name = args.name;
    location->exact = args.exact;
    location->noregex = args.noregex;
    location->named = args.named;
    location->pos = rem_conf_here(cf);
    if (args.is_regex)
        rc = compile_regex(cf, &args, location);
    if (rc == 0)
        rc = adopt(cf, parent, location);
    return rc != 0 ? rc : rem_conf_block(cf, REM_CTX_LOCATION, ctx);
}

/* ---- blocks inside a location ---- */

int rem_core_new_block(struct rem_conf *cf, struct rem_conf_ctx **out)
{
    const struct rem_http_location_conf *parent = rem_conf_location(cf, &rem_http_core_module);
    struct rem_conf_ctx *ctx = rem_conf_ctx_new(cf, REM_MODULE_HTTP, REM_LEVEL_LOCATION);
    struct rem_http_location_conf *block;

    if (ctx == NULL)
        return REM_ENOMEM;
    block = location_of(ctx);
    block->conf = ctx->location;
    block->server = parent->server;
    block->pos = rem_conf_here(cf);
    block->name = parent->name;
    block->regex = parent->regex;
    block->exact = parent->exact;
    block->noregex = parent->noregex;
    block->named = parent->named;
    block->block = true;
    *out = ctx;
    return 0;
}

/* ---- the modules ---- */

static int add_variables(struct rem_http_setup *http)
{
    int rc = rem_core_add_vars(http->vars);

    if (rc == 0)
        rc = rem_core_add_field_vars(http->vars);
    return rc != 0 ? rc : rem_core_add_conn_vars(http->vars);
}

static const struct rem_http_hooks core_hooks = {.variables = add_variables};

struct rem_module rem_http_core_module = {
    .name = "http_core",
    .kind = REM_MODULE_HTTP,
    .directives = rem_core_directives,
    .create_main = rem_core_create_main,
    .create_server = rem_core_create_server,
    .merge_server = rem_core_merge_server,
    .create_location = rem_core_create_location,
    .merge_location = rem_core_merge_location,
    .hooks = &core_hooks,
};

static const struct rem_directive http_directives[] = {
    {"http", REM_CTX_MAIN, REM_ARGS_0 | REM_ARGS_BLOCK, set_http, REM_LEVEL_NONE, 0, NULL},
    REM_DIRECTIVE_END,
};

struct rem_module rem_http_module = {
    .name = "http",
    .kind = REM_MODULE_CORE,
    .directives = http_directives,
};
