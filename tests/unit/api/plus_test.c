/* SPDX-License-Identifier: Apache-2.0 */
/* The NGINX Plus API without a server around it: each call is published before the next one. */
#include "api/plus.h"

#include "proto/dns/dns.h"
#include "proto/shm/keyval.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

struct world {
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_clock clock;
    struct rem_api api;
    struct rem_api_response response;
};

static const struct rem_keyval_spec keyvals[] = {
    {.name = REM_STR("one"), .size = 32768},
    {.name = REM_STR("brief"), .size = 32768, .timeout_ms = 5000},
    {.name = REM_STR("small"), .size = REM_KEYVAL_SIZE_MIN},
};

static void world_init(struct world *w)
{
    const struct rem_upstream_spec specs[] = {
        {.name = REM_STR("u"), .zone = REM_STR("z"), .config_hash = 1},
        {.name = REM_STR("hashed"),
         .zone = REM_STR("z"),
         .config_hash = 1,
         .method = REM_BALANCE_IP_HASH},
    };
    const struct rem_registry_conf conf = {
        .upstreams = specs, .upstream_count = REM_COUNT(specs), .generation = 1};
    struct rem_err err = {0};

    *w = (struct world){0};
    ck_assert_int_eq(rem_region_create(&w->region, 4 << 20, 1), 0);
    ck_assert_int_eq(rem_writer_new(&w->region, &w->writer, &err), 0);
    ck_assert_int_eq(rem_writer_reconcile(w->writer, &conf, &err), 0);
    rem_clock_update(&w->clock);
    rem_api_init(&w->api, &w->region, w->writer, &w->clock, true);
    w->api.info.version = "1";
    w->api.info.build = "b";
    w->api.keyvals = keyvals;
    w->api.keyval_count = REM_COUNT(keyvals);
    rem_api_response_init(&w->response);
}

static void world_fini(struct world *w)
{
    rem_api_response_fini(&w->response);
    rem_api_fini(&w->api);
    rem_writer_free(&w->writer);
    rem_region_close(&w->region);
}

/* Returns the status, when the answer is out. */
static int call(struct world *w, enum rem_method method, const char *path, const char *body)
{
    struct rem_api_request request = {
        .method = method,
        .path = rem_str_from(path),
        .body = rem_str_from(body),
        .role = REM_ROLE_ADMIN,
    };
    const char *query = strchr(path, '?');
    struct rem_api_staged staged = {0};
    struct rem_commit commit;

    if (query != NULL) {
        request.path.n = (size_t)(query - path);
        request.args = rem_str_from(query + 1);
    }
    rem_api_response_reset(&w->response);
    if (rem_api_handle(&w->api, &request, &w->response, &staged) == REM_API_STAGED) {
        ck_assert_int_eq(rem_api_publish(&w->api, &commit), 0);
        rem_api_finish(&staged, true, &w->response);
    }
    ck_assert(!w->response.body.failed);
    return w->response.status;
}

/* Is `text` in the answer?  "": it has no body. */
static bool says(const struct world *w, const char *text)
{
    const struct rem_sbuf *body = &w->response.body;

    if (text[0] == '\0')
        return body->n == 0;
    return body->n != 0 && memmem(body->p, body->n, text, strlen(text)) != NULL;
}

struct step {
    enum rem_method method;
    const char *path, *body;
    int status;
    const char *says;
};

static void run(const struct step *steps, size_t count)
{
    struct world w;

    world_init(&w);
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        int status = call(&w, step->method, step->path, step->body);

        ck_assert_msg(status == step->status && says(&w, step->says),
                      "step %zu: %s %s: %d, not %d with %s: %.*s", i, step->path, step->body,
                      status, step->status, step->says, (int)w.response.body.n, w.response.body.p);
    }
    world_fini(&w);
}

#define GET    REM_METHOD_GET
#define POST   REM_METHOD_POST
#define PATCH  REM_METHOD_PATCH
#define DELETE REM_METHOD_DELETE
#define ONE    "/api/9/http/keyvals/one"
#define BRIEF  "/api/9/http/keyvals/brief"
#define ALL    "/api/9/http/keyvals"

