/* SPDX-License-Identifier: Apache-2.0 */
/* Checks on a loop that the test turns, against a server that the test plays. */
#include "agent/check_priv.h"

#include "tests/unit/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, SERVERS = 4, MANY = 500 };

#define REQUEST "GET / HTTP/1.1\r\nHost: u\r\n\r\n"

/* A registry, a loop, a server that listens, and what checks tell. */
struct world {
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_clock clock;
    struct event_base *base;
    struct rem_checks checks;
    struct rem_check_spec spec;
    int listener;
    uint16_t port;
    int changes;
    enum rem_shm_health last;
};

static struct world w;

static void on_change(void *data, const struct rem_check_change *change)
{
    ck_assert_ptr_eq(data, &w);
    w.changes++;
    w.last = change->to;
}

/* 127.0.0.1, 127.0.0.2 ... */
static void server_spec(struct rem_server_spec *server, uint32_t number)
{
    rem_server_spec_init(server);
    server->addr.len = sizeof(server->addr.u.in);
    server->addr.u.in = (struct sockaddr_in){.sin_family = AF_INET,
                                             .sin_port = htons(w.port),
                                             .sin_addr = {htonl(0x7f000001u + number)}};
}

/* Publishes servers first .. first + count - 1. */
static void put(uint32_t first, uint32_t count, uint32_t server_flags, uint32_t flags)
{
    static struct rem_server_spec servers[MANY];
    struct rem_upstream_spec spec = {.name = REM_STR("u"),
                                     .zone = REM_STR("u"),
                                     .config_hash = 1,
                                     .flags = flags,
                                     .servers = servers,
                                     .server_count = count};
    struct rem_change *change;
    struct rem_commit commit;

    for (uint32_t i = 0; i < count; i++) {
        server_spec(&servers[i], first + i);
        servers[i].flags = server_flags;
    }
    ck_assert_int_eq(rem_change_new(w.writer, &change), 0);
    ck_assert_int_eq(rem_change_put(change, &spec, NULL), 0);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), 0);
    rem_change_free(&change);
    while (rem_writer_reclaim(w.writer))
        ;
}

static struct rem_shm_server_slot *slot(uint32_t index)
{
    return rem_health_slot(w.writer, rem_set_server(rem_health_set(w.writer, REM_STR("u")), index));
}

static uint32_t health(uint32_t index)
{
    return rem_health_get(slot(index));
}

static void start(bool reloaded)
{
    rem_clock_update(&w.clock);
    w.checks = (struct rem_checks){
        .writer = w.writer, .clock = &w.clock, .on_change = on_change, .data = &w};
    ck_assert_int_eq(rem_checks_start(&w.checks, w.base, &w.spec, 1, reloaded), 0);
}

static void set_up(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t size = sizeof(any);

    w = (struct world){0};
    ck_assert_int_eq(rem_region_create(&w.region, 8 << 20, 1), 0);
    ck_assert_int_eq(rem_writer_new(&w.region, &w.writer, NULL), 0);
    w.base = event_base_new();
    w.listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(w.listener, (struct sockaddr *)(void *)&any, sizeof(any)), 0);
    ck_assert_int_eq(listen(w.listener, 1000), 0);
    ck_assert_int_eq(getsockname(w.listener, (struct sockaddr *)(void *)&any, &size), 0);
    w.port = ntohs(any.sin_port);
    w.spec = (struct rem_check_spec){.upstream = REM_STR("u"),
                                     .request = REM_STR(REQUEST),
                                     .interval_ms = 20,
                                     .fails = 1,
                                     .passes = 1,
                                     .connect_ms = 5000,
                                     .send_ms = 5000,
                                     .read_ms = 5000,
                                     .head_max = 4096,
                                     .log = rem_log_stderr(REM_LOG_EMERG)};
}

static void tear_down(void)
{
    rem_checks_stop(&w.checks);
    event_base_free(w.base);
    close(w.listener);
    rem_writer_free(&w.writer);
    rem_region_close(&w.region);
}

static void turn(void)
{
    ck_assert_int_ge(event_base_loop(w.base, EVLOOP_NONBLOCK), 0);
    rem_checks_sync(&w.checks);
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 1) == 1;
}

static void wait_readable(int fd)
{
    for (int i = 0; i < PATIENCE_MS && !readable(fd); i++)
        turn();
    ck_assert(readable(fd));
}

/* The connection of the next check. */
static int take(void)
{
    wait_readable(w.listener);
    return accept(w.listener, NULL, NULL);
}

