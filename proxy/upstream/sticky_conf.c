/* SPDX-License-Identifier: Apache-2.0 */
/* sticky_conf.c - the `sticky` directive of an upstream block. */
#include "proxy/conf/set.h"
#include "proxy/net/setup.h"
#include "proxy/upstream/sticky.h"
#include "proxy/upstream/upstream_conf.h"

enum { LEARN_TIMEOUT_MS = 600000, SESSION_SIZE = 16 };

/* A parameter "name=value", or a word. */
struct param {
    const char *name;
    bool is_word;
    int (*set)(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str value);
};

static int bad_param(struct rem_conf *cf, struct rem_str arg)
{
    return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(arg));
}

static int apply_param(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str arg,
                       const struct param *params, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rem_str name = rem_str_from(params[i].name);

        if (params[i].is_word ? !rem_str_eq(arg, name) : !rem_str_has_prefix(arg, name))
            continue;
        if (!params[i].is_word && arg.n == name.n)
            return bad_param(cf, arg);
        return params[i].set(cf, sticky, rem_str_skip(arg, name.n));
    }
    return bad_param(cf, arg);
}

static int compile(struct rem_conf *cf, struct rem_str text, const struct rem_value **out)
{
    struct rem_value *value = rem_arena_zalloc(cf->arena, sizeof(*value));

    if (value == NULL)
        return rem_conf_nomem(cf);
    *out = value;
    return rem_value_compile(cf, text, value);
}

/* A variable, one of several to be tried in order. */
static int push_variable(struct rem_conf *cf, struct rem_array *values, struct rem_str text)
{
    struct rem_value *value;
    struct rem_str name;
    int rc = rem_conf_var_name(cf, text, &name);

    if (rc != 0)
        return rc;
    value = rem_array_push(cf->arena, values);
    if (value == NULL)
        return rem_conf_nomem(cf);
    return rem_value_compile(cf, text, value);
}

/* ---- cookie ---- */

static int cookie_expires(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str value)
{
    if (rem_str_is(value, "max"))
        sticky->expires = REM_STICKY_EXPIRES_MAX;
    else if (rem_conf_parse_sec(value, &sticky->expires) != 0 || sticky->expires < 0)
        return rem_conf_error(cf, "invalid parameter \"expires=%.*s\"", REM_STR_ARG(value));
    return 0;
}

static int cookie_domain(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str value)
{
    return compile(cf, value, &sticky->domain);
}

static int cookie_path(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str value)
{
    return compile(cf, value, &sticky->path);
}

static int cookie_samesite(struct rem_conf *cf, struct rem_sticky_conf *sticky,
                           struct rem_str value)
{
    if (!rem_sticky_is_samesite(value) && value.p[0] != '$')
        return rem_conf_error(cf, "invalid parameter \"samesite=%.*s\"", REM_STR_ARG(value));
    return compile(cf, value, &sticky->samesite);
}

static int cookie_httponly(struct rem_conf *cf, struct rem_sticky_conf *sticky,
                           struct rem_str value)
{
    (void)cf;
    (void)value;
    sticky->httponly = true;
    return 0;
}

static int cookie_secure(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str value)
{
    (void)cf;
    (void)value;
    sticky->secure = true;
    return 0;
}

