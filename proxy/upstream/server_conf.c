/* SPDX-License-Identifier: Apache-2.0 */
/* server_conf.c - the `server` directive of an upstream block. */
#include "proto/wire/put.h"
#include "proxy/conf/set.h"
#include "proxy/upstream/upstream_conf.h"

#include <stdlib.h>

/* A parameter "name=value" or "name"; the value is what follows "=". */
struct server_param {
    const char *name;
    /* Returns false for a value it does not like. */
    bool (*set)(struct rem_server_spec *server, struct rem_str value);
};

static bool number_of(struct rem_str value, uint64_t max, uint32_t *out)
{
    uint64_t n;

    if (rem_str_to_u64(value, max, &n) != 0)
        return false;
    *out = (uint32_t)n;
    return true;
}

/* Shown in seconds, whatever the file says: clients of the API may read no other unit. */
static bool time_of(struct rem_str value, uint32_t *ms)
{
    int64_t n;

    if (rem_conf_parse_msec(value, &n) != 0 || n < 0 || n > UINT32_MAX)
        return false;
    *ms = (uint32_t)n;
    return true;
}

static bool set_weight(struct rem_server_spec *server, struct rem_str value)
{
    return number_of(value, REM_SERVER_WEIGHT_MAX, &server->weight) && server->weight != 0;
}

static bool set_max_conns(struct rem_server_spec *server, struct rem_str value)
{
    return number_of(value, INT32_MAX, &server->max_conns);
}

static bool set_max_fails(struct rem_server_spec *server, struct rem_str value)
{
    return number_of(value, INT32_MAX, &server->max_fails);
}

static bool set_fail_timeout(struct rem_server_spec *server, struct rem_str value)
{
    return time_of(value, &server->fail_timeout_ms);
}

static bool set_slow_start(struct rem_server_spec *server, struct rem_str value)
{
    return time_of(value, &server->slow_start_ms);
}

static bool set_route(struct rem_server_spec *server, struct rem_str value)
{
    server->route = value;
    return value.n != 0 && value.n <= 32 && rem_put_is_value(value); /* of a sticky cookie */
}

static const struct server_param params[] = {
    {"weight=", set_weight},         {"max_conns=", set_max_conns},
    {"max_fails=", set_max_fails},   {"fail_timeout=", set_fail_timeout},
    {"slow_start=", set_slow_start}, {"route=", set_route},
};

static const struct server_flag {
    const char *name;
    uint32_t flag;
} flags[] = {
    {"backup", REM_SERVER_BACKUP},
    {"down", REM_SERVER_DOWN},
    {"drain", REM_SERVER_DRAIN},
};

static int server_param(struct rem_conf *cf, struct rem_str arg, struct rem_server_spec *server)
{
    for (size_t i = 0; i < REM_COUNT(params); i++) {
        struct rem_str value;

        if (rem_str_take_prefix(arg, params[i].name, &value)) {
            if (params[i].set(server, value))
                return 0;
            break;
        }
    }
    for (size_t i = 0; i < REM_COUNT(flags); i++) {
        if (rem_str_is(arg, flags[i].name)) {
            server->flags |= flags[i].flag;
            return 0;
        }
    }
    return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(arg));
}

/* What `resolve` and `service` ask for. */
struct server_name {
    bool resolve;
    struct rem_str service;
};

/* Returns REM_ENOTFOUND for what is none of these. */
static int name_param(struct rem_conf *cf, struct rem_str arg, struct server_name *name)
{
    if (rem_str_is(arg, "resolve")) {
        name->resolve = true;
        return 0;
    }
    if (!rem_str_take_prefix(arg, "service=", &name->service))
        return REM_ENOTFOUND;
    if (name->service.n == 0)
        return rem_conf_error(cf, "service is empty");
    return 0;
}

static int add_resolve(struct rem_conf *cf, struct rem_upstream_block *block,
                       const struct rem_server_spec *template, const struct server_name *name,
                       const struct rem_addr_parts *parts)
{
    struct rem_resolve_spec *resolve = rem_array_push(cf->arena, &block->resolves);

    if (resolve == NULL)
        return rem_conf_nomem(cf);
    resolve->server = *template;
    resolve->host = parts->host;
    resolve->port = parts->has_port ? parts->port : 80;
    if (name->service.n == 0)
        return 0;
    if (parts->has_port)
        return rem_conf_error(cf, "service upstream \"%.*s\" may not have port",
                              REM_STR_ARG(cf->args[1]));
    resolve->service = rem_spec_service_name(cf->arena, name->service, parts->host);
    return resolve->service.p != NULL ? 0 : rem_conf_nomem(cf);
}

