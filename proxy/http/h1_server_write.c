/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/h1_server_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { COPIED_MAX = 2 << 20 /* bytes of files through memory in one turn */ };

/* A buf of the codec's own: the lines between chunks, and file bytes read for want of sendfile. */
struct h1_frame {
    struct rem_buf buf;
    struct rem_h1_exchange *x;
    struct h1_frame *next_spare;
    void *block; /* of worker->large; NULL: `text` holds the bytes, or something static */
    char text[REM_CHUNK_HEAD_MAX];
};

static void on_frame_done(struct rem_buf *buf)
{
    struct h1_frame *frame = REM_CONTAINER(buf, struct h1_frame, buf);
    struct rem_h1_exchange *x = frame->x;

    if (frame->block != NULL)
        rem_block_put(&x->client->worker->large, frame->block);
    frame->block = NULL;
    frame->buf.next = x->spare;
    x->spare = &frame->buf;
}

static struct h1_frame *new_frame(struct rem_h1_exchange *x)
{
    struct h1_frame *frame;

    if (x->spare != NULL) {
        frame = REM_CONTAINER(x->spare, struct h1_frame, buf);
        x->spare = frame->buf.next;
    } else {
        frame = rem_arena_alloc(&x->request->arena, sizeof(*frame));
        if (frame == NULL)
            return NULL;
    }
    frame->buf = (struct rem_buf){.fd = -1, .done = on_frame_done};
    frame->x = x;
    frame->block = NULL;
    return frame;
}

/* ---- the queue ---- */

void h1_queue(struct rem_h1_exchange *x, struct rem_buf *buf)
{
    size_t n = rem_buf_size(buf);

    buf->next = NULL;
    if (n == 0) {
        rem_buf_done(buf);
        return;
    }
    if (x->out == NULL)
        x->out = buf;
    else
        x->out_last->next = buf;
    x->out_last = buf;
    x->queued += n;
}

static void drop(struct rem_buf *list)
{
    while (list != NULL) {
        struct rem_buf *buf = list;

        list = buf->next;
        buf->next = NULL;
        rem_buf_done(buf);
    }
}

void h1_drop_queue(struct rem_h1_exchange *x)
{
    struct rem_buf *list = x->out;

    x->out = NULL;
    x->out_last = NULL;
    x->queued = 0;
    drop(list);
}

size_t h1_queued(const struct rem_request *request)
{
    const struct rem_h1_exchange *x = request->codec;

    return (size_t)x->queued;
}

/* ---- framing ---- */

static int queue_text(struct rem_h1_exchange *x, struct rem_str text)
{
    struct h1_frame *frame = new_frame(x);

    if (frame == NULL)
        return REM_ENOMEM;
    frame->buf.pos = (char *)(uintptr_t)text.p;
    frame->buf.last = frame->buf.pos + text.n;
    h1_queue(x, &frame->buf);
    return REM_OK;
}

static int queue_chunk_head(struct rem_h1_exchange *x, uint64_t size)
{
    struct h1_frame *frame = new_frame(x);

    if (frame == NULL)
        return REM_ENOMEM;
    frame->buf.pos = frame->text;
    frame->buf.last = frame->text + rem_chunk_head(frame->text, size);
    h1_queue(x, &frame->buf);
    return REM_OK;
}

static int queue_trailers(struct rem_h1_exchange *x)
{
    const struct rem_fields *trailers = &x->request->response.trailers;
    size_t size = rem_put_fields_size(trailers) + 8;
    char *memory = rem_arena_alloc(&x->request->arena, size);
    struct rem_put put;

    if (memory == NULL)
        return REM_ENOMEM;
    rem_put_init(&put, memory, size);
    rem_chunk_put_last(&put, trailers);
    REM_CHECK(!put.full);
    return queue_text(x, rem_put_str(&put));
}

static int queue_chunk(struct rem_h1_exchange *x, struct rem_buf *list, uint64_t size, bool final)
{
    bool trailers = final && x->request->response.trailers.n != 0;
    int rc = size > 0 ? queue_chunk_head(x, size) : REM_OK;

    if (rc != REM_OK) {
        drop(list);
        return rc;
    }
    while (list != NULL) {
        struct rem_buf *buf = list;

        list = buf->next;
        h1_queue(x, buf);
    }
    if (final && !trailers)
        return queue_text(x, size > 0 ? REM_STR("\r\n0\r\n\r\n") : REM_CHUNK_LAST);
    if (size > 0)
        rc = queue_text(x, REM_CHUNK_TAIL);
    return rc == REM_OK && trailers ? queue_trailers(x) : rc;
}

