/* SPDX-License-Identifier: Apache-2.0 */
/* h1_priv.h - what the parsers of requests, responses and trailers share. */
#ifndef REM_WIRE_H1_PRIV_H
#define REM_WIRE_H1_PRIV_H

#include "proto/base/err.h"
#include "proto/wire/h1.h"
#include "proto/wire/scan.h"

enum rem_h1_kind {
    REM_H1_REQUEST = 0,
    REM_H1_RESPONSE,
    REM_H1_TRAILERS,
};

/* In the order of a message.  Each says what the byte at `cursor.at` may be. */
enum rem_h1_state {
    REM_H1_START = 0,    /* request: an empty line, or the method's first byte */
    REM_H1_START_LF,     /* request: LF of an empty line before the request line */
    REM_H1_METHOD,       /* mark: its start */
    REM_H1_TARGET,       /* mark: its start */
    REM_H1_VERSION,      /* "HTTP/1.1"; mark: its start */
    REM_H1_VERSION_END,  /* line end (request), SP (response) */
    REM_H1_CODE,         /* response: three digits; mark: their start */
    REM_H1_CODE_END,     /* response: SP or line end */
    REM_H1_REASON,       /* response; mark: its start */
    REM_H1_START_END_LF, /* LF of the start line */
    REM_H1_FIELD,        /* a field's first byte, or the empty line */
    REM_H1_NAME,         /* line: its start */
    REM_H1_NAME_WS,      /* response: whitespace before the colon; mark2: end of the name */
    REM_H1_OWS,          /* before the value; mark2: end of the name */
    REM_H1_VALUE,        /* mark: its start, mark2: end of the name */
    REM_H1_VALUE_LF,     /* LF of the field line; the field is appended */
    REM_H1_END_LF,       /* LF of the empty line */
    REM_H1_DONE,
};

/* Until a head is complete, the pointers of its strings hold offsets, so that the buffer may
 * move. */
static inline struct rem_str rem_h1_offset(uint32_t from, uint32_t to)
{
    return (struct rem_str){(const char *)(uintptr_t)from, to - from};
}

static inline struct rem_str rem_h1_resolve(struct rem_str s, const char *buf)
{
    return (struct rem_str){buf + (uintptr_t)s.p, s.n};
}

void rem_h1_head_init(struct rem_h1_head *head, unsigned kind, unsigned state,
                      const struct rem_h1_limits *limits, struct rem_arena *arena);

/* Notes why a head is refused; returns `code`.  Requests get `status`, responses 502. */
int rem_h1_fail(struct rem_h1_head *head, int code, unsigned status, const char *reason);

/* The same for what is wrong with the field's line that is being read. */
int rem_h1_fail_line(struct rem_h1_head *head, int code, unsigned status, const char *reason);

/* How far the current line may be looked at: n, or less where a limit comes first. */
uint32_t rem_h1_bound(const struct rem_h1_head *head, size_t n);

/* All bytes up to `bound` are seen and the line has not ended: REM_EAGAIN, or REM_ETOOBIG where
 * the bound was a limit. */
int rem_h1_more(struct rem_h1_head *head, uint32_t bound, size_t n);

/* Steps through REM_H1_VERSION.  `bound` as above.  Leaves the state at REM_H1_VERSION_END. */
int rem_h1_version_step(struct rem_h1_head *head, const char *buf, size_t n, uint32_t bound);

/* Steps from REM_H1_FIELD to the end of the head.  REM_OK: complete, strings still offsets. */
int rem_h1_fields_step(struct rem_h1_head *head, const char *buf, size_t n);

/* What the fields say about the connection and the body; makes their strings point into `buf`.
 * Framing is as for a request: responses correct it. */
int rem_h1_fields_finish(struct rem_h1_head *head, const char *buf);

#endif
