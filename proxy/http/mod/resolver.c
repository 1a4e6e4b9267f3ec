/* SPDX-License-Identifier: Apache-2.0 */
/* resolver.c - resolver, resolver_timeout: who is asked for names, and for how long. */
#include "proxy/http/mod/resolver.h"

#include "proto/shm/layout.h"
#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/http/http.h"
#include "proxy/net/setup.h"

enum { DNS_PORT = 53, DEFAULT_TIMEOUT_MS = 30000 };

extern struct rem_module rem_resolver_module;

/* ---- the directive's arguments ---- */

static int parse_switch(struct rem_conf *cf, struct rem_str arg, struct rem_str value, bool *off)
{
    if (rem_str_is(value, "off"))
        *off = true;
    else if (rem_str_is(value, "on"))
        *off = false;
    else
        return rem_conf_error(cf, "invalid parameter: %.*s", REM_STR_ARG(arg));
    return 0;
}

/* Returns REM_ENOTFOUND for what is no parameter, hence a server. */
static int parse_param(struct rem_conf *cf, struct rem_str arg, struct rem_dns_spec *spec)
{
    struct rem_str value;

    if (rem_str_take_prefix(arg, "valid=", &value)) {
        if (rem_conf_parse_msec(value, &spec->valid_ms) != 0)
            return rem_conf_error(cf, "invalid parameter: %.*s", REM_STR_ARG(arg));
        return 0;
    }
    if (rem_str_take_prefix(arg, "ipv4=", &value))
        return parse_switch(cf, arg, value, &spec->no_ipv4);
    if (rem_str_take_prefix(arg, "ipv6=", &value))
        return parse_switch(cf, arg, value, &spec->no_ipv6);
    if (!rem_str_take_prefix(arg, "status_zone=", &spec->status_zone))
        return REM_ENOTFOUND;
    if (spec->status_zone.n == 0 || spec->status_zone.n > REM_SHM_RESOLVER_NAME)
        return rem_conf_error(cf, "invalid parameter: %.*s", REM_STR_ARG(arg));
    return 0;
}

static int parse_server(struct rem_conf *cf, struct rem_str arg, struct rem_array *servers)
{
    struct rem_addr_list list;
    int rc = rem_addr_resolve(arg, DNS_PORT, &list, NULL);

    if (rc == REM_ENOMEM)
        return rem_conf_nomem(cf);
    if (rc == REM_EINVAL)
        return rem_conf_error(cf, "invalid host in resolver \"%.*s\"", REM_STR_ARG(arg));
    if (rc != 0)
        return rem_conf_error(cf, "host not found in resolver \"%.*s\"", REM_STR_ARG(arg));
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        struct rem_addr *server = rem_array_push(cf->arena, servers);
        if (server == NULL)
            rc = rem_conf_nomem(cf);
        else if (rem_addr_family(&list.items[i]) == AF_UNIX)
            rc = rem_conf_error(cf, "invalid host in resolver \"%.*s\"", REM_STR_ARG(arg));
        else
            *server = list.items[i];
    }
    rem_addr_list_fini(&list);
    return rc;
}

static int parse(struct rem_conf *cf, struct rem_dns_spec **out)
{
    struct rem_dns_spec *spec = rem_arena_zalloc(cf->arena, sizeof(*spec));
    struct rem_array servers;

    if (spec == NULL)
        return rem_conf_nomem(cf);
    spec->valid_ms = -1;
    rem_array_init(&servers, sizeof(struct rem_addr));
    for (size_t i = 1; i < cf->n_args; i++) {
        int rc = parse_param(cf, cf->args[i], spec);
        if (rc == REM_ENOTFOUND)
            rc = parse_server(cf, cf->args[i], &servers);
        if (rc != 0)
            return rc;
    }
    if (servers.n == 0)
        return rem_conf_error(cf, "no name servers defined");
    if (spec->no_ipv4 && spec->no_ipv6)
        return rem_conf_error(cf, "\"ipv4\" and \"ipv6\" cannot both be \"off\"");
    spec->servers = REM_ARRAY_OF(&servers, struct rem_addr);
    spec->server_count = servers.n;
    *out = spec;
    return 0;
}

/* ---- the module ---- */

static int set_resolver(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_resolver_conf *resolver = conf;
    struct rem_setup *setup = cf->user;
    struct rem_dns_spec *spec = NULL;
    int rc;

    (void)d;
    if (resolver->spec != REM_CONF_UNSET_PTR)
        return rem_conf_duplicate(cf);
    if (cf->n_args == 2 && rem_str_is(cf->args[1], "off")) {
        resolver->spec = NULL; /* names below are not resolved, whatever stands above */
        return 0;
    }
    rc = parse(cf, &spec);
    if (rc != 0)
        return rc;
    resolver->spec = spec;
    spec->next = setup->resolvers;
    setup->resolvers = spec;
    return 0;
}

static void *create_location(struct rem_conf *cf)
{
    struct rem_resolver_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    conf->spec = REM_CONF_UNSET_PTR;
    conf->timeout_ms = REM_CONF_UNSET;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct rem_resolver_conf *prev = parent;
    struct rem_resolver_conf *conf = child;

    (void)cf;
    rem_merge_ptr(conf->spec, prev->spec, NULL);
    rem_merge_msec(&conf->timeout_ms, prev->timeout_ms, DEFAULT_TIMEOUT_MS);
    return 0;
}

const struct rem_resolver_conf *rem_resolver_conf(const struct rem_request *request)
{
    return request->location_conf[rem_resolver_module.index];
}

struct rem_resolver_conf rem_resolver_conf_of(const struct rem_conf *cf,
                                              const struct rem_conf_ctx *block)
{
    const struct rem_resolver_conf *http = rem_conf_location(cf, &rem_resolver_module);
    const struct rem_resolver_conf *own = block->location[rem_resolver_module.index];
    struct rem_resolver_conf conf = *own;

    rem_merge_ptr(conf.spec, http->spec, NULL);
    rem_merge_msec(&conf.timeout_ms, http->timeout_ms, DEFAULT_TIMEOUT_MS);
    return conf;
}

static const struct rem_directive directives[] = {
    {.name = "resolver",
     .contexts = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION | REM_CTX_UPSTREAM,
     .args = REM_ARGS_1MORE,
     .set = set_resolver,
     .level = REM_LEVEL_LOCATION},
    {.name = "resolver_timeout",
     .contexts = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION | REM_CTX_UPSTREAM,
     .args = REM_ARGS_1,
     .set = rem_set_msec,
     .level = REM_LEVEL_LOCATION,
     .offset = offsetof(struct rem_resolver_conf, timeout_ms)},
    REM_DIRECTIVE_END,
};

struct rem_module rem_resolver_module = {
    .name = "resolver",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
};