/* No more bytes than Content-Length has promised. */
static void queue_counted(struct rem_h1_exchange *x, struct rem_buf *list, bool final)
{
    while (list != NULL) {
        struct rem_buf *buf = list;
        uint64_t n = rem_buf_size(buf);

        list = buf->next;
        if (n > x->out_left) {
            REM_LOG_IN(&x->request->log, REM_LOG_ALERT, 0, "response is longer than its length");
            if (buf->in_file)
                buf->file_last = buf->file_pos + (off_t)x->out_left;
            else
                buf->last = buf->pos + x->out_left;
            n = x->out_left;
        }
        x->out_left -= n;
        h1_queue(x, buf);
    }
    if (final && x->out_left > 0) { /* only a connection that ends tells the client */
        REM_LOG_IN(&x->request->log, REM_LOG_ALERT, 0, "response is shorter than its length");
        x->keep = false;
    }
}

/* Queues a list by the answer's framing.  Returns: REM_OK or REM_ENOMEM; *now: it should not wait
 * for more. */
static int enqueue(struct rem_h1_exchange *x, struct rem_buf *list, bool *now)
{
    uint64_t size = 0;
    bool final = false, flush = false;
    int rc = REM_OK;

    *now = false;
    for (const struct rem_buf *buf = list; buf != NULL; buf = buf->next) {
        size += rem_buf_size(buf);
        final = final || buf->final;
        flush = flush || buf->flush;
        *now = *now || buf->flush || buf->idle || buf->final;
    }
    if (flush && rem_core_location(x->request)->tcp_nodelay)
        rem_conn_nodelay(&x->client->conn);
    switch ((enum rem_h1_out)x->mode) {
    case REM_H1_OUT_LENGTH:
        queue_counted(x, list, final);
        break;
    case REM_H1_OUT_CHUNKED:
        rc = queue_chunk(x, list, size, final);
        break;
    case REM_H1_OUT_UNTIL_CLOSE:
    case REM_H1_OUT_RAW:
        for (struct rem_buf *next; list != NULL; list = next) {
            next = list->next;
            h1_queue(x, list);
        }
        break;
    default: /* nothing may follow */
        drop(list);
        break;
    }
    if (final)
        x->mode = x->mode == REM_H1_OUT_RAW ? REM_H1_OUT_RAW_DONE : REM_H1_OUT_DONE;
    return rc;
}

/* ---- writing ---- */

static void set_cork(struct rem_h1_exchange *x, bool on)
{
    int value = on ? 1 : 0;

    if (x->corked == on || (on && !rem_core_location(x->request)->tcp_nopush))
        return;
    x->corked = on;
    setsockopt(x->client->conn.fd, IPPROTO_TCP, TCP_CORK, &value, sizeof(value));
}

/* Reads a block's worth of the file that `at` stands for into memory in front of it. */
static int read_ahead(struct rem_h1_exchange *x, struct rem_buf **at)
{
    struct rem_buf *file = *at;
    size_t size = rem_core_location(x->request)->output_buffers.size;
    size_t most = size < REM_BLOCK_LARGE ? size : REM_BLOCK_LARGE;
    size_t n = rem_buf_size(file) < most ? rem_buf_size(file) : most;
    struct h1_frame *frame = new_frame(x);
    ssize_t got = -1;

    if (frame != NULL)
        frame->block = rem_block_get(&x->client->worker->large);
    if (frame == NULL || frame->block == NULL)
        return REM_ENOMEM;
    do
        got = pread(file->fd, frame->block, n, file->file_pos);
    while (got < 0 && errno == EINTR);
    if (got <= 0) {
        REM_LOG_IN(&x->request->log, REM_LOG_ALERT, got < 0 ? errno : 0,
                   "a file ended before the length announced was sent");
        on_frame_done(&frame->buf);
        return REM_EIO;
    }
    frame->buf.pos = frame->block;
    frame->buf.last = frame->buf.pos + got;
    file->file_pos += got;
    frame->buf.next = file;
    *at = &frame->buf;
    return REM_OK;
}

/* With sendfile off: cuts the queue behind the next piece that is in memory, so that no file is
 * handed to the socket.  *rest: what was cut off. */
static int split_at_file(struct rem_h1_exchange *x, struct rem_buf **rest)
{
    struct rem_buf **at = &x->out;
    int rc;

    while (*at != NULL && !(*at)->in_file)
        at = &(*at)->next;
    *rest = *at;
    if (*at == NULL)
        return REM_OK;
    if (at == &x->out) {
        rc = read_ahead(x, at);
        if (rc != REM_OK)
            return rc;
        at = &x->out->next;
        *rest = *at;
    }
    *at = NULL;
    if (rem_buf_size(*rest) == 0) {
        struct rem_buf *used = *rest;

        *rest = used->next;
        if (x->out_last == used)
            x->out_last = *rest;
        used->next = NULL;
        rem_buf_done(used);
    }
    return REM_OK;
}

