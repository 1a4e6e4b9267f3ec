/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/h1_priv.h"

enum { STEP_ON = 1 };

void rem_h1_response_init(struct rem_h1_response *resp, const struct rem_h1_limits *limits,
                          struct rem_arena *arena)
{
    *resp = (struct rem_h1_response){0};
    rem_h1_head_init(&resp->head, REM_H1_RESPONSE, REM_H1_VERSION, limits, arena);
}

static int bad_status_line(struct rem_h1_head *head)
{
    return rem_h1_fail(head, REM_EPROTO, 502, "upstream sent no valid HTTP/1.0 header");
}

static int version_end_step(struct rem_h1_head *head, const char *buf)
{
    struct rem_h1_cursor *cursor = &head->cursor;

    if (buf[cursor->at] != ' ')
        return bad_status_line(head);
    cursor->at++;
    cursor->mark = cursor->at;
    cursor->state = REM_H1_CODE;
    return STEP_ON;
}

static int code_step(struct rem_h1_response *resp, const char *buf, uint32_t bound)
{
    struct rem_h1_cursor *cursor = &resp->head.cursor;

    while (cursor->at - cursor->mark < 3) {
        if (cursor->at == bound)
            return STEP_ON;
        if (!rem_is_digit(buf[cursor->at]))
            return bad_status_line(&resp->head);
        resp->code = (uint16_t)(resp->code * 10 + (buf[cursor->at] - '0'));
        cursor->at++;
    }
    if (resp->code < 100)
        return bad_status_line(&resp->head);
    cursor->state = REM_H1_CODE_END;
    return STEP_ON;
}

static int line_end_step(struct rem_h1_response *resp, const char *buf)
{
    struct rem_h1_cursor *cursor = &resp->head.cursor;
    char c = buf[cursor->at];

    if (c != '\r' && c != '\n')
        return bad_status_line(&resp->head);
    resp->line = rem_h1_offset(0, cursor->at);
    resp->reason = rem_h1_offset(cursor->mark, cursor->at);
    cursor->at++;
    if (c == '\r') {
        cursor->state = REM_H1_START_END_LF;
    } else {
        resp->head.flags |= REM_H1_LF_ONLY;
        cursor->state = REM_H1_FIELD;
    }
    return STEP_ON;
}

/* The space before an empty reason is often left out. */
static int code_end_step(struct rem_h1_response *resp, const char *buf)
{
    struct rem_h1_cursor *cursor = &resp->head.cursor;

    cursor->mark = cursor->at;
    if (buf[cursor->at] != ' ')
        return line_end_step(resp, buf);
    cursor->at++;
    cursor->mark = cursor->at;
    cursor->state = REM_H1_REASON;
    return STEP_ON;
}

static int reason_step(struct rem_h1_response *resp, const char *buf, uint32_t bound)
{
    struct rem_h1_cursor *cursor = &resp->head.cursor;

    cursor->at += (uint32_t)rem_scan_value(buf + cursor->at, bound - cursor->at);
    return cursor->at == bound ? STEP_ON : line_end_step(resp, buf);
}

static int status_line_step(struct rem_h1_response *resp, const char *buf, size_t n, uint32_t bound)
{
    struct rem_h1_head *head = &resp->head;
    int rc;

    switch (head->cursor.state) {
    case REM_H1_VERSION:
        rc = rem_h1_version_step(head, buf, n, bound);
        return rc == REM_OK ? STEP_ON : rc;
    case REM_H1_VERSION_END:
        return version_end_step(head, buf);
    case REM_H1_CODE:
        return code_step(resp, buf, bound);
    case REM_H1_CODE_END:
        return code_end_step(resp, buf);
    case REM_H1_REASON:
        return reason_step(resp, buf, bound);
    default:
        if (buf[head->cursor.at] != '\n')
            return bad_status_line(head);
        head->cursor.at++;
        head->cursor.state = REM_H1_FIELD;
        return STEP_ON;
    }
}

/* RFC 9112 section 6.3: some responses never have a body, others without framing fields have
 * one that ends with the connection. */
static void settle_framing(struct rem_h1_response *resp, enum rem_h1_asked asked)
{
    struct rem_h1_head *head = &resp->head;
    bool opens_tunnel = asked == REM_H1_ASKED_CONNECT && resp->code >= 200 && resp->code < 300;

    if (asked == REM_H1_ASKED_HEAD || resp->code < 200 || resp->code == 204 || resp->code == 304 ||
        opens_tunnel)
        head->framing = REM_FRAMING_NONE;
    else if (head->framing == REM_FRAMING_NONE)
        head->framing = REM_FRAMING_UNTIL_CLOSE;
}

int rem_h1_response_parse(struct rem_h1_response *resp, enum rem_h1_asked asked, const char *buf,
                          size_t n)
{
    struct rem_h1_head *head = &resp->head;
    int rc;

    while (head->cursor.state < REM_H1_FIELD) {
        uint32_t bound = rem_h1_bound(head, n);

        if (head->cursor.at >= bound)
            return rem_h1_more(head, bound, n);
        rc = status_line_step(resp, buf, n, bound);
        if (rc != STEP_ON)
            return rc;
    }
    rc = rem_h1_fields_step(head, buf, n);
    if (rc != REM_OK)
        return rc;
    resp->line = rem_h1_resolve(resp->line, buf);
    resp->reason = rem_h1_resolve(resp->reason, buf);
    rc = rem_h1_fields_finish(head, buf);
    if (rc == REM_OK)
        settle_framing(resp, asked);
    return rc;
}
