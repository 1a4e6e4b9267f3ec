/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/chunk.h"

#include "proto/base/err.h"
#include "proto/wire/scan.h"

/* In the order of a chunk.  Extensions are BWS ";" BWS token [ BWS "=" BWS ( token / quoted ) ],
 * any number of times (RFC 9112 section 7.1.1). */
enum state {
    SIZE = 0, /* hexadecimal digits */
    SIZE_WS,  /* whitespace after them: only ";" may follow */
    EXT,      /* after ";": whitespace or the first byte of a name */
    EXT_NAME,
    EXT_NAME_WS, /* "=" or ";" may follow */
    EXT_VALUE,   /* after "=": whitespace or the first byte of a value */
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPED, /* after a backslash within quotes */
    EXT_END,     /* after a value: whitespace, ";" or the line end */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LAST,    /* after the last chunk: CR of the final line, or trailers */
    LAST_LF, /* its LF */
    TRAILERS,
    DONE,
    FAILED,
};

/* What a step returns to go on. */
enum { STEP_ON = 1 };

enum { TRAILERS_FIRST_SIZE = 256 };

void rem_chunk_decoder_init(struct rem_chunk_decoder *d, const struct rem_h1_limits *limits,
                            struct rem_arena *arena)
{
    *d = (struct rem_chunk_decoder){.arena = arena};
    rem_h1_trailers_init(&d->trailers, limits, arena);
}

bool rem_chunk_is_done(const struct rem_chunk_decoder *d)
{
    return d->state == DONE;
}

static int fail(struct rem_chunk_decoder *d, int code, const char *reason)
{
    d->state = FAILED;
    d->reason = reason;
    return code;
}

static int bad_size(struct rem_chunk_decoder *d)
{
    return fail(d, REM_EPROTO, "invalid chunk size line");
}

/* One byte of a size line that is not needed to carry data.  Small chunks with long extensions
 * would otherwise make the work per byte of body unbounded. */
static int spend(struct rem_chunk_decoder *d)
{
    uint64_t allowed = REM_CHUNK_OVERHEAD_MIN + d->total / REM_CHUNK_OVERHEAD_PART;

    if (++d->line > REM_CHUNK_MAX_LINE || ++d->overhead > allowed)
        return fail(d, REM_ETOOBIG, "too many bytes of chunk extensions");
    return REM_OK;
}

/* A digit of a size, or what ends it. */
static int size_step(struct rem_chunk_decoder *d, char c)
{
    int digit = rem_hex_value(c);

    if (digit >= 0) {
        if (d->digits && d->left == 0 && spend(d) != REM_OK)
            return REM_ETOOBIG;
        if (d->left > REM_CHUNK_MAX_SIZE / 16)
            return fail(d, REM_EPROTO, "chunk size is too large");
        d->left = d->left * 16 + (unsigned)digit;
        d->digits = 1;
        return STEP_ON;
    }
    if (!d->digits)
        return bad_size(d);
    switch (c) {
    case '\r':
        d->state = SIZE_LF;
        return STEP_ON;
    case ';':
        d->state = EXT;
        return STEP_ON;
    case ' ':
    case '\t':
        d->state = SIZE_WS;
        return STEP_ON;
    default:
        return bad_size(d);
    }
}

/* The state after byte `c` of an extension, or FAILED. */
static enum state ext_next(enum state state, char c)
{
    bool space = c == ' ' || c == '\t';
    bool token = rem_scan_is(c, REM_SCAN_TOKEN);

