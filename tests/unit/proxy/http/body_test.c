/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy/http/fixture.h"
#include "tests/unit/suite.h"

#include "proxy/http/body.h"

#include <dirent.h>
#include <sys/stat.h>

static struct seen {
    int ready;
    bool in_file, named;
    uint64_t size;
    char head[9];
    char path[256];
} seen;

/* The body must be a run of 'a' + i % 26. */
static void check_bytes(const char *p, size_t n, uint64_t from)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(p[i], (char)('a' + (from + i) % 26));
}

static void on_whole(struct rem_request *request)
{
    const struct rem_request_body *body = request->body;

    seen.ready++;
    ck_assert(body->complete);
    for (const struct rem_buf *buf = body->bufs; buf != NULL; buf = buf->next) {
        size_t n = rem_buf_size(buf);

        seen.in_file = buf->in_file;
        if (buf->in_file) {
            char *p = malloc(n);

            ck_assert_int_eq(pread(buf->fd, p, n, buf->file_pos), (ssize_t)n);
            check_bytes(p, n, seen.size);
            free(p);
        } else {
            check_bytes(buf->pos, n, seen.size);
        }
        seen.size += n;
    }
    ck_assert_uint_eq(seen.size, body->size);
    seen.named = body->temp_path.n != 0;
    if (seen.named)
        strcpy(seen.path, body->temp_path.p);
    rem_request_finalize(request,
                         rem_http_respond(request, 200, REM_STR("text/plain"), REM_STR("whole")));
}

static int read_whole(struct rem_request *request)
{
    return rem_body_read(request, on_whole);
}

static void on_run(struct rem_request *request)
{
    struct rem_str data;
    bool final = false;
    int rc;

    seen.ready++;
    while ((rc = rem_body_next(request, &data, &final)) == REM_OK && !final) {
        ck_assert_uint_gt(data.n, 0);
        check_bytes(data.p, data.n, seen.size);
        seen.size += data.n;
    }
    if (rc == REM_OK)
        rem_request_finalize(
            request, rem_http_respond(request, 200, REM_STR("text/plain"), REM_STR("whole")));
    else if (rc != REM_EAGAIN)
        rem_request_finalize(request, rem_body_error_status(rc));
}

static int read_streamed(struct rem_request *request)
{
    return rem_body_stream(request, on_run);
}

static int discard(struct rem_request *request)
{
    rem_body_discard(request);
    return rem_http_respond(request, 200, REM_STR("text/plain"), REM_STR("whole"));
}

static char dir[64];

