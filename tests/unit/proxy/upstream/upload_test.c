/* SPDX-License-Identifier: Apache-2.0 */
/* A large request goes out in pieces, however fast the server takes it. */
#include "proxy/net/conn.h"
#include "proxy/upstream/upstream.h"

#include "proxy/upstream/pool.h"

#include "tests/unit/suite.h"

enum { SIZE = 100 << 20, TURN_MAX = 4 << 20 };

static struct rem_loop loop;
static struct rem_upstream_conn peer;
static struct rem_upstream_exchange x;

static void on_wake(struct rem_post *post)
{
    (void)post; /* the test goes on by itself */
}

/* A server that takes all there is. */
static ssize_t take_file(struct rem_conn *conn, int fd, off_t from, size_t n)
{
    (void)fd;
    (void)from;
    conn->sent += n;
    return (ssize_t)n;
}

static ssize_t take_memory(struct rem_conn *conn, const struct iovec *iov, int count)
{
    size_t n = 0;

    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    return take_file(conn, -1, 0, n);
}

START_TEST(takes_turns)
{
    static const struct rem_conn_io io = {.writev = take_memory, .sendfile = take_file};
    struct rem_request request = {.content_length = SIZE};
    const struct rem_buf body = {.in_file = true, .fd = 1, .file_last = SIZE};
    int rc;

    ck_assert_int_eq(rem_loop_init(&loop, rem_log_stderr(REM_LOG_EMERG)), 0);
    rem_arena_init(&request.arena, NULL);
    peer.conn = (struct rem_conn){
        .magic = REM_CONN_MAGIC, .fd = 1, .io = &io, .loop = &loop, .writable = true};
    x = (struct rem_upstream_exchange){.magic = REM_UPSTREAM_MAGIC, .request = &request};
    x.peer = &peer;
    x.upload.head = REM_STR("POST / HTTP/1.1\r\n\r\n");
    x.upload.body = &body;
    rem_post_init(&x.wake, on_wake);
    ck_assert_int_eq(rem_upload_start(&x), 0);
    do {
        uint64_t before = peer.conn.sent;

        rem_post_cancel(&x.wake);
        rc = rem_upload_pump(&x);
        ck_assert_uint_le(peer.conn.sent - before, TURN_MAX);
        ck_assert_msg(rc == REM_OK || !rem_list_empty(&x.wake.node), "nobody goes on");
    } while (rc == REM_EAGAIN);
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_eq(peer.conn.sent, x.upload.head.n + SIZE);
    rem_arena_reset(&request.arena);
    rem_loop_fini(&loop);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("upload");

    tcase_add_test(tc, takes_turns);
    return run_suite("upload", tc);
}
