/* SPDX-License-Identifier: Apache-2.0 */
/* listener_test.c - opening, taking over, undoing and closing of listening sockets. */
#include "proxy/net/listener.h"

#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/remora_listener_test.XXXXXX";

static void setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/remora_listener_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
    ck_assert_int_eq(rmdir(dir), 0); /* no socket is left */
}

static void init(struct rem_listener *l, struct rem_list *list, const char *text)
{
    char path[128];

    *l = (struct rem_listener){.text = rem_str_from(text)};
    if (strncmp(text, "unix:", 5) == 0) {
        snprintf(path, sizeof(path), "unix:%s/%s", dir, text + 5);
        text = path;
    }
    ck_assert_int_eq(rem_addr_parse_listen(rem_str_from(text), 0, &l->addr), REM_OK);
    rem_listen_options_init(&l->options);
    rem_list_append(list, &l->node);
}

/* A port that is free now. */
static int free_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    close(fd);
    return ntohs(in.sin_port);
}

static bool connects(const struct rem_listener *l)
{
    int fd = socket(rem_addr_family(&l->addr), SOCK_STREAM, 0);
    bool ok = connect(fd, &l->addr.u.sa, l->addr.len) == 0;

    close(fd);
    return ok;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(take_over)
{
    struct rem_list old, next;
    struct rem_listener tcp, gone, same, fresh;
    struct rem_err err;
    char a[32], b[32], path[128];
    int fd, gone_fd;

    rem_list_init(&old);
    rem_list_init(&next);
    snprintf(a, sizeof(a), "127.0.0.1:%d", free_port());
    init(&tcp, &old, a);
    init(&gone, &old, "unix:gone");
    ck_assert_int_eq(rem_listeners_open(&old, NULL, 2, &err), REM_OK);
    ck_assert(connects(&tcp) && connects(&gone));
    fd = tcp.fds[0];
    gone_fd = gone.fds[0];
    ck_assert((fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC));

    snprintf(b, sizeof(b), "127.0.0.1:%d", free_port());
    init(&same, &next, a);
    init(&fresh, &next, b);
    ck_assert_int_eq(rem_listeners_open(&next, &old, 2, &err), REM_OK);
    ck_assert_int_eq(same.fds[0], fd);
    rem_listeners_close(&old, &next);
    ck_assert(connects(&same) && connects(&fresh));
    ck_assert(!is_open(gone_fd));
    snprintf(path, sizeof(path), "%s/gone", dir);
    ck_assert_int_eq(access(path, F_OK), -1);
    rem_listeners_close(&next, NULL);
    ck_assert(!is_open(fd));
}
END_TEST

/* The second of two cannot be bound: the first is closed again, what was before stays. */
START_TEST(failure_changes_nothing)
{
    struct rem_list old, next, other;
    struct rem_listener kept, taken, again, first, second;
    struct rem_err err;
    char a[32], b[32];
    int fd;

    rem_list_init(&old);
    rem_list_init(&next);
    rem_list_init(&other);
    snprintf(a, sizeof(a), "127.0.0.1:%d", free_port());
    init(&kept, &old, a);
    ck_assert_int_eq(rem_listeners_open(&old, NULL, 1, &err), REM_OK);
    snprintf(b, sizeof(b), "127.0.0.1:%d", free_port());
    init(&taken, &other, b);
    ck_assert_int_eq(rem_listeners_open(&other, NULL, 1, &err), REM_OK);
    fd = kept.fds[0];

    init(&again, &next, a);
    init(&first, &next, "unix:first");
    init(&second, &next, b);
    ck_assert_int_eq(rem_listeners_open(&next, &old, 1, &err), REM_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "bind() to 127.0.0.1:"));
    ck_assert_ptr_nonnull(strstr(err.text, "failed (98: Address already in use)"));
    ck_assert_int_eq(kept.fds[0], fd);
    ck_assert(connects(&kept));
    ck_assert(!connects(&first));
    rem_listeners_close(&old, NULL);
    rem_listeners_close(&other, NULL);
}
END_TEST

START_TEST(reuseport_has_one_for_each)
{
    struct rem_list lists[4];
    struct rem_listener l[4];
    static const int workers[] = {3, 5, 2, 2};
    struct rem_err err;
    char a[32];

    snprintf(a, sizeof(a), "127.0.0.1:%d", free_port());
    for (int i = 0; i < 4; i++) {
        rem_list_init(&lists[i]);
        init(&l[i], &lists[i], a);
        l[i].options.reuseport = i < 3; /* at last without */
        ck_assert_int_eq(
            rem_listeners_open(&lists[i], i > 0 ? &lists[i - 1] : NULL, workers[i], &err), REM_OK);
        ck_assert_int_eq(l[i].fd_count, i < 3 ? workers[i] : 1);
        if (i > 0) {
            int kept = l[i - 1].fd_count < l[i].fd_count ? l[i - 1].fd_count : l[i].fd_count;

            for (int k = 0; k < kept; k++)
                ck_assert_int_eq(l[i].fds[k], l[i - 1].fds[k]);
            rem_listeners_close(&lists[i - 1], &lists[i]);
        }
        for (int k = 0; k < l[i].fd_count; k++)
            ck_assert(is_open(l[i].fds[k]));
        ck_assert(connects(&l[i]));
    }
    rem_listeners_close(&lists[3], NULL);
    ck_assert(!connects(&l[3]));
}
END_TEST

START_TEST(unix_paths)
{
    struct rem_list list, second;
    struct rem_listener l, rival;
    struct rem_err err;
    struct stat st;
    char path[128];
    int stale;

    snprintf(path, sizeof(path), "%s/s", dir);
    rem_list_init(&list);
    rem_list_init(&second);
    init(&l, &list, "unix:s");
    l.options.mode = 0660;

    /* a socket that a killed process left: its place is taken */
    stale = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(stale, &l.addr.u.sa, l.addr.len), 0);
    close(stale);
    ck_assert_int_eq(rem_listeners_open(&list, NULL, 1, &err), REM_OK);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0660);

    /* one that is served is left alone */
    init(&rival, &second, "unix:s");
    ck_assert_int_eq(rem_listeners_open(&second, NULL, 1, &err), REM_EIO);
    ck_assert(connects(&l));
    rem_listeners_close(&list, NULL);
    ck_assert_int_eq(access(path, F_OK), -1);

    /* and so is what is no socket */
    close(open(path, O_CREAT | O_WRONLY, 0600));
    rem_list_init(&second);
    init(&rival, &second, "unix:s");
    ck_assert_int_eq(rem_listeners_open(&second, NULL, 1, &err), REM_EIO);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("listener");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, take_over);
    tcase_add_test(t, failure_changes_nothing);
    tcase_add_test(t, reuseport_has_one_for_each);
    tcase_add_test(t, unix_paths);
    return run_suite("listener", t);
}