    switch (state) {
    case SIZE_WS:
        return space ? SIZE_WS : c == ';' ? EXT : FAILED;
    case EXT:
        return space ? EXT : token ? EXT_NAME : FAILED;
    case EXT_NAME:
        if (token)
            return EXT_NAME;
        return space ? EXT_NAME_WS : c == '=' ? EXT_VALUE : c == ';' ? EXT : FAILED;
    case EXT_NAME_WS:
        return space ? EXT_NAME_WS : c == '=' ? EXT_VALUE : c == ';' ? EXT : FAILED;
    case EXT_VALUE:
        return space ? EXT_VALUE : token ? EXT_TOKEN : c == '"' ? EXT_QUOTED : FAILED;
    case EXT_TOKEN:
        return token ? EXT_TOKEN : space ? EXT_END : c == ';' ? EXT : FAILED;
    case EXT_QUOTED:
        if (c == '"')
            return EXT_END;
        return c == '\\' ? EXT_ESCAPED : rem_scan_is(c, REM_SCAN_VALUE) ? EXT_QUOTED : FAILED;
    case EXT_ESCAPED:
        return rem_scan_is(c, REM_SCAN_VALUE) ? EXT_QUOTED : FAILED;
    default:
        return space ? EXT_END : c == ';' ? EXT : FAILED;
    }
}

static int ext_step(struct rem_chunk_decoder *d, char c)
{
    if (c == '\r' && (d->state == EXT_NAME || d->state == EXT_TOKEN || d->state == EXT_END)) {
        d->state = SIZE_LF;
        return STEP_ON;
    }
    if (spend(d) != REM_OK)
        return REM_ETOOBIG;
    d->state = (uint8_t)ext_next((enum state)d->state, c);
    return d->state == FAILED ? bad_size(d) : STEP_ON;
}

static int expect(struct rem_chunk_decoder *d, char c, char wanted, enum state next)
{
    if (c != wanted)
        return fail(d, REM_EPROTO, "invalid line end in chunked body");
    d->state = (uint8_t)next;
    return STEP_ON;
}

static int size_lf_step(struct rem_chunk_decoder *d, char c)
{
    d->line = 0;
    d->digits = 0;
    if (d->left > REM_CHUNK_MAX_SIZE - d->total)
        return fail(d, REM_EPROTO, "chunked body is too large");
    return expect(d, c, '\n', d->left != 0 ? DATA : LAST);
}

/* One byte outside data and trailers. */
static int byte_step(struct rem_chunk_decoder *d, char c)
{
    switch ((enum state)d->state) {
    case SIZE:
        return size_step(d, c);
    case SIZE_LF:
        return size_lf_step(d, c);
    case DATA_CR:
        return expect(d, c, '\r', DATA_LF);
    case DATA_LF:
        return expect(d, c, '\n', SIZE);
    case LAST_LF:
        return expect(d, c, '\n', DONE);
    default:
        return ext_step(d, c);
    }
}

static int grow_trailers(struct rem_chunk_decoder *d, size_t wanted)
{
    uint32_t size = d->buf_size != 0 ? d->buf_size : TRAILERS_FIRST_SIZE;
    char *buf;

    while (size < wanted)
        size *= 2;
    if (size == d->buf_size)
        return REM_OK;
    buf = rem_arena_alloc(d->arena, size);
    if (buf == NULL)
        return fail(d, REM_ENOMEM, "no memory for trailers");
    if (d->buf_n != 0)
        memcpy(buf, d->buf, d->buf_n);
    d->buf = buf;
    d->buf_size = size;
    return REM_OK;
}

static void drop_forbidden(struct rem_h1_head *trailers)
{
    uint32_t kept = 0;

    REM_FIELDS_EACH(field, &trailers->fields) {
        if (rem_chunk_trailer_allowed((enum rem_field_id)field->id))
            trailers->fields.v[kept++] = *field;
        else
            trailers->dropped++;
    }
    trailers->fields.n = kept;
}

