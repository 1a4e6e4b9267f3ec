/* SPDX-License-Identifier: Apache-2.0 */
/* chunk.h - the chunked transfer coding, both ways (RFC 9112 section 7.1).
 *
 * Lifecycle:  init -> decode until REM_OK with no data (the end) or an error.
 * Contract:   bytes are passed once; data comes back as runs inside the caller's input, never
 *             copied.  Only trailers are copied (to the arena, bounded by the limits).
 * Strictness: sizes are hexadecimal digits only, line ends are CR LF, extensions are checked and
 *             ignored, and what they may cost is bounded.  */
#ifndef REM_WIRE_CHUNK_H
#define REM_WIRE_CHUNK_H

#include "proto/wire/h1.h"
#include "proto/wire/put.h"

/* Larger chunks are refused, so that sums of sizes cannot overflow. */
#define REM_CHUNK_MAX_SIZE (UINT64_C(1) << 60)

enum {
    REM_CHUNK_HEAD_MAX = 18,        /* 16 hexadecimal digits, CR, LF */
    REM_CHUNK_MAX_LINE = 4096,      /* a size line with its extensions */
    REM_CHUNK_OVERHEAD_MIN = 16384, /* bytes of extensions and zeros any body may have, */
    REM_CHUNK_OVERHEAD_PART = 4,    /* plus this part (a quarter) of its data */
};

struct rem_chunk_decoder {
    uint64_t left;     /* of the current chunk, or the size read so far */
    uint64_t total;    /* bytes of data returned */
    uint64_t overhead; /* bytes of zeros and extensions */
    uint32_t line;     /* bytes of the current size line */
    uint8_t state;
    uint8_t digits; /* whether the size has any */

    struct rem_h1_head trailers; /* .fields: complete once the end was returned */
    struct rem_arena *arena;     /* borrowed; NULL: a body with trailers is an error */
    char *buf;                   /* trailer section so far, in the arena */
    uint32_t buf_n;
    uint32_t buf_size;

    const char *reason; /* after an error: static text for the log */
};

/* Borrows: limits (for trailers) and arena. */
void rem_chunk_decoder_init(struct rem_chunk_decoder *d, const struct rem_h1_limits *limits,
                            struct rem_arena *arena);

/* Decodes from `in`; *used says how much of it is done with (data returned included).
 * Returns REM_OK with data->n > 0: a run of body bytes, call again with the rest of the input;
 *         REM_OK with data->n == 0: the body has ended, *used bytes belonged to it;
 *         REM_EAGAIN: all input is used, more is needed.
 * Errors: REM_EPROTO, REM_ETOOBIG (overhead, trailers), REM_ENOMEM. */
int rem_chunk_decode(struct rem_chunk_decoder *d, const char *in, size_t n, size_t *used,
                     struct rem_str *data) REM_MUST_CHECK;

/* Whether the end of the body was returned. */
bool rem_chunk_is_done(const struct rem_chunk_decoder *d);

/* Writes the size line of a chunk of `size` > 0 bytes to at least REM_CHUNK_HEAD_MAX bytes;
 * CR LF must follow the data.  Returns: its length. */
size_t rem_chunk_head(char *at, uint64_t size);

/* What follows the data of a chunk, and what ends a body without trailers. */
#define REM_CHUNK_TAIL REM_STR("\r\n")
#define REM_CHUNK_LAST REM_STR("0\r\n\r\n")

/* The last chunk with trailers (NULL: none); fields flagged hop-by-hop are left out. */
void rem_chunk_put_last(struct rem_put *put, const struct rem_fields *trailers);

/* Whether a field may stand in trailers: not framing, routing, or connection control
 * (RFC 9110 section 6.5.1). */
bool rem_chunk_trailer_allowed(enum rem_field_id id);

#endif
