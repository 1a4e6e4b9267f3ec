/* SPDX-License-Identifier: Apache-2.0 */
/* conn_test.c - connections over real socket pairs, and the turns of the loop that carries them. */
#include "proxy/net/conn.h"

#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    struct rem_conn conn;
    int other; /* the far end */
    int events;
    struct rem_post post;
};

static struct rem_loop loop;
static int turns;

static void on_event(struct rem_conn *conn)
{
    REM_CONTAINER(conn, struct peer, conn)->events++;
}

/* Ends rem_loop_run after one turn. */
static void on_turn_end(void *data)
{
    (void)data;
    turns++;
    rem_loop_stop(&loop);
}

static void on_guard(struct rem_timer *timer)
{
    (void)timer;
}

/* One turn; a timer sees to it that it ends. */
static void turn(void)
{
    struct rem_timer guard = {0};

    rem_timer_init(&guard, on_guard);
    rem_timer_set(&loop.timers, &guard, 30);
    loop.stopping = false;
    rem_loop_run(&loop);
    rem_timer_cancel(&loop.timers, &guard);
}

static void setup(void)
{
    ck_assert_int_eq(rem_loop_init(&loop, rem_log_stderr(REM_LOG_ERROR)), REM_OK);
    loop.on_turn_end = on_turn_end;
    turns = 0;
}

static void teardown(void)
{
    rem_loop_fini(&loop);
}

static void open_peer(struct peer *p)
{
    int fds[2];

    *p = (struct peer){.other = -1};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    p->other = fds[1];
    ck_assert_int_eq(rem_conn_open(&p->conn, &loop, fds[0], true, on_event), REM_OK);
}

static void close_peer(struct peer *p)
{
    rem_conn_close(&p->conn);
    rem_conn_close(&p->conn); /* twice does no harm */
    if (p->other >= 0)
        close(p->other);
}

START_TEST(short_read_means_drained)
{
    struct peer p;
    char buf[64];

    open_peer(&p);
    ck_assert(!p.conn.readable);
    ck_assert(p.conn.writable);
    turn();
    ck_assert_int_eq(p.events, 0); /* being writable is no news */
    ck_assert_int_eq(write(p.other, "hello", 5), 5);
    turn();
    ck_assert_int_eq(p.events, 1);
    ck_assert(p.conn.readable);
    ck_assert_int_eq(rem_conn_recv(&p.conn, buf, sizeof(buf)), 5);
    ck_assert(!p.conn.readable);
    ck_assert_int_eq(write(p.other, "0123456789", 10), 10);
    turn();
    ck_assert_int_eq(rem_conn_recv(&p.conn, buf, 4), 4); /* a full read: there may be more */
    ck_assert(p.conn.readable);
    ck_assert_int_eq(rem_conn_recv(&p.conn, buf, 6), 6);
    ck_assert(p.conn.readable);
    ck_assert_int_eq(rem_conn_recv(&p.conn, buf, 6), REM_EAGAIN);
    ck_assert(!p.conn.readable);
    ck_assert_uint_eq(p.conn.received, 15);
    close_peer(&p);
}
END_TEST

START_TEST(data_before_the_end_is_read)
{
    struct peer p;
    char buf[64];

    open_peer(&p);
    ck_assert_int_eq(write(p.other, "bye", 3), 3);
    close(p.other);
    p.other = -1;
    turn();
    ck_assert(p.conn.hangup);
    ck_assert_int_eq(rem_conn_recv(&p.conn, buf, sizeof(buf)), 3);
    ck_assert(p.conn.readable); /* hangup: a short read is not the end of it */
    ck_assert_int_eq(rem_conn_recv(&p.conn, buf, sizeof(buf)), REM_ECLOSED);
    close_peer(&p);
}
END_TEST

START_TEST(writing_to_a_closed_peer_is_an_error_not_a_signal)
{
    struct peer p;
    struct rem_buf buf = {0};
    struct rem_buf *list = &buf;
    char text[] = "x";

    open_peer(&p);
    close(p.other);
    p.other = -1;
    buf.pos = text;
    buf.last = text + 1;
    ck_assert_int_eq(rem_conn_write_bufs(&p.conn, &list, 0), REM_ECLOSED);
    ck_assert(p.conn.error);
    ck_assert_ptr_eq(list, &buf);
    close_peer(&p);
}
END_TEST

