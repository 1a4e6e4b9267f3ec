/* SPDX-License-Identifier: Apache-2.0 */
/* h1.h - reads HTTP/1 message heads as they arrive.
 *
 * Lifecycle:  init -> parse (REM_EAGAIN: read more and call again) -> REM_OK or an error; to
 *             read the next message, init again.
 * Contract:   each call passes a buffer with all of the head received so far, from its first
 *             byte.  The parser remembers what it has seen and looks at no byte twice; meanwhile
 *             the caller may move the bytes elsewhere.  On REM_OK all rem_str's point into the
 *             buffer of that last call, which must live as long as they are used; head_size
 *             bytes of it are the head, the rest belongs to the body.  Before REM_OK only
 *             `status` and `reason` mean anything.
 * Strictness: RFC 9112; where that leaves a choice, whatever keeps two parsers from reading two
 *             different messages.  A line may end in LF alone (nginx takes that, and so do its
 *             users' scripts), a bare CR is an error.
 * Not here:   bodies (see chunk.h), meaning of targets beyond their syntax (see uri.h).  */
#ifndef REM_WIRE_H1_H
#define REM_WIRE_H1_H

#include "proto/wire/field.h"
#include "proto/wire/uri.h"

enum rem_method {
    REM_METHOD_OTHER = 0,
    REM_METHOD_GET,
    REM_METHOD_HEAD,
    REM_METHOD_POST,
    REM_METHOD_PUT,
    REM_METHOD_DELETE,
    REM_METHOD_OPTIONS,
    REM_METHOD_PATCH,
    REM_METHOD_CONNECT,
    REM_METHOD_TRACE,
    REM_METHOD_MKCOL,
    REM_METHOD_COPY,
    REM_METHOD_MOVE,
    REM_METHOD_PROPFIND,
    REM_METHOD_PROPPATCH,
    REM_METHOD_LOCK,
    REM_METHOD_UNLOCK,
    REM_METHODS
};

/* How the end of a body is found. */
enum rem_framing {
    REM_FRAMING_NONE = 0,    /* no body */
    REM_FRAMING_LENGTH,      /* `content_length` bytes (may be 0) */
    REM_FRAMING_CHUNKED,     /* see chunk.h */
    REM_FRAMING_UNTIL_CLOSE, /* responses only */
};

struct rem_h1_limits {
    uint32_t max_line;   /* bytes of the request line or of a field line, line end included */
    uint32_t max_head;   /* bytes of the head */
    uint32_t max_fields; /* field lines */
    bool underscores;    /* underscores_in_headers: off drops such fields */
    bool ignore_invalid; /* ignore_invalid_headers: on drops fields whose name is odd */
    bool connect;        /* CONNECT is served (else 405) */
    bool trace;          /* TRACE is served (else 405) */
};

/* What nginx has by default: 8k lines, 32k heads, 1000 fields, no underscores, odd names
 * dropped. */
extern const struct rem_h1_limits rem_h1_limits_default;

/* Bits of rem_h1_head.flags. */
enum rem_h1_flag {
    REM_H1_CLOSE = 1 << 0,           /* Connection: close */
    REM_H1_KEEP_ALIVE = 1 << 1,      /* Connection: keep-alive */
    REM_H1_UPGRADE = 1 << 2,         /* Connection: upgrade together with an Upgrade field */
    REM_H1_EXPECT_CONTINUE = 1 << 3, /* Expect: 100-continue, HTTP/1.1 and later */
    REM_H1_HAS_LENGTH = 1 << 4,      /* a valid Content-Length was given (framing may ignore it) */
    REM_H1_LF_ONLY = 1 << 5,         /* some line ended without CR */
    REM_H1_BAD_LINE = 1 << 6,        /* refused for the field's line that the cursor is in */
};

/* Where an unfinished head was left; offsets from the start of the buffer.  Private to h1*.c. */
struct rem_h1_cursor {
    uint32_t at;    /* the first byte not looked at */
    uint32_t line;  /* where the current line starts */
    uint32_t mark;  /* where the current token starts */
    uint32_t mark2; /* the end of the token before it */
    uint32_t lines; /* field lines seen, dropped ones included */
    uint8_t state;
    uint8_t odd;   /* what is unusual about the current name */
    uint8_t kind;  /* request, response or trailers */
    uint8_t empty; /* empty lines before the request line */
};

/* What requests, responses and trailers have in common. */
struct rem_h1_head {
    struct rem_fields fields; /* without those dropped */
    uint64_t content_length;  /* with REM_H1_HAS_LENGTH or REM_FRAMING_LENGTH */
    uint32_t head_size;       /* bytes up to and with the empty line */
    uint16_t flags;           /* enum rem_h1_flag */
    uint8_t framing;          /* enum rem_framing */
    uint8_t minor;            /* HTTP/1.minor as received, 0..9; above 1 is to be taken as 1 */
    uint32_t dropped;         /* fields left out: underscores, odd names */

    /* After an error: */
    uint16_t status; /* what to answer: 400, 405, 414, 417, 431, 500, 501, 505; 502 for responses */
    const char *reason; /* static, for the log: "client sent invalid header line" */

