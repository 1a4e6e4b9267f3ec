/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy/http/h1_handlers.h"
#include "tests/unit/suite.h"

#include "proxy/http/h1_server_priv.h"
#include "proxy/http/special.h"

/* ---- counting malloc; sanitizers bring their own ---- */

#if defined(__SANITIZE_ADDRESS__)
#define COUNTS_MALLOC 0
static unsigned long mallocs;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COUNTS_MALLOC 0
static unsigned long mallocs;
#endif
#endif
#ifndef COUNTS_MALLOC
#define COUNTS_MALLOC 1
extern void *__libc_malloc(size_t size);
static unsigned long mallocs;

void *malloc(size_t size)
{
    mallocs++;
    return __libc_malloc(size);
}
#endif

/* ---- whole exchanges ---- */

static const struct exchange_case {
    const char *name, *raw, *contains, *lacks;
    int (*handler)(struct rem_request *request);
    bool closes;
} exchange_cases[] = {
    {"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "HTTP/1.1 200 OK\r\nServer: remora/" REM_VERSION "\r\nDate: ", "close", hello, false},
    {"length", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
     "chunked", hello, false},
    {"asked to close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
     "Connection: close\r\n\r\nhello", "keep-alive", hello, true},
    {"1.0", "GET / HTTP/1.0\r\n\r\n", "Connection: close\r\n\r\nhello", "keep-alive", hello, true},
    {"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "Connection: keep-alive\r\n\r\nhello", "close", hello, false},
    {"head", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "Content-Length: 5\r\n", "hello", hello, false},
    {"no host", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "hello", hello, true},
    {"garbage", "\x16\x03\x01\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "hello", hello, true},
    {"absolute", "GET http://b/x%20y?q HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\n/x y", "400",
     uri_back, false},
    {"dots", "GET /a/./b/../c//d HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\n/a/c/d", "400", uri_back,
     false},
    {"above root", "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ", "hello", hello, true},
    {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ", "hello", hello, true},
    {"body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "\r\n\r\nabc", "close",
     echo, false},
    {"no body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
     "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n", "close", echo, false},
    {"chunked",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n",
     "\r\n\r\nabcde", "close", echo, false},
    {"bad chunk",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3\r\nabcX\r\n0\r\n\r\n",
     "HTTP/1.1 400 ", "keep-alive", echo, true},
    {"both framings",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
     "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "HTTP/1.1 400 ", "keep-alive", echo, true},
    {"too large", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", "HTTP/1.1 413 ",
     "keep-alive", echo, true},
    {"unknown expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\na",
     "HTTP/1.1 417 ", "keep-alive", echo, true},
    {"continue", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", "close", echo, false},
    {"body not asked for",
     "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
     "Connection: close\r\n\r\nhello", "100 Continue", hello, true},
    {"204", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 No Content\r\n", "Content-Length",
     no_content, false},
    {"nobody answers", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "<title>404 Not Found</title>",
     "close", NULL, false},
    {"unread body",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
     "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "helloHTTP/1.1 200 OK\r\n", "400", hello, false},
    {"unread chunked body",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
     "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "helloHTTP/1.1 200 OK\r\n", "400", hello, false},
    {"closing ends the pipeline",
     "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "Connection: close\r\n\r\nhello", "helloHTTP", hello, true},
};

static void check_case(const struct exchange_case *c)
{
    ck_assert_msg(fx_expect(c->contains, 1), "%s: \"%s\" is not in:\n%s", c->name, c->contains,
                  fx.got);
    if (c->closes) {
        fx_pump(1);
        shutdown(fx.client, SHUT_WR); /* a lingering server waits for this */
        ck_assert_msg(fx_expect(NULL, 0), "%s: stays open", c->name);
    }
    ck_assert_msg(strstr(fx.got, c->lacks) == NULL, "%s: \"%s\" is in:\n%s", c->name, c->lacks,
                  fx.got);
}

START_TEST(test_exchanges)
{
    const struct exchange_case *c = &exchange_cases[_i];

    fx_start();
    fx.loc.handler = c->handler;
    fx_connect();
    fx_send(c->raw, strlen(c->raw));
    check_case(c);
    fx_end();
}
END_TEST

/* The same, a byte at a time. */
START_TEST(test_split)
{
    const struct exchange_case *c = &exchange_cases[_i];

    fx_start();
    fx.loc.handler = c->handler;
    fx_connect();
    for (const char *p = c->raw; *p != '\0'; p++) {
        fx_send(p, 1);
        fx_pump(1);
        if (send(fx.client, "", 0, MSG_NOSIGNAL) < 0)
            break;
    }
    check_case(c);
    fx_end();
}
END_TEST

START_TEST(test_pipeline)
{
    enum { REQUESTS = 500 };
    char *raw = malloc(REQUESTS * 64);
    size_t n = 0;

    fx_start();
    fx.loc.handler = uri_back;
    for (int i = 0; i < REQUESTS; i++)
        n += (size_t)sprintf(raw + n, "GET /%03d HTTP/1.1\r\nHost: pipe.example\r\n\r\n", i);
    fx_connect();
    fx_send(raw, n);
    ck_assert(fx_expect("\r\n\r\n/499", 1));
    for (int i = 0, at = 0; i < REQUESTS; i++) {
        char want[16];

        sprintf(want, "/%03d", i);
        ck_assert_ptr_nonnull(strstr(fx.got + at, want)); /* in order */
        at = (int)(strstr(fx.got + at, want) - fx.got);
    }
    ck_assert_uint_eq(fx.counters.requests, REQUESTS);
    ck_assert_uint_eq(fx.counters.responses[1], REQUESTS);
    free(raw);
    fx_end();
}
END_TEST

START_TEST(test_idle_holds_nothing)
{
    struct rem_h1_client *client;

    fx_start();
    fx.loc.handler = hello;
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect("hello", 1));
    fx_pump(1);
    client = REM_LIST_ENTRY(fx.worker.clients.next, struct rem_h1_client, node);
    ck_assert_ptr_null(client->x);
    ck_assert_ptr_null(client->left);
    ck_assert_int_eq((int)fx.counters.conn_waiting, 1);
    fx_end();
}
END_TEST

/* After the first few, a small request costs no malloc.  (The check library's own assertions do, so
 * there is none in the loop.) */
START_TEST(test_steady_state)
{
    static const char raw[] = "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n";
    unsigned long before = 0;
    unsigned answered = 0;

    fx_start();
    fx.loc.handler = hello;
    fx_connect();
    for (unsigned i = 0; i < 100; i++) {
        if (i == 10)
            before = mallocs;
        fx.n = 0;
        if (send(fx.client, raw, sizeof(raw) - 1, 0) != sizeof(raw) - 1)
            break;
        for (int turn = 0; turn < 1000 && fx.n == 0; turn++) {
            fx_pump(1);
            fx_receive();
        }
        answered += strstr(fx.got, "hello") != NULL;
    }
    before = mallocs - before;
    ck_assert_uint_eq(answered, 100);
    if (COUNTS_MALLOC)
        ck_assert_uint_eq(before, 0);
    ck_assert_uint_eq(fx.counters.requests, 100);
    fx_end();
}
END_TEST

START_TEST(test_limits)
{
    static char raw[70000];
    static const struct {
        size_t target, field;
        const char *want;
    } cases[] = {
        {7000, 10, "HTTP/1.1 200 "},   {9000, 10, "HTTP/1.1 414 "},
        {10, 7000, "HTTP/1.1 200 "},   {10, 9000, "<title>400 Request Header Or Cookie Too Large"},
        {7000, 7000, "HTTP/1.1 200 "}, {30000, 30000, "HTTP/1.1 414 "},
    };

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        size_t n;

        fx_start();
        fx.loc.handler = hello;
        memcpy(raw, "GET /", 5);
        memset(raw + 5, 'a', cases[i].target);
        n = 5 + cases[i].target;
        n += (size_t)sprintf(raw + n, " HTTP/1.1\r\nHost: a\r\nX: ");
        memset(raw + n, 'v', cases[i].field);
        n += cases[i].field;
        n += (size_t)sprintf(raw + n, "\r\n\r\n");
        fx_connect();
        fx_send(raw, n);
        ck_assert_msg(fx_expect(cases[i].want, 1), "case %zu: %.300s", i, fx.got);
        fx_end();
    }
}
END_TEST

/* ---- streams ---- */

START_TEST(test_chunked_stream)
{
    fx_start();
    stream_init(10, 4, -1);
    stream.trailer = true;
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect("\r\n\r\n4\r\nxxxx\r\n4\r\nxxxx\r\n2\r\nxx\r\n0\r\nX-Sum: 42\r\n\r\n", 1));
    ck_assert_ptr_nonnull(strstr(fx.got, "Transfer-Encoding: chunked\r\n"));
    ck_assert_uint_eq(stream.returned, stream.made);
    fx_end();
}
END_TEST

START_TEST(test_old_client_stream)
{
    fx_start();
    stream_init(10, 4, -1);
    fx_connect();
    fx_send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 42);
    ck_assert(fx_expect(NULL, 0));
    ck_assert_ptr_nonnull(strstr(fx.got, "Connection: close\r\n\r\nxxxxxxxxxx"));
    ck_assert_uint_eq(stream.returned, stream.made);
    fx_end();
}
END_TEST

START_TEST(test_length_is_kept)
{
    fx_start();
    stream_init(10, 4, 7); /* three bytes too many */
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect("\r\n\r\nxxxxxxx", 1));
    fx_pump(5);
    fx_receive();
    ck_assert_ptr_null(strstr(fx.got, "xxxxxxxx"));
    ck_assert(!fx.eof);
    fx_end();

    fx_start();
    stream_init(10, 4, 12); /* two too few */
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect(NULL, 0));
    ck_assert_ptr_nonnull(strstr(fx.got, "Content-Length: 12\r\n"));
    ck_assert_uint_eq(stream.returned, stream.made);
    fx_end();
}
END_TEST

/* The client reads nothing for a while: the sender is stopped, and started again. */
START_TEST(test_back_pressure)
{
    fx_start();
    stream_init(900000, 8192, 900000);
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    fx_pump(30);
    ck_assert_uint_lt(stream.sent, 600000);
    ck_assert(fx_expect("\r\n\r\nx", 1));
    while (fx.n < 900000 && !fx.eof) {
        fx_pump(1);
        fx_receive();
    }
    ck_assert_uint_eq(stream.sent, 900000);
    ck_assert_uint_eq(stream.returned, stream.made);
    fx_end();
}
END_TEST

START_TEST(test_client_aborts)
{
    fx_start();
    stream_init(900000, 8192, 900000);
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    fx_pump(10);
    ck_assert_uint_lt(stream.sent, 900000);
    fx_end();
    ck_assert_uint_eq(stream.returned, stream.made);
    ck_assert_uint_gt(stream.made, 0);
}
END_TEST

START_TEST(test_cut_answer_is_not_complete)
{
    fx_start();
    stream_init(10, 10, -1);
    stream.cut = true;
    stream.bufs[0].final = false;
    stream.size = 11; /* the last byte never comes */
    stream.piece = 10;
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect(NULL, 0));
    ck_assert_uint_eq(stream.returned, stream.made);
    fx_end();
}
END_TEST

static int file_fd;

static int file_answer(struct rem_request *request)
{
    struct rem_buf *bufs = rem_arena_zalloc(&request->arena, 2 * sizeof(*bufs));

    request->response.status = 200;
    request->response.content_length = 700003;
    if (rem_http_send_head(request) != REM_OK)
        return REM_HTTP_ERROR;
    bufs[0] =
        (struct rem_buf){.next = &bufs[1], .in_file = true, .fd = file_fd, .file_last = 700000};
    bufs[1] =
        (struct rem_buf){.pos = stream.bytes, .last = stream.bytes + 3, .fd = -1, .final = true};
    return rem_http_send_body(request, bufs) == REM_ECLOSED ? REM_HTTP_ERROR : REM_HTTP_OK;
}

static const struct file_case {
    int sendfile;
    size_t max_chunk;
} file_cases[] = {{0, 0}, {0, 1000}, {1, 0}, {1, 5000}};

START_TEST(test_file)
{
    char path[] = "/tmp/rem-h1-XXXXXX";
    const char *body;
    char block[1000];

    fx_start();
    file_fd = mkstemp(path);
    ck_assert_int_ge(file_fd, 0);
    unlink(path);
    for (int i = 0; i < 700; i++) {
        memset(block, 'a' + i % 26, sizeof(block));
        ck_assert_int_eq(write(file_fd, block, sizeof(block)), sizeof(block));
    }
    memset(stream.bytes, 'Z', 3);
    fx.loc.sendfile = file_cases[_i].sendfile;
    fx.loc.sendfile_max_chunk = file_cases[_i].max_chunk;
    fx.loc.handler = file_answer;
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect("ZZZ", 1));
    body = strstr(fx.got, "\r\n\r\n") + 4;
    ck_assert_uint_eq((size_t)(fx.got + fx.n - body), 700003);
    for (int i = 0; i < 700000; i++)
        ck_assert_int_eq(body[i], 'a' + i / 1000 % 26);
    close(file_fd);
    fx_end();
}
END_TEST

/* A client of whose bytes `left` are always there, counted by the turn in which they are read. */
static struct {
    size_t left;
    unsigned reads, most;
    const struct rem_conn_io *real;
    struct rem_conn_io io;
} flood;

static ssize_t flood_recv(struct rem_conn *conn, char *to, size_t n)
{
    if (flood.left == 0)
        return flood.real->recv(conn, to, n);
    n = n < flood.left ? n : flood.left;
    memset(to, 'x', n);
    flood.left -= n;
    flood.reads++;
    return (ssize_t)n;
}

static void on_flood_turn(void *data)
{
    (void)data;
    flood.most = flood.reads > flood.most ? flood.reads : flood.most;
    flood.reads = 0;
}

/* However fast a body comes, others get their turn before its end; whether it is wanted or not. */
START_TEST(test_bodies_take_turns)
{
    static int (*const handlers[])(struct rem_request *) = {hello, echo};
    static const char post[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n";
    struct rem_h1_client *client;

    fx_start();
    fx.loc.handler = handlers[_i];
    fx_connect();
    fx_send(post, sizeof(post) - 1);
    fx_pump(1);
    client = REM_LIST_ENTRY(fx.worker.clients.next, struct rem_h1_client, node);
    memset(&flood, 0, sizeof(flood));
    flood.left = 900000;
    flood.real = client->conn.io;
    flood.io = *flood.real;
    flood.io.recv = flood_recv;
    client->conn.io = &flood.io;
    client->conn.readable = true;
    fx.worker.loop.on_turn_end = on_flood_turn;
    h1_wake(client);
    ck_assert(fx_expect("HTTP/1.1 200 OK", 1));
    while (flood.left != 0 && fx.worker.connections != 0)
        fx_pump(1);
    ck_assert_uint_eq(flood.left, 0);
    ck_assert_uint_le(flood.most, REM_H1_READS);
    ck_assert_uint_gt(flood.most, 1);
    fx_end();
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_exchanges, 0, REM_COUNT(exchange_cases));
    tcase_add_loop_test(t, test_split, 0, REM_COUNT(exchange_cases));
    tcase_add_test(t, test_pipeline);
    tcase_add_test(t, test_idle_holds_nothing);
    tcase_add_test(t, test_steady_state);
    tcase_add_test(t, test_limits);
    tcase_add_test(t, test_chunked_stream);
    tcase_add_test(t, test_old_client_stream);
    tcase_add_test(t, test_length_is_kept);
    tcase_add_test(t, test_back_pressure);
    tcase_add_test(t, test_client_aborts);
    tcase_add_test(t, test_cut_answer_is_not_complete);
    tcase_add_loop_test(t, test_bodies_take_turns, 0, 2);
    tcase_add_loop_test(t, test_file, 0, REM_COUNT(file_cases));
    return run_suite("h1_server", t);
}
