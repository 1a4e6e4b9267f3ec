/* SPDX-License-Identifier: Apache-2.0 */
/* check_fuzz.c - what a server answers to a health check.
 *
 * Input:      a byte of choices (enum choice), a byte that says where the answer is cut in two, the
 *             answer.
 * Checked:    each check has one verdict and ends; its connection is closed, or kept and idle.  */
#include "agent/check_priv.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum choice {
    CHOOSE_FIN = 1 << 0, /* behind the answer */
    CHOOSE_TWICE = 1 << 1,
};

enum { KEPT_MS = 60000 };

static struct world {
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_clock clock;
    struct event_base *base;
    struct rem_checks checks;
    struct rem_server_spec server;
    struct rem_check_spec spec;
    struct rem_check_test tests[3];
    struct rem_match_spec match;
    int listener;
} w = {.listener = -1};

static void make_match(void)
{
    static const struct rem_check_range good = {200, 399};
    static struct rem_arena arena;
    struct rem_regex *regex;

    rem_arena_init(&arena, NULL);
    REM_CHECK(rem_regex_new(&arena, REM_STR("o(k|.*x)"), 0, &regex, NULL) == REM_OK);
    w.tests[0] = (struct rem_check_test){
        .subject = REM_MATCH_STATUS, .how = REM_MATCH_RANGES, .ranges = &good, .range_count = 1};
    w.tests[1] = (struct rem_check_test){.subject = REM_MATCH_HEADER,
                                         .how = REM_MATCH_EXISTS,
                                         .negated = true,
                                         .name = REM_STR("X-Bad")};
    w.tests[2] = (struct rem_check_test){
        .subject = REM_MATCH_BODY, .how = REM_MATCH_REGEX, .value = REM_STR("ok"), .regex = regex};
    w.match = (struct rem_match_spec){
        .name = REM_STR("m"), .tests = w.tests, .count = REM_COUNT(w.tests), .body = true};
}

/* A server in the abstract namespace: no file is left behind. */
static void make_server(void)
{
    struct sockaddr_un *un = &w.server.addr.u.un;
    int n;

    rem_server_spec_init(&w.server);
    un->sun_family = AF_UNIX;
    n = snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "remora-fuzz-%d", (int)getpid());
    w.server.addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    w.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    REM_CHECK(bind(w.listener, &w.server.addr.u.sa, w.server.addr.len) == 0);
    REM_CHECK(listen(w.listener, 8) == 0);
}

static void start(void)
{
    static struct rem_log log = {.level = REM_LOG_STDERR};
    struct rem_upstream_spec upstream = {.name = REM_STR("u"),
                                         .zone = REM_STR("u"),
                                         .config_hash = 1,
                                         .servers = &w.server,
                                         .server_count = 1};
    struct rem_registry_conf conf = {.upstreams = &upstream, .upstream_count = 1, .generation = 1};

    make_server();
    make_match();
    w.spec = (struct rem_check_spec){.upstream = REM_STR("u"),
                                     .match = &w.match,
                                     .request = REM_STR("GET / HTTP/1.1\r\nHost: u\r\n\r\n"),
                                     .interval_ms = 3600000,
                                     .fails = 1,
                                     .passes = 1,
                                     .keepalive_ms = KEPT_MS,
                                     .connect_ms = 60000,
                                     .send_ms = 60000,
                                     .read_ms = 60000,
                                     .head_max = 1024,
                                     .log = &log};
    REM_CHECK(rem_region_create(&w.region, REM_REGION_MIN, 1) == REM_OK);
    REM_CHECK(rem_writer_new(&w.region, &w.writer, NULL) == REM_OK);
    REM_CHECK(rem_writer_reconcile(w.writer, &conf, NULL) == REM_OK);
    rem_clock_update(&w.clock);
    w.base = event_base_new();
    w.checks = (struct rem_checks){.writer = w.writer, .clock = &w.clock};
    REM_CHECK(rem_checks_start(&w.checks, w.base, &w.spec, 1, false) == REM_OK);
}

static void say(int fd, const char *p, size_t n)
{
    if (fd >= 0)
        (void)!send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    rem_check_on_ready(w.checks.io->epoll, 0, w.checks.io);
}

/* One check; *fd is the server's end of the connection. */
static void check(struct rem_check *check, int *fd, struct rem_str answer, size_t cut, bool fin)
{
    struct rem_shm_server_slot *slot = check->target->slot;
    uint32_t before = atomic_load(&slot->checks);
    int fresh;

    rem_check_wait(w.checks.io, check, w.clock.mono_ms);
    rem_check_on_timer(-1, 0, w.checks.io);
    fresh = accept(w.listener, NULL, NULL);
    if (fresh >= 0) {
        if (*fd >= 0)
            close(*fd);
        *fd = fresh;
    }
    say(*fd, answer.p, cut);
    say(*fd, answer.p + cut, answer.n - cut);
    if (fin && *fd >= 0) {
        shutdown(*fd, SHUT_WR);
        say(*fd, "", 0);
    }
    if (check->running)
        rem_check_expire(w.checks.io, check);
    rem_check_bury(w.checks.io);
    REM_CHECK(!check->running && atomic_load(&slot->checks) == before + 1);
    REM_CHECK(check->conn == NULL || check->conn->step == REM_CHECK_IDLE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rem_str answer;
    struct rem_check *one;
    int fd = -1;

    if (size < 2)
        return 0;
    if (w.base == NULL)
        start();
    one = &w.checks.upstreams[0].targets[0]->checks[0];
    answer = rem_str_make((const char *)data + 2, size - 2);
    check(one, &fd, answer, data[1] * answer.n / 256, data[0] & CHOOSE_FIN);
    if (data[0] & CHOOSE_TWICE)
        check(one, &fd, answer, answer.n, data[0] & CHOOSE_FIN);
    rem_check_close(w.checks.io, one);
    rem_check_bury(w.checks.io);
    REM_CHECK(w.checks.io->open == 0);
    if (fd >= 0)
        close(fd);
    return 0;
}
