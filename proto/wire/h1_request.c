/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/h1_priv.h"

/* Empty lines before a request line that are overlooked (RFC 9112 section 2.2 wants one at
 * least; some clients send more after a body). */
enum { MAX_EMPTY_LINES = 16 };

enum { STEP_ON = 1 };

void rem_h1_request_init(struct rem_h1_request *req, const struct rem_h1_limits *limits,
                         struct rem_arena *arena)
{
    *req = (struct rem_h1_request){0};
    rem_h1_head_init(&req->head, REM_H1_REQUEST, REM_H1_START, limits, arena);
}

static int bad_request(struct rem_h1_head *head)
{
    return rem_h1_fail(head, REM_EPROTO, 400, "client sent invalid request line");
}

static int bad_method(struct rem_h1_head *head)
{
    return rem_h1_fail(head, REM_EPROTO, 400, "client sent invalid method");
}

static int start_step(struct rem_h1_head *head, const char *buf)
{
    struct rem_h1_cursor *cursor = &head->cursor;
    char c = buf[cursor->at];

    if (c == '\r' || c == '\n') {
        if (++cursor->empty > MAX_EMPTY_LINES)
            return bad_request(head);
        cursor->at++;
        cursor->line = cursor->at;
        cursor->state = c == '\r' ? REM_H1_START_LF : REM_H1_START;
        return STEP_ON;
    }
    cursor->line = cursor->at;
    cursor->mark = cursor->at;
    cursor->state = REM_H1_METHOD;
    return STEP_ON;
}

static int start_lf_step(struct rem_h1_head *head, const char *buf)
{
    struct rem_h1_cursor *cursor = &head->cursor;

    if (buf[cursor->at] != '\n')
        return bad_request(head);
    cursor->at++;
    cursor->line = cursor->at;
    cursor->state = REM_H1_START;
    return STEP_ON;
}

static int method_step(struct rem_h1_request *req, const char *buf, uint32_t bound)
{
    struct rem_h1_cursor *cursor = &req->head.cursor;

    cursor->at = (uint32_t)rem_scan_run(buf, cursor->at, bound, REM_SCAN_METHOD);
    if (cursor->at == bound)
        return STEP_ON;
    if (buf[cursor->at] != ' ' || cursor->at == cursor->mark)
        return bad_method(&req->head);
    req->method_text = rem_h1_offset(cursor->mark, cursor->at);
    req->method = rem_method_parse(rem_str_make(buf + cursor->mark, cursor->at - cursor->mark));
    cursor->at++;
    cursor->mark = cursor->at;
    cursor->state = REM_H1_TARGET;
    return STEP_ON;
}

static int target_step(struct rem_h1_request *req, const char *buf, uint32_t bound)
{
    struct rem_h1_cursor *cursor = &req->head.cursor;

    cursor->at += (uint32_t)rem_scan_target(buf + cursor->at, bound - cursor->at);
    if (cursor->at == bound)
        return STEP_ON;
    if (buf[cursor->at] != ' ' || cursor->at == cursor->mark)
        return bad_request(&req->head);
    req->target = rem_h1_offset(cursor->mark, cursor->at);
    cursor->at++;
    cursor->mark = cursor->at;
    cursor->state = REM_H1_VERSION;
    return STEP_ON;
}

static int line_end_step(struct rem_h1_request *req, const char *buf)
{
    struct rem_h1_cursor *cursor = &req->head.cursor;
    char c = buf[cursor->at];

    if (c != '\r' && c != '\n')
        return bad_request(&req->head);
    req->line = rem_h1_offset(cursor->line, cursor->at);
    cursor->at++;
    if (c == '\r') {
        cursor->state = REM_H1_START_END_LF;
    } else {
        req->head.flags |= REM_H1_LF_ONLY;
        cursor->state = REM_H1_FIELD;
    }
    return STEP_ON;
}

static int start_line_step(struct rem_h1_request *req, const char *buf, size_t n, uint32_t bound)
{
    struct rem_h1_head *head = &req->head;
    int rc;

    switch (head->cursor.state) {
    case REM_H1_START:
        return start_step(head, buf);
    case REM_H1_START_LF:
        return start_lf_step(head, buf);
    case REM_H1_METHOD:
        return method_step(req, buf, bound);
    case REM_H1_TARGET:
        return target_step(req, buf, bound);
    case REM_H1_VERSION:
        rc = rem_h1_version_step(head, buf, n, bound);
        return rc == REM_OK ? STEP_ON : rc;
    case REM_H1_VERSION_END:
        return line_end_step(req, buf);
    default:
        if (buf[head->cursor.at] != '\n')
            return bad_request(head);
        head->cursor.at++;
        head->cursor.state = REM_H1_FIELD;
        return STEP_ON;
    }
}

/* Which host is asked for: an absolute target's wins (RFC 9112 section 3.2.2), but a Host field
 * must be sound all the same. */
static int settle_host(struct rem_h1_request *req)
{
    struct rem_h1_head *head = &req->head;

    req->field = rem_fields_find(&head->fields, REM_FIELD_HOST);
    if (req->field != NULL) {
        if (req->field->value.n == 0 || rem_authority_split(req->field->value, &req->host) != 0)
            return rem_h1_fail(head, REM_EPROTO, 400, "client sent invalid host header");
    } else if (head->minor >= 1) {
        return rem_h1_fail(head, REM_EPROTO, 400,
                           "client sent HTTP/1.1 request without \"Host\" header");
    }
    if (req->uri.authority.n != 0 && rem_authority_split(req->uri.authority, &req->host) != 0)
        return rem_h1_fail(head, REM_EPROTO, 400, "client sent invalid host in request line");
    return REM_OK;
}

static int check_method(struct rem_h1_request *req)
{
    const struct rem_h1_limits *limits = req->head.limits;

    if (req->method == REM_METHOD_CONNECT && !limits->connect)
        return rem_h1_fail(&req->head, REM_EUNSUPPORTED, 405, "client sent CONNECT method");
    if (req->method == REM_METHOD_TRACE && !limits->trace)
        return rem_h1_fail(&req->head, REM_EUNSUPPORTED, 405, "client sent TRACE method");
    return REM_OK;
}

static int finish(struct rem_h1_request *req, const char *buf)
{
    int rc;

    req->method_text = rem_h1_resolve(req->method_text, buf);
    req->target = rem_h1_resolve(req->target, buf);
    req->line = rem_h1_resolve(req->line, buf);
    rc = rem_h1_fields_finish(&req->head, buf);
    if (rc != REM_OK)
        return rc;
    if (rem_target_split(req->target, req->method == REM_METHOD_CONNECT,
                         req->method == REM_METHOD_OPTIONS, &req->uri) != REM_OK)
        return bad_request(&req->head);
    rc = check_method(req);
    return rc != REM_OK ? rc : settle_host(req);
}

int rem_h1_request_parse(struct rem_h1_request *req, const char *buf, size_t n)
{
    struct rem_h1_head *head = &req->head;
    int rc;

    while (head->cursor.state < REM_H1_FIELD) {
        uint32_t bound = rem_h1_bound(head, n);

        if (head->cursor.at >= bound)
            return rem_h1_more(head, bound, n);
        rc = start_line_step(req, buf, n, bound);
        if (rc != STEP_ON)
            return rc;
    }
    rc = rem_h1_fields_step(head, buf, n);
    return rc == REM_OK ? finish(req, buf) : rc;
}
