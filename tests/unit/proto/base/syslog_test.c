/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/syslog.h"

#include "tests/unit/suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOON = 784111777 }; /* 1994-11-06 08:49:37 UTC */

static char got[70000];
static char own[REM_SYSLOG_HOST];

/* A receiver on a port of the kernel's choice (0) or on one that was free a moment ago. */
static int listen_udp(uint16_t *port)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

static const char *receive(int fd)
{
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

    ck_assert_int_ge(n, 0);
    got[n] = '\0';
    return got;
}

static void parse(struct rem_syslog *syslog, const char *text)
{
    struct rem_err err = {0};

    ck_assert_msg(rem_syslog_parse(rem_str_from(text), syslog, &err) == 0, "%s: %s", text,
                  err.text);
}

START_TEST(test_parameters)
{
    struct rem_syslog s;

    parse(&s, "server=127.0.0.1");
    ck_assert_uint_eq(rem_addr_port(&s.addr), 514);
    ck_assert_int_eq(s.facility, 23);
    ck_assert_int_eq((int)s.severity, REM_LOG_INFO);
    ck_assert(rem_str_is(s.tag, "remora") && !s.nohostname);
    parse(&s, "severity=alert,facility=user,tag=aB_9,nohostname,server=[::1]:5,nohostname");
    ck_assert_uint_eq(rem_addr_port(&s.addr), 5);
    ck_assert_int_eq(rem_addr_family(&s.addr), AF_INET6);
    ck_assert_int_eq(s.facility, 1);
    ck_assert_int_eq((int)s.severity, REM_LOG_ALERT);
    ck_assert(rem_str_is(s.tag, "aB_9") && s.nohostname);
    parse(&s, "server=unix:/tmp/log,tag=");
    ck_assert_int_eq(rem_addr_family(&s.addr), AF_UNIX);
    ck_assert_uint_eq(s.tag.n, 0);
}
END_TEST

START_TEST(test_wrong_parameters)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "unknown syslog parameter \"\""},
        {"facility=user", "no syslog server specified"},
        {"server=", "invalid syslog server \"\""},
        {"server=127.0.0.1:0", "invalid syslog server \"127.0.0.1:0\""},
        {"server=127.0.0.1:x", "invalid syslog server \"127.0.0.1:x\""},
        {"server=unix:", "invalid syslog server \"unix:\""},
        {"server=127.0.0.1,", "unknown syslog parameter \"\""},
        {"server=127.0.0.1,foo=1", "unknown syslog parameter \"foo=1\""},
        {"server=127.0.0.1,nohostname=1", "unknown syslog parameter \"nohostname=1\""},
        {"server=127.0.0.1,server=127.0.0.1", "duplicate syslog \"server\""},
        {"server=127.0.0.1,facility=us", "unknown syslog facility \"us\""},
        {"facility=user,facility=user", "duplicate syslog \"facility\""},
        {"severity=warning", "unknown syslog severity \"warning\""},
        {"severity=warn,severity=warn", "duplicate syslog \"severity\""},
        {"tag=a,tag=a", "duplicate syslog \"tag\""},
        {"tag=a-b", "syslog \"tag\" only allows alphanumeric characters and underscore"},
        {"tag=a23456789012345678901234567890123", "syslog tag length exceeds 32"},
    };

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_syslog s = {.fd = 42};
        struct rem_err err = {0};

        ck_assert_int_lt(rem_syslog_parse(rem_str_from(cases[i].text), &s, &err), 0);
        ck_assert_str_eq(err.text, cases[i].error);
        ck_assert_int_eq(s.fd, 42);
    }
}
END_TEST

START_TEST(test_messages)
{
    static const struct {
        const char *parameters;
        enum rem_log_level level;
        const char *before, *after; /* the host's name */
    } cases[] = {
        {"", REM_LOG_ERROR, "<187>Nov  6 08:49:37 ", " remora: text"},
        {",facility=user", REM_LOG_ERROR, "<11>Nov  6 08:49:37 ", " remora: text"},
        {",facility=kern", REM_LOG_EMERG, "<0>Nov  6 08:49:37 ", " remora: text"},
        {",facility=kern", REM_LOG_STDERR, "<0>Nov  6 08:49:37 ", " remora: text"},
        {",tag=SEETHIS", REM_LOG_DEBUG, "<191>Nov  6 08:49:37 ", " SEETHIS: text"},
        {",tag=", REM_LOG_INFO, "<190>Nov  6 08:49:37 ", " : text"},
        {",tag=a2345678901234567890123456789012", REM_LOG_ALERT, "<185>Nov  6 08:49:37 ",
         " a2345678901234567890123456789012: text"},
    };
    uint16_t port = 0;
    int fd = listen_udp(&port);

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        char text[200], want[300];
        struct rem_syslog s;

        snprintf(text, sizeof(text), "server=127.0.0.1:%u%s", port, cases[i].parameters);
        parse(&s, text);
        ck_assert_int_eq(rem_syslog_send(&s, cases[i].level, NOON, REM_STR("text")), 0);
        snprintf(want, sizeof(want), "%s%s%s", cases[i].before, own, cases[i].after);
        ck_assert_str_eq(receive(fd), want);
        rem_syslog_close(&s);

        strcat(text, ",nohostname");
        parse(&s, text);
        ck_assert_int_eq(rem_syslog_send(&s, cases[i].level, NOON + 3600 * 24 * 4, REM_STR("")), 0);
        ck_assert_ptr_nonnull(strstr(receive(fd), ">Nov 10 08:49:37 "));
        ck_assert_ptr_null(strstr(got, own));
        rem_syslog_close(&s);
    }
    close(fd);
}
END_TEST

