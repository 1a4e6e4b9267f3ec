/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.h - one worker with a made-up configuration (one server, one location) and a client on a
 * socketpair, for the tests of this folder.  Everything runs in one thread: fx_pump lets the loop
 * turn for a while, fx_until pumps until something is true. */
#ifndef REM_TESTS_HTTP_FIXTURE_H
#define REM_TESTS_HTTP_FIXTURE_H

#include "proxy/http/core.h"
#include "proxy/http/h1_server.h"
#include "proxy/net/setup.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FX_TIMEOUT_MS = 10000 };

struct fixture {
    struct rem_worker worker;
    struct rem_setup setup;
    struct rem_shm_worker counters;
    struct rem_arena arena;
    struct rem_http_main_conf http;
    struct rem_http_server_conf server;
    struct rem_http_location_conf loc;
    struct rem_conf_ctx ctx;
    void *main[1], *srv[1], *location[1];
    struct rem_http_setup http_setup;
    struct rem_http_address address;
    struct rem_http_address *addresses[1];
    struct rem_http_port port;
    struct rem_listener listener;
    struct rem_timer stop;
    int client; /* the test's end */
    char got[1 << 20];
    size_t n;
    bool eof;
};

static struct fixture fx;

static inline void fx_on_stop(struct rem_timer *timer)
{
    (void)timer;
    rem_loop_stop(&fx.worker.loop);
}

static inline void fx_on_idle(struct rem_post *post)
{
    (void)post; /* a draining worker would stop here */
}

static inline void fx_location(struct rem_http_location_conf *loc)
{
    *loc = (struct rem_http_location_conf){
        .conf = fx.location,
        .server = &fx.server,
        .default_type = REM_STR("text/plain"),
        .log = fx.setup.log,
        .client_max_body_size = 1 << 20,
        .client_body_buffer_size = 16384,
        .client_body_timeout = 60000,
        .client_body_temp_path = REM_STR("/tmp"),
        .send_timeout = 60000,
        .keepalive_timeout = 75000,
        .keepalive_requests = 1000,
        .keepalive_time = 3600000,
        .lingering_close = REM_LINGERING_ON,
        .lingering_time = 30000,
        .lingering_timeout = 5000,
        .sendfile = 1,
        .sendfile_max_chunk = 2 << 20,
        .tcp_nodelay = 1,
        .postpone_output = 1460,
        .output_buffers = {2, 32768},
        .server_tokens = REM_TOKENS_ON,
        .chunked_transfer_encoding = 1,
        .absolute_redirect = 1,
        .port_in_redirect = 1,
        .client_body_in_file_only = REM_IN_FILE_OFF,
    };
}

static inline void fx_conf(void)
{
    fx.main[0] = &fx.http;
    fx.srv[0] = &fx.server;
    fx.location[0] = &fx.loc;
    fx.ctx = (struct rem_conf_ctx){.main = fx.main, .server = fx.srv, .location = fx.location};
    fx.server.ctx = &fx.ctx;
    fx.server.http = &fx.http;
    fx.server.name = REM_STR("test.example");
    fx.server.merge_slashes = 1;
    fx.server.client_header_timeout = 60000;
    fx.server.limits = rem_h1_limits_default;
    rem_strmap_init(&fx.server.named, &fx.arena, false);
    fx_location(&fx.loc);
    fx.http.ctx = &fx.ctx;
    fx.http.n_modules = 1;
    fx.http.vars = rem_vars_new(&fx.arena);
    fx.address.fallback = &fx.server;
    fx.addresses[0] = &fx.address;
    fx.port = (struct rem_http_port){fx.addresses, 1};
    fx.listener.data = &fx.port;
    fx.http_setup = (struct rem_http_setup){.arena = &fx.arena};
}

/* After handlers and filters have been added to fx.http_setup. */
static inline void fx_compile(void)
{
    ck_assert_int_eq(rem_phase_compile(&fx.http_setup, &fx.http.phases), 0);
    ck_assert_int_eq(
        rem_filter_compile(&fx.http_setup, &fx.http.header_filters, &fx.http.body_filters), 0);
}