static int done_count;

static void on_done(struct rem_buf *buf)
{
    (void)buf;
    done_count++;
}

static size_t read_all(int fd, char *to, size_t size)
{
    size_t n = 0;
    ssize_t got;

    while (n < size && (got = read(fd, to + n, size - n)) > 0)
        n += (size_t)got;
    return n;
}

/* More bufs than one call takes, empty ones and a file among them, by steps of `limit`. */
START_TEST(bufs_arrive_whole_and_in_order)
{
    static const size_t limits[] = {0, 1, 7, 100, 1 << 20};
    enum { N = 150 };
    struct peer p;
    struct rem_buf bufs[N];
    char text[N][8];
    char expect[N * 8 + 64], got[N * 8 + 64];
    char path[] = "/tmp/remora_conn_test.XXXXXX";
    int fd = mkstemp(path);
    struct rem_buf *list = bufs;
    size_t n = 0, got_n = 0;
    int rc;

    ck_assert_int_ge(fd, 0);
    unlink(path);
    ck_assert_int_eq(write(fd, "..file bytes..", 14), 14);
    open_peer(&p);
    done_count = 0;
    for (int i = 0; i < N; i++) {
        int len = i % 5 == 3 ? 0 : snprintf(text[i], sizeof(text[i]), "<%d>", i);

        bufs[i] = (struct rem_buf){.next = i + 1 < N ? &bufs[i + 1] : NULL,
                                   .pos = text[i],
                                   .last = text[i] + len,
                                   .done = on_done};
        if (i == 70) {
            bufs[i].in_file = true;
            bufs[i].fd = fd;
            bufs[i].file_pos = 2;
            bufs[i].file_last = 12;
            memcpy(expect + n, "file bytes", 10);
            n += 10;
        } else {
            memcpy(expect + n, text[i], (size_t)len);
            n += (size_t)len;
        }
    }
    do {
        rc = rem_conn_write_bufs(&p.conn, &list, limits[_i]);
        ck_assert(rc == REM_OK || (rc == REM_EAGAIN && limits[_i] != 0));
        got_n += read_all(p.other, got + got_n, sizeof(got) - got_n);
        if (!p.conn.writable) /* many tiny writes fill a socket by their number */
            turn();
    } while (rc == REM_EAGAIN);
    ck_assert_ptr_null(list);
    ck_assert_int_eq(done_count, N);
    ck_assert_uint_eq(p.conn.sent, n);
    ck_assert_uint_eq(got_n, n);
    ck_assert_mem_eq(got, expect, n);
    close(fd);
    close_peer(&p);
}
END_TEST

START_TEST(a_full_socket_goes_on_later)
{
    enum { SIZE = 4 << 20 };
    struct peer p;
    char *big = malloc(SIZE), *got = malloc(SIZE);
    struct rem_buf buf = {.pos = big, .last = big + SIZE};
    struct rem_buf *list = &buf;
    size_t n = 0;

    for (size_t i = 0; i < SIZE; i++)
        big[i] = (char)(i * 31 >> 8);
    open_peer(&p);
    ck_assert_int_eq(rem_conn_write_bufs(&p.conn, &list, 0), REM_EAGAIN);
    ck_assert(!p.conn.writable);
    for (int i = 0; i < 100000 && list != NULL; i++) {
        n += read_all(p.other, got + n, SIZE - n);
        turn();
        if (p.conn.writable)
            (void)!rem_conn_write_bufs(&p.conn, &list, 0);
    }
    n += read_all(p.other, got + n, SIZE - n);
    ck_assert_uint_eq(n, SIZE);
    ck_assert_mem_eq(got, big, SIZE);
    free(big);
    free(got);
    close_peer(&p);
}
END_TEST

START_TEST(a_file_that_shrank_is_an_error)
{
    struct peer p;
    char path[] = "/tmp/remora_conn_test.XXXXXX";
    int fd = mkstemp(path);
    struct rem_buf buf = {.in_file = true, .fd = fd, .file_last = 100};
    struct rem_buf *list = &buf;

    unlink(path);
    ck_assert_int_eq(write(fd, "0123456789", 10), 10);
    open_peer(&p);
    ck_assert_int_eq(rem_conn_write_bufs(&p.conn, &list, 0), REM_EIO);
    ck_assert_int_eq(buf.file_pos, 10);
    close(fd);
    close_peer(&p);
}
END_TEST