    const struct rem_h1_limits *limits; /* borrowed; outlives the parse */
    struct rem_h1_cursor cursor;
};

struct rem_h1_request {
    struct rem_h1_head head;
    enum rem_method method;
    struct rem_str method_text;
    struct rem_str line;           /* "GET / HTTP/1.1", without line end; for $request */
    struct rem_str target;         /* as received */
    struct rem_target uri;         /* the same, taken apart */
    struct rem_authority host;     /* of an absolute target, else of Host; host.host.n == 0: none */
    const struct rem_field *field; /* the Host field, or NULL */
};

struct rem_h1_response {
    struct rem_h1_head head;
    uint16_t code;         /* 100..999 */
    struct rem_str reason; /* may be empty */
    struct rem_str line;   /* "HTTP/1.1 200 OK", without line end */
};

/* The request a response answers, as far as framing depends on it. */
enum rem_h1_asked {
    REM_H1_ASKED_OTHER = 0,
    REM_H1_ASKED_HEAD,
    REM_H1_ASKED_CONNECT,
};

/* Borrows: limits and arena, for as long as the parser is used. */
void rem_h1_request_init(struct rem_h1_request *req, const struct rem_h1_limits *limits,
                         struct rem_arena *arena);

/* Errors: REM_EAGAIN (head not complete), REM_EPROTO, REM_ETOOBIG (414, 431), REM_EUNSUPPORTED
 * (501, 505, 405, 417), REM_ENOMEM (500).  After an error other than REM_EAGAIN the connection
 * cannot be used for further requests. */
int rem_h1_request_parse(struct rem_h1_request *req, const char *buf, size_t n) REM_MUST_CHECK;

/* What can be told of a request that failed, or is unfinished, for logs and error pages: if its
 * request line was whole, method, target (taken apart if it can be) and the fields before the line
 * that failed come to point into `buf`.  No such field is to be passed on: all are marked
 * REM_FIELD_HOP.
 * Returns: false, with nothing changed, where the request line was not whole. */
bool rem_h1_request_salvage(struct rem_h1_request *req, const char *buf);

/* Why a head was refused, for the log: `reason`, with the field's line up to the byte that was
 * wrong where it was one.  `buf`, `n` as in the last parse.  Without memory: the reason alone. */
const char *rem_h1_refusal(const struct rem_h1_head *head, const char *buf, size_t n,
                           struct rem_arena *arena);

/* Where a walk through the lines of a head is; begins as zeros. */
struct rem_h1_walk {
    size_t at;      /* the next line */
    uint32_t field; /* the first field behind it */
};

/* The next line that a complete request's fields leave out.  `buf` as in the last parse.
 * Returns: whether there is one. */
bool rem_h1_next_left_out(const struct rem_h1_request *req, const char *buf,
                          struct rem_h1_walk *walk, struct rem_str *line);

/* As far as the client got with its request line: for the log of a request that failed or is
 * unfinished.  `buf`, `n` as in the last parse. */
struct rem_str rem_h1_request_seen_line(const struct rem_h1_request *req, const char *buf,
                                        size_t n);

/* The host that such a request asked for, as far as lines before the one that failed say so: that
 * of an absolute target or of CONNECT, else of the first Host line.  Borrows from `buf`.
 * Returns: false if there is none, or none that is valid. */
bool rem_h1_request_seen_host(const struct rem_h1_request *req, const char *buf, size_t n,
                              struct rem_authority *out);

void rem_h1_response_init(struct rem_h1_response *resp, const struct rem_h1_limits *limits,
                          struct rem_arena *arena);

/* Errors: as for requests; `status` is 502 (500 without memory).  A 1xx head is returned as any
 * other: init again for the one that follows it. */
int rem_h1_response_parse(struct rem_h1_response *resp, enum rem_h1_asked asked, const char *buf,
                          size_t n) REM_MUST_CHECK;

/* The end of input came.  Returns: whether nothing at all had arrived. */
bool rem_h1_is_untouched(const struct rem_h1_head *head);

/* Whether the connection persists after the message, as far as the head says
 * (RFC 9112 section 9.3). */
static inline bool rem_h1_persists(const struct rem_h1_head *head)
{
    if (head->flags & REM_H1_CLOSE || head->framing == REM_FRAMING_UNTIL_CLOSE)
        return false;
    return head->minor >= 1 || (head->flags & REM_H1_KEEP_ALIVE);
}

/* Trailers: field lines up to an empty line, with the same rules; `head->fields` gets them. */
void rem_h1_trailers_init(struct rem_h1_head *head, const struct rem_h1_limits *limits,
                          struct rem_arena *arena);
int rem_h1_trailers_parse(struct rem_h1_head *head, const char *buf, size_t n) REM_MUST_CHECK;

/* REM_METHOD_OTHER for methods without a name here.  Methods are case-sensitive. */
enum rem_method rem_method_parse(struct rem_str text);
/* "GET"; empty for REM_METHOD_OTHER. */
struct rem_str rem_method_name(enum rem_method method);

#endif
