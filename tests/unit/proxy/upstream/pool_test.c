/* SPDX-License-Identifier: Apache-2.0 */
/* Idle connections: found by server, the youngest first, bounded, and gone when their server speaks
 * or closes. */
#include "proxy/upstream/pool.h"

#include "proxy/net/setup.h"
#include "proxy/upstream/upstream_conf.h"

#include "tests/unit/suite.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIMIT = 4, SERVERS = 300 };

static struct rem_region region;
static struct rem_setup conf;
static struct rem_worker worker;
static struct rem_upstream upstream;
static struct rem_upstream_group *group;
static struct rem_addr addr;
static struct rem_timer stop;
static struct rem_keepalive_spec limits;
static int listener;

static void on_stop(struct rem_timer *timer)
{
    (void)timer;
    rem_loop_stop(&worker.loop);
}

/* Lets the loop turn for a while. */
static void pump(uint64_t ms)
{
    worker.loop.stopping = false;
    rem_timer_set(&worker.loop.timers, &stop, ms);
    rem_loop_run(&worker.loop);
}

static void setup(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(in);
    unsigned slot;

    listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(listener, 512), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    rem_addr_from((struct sockaddr *)&in, len, &addr);
    ck_assert_int_eq(rem_region_create(&region, REM_REGION_MIN, 1), 0);
    ck_assert_int_eq(rem_region_claim_worker(&region, 1, 0, &slot), 0);
    memset(&worker, 0, sizeof(worker));
    memset(&conf, 0, sizeof(conf));
    conf.worker_connections = 1000;
    conf.log = (struct rem_log *)(uintptr_t)rem_log_stderr(REM_LOG_EMERG);
    worker.setup = &conf;
    worker.slot = (int)slot;
    worker.counters = rem_region_worker(&region, slot);
    ck_assert_int_eq(rem_worker_init(&worker), 0);
    rem_reader_init(&worker.reader, &region, slot);
    ck_assert_int_eq(rem_upstream_worker_init(&worker), 0);
    upstream.name = REM_STR("u");
    upstream.index = 20;
    group = rem_pool_group(worker.upstreams, &upstream);
    ck_assert_ptr_nonnull(group);
    ck_assert_ptr_eq(rem_pool_group(worker.upstreams, &upstream), group);
    rem_timer_init(&stop, on_stop);
    limits = (struct rem_keepalive_spec){LIMIT, 100, 60000, 60000};
}

static void teardown(void)
{
    rem_upstream_worker_fini(&worker);
    ck_assert_uint_eq(worker.connections, 0);
    rem_worker_fini(&worker);
    rem_region_close(&region);
    close(listener);
}

/* A connection to server `key`; *peer: its other end. */
static struct rem_upstream_conn *dial(uint64_t key, int *peer)
{
    struct rem_upstream_conn *uc = NULL;

    ck_assert_int_eq(rem_pool_open(worker.upstreams, &addr, NULL, key, false, &uc), 0);
    *peer = accept(listener, NULL, NULL);
    ck_assert_int_ge(*peer, 0);
    uc->requests = 1;
    return uc;
}

static void put(struct rem_upstream_conn *uc)
{
    rem_pool_put(&uc, group, &limits, 1);
    ck_assert_ptr_null(uc);
}

/* Whether the other end was closed. */
static bool is_closed(int peer)
{
    char byte;

    return recv(peer, &byte, 1, MSG_DONTWAIT) == 0;
}

START_TEST(youngest_first)
{
    struct rem_upstream_conn *uc[3];
    int peer[3];

    for (int i = 0; i < 3; i++)
        uc[i] = dial(7, &peer[i]);
    for (int i = 0; i < 3; i++)
        put(uc[i]);
    ck_assert_uint_eq(group->idle_count, 3);
    ck_assert_ptr_null(rem_pool_get(worker.upstreams, 8));
    for (int i = 2; i >= 0; i--) {
        struct rem_upstream_conn *got = rem_pool_get(worker.upstreams, 7);
        ck_assert_ptr_eq(got, uc[i]);
        ck_assert(got->reused);
        rem_pool_close(&got);
        ck_assert(is_closed(peer[i]));
        close(peer[i]);
    }
    ck_assert_ptr_null(rem_pool_get(worker.upstreams, 7));
    pump(1);
}
END_TEST

