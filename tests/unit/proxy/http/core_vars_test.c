/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/body.h"
#include "proxy/http/core_priv.h"

#include "tests/unit/proxy/http/http_conf.h"

static struct rem_worker worker;
static struct rem_conn conn;
static struct rem_request request;
static struct rem_addr peer;
static struct rem_http_address address;
static const char *config =
    "server { server_name .Site.test other; root /srv/;"
    "  location /al/ { alias /data/; } location / { keepalive_timeout 9 8; } }";

static void add_field(struct rem_fields *fields, const char *name, const char *value)
{
    ck_assert_int_eq(rem_fields_add(fields, rem_str_from(name), rem_str_from(value)), 0);
}

static void make_request(void)
{
    make_dir();
    ck_assert_msg(http_load(config) == 0, "%s", reported());
    memset(&request, 0, sizeof(request));
    memset(&worker, 0, sizeof(worker));
    worker.setup = &hc.setup;
    worker.loop.clock.wall_sec = 1700000000;
    worker.loop.clock.wall_msec = 42;
    worker.loop.clock.mono_ms = 5000;
    conn.fd = -1;
    conn.number = 77;
    ck_assert_int_eq(rem_addr_parse(REM_STR("192.7.2.1:5555"), 0, &peer), 0);
    ck_assert_int_eq(rem_addr_parse(REM_STR("127.0.0.1:8080"), 0, &address.addr), 0);
    request.magic = REM_REQUEST_MAGIC;
    request.worker = &worker;
    request.conn = &conn;
    request.peer = &peer;
    request.address = &address;
    request.version = 11;
    request.method = REM_METHOD_GET;
    request.method_name = REM_STR("GET");
    request.line = REM_STR("GET /a%20b?X=1&y=%32 HTTP/1.1");
    request.target = REM_STR("/a%20b?X=1&y=%32");
    request.uri = REM_STR("/a b");
    request.args = REM_STR("X=1&y=%32&y=3&flag&=z");
    request.scheme = REM_STR("http");
    request.host = REM_STR("asked.test");
    request.host_port = REM_STR("8443");
    request.keepalive = true;
    request.start_ms = 3766;
    request.connection_start_ms = 2000;
    request.connection_requests = 3;
    request.received = 123;
    request.sent = 4567;
    request.sent_body = 4000;
    rem_arena_init(&request.arena, NULL);
    rem_fields_init(&request.fields, &request.arena);
    rem_fields_init(&request.response.fields, &request.arena);
    rem_fields_init(&request.response.trailers, &request.arena);
    request.response.status = 200;
    request.response.content_length = 4000;
    request.response.last_modified = 784111777;
    request.response.content_type = REM_STR("text/x");
    add_field(&request.fields, "Host", "asked.test:8443");
    add_field(&request.fields, "X-One", "1");
    add_field(&request.fields, "x-one", "2");
    add_field(&request.fields, "Content-Type", "a/b");
    add_field(&request.fields, "Content-Length", "7");
    add_field(&request.fields, "Cookie", "a=1; Sid=xyz;b = 2");
    add_field(&request.fields, "Cookie", "c=3");
    add_field(&request.fields, "Authorization", "Basic bWU6c2VjcmV0");
    add_field(&request.response.fields, "Location", "/there");
    add_field(&request.response.trailers, "X-Sum", "99");
    rem_core_use_server(&request, http_server(0));
}

static void drop_request(void)
{
    rem_arena_reset(&request.arena);
    http_unload();
    drop_dir();
}

/* Evaluates a text against the variables of the core alone. */
static struct rem_str evaluate(const char *text)
{
    struct rem_conf cf = {.cycle = hc.cycle, .arena = &hc.arena};
    struct rem_vars *vars = rem_vars_new(&hc.arena);
    struct rem_value value;
    struct rem_err err = {0};
    struct rem_str out = {0};