/* The request must come, as it is configured. */
static void hear(int fd)
{
    char buf[256];
    ssize_t n;

    wait_readable(fd);
    n = recv(fd, buf, sizeof(buf), 0);
    ck_assert_int_eq(n, sizeof(REQUEST) - 1);
    ck_assert_mem_eq(buf, REQUEST, sizeof(REQUEST) - 1);
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void wait_checks(uint32_t index, uint32_t count)
{
    for (int i = 0; i < PATIENCE_MS && atomic_load(&slot(index)->checks) < count; i++) {
        turn();
        if (atomic_load(&slot(index)->checks) < count)
            usleep(1000);
    }
    ck_assert_uint_eq(atomic_load(&slot(index)->checks), count);
}

/* One check in full. */
static void serve(const char *answer)
{
    uint32_t before = atomic_load(&slot(0)->checks);
    int fd = take();

    hear(fd);
    say(fd, answer);
    close(fd);
    wait_checks(0, before + 1);
}

#define GOOD "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define BAD  "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"

/* '+' a check that passes, '-' one that fails; below each what the server is after it. */
static const struct {
    bool mandatory;
    uint32_t fails, passes;
    const char *results, *states; /* U up, D down, C checking */
    int changes;
} ways[] = {
    {false, 1, 1, "++-+-", "UUDUD", 3},   {false, 3, 2, "--+--+---+-++", "UUUUUUUUDDDDU", 2},
    {false, 2, 1, "----+-", "UDDDUU", 2}, {true, 1, 3, "+-+-+++", "UDDDDDU", 3},
    {true, 3, 2, "--+", "CCU", 1},        {true, 3, 2, "---++", "CCDDU", 2},
};

START_TEST(states)
{
    w.spec.mandatory = ways[_i].mandatory;
    w.spec.fails = ways[_i].fails;
    w.spec.passes = ways[_i].passes;
    put(0, 1, 0, ways[_i].mandatory ? REM_UPSTREAM_MANDATORY : 0);
    start(false);
    ck_assert_uint_eq(health(0), ways[_i].mandatory ? REM_HEALTH_CHECKING : REM_HEALTH_UP);
    for (size_t i = 0; ways[_i].results[i] != '\0'; i++) {
        char now;

        serve(ways[_i].results[i] == '+' ? GOOD : BAD);
        now = "?UCD"[health(0)];
        ck_assert_msg(now == ways[_i].states[i], "%zu: %c", i, now);
    }
    ck_assert_int_eq(w.changes, ways[_i].changes);
}
END_TEST

/* What a new agent finds in the slot decides where it begins. */
static const struct {
    enum rem_shm_health found;
    bool mandatory, persistent, reloaded;
    enum rem_shm_health begins;
} beginnings[] = {
    {REM_HEALTH_UNKNOWN, false, false, false, REM_HEALTH_UP},
    {REM_HEALTH_UP, false, false, true, REM_HEALTH_UP},
    {REM_HEALTH_DOWN, false, false, true, REM_HEALTH_DOWN},
    {REM_HEALTH_CHECKING, false, false, true, REM_HEALTH_UP}, /* no longer mandatory */
    {REM_HEALTH_UP, true, false, false, REM_HEALTH_UP},
    {REM_HEALTH_CHECKING, true, false, false, REM_HEALTH_CHECKING},
    {REM_HEALTH_UP, true, false, true, REM_HEALTH_CHECKING},
    {REM_HEALTH_UNKNOWN, true, false, true, REM_HEALTH_CHECKING},
    {REM_HEALTH_UP, true, true, true, REM_HEALTH_UP},
    {REM_HEALTH_CHECKING, true, true, true, REM_HEALTH_CHECKING},
    {REM_HEALTH_DOWN, true, true, true, REM_HEALTH_DOWN},
};

START_TEST(takes_over)
{
    put(0, 1, 0, 0);
    (void)rem_health_move(w.writer, slot(0), beginnings[_i].found, 1);
    w.spec.mandatory = beginnings[_i].mandatory;
    w.spec.persistent = beginnings[_i].persistent;
    start(beginnings[_i].reloaded);
    ck_assert_uint_eq(health(0), beginnings[_i].begins);
}
END_TEST

/* A set that changes while checks are under way: theirs go on where the server stays. */
START_TEST(changes_under_way)
{
    int fds[SERVERS];

    w.spec.interval_ms = 3600000;
    put(0, SERVERS, 0, 0);
    start(false);
    for (size_t i = 0; i < SERVERS; i++)
        fds[i] = take();
    for (size_t i = 0; i < SERVERS; i++)
        hear(fds[i]);
    put(2, 1, 0, 0);
    rem_checks_sync(&w.checks);
    for (size_t i = 0; i < SERVERS; i++) {
        if (i == 2)
            continue;
        char c;
        wait_readable(fds[i]);
        ck_assert_int_eq(recv(fds[i], &c, 1, 0), 0); /* closed */
    }
    say(fds[2], GOOD);
    wait_checks(0, 1);
    put(2, 1, REM_SERVER_DOWN, 0);
    rem_checks_sync(&w.checks);
    put(0, 0, 0, 0);
    rem_checks_sync(&w.checks);
    turn();
    ck_assert_int_eq(w.changes, 0);
    for (size_t i = 0; i < SERVERS; i++)
        close(fds[i]);
}
END_TEST

/* The upstream itself goes and comes back. */
START_TEST(upstream_gone)
{
    struct rem_change *change;
    struct rem_commit commit;

    put(0, 1, 0, 0);
    start(false);
    serve(GOOD);
    ck_assert_int_eq(rem_change_new(w.writer, &change), 0);
    ck_assert_int_eq(rem_change_remove(change, REM_STR("u")), 0);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), 0);
    rem_change_free(&change);
    while (rem_writer_reclaim(w.writer))
        ;
    rem_checks_sync(&w.checks);
    put(0, 1, 0, 0);
    rem_checks_sync(&w.checks);
    serve(BAD);
    ck_assert_uint_eq(health(0), REM_HEALTH_DOWN);
}
END_TEST