/* Collects trailers until they are complete; *used counts those of the input. */
static int trailers_step(struct rem_chunk_decoder *d, const char *in, size_t n, size_t *used)
{
    uint32_t had = d->buf_n;
    /* One byte above the limit is enough for the parser to see that it is passed. */
    size_t room = (size_t)d->trailers.limits->max_head + 1 - had;
    size_t take = n < room ? n : room;
    int rc;

    if (d->arena == NULL)
        return fail(d, REM_EPROTO, "unexpected trailers");
    rc = grow_trailers(d, had + take);
    if (rc != REM_OK)
        return rc;
    memcpy(d->buf + had, in, take);
    d->buf_n += (uint32_t)take;
    rc = rem_h1_trailers_parse(&d->trailers, d->buf, d->buf_n);
    if (rc == REM_EAGAIN) {
        *used += take;
        return REM_EAGAIN;
    }
    if (rc != REM_OK)
        return fail(d, rc, d->trailers.reason);
    *used += d->trailers.head_size - had;
    drop_forbidden(&d->trailers);
    d->state = DONE;
    return REM_OK;
}

static struct rem_str data_run(struct rem_chunk_decoder *d, const char *in, size_t n)
{
    size_t run = n < d->left ? n : (size_t)d->left;

    d->left -= run;
    d->total += run;
    if (d->left == 0)
        d->state = DATA_CR;
    return rem_str_make(in, run);
}

int rem_chunk_decode(struct rem_chunk_decoder *d, const char *in, size_t n, size_t *used,
                     struct rem_str *data)
{
    size_t at = 0;

    *data = rem_str_make(in, 0);
    *used = 0;
    if (d->state == FAILED)
        return REM_EPROTO;
    while (d->state != DONE) {
        int rc;

        *used = at;
        if (at == n)
            return REM_EAGAIN;
        if (d->state == DATA) {
            *data = data_run(d, in + at, n - at);
            *used = at + data->n;
            return REM_OK;
        }
        if (d->state == LAST && in[at] != '\r')
            d->state = TRAILERS;
        if (d->state == TRAILERS)
            return trailers_step(d, in + at, n - at, used);
        if (d->state == LAST)
            rc = expect(d, in[at], '\r', LAST_LF);
        else
            rc = byte_step(d, in[at]);
        if (rc != STEP_ON)
            return rc;
        at++;
    }
    *used = at;
    return REM_OK;
}

size_t rem_chunk_head(char *at, uint64_t size)
{
    struct rem_put put;

    rem_put_init(&put, at, REM_CHUNK_HEAD_MAX);
    rem_put_hex(&put, size);
    rem_put_crlf(&put);
    return rem_put_str(&put).n;
}

bool rem_chunk_trailer_allowed(enum rem_field_id id)
{
    switch (id) {
    case REM_FIELD_HOST:
    case REM_FIELD_CONTENT_LENGTH:
    case REM_FIELD_CONTENT_ENCODING:
    case REM_FIELD_CONTENT_TYPE:
    case REM_FIELD_CONTENT_RANGE:
    case REM_FIELD_TRAILER:
    case REM_FIELD_EXPECT:
    case REM_FIELD_RANGE:
    case REM_FIELD_AUTHORIZATION:
    case REM_FIELD_PROXY_AUTHORIZATION:
    case REM_FIELD_PROXY_AUTHENTICATE:
    case REM_FIELD_WWW_AUTHENTICATE:
    case REM_FIELD_COOKIE:
    case REM_FIELD_SET_COOKIE:
    case REM_FIELD_CACHE_CONTROL:
    case REM_FIELD_LOCATION:
    case REM_FIELD_X_REAL_IP:
    case REM_FIELD_X_FORWARDED_FOR:
    case REM_FIELD_X_FORWARDED_HOST:
    case REM_FIELD_X_FORWARDED_PORT:
    case REM_FIELD_X_FORWARDED_PROTO:
    case REM_FIELD_FORWARDED:
        return false;
    default:
        return !rem_field_is_hop(id);
    }
}

void rem_chunk_put_last(struct rem_put *put, const struct rem_fields *trailers)
{
    REM_PUT(put, "0\r\n");
    if (trailers != NULL)
        rem_put_fields(put, trailers);
    rem_put_crlf(put);
}