    ck_assert_ptr_nonnull(vars);
    cf.vars = vars;
    ck_assert_int_eq(rem_core_add_vars(vars), 0);
    ck_assert_int_eq(rem_core_add_field_vars(vars), 0);
    ck_assert_int_eq(rem_core_add_conn_vars(vars), 0);
    ck_assert_msg(rem_value_compile_in(vars, &hc.arena, rem_str_from(text),
                                       (struct rem_conf_pos){0}, &value, &err) == 0,
                  "%s: %s", text, err.text);
    ck_assert_int_eq(rem_vars_resolve(vars, &cf), 0);
    request.eval = (struct rem_eval){.subject = &request, .arena = &request.arena, .vars = vars};
    request.eval.cache =
        rem_arena_zalloc(&request.arena, (rem_vars_count(vars) + 1) * sizeof(struct rem_var_value));
    ck_assert_int_eq(rem_http_value(&request, &value, &out), 0);
    return out;
}

#define assert_value(text, want)                                                                   \
    do {                                                                                           \
        struct rem_str got_ = evaluate(text);                                                      \
        ck_assert_msg(rem_str_is(got_, want), "%s: \"%.*s\", want \"%s\"", text,                   \
                      REM_STR_ARG(got_), want);                                                    \
    } while (0)

static const struct {
    const char *text, *value;
} plain[] = {
    {"$request", "GET /a%20b?X=1&y=%32 HTTP/1.1"},
    {"$request_uri", "/a%20b?X=1&y=%32"},
    {"$request_method", "GET"},
    {"$uri|$document_uri", "/a b|/a b"},
    {"$args", "X=1&y=%32&y=3&flag&=z"},
    {"$query_string$is_args", "X=1&y=%32&y=3&flag&=z?"},
    {"$arg_x", "1"},
    {"$arg_Y", "%32"},
    {"<$arg_flag>", "<>"},
    {"<$arg_nope>", "<>"},
    {"<$arg_>", "<>"},
    {"$host", "asked.test"},
    {"$http_host", "asked.test:8443"},
    {"$request_port$is_request_port", "8443:"},
    {"$http_x_one", "1, 2"},
    {"<$http_x_two>", "<>"},
    {"$http_cookie", "a=1; Sid=xyz;b = 2; c=3"},
    {"$cookie_a$cookie_c", "13"},
    {"$cookie_sid", "xyz"},
    {"<$cookie_d>", "<>"},
    {"$content_type $content_length", "a/b 7"},
    {"$remote_user", "me"},
    {"$remote_addr:$remote_port", "192.7.2.1:5555"},
    {"$binary_remote_addr", "\xc0\x07\x02\x01"},
    {"$server_addr:$server_port", "127.0.0.1:8080"},
    {"$server_name", "site.test"},
    {"$server_protocol", "HTTP/1.1"},
    {"$scheme<$https>", "http<>"},
    {"$status", "200"},
    {"$bytes_sent $body_bytes_sent $request_length", "4567 4000 123"},
    {"$connection $connection_requests $connection_time", "77 3 3.000"},
    {"$request_time", "1.234"},
    {"$msec", "1700000000.042"},
    {"$pipe", "."},
    {"<$request_completion>", "<>"},
    {"$document_root", "/srv"},
    {"$request_filename", "/srv/a b"},
    {"$nginx_version", REM_VERSION},
    {"$sent_http_location", "/there"},
    {"$sent_http_content_type", "text/x"},
    {"$sent_http_content_length", "4000"},
    {"$sent_http_last_modified", "Sun, 06 Nov 1994 08:49:37 GMT"},
    {"$sent_http_connection", "keep-alive"},
    {"<$sent_http_transfer_encoding>", "<>"},
    {"<$sent_http_nope>", "<>"},
    {"$sent_trailer_x_sum", "99"},
    {"<$request_body><$request_body_file>", "<><>"},
};

START_TEST(texts)
{
    make_request();
    for (size_t i = 0; i < REM_COUNT(plain); i++)
        assert_value(plain[i].text, plain[i].value);
    drop_request();
}
END_TEST

