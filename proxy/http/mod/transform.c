/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/transform.h"

#include "proxy/http/core.h"

#include <errno.h>
#include <unistd.h>

enum { BLOCK_DATA = REM_BLOCK_LARGE - sizeof(struct rem_transform_block), BLOCKS_MIN = 2 };

/* ---- input ---- */

static void on_again(struct rem_post *post)
{
    rem_request_writable(REM_CONTAINER(post, struct rem_transform_in, again)->request);
}

static void put_block(struct rem_transform_in *in)
{
    if (in->block != NULL)
        rem_block_put(&in->request->worker->large, in->block);
    in->block = NULL;
    in->pos = NULL;
    in->end = NULL;
}

void rem_transform_in_push(struct rem_transform_in *in, struct rem_buf *list)
{
    in->rounds = 0;
    if (list == NULL)
        return;
    if (in->head == NULL)
        in->head = list;
    else
        in->last->next = list;
    while (list->next != NULL)
        list = list->next;
    in->last = list;
}

/* Reads the next piece of the first buf's file. */
static int read_file(struct rem_transform_in *in)
{
    struct rem_buf *buf = in->head;
    size_t size = rem_core_location(in->request)->output_buffers.size;
    size_t most = size < REM_BLOCK_LARGE ? size : REM_BLOCK_LARGE;
    size_t n = rem_buf_size(buf) < most ? rem_buf_size(buf) : most;
    ssize_t got;

    if (in->block == NULL)
        in->block = rem_block_get(&in->request->worker->large);
    if (in->block == NULL)
        return REM_ENOMEM;
    do
        got = pread(buf->fd, in->block, n, buf->file_pos);
    while (got < 0 && errno == EINTR);
    if (got <= 0) {
        REM_LOG_IN(&in->request->log, REM_LOG_ALERT, got < 0 ? errno : 0,
                   "a file ended before the length announced was sent");
        return REM_EIO;
    }
    in->pos = in->block;
    in->end = in->block + got;
    return REM_OK;
}

int rem_transform_in_peek(struct rem_transform_in *in, struct rem_str *run)
{
    struct rem_buf *buf = in->head;

    if (!buf->in_file) {
        *run = rem_str_make(buf->pos, (size_t)(buf->last - buf->pos));
        return REM_OK;
    }
    if (in->pos == in->end && rem_buf_size(buf) != 0) {
        int rc = read_file(in);

        if (rc != REM_OK)
            return rc;
    }
    *run = rem_str_make(in->pos, (size_t)(in->end - in->pos));
    return REM_OK;
}

void rem_transform_in_use(struct rem_transform_in *in, size_t n, struct rem_transform_marks *marks)
{
    struct rem_buf *buf = in->head;

    if (buf->in_file) {
        in->pos += n;
        buf->file_pos += (off_t)n;
    } else if (n != 0) { /* a buf that only marks something has no bytes to point at */
        buf->pos += n;
    }
    if (rem_buf_size(buf) != 0)
        return;
    marks->flush = marks->flush || buf->flush;
    marks->idle = marks->idle || buf->idle;
    marks->final = marks->final || buf->final;
    in->head = buf->next;
    buf->next = NULL;
    if (buf->in_file)
        put_block(in);
    rem_buf_done(buf);
}

/* ---- output ---- */

static void on_block_done(struct rem_buf *buf)
{
    struct rem_transform_block *block = REM_CONTAINER(buf, struct rem_transform_block, buf);
    struct rem_transform_out *out = block->out;

    out->used--;
    rem_block_put(&out->worker->large, block);
}

/* An empty block.  Returns: REM_OK, REM_EAGAIN (all are with those behind), REM_ENOMEM. */
static int take_block(struct rem_transform *t)
{
    struct rem_transform_out *out = &t->out;
    struct rem_transform_block *block;

    if (out->used == out->max)
        return REM_EAGAIN;
    block = rem_block_get(&out->worker->large);
    if (block == NULL)
        return REM_ENOMEM;
    out->used++;
    block->buf =
        (struct rem_buf){.pos = block->data, .last = block->data, .fd = -1, .done = on_block_done};
    block->out = out;
    block->end = block->data + out->size;
    t->block = block;
    return REM_OK;
}

int rem_transform_take(struct rem_transform *t, const struct rem_body_filter *next)
{
    int rc = take_block(t);

    if (rc != REM_EAGAIN)
        return rc;
    rc = next->run(t->request, NULL, next->next); /* what is queued may be waiting for company */
    if (rc != REM_OK && rc != REM_EAGAIN)
        return rc;
    return take_block(t);
}

int rem_transform_emit(struct rem_transform *t, bool final, bool caught_up,
                       const struct rem_body_filter *next)
{
    struct rem_buf *buf = &t->block->buf;

    t->block = NULL;
    buf->final = final;
    if (caught_up) {
        buf->flush = t->marks.flush;
        buf->idle = t->marks.idle;
        t->marks.flush = false;
        t->marks.idle = false;
    }
    return next->run(t->request, buf, next->next);
}

void rem_transform_hold(const struct rem_transform *t, enum rem_filter_holds filter, bool holds)
{
    if (holds)
        t->request->buffered |= (uint32_t)filter;
    else
        t->request->buffered &= ~(uint32_t)filter;
}

/* ---- both ---- */

static void on_cleanup(void *data)
{
    struct rem_transform *t = data;
    struct rem_buf *list = t->in.head;

    rem_post_cancel(&t->in.again);
    t->in.head = NULL;
    rem_buf_drop(list);
    put_block(&t->in);
    if (t->block != NULL)
        rem_buf_done(&t->block->buf);
    t->block = NULL;
}

int rem_transform_init(struct rem_transform *t, struct rem_request *request, int64_t num,
                       size_t size)
{
    t->request = request;
    t->in.request = request;
    t->out.worker = request->worker;
    t->out.max = num > BLOCKS_MIN ? (uint32_t)num : BLOCKS_MIN;
    t->out.size = size < BLOCK_DATA ? size : BLOCK_DATA;
    rem_post_init(&t->in.again, on_again);
    return rem_request_on_cleanup(request, on_cleanup, t);
}
