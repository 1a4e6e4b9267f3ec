/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy/http/subrequest_scripts.h"
#include "tests/unit/suite.h"

/* ---- bounds ---- */

START_TEST(test_depth)
{
    char expected[64];

    start();
    scripts['m'] = "m<x>";
    scripts['x'] = "x<x>";
    ask();
    ck_assert(fx_expect(NULL, 0));
    memset(expected, 'x', sizeof(expected));
    expected[0] = 'm';
    expected[1 + REM_SUBREQUEST_DEPTH_MAX] = '\0';
    ck_assert_str_eq(strstr(fx.got, "\r\n\r\n") + 4, expected);
    ck_assert_uint_eq(started, REM_SUBREQUEST_DEPTH_MAX);
    ck_assert_uint_eq(refused, 1);
    fx_end();
    ck_assert_uint_eq(freed, started + 1);
}
END_TEST

START_TEST(test_count)
{
    static char script[3 * (REM_SUBREQUEST_COUNT_MAX + 2) + 1];

    start();
    for (size_t i = 0; i < REM_SUBREQUEST_COUNT_MAX + 2; i++)
        memcpy(script + 3 * i, "<x>", 3);
    scripts['m'] = script;
    scripts['x'] = "x";
    ask();
    ck_assert(fx_expect(NULL, 0));
    ck_assert_uint_eq(strlen(strstr(fx.got, "\r\n\r\n") + 4), REM_SUBREQUEST_COUNT_MAX);
    ck_assert_uint_eq(refused, 2);
    fx_end();
    ck_assert_uint_eq(freed, started + 1);
    ck_assert_uint_eq(lent, returned);
}
END_TEST

/* ---- for the parent's eyes ---- */

static struct rem_subrequest_spec spec;
static struct rem_subrequest_result result;
static char result_text[256]; /* of its body */
static unsigned done_calls;
static int child_fd; /* of a file that is the child's body; -1: the script "/x" is */

static void on_done(struct rem_request *child, const struct rem_subrequest_result *end, void *data)
{
    ck_assert_ptr_eq(data, &spec);
    result = *end;
    ck_assert_uint_lt(end->body.n, sizeof(result_text));
    memcpy(result_text, end->body.n != 0 ? end->body.p : "", end->body.n);
    result_text[end->body.n] = '\0';
    done_calls++;
    rem_request_resume(child->parent);
}

static int on_parent(struct rem_request *request)
{
    if (done_calls == 0) {
        ck_assert_int_eq(rem_subrequest_start(request, &spec, NULL), 0);
        started++;
        return REM_HTTP_AGAIN;
    }
    request->response.content_length = -1;
    return rem_http_respond(request, result.status == 200 ? 200 : 500, REM_STR("text/plain"),
                            result.body);
}

static int on_kinds(struct rem_request *request)
{
    static struct rem_buf buf;

    if (request->parent == NULL)
        return REM_HTTP_DONE;
    if (child_fd < 0)
        return on_content(request);
    request->response.status = 200;
    watch(request);
    ck_assert_int_eq(rem_http_send_head(request), 0);
    buf = (struct rem_buf){.in_file = true, .fd = child_fd, .file_last = 5, .final = true};
    return rem_http_send_body(request, &buf) == REM_OK ? REM_HTTP_OK : REM_HTTP_ERROR;
}

/* The phase in which a parent waits. */
static int on_precontent(struct rem_request *request)
{
    int rc;

    if (request->parent != NULL)
        return REM_HTTP_DECLINED;
    rc = on_parent(request);
    if (rc == REM_HTTP_AGAIN)
        return rc;
    rem_request_finalize(request, rc);
    return REM_HTTP_DONE;
}

static void start_kinds(enum rem_subrequest_kind kind, size_t limit)
{
    start();
    ck_assert_int_eq(rem_http_add_handler(&fx.http_setup, REM_PHASE_PRECONTENT, on_precontent), 0);
    fx_compile();
    fx.loc.handler = on_kinds;
    spec = (struct rem_subrequest_spec){
        .kind = kind, .uri = REM_STR("/x"), .limit = limit, .done = on_done, .data = &spec};
    result = (struct rem_subrequest_result){0};
    done_calls = 0;
    child_fd = -1;
}

static const struct memory_case {
    const char *x, *y;
    size_t limit;
    int status;
    const char *body; /* NULL: too big */
} memory_cases[] = {
    {"hello", "", 5, 200, "hello"},
    {"hello", "", 4, 200, NULL},
    {"hello", "", 0, 200, NULL},
    {"", "", 0, 200, ""},
    {"!he!llo!", "", 100, 200, "hello"},
    {"a<y>b", "!1!2", 100, 200, "a12b"}, /* its own subrequests' bodies are part of it */
    {"a<y>b", "1#", 100, 500, "a1"},
    {"abc#", "", 100, 500, "abc"},
};