START_TEST(other_requests)
{
    make_request();
    request.host = REM_STR("");
    assert_value("$host", "site.test");
    request.args = REM_STR("");
    assert_value("$is_args$args", "");
    request.target = REM_STR("http://h:1/p?q");
    assert_value("$request_uri", "/p?q");
    request.target = REM_STR("http://h");
    assert_value("$request_uri", "/");
    request.target = REM_STR("http://h?q=/");
    assert_value("$request_uri", "/?q=/");
    request.target = REM_STR("*");
    assert_value("$request_uri", "*");
    request.version = 10;
    assert_value("$server_protocol", "HTTP/1.0");
    request.keepalive = false;
    assert_value("$sent_http_connection", "close");
    request.response.status = 0;
    assert_value("$status", "000");
    request.response.content_length = -1;
    request.version = 11;
    request.response.status = 200;
    assert_value("$sent_http_transfer_encoding", "chunked");
    request.response.body_done = true;
    assert_value("$request_completion", "OK");
    request.client_gone = true;
    assert_value("$request_completion", "");
    request.pipelined = true;
    assert_value("$pipe", "p");
    request.scheme = REM_STR("https");
    assert_value("$https", "on");
    drop_request();
}
END_TEST

START_TEST(locations)
{
    const struct rem_http_location_conf *found;

    make_request();
    ck_assert_int_eq(rem_core_find_location(http_server(0), REM_STR("/al/x"), NULL, &found), 0);
    rem_core_use_location(&request, found);
    request.uri = REM_STR("/al/x/y");
    assert_value("$document_root", "/data/");
    assert_value("$request_filename", "/data/x/y");
    request.uri = REM_STR("/a"); /* less than the alias stands for */
    assert_value("$request_filename", "/data/");
    ck_assert_int_eq(rem_core_find_location(http_server(0), REM_STR("/"), NULL, &found), 0);
    rem_core_use_location(&request, found);
    assert_value("$sent_http_keep_alive", "timeout=8");
    drop_request();
}
END_TEST

START_TEST(bodies)
{
    char bytes[] = "abcdef";
    struct rem_buf second = {.pos = bytes + 3, .last = bytes + 6};
    struct rem_buf first = {.next = &second, .pos = bytes, .last = bytes + 3};
    struct rem_request_body body = {.bufs = &first, .size = 6, .temp_fd = -1, .complete = true};

    make_request();
    request.body = &body;
    assert_value("$request_body", "abcdef");
    body.temp_path = REM_STR("/tmp/x");
    assert_value("$request_body_file", "/tmp/x");
    second.in_file = true; /* what has been spilled is not read back */
    assert_value("<$request_body>", "<>");
    rem_fields_remove(&request.fields, rem_fields_find(&request.fields, REM_FIELD_CONTENT_LENGTH));
    assert_value("$content_length", "6");
    drop_request();
}
END_TEST

static const struct {
    const char *authorization, *user;
} users[] = {
    {"basic bWU6c2VjcmV0", "me"}, {"Basic   bWU6", "me"}, {"Basic bWU=", ""},
    {"Basic !!!!", ""},           {"Basic", ""},          {"Bearer bWU6c2VjcmV0", ""},
    {"Basic bWU6c2VjcmV0x", ""},
};

START_TEST(remote_users)
{
    make_request();
    for (size_t i = 0; i < REM_COUNT(users); i++) {
        struct rem_field *field = rem_fields_find(&request.fields, REM_FIELD_AUTHORIZATION);

        field->value = rem_str_from(users[i].authorization);
        assert_value("$remote_user", users[i].user);
    }
    drop_request();
}
END_TEST

START_TEST(request_ids_differ)
{
    char first[33];
    struct rem_str id;

    make_request();
    id = evaluate("$request_id");
    ck_assert_uint_eq(id.n, 32);
    snprintf(first, sizeof(first), "%.*s", REM_STR_ARG(id));
    for (size_t i = 0; i < id.n; i++)
        ck_assert_int_ge(rem_hex_value(id.p[i]), 0);
    id = evaluate("$request_id");
    ck_assert(!rem_str_is(id, first));
    /* one request has one, however often it is asked */
    id = evaluate("$request_id$request_id");
    ck_assert(memcmp(id.p, id.p + 32, 32) == 0);
    drop_request();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("vars");

    tcase_add_test(tc, texts);
    tcase_add_test(tc, other_requests);
    tcase_add_test(tc, locations);
    tcase_add_test(tc, bodies);
    tcase_add_test(tc, remote_users);
    tcase_add_test(tc, request_ids_differ);
    return run_tests(tc);
}
