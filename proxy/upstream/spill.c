/* SPDX-License-Identifier: Apache-2.0 */
/* spill.c - the temporary file that takes what a slow client has not read yet. */
#include "proxy/upstream/pool.h"
#include "proxy/upstream/relay.h"
#include "proxy/upstream/upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Errors: REM_EIO (logged). */
static int spill_open(struct rem_upstream_exchange *x)
{
    struct rem_relay_file *file = &x->relay.file;
    struct rem_str dir = x->policy->temp_path;
    char path[4096];

    if (file->fd >= 0)
        return 0;
    /* Without a name nothing is left behind, whatever happens to this process. */
    file->fd = open(dir.p, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        (void)snprintf(path, sizeof(path), "%.*s/remora-XXXXXX", REM_STR_ARG(dir));
        file->fd = mkostemp(path, O_CLOEXEC);
        if (file->fd >= 0)
            (void)unlink(path);
    }
    if (file->fd < 0) {
        REM_LOG_IN(&x->request->log, REM_LOG_CRIT, errno,
                   "creating a temporary file in \"%.*s\" failed", REM_STR_ARG(dir));
        return REM_EIO;
    }
    REM_LOG_IN(&x->request->log, REM_LOG_WARN, 0,
               "an upstream response is buffered to a temporary file in \"%.*s\" while reading "
               "upstream",
               REM_STR_ARG(dir));
    return 0;
}

/* Starts over at the file's beginning when all of it has reached the client. */
static void spill_rewind(struct rem_relay_file *file)
{
    if (file->lent || file->sent != file->written || file->written == 0)
        return;
    if (ftruncate(file->fd, 0) == 0) {
        file->sent = 0;
        file->written = 0;
    }
}

static int spill_buf(struct rem_upstream_exchange *x, struct rem_buf *buf)
{
    struct rem_relay_file *file = &x->relay.file;

    while (buf->pos != buf->last) {
        ssize_t n = pwrite(file->fd, buf->pos, (size_t)(buf->last - buf->pos), file->written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            REM_LOG_IN(&x->request->log, REM_LOG_CRIT, n < 0 ? errno : ENOSPC,
                       "writing a temporary file in \"%.*s\" failed",
                       REM_STR_ARG(x->policy->temp_path));
            return REM_EIO;
        }
        buf->pos += n;
        file->written += n;
    }
    return 0;
}

int rem_spill_write(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    struct rem_relay_file *file = &relay->file;
    off_t start;

    if (x->policy->max_temp_file_size == 0 || file->failed)
        return REM_EAGAIN;
    if (file->fd >= 0)
        spill_rewind(file);
    if (file->written >= x->policy->max_temp_file_size)
        return REM_EAGAIN;
    file->failed = spill_open(x) != 0;
    start = file->written;
    while (!file->failed && relay->pending != NULL &&
           (size_t)(file->written - start) < x->policy->temp_file_write_size) {
        struct rem_buf *buf = relay->pending;
        if (spill_buf(x, buf) != 0) { /* what was written of it counts */
            file->failed = true;
            break;
        }
        relay->pending = buf->next;
        if (relay->pending == NULL)
            relay->tail = &relay->pending;
        rem_buf_done(buf);
    }
    return file->failed ? REM_EAGAIN : 0;
}

static void on_file_done(struct rem_buf *buf)
{
    struct rem_relay *relay = buf->owner;
    struct rem_upstream_exchange *x = relay->exchange;

    relay->file.lent = false;
    if (relay->file.fd >= 0 && x->state == REM_UPSTREAM_FINALIZE) {
        close(relay->file.fd);
        relay->file.fd = -1;
    } else if (relay->starved) {
        relay->starved = false;
        rem_loop_post(&x->request->worker->loop, &x->wake);
    }
}

struct rem_buf *rem_spill_take(struct rem_upstream_exchange *x)
{
    struct rem_relay_file *file = &x->relay.file;

    if (file->lent || file->sent == file->written)
        return NULL;
    file->buf = (struct rem_buf){
        .fd = file->fd,
        .in_file = true,
        .file_pos = file->sent,
        .file_last = file->written,
        .done = on_file_done,
        .owner = &x->relay,
    };
    file->sent = file->written;
    file->lent = true;
    return &file->buf;
}

void rem_spill_fini(struct rem_upstream_exchange *x)
{
    struct rem_relay_file *file = &x->relay.file;

    /* With the codec still reading from it, on_file_done closes it. */
    if (file->fd >= 0 && !file->lent) {
        close(file->fd);
        file->fd = -1;
    }
}
