/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenAPI document has every route of our own API, and no other. */
#include "api/openapi.h"
#include "api/route.c"

#include "tests/unit/suite.h"

#include <jansson.h>
#include <string.h>

static const struct {
    const char *name;
    enum rem_method method;
} methods[] = {
    {"get", REM_METHOD_GET},     {"put", REM_METHOD_PUT},       {"post", REM_METHOD_POST},
    {"patch", REM_METHOD_PATCH}, {"delete", REM_METHOD_DELETE},
};

static json_t *document;

static void setup(void)
{
    document = json_loadb((const char *)rem_openapi_json, rem_openapi_json_size, 0, NULL);
    ck_assert_ptr_nonnull(document);
}

static void teardown(void)
{
    json_decref(document);
}

/* "/v1/http/upstreams/{upstream}" is what "v1/http/upstreams/" + "*" is a pattern of. */
static bool is_same(const char *path, const char *pattern)
{
    path++;
    while (*path != '\0' && *pattern != '\0') {
        if (*path == '{' && *pattern == '*') {
            path = strchr(path, '}') + 1;
            pattern++;
        } else if (*path++ != *pattern++) {
            return false;
        }
    }
    return *path == *pattern;
}

START_TEST(test_every_route_is_described)
{
    for (size_t i = 0; i < REM_COUNT(own_routes); i++) {
        const struct rem_route *route = &own_routes[i];
        const json_t *item = NULL;
        const char *path;
        json_t *value;

        json_object_foreach(json_object_get(document, "paths"), path, value)
        {
            if (is_same(path, route->pattern))
                item = value;
        }
        ck_assert_msg(item != NULL, "no path for %s", route->pattern);
        for (size_t m = 0; m < REM_COUNT(methods); m++)
            ck_assert_msg((rem_route_handler(route, methods[m].method) != NULL) ==
                              (json_object_get(item, methods[m].name) != NULL),
                          "%s of %s", methods[m].name, route->pattern);
    }
}
END_TEST

START_TEST(test_every_path_has_a_route)
{
    const char *path;
    json_t *value;

    json_object_foreach(json_object_get(document, "paths"), path, value)
    {
        bool found = strncmp(path, "/api", 4) == 0; /* the NGINX Plus API has its own document */
        for (size_t i = 0; !found && i < REM_COUNT(own_routes); i++)
            found = is_same(path, own_routes[i].pattern);
        ck_assert_msg(found, "no route for %s", path);
    }
}
END_TEST

/* What 405 says in Allow is what there is. */
START_TEST(test_allow)
{
    for (size_t i = 0; i < REM_COUNT(own_routes); i++) {
        const struct rem_route *route = &own_routes[i];
        char allow[64] = "";

        if (route->get != NULL)
            strcat(allow, ", GET, HEAD");
        if (route->post != NULL)
            strcat(allow, ", POST");
        if (route->put != NULL)
            strcat(allow, ", PUT");
        if (route->patch != NULL)
            strcat(allow, ", PATCH");
        if (route->del != NULL)
            strcat(allow, ", DELETE");
        ck_assert_str_eq(allow + 2, route->allow);
    }
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("openapi");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_every_route_is_described);
    tcase_add_test(tcase, test_every_path_has_a_route);
    tcase_add_test(tcase, test_allow);
    return run_suite("openapi", tcase);
}
