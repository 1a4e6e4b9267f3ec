/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

/* An API over a registry with upstreams a (two servers) and b (none). */
struct world {
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_clock clock;
    struct rem_api api;
    struct rem_api_response response;
    struct rem_api_staged staged;
    enum rem_api_role role; /* of whoever asks */
    struct rem_str content_type;
};

static void world_init(struct world *w)
{
    struct rem_server_spec servers[2];
    struct rem_upstream_spec specs[2] = {
        {.name = REM_STR("a"),
         .zone = REM_STR("a"),
         .config_hash = 1,
         .servers = servers,
         .server_count = 2},
        {.name = REM_STR("b"), .zone = REM_STR("b"), .config_hash = 2},
    };
    struct rem_err err = {0};

    *w = (struct world){.role = REM_ROLE_ADMIN, .content_type = REM_STR(REM_API_JSON)};
    for (size_t i = 0; i < 2; i++) {
        rem_server_spec_init(&servers[i]);
        servers[i].server = i == 0 ? REM_STR("127.0.0.1:1") : REM_STR("127.0.0.1:2");
        ck_assert_int_eq(rem_addr_parse(servers[i].server, 0, &servers[i].addr), 0);
    }
    ck_assert_int_eq(rem_region_create(&w->region, REM_REGION_MIN, 1), 0);
    ck_assert_int_eq(rem_writer_new(&w->region, &w->writer, &err), 0);
    ck_assert_int_eq(
        rem_writer_reconcile(
            w->writer,
            &(struct rem_registry_conf){.upstreams = specs, .upstream_count = 2, .generation = 1},
            &err),
        0);
    rem_clock_update(&w->clock);
    rem_api_init(&w->api, &w->region, w->writer, &w->clock, true);
    w->api.info.version = "1";
    w->api.info.build = "b";
    rem_api_response_init(&w->response);
}

static void world_fini(struct world *w)
{
    rem_api_forget(&w->staged);
    rem_api_response_fini(&w->response);
    rem_api_fini(&w->api);
    rem_writer_free(&w->writer);
    rem_region_close(&w->region);
}

static enum rem_api_outcome ask(struct world *w, enum rem_method method, const char *path,
                                const char *body, const char *if_match)
{
    struct rem_api_request request = {
        .method = method,
        .path = rem_str_from(path),
        .body = rem_str_from(body),
        .if_match = rem_str_from(if_match),
        .has_if_match = if_match != NULL,
        .role = w->role,
        .content_type = w->content_type,
    };

    rem_api_forget(&w->staged);
    rem_api_response_reset(&w->response);
    return rem_api_handle(&w->api, &request, &w->response, &w->staged);
}

static bool says(const struct world *w, const char *text)
{
    return w->response.body.p != NULL &&
           memmem(w->response.body.p, w->response.body.n, text, strlen(text)) != NULL;
}

/* How many servers an upstream has, as published. */
static size_t servers(struct world *w, const char *name)
{
    struct rem_upstream_spec spec;
    struct rem_arena arena;
    size_t index, n;

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_writer_find(w->writer, rem_str_from(name), &index), 0);
    ck_assert_int_eq(rem_writer_spec(w->writer, index, &arena, &spec), 0);
    n = spec.server_count;
    rem_arena_reset(&arena);
    return n;
}

static uint64_t publish(struct world *w)
{
    struct rem_commit commit;

    ck_assert_int_eq(rem_api_publish(&w->api, &commit), 0);
    ck_assert_uint_eq(commit.revision, rem_writer_revision(w->writer));
    return commit.revision;
}

#define POST_A "/api/9/http/upstreams/a/servers"
#define POST_B "/api/9/http/upstreams/b/servers"

/* What one turn stages is published together, and each request sees those before it. */
START_TEST(test_one_publish_for_a_turn)
{
    struct world w;
    uint64_t before;

    world_init(&w);
    before = rem_writer_revision(w.writer);
    ck_assert_int_eq(ask(&w, REM_METHOD_POST, POST_A, "{\"server\":\"127.0.0.1:3\"}", NULL),
                     REM_API_STAGED);
    ck_assert_int_eq(w.response.status, 201);
    ck_assert(says(&w, "\"id\":2,"));
    ck_assert(!rem_api_waits(&w.staged));
    ck_assert_int_eq(ask(&w, REM_METHOD_POST, POST_A, "{\"server\":\"127.0.0.1:3\"}", NULL),
                     REM_API_DONE);
    ck_assert_int_eq(w.response.status, 409);
    ck_assert_int_eq(ask(&w, REM_METHOD_PATCH, POST_A "/2", "{\"weight\":9}", NULL),
                     REM_API_STAGED);
    ck_assert(says(&w, "\"weight\":9"));
    ck_assert_int_eq(ask(&w, REM_METHOD_POST, POST_B, "{\"server\":\"127.0.0.1:4\"}", NULL),
                     REM_API_STAGED);
    ck_assert_int_eq(ask(&w, REM_METHOD_DELETE, POST_A "/0", NULL, NULL), REM_API_STAGED);
    ck_assert_uint_eq(servers(&w, "a"), 2);
    ck_assert_uint_eq(rem_writer_revision(w.writer), before);
    ck_assert_uint_eq(publish(&w), before + 1);
    ck_assert_uint_eq(servers(&w, "a"), 2);
    ck_assert_uint_eq(servers(&w, "b"), 1);
    ck_assert_int_eq(ask(&w, REM_METHOD_GET, POST_A, NULL, NULL), REM_API_DONE);
    ck_assert(!says(&w, "127.0.0.1:1\"") && says(&w, "127.0.0.1:3\""));
    world_fini(&w);
}
END_TEST

