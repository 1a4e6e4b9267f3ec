/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol's header before the first request; its parser has tests of its own. */
#include "proto/wire/proxy_protocol.h"
#include "proxy/http/h1_server_priv.h"
#include "tests/unit/proxy/http/fixture.h"
#include "tests/unit/suite.h"

#define LINE "PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\n"
#define GET  "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static const struct rem_proxy_header *seen;
static char seen_addr[REM_ADDR_TEXT];
static bool seen_pipelined;

static int answer(struct rem_request *request)
{
    seen = request->proxied;
    seen_pipelined = request->pipelined;
    if (seen != NULL)
        rem_addr_text(&seen->src, seen_addr, sizeof(seen_addr));
    return rem_http_respond(request, 200, REM_STR("text/plain"), REM_STR("answer"));
}

static void start(void)
{
    fx_start();
    fx.address.proxy_protocol = true;
    fx.loc.handler = answer;
    seen = NULL;
    seen_addr[0] = '\0';
    fx_connect();
}

static void send_text(const char *text)
{
    fx_send(text, strlen(text));
}

START_TEST(test_with_its_request)
{
    start();
    send_text(LINE GET);
    ck_assert(fx_expect("answer", 1));
    ck_assert_str_eq(seen_addr, "192.0.2.1:123");
    ck_assert(!seen_pipelined); /* behind the header, but behind no request */
    send_text(GET);
    ck_assert(fx_expect("answer", 2));
    ck_assert_ptr_nonnull(seen);
    fx_end();
}
END_TEST

START_TEST(test_byte_by_byte)
{
    start();
    for (const char *p = LINE GET; *p != '\0'; p++) {
        fx_send(p, 1);
        fx_pump(1);
    }
    ck_assert(fx_expect("answer", 1));
    ck_assert_str_eq(seen_addr, "192.0.2.1:123");
    fx_end();
}
END_TEST

/* A connection that has sent its header and nothing else holds no block. */
START_TEST(test_header_alone)
{
    const struct rem_h1_client *client;

    start();
    send_text(LINE);
    fx_pump(10);
    ck_assert_int_eq((int)fx.counters.conn_waiting, 1);
    client = REM_LIST_ENTRY(fx.worker.clients.next, struct rem_h1_client, node);
    ck_assert_ptr_null(client->left);
    ck_assert_int_eq(client->in, REM_H1_IN_IDLE);
    send_text(GET);
    ck_assert(fx_expect("answer", 1));
    fx_end();
}
END_TEST

START_TEST(test_closed)
{
    static const char *const texts[] = {GET, "PROXY TCP4 nonsense\r\n", "P!"};

    for (size_t i = 0; i < REM_COUNT(texts); i++) {
        start();
        send_text(texts[i]);
        ck_assert(fx_expect(NULL, 0));
        ck_assert_uint_eq(fx.n, 0);
        fx_end();
    }
}
END_TEST

START_TEST(test_client_leaves)
{
    static const char *const texts[] = {"", "PROX", LINE};

    for (size_t i = 0; i < REM_COUNT(texts); i++) {
        start();
        send_text(texts[i]);
        fx_pump(5);
        fx_end();
    }
}
END_TEST

START_TEST(test_timeout)
{
    static const char *const texts[] = {"", "PROX", LINE};

    for (size_t i = 0; i < REM_COUNT(texts); i++) {
        fx_start();
        fx.address.proxy_protocol = true;
        fx.server.client_header_timeout = 20;
        fx_connect();
        send_text(texts[i]);
        ck_assert(fx_expect(NULL, 0));
        fx_end();
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("h1_server_proxy");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_with_its_request);
    tcase_add_test(tests, test_byte_by_byte);
    tcase_add_test(tests, test_header_alone);
    tcase_add_test(tests, test_closed);
    tcase_add_test(tests, test_client_leaves);
    tcase_add_test(tests, test_timeout);
    return run_suite("h1_server_proxy", tests);
}
