/* SPDX-License-Identifier: Apache-2.0 */
/* relay.h - a response's body on its way from the server to the client, in bounded memory.
 *
 * Blocks:     bytes are read into blocks and lent to the client's codec from where they lie; a
 *             block goes back to its pool when nothing of it is lent.  The blocks of one exchange
 *             are bounded by proxy_buffers.
 * Order:      [lent to the codec] [temporary file] [pending in memory] [not yet read].
 * Pressure:   the codec says when it is full.  Unbuffered: nothing is read then.  Buffered: reading
 *             goes on until the blocks are used up, then pending bytes go to the temporary file,
 *             and when that has its size too, reading stops.  */
#ifndef REM_UPSTREAM_RELAY_H
#define REM_UPSTREAM_RELAY_H

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proxy/http/rate.h"

struct rem_relay;
struct rem_upstream_exchange;
struct rem_worker;

enum {
    REM_RELAY_BUFS = 8,           /* lent at a time from one block */
    REM_RELAY_BIG = 65536 + 1024, /* a block for bodies known to be large, header included */
    REM_RELAY_ROUNDS = 16,        /* reads in a row before others get their turn */
};

enum rem_relay_kind {
    REM_RELAY_LARGE = 0, /* from worker->large */
    REM_RELAY_BIGGER,    /* from the upstreams' pool of REM_RELAY_BIG */
    REM_RELAY_MALLOC,    /* larger than these */
};

struct rem_relay_block {
    struct rem_relay *relay; /* whose budget it counts against */
    uint32_t refs;           /* bufs lent or pending, the reader, and whoever keeps the head */
    uint32_t size;           /* of data */
    uint8_t kind;            /* enum rem_relay_kind */
    uint8_t n_bufs;          /* used since the block was last empty */
    bool counted;            /* against the budget */
    bool lent;               /* some of it is, or was since it was last empty */
    char *last;              /* bytes [data, last) are filled */
    struct rem_buf bufs[REM_RELAY_BUFS];
    char data[];
};

struct rem_relay_file {
    int fd;        /* -1: none */
    off_t sent;    /* handed to the codec up to here */
    off_t written; /* the file's end */
    bool lent;     /* `buf` is with the codec */
    bool failed;   /* it could not be made, or grow: the disk is full... */
    struct rem_buf buf;
};

struct rem_relay {
    struct rem_upstream_exchange *exchange;
    struct rem_worker *worker;
    struct rem_relay_block *in;   /* being read into */
    struct rem_relay_block *head; /* kept: the head's fields point into it */
    char *pos;                    /* [pos, in->last) was read and not looked at */
    struct rem_buf *pending;      /* body bytes not handed to the codec */
    struct rem_buf **tail;
    size_t held;   /* bytes of blocks that are out */
    size_t lent;   /* bytes of blocks of which something is lent */
    size_t budget; /* the most of them */
    bool buffering;
    bool handed;      /* the codec was given something, be it only to flush the head */
    bool down_full;   /* the codec wants no more */
    bool starved;     /* waits for lent bytes to come back */
    bool paused;      /* nothing is read for now, because the client is slow */
    bool input_done;  /* the body's end has been read */
    bool broken;      /* there is no more of it, and its end has not been read */
    bool final_sent;  /* ... and handed to the codec */
    bool surplus;     /* bytes came behind it */
    bool detached;    /* the client has gone, and the rest is read for others */
    bool delayed;     /* nothing is read until the rate allows more */
    bool filled;      /* the last read filled its room: more may be coming */
    bool drained;     /* the last read found nothing */
    int64_t expected; /* body bytes still to come, -1: unknown; for the size of blocks */
    uint64_t got;     /* body bytes read; for the rate */
    uint64_t wait_ms; /* while delayed: for how long */
    struct rem_rate rate;
    struct rem_relay_file file;
    struct rem_buf final;
};

/* Before every try; blocks of an earlier one that nobody uses are reused. */
void rem_relay_reset(struct rem_upstream_exchange *x);

/* Lets go of everything but what is lent and the head. */
void rem_relay_fini(struct rem_upstream_exchange *x);

/* Lets go of the head too: nobody looks at the response's fields any more. */
void rem_relay_drop_head(struct rem_upstream_exchange *x);

/* Makes sure that there is a block with room.  Errors: REM_EAGAIN (budget), REM_ENOMEM. */
int rem_relay_room(struct rem_upstream_exchange *x) REM_MUST_CHECK;

/* Keeps the block the head lies in until fini. */
void rem_relay_keep_head(struct rem_upstream_exchange *x);

/* Whether a recv is worth trying.  A reset that came together with the last bytes shows only when
 * the socket is asked again, so while the response is incomplete a short read is no end. */
bool rem_relay_may_read(const struct rem_upstream_exchange *x);

/* One recv from the server into the current block.  Returns: bytes, or REM_EAGAIN, REM_ECLOSED,
 * REM_EIO, REM_ENOMEM. */
ssize_t rem_relay_recv(struct rem_upstream_exchange *x) REM_MUST_CHECK;

/* Has the protocol look at what was read; body bytes become pending.  Errors: those of
 * input_filter. */
int rem_relay_feed(struct rem_upstream_exchange *x) REM_MUST_CHECK;

/* Moves what can be moved now.  Returns: REM_OK (all of the response is with the codec),
 * REM_EAGAIN, or why not: REM_ECLOSED and REM_EIO (the server's connection), REM_EPROTO,
 * REM_ETOOBIG (what it sent), REM_ENOMEM, REM_EACCES (the client has gone). */
int rem_relay_move(struct rem_upstream_exchange *x) REM_MUST_CHECK;

/* Hands on what was read of a response that broke off (`broken`).  Returns: REM_OK when nothing of
 * it is left with us or the codec, REM_EAGAIN, REM_ENOMEM, REM_EACCES (the client has gone). */
int rem_relay_rest(struct rem_upstream_exchange *x) REM_MUST_CHECK;

/* The client has gone: the rest of the response is read all the same, and given to nobody. */
void rem_relay_detach(struct rem_upstream_exchange *x);

/* Whether the exchange is waiting for bytes from the server (else for the client's reading). */
bool rem_relay_wants_input(const struct rem_upstream_exchange *x);

/* spill.c: writes pending bytes to the temporary file until some blocks are free.
 * Errors: REM_EAGAIN (the file may not grow, or cannot: the server has to wait for the client). */
int rem_spill_write(struct rem_upstream_exchange *x) REM_MUST_CHECK;
/* The file's bytes as a buf for the codec; NULL: none, or the last one is still with it. */
struct rem_buf *rem_spill_take(struct rem_upstream_exchange *x);
void rem_spill_fini(struct rem_upstream_exchange *x);

#endif