START_TEST(test_a_refused_request_stages_nothing)
{
    struct world w;
    uint64_t before;

    world_init(&w);
    before = rem_writer_revision(w.writer);
    ck_assert_int_eq(ask(&w, REM_METHOD_POST, POST_A, "{\"server\":\"name\"}", NULL), REM_API_DONE);
    ck_assert_int_eq(w.response.status, 400);
    ck_assert_ptr_null(w.api.change);
    ck_assert_uint_eq(publish(&w), before);
    world_fini(&w);
}
END_TEST

/* A transaction waits until nothing else is staged; one whose second upstream is bad leaves its
 * first alone. */
START_TEST(test_a_refused_transaction_takes_back_its_own)
{
    static const char bad[] = "{\"upstreams\":{\"a\":[],"
                              "\"b\":[{\"server\":\"127.0.0.1:5\"},{\"server\":\"127.0.0.1:5\"}]}}";
    struct world w;

    world_init(&w);
    ck_assert_int_eq(ask(&w, REM_METHOD_POST, POST_A, "{\"server\":\"127.0.0.1:3\"}", NULL),
                     REM_API_STAGED);
    ck_assert_int_eq(ask(&w, REM_METHOD_POST, "/v1/transactions", bad, NULL), REM_API_FLUSH);
    (void)publish(&w);
    ck_assert_int_eq(ask(&w, REM_METHOD_POST, "/v1/transactions", bad, NULL), REM_API_DONE);
    ck_assert_int_eq(w.response.status, 409);
    ck_assert_ptr_null(w.api.change);
    (void)publish(&w);
    ck_assert_uint_eq(servers(&w, "a"), 3);
    ck_assert_uint_eq(servers(&w, "b"), 0);
    world_fini(&w);
}
END_TEST

START_TEST(test_precondition)
{
    struct world w;
    char tag[32];

    world_init(&w);
    (void)snprintf(tag, sizeof(tag), "\"%d\"", (int)rem_writer_revision(w.writer));
    ck_assert_int_eq(ask(&w, REM_METHOD_PUT, "/v1/http/upstreams/a/servers", "[]", tag),
                     REM_API_STAGED);
    ck_assert(rem_api_waits(&w.staged));
    /* Against the published revision this one would succeed, but it must see the first. */
    ck_assert_int_eq(ask(&w, REM_METHOD_PUT, "/v1/http/upstreams/b/servers", "[]", tag),
                     REM_API_FLUSH);
    (void)publish(&w);
    ck_assert_int_eq(ask(&w, REM_METHOD_PUT, "/v1/http/upstreams/b/servers", "[]", tag),
                     REM_API_DONE);
    ck_assert_int_eq(w.response.status, 412);
    ck_assert(w.response.has_etag && w.response.etag == rem_writer_revision(w.writer));
    world_fini(&w);
}
END_TEST

START_TEST(test_finish)
{
    struct world w;
    struct rem_commit commit;

    world_init(&w);
    ck_assert_int_eq(ask(&w, REM_METHOD_PUT, "/v1/http/upstreams/a/servers", "[]", NULL),
                     REM_API_STAGED);
    ck_assert_int_eq(rem_api_publish(&w.api, &commit), 0);
    w.staged.commit = commit;
    rem_api_finish(&w.staged, true, &w.response);
    ck_assert(says(&w, "\"applied\":true,\"servers\":[]}"));
    ck_assert(w.response.has_etag && w.response.etag == commit.revision);
    ck_assert_int_eq(ask(&w, REM_METHOD_PUT, "/v1/http/upstreams/a/servers", "[]", NULL),
                     REM_API_STAGED);
    rem_api_finish_failed(&w.staged, &(struct rem_api_request){.path = REM_STR("/v1/x")}, REM_EFULL,
                          &w.response);
    ck_assert_int_eq(w.response.status, 507);
    world_fini(&w);
}
END_TEST

