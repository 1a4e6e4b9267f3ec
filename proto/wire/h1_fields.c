/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/h1_priv.h"

/* Bits of cursor.odd beside those of enum rem_field_flag: a token byte that is no letter, digit,
 * "-" or "_".  nginx finds such names invalid in requests. */
enum { ODD_TOKEN = 1 << 7 };

/* What a step function returns to go on with the next state. */
enum { STEP_ON = 1 };

static int bad_line(struct rem_h1_head *head)
{
    switch (head->cursor.kind) {
    case REM_H1_RESPONSE:
        return rem_h1_fail_line(head, REM_EPROTO, 502, "upstream sent invalid header");
    case REM_H1_TRAILERS:
        return rem_h1_fail(head, REM_EPROTO, 400, "invalid trailer line");
    default:
        return rem_h1_fail_line(head, REM_EPROTO, 400, "client sent invalid header line");
    }
}

/* A line may end in LF alone, but in trailers: chunked bodies never knew that leniency. */
static bool take_bare_lf(struct rem_h1_head *head)
{
    head->flags |= REM_H1_LF_ONLY;
    return head->cursor.kind != REM_H1_TRAILERS;
}

static int field_step(struct rem_h1_head *head, const char *buf)
{
    struct rem_h1_cursor *cursor = &head->cursor;

    cursor->line = cursor->at;
    cursor->odd = 0;
    switch (buf[cursor->at]) {
    case '\r':
        cursor->at++;
        cursor->state = REM_H1_END_LF;
        return STEP_ON;
    case '\n':
        if (!take_bare_lf(head))
            return bad_line(head);
        cursor->at++;
        cursor->state = REM_H1_DONE;
        return STEP_ON;
    case ':':
        return bad_line(head);
    default:
        /* Whitespace here would continue the line before (obs-fold): the name refuses it. */
        cursor->state = REM_H1_NAME;
        return STEP_ON;
    }
}

/* Notes what is unusual about a byte of a name.  Returns: whether it may stand there at all. */
static bool take_odd_byte(struct rem_h1_cursor *cursor, char c)
{
    if (c == '_')
        cursor->odd |= REM_FIELD_UNDERSCORE;
    else if (rem_scan_is(c, REM_SCAN_TOKEN))
        cursor->odd |= ODD_TOKEN;
    else if (rem_scan_is(c, REM_SCAN_TARGET))
        cursor->odd |= REM_FIELD_INVALID_NAME;
    else
        return false;
    return true;
}

static int name_step(struct rem_h1_head *head, const char *buf, uint32_t bound)
{
    struct rem_h1_cursor *cursor = &head->cursor;

    for (;;) {
        char c;

        cursor->at += (uint32_t)rem_scan_name(buf + cursor->at, bound - cursor->at);
        if (cursor->at == bound)
            return STEP_ON;
        c = buf[cursor->at];
        if (REM_LIKELY(c == ':')) {
            cursor->mark2 = cursor->at++;
            cursor->state = REM_H1_OWS;
            return STEP_ON;
        }
        if ((c == ' ' || c == '\t') && cursor->kind == REM_H1_RESPONSE &&
            cursor->at > cursor->line) {
            cursor->mark2 = cursor->at++;
            cursor->state = REM_H1_NAME_WS;
            return STEP_ON;
        }
        if (!take_odd_byte(cursor, c))
            return bad_line(head);
        cursor->at++;
    }
}

/* RFC 9112 section 5.1: a proxy removes whitespace before the colon from responses. */
static int name_ws_step(struct rem_h1_head *head, const char *buf, uint32_t bound)
{
    struct rem_h1_cursor *cursor = &head->cursor;

    while (cursor->at < bound && (buf[cursor->at] == ' ' || buf[cursor->at] == '\t'))
        cursor->at++;
    if (cursor->at == bound)
        return STEP_ON;
    if (buf[cursor->at] != ':') {
        cursor->at = cursor->mark2; /* the name is no name from there on */
        return bad_line(head);
    }
    cursor->at++;
    cursor->state = REM_H1_OWS;
    return STEP_ON;
}

static int ows_step(struct rem_h1_head *head, const char *buf, uint32_t bound)
{
    struct rem_h1_cursor *cursor = &head->cursor;

    while (cursor->at < bound && (buf[cursor->at] == ' ' || buf[cursor->at] == '\t'))
        cursor->at++;
    if (cursor->at == bound)
        return STEP_ON;
    cursor->mark = cursor->at;
    cursor->state = REM_H1_VALUE;
    return STEP_ON;
}

