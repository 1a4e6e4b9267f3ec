/* SPDX-License-Identifier: Apache-2.0 */
/* h1_seen.c - what can be told of a head that failed, or is unfinished: for the log, and for whose
 * error page it is. */
#include "proto/wire/h1_priv.h"

/* Where the request line starts: empty lines before it are overlooked. */
static uint32_t first_line(const char *buf, size_t n)
{
    uint32_t from = 0;

    while (from < n && (buf[from] == '\r' || buf[from] == '\n'))
        from++;
    return from;
}

static struct rem_str cut_line(const char *buf, size_t from, size_t n)
{
    const char *lf = memchr(buf + from, '\n', n - from);

    if (lf != NULL)
        n = (size_t)(lf - buf);
    while (n > from && buf[n - 1] == '\r')
        n--;
    return rem_str_make(buf + from, n - from);
}

/* As much of a line as leaves room for what a log says beside it. */
enum { SHOWN_MAX = 1000 };

const char *rem_h1_refusal(const struct rem_h1_head *head, const char *buf, size_t n,
                           struct rem_arena *arena)
{
    const struct rem_h1_cursor *cursor = &head->cursor;
    size_t end = cursor->at < n ? cursor->at : n;
    bool too_long = head->status == 431;
    struct rem_str line, text;

    if ((head->flags & REM_H1_BAD_LINE) == 0)
        return head->reason;
    line = rem_str_make(buf + cursor->line, end - cursor->line);
    if (line.n != 0 && line.p[line.n - 1] == '\r') /* it was wrong itself */
        line.n--;
    if (line.n > SHOWN_MAX || too_long || line.p + line.n == buf + n)
        text = rem_arena_printf(arena, "%s: \"%.*s...\"", head->reason,
                                (int)(line.n < SHOWN_MAX ? line.n : SHOWN_MAX), line.p);
    else
        text = rem_arena_printf(arena, "%s: \"%.*s\\x%02x...\"", head->reason, REM_STR_ARG(line),
                                (unsigned char)line.p[line.n]);
    return text.p != NULL ? text.p : head->reason;
}

/* Behind the line feed of a line that has one. */
static size_t behind(const char *buf, struct rem_str line, size_t n)
{
    size_t at = (size_t)(line.p + line.n - buf);

    return (size_t)((const char *)memchr(buf + at, '\n', n - at) + 1 - buf);
}

bool rem_h1_next_left_out(const struct rem_h1_request *req, const char *buf,
                          struct rem_h1_walk *walk, struct rem_str *line)
{
    const struct rem_fields *fields = &req->head.fields;
    size_t n = req->head.head_size;

    if (walk->at == 0)
        walk->at = behind(buf, req->line, n);
    for (;;) {
        *line = cut_line(buf, walk->at, n);
        if (line->n == 0) /* the head's end */
            return false;
        walk->at = behind(buf, *line, n);
        if (walk->field == fields->n || fields->v[walk->field].name.p != line->p)
            break;
        walk->field++;
    }
    *line = rem_str_trim(*line);
    return true;
}

struct rem_str rem_h1_request_seen_line(const struct rem_h1_request *req, const char *buf, size_t n)
{
    const struct rem_h1_cursor *cursor = &req->head.cursor;
    uint32_t from = cursor->line;

    if (cursor->state >= REM_H1_FIELD) /* `line` is a field line by then */
        from = first_line(buf, n);
    return from < n ? cut_line(buf, from, n) : REM_STR("");
}

/* The authority that a request line's target has: of one that is absolute, of CONNECT's; or empty.
 */
static struct rem_str target_authority(struct rem_str line)
{
    const char *space = rem_str_chr(line, ' ');
    struct rem_target target;
    struct rem_str rest;
    bool connect;

    if (space == NULL)
        return REM_STR("");
    connect = rem_str_is(rem_str_make(line.p, (size_t)(space - line.p)), "CONNECT");
    rest = rem_str_skip(line, (size_t)(space - line.p) + 1);
    space = rem_str_chr(rest, ' ');
    if (space != NULL)
        rest.n = (size_t)(space - rest.p);
    if (rem_target_split(rest, connect, false, &target) != REM_OK)
        return REM_STR("");
    return target.authority;
}

/* The value of a Host line; empty: it is another. */
static struct rem_str host_value(struct rem_str line)
{
    struct rem_str name = REM_STR("host:");

    if (line.n < name.n || !rem_str_eq_nocase(rem_str_make(line.p, name.n), name))
        return REM_STR("");
    return rem_str_trim(rem_str_skip(line, name.n));
}

bool rem_h1_request_seen_host(const struct rem_h1_request *req, const char *buf, size_t n,
                              struct rem_authority *out)
{
    const struct rem_h1_cursor *cursor = &req->head.cursor;
    size_t end = cursor->line < n ? cursor->line : n; /* lines before the one that failed */
    size_t from = first_line(buf, end);
    struct rem_str text;

    if (cursor->state < REM_H1_FIELD || from >= end)
        return false;
    text = target_authority(cut_line(buf, from, end));
    while (text.n == 0) {
        const char *lf = memchr(buf + from, '\n', end - from);

        if (lf == NULL || (size_t)(lf + 1 - buf) >= end)
            return false;
        from = (size_t)(lf + 1 - buf);
        text = host_value(cut_line(buf, from, end));
    }
    return rem_authority_split(text, out) == REM_OK && out->host.n != 0;
}

bool rem_h1_request_salvage(struct rem_h1_request *req, const char *buf)
{
    struct rem_h1_cursor *cursor = &req->head.cursor;
    bool offsets = cursor->state < REM_H1_DONE;

    if (cursor->state < REM_H1_FIELD)
        return false;
    if (offsets) {
        req->method_text = rem_h1_resolve(req->method_text, buf);
        req->target = rem_h1_resolve(req->target, buf);
        req->line = rem_h1_resolve(req->line, buf);
        cursor->state = REM_H1_DONE;
    }
    REM_FIELDS_EACH(field, &req->head.fields) {
        field->flags |= REM_FIELD_HOP;
        if (offsets) {
            field->name = rem_h1_resolve(field->name, buf);
            field->value = rem_h1_resolve(field->value, buf);
        }
    }
    if (rem_target_split(req->target, req->method == REM_METHOD_CONNECT,
                         req->method == REM_METHOD_OPTIONS, &req->uri) != REM_OK)
        req->uri = (struct rem_target){0};
    return true;
}
