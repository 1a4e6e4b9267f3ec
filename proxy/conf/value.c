/* SPDX-License-Identifier: Apache-2.0 */
/* value.c - see value.h. */
#include "proxy/conf/value.h"

#include "proto/base/regex.h"

#include "proxy/conf/array.h"

enum { PIECES_ON_STACK = 32 };

struct compiler {
    struct rem_vars *vars;
    struct rem_arena *arena;
    struct rem_conf_pos pos;
    struct rem_err *err;
    struct rem_array ops; /* of struct rem_value_op */
    uint32_t n_captures;
};

static bool is_name_char(char c)
{
    return rem_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static int add_op(struct compiler *c, struct rem_value_op op)
{
    struct rem_value_op *added = rem_array_push(c->arena, &c->ops);

    if (added == NULL)
        return rem_err_set(c->err, REM_ENOMEM, "out of memory");
    *added = op;
    return 0;
}

static int add_var(struct compiler *c, struct rem_str name)
{
    struct rem_value_op op = {.kind = REM_VALUE_VAR};
    int rc = c->vars != NULL ? rem_var_index(c->vars, name, c->pos, &op.index) : REM_EINVAL;

    if (rc < 0)
        return rem_err_set(c->err, rc, "no variable \"%.*s\" here: %s", REM_STR_ARG(name),
                           rem_err_text(rc));
    return add_op(c, op);
}

/* Compiles what begins with the $ at *at and moves behind it. */
static int dollar(struct compiler *c, const char **at, const char *end)
{
    const char *p = *at + 1, *name;
    bool braces = p < end && *p == '{';

    if (p < end && *p >= '1' && *p <= '9') {
        uint32_t number = (uint32_t)(*p - '0');

        if (c->n_captures < number + 1)
            c->n_captures = number + 1;
        *at = p + 1;
        return add_op(c, (struct rem_value_op){.kind = REM_VALUE_CAPTURE, .index = number});
    }
    p += braces;
    for (name = p; p < end && is_name_char(*p); p++)
        ;
    if (braces && (p == end || *p != '}'))
        return rem_err_set(c->err, REM_EINVAL,
                           "the closing bracket in \"%.*s\" variable is missing", (int)(p - name),
                           name);
    if (p == name)
        return rem_err_set(c->err, REM_EINVAL, "invalid variable name");
    *at = p + braces;
    return add_var(c, rem_str_make(name, (size_t)(p - name)));
}

/* Compiles what stands before the next $. */
static int plain_text(struct compiler *c, const char **at, const char *end)
{
    struct rem_str rest = rem_str_make(*at, (size_t)(end - *at));
    const char *stop = rem_str_chr(rest, '$');

    if (stop != NULL)
        rest.n = (size_t)(stop - *at);
    *at += rest.n;
    return add_op(c, (struct rem_value_op){.kind = REM_VALUE_TEXT, .text = rest});
}

int rem_value_compile_in(struct rem_vars *vars, struct rem_arena *arena, struct rem_str text,
                         struct rem_conf_pos pos, struct rem_value *out, struct rem_err *err)
{
    struct compiler c = {.vars = vars, .arena = arena, .pos = pos, .err = err};
    const char *at = text.p, *end = text.n != 0 ? text.p + text.n : text.p;

    rem_array_init(&c.ops, sizeof(struct rem_value_op));
    if (rem_str_chr(text, '$') == NULL)
        at = end; /* static: no ops at all */
    while (at < end) {
        int rc = *at == '$' ? dollar(&c, &at, end) : plain_text(&c, &at, end);
        if (rc < 0)
            return rc;
    }
    *out = (struct rem_value){.text = text.p != NULL ? text : REM_STR(""),
                              .ops = c.ops.v,
                              .n_ops = c.ops.n,
                              .n_captures = c.n_captures};
    return 0;
}

int rem_value_compile(struct rem_conf *cf, struct rem_str text, struct rem_value *out)
{
    struct rem_err err;
    int rc = rem_value_compile_in(cf->vars, cf->arena, text, rem_conf_here(cf), out, &err);

    if (rc < 0)
        (void)rem_conf_error(cf, "%s", err.text);
    return rc;
}

struct rem_str rem_value_capture(const struct rem_eval *e, uint32_t number)
{
    size_t from, to;

    if (number >= e->n_captures || e->ovector[2 * (size_t)number] == REM_REGEX_NONE)
        return REM_STR("");
    from = e->ovector[2 * (size_t)number];
    to = e->ovector[2 * (size_t)number + 1];
    /* \K in a look-behind can end a match before its start. */
    return to > from ? rem_str_make(e->captured + from, to - from) : REM_STR("");
}

/* The text of one piece. */
static int eval_op(const struct rem_value_op *op, struct rem_eval *e, struct rem_str *out)
{
    const struct rem_var_value *value;
    int rc;

    switch (op->kind) {
    case REM_VALUE_TEXT:
        *out = op->text;
        return 0;
    case REM_VALUE_CAPTURE:
        *out = rem_value_capture(e, op->index);
        return 0;
    case REM_VALUE_VAR:
        rc = rem_var_get(e, op->index, &value);
        if (rc == 0)
            *out = value->str;
        return rc;
    }
    return REM_EINVAL;
}

static int join(struct rem_eval *e, const struct rem_str *pieces, uint32_t n, size_t total,
                struct rem_str *out)
{
    char *text = rem_arena_alloc(e->arena, total + 1), *w = text;

    if (text == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        if (pieces[i].n > 0)
            memcpy(w, pieces[i].p, pieces[i].n);
        w += pieces[i].n;
    }
    REM_CHECK((size_t)(w - text) == total);
    *w = '\0';
    *out = rem_str_make(text, total);
    return 0;
}

/* Asks for every piece once and keeps the answers, so that a variable that changes while another
 * is asked cannot make length and copy differ. */
static int eval(const struct rem_value *value, struct rem_eval *e, bool terminated,
                struct rem_str *out)
{
    struct rem_str on_stack[PIECES_ON_STACK], *pieces = on_stack;
    size_t total = 0;

    if (value->n_ops > PIECES_ON_STACK) {
        pieces = rem_arena_alloc(e->arena, value->n_ops * sizeof(*pieces));
        if (pieces == NULL)
            return REM_ENOMEM;
    }
    for (uint32_t i = 0; i < value->n_ops; i++) {
        int rc = eval_op(&value->ops[i], e, &pieces[i]);

        if (rc < 0)
            return rc;
        if (__builtin_add_overflow(total, pieces[i].n, &total) || total == SIZE_MAX)
            return REM_ENOMEM;
    }
    if (value->n_ops == 1 && !terminated) {
        *out = pieces[0];
        return 0;
    }
    return join(e, pieces, value->n_ops, total, out);
}

int rem_value_eval(const struct rem_value *value, struct rem_eval *e, struct rem_str *out)
{
    if (rem_value_is_static(value)) {
        *out = value->text;
        return 0;
    }
    return eval(value, e, false, out);
}

int rem_value_eval_z(const struct rem_value *value, struct rem_eval *e, struct rem_str *out)
{
    if (rem_value_is_static(value)) {
        *out = value->text; /* words of a configuration end in NUL */
        return 0;
    }
    return eval(value, e, true, out);
}