static inline void fx_start(void)
{
    memset(&fx, 0, sizeof(fx));
    fx.client = -1;
    /* A test that wants to see the log: REM_TEST_LOG=1. */
    fx.setup.log = (struct rem_log *)(uintptr_t)rem_log_stderr(
        getenv("REM_TEST_LOG") != NULL ? REM_LOG_DEBUG : REM_LOG_EMERG);
    rem_arena_init(&fx.arena, NULL);
    fx.worker.setup = &fx.setup;
    fx.worker.counters = &fx.counters;
    fx.worker.connection_limit = 100;
    ck_assert_int_eq(rem_loop_init(&fx.worker.loop, fx.setup.log), 0);
    rem_block_pool_init(&fx.worker.small, REM_BLOCK_SMALL, 64);
    rem_block_pool_init(&fx.worker.large, REM_BLOCK_LARGE, 64);
    rem_list_init(&fx.worker.clients);
    rem_timer_init(&fx.stop, fx_on_stop);
    rem_post_init(&fx.worker.idle, fx_on_idle);
    fx.worker.draining = false;
    fx_conf();
    fx_compile();
}

static inline void fx_pump(uint64_t ms)
{
    fx.worker.loop.stopping = false;
    rem_timer_set(&fx.worker.loop.timers, &fx.stop, ms);
    rem_loop_run(&fx.worker.loop);
}

static inline void fx_connect(void)
{
    struct rem_addr peer = {0};
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    fx.client = pair[0];
    fx.n = 0;
    fx.eof = false;
    fx.worker.connections++;
    peer.u.sa.sa_family = AF_UNIX;
    peer.len = sizeof(sa_family_t);
    rem_h1_server_accept(&fx.worker, &fx.listener, pair[1], &peer);
}

static inline void fx_disconnect(void)
{
    if (fx.client >= 0)
        close(fx.client);
    fx.client = -1;
}

/* Whatever has arrived. */
static inline void fx_receive(void)
{
    ssize_t n;

    while (!fx.eof && fx.n < sizeof(fx.got) - 1) {
        n = recv(fx.client, fx.got + fx.n, sizeof(fx.got) - 1 - fx.n, MSG_DONTWAIT);
        if (n > 0)
            fx.n += (size_t)n;
        else if (n == 0 || errno != EAGAIN)
            fx.eof = true;
        if (n <= 0)
            break;
    }
    fx.got[fx.n] = '\0';
}

static inline void fx_send(const char *p, size_t n)
{
    uint64_t end = rem_mono_ms() + FX_TIMEOUT_MS;

    while (n > 0 && rem_mono_ms() < end) {
        ssize_t done = send(fx.client, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (done < 0 && errno != EAGAIN)
            return;
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
        if (n > 0) {
            fx_pump(1);
            fx_receive();
        }
    }
    ck_assert_uint_eq(n, 0);
}

/* Pumps until `text` has arrived `times` times, or (NULL) the connection has ended. */
static inline bool fx_expect(const char *text, unsigned times)
{
    uint64_t end = rem_mono_ms() + FX_TIMEOUT_MS;

    for (;;) {
        unsigned found = 0;

        fx_receive();
        for (const char *at = fx.got; text != NULL && (at = strstr(at, text)) != NULL; at++)
            found++;
        if (text != NULL ? found >= times : fx.eof)
            return true;
        if (fx.eof || rem_mono_ms() > end)
            return false;
        fx_pump(1);
    }
}

/* Nothing of a connection or a request is left behind. */
static inline void fx_end(void)
{
    uint64_t end = rem_mono_ms() + FX_TIMEOUT_MS;

    fx_disconnect();
    while (fx.worker.connections > 0 && rem_mono_ms() < end)
        fx_pump(1);
    fx_pump(1);
    ck_assert_uint_eq(fx.worker.connections, 0);
    ck_assert(rem_list_empty(&fx.worker.clients));
    ck_assert_int_eq((int)fx.counters.requests_current, 0);
    ck_assert_int_eq((int)fx.counters.conn_reading, 0);
    ck_assert_int_eq((int)fx.counters.conn_writing, 0);
    ck_assert_int_eq((int)fx.counters.conn_waiting, 0);
    rem_timer_cancel(&fx.worker.loop.timers, &fx.stop);
    rem_loop_fini(&fx.worker.loop);
    rem_block_pool_fini(&fx.worker.small);
    rem_block_pool_fini(&fx.worker.large);
    rem_arena_reset(&fx.arena);
}

#endif