static void start(int (*handler)(struct rem_request *request))
{
    fx_start();
    memset(&seen, 0, sizeof(seen));
    strcpy(dir, "/tmp/rem-body-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    fx.loc.client_body_temp_path = rem_str_from(dir);
    fx.loc.handler = handler;
}

static int files_in_dir(void)
{
    DIR *d = opendir(dir);
    int n = 0;

    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void end(void)
{
    fx_end();
    if (seen.named)
        unlink(seen.path);
    ck_assert_int_eq(rmdir(dir), 0); /* nothing was left */
}

static void send_body(size_t size, bool chunked)
{
    char *body = malloc(size + 1);
    char head[128];

    for (size_t i = 0; i < size; i++)
        body[i] = (char)('a' + i % 26);
    if (!chunked) {
        sprintf(head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", size);
        fx_send(head, strlen(head));
        fx_send(body, size);
    } else {
        sprintf(head, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        fx_send(head, strlen(head));
        for (size_t at = 0; at < size;) {
            size_t n = size - at < 3001 ? size - at : 3001;

            sprintf(head, "%zx\r\n", n);
            fx_send(head, strlen(head));
            fx_send(body + at, n);
            fx_send("\r\n", 2);
            at += n;
        }
        fx_send("0\r\n\r\n", 5);
    }
    free(body);
}

static const size_t sizes[] = {0, 1, 511, 512, 513, 1020, 5000, 16383, 16384, 16385, 40000, 300000};

START_TEST(test_whole)
{
    for (int chunked = 0; chunked <= 1; chunked++) {
        start(read_whole);
        fx_connect();
        send_body(sizes[_i], chunked);
        ck_assert(fx_expect("whole", 1));
        ck_assert_int_eq(seen.ready, 1);
        ck_assert_uint_eq(seen.size, sizes[_i]);
        ck_assert_int_eq(seen.in_file, sizes[_i] > 16384);
        ck_assert(!seen.named);
        ck_assert_int_eq(files_in_dir(), 0);
        memset(&seen, 0, sizeof(seen));
        send_body(3, false); /* the connection is good for another */
        ck_assert(fx_expect("whole", 2));
        end();
    }
}
END_TEST

START_TEST(test_streamed)
{
    for (int chunked = 0; chunked <= 1; chunked++) {
        start(read_streamed);
        fx_connect();
        send_body(sizes[_i], chunked);
        ck_assert(fx_expect("whole", 1));
        ck_assert_uint_eq(seen.size, sizes[_i]);
        end();
    }
}
END_TEST

START_TEST(test_discarded)
{
    for (int chunked = 0; chunked <= 1; chunked++) {
        start(discard);
        fx_connect();
        send_body(sizes[_i], chunked);
        ck_assert(fx_expect("whole", 1));
        send_body(3, false);
        ck_assert(fx_expect("whole", 2));
        end();
    }
}
END_TEST

START_TEST(test_in_file)
{
    start(read_whole);
    fx.loc.client_body_in_file_only = REM_IN_FILE_ON;
    fx_connect();
    send_body(5, false);
    ck_assert(fx_expect("whole", 1));
    ck_assert(seen.in_file && seen.named);
    ck_assert_int_eq(files_in_dir(), 1); /* kept */
    end();

    start(read_whole);
    fx.loc.client_body_in_file_only = REM_IN_FILE_CLEAN;
    fx_connect();
    send_body(5, false);
    ck_assert(fx_expect("whole", 1));
    ck_assert(seen.named);
    ck_assert_int_eq(files_in_dir(), 0); /* removed with the request */
    end();
}
END_TEST

START_TEST(test_no_directory)
{
    start(read_whole);
    fx.loc.client_body_temp_path = REM_STR("/nonexistent/body");
    fx_connect();
    send_body(20000, false);
    ck_assert(fx_expect(" 500 ", 1));
    end();
}
END_TEST

START_TEST(test_chunked_limit)
{
    start(read_whole);
    fx.loc.client_max_body_size = 1000;
    fx_connect();
    send_body(1000, true);
    ck_assert(fx_expect("whole", 1));
    send_body(1001, true);
    ck_assert(fx_expect(" 413 ", 1));
    end();

    start(read_streamed);
    fx.loc.client_max_body_size = 1000;
    fx_connect();
    send_body(1001, true);
    ck_assert(fx_expect(" 413 ", 1));
    end();
}
END_TEST

/* A client that closes in the middle of its body. */
START_TEST(test_cut)
{
    int (*handlers[])(struct rem_request *) = {read_whole, read_streamed};

    for (size_t i = 0; i < REM_COUNT(handlers); i++) {
        start(handlers[i]);
        fx_connect();
        fx_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", 50);
        fx_pump(3);
        shutdown(fx.client, SHUT_WR);
        ck_assert(fx_expect(NULL, 0));
        ck_assert_ptr_null(strstr(fx.got, "whole"));
        ck_assert_uint_eq(fx.counters.responses[3], 1); /* counted as 400 */
        end();
    }
}
END_TEST

START_TEST(test_error_statuses)
{
    ck_assert_int_eq(rem_body_error_status(REM_ETOOBIG), 413);
    ck_assert_int_eq(rem_body_error_status(REM_ETIMEOUT), 408);
    ck_assert_int_eq(rem_body_error_status(REM_EPROTO), 400);
    ck_assert_int_eq(rem_body_error_status(REM_ECLOSED), 400);
    ck_assert_int_eq(rem_body_error_status(REM_ENOMEM), 500);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("all");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_whole, 0, REM_COUNT(sizes));
    tcase_add_loop_test(t, test_streamed, 0, REM_COUNT(sizes));
    tcase_add_loop_test(t, test_discarded, 0, REM_COUNT(sizes));
    tcase_add_test(t, test_in_file);
    tcase_add_test(t, test_no_directory);
    tcase_add_test(t, test_chunked_limit);
    tcase_add_test(t, test_cut);
    tcase_add_test(t, test_error_statuses);
    return run_suite("body", t);
}