/* Whatever befalls the receiver: when it is back, the next line arrives. */
START_TEST(test_refused)
{
    uint16_t port = 0;
    int fd = listen_udp(&port);
    struct rem_syslog s;
    char text[100];

    snprintf(text, sizeof(text), "server=127.0.0.1:%u", port);
    parse(&s, text);
    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON, REM_STR("one")), 0);
    receive(fd);
    close(fd);
    for (int i = 0; i < 3; i++) /* refused, and retried, but never an error to speak of */
        ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON, REM_STR("lost")), 0);
    fd = listen_udp(&port);
    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON, REM_STR("two")), 0);
    ck_assert_ptr_nonnull(strstr(receive(fd), ": two"));
    rem_syslog_close(&s);
    close(fd);
}
END_TEST

static int listen_unix(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    unlink(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    return fd;
}

START_TEST(test_unix)
{
    char dir[] = "/tmp/rem-syslog-XXXXXX", path[100], text[200];
    struct rem_syslog s;
    int fd, n = 0, rc;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/log", dir);
    snprintf(text, sizeof(text), "server=unix:%s", path);
    parse(&s, text);

    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON, REM_STR("lost")), REM_EIO);
    ck_assert_int_eq(errno, ENOENT);
    fd = listen_unix(path);
    /* the rest of the second is let go */
    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON, REM_STR("lost")), REM_EIO);
    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON + 1, REM_STR("one")), 0);
    ck_assert_ptr_nonnull(strstr(receive(fd), ": one"));

    /* made anew by a syslog daemon that was restarted */
    close(fd);
    fd = listen_unix(path);
    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON + 1, REM_STR("two")), 0);
    ck_assert_ptr_nonnull(strstr(receive(fd), ": two"));

    /* one that does not read: lines are lost, nobody waits */
    do
        rc = rem_syslog_send(&s, REM_LOG_INFO, NOON + 1, REM_STR("many"));
    while (rc == 0 && ++n < 1000000);
    ck_assert_int_eq(rc, REM_EAGAIN);
    receive(fd);
    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON + 1, REM_STR("again")), 0);
    rem_syslog_close(&s);
    close(fd);
    unlink(path);
    rmdir(dir);
}
END_TEST

START_TEST(test_long)
{
    static char big[70000];
    uint16_t port = 0;
    int fd = listen_udp(&port);
    struct rem_syslog s;
    char text[100];

    memset(big, 'x', sizeof(big));
    snprintf(text, sizeof(text), "server=127.0.0.1:%u,nohostname", port);
    parse(&s, text);
    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON, rem_str_make(big, 60000)), 0);
    ck_assert_uint_eq(strlen(receive(fd)), 60000 + strlen("<190>Nov  6 08:49:37 remora: "));
    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON, rem_str_make(big, 70000)), REM_EIO);
    ck_assert_int_eq(errno, EMSGSIZE);
    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON, REM_STR("after")), 0);
    ck_assert_ptr_nonnull(strstr(receive(fd), ": after"));
    rem_syslog_close(&s);
    close(fd);
}
END_TEST

/* A child sends from a socket of its own and leaves the number it inherited alone. */
START_TEST(test_fork)
{
    uint16_t port = 0;
    int fd = listen_udp(&port), parent, status;
    struct rem_syslog s;
    char text[100];
    pid_t pid;

    snprintf(text, sizeof(text), "server=127.0.0.1:%u", port);
    parse(&s, text);
    ck_assert_int_eq(rem_syslog_send(&s, REM_LOG_INFO, NOON, REM_STR("parent")), 0);
    parent = s.fd;
    pid = fork();
    if (pid == 0) {
        int rc = rem_syslog_send(&s, REM_LOG_INFO, NOON, REM_STR("child"));

        _exit(rc == 0 && s.fd != parent && send(parent, "", 0, 0) == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_ptr_nonnull(strstr(receive(fd), ": parent"));
    ck_assert_ptr_nonnull(strstr(receive(fd), ": child"));
    rem_syslog_close(&s);
    close(fd);
}
END_TEST

START_TEST(test_telling)
{
    struct rem_syslog s;

    parse(&s, "server=127.0.0.1");
    ck_assert(rem_syslog_may_tell(&s, NOON));
    ck_assert(!rem_syslog_may_tell(&s, NOON));
    ck_assert(!rem_syslog_may_tell(&s, NOON + 59));
    ck_assert(rem_syslog_may_tell(&s, NOON + 60));
    ck_assert(!rem_syslog_may_tell(&s, NOON + 61));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    setenv("TZ", "UTC0", 1);
    gethostname(own, sizeof(own) - 1);
    for (char *at = own; *at != '\0'; at++)
        *at = rem_lower(*at);
    tcase_add_test(tc, test_parameters);
    tcase_add_test(tc, test_wrong_parameters);
    tcase_add_test(tc, test_messages);
    tcase_add_test(tc, test_refused);
    tcase_add_test(tc, test_unix);
    tcase_add_test(tc, test_long);
    tcase_add_test(tc, test_fork);
    tcase_add_test(tc, test_telling);
    return run_suite("syslog", tc);
}
