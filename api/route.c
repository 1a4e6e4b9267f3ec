/* SPDX-License-Identifier: Apache-2.0 */
#include "api/route.h"

#include "api/dashboard.h"
#include "api/plus.h"
#include "api/v1.h"
#include "api/v1_tables.h"
#include "proto/wire/uri.h"

#include <stdio.h>

#define GET_ONLY       "GET, HEAD"
#define GET_AND_DELETE "GET, HEAD, DELETE"

/* Below /api/N. */
static const struct rem_route plus_routes[] = {
    {.pattern = "", .get = rem_plus_root, .allow = GET_ONLY},
    {.pattern = "nginx", .get = rem_plus_nginx, .allow = GET_ONLY},
    {.pattern = "processes",
     .get = rem_plus_processes,
     .del = rem_plus_processes_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "connections",
     .get = rem_plus_connections,
     .del = rem_plus_connections_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "license", .get = rem_plus_license, .allow = GET_ONLY},
    {.pattern = "workers",
     .get = rem_plus_workers,
     .del = rem_plus_workers_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "workers/*",
     .get = rem_plus_worker,
     .del = rem_plus_worker_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "ssl", .get = rem_plus_ssl, .del = rem_plus_ssl_reset, .allow = GET_AND_DELETE},
    {.pattern = "slabs", .get = rem_plus_slabs, .allow = GET_ONLY},
    {.pattern = "slabs/*",
     .get = rem_plus_slab,
     .del = rem_plus_slab_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "resolvers", .get = rem_plus_resolvers, .allow = GET_ONLY},
    {.pattern = "resolvers/*",
     .get = rem_plus_resolver,
     .del = rem_plus_resolver_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "http", .get = rem_plus_http, .allow = GET_ONLY},
    {.pattern = "http/requests",
     .get = rem_plus_requests,
     .del = rem_plus_requests_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "http/server_zones", .get = rem_plus_server_zones, .allow = GET_ONLY},
    {.pattern = "http/server_zones/*",
     .get = rem_plus_server_zone,
     .del = rem_plus_server_zone_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "http/location_zones", .get = rem_plus_location_zones, .allow = GET_ONLY},
    {.pattern = "http/location_zones/*",
     .get = rem_plus_location_zone,
     .del = rem_plus_location_zone_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "http/caches", .get = rem_plus_caches, .allow = GET_ONLY},
    {.pattern = "http/caches/*",
     .get = rem_plus_cache,
     .del = rem_plus_cache,
     .allow = GET_AND_DELETE},
    {.pattern = "http/limit_conns", .get = rem_plus_limit_conns, .allow = GET_ONLY},
    {.pattern = "http/limit_conns/*",
     .get = rem_plus_limit_conn,
     .del = rem_plus_limit_conn_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "http/limit_reqs", .get = rem_plus_limit_reqs, .allow = GET_ONLY},
    {.pattern = "http/limit_reqs/*",
     .get = rem_plus_limit_req,
     .del = rem_plus_limit_req_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "http/keyvals", .get = rem_plus_keyvals, .allow = GET_ONLY},
    {.pattern = "http/keyvals/*",
     .get = rem_plus_keyval,
     .post = rem_plus_keyval_post,
     .patch = rem_plus_keyval_patch,
     .del = rem_plus_keyval_delete,
     .allow = "GET, HEAD, POST, PATCH, DELETE"},
    {.pattern = "http/upstreams", .get = rem_plus_upstreams, .allow = GET_ONLY},
    {.pattern = "http/upstreams/*",
     .get = rem_plus_upstream,
     .del = rem_plus_upstream_reset,
     .allow = GET_AND_DELETE},
    {.pattern = "http/upstreams/*/servers",
     .get = rem_plus_servers,
     .post = rem_plus_servers_post,
     .allow = "GET, HEAD, POST"},
    {.pattern = "http/upstreams/*/servers/*",
     .get = rem_plus_server,
     .patch = rem_plus_server_patch,
     .del = rem_plus_server_delete,
     .allow = "GET, HEAD, PATCH, DELETE"},
};

