/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/log_format.h"
#include "proto/wire/put.h"

/* ---- configuration ---- */

static int parse_escape(struct rem_conf *cf, struct rem_str word, enum rem_log_escape *out)
{
    if (rem_str_is(word, "default"))
        *out = REM_LOG_ESCAPE_DEFAULT;
    else if (rem_str_is(word, "json"))
        *out = REM_LOG_ESCAPE_JSON;
    else if (rem_str_is(word, "none"))
        *out = REM_LOG_ESCAPE_NONE;
    else
        return rem_conf_error(cf, "unknown log format escaping \"%.*s\"", REM_STR_ARG(word));
    return 0;
}

static bool in_name(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Appends a word; a variable that it ends in gets braces, since its name must not go on with the
 * next word: "$uri" "x" is not $urix.  Takes two bytes more than the word, at most. */
static char *put_word(char *at, struct rem_str word)
{
    size_t name = word.n;

    while (name > 0 && in_name(word.p[name - 1]))
        name--;
    if (name == 0 || name == word.n || word.p[name - 1] != '$')
        name = word.n;
    if (name > 0)
        memcpy(at, word.p, name);
    at += name;
    if (name == word.n)
        return at;
    *at++ = '{';
    memcpy(at, word.p + name, word.n - name);
    at += word.n - name;
    *at++ = '}';
    return at;
}

int rem_log_format_parse(struct rem_conf *cf, struct rem_log_format *out)
{
    struct rem_str escape = REM_STR("escape=");
    size_t first = 2, total = 0;
    char *text, *at;

    *out = (struct rem_log_format){.name = cf->args[1]};
    if (rem_str_has_prefix(cf->args[2], escape)) {
        int rc = parse_escape(cf, rem_str_skip(cf->args[2], escape.n), &out->escape);

        if (rc != 0)
            return rc;
        first = 3;
    }
    for (size_t i = first; i < cf->n_args; i++)
        total += cf->args[i].n + 2;
    text = at = rem_arena_alloc(cf->arena, total + 1);
    if (text == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = first; i < cf->n_args; i++)
        at = put_word(at, cf->args[i]);
    *at = '\0';
    return rem_value_compile(cf, rem_str_make(text, (size_t)(at - text)), &out->value);
}

int rem_log_format_combined(struct rem_conf *cf, struct rem_log_format *out)
{
    *out = (struct rem_log_format){.name = REM_STR("combined")};
    return rem_value_compile(cf,
                             REM_STR("$remote_addr - $remote_user [$time_local] \"$request\" "
                                     "$status $body_bytes_sent \"$http_referer\" "
                                     "\"$http_user_agent\""),
                             &out->value);
}

/* ---- lines ---- */

/* Counts on where the room ends, so that a second go knows how much it needs. */
struct line {
    char *at;
    char *end;
    size_t needed;
};

static void put(struct line *line, const char *p, size_t n)
{
    line->needed += n;
    if (n == 0 || (size_t)(line->end - line->at) < n) {
        line->end = n == 0 ? line->end : line->at;
        return;
    }
    memcpy(line->at, p, n);
    line->at += n;
}

static void put_escaped(struct line *line, struct rem_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t from = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char code[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};

        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            continue;
        put(line, s.p + from, i - from);
        put(line, code, sizeof(code));
        from = i + 1;
    }
    put(line, s.p + from, s.n - from);
}

static void put_json(struct line *line, struct rem_str s)
{
    size_t from = 0;

    for (size_t i = 0; i < s.n; i++) {
        char code[REM_JSON_CODE_MAX];
        size_t n = rem_json_code(code, s.p[i]);

        if (n == 0)
            continue;
        put(line, s.p + from, i - from);
        put(line, code, n);
        from = i + 1;
    }
    put(line, s.p + from, s.n - from);
}

static void put_value(struct line *line, enum rem_log_escape escape, struct rem_str s)
{
    if (escape == REM_LOG_ESCAPE_NONE)
        put(line, s.p, s.n);
    else if (escape == REM_LOG_ESCAPE_JSON)
        put_json(line, s);
    else
        put_escaped(line, s);
}

static void put_op(struct line *line, const struct rem_log_format *format,
                   const struct rem_value_op *op, struct rem_eval *e)
{
    const struct rem_var_value *value;

    switch (op->kind) {
    case REM_VALUE_TEXT:
        put(line, op->text.p, op->text.n);
        return;
    case REM_VALUE_CAPTURE:
        put_value(line, format->escape, rem_value_capture(e, op->index));
        return;
    case REM_VALUE_VAR:
        if (rem_var_get(e, op->index, &value) != 0 || value->state == REM_VAR_NOT_FOUND) {
            if (format->escape == REM_LOG_ESCAPE_DEFAULT)
                put(line, "-", 1);
        } else {
            put_value(line, format->escape, value->str);
        }
        return;
    }
}

static void put_all(struct line *line, const struct rem_log_format *format, struct rem_eval *e)
{
    if (rem_value_is_static(&format->value))
        put(line, format->value.text.p, format->value.text.n);
    for (uint32_t i = 0; i < format->value.n_ops; i++)
        put_op(line, format, &format->value.ops[i], e);
    put(line, "\n", 1);
}

int rem_log_format_line(const struct rem_log_format *format, struct rem_eval *e, char *room,
                        size_t size, struct rem_str *out)
{
    struct line line = {room, room + size, 0};

    put_all(&line, format, e);
    while (line.needed > size) {
        size = line.needed + 64; /* a clock may have moved on */
        room = rem_arena_alloc(e->arena, size);
        if (room == NULL)
            return REM_ENOMEM;
        line = (struct line){room, room + size, 0};
        put_all(&line, format, e);
    }
    *out = rem_str_make(room, (size_t)(line.at - room));
    return 0;
}
