/* SPDX-License-Identifier: Apache-2.0 */
/* value.h - text with variables, compiled when the configuration is read.
 *
 * "$scheme://${host}:8080/$1" becomes a list of pieces; text without variables stays what it is and
 * costs nothing to evaluate.  */
#ifndef REM_CONF_VALUE_H
#define REM_CONF_VALUE_H

#include "proxy/conf/var.h"

enum rem_value_op_kind {
    REM_VALUE_TEXT = 0,
    REM_VALUE_VAR,
    REM_VALUE_CAPTURE,
};

struct rem_value_op {
    enum rem_value_op_kind kind;
    uint32_t index;      /* of the variable, or the number of the capture */
    struct rem_str text; /* TEXT */
};

struct rem_value {
    struct rem_str text; /* as written; the result itself when there are no ops */
    const struct rem_value_op *ops;
    uint32_t n_ops;
    uint32_t n_captures; /* highest capture mentioned + 1; 0: none */
};

static inline bool rem_value_is_static(const struct rem_value *value)
{
    return value->ops == NULL;
}

/* Compiles `text` (kept; it must live in cf->arena or longer) against cf->vars.
 * Reports `invalid variable name` and `the closing bracket in "x" variable is missing`. */
int rem_value_compile(struct rem_conf *cf, struct rem_str text,
                      struct rem_value *out) REM_MUST_CHECK;

/* As above, without a configuration at hand: for tests and made-up values. */
int rem_value_compile_in(struct rem_vars *vars, struct rem_arena *arena, struct rem_str text,
                         struct rem_conf_pos pos, struct rem_value *out,
                         struct rem_err *err) REM_MUST_CHECK;

/* The text for this request: borrowed for static text, else in e->arena.
 * Errors: those of rem_var_get, REM_ENOMEM. */
int rem_value_eval(const struct rem_value *value, struct rem_eval *e,
                   struct rem_str *out) REM_MUST_CHECK;

/* The same, with a NUL behind the last byte (not counted): for paths. */
int rem_value_eval_z(const struct rem_value *value, struct rem_eval *e,
                     struct rem_str *out) REM_MUST_CHECK;

/* What $number stands for, of the last match; empty: the group took no part.  Borrows from `e`. */
struct rem_str rem_value_capture(const struct rem_eval *e, uint32_t number);

#endif
