/* SPDX-License-Identifier: Apache-2.0 */
/* put.h - writes message heads into memory of the caller.
 *
 * Contract:   nothing is ever written past `end`; what did not fit sets `full`, and everything
 *             after it is left out too, so that callers look once, at the end.
 *             Values are written as given: whoever takes text from a configuration or a script
 *             makes sure that it holds no line ends (rem_put_is_value).  */
#ifndef REM_WIRE_PUT_H
#define REM_WIRE_PUT_H

#include "proto/wire/field.h"

struct rem_put {
    char *at;
    char *end;
    char *start;
    bool full;
};

static inline void rem_put_init(struct rem_put *put, void *memory, size_t size)
{
    *put = (struct rem_put){memory, (char *)memory + size, memory, false};
}

/* What has been written so far. */
static inline struct rem_str rem_put_str(const struct rem_put *put)
{
    return (struct rem_str){put->start, (size_t)(put->at - put->start)};
}

static inline size_t rem_put_room(const struct rem_put *put)
{
    return (size_t)(put->end - put->at);
}

/* Claims `n` bytes; NULL (and full) where there are fewer. */
static inline char *rem_put_claim(struct rem_put *put, size_t n)
{
    char *at = put->at;

    if (REM_UNLIKELY(rem_put_room(put) < n || put->full)) {
        put->full = true;
        return NULL;
    }
    put->at += n;
    return at;
}

static inline void rem_put_bytes(struct rem_put *put, const void *p, size_t n)
{
    char *at = rem_put_claim(put, n);

    if (REM_LIKELY(at != NULL) && n != 0)
        memcpy(at, p, n);
}

static inline void rem_put_add(struct rem_put *put, struct rem_str s)
{
    rem_put_bytes(put, s.p, s.n);
}

/* From a string literal: its size is known, so the copy is a few stores. */
#define REM_PUT(put, literal) rem_put_bytes((put), (literal), sizeof(literal) - 1)

static inline void rem_put_char(struct rem_put *put, char c)
{
    char *at = rem_put_claim(put, 1);

    if (REM_LIKELY(at != NULL))
        *at = c;
}

static inline void rem_put_crlf(struct rem_put *put)
{
    REM_PUT(put, "\r\n");
}

/* "name: value\r\n" */
static inline void rem_put_field(struct rem_put *put, struct rem_str name, struct rem_str value)
{
    char *at = rem_put_claim(put, name.n + value.n + 4);

    if (REM_UNLIKELY(at == NULL))
        return;
    if (name.n != 0)
        memcpy(at, name.p, name.n);
    at += name.n;
    *at++ = ':';
    *at++ = ' ';
    if (value.n != 0)
        memcpy(at, value.p, value.n);
    at += value.n;
    *at++ = '\r';
    *at = '\n';
}

/* REM_PUT_FIELD(put, "Server", value): the name is a literal. */
#define REM_PUT_FIELD(put, literal, value) rem_put_field((put), REM_STR(literal), (value))

static inline size_t rem_put_field_size(struct rem_str name, struct rem_str value)
{
    return name.n + value.n + 4;
}

/* Decimal. */
void rem_put_u64(struct rem_put *put, uint64_t value);
/* "name: 123\r\n" */
void rem_put_field_u64(struct rem_put *put, struct rem_str name, uint64_t value);
/* Lower-case hexadecimal without leading zeros. */
void rem_put_hex(struct rem_put *put, uint64_t value);

/* What stands for a byte in a JSON string, where it cannot stand for itself: \n, \u001F.
 * Returns: its length; 0 where it can. */
enum { REM_JSON_CODE_MAX = 6 };
size_t rem_json_code(char *code, char c);

/* "HTTP/1.1 404 Not Found\r\n"; an empty reason means the usual one for the code. */
void rem_put_status_line(struct rem_put *put, unsigned code, struct rem_str reason);
/* "GET /path HTTP/1.1\r\n", minor 0 or 1. */
void rem_put_request_line(struct rem_put *put, struct rem_str method, struct rem_str target,
                          unsigned minor);

/* All fields but those with REM_FIELD_HOP. */
void rem_put_fields(struct rem_put *put, const struct rem_fields *fields);

/* Upper bounds of what the above write; a caller adds them up to size its memory. */
size_t rem_put_fields_size(const struct rem_fields *fields);
static inline size_t rem_put_status_line_size(struct rem_str reason)
{
    return sizeof("HTTP/1.1 200 \r\n") + (reason.n > 40 ? reason.n : 40);
}
static inline size_t rem_put_request_line_size(struct rem_str method, struct rem_str target)
{
    return method.n + target.n + sizeof("  HTTP/1.1\r\n");
}

/* Room for any number in decimal. */
enum { REM_PUT_U64_MAX = 20 };

/* The phrase of a status code ("Not Found"); for unknown codes an empty string. */
struct rem_str rem_status_reason(unsigned code);

/* Whether text may stand as a field value or a target: no NUL, CR, LF or other control bytes
 * (HTAB aside). */
bool rem_put_is_value(struct rem_str s);
/* Whether text is a token and so may stand as a field name or method. */
bool rem_put_is_token(struct rem_str s);

#endif
