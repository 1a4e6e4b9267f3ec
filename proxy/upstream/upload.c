/* SPDX-License-Identifier: Apache-2.0 */
/* upload.c - sends a request to the server. */
#include "proxy/upstream/upload.h"

#include "proxy/http/body.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/upstream.h"

enum {
    REM_UPLOAD_WHOLE_MAX = 16384,
    REM_UPLOAD_TURN = 2 << 20, /* bytes in a row, before others get their turn */
};

static struct rem_buf buf_of(struct rem_str text)
{
    char *at = (char *)(uintptr_t)text.p; /* consumers never change bytes */

    return (struct rem_buf){.pos = at, .last = at + text.n, .fd = -1};
}

static void queue_append(struct rem_upload *up, struct rem_buf *buf)
{
    struct rem_buf **at = &up->queue;

    while (*at != NULL)
        at = &(*at)->next;
    buf->next = NULL;
    *at = buf;
}

/* Bufs of our own over the buffered body. */
static int upload_copies(struct rem_upstream_exchange *x)
{
    struct rem_upload *up = &x->upload;
    uint32_t i = 0;

    if (up->body != NULL && up->copies == NULL) {
        for (const struct rem_buf *buf = up->body; buf != NULL; buf = buf->next)
            up->copy_count++;
        up->copies = rem_arena_alloc(&x->request->arena, up->copy_count * sizeof(*up->copies));
        if (up->copies == NULL) {
            up->copy_count = 0;
            return REM_ENOMEM;
        }
    }
    for (const struct rem_buf *buf = up->body; buf != NULL; buf = buf->next, i++) {
        up->copies[i] = *buf;
        up->copies[i].done = NULL;
        queue_append(up, &up->copies[i]);
    }
    return 0;
}

int rem_upload_start(struct rem_upstream_exchange *x)
{
    struct rem_upload *up = &x->upload;

    up->queue = NULL;
    up->base = x->peer->conn.sent;
    up->head_buf = buf_of(up->head);
    queue_append(up, &up->head_buf);
    up->state = REM_UPLOAD_SENDING;
    if (!up->streamed)
        return upload_copies(x);
    if (up->body_end && up->chunked) { /* an empty body, of which the client has sent all */
        up->close_buf = buf_of(REM_CHUNK_LAST);
        queue_append(up, &up->close_buf);
    }
    return 0;
}

void rem_upload_tunnel(struct rem_upstream_exchange *x)
{
    struct rem_upload *up = &x->upload;

    up->streamed = true;
    up->chunked = false;
    up->raw = true;
    up->body_end = false;
    up->queue = NULL;
    up->state = REM_UPLOAD_WAITING;
}

uint64_t rem_upload_sent(const struct rem_upstream_exchange *x)
{
    return x->peer != NULL ? x->peer->conn.sent - x->upload.base : 0;
}

bool rem_upload_repeatable(const struct rem_upstream_exchange *x)
{
    return !x->upload.consumed;
}

/* Queues a run of the client's body, framed. */
static void upload_frame(struct rem_upload *up, struct rem_str data, bool final)
{
    if (data.n != 0) {
        up->consumed = true;
        if (up->chunked) {
            size_t n = rem_chunk_head(up->open_text, data.n);
            up->open_buf = buf_of(rem_str_make(up->open_text, n));
            queue_append(up, &up->open_buf);
        }
        up->data_buf = buf_of(data);
        queue_append(up, &up->data_buf);
        if (up->chunked) {
            up->close_buf = buf_of(REM_CHUNK_TAIL);
            queue_append(up, &up->close_buf);
        }
    }
    if (!final)
        return;
    up->body_end = true;
    if (up->chunked && data.n == 0) {
        up->close_buf = buf_of(REM_CHUNK_LAST);
        queue_append(up, &up->close_buf);
    }
}

/* A body that came in one piece, with its head perhaps, is as good as a buffered one: a copy makes
 * it possible to send it again.  Returns REM_OK or a status. */
static int upload_keep_whole(struct rem_upstream_exchange *x, struct rem_str data)
{
    struct rem_upload *up = &x->upload;
    struct rem_str copy = rem_arena_dup(&x->request->arena, data);
    bool final = false;

    if (copy.p == NULL)
        return 500;
    while (!final) { /* the end, which is here already */
        int rc = rem_body_next(x->request, &data, &final);
        if (rc != 0)
            return rem_body_error_status(rc);
    }
    up->whole_buf = buf_of(copy);
    up->body = &up->whole_buf;
    up->streamed = false;
    return upload_copies(x) == 0 ? 0 : 500;
}

