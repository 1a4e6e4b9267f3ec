/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "tests/unit/suite.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000 };

/* An agent in a process of its own; we are its master and its only worker. */
struct world {
    struct rem_region region;
    struct rem_shm_worker *worker;
    unsigned slot;
    int master_fd;
    pid_t pid;
    char dir[64];
    struct rem_addr addr;
    char log_path[80];
};

static uint64_t now_ms(void)
{
    struct rem_clock clock = {0};

    rem_clock_update(&clock);
    return clock.mono_ms;
}

static void wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
}

static void run_agent(struct world *w, int listener, int fd)
{
    struct rem_admin_listener listeners[1] = {{.fd = listener, .addr = w->addr}};
    struct rem_log_file file = {.fd = -1, .path = w->log_path};
    struct rem_log_target target = {.file = &file, .level = REM_LOG_INFO};
    struct rem_clock clock = {0};
    struct rem_log log = {.targets = &target, .level = REM_LOG_INFO, .clock = &clock};
    struct rem_upstream_spec spec = {.name = REM_STR("a"), .zone = REM_STR("a"), .config_hash = 1};
    struct rem_handover handover = {
        .region = &w->region,
        .master_fd = fd,
        .listeners = listeners,
        .listener_count = 1,
        .write = true,
        .upstreams = &spec,
        .upstream_count = 1,
        .config_generation = 1,
        .log = &log,
        .log_files = &file,
        .clock = &clock,
        .master_pid = getppid(),
        .workers = 1,
        .version = "1",
        .build = "b",
        .last_reload_ok = true,
    };

    if (rem_log_file_open(&file) != 0)
        _exit(99);
    /* exit, not _exit: the sanitizers look for leaks there */
    exit(rem_agent_run(&handover));
}

static int open_listener(struct world *w)
{
    char text[96];
    int fd;

    snprintf(text, sizeof(text), "unix:%s/admin", w->dir);
    ck_assert_int_eq(rem_addr_parse(rem_str_from(text), 0, &w->addr), 0);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, &w->addr.u.sa, w->addr.len), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    return fd;
}

/* Starts the agent and waits for its first word, which must be `kind`. */
static void start_agent(struct world *w, enum rem_msg_kind kind)
{
    struct rem_msg msg;
    int fds[2];
    int listener = open_listener(w);

    ck_assert_int_eq(rem_msg_pair(fds), 0);
    w->pid = fork();
    if (w->pid == 0) {
        close(fds[0]);
        run_agent(w, listener, fds[1]);
    }
    close(fds[1]);
    close(listener);
    w->master_fd = fds[0];
    wait_readable(fds[0]);
    ck_assert_int_eq(rem_msg_recv(fds[0], &msg), 0);
    ck_assert_uint_eq(msg.kind, kind);
    ck_assert_int_eq(msg.text[0] != '\0', kind == REM_MSG_FAILED);
}