static int set_cookie(struct rem_conf *cf, struct rem_sticky_conf *sticky)
{
    static const struct param params[] = {
        {"expires=", false, cookie_expires}, {"domain=", false, cookie_domain},
        {"path=", false, cookie_path},       {"samesite=", false, cookie_samesite},
        {"httponly", true, cookie_httponly}, {"secure", true, cookie_secure},
    };

    if (cf->n_args < 3)
        return rem_conf_error(cf, "invalid number of arguments in \"sticky\" directive");
    sticky->method = REM_STICKY_BY_COOKIE;
    sticky->cookie = cf->args[2];
    if (sticky->cookie.n == 0)
        return rem_conf_error(cf, "empty cookie name in \"sticky\" directive");
    for (size_t i = 3; i < cf->n_args; i++) {
        int rc = apply_param(cf, sticky, cf->args[i], params, REM_COUNT(params));
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- route ---- */

static int set_route(struct rem_conf *cf, struct rem_sticky_conf *sticky)
{
    if (cf->n_args < 3)
        return rem_conf_error(cf, "invalid number of arguments in \"sticky\" directive");
    sticky->method = REM_STICKY_BY_ROUTE;
    for (size_t i = 2; i < cf->n_args; i++) {
        int rc = push_variable(cf, &sticky->lookup, cf->args[i]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- learn ---- */

static int learn_create(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str value)
{
    return push_variable(cf, &sticky->create, value);
}

static int learn_lookup(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str value)
{
    return push_variable(cf, &sticky->lookup, value);
}

static int learn_timeout(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str value)
{
    int64_t ms;

    if (rem_conf_parse_msec(value, &ms) != 0 || ms <= 0)
        return rem_conf_error(cf, "invalid parameter \"timeout=%.*s\"", REM_STR_ARG(value));
    sticky->timeout_ms = (uint64_t)ms;
    return 0;
}

static int learn_header(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str value)
{
    (void)cf;
    (void)value;
    sticky->at_header = true;
    return 0;
}

/* zone=NAME:SIZE.  What the name means is the upstream's: another one's zone is another zone. */
static int learn_zone(struct rem_conf *cf, struct rem_sticky_conf *sticky, struct rem_str value)
{
    const struct rem_upstream_block *block = rem_conf_server(cf, &rem_upstream_module);
    struct rem_setup *setup = cf->user;
    const char *colon = rem_str_chr(value, ':');
    struct rem_zone spec = {.kind = REM_ZONE_STICKY, .value_size = SESSION_SIZE};
    int rc;

    if (colon == NULL || colon == value.p)
        return rem_conf_error(cf, "invalid zone size \"zone=%.*s\"", REM_STR_ARG(value));
    spec.name = rem_str_make(value.p, (size_t)(colon - value.p));
    spec.tag = block->upstream->name;
    if (rem_conf_parse_size(rem_str_skip(value, spec.name.n + 1), &spec.size) != 0)
        return rem_conf_error(cf, "invalid zone size \"zone=%.*s\"", REM_STR_ARG(value));
    if (spec.size < REM_ZONE_SIZE_MIN)
        return rem_conf_error(cf, "zone \"zone=%.*s\" is too small", REM_STR_ARG(value));
    rc = rem_zone_declare(&setup->zones, cf->arena, &spec, &sticky->zone);
    if (rc == REM_EEXIST)
        return rem_conf_error(cf, "the size or the use of zone \"%.*s\" conflicts with another",
                              REM_STR_ARG(spec.name));
    return rc == REM_OK ? 0 : rem_conf_nomem(cf);
}

static int set_learn(struct rem_conf *cf, struct rem_sticky_conf *sticky)
{
    static const struct param params[] = {
        {"create=", false, learn_create},   {"lookup=", false, learn_lookup},
        {"timeout=", false, learn_timeout}, {"zone=", false, learn_zone},
        {"header", true, learn_header},
    };

    sticky->method = REM_STICKY_BY_LEARNING;
    sticky->timeout_ms = LEARN_TIMEOUT_MS;
    for (size_t i = 2; i < cf->n_args; i++) {
        int rc = apply_param(cf, sticky, cf->args[i], params, REM_COUNT(params));
        if (rc != 0)
            return rc;
    }
    if (sticky->zone == NULL)
        return rem_conf_error(cf, "\"sticky learn\" must have \"zone\" parameter");
    if (sticky->create.n == 0)
        return rem_conf_error(cf, "\"sticky learn\" must have \"create\" parameter");
    if (sticky->lookup.n == 0)
        return rem_conf_error(cf, "\"sticky learn\" must have \"lookup\" parameter");
    return 0;
}

/* ---- the module ---- */

static int set_sticky(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    static const struct {
        const char *name;
        int (*set)(struct rem_conf *cf, struct rem_sticky_conf *sticky);
        uint32_t kind;
    } methods[] = {
        {"cookie", set_cookie, REM_STICKY_ANYWAY},
        {"route", set_route, REM_STICKY_ROUTE},
        {"learn", set_learn, REM_STICKY_ANYWAY},
    };
    struct rem_upstream_block *block = rem_conf_server(cf, &rem_upstream_module);
    struct rem_sticky_conf *sticky;

    (void)d;
    (void)conf;
    rem_upstream_block_hash(cf, block);
    if (block->upstream->sticky != NULL)
        return rem_conf_duplicate(cf);
    sticky = rem_arena_zalloc(cf->arena, sizeof(*sticky));
    if (sticky == NULL)
        return rem_conf_nomem(cf);
    sticky->expires = REM_STICKY_EXPIRES_NONE;
    rem_array_init(&sticky->lookup, sizeof(struct rem_value));
    rem_array_init(&sticky->create, sizeof(struct rem_value));
    block->upstream->sticky = sticky;
    for (size_t i = 0; i < REM_COUNT(methods); i++) {
        if (!rem_str_is(cf->args[1], methods[i].name))
            continue;
        block->upstream->spec.sticky = methods[i].kind;
        return methods[i].set(cf, sticky);
    }
    return rem_conf_error(cf, "unknown sticky method \"%.*s\"", REM_STR_ARG(cf->args[1]));
}

static const struct rem_directive directives[] = {
    {.name = "sticky", .contexts = REM_CTX_UPSTREAM, .args = REM_ARGS_1MORE, .set = set_sticky},
    REM_DIRECTIVE_END,
};

struct rem_module rem_sticky_module = {
    .name = "sticky",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
};