/* Sets in all orders, with servers that come and go: every server has its own check. */
START_TEST(many_sets)
{
    w.spec.interval_ms = 3600000;
    put(0, 10, REM_SERVER_DOWN, 0);
    start(false);
    for (uint32_t i = 0; i < 300; i++) {
        const struct rem_check_upstream *u = &w.checks.upstreams[0];
        uint32_t first = i * 7919 % 200, count = i * 104729 % 250;

        put(first, count, i % 3 == 0 ? REM_SERVER_DOWN : 0, 0);
        rem_checks_sync(&w.checks);
        ck_assert_uint_eq(u->target_count, count);
        ck_assert_uint_eq(w.checks.io->checks, count);
        ck_assert_uint_eq(w.checks.io->starts.n + w.checks.io->deadlines.n, i % 3 == 0 ? 0 : count);
        for (uint32_t k = 0; k < count; k++) {
            const struct rem_shm_server *server =
                rem_set_server(rem_health_set(w.writer, REM_STR("u")), k);
            ck_assert_ptr_eq(u->targets[k]->server, server);
            ck_assert_uint_eq(u->targets[k]->uid, server->uid);
            ck_assert_uint_eq(u->targets[k]->slot->uid, server->uid);
        }
    }
}
END_TEST

/* The heap gives what is due first, whatever was put in and taken out. */
START_TEST(heap_order)
{
    struct rem_checks_io *io;
    struct rem_check *checks;
    uint64_t last = 0;
    uint32_t seed = 1;

    put(0, 1, REM_SERVER_DOWN, 0);
    start(false);
    io = w.checks.io;
    ck_assert_int_eq(rem_check_reserve(io, MANY), 0);
    checks = calloc(MANY, sizeof(*checks));
    for (size_t i = 0; i < MANY; i++)
        checks[i] = (struct rem_check){.spec = &w.spec, .at = REM_CHECK_NOWHERE};
    for (size_t i = 0; i < 20 * MANY; i++) {
        struct rem_check *check = &checks[(seed = seed * 1103515245u + 12345u) / 65536 % MANY];

        if (seed & 1u << 20)
            rem_check_unwait(io, check);
        else
            rem_check_wait(io, check, seed / 7 % 1000);
    }
    while (io->starts.n != 0) {
        struct rem_check *first = io->starts.v[0];

        ck_assert_uint_ge(first->due_ms, last);
        last = first->due_ms;
        rem_check_unwait(io, first);
        ck_assert_uint_eq(first->at, REM_CHECK_NOWHERE);
    }
    for (size_t i = 0; i < MANY; i++)
        ck_assert_uint_eq(checks[i].at, REM_CHECK_NOWHERE);
    free(checks);
}
END_TEST

/* However many have a place, none is left without: no gap is much larger than the others. */
START_TEST(phases)
{
    static const uint32_t counts[] = {1, 2, 3, 7, 10, 100, 499};
    enum { INTERVAL = 1000000 };

    put(0, 1, REM_SERVER_DOWN, 0);
    start(false);
    for (size_t k = 0; k < REM_COUNT(counts); k++) {
        bool taken[MANY] = {false};
        size_t empty = 0;

        for (uint32_t i = 0; i < counts[k]; i++) {
            uint64_t phase = rem_check_phase(w.checks.io, INTERVAL);
            ck_assert_uint_lt(phase, INTERVAL);
            taken[phase * counts[k] / INTERVAL] = true;
        }
        for (size_t i = 0; i < counts[k]; i++)
            empty += !taken[i];
        ck_assert_msg(empty <= counts[k] / 3, "%zu of %u", empty, counts[k]);
    }
}
END_TEST