START_TEST(bounded)
{
    int peer[LIMIT + 2];

    for (int i = 0; i < LIMIT + 2; i++)
        put(dial((uint64_t)(i % 3 + 1), &peer[i]));
    ck_assert_uint_eq(group->idle_count, LIMIT);
    for (int i = 0; i < LIMIT + 2; i++) {
        ck_assert_int_eq(is_closed(peer[i]), i < 2); /* the longest idle ones went */
        close(peer[i]);
    }
}
END_TEST

/* Many servers, so that the table grows and leaders follow each other. */
START_TEST(many_servers)
{
    static int peer[SERVERS];

    limits.connections = SERVERS;
    for (int i = 0; i < SERVERS; i++)
        put(dial((uint64_t)(i / 2 + 1), &peer[i]));
    for (int i = 0; i < SERVERS; i++) {
        struct rem_upstream_conn *uc = rem_pool_get(worker.upstreams, (uint64_t)(i / 2 + 1));
        ck_assert_ptr_nonnull(uc);
        ck_assert_uint_eq(uc->key, (uint64_t)(i / 2 + 1));
        rem_pool_close(&uc);
        close(peer[i]);
    }
    ck_assert_uint_eq(group->idle_count, 0);
    ck_assert_ptr_null(rem_pool_get(worker.upstreams, 1));
}
END_TEST

/* What may not be kept is closed at once. */
START_TEST(refused)
{
    static const struct rem_keepalive_spec none[] = {
        {0, 100, 60000, 60000}, {LIMIT, 1, 60000, 60000}, {LIMIT, 100, 0, 60000}};
    int peer;

    for (size_t i = 0; i < REM_COUNT(none); i++) {
        limits = none[i];
        put(dial(1, &peer));
        ck_assert(is_closed(peer));
        close(peer);
    }
    limits = (struct rem_keepalive_spec){LIMIT, 100, 60000, 1};
    {
        struct rem_upstream_conn *uc = dial(1, &peer);
        pump(20);
        put(uc);
        ck_assert(is_closed(peer));
        close(peer);
    }
    worker.draining = true;
    limits.time_ms = 60000;
    put(dial(1, &peer));
    ck_assert(is_closed(peer));
    close(peer);
    worker.draining = false;
    ck_assert_uint_eq(group->idle_count, 0);
}
END_TEST

START_TEST(dropped_while_idle)
{
    int speaks, closes, quiet, late;

    put(dial(1, &speaks));
    put(dial(2, &closes));
    put(dial(3, &quiet));
    pump(5);
    ck_assert_uint_eq(group->idle_count, 3);
    ck_assert_int_eq(send(speaks, "x", 1, 0), 1);
    close(closes);
    pump(20);
    ck_assert_uint_eq(group->idle_count, 1);
    ck_assert_ptr_null(rem_pool_get(worker.upstreams, 1));
    ck_assert_ptr_null(rem_pool_get(worker.upstreams, 2));
    limits.timeout_ms = 30;
    put(dial(4, &late));
    pump(100);
    ck_assert_uint_eq(group->idle_count, 1);
    ck_assert(is_closed(late));
    ck_assert(!is_closed(quiet));
    rem_upstream_worker_drain(&worker);
    ck_assert(is_closed(quiet));
    close(speaks);
    close(quiet);
    close(late);
}
END_TEST

/* Bytes that nobody has read yet, and nobody will be told of, are found when it is put back. */
START_TEST(unread)
{
    int peer;
    struct rem_upstream_conn *uc = dial(1, &peer);

    ck_assert_int_eq(send(peer, "x", 1, 0), 1);
    uc->conn.readable = true;
    put(uc);
    ck_assert_uint_eq(group->idle_count, 0);
    close(peer);
    uc = dial(1, &peer);
    uc->conn.readable = true; /* a read that filled its room, and nothing behind it */
    put(uc);
    ck_assert_uint_eq(group->idle_count, 1);
    close(peer);
}
END_TEST

START_TEST(limit_of_connections)
{
    struct rem_upstream_conn *uc = NULL, *none = NULL;
    int peer;

    worker.connection_limit = 1;
    uc = dial(1, &peer);
    ck_assert_int_eq(rem_pool_open(worker.upstreams, &addr, NULL, 1, false, &none), REM_EBUSY);
    rem_pool_close(&uc);
    ck_assert_uint_eq(worker.connections, 0);
    close(peer);
    ck_assert_ptr_null(rem_pool_group_named(worker.upstreams, REM_STR("nobody")));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("idle");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, youngest_first);
    tcase_add_test(tc, bounded);
    tcase_add_test(tc, many_servers);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, dropped_while_idle);
    tcase_add_test(tc, unread);
    tcase_add_test(tc, limit_of_connections);
    return run_suite("pool", tc);
}
