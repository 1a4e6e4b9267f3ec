/* SPDX-License-Identifier: Apache-2.0 */
/* An answer that is read while it is still being made. */
#include "api/remoractl_http.h"
#include "proto/wire/chunk.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 16384, HEAD_MAX = 65536 };

struct rem_ctl_stream {
    int fd;
    bool chunked, ended;
    struct rem_arena arena;
    struct rem_chunk_decoder chunks;
    struct rem_sbuf in; /* read, and not given out yet */
};

/* Reads once.  Errors: REM_EAGAIN, REM_ECLOSED, REM_EIO, REM_ENOMEM. */
static int fill(struct rem_ctl_stream *stream, int timeout_ms)
{
    struct pollfd ready = {.fd = stream->fd, .events = POLLIN};
    char chunk[READ_SIZE];
    ssize_t n;

    if (poll(&ready, 1, timeout_ms) <= 0)
        return REM_EAGAIN;
    n = recv(stream->fd, chunk, sizeof(chunk), 0);
    if (n == 0)
        return REM_ECLOSED;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? REM_EAGAIN : REM_EIO;
    rem_sbuf_add(&stream->in, rem_str_make(chunk, (size_t)n));
    return stream->in.failed ? REM_ENOMEM : REM_OK;
}

static void drop_front(struct rem_sbuf *buf, size_t n)
{
    buf->n -= n;
    memmove(buf->p, buf->p + n, buf->n);
}

/* Takes the head off what has been read.  Errors: REM_EAGAIN (it is not whole), REM_EPROTO. */
static int take_head(struct rem_ctl_stream *stream, int *status)
{
    struct rem_h1_response response;
    int rc;

    rem_h1_response_init(&response, &rem_h1_limits_default, &stream->arena);
    rc = rem_h1_response_parse(&response, REM_H1_ASKED_OTHER, stream->in.p, stream->in.n);
    if (rc == REM_EAGAIN)
        return stream->in.n < HEAD_MAX ? rc : REM_EPROTO;
    if (rc != REM_OK)
        return REM_EPROTO;
    *status = response.code;
    stream->chunked = response.head.framing == REM_FRAMING_CHUNKED;
    rem_chunk_decoder_init(&stream->chunks, &rem_h1_limits_default, &stream->arena);
    if (response.code >= 200 && response.code < 300)
        drop_front(&stream->in, response.head.head_size);
    return REM_OK;
}

/* What a refusal says; the connection closes behind it. */
static int read_refusal(struct rem_ctl_stream *stream, int *status, struct rem_sbuf *body)
{
    int rc;

    while ((rc = fill(stream, REM_CTL_TIMEOUT_MS)) == REM_OK)
        continue;
    return rc == REM_ECLOSED ? rem_ctl_http_answer(rem_sbuf_str(&stream->in), status, body) : rc;
}

int rem_ctl_stream_open(const struct rem_ctl_request *request, int *status, struct rem_sbuf *body,
                        struct rem_ctl_stream **out, struct rem_err *err)
{
    struct rem_ctl_stream *stream = calloc(1, sizeof(*stream));
    int rc;

    *out = NULL;
    if (stream == NULL)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    rem_arena_init(&stream->arena, NULL);
    rem_sbuf_init(&stream->in);
    stream->fd = -1;
    rc = rem_ctl_http_send(request, &stream->fd, err);
    if (rc == 0) {
        do
            rc = fill(stream, REM_CTL_TIMEOUT_MS);
        while (rc == REM_OK && (rc = take_head(stream, status)) == REM_EAGAIN);
        if (rc == REM_OK && (*status < 200 || *status >= 300))
            rc = read_refusal(stream, status, body);
        if (rc != REM_OK)
            (void)rem_err_set(err, rc, "%s: no answer that could be read", request->server);
    }
    if (rc != 0 || *status < 200 || *status >= 300)
        rem_ctl_stream_close(&stream);
    *out = stream;
    return rc;
}

/* Moves what has been read to *out, without its framing. */
static int give(struct rem_ctl_stream *stream, struct rem_sbuf *out)
{
    size_t used = 0;

    if (!stream->chunked) {
        rem_sbuf_add(out, rem_sbuf_str(&stream->in));
        rem_sbuf_clear(&stream->in);
        return out->failed ? REM_ENOMEM : REM_OK;
    }
    for (;;) {
        struct rem_str data = {NULL, 0};
        size_t n = 0;
        int rc =
            rem_chunk_decode(&stream->chunks, stream->in.p + used, stream->in.n - used, &n, &data);
        rem_sbuf_add(out, data);
        used += n;
        if (rc == REM_OK && data.n == 0)
            stream->ended = true;
        if (rc != REM_OK || data.n == 0) {
            drop_front(&stream->in, used);
            return rc == REM_OK || rc == REM_EAGAIN ? REM_OK : REM_EPROTO;
        }
    }
}

int rem_ctl_stream_read(struct rem_ctl_stream *stream, int timeout_ms, struct rem_sbuf *out)
{
    size_t before = out->n;
    int rc;

    if (stream->in.n != 0) {
        rc = give(stream, out);
        if (rc != REM_OK || out->n != before)
            return rc;
    }
    if (stream->ended)
        return REM_ECLOSED;
    rc = fill(stream, timeout_ms);
    if (rc == REM_OK)
        rc = give(stream, out);
    if (rc == REM_OK && out->n == before)
        return stream->ended ? REM_ECLOSED : REM_EAGAIN;
    return rc;
}

void rem_ctl_stream_close(struct rem_ctl_stream **stream)
{
    struct rem_ctl_stream *closed = *stream;

    if (closed == NULL)
        return;
    if (closed->fd >= 0)
        (void)close(closed->fd);
    rem_sbuf_fini(&closed->in);
    rem_arena_reset(&closed->arena);
    free(closed);
    *stream = NULL;
}