static bool is_dropped(const struct rem_h1_head *head)
{
    const struct rem_h1_limits *limits = head->limits;
    unsigned odd = head->cursor.odd;

    if (REM_LIKELY(odd == 0) || !limits->ignore_invalid)
        return false;
    if (head->cursor.kind == REM_H1_RESPONSE)
        return odd & REM_FIELD_INVALID_NAME;
    return odd & (ODD_TOKEN | REM_FIELD_INVALID_NAME) ||
           (odd & REM_FIELD_UNDERSCORE && !limits->underscores);
}

/* The line of a field has been read; its value reaches to `end`. */
static int append_field(struct rem_h1_head *head, const char *buf, uint32_t end)
{
    struct rem_h1_cursor *cursor = &head->cursor;
    struct rem_field field;

    if (++cursor->lines > head->limits->max_fields)
        return rem_h1_fail(head, REM_ETOOBIG, 431,
                           cursor->kind == REM_H1_RESPONSE ? "upstream sent too many header lines"
                                                           : "client sent too many header lines");
    if (REM_UNLIKELY(is_dropped(head))) {
        head->dropped++;
        return STEP_ON;
    }
    while (end > cursor->mark && (buf[end - 1] == ' ' || buf[end - 1] == '\t'))
        end--;
    field.name = rem_h1_offset(cursor->line, cursor->mark2);
    field.value = rem_h1_offset(cursor->mark, end);
    field.flags = cursor->odd & (REM_FIELD_UNDERSCORE | REM_FIELD_INVALID_NAME);
    field.id = REM_FIELD_OTHER;
    if (REM_LIKELY(cursor->odd == 0))
        field.id =
            (uint16_t)rem_field_id(rem_str_make(buf + cursor->line, cursor->mark2 - cursor->line));
    if (rem_fields_append(&head->fields, &field) != REM_OK)
        return rem_h1_fail(head, REM_ENOMEM, 500, "no memory for header lines");
    return STEP_ON;
}

static int value_step(struct rem_h1_head *head, const char *buf, uint32_t bound)
{
    struct rem_h1_cursor *cursor = &head->cursor;
    uint32_t end;

    cursor->at += (uint32_t)rem_scan_value(buf + cursor->at, bound - cursor->at);
    if (cursor->at == bound)
        return STEP_ON;
    end = cursor->at;
    if (REM_LIKELY(buf[end] == '\r'))
        cursor->state = REM_H1_VALUE_LF;
    else if (buf[end] == '\n' && take_bare_lf(head))
        cursor->state = REM_H1_FIELD;
    else
        return bad_line(head);
    cursor->at++;
    return append_field(head, buf, end);
}

static int lf_step(struct rem_h1_head *head, const char *buf, unsigned next)
{
    if (buf[head->cursor.at] != '\n')
        return bad_line(head);
    head->cursor.at++;
    head->cursor.state = (uint8_t)next;
    return STEP_ON;
}

static int one_step(struct rem_h1_head *head, const char *buf, uint32_t bound)
{
    switch (head->cursor.state) {
    case REM_H1_FIELD:
        return field_step(head, buf);
    case REM_H1_NAME:
        return name_step(head, buf, bound);
    case REM_H1_NAME_WS:
        return name_ws_step(head, buf, bound);
    case REM_H1_OWS:
        return ows_step(head, buf, bound);
    case REM_H1_VALUE:
        return value_step(head, buf, bound);
    case REM_H1_VALUE_LF:
        return lf_step(head, buf, REM_H1_FIELD);
    default:
        return lf_step(head, buf, REM_H1_DONE);
    }
}

int rem_h1_fields_step(struct rem_h1_head *head, const char *buf, size_t n)
{
    struct rem_h1_cursor *cursor = &head->cursor;

    while (cursor->state != REM_H1_DONE) {
        uint32_t bound;
        int rc;

        if (cursor->state == REM_H1_FIELD)
            cursor->line = cursor->at;
        bound = rem_h1_bound(head, n);
        if (cursor->at >= bound)
            return rem_h1_more(head, bound, n);
        rc = one_step(head, buf, bound);
        if (rc != STEP_ON)
            return rc;
    }
    head->head_size = cursor->at;
    return REM_OK;
}

void rem_h1_trailers_init(struct rem_h1_head *head, const struct rem_h1_limits *limits,
                          struct rem_arena *arena)
{
    rem_h1_head_init(head, REM_H1_TRAILERS, REM_H1_FIELD, limits, arena);
}

int rem_h1_trailers_parse(struct rem_h1_head *head, const char *buf, size_t n)
{
    int rc = rem_h1_fields_step(head, buf, n);

    if (rc != REM_OK)
        return rc;
    REM_FIELDS_EACH(field, &head->fields) {
        field->name = rem_h1_resolve(field->name, buf);
        field->value = rem_h1_resolve(field->value, buf);
        if (rem_field_is_hop((enum rem_field_id)field->id))
            field->flags |= REM_FIELD_HOP;
    }
    return REM_OK;
}
