/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/h1_priv.h"

const struct rem_h1_limits rem_h1_limits_default = {
    .max_line = 8192,
    .max_head = 32768,
    .max_fields = 1000,
    .ignore_invalid = true,
};

void rem_h1_head_init(struct rem_h1_head *head, unsigned kind, unsigned state,
                      const struct rem_h1_limits *limits, struct rem_arena *arena)
{
    *head = (struct rem_h1_head){
        .limits = limits,
        .cursor = {.state = (uint8_t)state, .kind = (uint8_t)kind},
    };
    rem_fields_init(&head->fields, arena);
}

bool rem_h1_is_untouched(const struct rem_h1_head *head)
{
    return head->cursor.at == 0;
}

int rem_h1_fail(struct rem_h1_head *head, int code, unsigned status, const char *reason)
{
    if (head->cursor.kind == REM_H1_RESPONSE && status != 500)
        status = 502;
    head->status = (uint16_t)status;
    head->reason = reason;
    return code;
}

int rem_h1_fail_line(struct rem_h1_head *head, int code, unsigned status, const char *reason)
{
    head->flags |= REM_H1_BAD_LINE;
    return rem_h1_fail(head, code, status, reason);
}

uint32_t rem_h1_bound(const struct rem_h1_head *head, size_t n)
{
    uint64_t bound = (uint64_t)head->cursor.line + head->limits->max_line;

    if (bound > head->limits->max_head)
        bound = head->limits->max_head;
    return (uint32_t)(n < bound ? n : bound);
}

int rem_h1_more(struct rem_h1_head *head, uint32_t bound, size_t n)
{
    const struct rem_h1_cursor *cursor = &head->cursor;

    if (bound == n && rem_h1_bound(head, SIZE_MAX) > n)
        return REM_EAGAIN;
    if (cursor->kind == REM_H1_RESPONSE)
        return rem_h1_fail(head, REM_ETOOBIG, 502, "upstream sent too big header");
    if (cursor->state < REM_H1_FIELD)
        return rem_h1_fail(head, REM_ETOOBIG, 414, "client sent too long URI");
    if (cursor->kind == REM_H1_TRAILERS)
        return rem_h1_fail(head, REM_ETOOBIG, 431, "client sent too large trailers");
    if (bound >= head->limits->max_head)
        return rem_h1_fail(head, REM_ETOOBIG, 431, "client sent too large request");
    return rem_h1_fail_line(head, REM_ETOOBIG, 431, "client sent too long header line");
}

static int bad_version(struct rem_h1_head *head)
{
    if (head->cursor.kind == REM_H1_RESPONSE)
        return rem_h1_fail(head, REM_EPROTO, 502, "upstream sent no valid HTTP/1.0 header");
    return rem_h1_fail(head, REM_EPROTO, 400, "client sent invalid request line");
}

static bool is_version_byte(size_t i, char c)
{
    return i == 5 || i == 7 ? rem_is_digit(c) : c == "HTTP/1.1"[i];
}

int rem_h1_version_step(struct rem_h1_head *head, const char *buf, size_t n, uint32_t bound)
{
    struct rem_h1_cursor *cursor = &head->cursor;
    const char *version = buf + cursor->mark;

    if (cursor->at == cursor->mark && bound - cursor->mark >= 8 &&
        memcmp(version, "HTTP/1.", 7) == 0 && rem_is_digit(version[7]))
        cursor->at += 8;
    while (cursor->at - cursor->mark < 8) {
        if (cursor->at == bound)
            return rem_h1_more(head, bound, n);
        if (!is_version_byte(cursor->at - cursor->mark, buf[cursor->at]))
            return bad_version(head);
        cursor->at++;
    }
    if (version[5] != '1') {
        if (cursor->kind == REM_H1_RESPONSE || version[5] == '0')
            return bad_version(head);
        return rem_h1_fail(head, REM_EUNSUPPORTED, 505, "client sent invalid version");
    }
    head->minor = (uint8_t)(version[7] - '0');
    cursor->state = REM_H1_VERSION_END;
    return REM_OK;
}

static const char *const methods[REM_METHODS] = {
    "",      "GET",   "HEAD", "POST", "PUT",      "DELETE",    "OPTIONS", "PATCH",  "CONNECT",
    "TRACE", "MKCOL", "COPY", "MOVE", "PROPFIND", "PROPPATCH", "LOCK",    "UNLOCK",
};

enum rem_method rem_method_parse(struct rem_str text)
{
    if (text.n == 3 && memcmp(text.p, "GET", 3) == 0)
        return REM_METHOD_GET;
    for (int method = REM_METHOD_HEAD; method < REM_METHODS; method++)
        if (rem_str_is(text, methods[method]))
            return (enum rem_method)method;
    return REM_METHOD_OTHER;
}

struct rem_str rem_method_name(enum rem_method method)
{
    return rem_str_from((unsigned)method < REM_METHODS ? methods[method] : "");
}
