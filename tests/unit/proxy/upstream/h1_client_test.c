/* SPDX-License-Identifier: Apache-2.0 */
/* Responses read in pieces of every size: the same body comes out, and the same verdict. */
#include "proxy/upstream/h1_client.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

static struct rem_h1_limits limits;
static struct rem_request request;
static struct rem_upstream_exchange x;
static struct rem_h1_client client;

static void setup(void)
{
    limits = rem_h1_limits_default;
    limits.max_head = 4096;
    memset(&request, 0, sizeof(request));
    rem_arena_init(&request.arena, NULL);
    memset(&x, 0, sizeof(x));
    x.request = &request;
    x.relay.in = malloc(sizeof(struct rem_relay_block) + 65536);
    ck_assert_ptr_nonnull(x.relay.in);
    memset(x.relay.in, 0, sizeof(struct rem_relay_block));
}

static void teardown(void)
{
    free(x.relay.in);
    rem_arena_reset(&request.arena);
}

static const struct response {
    const char *raw;
    const char *body; /* NULL: refused */
    int status;
    enum rem_h1_asked asked;
    bool ends_by_close;
    bool reusable;
    bool surplus;
} responses[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, REM_H1_ASKED_OTHER, false,
     true, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200, REM_H1_ASKED_OTHER, false, true,
     false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloX", "hello", 200, REM_H1_ASKED_OTHER, false,
     true, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n \r\n5;a=b\r\nworld"
     "\r\n0\r\n\r\n",
     "hello world", 200, REM_H1_ASKED_OTHER, false, true, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", 200, REM_H1_ASKED_OTHER,
     false, true, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", "ok", 200,
     REM_H1_ASKED_OTHER, false, true, false},
    {"HTTP/1.1 200 OK\r\n\r\nto the end", "to the end", 200, REM_H1_ASKED_OTHER, true, false,
     false},
    {"HTTP/1.0 200 OK\r\n\r\nold", "old", 200, REM_H1_ASKED_OTHER, true, false, false},
    {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "x", 200,
     REM_H1_ASKED_OTHER, false, false, false},
    {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, REM_H1_ASKED_OTHER, false, true, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "", 200, REM_H1_ASKED_HEAD, false, true,
     false},
    {"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok",
     "ok", 201, REM_H1_ASKED_OTHER, false, true, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX", NULL, 200,
     REM_H1_ASKED_OTHER, false, true, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", NULL, 200, REM_H1_ASKED_OTHER,
     false, true, false},
    {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", NULL, 101,
     REM_H1_ASKED_OTHER, false, false, false},
    {"garbage\r\n\r\n", NULL, 0, REM_H1_ASKED_OTHER, false, false, false},
};

/* What was read, taken in pieces of `step` bytes.  Returns: REM_OK, or why it was refused. */
static int take(const struct response *r, size_t step, char *body, size_t *n, bool *surplus)
{
    size_t total = strlen(r->raw), fed = 0;
    bool in_body = false;
    int rc = REM_EAGAIN;

    *n = 0;
    *surplus = false;
    x.relay.pos = x.relay.in->last = x.relay.in->data;
    x.relay.input_done = false;
    rem_h1_client_init(&client, &x, &limits, r->asked, false);
    while (fed < total) {
        size_t some = total - fed < step ? total - fed : step;
        memcpy(x.relay.in->last, r->raw + fed, some);
        x.relay.in->last += some;
        fed += some;
        if (!in_body) {
            rc = rem_h1_client_head(&client, &x);
            if (rc != REM_OK && rc != REM_EAGAIN)
                return rc;
            in_body = rc == REM_OK;
        }
        while (in_body && !x.relay.input_done && x.relay.pos != x.relay.in->last) {
            char *at = x.relay.pos;
            size_t used = 0, kept = 0;
            rc =
                rem_h1_client_body(&client, &x, &at, (size_t)(x.relay.in->last - at), &used, &kept);
            memcpy(body + *n, at, kept);
            *n += kept;
            x.relay.pos += used;
            if (rc != REM_OK)
                return rc;
        }
    }
    *surplus = x.relay.pos != x.relay.in->last;
    if (!x.relay.input_done)
        return rem_h1_client_end(&client);
    return REM_OK;
}

