/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy/http/fixture.h"
#include "tests/unit/suite.h"

#include "proxy/http/special.h"

static char trace[256];
static int log_status;
static uint64_t log_sent;

static void note(char c)
{
    size_t n = strlen(trace);

    if (n + 1 < sizeof(trace))
        trace[n] = c;
}

static int on_log(struct rem_request *request)
{
    note('L');
    log_status = request->response.status;
    log_sent = request->sent_body;
    return REM_HTTP_OK;
}

static void on_cleanup(void *data)
{
    note(*(const char *)data);
}

static void start(void)
{
    fx_start();
    memset(trace, 0, sizeof(trace));
    log_status = -1;
    log_sent = 0;
    ck_assert_int_eq(rem_http_add_handler(&fx.http_setup, REM_PHASE_LOG, on_log), 0);
    fx_compile();
}

static void ask(const char *uri)
{
    char raw[256];

    sprintf(raw, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", uri);
    fx_connect();
    fx_send(raw, strlen(raw));
}

/* ---- the end of a request ---- */

static int with_cleanups(struct rem_request *request)
{
    ck_assert_int_eq(rem_request_on_cleanup(request, on_cleanup, (void *)(uintptr_t) "1"), 0);
    ck_assert_int_eq(rem_request_on_cleanup(request, on_cleanup, (void *)(uintptr_t) "2"), 0);
    return rem_http_respond(request, 200, REM_STR("text/plain"), REM_STR("hello"));
}

START_TEST(test_cleanups_then_log)
{
    start();
    fx.loc.handler = with_cleanups;
    ask("/");
    ck_assert(fx_expect("hello", 1));
    ck_assert_str_eq(trace, "21L");
    ck_assert_int_eq(log_status, 200);
    ck_assert_uint_eq(log_sent, 5);
    fx_end();
    ck_assert_str_eq(trace, "21L"); /* and once only */
}
END_TEST

static int result;

static int as_told(struct rem_request *request)
{
    (void)request;
    return result;
}

static const struct end_case {
    int result;
    int logged;
    const char *answer; /* NULL: the connection just ends */
    bool closes;
} end_cases[] = {
    {404, 404, "<h1>404 Not Found</h1>", false},
    {401, 401, "<h1>401 Authorization Required</h1>", false},
    {302, 302, "<h1>302 Found</h1>", false},
    {418, 418, "HTTP/1.1 418 ", false},
    {502, 502, "<h1>502 Bad Gateway</h1>", false},
    {500, 500, "Connection: close", true},
    {400, 400, "Connection: close", true},
    {413, 413, "Connection: close", true},
    {REM_STATUS_HEAD_TOO_LARGE, 400, "<title>400 Request Header Or Cookie Too Large", true},
    {431, 431, "<h1>431 Request Header Fields Too Large</h1>", false}, /* a handler means it */
    {204, 204, "HTTP/1.1 204 No Content\r\n", false},
    {REM_STATUS_CLOSE, 444, NULL, true},
    {408, 408, NULL, true},
    {REM_STATUS_CLIENT_CLOSED, 499, NULL, true},
    {REM_HTTP_ERROR, 0, NULL, true},
    {REM_HTTP_OK, 0, NULL, true}, /* complete, says the handler, but there is no answer */
};

START_TEST(test_ends)
{
    const struct end_case *c = &end_cases[_i];

    start();
    fx.loc.handler = as_told;
    result = c->result;
    ask("/");
    if (c->answer != NULL)
        ck_assert_msg(fx_expect(c->answer, 1), "%d: %s", c->result, fx.got);
    if (c->closes) {
        ck_assert(fx_expect(NULL, 0));
    } else {
        fx_pump(3);
        fx_receive();
        ck_assert(!fx.eof);
    }
    if (c->answer == NULL)
        ck_assert_uint_eq(fx.n, 0);
    ck_assert_int_eq(log_status, c->logged);
    ck_assert_str_eq(trace, "L");
    fx_end();
}
END_TEST

/* ---- redirects and error pages ---- */

static int redirects;

static int bounce(struct rem_request *request)
{
    if (rem_str_is(request->uri, "/end")) {
        ck_assert(request->internal);
        ck_assert(!request->uri_as_sent);
        return rem_http_respond(request, 200, REM_STR("text/plain"), request->args);
    }
    redirects++;
    return rem_request_redirect(
        request, rem_str_is(request->uri, "/loop") ? REM_STR("/loop") : REM_STR("/end"),
        REM_STR("k=v"));
}

START_TEST(test_redirect)
{
    start();
    fx.loc.handler = bounce;
    redirects = 0;
    ask("/start");
    ck_assert(fx_expect("\r\n\r\nk=v", 1));
    ck_assert_int_eq(redirects, 1);
    fx_end();

    start();
    fx.loc.handler = bounce;
    redirects = 0;
    ask("/loop");
    ck_assert(fx_expect(" 500 ", 1));
    ck_assert_int_eq(redirects, 11);
    ck_assert_str_eq(trace, "L");
    fx_end();
}
END_TEST

static struct rem_http_location_conf named;
static void *named_location[1];

static int named_answer(struct rem_request *request)
{
    return rem_http_respond(request, 200, REM_STR("text/plain"), request->method_name);
}

static int go_named(struct rem_request *request)
{
    return rem_request_redirect_named(request, request->args);
}

static void add_named(void)
{
    fx_location(&named);
    named.conf = named_location;
    named.handler = named_answer;
    named_location[0] = &named;
    ck_assert_int_eq(rem_strmap_add(&fx.server.named, REM_STR("@there"), &named), 0);
}

START_TEST(test_redirect_named)
{
    start();
    add_named();
    fx.loc.handler = go_named;
    ask("/?@there");
    ck_assert(fx_expect("\r\n\r\nGET", 1));
    fx_end();

    start();
    add_named();
    fx.loc.handler = go_named;
    ask("/?@nowhere");
    ck_assert(fx_expect(" 500 ", 1));
    fx_end();
}
END_TEST

static const struct page_case {
    const char *name, *to;
    int overwrite;
    const char *status, *contains;
} page_cases[] = {
    {"named, status kept", "@there", -1, "HTTP/1.1 503 ", "\r\n\r\nGET"},
    {"named, its own status", "@there", 0, "HTTP/1.1 200 ", "\r\n\r\nGET"},
    {"named, another status", "@there", 404, "HTTP/1.1 404 ", "\r\n\r\nGET"},
    {"a URL", "http://x.example/", -1, "HTTP/1.1 302 ", "Location: http://x.example/\r\n"},
    {"a URL with a status", "http://x.example/", 301, "HTTP/1.1 301 ", "<h1>301 Moved"},
    {"a URI that fails too", "/again", -1, "HTTP/1.1 503 ", "<h1>503 "},
};

START_TEST(test_error_page)
{
    const struct page_case *c = &page_cases[_i];
    struct rem_http_error_page *page;

    start();
    add_named();
    fx.loc.error_pages = rem_array_new(&fx.arena, sizeof(*page));
    page = rem_array_push(&fx.arena, fx.loc.error_pages);
    *page = (struct rem_http_error_page){
        .status = 503, .overwrite = c->overwrite, .to = {.text = rem_str_from(c->to)}};
    fx.loc.handler = as_told;
    result = 503;
    ask("/");
    ck_assert_msg(fx_expect(c->contains, 1), "%s: %s", c->name, fx.got);
    ck_assert_msg(strncmp(fx.got, c->status, strlen(c->status)) == 0, "%s: %s", c->name, fx.got);
    ck_assert_str_eq(trace, "L");
    fx_end();
}
END_TEST

START_TEST(test_server_tokens)
{
    start();
    fx.loc.handler = as_told;
    fx.loc.server_tokens = REM_TOKENS_OFF;
    result = 404;
    ask("/");
    ck_assert(fx_expect("<hr><center>remora</center>", 1));
    ck_assert_ptr_nonnull(strstr(fx.got, "Server: remora\r\n"));
    fx_end();
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("all");

    tcase_add_test(t, test_cleanups_then_log);
    tcase_add_loop_test(t, test_ends, 0, REM_COUNT(end_cases));
    tcase_add_test(t, test_redirect);
    tcase_add_test(t, test_redirect_named);
    tcase_add_loop_test(t, test_error_page, 0, REM_COUNT(page_cases));
    tcase_add_test(t, test_server_tokens);
    return run_suite("request", t);
}
