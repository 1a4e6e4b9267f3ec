/* SPDX-License-Identifier: Apache-2.0 */
#include "api/route.h"

#include "proto/wire/uri.h"

#define GET_ONLY "GET, HEAD"

/* Below /api/N. */
static const struct rem_route plus_routes[] = {
    {"", rem_plus_root, NULL, NULL, NULL, NULL, GET_ONLY},
    {"nginx", rem_plus_nginx, NULL, NULL, NULL, NULL, GET_ONLY},
    {"processes", rem_plus_processes, NULL, NULL, NULL, rem_plus_processes_reset,
     "GET, HEAD, DELETE"},
    {"connections", rem_plus_connections, NULL, NULL, NULL, rem_plus_connections_reset,
     "GET, HEAD, DELETE"},
    {"workers", rem_plus_workers, NULL, NULL, NULL, NULL, GET_ONLY},
    {"ssl", rem_plus_ssl, NULL, NULL, NULL, NULL, GET_ONLY},
    {"slabs", rem_plus_none, NULL, NULL, NULL, NULL, GET_ONLY},
    {"resolvers", rem_plus_resolvers, NULL, NULL, NULL, NULL, GET_ONLY},
    {"http", rem_plus_http, NULL, NULL, NULL, NULL, GET_ONLY},
    {"http/requests", rem_plus_requests, NULL, NULL, NULL, rem_plus_requests_reset,
     "GET, HEAD, DELETE"},
    {"http/server_zones", rem_plus_none, NULL, NULL, NULL, NULL, GET_ONLY},
    {"http/location_zones", rem_plus_none, NULL, NULL, NULL, NULL, GET_ONLY},
    {"http/caches", rem_plus_none, NULL, NULL, NULL, NULL, GET_ONLY},
    {"http/limit_conns", rem_plus_none, NULL, NULL, NULL, NULL, GET_ONLY},
    {"http/limit_reqs", rem_plus_none, NULL, NULL, NULL, NULL, GET_ONLY},
    {"http/upstreams", rem_plus_upstreams, NULL, NULL, NULL, NULL, GET_ONLY},
    {"http/upstreams/*", rem_plus_upstream, NULL, NULL, NULL, rem_plus_upstream_reset,
     "GET, HEAD, DELETE"},
    {"http/upstreams/*/servers", rem_plus_servers, rem_plus_servers_post, NULL, NULL, NULL,
     "GET, HEAD, POST"},
    {"http/upstreams/*/servers/*", rem_plus_server, NULL, NULL, rem_plus_server_patch,
     rem_plus_server_delete, "GET, HEAD, PATCH, DELETE"},
};

static const struct rem_route own_routes[] = {
    {"v1/http/upstreams", rem_v1_upstreams, NULL, NULL, NULL, NULL, GET_ONLY},
    {"v1/http/upstreams/*", rem_v1_upstream, NULL, NULL, NULL, NULL, GET_ONLY},
    {"v1/http/upstreams/*/servers", rem_v1_servers, NULL, rem_v1_servers_put, NULL, NULL,
     "GET, HEAD, PUT"},
    {"v1/transactions", NULL, rem_v1_transaction, NULL, NULL, NULL, "POST"},
    {"v1/revision", rem_v1_revision, NULL, NULL, NULL, NULL, GET_ONLY},
    {"v1/status", rem_v1_status, NULL, NULL, NULL, NULL, GET_ONLY},
    {"metrics", rem_metrics_get, NULL, NULL, NULL, NULL, GET_ONLY},
    {"livez", rem_health_live, NULL, NULL, NULL, NULL, GET_ONLY},
    {"readyz", rem_health_ready, NULL, NULL, NULL, NULL, GET_ONLY},
    {"startupz", rem_health_startup, NULL, NULL, NULL, NULL, GET_ONLY},
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