START_TEST(test_refuse)
{
    struct rem_api_response response;

    rem_api_response_init(&response);
    rem_api_refuse(&(struct rem_api_request){.path = REM_STR("/api/9/x")}, 413, &response);
    ck_assert_str_eq(response.content_type, REM_API_JSON);
    rem_api_refuse(&(struct rem_api_request){.path = REM_STR("/v1/x")}, 413, &response);
    ck_assert_str_eq(response.content_type, REM_API_PROBLEM);
    rem_api_refuse(&(struct rem_api_request){.path = REM_STR("/api/9/x")}, 400, &response);
    ck_assert_str_eq(response.code, "BodyReadError");
    rem_api_refuse(&(struct rem_api_request){.path = REM_STR("/v1/x")}, 400, &response);
    ck_assert_str_eq(response.code, "BadRequest");
    rem_api_refuse(&(struct rem_api_request){0}, 400, &response);
    ck_assert_str_eq(response.content_type, REM_API_PROBLEM);
    ck_assert_int_eq(response.status, 400);
    rem_api_response_fini(&response);
}
END_TEST

static const struct {
    enum rem_api_role role;
    enum rem_method method;
    const char *path;
    int status;
} permissions[] = {
    {REM_ROLE_NONE, REM_METHOD_GET, "/livez", 200},
    {REM_ROLE_NONE, REM_METHOD_POST, "/livez", 401},
    {REM_ROLE_NONE, REM_METHOD_GET, "/metrics", 401},
    {REM_ROLE_NONE, REM_METHOD_GET, "/v1/status", 401},
    {REM_ROLE_NONE, REM_METHOD_GET, "/api/9/nowhere", 401},
    {REM_ROLE_NONE, REM_METHOD_GET, "/nowhere", 401},
    {REM_ROLE_METRICS, REM_METHOD_GET, "/livez", 200},
    {REM_ROLE_METRICS, REM_METHOD_GET, "/metrics", 200},
    {REM_ROLE_METRICS, REM_METHOD_GET, "/v1/status", 403},
    {REM_ROLE_METRICS, REM_METHOD_GET, "/nowhere", 404},
    {REM_ROLE_READ, REM_METHOD_GET, "/v1/status", 200},
    {REM_ROLE_READ, REM_METHOD_HEAD, "/api/9/nginx", 200},
    {REM_ROLE_READ, REM_METHOD_POST, "/v1/transactions", 403},
    {REM_ROLE_READ, REM_METHOD_DELETE, POST_A "/0", 403},
    {REM_ROLE_WRITE, REM_METHOD_POST, "/v1/transactions", 400},
    {REM_ROLE_WRITE, REM_METHOD_POST, "/v1/drain", 403},
    {REM_ROLE_WRITE, REM_METHOD_POST, "/v1/shutdown", 403},
    {REM_ROLE_READ, REM_METHOD_GET, "/v1/drain", 200},
    {REM_ROLE_METRICS, REM_METHOD_GET, "/v1/drain", 403},
    {REM_ROLE_WRITE, REM_METHOD_DELETE, POST_A "/0", 200},
};

START_TEST(test_permissions)
{
    struct world w;

    world_init(&w);
    w.role = permissions[_i].role;
    (void)ask(&w, permissions[_i].method, permissions[_i].path, NULL, NULL);
    ck_assert_msg(w.response.status == permissions[_i].status, "%s %s: %d instead of %d",
                  rem_role_name(w.role), permissions[_i].path, w.response.status,
                  permissions[_i].status);
    world_fini(&w);
}
END_TEST

static struct {
    int calls, rc;
    uint32_t delay_ms, timeout_ms;
} drained;

static int on_drain(void *data, uint32_t delay_ms, uint32_t timeout_ms)
{
    ck_assert_ptr_eq(data, &drained);
    drained.calls++;
    drained.delay_ms = delay_ms;
    drained.timeout_ms = timeout_ms;
    return drained.rc;
}

static const struct {
    const char *path, *args;
    int status;
    uint32_t delay_ms, timeout_ms;
} drains[] = {
    {"/v1/drain", "", 202, 3000, 9000},
    {"/v1/drain", "timeout=30s", 202, 3000, 30000},
    {"/v1/drain", "delay=0&timeout=1m", 202, 0, 60000},
    {"/v1/drain", "&timeout=0&&", 202, 3000, 0},
    {"/v1/drain", "timeout=", 400, 0, 0},
    {"/v1/drain", "timeout=x", 400, 0, 0},
    {"/v1/drain", "timeouts=1", 400, 0, 0},
    {"/v1/drain", "=1", 202, 3000, 9000},
    {"/v1/shutdown", "", 202, 0, 9000},
    {"/v1/shutdown", "timeout=500ms", 202, 0, 500},
    {"/v1/shutdown", "delay=1s", 400, 0, 0},
};