static void world_init(struct world *w)
{
    *w = (struct world){0};
    strcpy(w->dir, "/tmp/remora-agent-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(w->dir));
    snprintf(w->log_path, sizeof(w->log_path), "%s/log", w->dir);
    ck_assert_int_eq(rem_region_create(&w->region, REM_REGION_MIN, 1), 0);
    ck_assert_int_eq(rem_region_claim_worker(&w->region, 1, now_ms(), &w->slot), 0);
    rem_region_set_worker_pid(&w->region, w->slot, getpid());
    w->worker = rem_region_worker(&w->region, w->slot);
}

/* Waits for the agent's end and cleans up. */
static void world_fini(struct world *w, int code)
{
    char path[128];
    int status;

    ck_assert_int_eq(waitpid(w->pid, &status, 0), w->pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == code, "status %x", status);
    if (w->master_fd >= 0)
        close(w->master_fd);
    rem_region_close(&w->region);
    snprintf(path, sizeof(path), "%s/admin", w->dir);
    unlink(path);
    unlink(w->log_path);
    snprintf(path, sizeof(path), "%s/log.old", w->dir);
    unlink(path);
    ck_assert_int_eq(rmdir(w->dir), 0);
}

static void tell(struct world *w, enum rem_msg_kind kind)
{
    struct rem_msg msg = {.kind = kind, .slot = w->slot};

    ck_assert_int_eq(rem_msg_send(w->master_fd, &msg), 0);
}

static int dial(struct world *w)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(connect(fd, &w->addr.u.sa, w->addr.len), 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until `mark` has come (the last bytes of the answer). */
static void read_until(int fd, const char *mark, char *buf, size_t size)
{
    size_t n = 0;

    buf[0] = '\0';
    while (strstr(buf, mark) == NULL) {
        ssize_t got;
        wait_readable(fd);
        got = recv(fd, buf + n, size - 1 - n, 0);
        ck_assert_msg(got > 0, "closed after: %s", buf);
        n += (size_t)got;
        buf[n] = '\0';
    }
}

#define PUT_ONE                                                                                    \
    "PUT /v1/http/upstreams/a/servers HTTP/1.1\r\nHost: x\r\n"                                     \
    "Content-Type: application/json\r\nContent-Length: 27\r\n\r\n"                                 \
    "[{\"server\":\"127.0.0.1:80\"}]"

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

/* A worker that stays in its turn holds up the answer for 100 ms, and nobody else. */
/* A client that has begun to send its next request waits for an answer all the same: others that
 * come while there is no room must not have its place. */
START_TEST(test_who_waits_for_an_answer_keeps_his_place)
{
    struct world w;
    char buf[4096];
    int slow, others[REM_ADMIN_CONNECTIONS_MAX + 8];

    world_init(&w);
    start_agent(&w, REM_MSG_READY);
    atomic_store(&w.worker->seen, 1);
    slow = dial(&w);
    others[0] = dial(&w);
    send_text(slow, PUT_ONE "GET /livez HT");
    send_text(others[0], "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(others[0], "ok\n", buf, sizeof(buf)); /* so the PUT has been read */
    for (size_t i = 1; i < REM_COUNT(others); i++)
        others[i] = dial(&w);
    read_until(slow, "]}", buf, sizeof(buf));
    ck_assert_ptr_nonnull(strstr(buf, "\"applied\":false"));
    for (size_t i = 0; i < REM_COUNT(others); i++)
        close(others[i]);
    close(slow);
    tell(&w, REM_MSG_QUIT);
    world_fini(&w, 0);
}
END_TEST

START_TEST(test_applied_is_bounded)
{
    struct world w;
    char buf[4096];
    uint64_t begin;
    int slow, other;

    world_init(&w);
    start_agent(&w, REM_MSG_READY);
    atomic_store(&w.worker->seen, 1);
    slow = dial(&w);
    other = dial(&w);
    begin = now_ms();
    send_text(slow, PUT_ONE);
    send_text(other, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(other, "ok\n", buf, sizeof(buf));
    if (now_ms() - begin < REM_AGENT_APPLIED_MS / 2) /* unless this machine is very busy */
        ck_assert(!is_readable(slow));
    read_until(slow, "]}", buf, sizeof(buf));
    ck_assert_ptr_nonnull(strstr(buf, "\"applied\":false"));
    ck_assert_uint_ge(now_ms() - begin, REM_AGENT_APPLIED_MS - 1);
    close(slow);
    close(other);
    tell(&w, REM_MSG_QUIT);
    world_fini(&w, 0);
}
END_TEST

/* The answer comes as soon as the worker has passed. */
START_TEST(test_applied)
{
    struct world w;
    char buf[4096];
    int fd;

    world_init(&w);
    start_agent(&w, REM_MSG_READY);
    atomic_store(&w.worker->seen, 1);
    fd = dial(&w);
    send_text(fd, PUT_ONE);
    while (rem_region_revision(&w.region) < 2) /* 1 was the configuration */
        usleep(500);
    atomic_store(&w.worker->seen, 0);
    read_until(fd, "]}", buf, sizeof(buf));
    ck_assert_ptr_nonnull(strstr(buf, "\"applied\":true"));
    close(fd);
    tell(&w, REM_MSG_QUIT);
    world_fini(&w, 0);
}
END_TEST

/* Told to quit, it ends answers in progress, and idle connections at once. */
START_TEST(test_quit)
{
    struct world w;
    char buf[4096];
    int idle, busy;

    world_init(&w);
    start_agent(&w, REM_MSG_READY);
    idle = dial(&w);
    send_text(idle, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(idle, "ok\n", buf, sizeof(buf));
    atomic_store(&w.worker->seen, 1);
    busy = dial(&w);
    send_text(busy, PUT_ONE);
    while (rem_region_revision(&w.region) < 2)
        usleep(500);
    tell(&w, REM_MSG_QUIT);
    wait_readable(idle);
    ck_assert_int_eq(recv(idle, buf, sizeof(buf), 0), 0);
    read_until(busy, "]}", buf, sizeof(buf));
    ck_assert_ptr_nonnull(strstr(buf, "Connection: close"));
    close(idle);
    close(busy);
    world_fini(&w, 0);
}
END_TEST

START_TEST(test_end_of_the_master)
{
    struct world w;

    world_init(&w);
    start_agent(&w, REM_MSG_READY);
    close(w.master_fd);
    w.master_fd = -1;
    world_fini(&w, 0);
}
END_TEST

START_TEST(test_term)
{
    struct world w;
    int fd;

    world_init(&w);
    start_agent(&w, REM_MSG_READY);
    atomic_store(&w.worker->seen, 1);
    fd = dial(&w);
    send_text(fd, PUT_ONE);
    ck_assert_int_eq(kill(w.pid, SIGTERM), 0);
    world_fini(&w, 0);
    close(fd);
}
END_TEST

/* A damaged registry: the master is told why there is no agent. */
START_TEST(test_damaged_registry)
{
    struct world w;

    world_init(&w);
    atomic_store(&w.region.header->root, w.region.size - 64);
    start_agent(&w, REM_MSG_FAILED);
    world_fini(&w, 1);
}
END_TEST

/* A dead worker's slot is cleaned and can be claimed again. */
START_TEST(test_worker_gone)
{
    struct world w;
    uint64_t end = now_ms() + PATIENCE_MS;

    world_init(&w);
    start_agent(&w, REM_MSG_READY);
    atomic_store(&w.worker->seen, 1);
    rem_region_worker_gone(&w.region, w.slot);
    tell(&w, REM_MSG_WORKER_GONE);
    while (atomic_load(&w.worker->state) != REM_WORKER_FREE && now_ms() < end)
        usleep(500);
    ck_assert_uint_eq(atomic_load(&w.worker->state), REM_WORKER_FREE);
    tell(&w, REM_MSG_QUIT);
    world_fini(&w, 0);
}
END_TEST

START_TEST(test_reopen)
{
    struct world w;
    char old[96];
    uint64_t end = now_ms() + PATIENCE_MS;

    world_init(&w);
    start_agent(&w, REM_MSG_READY);
    snprintf(old, sizeof(old), "%s.old", w.log_path);
    ck_assert_int_eq(rename(w.log_path, old), 0);
    tell(&w, REM_MSG_REOPEN);
    while (access(w.log_path, F_OK) != 0 && now_ms() < end)
        usleep(500);
    ck_assert_int_eq(access(w.log_path, F_OK), 0);
    tell(&w, REM_MSG_QUIT);
    world_fini(&w, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_who_waits_for_an_answer_keeps_his_place);
    tcase_add_test(tc, test_applied_is_bounded);
    tcase_add_test(tc, test_applied);
    tcase_add_test(tc, test_quit);
    tcase_add_test(tc, test_end_of_the_master);
    tcase_add_test(tc, test_term);
    tcase_add_test(tc, test_damaged_registry);
    tcase_add_test(tc, test_worker_gone);
    tcase_add_test(tc, test_reopen);
    return run_suite("agent", tc);
}