static const struct rem_route own_routes[] = {
    {.pattern = "", .get = rem_dashboard_get, .allow = GET_ONLY, .open = true},
    {.pattern = "v1/overview", .get = rem_v1_overview, .allow = GET_ONLY},
    {.pattern = "v1/http/upstreams",
     .get = rem_v1_upstreams,
     .post = rem_v1_upstreams_post,
     .allow = "GET, HEAD, POST",
     .alone = true,
     .revised = true},
    {.pattern = "v1/http/upstreams/*",
     .get = rem_v1_upstream,
     .put = rem_v1_upstream_put,
     .patch = rem_v1_upstream_patch,
     .del = rem_v1_upstream_delete,
     .allow = "GET, HEAD, PUT, PATCH, DELETE",
     .alone = true,
     .revised = true},
    {.pattern = "v1/http/upstreams/*/servers",
     .get = rem_v1_servers,
     .post = rem_v1_servers_post,
     .put = rem_v1_servers_put,
     .allow = "GET, HEAD, POST, PUT",
     .revised = true},
    {.pattern = "v1/http/upstreams/*/servers/*",
     .get = rem_v1_server,
     .patch = rem_v1_server_patch,
     .del = rem_v1_server_delete,
     .allow = "GET, HEAD, PATCH, DELETE",
     .revised = true},
    {.pattern = "v1/http/keyvals", .get = rem_v1_keyvals, .allow = GET_ONLY, .revised = true},
    {.pattern = "v1/http/keyvals/*",
     .get = rem_v1_keyval,
     .put = rem_v1_keyval_put,
     .patch = rem_v1_keyval_patch,
     .allow = "GET, HEAD, PUT, PATCH",
     .revised = true},
    {.pattern = "v1/http/splits", .get = rem_v1_splits, .allow = GET_ONLY, .revised = true},
    {.pattern = "v1/http/splits/*",
     .get = rem_v1_split,
     .put = rem_v1_split_put,
     .allow = "GET, HEAD, PUT",
     .revised = true},
    {.pattern = "v1/transactions", .post = rem_v1_transaction, .allow = "POST"},
    {.pattern = "v1/history", .get = rem_v1_history, .allow = GET_ONLY, .revised = true},
    {.pattern = "v1/history/*", .get = rem_v1_history_one, .allow = GET_ONLY},
    {.pattern = "v1/rollback/*", .post = rem_v1_rollback, .allow = "POST", .alone = true},
    {.pattern = "v1/events", .get = rem_v1_events, .allow = GET_ONLY},
    {.pattern = "v1/drain",
     .get = rem_v1_drain,
     .post = rem_v1_drain_post,
     .allow = "GET, HEAD, POST",
     .write = REM_ROLE_ADMIN,
     .args = {"timeout", "delay"}},
    {.pattern = "v1/shutdown",
     .post = rem_v1_shutdown,
     .allow = "POST",
     .write = REM_ROLE_ADMIN,
     .args = {"timeout"}},
    {.pattern = "v1/openapi.json", .get = rem_v1_openapi, .allow = GET_ONLY},
    {.pattern = "v1/revision", .get = rem_v1_revision, .allow = GET_ONLY, .revised = true},
    {.pattern = "v1/state", .get = rem_v1_state, .allow = GET_ONLY},
    {.pattern = "v1/status", .get = rem_v1_status, .allow = GET_ONLY},
    {.pattern = "metrics", .get = rem_metrics_get, .allow = GET_ONLY, .read = REM_ROLE_METRICS},
    {.pattern = "livez", .get = rem_health_live, .allow = GET_ONLY, .open = true},
    {.pattern = "readyz", .get = rem_health_ready, .allow = GET_ONLY, .open = true},
    {.pattern = "startupz", .get = rem_health_startup, .allow = GET_ONLY, .open = true},
};

int rem_route_split(struct rem_str path, struct rem_arena *arena, struct rem_route_path *out)
{
    out->count = 0;
    while (path.n > 1) {
        struct rem_str part = rem_str_skip(path, 1);
        const char *slash = rem_str_chr(part, '/');
        if (slash != NULL)
            part.n = (size_t)(slash - part.p);
        if (part.n == 0 || out->count == REM_ROUTE_SEGMENTS)
            return REM_ENOTFOUND;
        path = rem_str_skip(path, 1 + part.n);
        if (rem_uri_unescape(part, arena, &out->segments[out->count]) != 0)
            return REM_ENOMEM;
        out->count++;
    }
    return 0;
}