/* The host's addresses, or the error nginx gives. */
static int server_resolve(struct rem_conf *cf, struct rem_str text, struct rem_addr_list *list)
{
    const char *colon = rem_str_chr(text, ':');
    struct rem_addr_parts parts;
    struct rem_err err;
    int rc;

    if (text.n == 0 || colon == text.p)
        return rem_conf_error(cf, "no host in upstream \"%.*s\"", REM_STR_ARG(text));
    if (rem_str_is(text, "unix:"))
        return rem_conf_error(cf, "no path in the unix domain socket in upstream \"%.*s\"",
                              REM_STR_ARG(text));
    if (!rem_str_has_prefix(text, REM_STR("unix:")) && rem_str_chr(text, '/') != NULL)
        return rem_conf_error(cf, "invalid host in upstream \"%.*s\"", REM_STR_ARG(text));
    if (rem_addr_split(text, &parts) != 0)
        return rem_conf_error(cf, "invalid %s in upstream \"%.*s\"",
                              colon != NULL && text.p[0] != '[' ? "port" : "host",
                              REM_STR_ARG(text));
    rc = rem_addr_resolve(text, 80, list, &err);
    if (rc == REM_ENOMEM)
        return rem_conf_nomem(cf);
    if (rc != 0)
        return rem_conf_error(cf, "host not found in upstream \"%.*s\"", REM_STR_ARG(text));
    return 0;
}

int rem_upstream_server_set(struct rem_conf *cf, struct rem_upstream_block *block)
{
    struct rem_server_spec template;
    struct server_name name = {false, {NULL, 0}};
    struct rem_addr_parts parts;
    struct rem_addr_list list;
    int rc;

    rem_server_spec_init(&template);
    template.name = cf->args[1];
    for (size_t i = 2; i < cf->n_args; i++) {
        rc = name_param(cf, cf->args[i], &name);
        if (rc == REM_ENOTFOUND)
            rc = server_param(cf, cf->args[i], &template);
        if (rc != 0)
            return rc;
    }
    if (name.service.n != 0 && !name.resolve)
        return rem_conf_error(cf, "service upstream \"%.*s\" requires \"resolve\" parameter",
                              REM_STR_ARG(cf->args[1]));
    if (name.resolve && rem_addr_split(cf->args[1], &parts) == 0 && parts.kind == REM_ADDR_NAME)
        return add_resolve(cf, block, &template, &name, &parts);
    rc = server_resolve(cf, cf->args[1], &list);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < list.count; i++) {
        struct rem_server_spec *server = rem_array_push(cf->arena, &block->servers);
        if (server == NULL) {
            rem_addr_list_fini(&list);
            return rem_conf_nomem(cf);
        }
        *server = template;
        server->addr = list.items[i];
    }
    rem_addr_list_fini(&list);
    return 0;
}

static int by_address(const void *a, const void *b)
{
    const struct rem_server_spec *x = *(const struct rem_server_spec *const *)a,
                                 *y = *(const struct rem_server_spec *const *)b;
    uint64_t hx = rem_addr_hash(&x->addr), hy = rem_addr_hash(&y->addr);

    return (hx > hy) - (hx < hy);
}

int rem_upstream_servers_warn(struct rem_conf *cf, const struct rem_upstream_spec *spec)
{
    const struct rem_server_spec **sorted =
        rem_arena_alloc(cf->arena, (spec->server_count + 1) * sizeof(struct rem_server_spec *));

    if (sorted == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = 0; i < spec->server_count; i++)
        sorted[i] = &spec->servers[i];
    qsort(sorted, spec->server_count, sizeof(*sorted), by_address);
    for (size_t i = 1; i < spec->server_count; i++) {
        if (!rem_addr_eq(&sorted[i - 1]->addr, &sorted[i]->addr))
            continue;
        rem_conf_warn(cf,
                      "upstream \"%.*s\" has the address of server \"%.*s\" more than once, and "
                      "clients of the API tell servers by their addresses",
                      REM_STR_ARG(spec->name), REM_STR_ARG(sorted[i]->name));
        return 0;
    }
    return 0;
}