static const struct step keyval_steps[] = {
    {GET, ALL, "", 200, "{\"one\":{},\"brief\":{},\"small\":{}}"},
    {GET, ONE, "", 200, "{}"},
    {POST, ONE, "{\"a\":\"1\"}", 201, ""},
    {POST, ONE, "{\"a\":\"1\"}", 409, "KeyvalKeyExists"},
    {POST, ONE, "{\"b\":\"2\",\"c\":\"3\"}", 400, "only one key can be added"},
    {POST, ONE, "{\"b\":\"2\"}", 201, ""},
    {GET, ONE, "", 200, "{\"a\":\"1\",\"b\":\"2\"}"},
    {GET, ONE "?key=b", "", 200, "{\"b\":\"2\"}"},
    {GET, ONE "?key=c", "", 404, "KeyvalKeyNotFound"},
    {GET, ALL "/", "", 200, "{\"one\":{\"a\":\"1\",\"b\":\"2\"},\"brief\":{},\"small\":{}}"},
    {GET, ALL "?fields=", "", 200, "[\"one\",\"brief\",\"small\"]"},
    {PATCH, ONE, "{\"a\":\"x\"}", 204, ""},
    {PATCH, ONE, "{\"c\":\"x\"}", 404, "KeyvalKeyNotFound"},
    {PATCH, ONE, "{\"a\":\"x\",\"b\":\"x\"}", 400, "only one key can be updated"},
    {PATCH, ONE, "{\"b\":null}", 204, ""},
    {PATCH, ONE, "{\"b\":null}", 404, "KeyvalKeyNotFound"},
    {GET, ONE, "", 200, "{\"a\":\"x\"}"},
    {DELETE, ONE, "", 204, ""},
    {GET, ONE, "", 200, "{}"},
    {DELETE, ONE, "", 204, ""},
    {POST, ONE, "{\"b\":\"2\",\"c\":\"3\"}", 201, ""},
    {GET, ONE "/", "", 200, "{\"b\":\"2\",\"c\":\"3\"}"},
    {POST, ONE, "{}", 400, "key required"},
    {POST, ONE, "[1]", 400, "KeyvalFormatError"},
    {POST, ONE, "{\"d\":1}", 400, "KeyvalFormatError"},
    {POST, ONE, "{\"d\":null}", 400, "KeyvalFormatError"},
    {POST, ONE, "{\"d\":{\"value\":\"v\",\"expire\":1000}}", 400, "keyval timeout is not enabled"},
    {POST, ONE, "{\"d\"", 415, "JsonError"},
    {POST, BRIEF, "{\"d\":{\"value\":\"v\",\"expire\":1000}}", 201, ""},
    {GET, BRIEF, "", 200, "{\"d\":\"v\"}"},
    {PATCH, BRIEF, "{\"d\":{\"expire\":2000}}", 204, ""},
    {GET, ALL "/two", "", 404, "KeyvalNotFound"},
    {POST, ALL "/two", "{\"a\":\"1\"}", 404, "KeyvalNotFound"},
    {PATCH, ALL "/two", "{\"a\":\"1\"}", 404, "KeyvalNotFound"},
    {DELETE, ALL "/two", "", 404, "KeyvalNotFound"},
    {DELETE, ALL, "", 405, "MethodDisabled"},
};

START_TEST(pairs)
{
    run(keyval_steps, REM_COUNT(keyval_steps));
}
END_TEST

/* More than the zone may take is refused, and the zone is as it was. */
START_TEST(a_full_zone)
{
    char body[20000];
    struct world w;

    world_init(&w);
    ck_assert_int_eq(call(&w, POST, ALL "/small", "{\"a\":\"1\"}"), 201);
    memset(body, 'x', sizeof(body));
    memcpy(body, "{\"b\":\"", 6);
    memcpy(body + sizeof(body) - 3, "\"}", 3);
    ck_assert_int_eq(call(&w, POST, ALL "/small", body), 413);
    ck_assert_int_eq(call(&w, GET, ALL "/small", ""), 200);
    ck_assert(says(&w, "{\"a\":\"1\"}"));
    world_fini(&w);
}
END_TEST

