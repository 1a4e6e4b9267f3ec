/* SPDX-License-Identifier: Apache-2.0 */
/* buf.h - a run of body bytes on its way through filters and codecs, in memory or in a file.
 *
 * Ownership:  whoever makes a buf lends it and its bytes downstream until `done` is called (all
 *             written, or dropped because the exchange ended).  A buf without `done` and its bytes
 *             must live as long as the request.  Whoever consumes bytes advances `pos` or
 *             `file_pos`; bytes themselves are never changed in place by a consumer.
 *             A list of bufs is linked by `next` and ends in NULL.  */
#ifndef REM_BASE_BUF_H
#define REM_BASE_BUF_H

#include "proto/base/str.h"

#include <sys/types.h>

struct rem_buf {
    struct rem_buf *next;
    char *pos; /* memory: the bytes are [pos, last) */
    char *last;
    off_t file_pos; /* file: the bytes are [file_pos, file_last) of `fd` */
    off_t file_last;
    int fd;
    bool in_file;
    bool flush; /* what is here should reach the peer soon, come what may */
    bool idle;  /* nothing follows at once: what waits for company need wait no longer */
    bool final; /* the last buf of a body (may be empty) */
    void (*done)(struct rem_buf *buf);
    void *owner; /* for `done` */
};

static inline size_t rem_buf_size(const struct rem_buf *buf)
{
    return buf->in_file ? (size_t)(buf->file_last - buf->file_pos) : (size_t)(buf->last - buf->pos);
}

/* Gives a consumed or dropped buf back to its owner. */
static inline void rem_buf_done(struct rem_buf *buf)
{
    if (buf->done != NULL)
        buf->done(buf);
}

/* The same for a whole list. */
static inline void rem_buf_drop(struct rem_buf *list)
{
    while (list != NULL) {
        struct rem_buf *buf = list;

        list = buf->next;
        buf->next = NULL;
        rem_buf_done(buf);
    }
}

#endif
