/* SPDX-License-Identifier: Apache-2.0 */
/* h1_handlers.h - content handlers for the tests of the HTTP/1 server. */
#ifndef REM_TESTS_HTTP_H1_HANDLERS_H
#define REM_TESTS_HTTP_H1_HANDLERS_H

#include "tests/unit/proxy/http/fixture.h"

#include "proxy/http/body.h"

static inline int hello(struct rem_request *request)
{
    return rem_http_respond(request, 200, REM_STR("text/plain"), REM_STR("hello"));
}

static inline int uri_back(struct rem_request *request)
{
    return rem_http_respond(request, 200, REM_STR("text/plain"), request->uri);
}

static inline void echo_ready(struct rem_request *request)
{
    const struct rem_buf *buf = request->body->bufs;
    struct rem_str body = {"", 0};

    if (buf != NULL && !buf->in_file)
        body = rem_str_make(buf->pos, rem_buf_size(buf));
    if (buf != NULL && buf->in_file) {
        char *p = rem_arena_alloc(&request->arena, rem_buf_size(buf));
        ck_assert_int_eq(pread(buf->fd, p, rem_buf_size(buf), 0), (ssize_t)rem_buf_size(buf));
        body = rem_str_make(p, rem_buf_size(buf));
    }
    rem_request_finalize(request, rem_http_respond(request, 200, REM_STR("text/plain"), body));
}

static inline int echo(struct rem_request *request)
{
    return rem_body_read(request, echo_ready);
}

static inline int no_content(struct rem_request *request)
{
    (void)request;
    return 204;
}

/* A stream of bufs, counted: every one must come back exactly once. */
static struct stream {
    uint64_t size, made, sent, returned;
    size_t piece;
    int64_t length;
    bool trailer, cut;
    struct rem_buf bufs[64];
    bool lent[64];
    char bytes[8192];
} stream;

static inline void on_stream_done(struct rem_buf *buf)
{
    size_t i = (size_t)(buf - stream.bufs);

    ck_assert(stream.lent[i]);
    stream.lent[i] = false;
    stream.returned++;
}

static inline void stream_more(struct rem_request *request)
{
    int rc = REM_OK;

    for (size_t i = 0; i < 64 && rc == REM_OK && stream.sent < stream.size; i++) {
        size_t n =
            stream.size - stream.sent < stream.piece ? stream.size - stream.sent : stream.piece;
        if (stream.lent[i])
            continue;
        stream.sent += n;
        stream.made++;
        stream.lent[i] = true;
        stream.bufs[i] = (struct rem_buf){.pos = stream.bytes,
                                          .last = stream.bytes + n,
                                          .fd = -1,
                                          .flush = true,
                                          .final = stream.sent == stream.size,
                                          .done = on_stream_done};
        rc = rem_http_send_body(request, &stream.bufs[i]);
    }
    if (rc == REM_ECLOSED)
        rem_request_finalize(request, REM_HTTP_ERROR);
    else if (stream.sent == stream.size)
        rem_request_finalize(request, stream.cut ? REM_HTTP_ERROR : REM_HTTP_OK);
}

static inline int streaming(struct rem_request *request)
{
    request->response.status = 200;
    request->response.content_length = stream.length;
    request->on_writable = stream_more;
    if (stream.trailer &&
        rem_fields_add(&request->response.trailers, REM_STR("X-Sum"), REM_STR("42")) != REM_OK)
        return 500;
    if (rem_http_send_head(request) != REM_OK)
        return REM_HTTP_ERROR;
    stream_more(request);
    return REM_HTTP_DONE;
}

static inline void stream_init(uint64_t size, size_t piece, int64_t length)
{
    memset(&stream, 0, sizeof(stream));
    memset(stream.bytes, 'x', sizeof(stream.bytes));
    stream.size = size;
    stream.piece = piece;
    stream.length = length;
    fx.loc.handler = streaming;
}

#endif