static void join(struct rem_h1_exchange *x, struct rem_buf *rest)
{
    struct rem_buf **at = &x->out;

    while (*at != NULL) {
        x->out_last = rest == NULL ? *at : x->out_last;
        at = &(*at)->next;
    }
    *at = rest;
}

/* `room`: how much limit_rate lets out now. */
static int write_queue(struct rem_h1_exchange *x, const struct rem_http_location_conf *loc,
                       uint64_t room)
{
    struct rem_conn *conn = &x->client->conn;
    uint64_t end = conn->sent + (room < COPIED_MAX ? room : COPIED_MAX);
    struct rem_buf *rest = NULL;
    int rc = REM_OK;

    if (loc->sendfile) {
        if (loc->sendfile_max_chunk != 0 && loc->sendfile_max_chunk < room)
            room = loc->sendfile_max_chunk;
        return rem_conn_write_bufs(conn, &x->out, room < SIZE_MAX ? (size_t)room : 0);
    }
    while (rc == REM_OK && x->out != NULL) {
        if (conn->sent == end)
            return REM_EAGAIN;
        rc = split_at_file(x, &rest);
        if (rc == REM_OK) {
            rc = rem_conn_write_bufs(conn, &x->out, (size_t)(end - conn->sent));
            join(x, rest);
        }
    }
    return rc;
}

/* Whether limit_rate lets nothing out for now; else *room says how much. */
static bool is_held(struct rem_h1_exchange *x, uint64_t *room)
{
    const struct rem_rate *rate = &x->request->rate;
    uint64_t now = x->client->worker->loop.clock.mono_ms, delay;

    *room = UINT64_MAX;
    if (rate->limit == 0)
        return false;
    if (x->rate_due_ms > now)
        return true;
    x->rate_due_ms = 0;
    *room = rem_rate_room(rate, x->request->sent, x->queued, now, &delay);
    if (*room != 0)
        return false;
    x->rate_due_ms = now + delay;
    x->send_due_ms = 0; /* it is not the client that is slow */
    h1_arm_exchange(x);
    return true;
}

static void count_sent(struct rem_h1_exchange *x, uint64_t n)
{
    struct rem_request *request = x->request;
    struct rem_shm_worker *counters = request->worker->counters;

    x->queued -= n;
    request->sent += n;
    request->sent_body = request->sent > x->head_size ? request->sent - x->head_size : 0;
    if (counters != NULL)
        atomic_store_explicit(&counters->sent,
                              atomic_load_explicit(&counters->sent, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

static void all_written(struct rem_h1_exchange *x)
{
    x->out_last = NULL;
    x->queued = 0;
    x->send_due_ms = 0;
    set_cork(x, false);
    if (x->mode == REM_H1_OUT_RAW_DONE && !x->shut) {
        x->shut = true;
        shutdown(x->client->conn.fd, SHUT_WR);
    }
}

void h1_flush(struct rem_h1_exchange *x)
{
    const struct rem_http_location_conf *loc = rem_core_location(x->request);
    struct rem_conn *conn = &x->client->conn;
    uint64_t before = conn->sent, room = UINT64_MAX;
    int rc;

    if (x->gone || (x->out != NULL && is_held(x, &room)))
        return;
    if (x->out != NULL && x->out_last->in_file)
        set_cork(x, true);
    rc = write_queue(x, loc, room);
    count_sent(x, conn->sent - before);
    if (rc == REM_OK) {
        all_written(x);
    } else if (rc == REM_EAGAIN) {
        if (conn->writable && !is_held(x, &room)) /* enough for one turn */
            h1_wake(x->client);
        else if (conn->writable)
            return;
        else if (x->send_due_ms == 0 || conn->sent != before)
            x->send_due_ms = x->client->worker->loop.clock.mono_ms + (uint64_t)loc->send_timeout;
        h1_arm_exchange(x);
    } else {
        REM_LOG_IN(&x->request->log, REM_LOG_INFO, errno, "sending to the client failed");
        x->gone = true;
        x->request->client_gone = true;
        h1_drop_queue(x);
    }
}

int h1_send_body(struct rem_request *request, struct rem_buf *list)
{
    struct rem_h1_exchange *x = request->codec;
    bool now = true;

    if (x->gone) {
        drop(list);
        return REM_ECLOSED;
    }
    REM_CHECK(x->mode != REM_H1_OUT_NONE);
    if (list != NULL && enqueue(x, list, &now) != REM_OK) {
        /* The framing cannot be completed: whatever follows would be misread. */
        x->gone = true;
        request->client_gone = true;
        h1_drop_queue(x);
        return REM_ECLOSED;
    }
    if (now || x->queued >= rem_core_location(request)->postpone_output)
        h1_flush(x);
    if (x->gone)
        return REM_ECLOSED;
    return x->queued >= REM_H1_WATERMARK ? REM_EAGAIN : REM_OK;
}