START_TEST(pieces)
{
    const struct response *r = &responses[_i];

    for (size_t step = 1; step <= strlen(r->raw); step++) {
        char body[256];
        size_t n;
        bool surplus;
        int rc = take(r, step, body, &n, &surplus);

        if (r->body == NULL) {
            ck_assert_msg(rc != REM_OK, "case %d, step %zu was taken", _i, step);
            continue;
        }
        ck_assert_msg(rc == REM_OK, "case %d, step %zu: %s", _i, step, rem_err_name(rc));
        ck_assert_int_eq(x.status, r->status);
        ck_assert_uint_eq(n, strlen(r->body));
        ck_assert_mem_eq(body, r->body, n);
        ck_assert_int_eq(x.relay.input_done, !r->ends_by_close);
        ck_assert_int_eq(x.reusable, r->reusable);
        ck_assert_int_eq(surplus, r->surplus);
    }
}
END_TEST

/* Large chunks stay where they were read to; with no buf to spare all becomes one run. */
START_TEST(runs)
{
    enum { SIZE = 6000 };
    char *at = x.relay.in->data;
    size_t used = 0, kept = 0, total = 0;
    int n = 0;

    rem_h1_client_init(&client, &x, &limits, REM_H1_ASKED_OTHER, false);
    client.framing = REM_FRAMING_CHUNKED;
    rem_chunk_decoder_init(&client.chunks, &limits, &request.arena);
    x.relay.in->n_bufs = (uint8_t)_i;
    for (int i = 0; i < 4; i++) {
        n += sprintf(at + n, "%x\r\n", SIZE);
        memset(at + n, 'a' + i, SIZE);
        n += SIZE;
        n += sprintf(at + n, "\r\n");
    }
    n += sprintf(at + n, "0\r\n\r\n");
    for (int left = n, turn = 0; left > 0; turn++) {
        char *run = at;
        ck_assert_int_eq(rem_h1_client_body(&client, &x, &run, (size_t)left, &used, &kept), REM_OK);
        if (_i == 0 && kept != 0) {
            ck_assert_uint_eq(kept, SIZE);
            ck_assert_int_eq(run[0], 'a' + turn);
            ck_assert_ptr_eq(run, at + 6 + (turn == 0 ? 0 : 2));
        }
        for (size_t i = 0; i < kept; i++)
            ck_assert_int_eq(run[i], 'a' + (int)((total + i) / SIZE));
        total += kept;
        at += used;
        left -= (int)used;
        ck_assert_uint_gt(used, 0);
    }
    ck_assert(x.relay.input_done);
    ck_assert_uint_eq(total, 4 * SIZE);
}
END_TEST

START_TEST(too_big)
{
    memset(x.relay.in->data, 'a', 5000);
    memcpy(x.relay.in->data, "HTTP/1.1 200 OK\r\nX: ", 20);
    x.relay.pos = x.relay.in->data;
    x.relay.in->last = x.relay.in->data + 4095;
    rem_h1_client_init(&client, &x, &limits, REM_H1_ASKED_OTHER, false);
    ck_assert_int_eq(rem_h1_client_head(&client, &x), REM_EAGAIN);
    x.relay.in->last = x.relay.in->data + 4096;
    ck_assert_int_eq(rem_h1_client_head(&client, &x), REM_ETOOBIG);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("responses");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, pieces, 0, (int)REM_COUNT(responses));
    tcase_add_loop_test(tc, runs, 0, REM_RELAY_BUFS);
    tcase_add_test(tc, too_big);
    return run_suite("h1_client", tc);
}
