/* SPDX-License-Identifier: Apache-2.0 */
/* How connections to clients live and end: timeouts, keep-alive, draining, lingering. */
#include "tests/unit/proxy/http/h1_handlers.h"
#include "tests/unit/suite.h"

#include "proxy/http/h1_server_priv.h"

#include <signal.h>

/* ---- time ---- */

START_TEST(test_header_timeout)
{
    fx_start();
    fx.server.client_header_timeout = 30;
    fx_connect();
    fx_send("GET / HT", 8);
    ck_assert(fx_expect(NULL, 0));
    ck_assert_uint_eq(fx.n, 0); /* as nginx: silently */
    fx_end();
}
END_TEST

START_TEST(test_keepalive_timeout)
{
    fx_start();
    fx.loc.keepalive_timeout = 30;
    fx.loc.handler = hello;
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect(NULL, 0));
    ck_assert_ptr_nonnull(strstr(fx.got, "hello"));
    fx_end();
}
END_TEST

START_TEST(test_body_timeout)
{
    fx_start();
    fx.loc.client_body_timeout = 30;
    fx.loc.handler = echo;
    fx_connect();
    fx_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", 50);
    ck_assert(fx_expect(NULL, 0));
    ck_assert_uint_eq(fx.n, 0);
    fx_end();
}
END_TEST

START_TEST(test_send_timeout)
{
    fx_start();
    fx.loc.send_timeout = 30;
    stream_init(900000, 8192, 900000);
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    while (fx.worker.connections > 0)
        fx_pump(5);
    ck_assert_uint_eq(stream.returned, stream.made);
    fx_end();
}
END_TEST

START_TEST(test_keepalive_requests)
{
    fx_start();
    fx.loc.keepalive_requests = 2;
    fx.loc.handler = hello;
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect("Connection: keep-alive\r\n\r\nhello", 1));
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect("Connection: close\r\n\r\nhello", 1));
    ck_assert(fx_expect(NULL, 0));
    fx_end();
}
END_TEST

START_TEST(test_draining)
{
    fx_start();
    fx.loc.handler = hello;
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect("Connection: keep-alive\r\n\r\nhello", 1));
    fx.worker.draining = true;
    rem_h1_server_drain(&fx.worker);
    fx_pump(5);
    ck_assert_uint_eq(fx.worker.connections, 1); /* waits for what may be on its way */
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    ck_assert(fx_expect("Connection: close\r\n\r\nhello", 1));
    ck_assert(fx_expect(NULL, 0));
    fx.worker.draining = false;
    fx_end();
}
END_TEST

/* A client that is still sending its body gets the refusal, and is not reset. */
START_TEST(test_lingering)
{
    static char body[300000];

    fx_start();
    fx.loc.client_max_body_size = 1000;
    fx.loc.handler = echo;
    fx_connect();
    fx_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n", 52);
    fx_send(body, sizeof(body));
    ck_assert(fx_expect("HTTP/1.1 413 ", 1));
    ck_assert(fx_expect(NULL, 0)); /* the write side is closed */
    ck_assert_uint_eq(fx.worker.connections, 1);
    fx_end();
}
END_TEST

START_TEST(test_half_close)
{
    fx_start();
    fx.loc.handler = hello;
    fx_connect();
    fx_send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 54);
    shutdown(fx.client, SHUT_WR);
    ck_assert(fx_expect(NULL, 0));
    ck_assert_ptr_nonnull(strstr(fx.got, "helloHTTP/1.1 200 OK"));
    fx_end();
}
END_TEST

/* ---- states ---- */

START_TEST(test_illegal_edge_aborts)
{
    struct rem_h1_client client = {.worker = &fx.worker, .in = REM_H1_IN_LINGER};

    h1_goto(&client, REM_H1_IN_IDLE); /* a connection that has been shut serves nobody */
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_header_timeout);
    tcase_add_test(t, test_keepalive_timeout);
    tcase_add_test(t, test_body_timeout);
    tcase_add_test(t, test_send_timeout);
    tcase_add_test(t, test_keepalive_requests);
    tcase_add_test(t, test_draining);
    tcase_add_test(t, test_lingering);
    tcase_add_test(t, test_half_close);
    tcase_add_test_raise_signal(t, test_illegal_edge_aborts, SIGABRT);
    return run_suite("h1_server_life", t);
}
