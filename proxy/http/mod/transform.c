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

void rem_transform_in_init(struct rem_transform_in *in, struct rem_request *request)
{
    *in = (struct rem_transform_in){.request = request};
    rem_post_init(&in->again, on_again);
}

static void put_block(struct rem_transform_in *in)
{
    if (in->block != NULL)
        rem_block_put(&in->request->worker->large, in->block);
    in->block = NULL;
    in->pos = NULL;
    in->end = NULL;
}

void rem_transform_in_fini(struct rem_transform_in *in)
{
    struct rem_buf *list = in->head;

    rem_post_cancel(&in->again);
    in->head = NULL;
    rem_buf_drop(list);
    put_block(in);
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

void rem_transform_out_init(struct rem_transform_out *out, struct rem_request *request, int64_t num,
                            size_t size)
{
    *out = (struct rem_transform_out){
        .worker = request->worker,
        .max = num > BLOCKS_MIN ? (uint32_t)num : BLOCKS_MIN,
        .size = size < BLOCK_DATA ? size : BLOCK_DATA,
    };
}

static void on_block_done(struct rem_buf *buf)
{
    struct rem_transform_block *block = REM_CONTAINER(buf, struct rem_transform_block, buf);
    struct rem_transform_out *out = block->out;

    out->used--;
    rem_block_put(&out->worker->large, block);
}

int rem_transform_out_get(struct rem_transform_out *out, struct rem_transform_block **block)
{
    struct rem_transform_block *fresh;

    if (out->used == out->max)
        return REM_EAGAIN;
    fresh = rem_block_get(&out->worker->large);
    if (fresh == NULL)
        return REM_ENOMEM;
    out->used++;
    fresh->buf =
        (struct rem_buf){.pos = fresh->data, .last = fresh->data, .fd = -1, .done = on_block_done};
    fresh->out = out;
    fresh->end = fresh->data + out->size;
    *block = fresh;
    return REM_OK;
}

void rem_transform_out_put(struct rem_transform_block *block)
{
    if (block != NULL)
        on_block_done(&block->buf);
}

int rem_transform_out_want(struct rem_transform_out *out, struct rem_request *request,
                           const struct rem_body_filter *next, struct rem_transform_block **block)
{
    int rc = rem_transform_out_get(out, block);

    if (rc != REM_EAGAIN)
        return rc;
    rc = next->run(request, NULL, next->next); /* what is queued may be waiting for company */
    if (rc != REM_OK && rc != REM_EAGAIN)
        return rc;
    return rem_transform_out_get(out, block);
}