/* Whether the segments from `at` on are what the pattern says. */
static bool matches(const char *pattern, const struct rem_route_path *path, size_t at,
                    struct rem_str params[REM_CALL_PARAMS])
{
    struct rem_str rest = rem_str_from(pattern);
    size_t n = 0;

    for (; rest.n != 0; at++) {
        const char *slash = rem_str_chr(rest, '/');
        struct rem_str part = slash != NULL ? rem_str_make(rest.p, (size_t)(slash - rest.p)) : rest;
        if (at == path->count)
            return false;
        if (rem_str_is(part, "*"))
            params[n++] = path->segments[at];
        else if (!rem_str_eq(part, path->segments[at]))
            return false;
        rest = rem_str_skip(rest, part.n + (slash != NULL));
    }
    return at == path->count;
}

const struct rem_route *rem_route_plus(const struct rem_route_path *path, size_t skip,
                                       struct rem_str params[REM_CALL_PARAMS])
{
    for (size_t i = 0; i < REM_COUNT(plus_routes); i++)
        if (matches(plus_routes[i].pattern, path, skip, params))
            return &plus_routes[i];
    return NULL;
}

const struct rem_route *rem_route_own(const struct rem_route_path *path,
                                      struct rem_str params[REM_CALL_PARAMS])
{
    for (size_t i = 0; i < REM_COUNT(own_routes); i++)
        if (matches(own_routes[i].pattern, path, 0, params))
            return &own_routes[i];
    return NULL;
}

rem_api_handler_fn rem_route_handler(const struct rem_route *route, enum rem_method method)
{
    switch (method) {
    case REM_METHOD_GET:
    case REM_METHOD_HEAD:
        return route->get;
    case REM_METHOD_POST:
        return route->post;
    case REM_METHOD_PUT:
        return route->put;
    case REM_METHOD_PATCH:
        return route->patch;
    case REM_METHOD_DELETE:
        return route->del;
    default:
        return NULL;
    }
}

enum rem_api_role rem_route_role(const struct rem_route *route, enum rem_method method)
{
    if (method != REM_METHOD_GET && method != REM_METHOD_HEAD)
        return route->write != REM_ROLE_NONE ? route->write : REM_ROLE_WRITE;
    if (route->open)
        return REM_ROLE_NONE;
    return route->read != REM_ROLE_NONE ? route->read : REM_ROLE_READ;
}

static bool may_have(const struct rem_route *route, struct rem_str name)
{
    if (route->args[0] == NULL)
        return rem_str_is(name, "dry_run") || rem_str_is(name, "return");
    for (size_t i = 0; i < REM_ROUTE_ARGS && route->args[i] != NULL; i++)
        if (rem_str_is(name, route->args[i]))
            return true;
    return false;
}

bool rem_route_args(const struct rem_route *route, struct rem_str args, struct rem_str *unknown)
{
    while (args.n != 0) {
        const char *end = rem_str_chr(args, '&'), *equals;
        struct rem_str name = rem_str_make(args.p, end != NULL ? (size_t)(end - args.p) : args.n);

        args = rem_str_skip(args, name.n + (end != NULL));
        equals = rem_str_chr(name, '=');
        if (equals != NULL)
            name.n = (size_t)(equals - name.p);
        *unknown = name;
        if (name.n != 0 && !may_have(route, name))
            return false;
    }
    return true;
}

void rem_route_endpoint(const struct rem_route *route, char *out, size_t size)
{
    bool plus = route >= plus_routes && route < plus_routes + REM_COUNT(plus_routes);

    if (route == NULL)
        (void)snprintf(out, size, "other");
    else if (plus)
        (void)snprintf(out, size, "/api/*%s%s", route->pattern[0] != '\0' ? "/" : "",
                       route->pattern);
    else
        (void)snprintf(out, size, "/%s", route->pattern);
}
