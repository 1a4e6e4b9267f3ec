/* SPDX-License-Identifier: Apache-2.0 */
/* worker_test.c - accepting within limits, refusing and recovering, draining. */
#include "proxy/net/worker.h"

#include "proxy/net/accept.h"
#include "proxy/net/setup.h"

#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX = 64 };

static struct rem_region region;
static struct rem_setup set;
static struct rem_worker worker;
static struct rem_listener listener;
static struct rem_log log_off;
static int accepted[MAX], clients[MAX];
static int n_accepted, n_clients, drains;

static void on_accept(struct rem_worker *w, struct rem_listener *l, int fd,
                      const struct rem_addr *peer)
{
    ck_assert_ptr_eq(w, &worker);
    ck_assert_ptr_eq(l, &listener);
    ck_assert(rem_addr_is_loopback(peer));
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    accepted[n_accepted++] = fd;
}

static void on_drain(struct rem_worker *w)
{
    ck_assert(w->draining);
    drains++;
}

static void setup(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    unsigned slot;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    n_accepted = n_clients = drains = 0;
    ck_assert_int_eq(rem_region_create(&region, 1 << 21, 1), REM_OK);
    ck_assert_int_eq(rem_region_claim_worker(&region, 1, 0, &slot), REM_OK);
    set = (struct rem_setup){.log = &log_off,
                             .worker_connections = 4,
                             .worker_processes = 1,
                             .master_process = true,
                             .worker_drain = on_drain};
    rem_list_init(&set.listeners);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(fd, MAX), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    listener = (struct rem_listener){.fd_count = 1, .on_accept = on_accept};
    listener.fds = malloc(sizeof(int));
    listener.fds[0] = fd;
    rem_addr_from((struct sockaddr *)&in, len, &listener.addr);
    rem_list_append(&set.listeners, &listener.node);
    worker = (struct rem_worker){.setup = &set,
                                 .slot = (int)slot,
                                 .generation = 1,
                                 .counters = rem_region_worker(&region, slot)};
    rem_reader_init(&worker.reader, &region, slot);
    ck_assert_int_eq(rem_worker_init(&worker), REM_OK);
    ck_assert_int_eq(rem_listeners_enable(&set.listeners, &worker), REM_OK);
}

static void teardown(void)
{
    rem_worker_fini(&worker);
    rem_region_close(&region);
    for (int i = 0; i < n_clients; i++)
        close(clients[i]);
    if (listener.fds[0] >= 0)
        close(listener.fds[0]);
    free(listener.fds);
}

static void connect_one(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(connect(fd, &listener.addr.u.sa, listener.addr.len), 0);
    clients[n_clients++] = fd;
}

static void on_end(struct rem_timer *timer)
{
    (void)timer;
    rem_loop_stop(&worker.loop);
}

/* Lets the loop run for a while, or until it stops by itself; returns whether it did. */
static bool run_for(uint64_t ms)
{
    struct rem_timer end = {0};
    bool by_itself;

    rem_timer_init(&end, on_end);
    rem_clock_update(&worker.loop.clock);
    worker.loop.timers.now_ms = worker.loop.clock.mono_ms;
    rem_timer_set(&worker.loop.timers, &end, ms);
    worker.loop.stopping = false;
    rem_loop_run(&worker.loop);
    by_itself = rem_timer_armed(&end) != 0;
    rem_timer_cancel(&worker.loop.timers, &end);
    return by_itself;
}

static void release_one(void)
{
    close(accepted[--n_accepted]);
    rem_worker_released(&worker);
}