/* What counts for all requests, and what a reset leaves of it. */
START_TEST(resets_raise_no_revision)
{
    struct rem_shm_worker *worker;
    uint64_t revision;
    struct world w;

    world_init(&w);
    worker = rem_region_worker(&w.region, 0);
    rem_count(&worker->requests, 7);
    revision = rem_writer_revision(w.writer);
    ck_assert_int_eq(call(&w, GET, "/api/9/http/requests", ""), 200);
    ck_assert(says(&w, "\"total\":7"));
    ck_assert_int_eq(call(&w, DELETE, "/api/9/http/requests", ""), 204);
    ck_assert_int_eq(call(&w, GET, "/api/9/http/requests", ""), 200);
    ck_assert(says(&w, "\"total\":0"));
    rem_count(&worker->requests, 2);
    ck_assert_int_eq(call(&w, GET, "/api/9/http/requests", ""), 200);
    ck_assert(says(&w, "\"total\":2"));
    ck_assert_uint_eq(rem_writer_revision(w.writer), revision);
    ck_assert_int_eq(call(&w, POST, ONE, "{\"a\":\"1\"}"), 201);
    ck_assert_uint_eq(rem_writer_revision(w.writer), revision + 1);
    world_fini(&w);
}
END_TEST

/* What is kept of an upstream goes when the upstream is gone and another one is reset. */
START_TEST(resets_of_upstreams_that_are_gone)
{
    struct rem_change *change;
    struct rem_commit commit;
    struct world w;

    world_init(&w);
    ck_assert_int_eq(call(&w, DELETE, "/api/9/http/upstreams/u", ""), 204);
    ck_assert_uint_eq(rem_writer_tables(w.writer), 1);
    ck_assert_int_eq(rem_change_new(w.writer, &change), 0);
    ck_assert_int_eq(rem_change_remove(change, REM_STR("u")), 0);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), 0);
    rem_change_free(&change);
    ck_assert_int_eq(call(&w, DELETE, "/api/9/http/upstreams/u", ""), 404);
    ck_assert_int_eq(call(&w, DELETE, "/api/9/http/upstreams/hashed", ""), 204);
    ck_assert_uint_eq(rem_writer_tables(w.writer), 1);
    world_fini(&w);
}
END_TEST

/* ---- without memory ---- */

static long allocations_left;

static void *failing_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

#define SERVERS "/api/9/http/upstreams/u/servers"

static const struct {
    enum rem_method method;
    const char *path, *body;
} requests[] = {
    {GET, "/api/9/", ""},
    {GET, "/api/9/license", ""},
    {GET, "/api/9/processes", ""},
    {GET, "/api/9/connections?fields=idle", ""},
    {GET, "/api/9/http/requests", ""},
    {GET, "/api/9/workers", ""},
    {GET, "/api/9/workers?fields=", ""},
    {GET, "/api/9/workers/0", ""},
    {DELETE, "/api/9/workers", ""},
    {GET, "/api/9/slabs", ""},
    {GET, "/api/9/slabs/z", ""},
    {DELETE, "/api/9/slabs/z", ""},
    {GET, "/api/9/resolvers", ""},
    {GET, "/api/9/resolvers/r", ""},
    {DELETE, "/api/9/resolvers/r", ""},
    {GET, "/api/9/http/server_zones", ""},
    {GET, "/api/9/http/server_zones?fields=", ""},
    {GET, "/api/9/http/server_zones/s", ""},
    {DELETE, "/api/9/http/server_zones/s", ""},
    {GET, "/api/9/http/limit_reqs", ""},
    {GET, "/api/9/http/limit_reqs/l", ""},
    {GET, "/api/9/http/upstreams", ""},
    {GET, "/api/9/http/upstreams/u", ""},
    {DELETE, "/api/9/http/upstreams/u", ""},
    {GET, SERVERS, ""},
    {GET, SERVERS "/1073741824", ""},
    {POST, SERVERS, "{\"server\":\"more.test:1\",\"service\":\"\"}"},
    {POST, SERVERS, "{\"server\":\"more.test\",\"service\":\"http\"}"},
    {PATCH, SERVERS "/1073807360", "{\"weight\":3,\"drain\":true}"},
    {PATCH, SERVERS "/0", "{\"weight\":3}"},
    {DELETE, SERVERS "/1073807360", ""},
    {GET, ALL, ""},
    {GET, ONE, ""},
    {POST, ONE, "{\"b\":\"2\"}"},
    {PATCH, ONE, "{\"a\":null}"},
    {DELETE, ONE, ""},
};

static const struct rem_dns_spec resolver;

/* One of everything: a worker, zones, a name in the configuration, one that was given, a server
 * found for it, a pair. */
