/* SPDX-License-Identifier: Apache-2.0 */
#include "api/route.h"

#include "api/plus.h"
#include "api/v1.h"

#include "tests/unit/suite.h"

static const struct {
    const char *path;
    int rc;
    size_t count;
    const char *last;
} paths[] = {
    {"/", 0, 0, NULL},
    {"", 0, 0, NULL},
    {"/a", 0, 1, "a"},
    {"/a/", 0, 1, "a"},
    {"/a/b", 0, 2, "b"},
    {"//", REM_ENOTFOUND, 0, NULL},
    {"/a//", REM_ENOTFOUND, 0, NULL},
    {"//a", REM_ENOTFOUND, 0, NULL},
    {"/a%2Fb/c%20d", 0, 2, "c d"},
    {"/%", 0, 1, "%"},
    {"/1/2/3/4/5/6/7/8", 0, 8, "8"},
    {"/1/2/3/4/5/6/7/8/9", REM_ENOTFOUND, 0, NULL},
};

START_TEST(test_split)
{
    struct rem_route_path path;
    struct rem_arena arena;
    int rc;

    rem_arena_init(&arena, NULL);
    rc = rem_route_split(rem_str_from(paths[_i].path), &arena, &path);
    ck_assert_msg(rc == paths[_i].rc, "%s: %d", paths[_i].path, rc);
    if (rc == 0)
        ck_assert_uint_eq(path.count, paths[_i].count);
    if (rc == 0 && paths[_i].last != NULL)
        ck_assert(rem_str_is(path.segments[path.count - 1], paths[_i].last));
    rem_arena_reset(&arena);
}
END_TEST

static const struct {
    bool plus;
    const char *path;
    enum rem_method method;
    rem_api_handler_fn handler; /* NULL: no such method */
    const char *first;          /* first parameter */
} routes[] = {
    {true, "/api/9", REM_METHOD_GET, rem_plus_root, NULL},
    {true, "/api/9/http/upstreams", REM_METHOD_HEAD, rem_plus_upstreams, NULL},
    {true, "/api/9/http/upstreams/u", REM_METHOD_GET, rem_plus_upstream, "u"},
    {true, "/api/9/http/upstreams/u", REM_METHOD_DELETE, rem_plus_upstream_reset, "u"},
    {true, "/api/9/http/upstreams/u/servers", REM_METHOD_POST, rem_plus_servers_post, "u"},
    {true, "/api/9/http/upstreams/u/servers", REM_METHOD_PUT, NULL, "u"},
    {true, "/api/9/http/upstreams/u/servers/7", REM_METHOD_PATCH, rem_plus_server_patch, "u"},
    {true, "/api/9/http/upstreams/*/servers/7", REM_METHOD_DELETE, rem_plus_server_delete, "*"},
    {true, "/api/9/nginx", REM_METHOD_OTHER, NULL, NULL},
    {false, "/v1/http/upstreams/u/servers", REM_METHOD_PUT, rem_v1_servers_put, "u"},
    {false, "/v1/transactions", REM_METHOD_POST, rem_v1_transaction, NULL},
    {false, "/v1/transactions", REM_METHOD_GET, NULL, NULL},
    {false, "/metrics", REM_METHOD_GET, rem_metrics_get, NULL},
    {false, "/metrics", REM_METHOD_OPTIONS, NULL, NULL},
};

START_TEST(test_routes)
{
    struct rem_str params[REM_CALL_PARAMS] = {{NULL, 0}};
    const struct rem_route *route;
    struct rem_route_path path;
    struct rem_arena arena;

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_route_split(rem_str_from(routes[_i].path), &arena, &path), 0);
    route = routes[_i].plus ? rem_route_plus(&path, 2, params) : rem_route_own(&path, params);
    ck_assert_msg(route != NULL, "%s", routes[_i].path);
    ck_assert(rem_route_handler(route, routes[_i].method) == routes[_i].handler);
    ck_assert(route->allow != NULL);
    if (routes[_i].first != NULL)
        ck_assert(rem_str_is(params[0], routes[_i].first));
    rem_arena_reset(&arena);
}
END_TEST

static const char *const nowhere[] = {"/v1",        "/v1/http", "/v1/http/upstreams/u/servers/1/x",
                                      "/metrics/x", "/Metrics", "/v1/http/upstreams/u/peers"};

START_TEST(test_nowhere)
{
    struct rem_str params[REM_CALL_PARAMS];
    struct rem_route_path path;
    struct rem_arena arena;

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_route_split(rem_str_from(nowhere[_i]), &arena, &path), 0);
    ck_assert_ptr_null(rem_route_own(&path, params));
    rem_arena_reset(&arena);
}
END_TEST

static const struct {
    const char *path;
    enum rem_method method;
    enum rem_api_role need;
} roles[] = {
    {"/livez", REM_METHOD_GET, REM_ROLE_NONE},
    {"/readyz", REM_METHOD_HEAD, REM_ROLE_NONE},
    {"/startupz", REM_METHOD_GET, REM_ROLE_NONE},
    {"/livez", REM_METHOD_POST, REM_ROLE_WRITE},
    {"/metrics", REM_METHOD_GET, REM_ROLE_METRICS},
    {"/v1/status", REM_METHOD_GET, REM_ROLE_READ},
    {"/v1/transactions", REM_METHOD_POST, REM_ROLE_WRITE},
    {"/v1/http/upstreams/u/servers", REM_METHOD_PUT, REM_ROLE_WRITE},
};

START_TEST(test_roles)
{
    struct rem_str params[REM_CALL_PARAMS];
    const struct rem_route *route;
    struct rem_route_path path;
    struct rem_arena arena;

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_route_split(rem_str_from(roles[_i].path), &arena, &path), 0);
    route = rem_route_own(&path, params);
    ck_assert_msg(route != NULL, "%s", roles[_i].path);
    ck_assert_int_eq(rem_route_role(route, roles[_i].method), roles[_i].need);
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(test_endpoints)
{
    static const struct {
        const char *path;
        const char *endpoint;
    } rows[] = {
        {"/", "/"},
        {"/metrics", "/metrics"},
        {"/v1/http/upstreams/x", "/v1/http/upstreams/*"},
        {"/api/9", "/api/*"},
        {"/api/9/http/upstreams/x/servers/3", "/api/*/http/upstreams/*/servers/*"},
        {"/nowhere", "other"},
    };
    struct rem_route_path path;
    struct rem_str params[REM_CALL_PARAMS];
    struct rem_arena arena;
    char endpoint[64];

    rem_arena_init(&arena, NULL);
    for (size_t i = 0; i < REM_COUNT(rows); i++) {
        const struct rem_route *route;

        ck_assert_int_eq(rem_route_split(rem_str_from(rows[i].path), &arena, &path), 0);
        if (path.count != 0 && rem_str_is(path.segments[0], "api"))
            route = rem_route_plus(&path, 2, params);
        else
            route = rem_route_own(&path, params);
        rem_route_endpoint(route, endpoint, sizeof(endpoint));
        ck_assert_str_eq(endpoint, rows[i].endpoint);
    }
    rem_arena_reset(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, test_split, 0, REM_COUNT(paths));
    tcase_add_loop_test(tc, test_routes, 0, REM_COUNT(routes));
    tcase_add_loop_test(tc, test_nowhere, 0, REM_COUNT(nowhere));
    tcase_add_loop_test(tc, test_roles, 0, REM_COUNT(roles));
    tcase_add_test(tc, test_endpoints);
    return run_suite("route", tc);
}
