/* SPDX-License-Identifier: Apache-2.0 */
/* The NGINX Plus API without a server around it: each call is published before the next one. */
#include "api/plus.h"

#include "proto/shm/keyval.h"

#include <check.h>
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

int main(void)
{
    Suite *suite = suite_create("plus");
    TCase *tests = tcase_create("plus");
    SRunner *runner;
    int failed;

    tcase_add_test(tests, pairs);
    tcase_add_test(tests, a_full_zone);
    tcase_add_test(tests, resets_raise_no_revision);
    tcase_add_test(tests, resets_of_upstreams_that_are_gone);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