static void fill(struct world *w, struct rem_upstream_spec *conf, struct rem_resolve_spec *resolve)
{
    struct rem_change *change;
    struct rem_commit commit;
    struct rem_server_spec server;
    struct rem_stat *stat;
    unsigned slot;

    *resolve = (struct rem_resolve_spec){.host = REM_STR("conf.test"), .resolver = &resolver};
    rem_server_spec_init(&resolve->server);
    resolve->server.name = REM_STR("conf.test:80");
    *conf = (struct rem_upstream_spec){.name = REM_STR("u"),
                                       .config_hash = 1,
                                       .queue = 3,
                                       .resolver = &resolver,
                                       .resolves = resolve,
                                       .resolve_count = 1};
    w->api.configured = conf;
    w->api.configured_count = 1;
    ck_assert_int_eq(rem_region_claim_worker(&w->region, 1, 1, &slot), 0);
    ck_assert_ptr_nonnull(rem_region_resolver(w->region.header, REM_STR("r")));
    ck_assert_int_eq(rem_stat_open(w->region.header, REM_STAT_SERVER, REM_STR("s"), 1, &stat), 0);
    ck_assert_int_eq(rem_stat_open(w->region.header, REM_STAT_LIMIT_REQ, REM_STR("l"), 1, &stat),
                     0);
    ck_assert_int_eq(call(w, POST, ONE, "{\"a\":\"1\"}"), 201);
    ck_assert_int_eq(call(w, POST, SERVERS, "{\"server\":\"given.test:80\"}"), 201);
    ck_assert(says(w, "\"id\":1073807360,"));
    rem_server_spec_init(&server);
    server.parent = REM_NAMES_FIRST + 1;
    server.name = REM_STR("given.test:80");
    ck_assert_int_eq(rem_addr_parse(REM_STR("127.0.0.1:80"), 0, &server.addr), 0);
    ck_assert_int_eq(rem_change_new(w->writer, &change), 0);
    conf->servers = &server;
    conf->server_count = 1;
    conf->zone = REM_STR("z");
    ck_assert_int_eq(rem_change_put(change, conf, NULL), 0);
    conf->servers = NULL;
    conf->server_count = 0;
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), 0);
    rem_change_free(&change);
}

/* As in api_test.c: no answer is half an answer, nothing leaks, and a change that failed has
 * changed nothing. */
START_TEST(no_memory)
{
    bool complete = false;

    for (long n = 0; !complete; n++) {
        struct rem_resolve_spec resolve;
        struct rem_upstream_spec conf;
        struct rem_api_request request = {.method = requests[_i].method,
                                          .path = rem_str_from(requests[_i].path),
                                          .body = rem_str_from(requests[_i].body),
                                          .role = REM_ROLE_ADMIN};
        const char *query = strchr(requests[_i].path, '?');
        struct rem_api_staged staged = {0};
        enum rem_api_outcome outcome;
        struct world w;

        if (query != NULL) {
            request.path.n = (size_t)(query - requests[_i].path);
            request.args = rem_str_from(query + 1);
        }
        world_init(&w);
        fill(&w, &conf, &resolve);
        rem_api_response_reset(&w.response);
        allocations_left = n;
        json_set_alloc_funcs(failing_malloc, free);
        outcome = rem_api_handle(&w.api, &request, &w.response, &staged);
        complete = allocations_left >= 0;
        json_set_alloc_funcs(malloc, free);
        if (!w.response.body.failed && w.response.body.n != 0) {
            json_t *body = json_loadb(w.response.body.p, w.response.body.n, 0, NULL);
            ck_assert_msg(body != NULL, "%s: %ld", requests[_i].path, n);
            json_decref(body);
        }
        ck_assert_msg(!complete || (!w.response.body.failed && w.response.status != 500), "%s",
                      requests[_i].path);
        ck_assert(outcome == REM_API_STAGED || w.api.change == NULL);
        rem_api_forget(&staged);
        world_fini(&w);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("plus");

    tcase_add_test(tests, pairs);
    tcase_add_test(tests, a_full_zone);
    tcase_add_test(tests, resets_raise_no_revision);
    tcase_add_test(tests, resets_of_upstreams_that_are_gone);
    tcase_add_loop_test(tests, no_memory, 0, REM_COUNT(requests));
    return run_suite("plus", tests);
}