/* Turns that were missed are left out, and the place in the interval stays. */
START_TEST(turns_missed)
{
    struct rem_check *check;
    uint64_t turn_ms, now;

    w.spec.interval_ms = 1000;
    put(0, 1, 0, 0);
    start(false);
    check = &w.checks.upstreams[0].targets[0]->checks[0];
    now = w.clock.mono_ms;
    turn_ms = check->turn_ms = now - 2500;
    rem_check_end(w.checks.io, check);
    ck_assert_uint_eq(check->turn_ms, turn_ms + 3000);
    ck_assert_uint_eq(check->due_ms, check->turn_ms);
    check->turn_ms = now;
    rem_check_end(w.checks.io, check);
    ck_assert_uint_eq(check->turn_ms, now + 1000);
    w.spec.jitter_ms = 300;
    for (int i = 0; i < 50; i++) {
        check->turn_ms = now;
        rem_check_end(w.checks.io, check);
        ck_assert_uint_ge(check->due_ms, now + 1000);
        ck_assert_uint_le(check->due_ms, now + 1300);
    }
}
END_TEST

/* A kept connection is used again, until it is too old; one that ended is replaced unseen. */
START_TEST(kept)
{
    int fd, other;

    w.spec.keepalive_ms = 3600000;
    put(0, 1, 0, 0);
    start(false);
    fd = take();
    for (uint32_t i = 1; i <= 5; i++) {
        hear(fd);
        say(fd, i % 2 ? GOOD : "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        wait_checks(0, i);
    }
    ck_assert(!readable(w.listener));
    hear(fd);
    close(fd); /* instead of an answer */
    other = take();
    hear(other);
    say(other, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nxx"); /* too much: not kept */
    wait_checks(0, 6);
    close(other);
    other = take();
    hear(other);
    say(other, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    wait_checks(0, 7);
    close(other);
    w.spec.keepalive_ms = 1;
    other = take();
    hear(other);
    usleep(2000);
    say(other, GOOD);
    wait_checks(0, 8);
    fd = take();
    ck_assert_uint_eq(atomic_load(&slot(0)->check_fails), 0);
    close(fd);
    close(other);
}
END_TEST

/* What is under way when everything ends leaves nothing behind (the sanitizers look). */
START_TEST(stop_under_way)
{
    int fds[SERVERS];

    put(0, SERVERS, 0, 0);
    start(false);
    for (size_t i = 0; i < SERVERS; i++)
        fds[i] = take();
    hear(fds[0]);
    say(fds[0], "HTTP/1.1 200 OK\r\nTransfer-Enc");
    for (int i = 0; i < 20; i++)
        turn();
    rem_checks_stop(&w.checks);
    rem_checks_stop(&w.checks);
    ck_assert_uint_eq(atomic_load(&slot(0)->checks), 0);
    for (size_t i = 0; i < SERVERS; i++)
        close(fds[i]);
}
END_TEST

/* Without checks, states that earlier ones left are forgotten, and nothing is set up. */
START_TEST(none)
{
    put(0, 2, 0, 0);
    (void)rem_health_move(w.writer, slot(0), REM_HEALTH_DOWN, 1);
    (void)rem_health_move(w.writer, slot(1), REM_HEALTH_CHECKING, 1);
    rem_clock_update(&w.clock);
    w.checks = (struct rem_checks){.writer = w.writer, .clock = &w.clock};
    ck_assert_int_eq(rem_checks_start(&w.checks, w.base, NULL, 0, true), 0);
    ck_assert_uint_eq(health(0), REM_HEALTH_UNKNOWN);
    ck_assert_uint_eq(health(1), REM_HEALTH_UNKNOWN);
    ck_assert_ptr_null(w.checks.io);
    rem_checks_sync(&w.checks);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("check");

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, states, 0, REM_COUNT(ways));
    tcase_add_loop_test(tests, takes_over, 0, REM_COUNT(beginnings));
    tcase_add_test(tests, changes_under_way);
    tcase_add_test(tests, upstream_gone);
    tcase_add_test(tests, many_sets);
    tcase_add_test(tests, heap_order);
    tcase_add_test(tests, phases);
    tcase_add_test(tests, turns_missed);
    tcase_add_test(tests, kept);
    tcase_add_test(tests, stop_under_way);
    tcase_add_test(tests, none);
    return run_suite("check", tests);
}