START_TEST(limit)
{
    for (int i = 0; i < 6; i++)
        connect_one();
    run_for(60);
    ck_assert_int_eq(n_accepted, 4);
    ck_assert_uint_eq(worker.connections, 4);
    ck_assert_uint_gt(worker.counters->conn_rejected, 0);
    ck_assert_uint_eq(worker.counters->conn_accepted, 4);
    ck_assert_int_eq(rem_worker_acquire(&worker), REM_EBUSY);
    release_one(); /* room for one of those that wait */
    run_for(60);
    ck_assert_int_eq(n_accepted, 4);
    ck_assert_uint_eq(worker.counters->conn_accepted, 5);
    release_one();
    run_for(60);
    ck_assert_uint_eq(worker.counters->conn_accepted, 6);
    release_one();
    ck_assert_int_eq(rem_worker_acquire(&worker), REM_OK);
    ck_assert_uint_eq(worker.connections, 4);
}
END_TEST

static uint32_t on_reclaim(struct rem_worker *w, uint32_t n)
{
    ck_assert_ptr_eq(w, &worker);
    ck_assert_uint_gt(n, 0);
    if (n_accepted == 0)
        return 0;
    release_one();
    return 1;
}

START_TEST(idle_clients_give_way)
{
    set.worker_reclaim = on_reclaim;
    for (int i = 0; i < 10; i++)
        connect_one();
    run_for(100);
    ck_assert_uint_eq(worker.counters->conn_accepted, 10);
    ck_assert_uint_eq(worker.counters->conn_rejected, 0);
}
END_TEST

START_TEST(descriptors)
{
    struct rlimit was, low;
    int fd;

    worker.connection_limit = MAX;
    for (int i = 0; i < 4; i++)
        connect_one();
    fd = dup(0); /* the lowest free number */
    close(fd);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
    low = was;
    low.rlim_cur = (rlim_t)fd + 2; /* room for two more */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    run_for(60);
    ck_assert_int_eq(n_accepted, 2);
    ck_assert_uint_eq(worker.counters->conn_rejected, 1); /* it rests, and does not spin */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
    run_for(250); /* tries again by itself */
    ck_assert_int_eq(n_accepted, 4);
}
END_TEST

START_TEST(drain)
{
    connect_one();
    run_for(40);
    ck_assert_int_eq(n_accepted, 1);
    connect_one(); /* waits in the queue: served, not reset */
    rem_worker_drain(&worker);
    rem_worker_drain(&worker);
    ck_assert_int_eq(drains, 1);
    ck_assert_int_eq(n_accepted, 2);
    ck_assert(!run_for(60));
    ck_assert_int_eq(listener.fds[0], -1); /* given up, so that the master alone holds it */
    release_one();
    ck_assert(!run_for(20));
    release_one();
    ck_assert(run_for(1000));
    ck_assert(!worker.exiting);
}
END_TEST

START_TEST(drain_times_out)
{
    set.worker_shutdown_timeout_ms = 30;
    connect_one();
    run_for(40);
    ck_assert_int_eq(n_accepted, 1);
    rem_worker_drain(&worker);
    ck_assert(run_for(2000));
    ck_assert(worker.exiting);
    ck_assert_uint_eq(worker.connections, 1);
}
END_TEST

/* This worker has two clients, the other none: it waits a moment, and then takes what nobody took.
 */
START_TEST(yields_with_patience)
{
    unsigned other;

    set.worker_processes = 2;
    worker.connection_limit = MAX;
    ck_assert_int_eq(rem_region_claim_worker(&region, 1, 0, &other), REM_OK);
    rem_gauge(&worker.counters->conn_waiting, 2);
    connect_one();
    run_for(2);
    ck_assert_int_eq(n_accepted, 0);
    run_for(60);
    ck_assert_int_eq(n_accepted, 1);
    /* a fair share is taken at once */
    atomic_store(&rem_region_worker(&region, other)->conn_active, 2);
    connect_one();
    run_for(2);
    ck_assert_int_eq(n_accepted, 2);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("worker");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, limit);
    tcase_add_test(t, idle_clients_give_way);
    tcase_add_test(t, descriptors);
    tcase_add_test(t, drain);
    tcase_add_test(t, drain_times_out);
    tcase_add_test(t, yields_with_patience);
    return run_suite("worker", t);
}