START_TEST(test_memory)
{
    const struct memory_case *c = &memory_cases[_i];
    uint64_t end = rem_mono_ms() + FX_TIMEOUT_MS;

    start_kinds(REM_SUBREQUEST_MEMORY, c->limit);
    scripts['x'] = c->x;
    scripts['y'] = c->y;
    ask();
    while (done_calls == 0 && rem_mono_ms() < end) {
        fx_pump(1);
        if (n_waiting != 0)
            let_go(0);
    }
    ck_assert_uint_eq(done_calls, 1);
    ck_assert_int_eq(result.status, c->status);
    ck_assert_int_eq(result.too_big, c->body == NULL);
    if (c->body != NULL)
        ck_assert_str_eq(result_text, c->body);
    ck_assert(fx_expect(c->status == 200 ? "HTTP/1.1 200 OK" : "HTTP/1.1 500 ", 1));
    fx_end();
    ck_assert_uint_eq(lent, returned);
}
END_TEST

START_TEST(test_memory_of_a_file)
{
    char name[] = "/tmp/rem-subrequest-XXXXXX";
    int fd = mkstemp(name);

    ck_assert_int_ge(fd, 0);
    unlink(name);
    ck_assert_int_eq(write(fd, "12345", 5), 5);
    start_kinds(REM_SUBREQUEST_MEMORY, 100);
    child_fd = fd;
    ask();
    ck_assert(fx_expect("\r\n\r\n12345", 1));
    fx_end();
    ck_assert_int_eq(ftruncate(fd, 3), 0); /* shorter than it was: no verdict at all */
    start_kinds(REM_SUBREQUEST_MEMORY, 100);
    child_fd = fd;
    ask();
    ck_assert(fx_expect("HTTP/1.1 500 ", 1));
    fx_end();
    close(fd);
}
END_TEST

START_TEST(test_head)
{
    start_kinds(REM_SUBREQUEST_HEAD, 0);
    scripts['x'] = "nobody";
    ask();
    ck_assert(fx_expect("HTTP/1.1 200 OK", 1));
    ck_assert_uint_eq(result.body.n, 0);
    ck_assert_int_eq(result.status, 200);
    fx_end();
    ck_assert_uint_eq(lent, returned);
    ck_assert_uint_eq(freed, 1); /* the client's own has no script */
}
END_TEST

START_TEST(test_parent_gone)
{
    start_kinds(REM_SUBREQUEST_HEAD, 0);
    scripts['x'] = "!a";
    ask();
    while (n_waiting == 0)
        fx_pump(1);
    rem_request_finalize(waiting[0].request->parent, REM_HTTP_ERROR);
    ck_assert_uint_eq(n_waiting, 0); /* it has gone with its parent */
    ck_assert_uint_eq(done_calls, 0);
    fx_end();
    ck_assert_uint_eq(freed, 1);
}
END_TEST

/* ---- in the background ---- */

static int on_background(struct rem_request *request)
{
    if (request->parent == NULL) {
        ck_assert_int_eq(rem_subrequest_start(request, &spec, NULL), 0);
        watch(request);
        return rem_http_respond(request, 200, REM_STR("text/plain"), REM_STR("parent"));
    }
    return on_content(request);
}

START_TEST(test_background)
{
    struct rem_request *child;

    start();
    spec = (struct rem_subrequest_spec){
        .kind = REM_SUBREQUEST_BACKGROUND, .uri = REM_STR("/x"), .done = on_done, .data = &spec};
    done_calls = 0;
    fx.loc.handler = on_background;
    scripts['x'] = "a!<y>b";
    scripts['y'] = "!";
    ask();
    ck_assert(fx_expect("parent", 1));
    ck_assert(fx_expect(NULL, 0)); /* nobody waits for it */
    fx_disconnect();
    while (fx.worker.connections != 1 || n_waiting == 0) /* it stands for the one that closed */
        fx_pump(1);
    ck_assert_uint_eq(freed, 0);
    child = waiting[0].request;
    ck_assert_int_eq(child->conn->fd, -1);
    ck_assert_ptr_nonnull(child->peer);
    ck_assert_int_eq(child->peer->u.sa.sa_family, AF_UNIX);
    ck_assert(rem_str_is(child->parent->uri, "/m"));
    let_go(0);
    while (n_waiting == 0)
        fx_pump(1);
    ck_assert_int_eq(waiting[0].request->conn->fd, -1); /* its own children know as much */
    let_go(0);
    fx_pump(1);
    ck_assert_uint_eq(freed, 3);
    ck_assert_uint_eq(fx.worker.connections, 0);
    ck_assert_uint_eq(done_calls, 0);
    fx_end();
    ck_assert_uint_eq(lent, returned);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 30);
    tcase_add_test(t, test_depth);
    tcase_add_test(t, test_count);
    tcase_add_loop_test(t, test_memory, 0, REM_COUNT(memory_cases));
    tcase_add_test(t, test_memory_of_a_file);
    tcase_add_test(t, test_head);
    tcase_add_test(t, test_parent_gone);
    tcase_add_test(t, test_background);
    return run_suite("subrequest", t);
}