/* A descriptor's number is used again in the turn in which it was closed: the epoll changes that
 * were gathered for the old one must not hit the new one. */
START_TEST(a_reused_descriptor_is_registered)
{
    struct peer a, b;
    char buf[8];
    int fd;

    open_peer(&a);
    turn();
    fd = a.conn.fd;
    rem_conn_close(&a.conn);
    open_peer(&b);
    ck_assert_int_eq(b.conn.fd, fd);
    ck_assert_int_eq(write(b.other, "abc", 3), 3);
    turn();
    ck_assert_int_eq(a.events, 0);
    ck_assert(b.conn.readable);
    ck_assert_int_eq(rem_conn_recv(&b.conn, buf, sizeof(buf)), 3);
    close_peer(&b);
    close(a.other);
}
END_TEST

START_TEST(closing_cancels_the_timer)
{
    struct peer p;

    open_peer(&p);
    rem_timer_init(&p.conn.timer, on_guard);
    rem_timer_set(&loop.timers, &p.conn.timer, 1000);
    rem_conn_close(&p.conn);
    ck_assert(!rem_timer_armed(&p.conn.timer));
    ck_assert_int_eq(rem_conn_write_bufs(&p.conn, &(struct rem_buf *){NULL}, 0), REM_ECLOSED);
    close(p.other);
}
END_TEST

static char order[16];
static size_t order_n;
static struct rem_post second, deferred;

static void on_second(struct rem_post *post)
{
    (void)post;
    order[order_n++] = 's';
}

static void on_first(struct rem_post *post)
{
    order[order_n++] = 'f';
    rem_loop_post(&loop, &second); /* in the next turn */
    rem_loop_post(&loop, &second); /* once only */
    (void)post;
}

static void on_deferred(struct rem_post *post)
{
    (void)post;
    order[order_n++] = 'd';
}

static void note_turn(void *data)
{
    order[order_n++] = '|';
    on_turn_end(data);
}

START_TEST(a_turn_has_its_order)
{
    struct rem_post first;

    order_n = 0;
    loop.on_turn_end = note_turn;
    rem_post_init(&first, on_first);
    rem_post_init(&second, on_second);
    rem_post_init(&deferred, on_deferred);
    rem_loop_defer(&loop, &deferred);
    rem_loop_post(&loop, &first);
    turn();
    turn();
    ck_assert_int_eq((int)order_n, 5);
    ck_assert_mem_eq(order, "fd|s|", 5);
    rem_loop_post(&loop, &first);
    rem_post_cancel(&first);
    turn();
    ck_assert_mem_eq(order, "fd|s||", 6);
}
END_TEST

START_TEST(an_idle_loop_arms_nothing)
{
    struct rem_timer timer = {0};

    rem_timer_init(&timer, on_guard);
    turn(); /* leaves libevent's timeout armed for the guard at most */
    ck_assert_int_eq(rem_timers_next(&loop.timers, loop.clock.mono_ms), -1);
    rem_timer_set(&loop.timers, &timer, 4);
    loop.stopping = false;
    rem_loop_run(&loop);
    while (rem_timer_armed(&timer)) {
        loop.stopping = false;
        rem_loop_run(&loop);
    }
    ck_assert_int_eq(rem_timers_next(&loop.timers, loop.clock.mono_ms), -1);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("conn");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, short_read_means_drained);
    tcase_add_test(t, data_before_the_end_is_read);
    tcase_add_test(t, writing_to_a_closed_peer_is_an_error_not_a_signal);
    tcase_add_loop_test(t, bufs_arrive_whole_and_in_order, 0, 5);
    tcase_add_test(t, a_full_socket_goes_on_later);
    tcase_add_test(t, a_file_that_shrank_is_an_error);
    tcase_add_test(t, a_reused_descriptor_is_registered);
    tcase_add_test(t, closing_cancels_the_timer);
    tcase_add_test(t, a_turn_has_its_order);
    tcase_add_test(t, an_idle_loop_arms_nothing);
    return run_suite("conn", t);
}