/* Takes the next run from the client, if the last one has been written or copied.  Returns REM_OK,
 * REM_EAGAIN (nothing there yet) or a status. */
static int upload_take(struct rem_upstream_exchange *x)
{
    struct rem_upload *up = &x->upload;
    struct rem_request *request = x->request;
    struct rem_str data = {NULL, 0};
    bool final = false;
    int rc;

    if (up->raw)
        rc = request->codec == NULL ? REM_ECLOSED
                                    : request->exchange->read_body(request, &data, &final);
    else
        rc = rem_body_next(request, &data, &final);
    if (rc == REM_EAGAIN)
        return rc;
    if (rc != 0 && up->raw) {
        /* Half-closed or gone: a tunnel ends as a connection does. */
        up->body_end = true;
        return 0;
    }
    if (rc != 0)
        return rem_body_error_status(rc);
    if (!up->raw && !up->chunked && !up->consumed && data.n != 0 &&
        data.n == (uint64_t)request->content_length && data.n <= REM_UPLOAD_WHOLE_MAX)
        return upload_keep_whole(x, data);
    /* Data and end may come together; the end's chunk then follows in a round of its own. */
    upload_frame(up, data, final && (data.n == 0 || !up->chunked));
    return 0;
}

/* The client's bytes are only lent until the end of the turn: copies what is still queued. */
static int upload_stash(struct rem_upstream_exchange *x)
{
    struct rem_upload *up = &x->upload;
    size_t n = rem_buf_size(&up->data_buf);

    if (!up->streamed || n == 0 || up->data_buf.pos == NULL ||
        (up->stash != NULL && up->data_buf.pos >= up->stash &&
         up->data_buf.pos <= up->stash + up->stash_size))
        return 0;
    if (n > up->stash_size) {
        size_t size = n < REM_BLOCK_LARGE ? REM_BLOCK_LARGE : n;
        up->stash = rem_arena_alloc(&x->request->arena, size);
        up->stash_size = up->stash != NULL ? size : 0;
        if (up->stash == NULL)
            return REM_ENOMEM;
    }
    memcpy(up->stash, up->data_buf.pos, n);
    up->data_buf.pos = up->stash;
    up->data_buf.last = up->stash + n;
    return 0;
}

static int upload_write(struct rem_upstream_exchange *x)
{
    struct rem_upload *up = &x->upload;
    struct rem_conn *conn = &x->peer->conn;
    uint64_t before = conn->sent;
    int rc = rem_conn_write_bufs(conn, &up->queue, REM_UPLOAD_TURN);

    if (conn->sent != before)
        x->progress = true;
    if (rc == REM_EAGAIN && conn->writable)
        rem_loop_post(conn->loop, &x->wake);
    if (rc == 0 || rc == REM_EAGAIN)
        up->state = REM_UPLOAD_SENDING;
    else
        up->state = REM_UPLOAD_BROKEN;
    return rc;
}

int rem_upload_pump(struct rem_upstream_exchange *x)
{
    struct rem_upload *up = &x->upload;
    int rc;

    if (up->state == REM_UPLOAD_DONE || up->state == REM_UPLOAD_BROKEN)
        return 0;
    for (;;) {
        int taken = 0;

        /* The head waits for the first run of the body, so that both leave together. */
        if (up->streamed && !up->body_end &&
            (up->queue == NULL || (up->queue == &up->head_buf && up->queue->next == NULL))) {
            taken = upload_take(x);
            if (taken > 0)
                return taken;
        }
        if (up->queue == NULL && up->streamed && !up->body_end) {
            if (taken == REM_EAGAIN) {
                up->state = REM_UPLOAD_WAITING;
                return REM_EAGAIN;
            }
            continue;
        }
        rc = upload_write(x);
        if (rc == REM_EAGAIN) {
            int copied = upload_stash(x);
            return copied != 0 ? copied : rc;
        }
        if (rc != 0)
            return rc;
        if (!up->streamed || up->body_end) {
            up->state = REM_UPLOAD_DONE;
            return 0;
        }
    }
}
