/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/log_buffer.h"

#include "proxy/http/mod/deflates.h"
#include "proxy/net/setup.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { COMPLAIN_EVERY_SEC = 60 };

static bool may_complain(struct rem_worker *worker, struct rem_log_file *file)
{
    int64_t now = worker->loop.clock.wall_sec;

    if (now - file->full_sec < COMPLAIN_EVERY_SEC)
        return false;
    file->full_sec = now;
    return true;
}

static void write_text(struct rem_worker *worker, struct rem_log_file *file, struct rem_str text)
{
    const struct rem_log *log = worker->setup->log;
    ssize_t n;

    if (file->fd < 0)
        return;
    do
        n = write(file->fd, text.p, text.n);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)text.n)
        return;
    if (n < 0 && may_complain(worker, file))
        REM_LOG(log, REM_LOG_ALERT, errno, "write() to \"%s\" failed", file->path);
    else if (n >= 0 && may_complain(worker, file))
        REM_LOG(log, REM_LOG_ALERT, 0, "write() to \"%s\" was incomplete: %zd of %zu", file->path,
                n, text.n);
}

/* One gzip member of `text`; the caller frees it.  Returns NULL without memory. */
static char *compress_text(struct rem_deflate *engine, struct rem_str text, size_t *size)
{
    z_stream *z = &engine->z;
    uLong room = deflateBound(z, text.n);
    char *packed = malloc(room);

    if (packed == NULL)
        return NULL;
    z->next_in = (Bytef *)(uintptr_t)text.p;
    z->avail_in = (uInt)text.n;
    z->next_out = (Bytef *)packed;
    z->avail_out = (uInt)room;
    if (deflate(z, Z_FINISH) != Z_STREAM_END) {
        free(packed);
        return NULL;
    }
    *size = room - z->avail_out;
    return packed;
}

static void write_compressed(struct rem_worker *worker, struct rem_log_buffer *buffer,
                             struct rem_str text)
{
    struct rem_deflate *engine =
        rem_deflates_get(worker->deflates, buffer->gzip, (long long)text.n);
    char *packed = NULL;
    size_t size = 0;

    if (engine != NULL) {
        packed = compress_text(engine, text, &size);
        rem_deflates_put(worker->deflates, engine);
    }
    if (packed != NULL)
        write_text(worker, buffer->file, rem_str_make(packed, size));
    else if (may_complain(worker, buffer->file))
        REM_LOG(worker->setup->log, REM_LOG_ALERT, 0,
                "no memory to compress %zu bytes for \"%s\", they are lost", text.n,
                buffer->file->path);
    free(packed);
}

static void write_out(struct rem_log_buffer *buffer, struct rem_str text)
{
    if (buffer->gzip != 0)
        write_compressed(buffer->worker, buffer, text);
    else
        write_text(buffer->worker, buffer->file, text);
}

static void flush(struct rem_log_buffer *buffer)
{
    if (buffer->n != 0)
        write_out(buffer, rem_str_make(buffer->p, buffer->n));
    buffer->n = 0;
}

static void on_flush(struct rem_timer *timer)
{
    flush(REM_CONTAINER(timer, struct rem_log_buffer, timer));
}

static void on_reopen(struct rem_log_file *file)
{
    flush(file->flush_data);
}

static void put(struct rem_log_buffer *buffer, struct rem_str line)
{
    if (line.n > buffer->size - buffer->n)
        flush(buffer);
    if (line.n > buffer->size) {
        write_out(buffer, line);
        return;
    }
    memcpy(buffer->p + buffer->n, line.p, line.n);
    buffer->n += line.n;
    if (buffer->flush_ms != 0 && !rem_timer_armed(&buffer->timer))
        rem_timer_set(&buffer->worker->loop.timers, &buffer->timer, (uint64_t)buffer->flush_ms);
}

void rem_log_buffer_write(struct rem_worker *worker, struct rem_log_file *file, struct rem_str line)
{
    if (file->flush_data != NULL)
        put(file->flush_data, line);
    else
        write_text(worker, file, line);
}

int rem_log_buffer_start(struct rem_log_buffer *buffer, struct rem_worker *worker)
{
    buffer->worker = worker;
    buffer->n = 0;
    buffer->p = malloc(buffer->size);
    if (buffer->p == NULL)
        return REM_ENOMEM;
    rem_timer_init(&buffer->timer, on_flush);
    buffer->file->flush = on_reopen;
    buffer->file->flush_data = buffer;
    return 0;
}

void rem_log_buffer_stop(struct rem_log_buffer *buffer)
{
    if (buffer->p == NULL)
        return;
    rem_timer_cancel(&buffer->worker->loop.timers, &buffer->timer);
    flush(buffer);
    buffer->file->flush = NULL;
    buffer->file->flush_data = NULL;
    free(buffer->p);
    buffer->p = NULL;
}