START_TEST(test_drain)
{
    const struct rem_admin_spec spec = {.drain_delay_ms = 3000, .drain_timeout_ms = 9000};
    struct rem_api_request request = {.method = REM_METHOD_POST,
                                      .path = rem_str_from(drains[_i].path),
                                      .args = rem_str_from(drains[_i].args),
                                      .role = REM_ROLE_ADMIN};
    struct world w;

    world_init(&w);
    memset(&drained, 0, sizeof(drained));
    w.api.spec = &spec;
    w.api.drain = on_drain;
    w.api.drain_data = &drained;
    (void)rem_api_handle(&w.api, &request, &w.response, &w.staged);
    ck_assert_msg(w.response.status == drains[_i].status, "%s: %d", drains[_i].args,
                  w.response.status);
    ck_assert_int_eq(drained.calls, drains[_i].status == 202);
    ck_assert_uint_eq(drained.delay_ms, drains[_i].delay_ms);
    ck_assert_uint_eq(drained.timeout_ms, drains[_i].timeout_ms);
    drained.rc = REM_EIO;
    (void)rem_api_handle(&w.api, &request, &w.response, &w.staged);
    ck_assert_int_eq(w.response.status, drains[_i].status == 202 ? 500 : drains[_i].status);
    world_fini(&w);
}
END_TEST

/* ---- without memory ---- */

static long allocations_left;

static void *failing_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static const struct {
    enum rem_method method;
    const char *path;
    const char *body;
} requests[] = {
    {REM_METHOD_GET, "/api/", NULL},
    {REM_METHOD_GET, "/api/9/http/upstreams", NULL},
    {REM_METHOD_GET, "/api/9/nginx", NULL},
    {REM_METHOD_GET, "/api/9/workers", NULL},
    {REM_METHOD_GET, "/api/9/ssl", NULL},
    {REM_METHOD_GET, POST_A, NULL},
    {REM_METHOD_GET, "/api/9/nope", NULL},
    {REM_METHOD_POST, POST_A, "{\"server\":\"127.0.0.1:3\",\"drain\":true}"},
    {REM_METHOD_DELETE, POST_A "/1", NULL},
    {REM_METHOD_GET, "/v1/http/upstreams", NULL},
    {REM_METHOD_GET, "/v1/http/upstreams/a", NULL},
    {REM_METHOD_GET, "/v1/revision", NULL},
    {REM_METHOD_GET, "/v1/status", NULL},
    {REM_METHOD_PUT, "/v1/http/upstreams/a/servers", "[{\"server\":\"127.0.0.1\"}]"},
    {REM_METHOD_POST, "/v1/transactions",
     "{\"upstreams\":{\"b\":[{\"server\":\"127.0.0.1:5\"}]},\"operations\":[{\"op\":\"remove\","
     "\"upstream\":\"a\",\"id\":0}]}"},
    {REM_METHOD_GET, "/readyz", NULL},
    {REM_METHOD_GET, "/v1/drain", NULL},
};

/* jansson gets no memory from its n-th request on: whatever the answer, nothing leaks (the
 * sanitizers look), nothing crashes, and the answer is either whole or known to be lacking. */
START_TEST(test_no_memory)
{
    long n = -1;
    bool complete = false;

    while (!complete) {
        struct world w;
        world_init(&w);
        allocations_left = ++n;
        json_set_alloc_funcs(failing_malloc, free);
        (void)ask(&w, requests[_i].method, requests[_i].path, requests[_i].body, NULL);
        complete = allocations_left >= 0;
        json_set_alloc_funcs(malloc, free);
        if (!w.response.body.failed && w.response.body.n != 0) {
            json_t *body = json_loadb(w.response.body.p, w.response.body.n, 0, NULL);
            ck_assert_msg(body != NULL || w.response.content_type == NULL ||
                              strncmp(w.response.content_type, "text/", 5) == 0,
                          "%s with %ld allocations", requests[_i].path, n);
            json_decref(body);
        }
        /* Enough memory: an answer (503: there is no worker to be ready). */
        ck_assert(!complete || (!w.response.body.failed && w.response.status != 500));
        world_fini(&w);
    }
    ck_assert_int_ge(n, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_one_publish_for_a_turn);
    tcase_add_test(tc, test_a_refused_request_stages_nothing);
    tcase_add_test(tc, test_a_refused_transaction_takes_back_its_own);
    tcase_add_test(tc, test_precondition);
    tcase_add_test(tc, test_finish);
    tcase_add_test(tc, test_refuse);
    tcase_add_loop_test(tc, test_drain, 0, REM_COUNT(drains));
    tcase_add_loop_test(tc, test_permissions, 0, REM_COUNT(permissions));
    tcase_add_loop_test(tc, test_no_memory, 0, REM_COUNT(requests));
    return run_suite("api", tc);
}
