/* SPDX-License-Identifier: Apache-2.0 */
/* transform.h - what body filters that make other bytes of a body have in common: input that waits,
 * output in blocks of a bounded number, and what the one said that the other must say too.
 *
 * Ownership:  input bufs are the filter's from push on, until they are used up.  Blocks are lent
 *             down the chain and come back when they are written.
 * Pressure:   a filter that gets no block, or is told REM_EAGAIN, stops and keeps its input; see
 *             enum rem_filter_holds (filter.h).
 * Lifecycle:  a transform lives in the request's arena; rem_transform_init has it cleaned up with
 *             the request.  */
#ifndef REM_HTTP_MOD_TRANSFORM_H
#define REM_HTTP_MOD_TRANSFORM_H

#include "proxy/http/filter.h"

struct rem_transform_in {
    struct rem_request *request;
    struct rem_post again; /* goes on after the others' turn */
    uint32_t rounds;       /* since the filter was called */
    struct rem_buf *head;  /* not used up, in order */
    struct rem_buf *last;
    char *block;     /* of worker->large: bytes of the first buf's file; NULL: none yet */
    char *pos, *end; /* in `block`: read and not used */
};

/* After so many rounds of the filter's loop, each about a block in or out, others get their turn.
 */
enum { REM_TRANSFORM_ROUNDS = 64 };

/* What the bufs used up so far said. */
struct rem_transform_marks {
    bool flush;
    bool idle;
    bool final;
};

/* Takes: list. */
void rem_transform_in_push(struct rem_transform_in *in, struct rem_buf *list);

/* The bytes at the front, valid until `use`; empty for an empty buf.  Only while in->head != NULL.
 * Errors: REM_ENOMEM, REM_EIO (a file is shorter than announced; logged). */
int rem_transform_in_peek(struct rem_transform_in *in, struct rem_str *run) REM_MUST_CHECK;

/* `n` bytes of the last peek are done with.  A buf that is used up is given back, and what it says
 * is added to *marks. */
void rem_transform_in_use(struct rem_transform_in *in, size_t n, struct rem_transform_marks *marks);

/* Counts a round.  Returns: whether the filter is to stop here, as if there were no room; it is
 * called again in this turn or the next. */
static inline bool rem_transform_in_pauses(struct rem_transform_in *in)
{
    if (++in->rounds <= REM_TRANSFORM_ROUNDS)
        return false;
    in->rounds = 0;
    rem_loop_post(&in->request->worker->loop, &in->again);
    return true;
}

struct rem_transform_block {
    struct rem_buf buf; /* [pos, last) has been filled in, room is left up to `end` */
    struct rem_transform_out *out;
    char *end;
    char data[];
};

struct rem_transform_out {
    struct rem_worker *worker;
    uint32_t max;  /* blocks there may be */
    uint32_t used; /* blocks there are */
    size_t size;   /* of a block's data */
};

/* One body that becomes another. */
struct rem_transform {
    struct rem_request *request;
    struct rem_transform_in in;
    struct rem_transform_out out;
    struct rem_transform_marks marks;  /* not passed on yet */
    struct rem_transform_block *block; /* being filled; NULL: none */
};

/* `t` is zero.  At most `num` blocks of `size` bytes, as gzip_buffers and its like say; a block is
 * at most what the worker's pool of large blocks has.  Errors: REM_ENOMEM. */
int rem_transform_init(struct rem_transform *t, struct rem_request *request, int64_t num,
                       size_t size) REM_MUST_CHECK;

/* Takes a block to be filled.  When all are lent, the filters behind write what waits for company.
 * Returns: REM_OK, REM_EAGAIN (all are still lent), REM_ENOMEM, or what the filters return. */
int rem_transform_take(struct rem_transform *t, const struct rem_body_filter *next) REM_MUST_CHECK;

/* The same where there is none yet. */
REM_MUST_CHECK static inline int rem_transform_want(struct rem_transform *t,
                                                    const struct rem_body_filter *next)
{
    return t->block != NULL ? REM_OK : rem_transform_take(t, next);
}

/* Passes the block on.  With `caught_up` it has all that was to be made of the input so far, and
 * says what that said.  Results as exchange->send_body. */
int rem_transform_emit(struct rem_transform *t, bool final, bool caught_up,
                       const struct rem_body_filter *next) REM_MUST_CHECK;

/* Notes whether the filter holds something for want of room (enum rem_filter_holds). */
void rem_transform_hold(const struct rem_transform *t, enum rem_filter_holds filter, bool holds);

/* Of the block. */
static inline size_t rem_transform_room(const struct rem_transform *t)
{
    return (size_t)(t->block->end - t->block->buf.last);
}

#endif
