/* SPDX-License-Identifier: Apache-2.0 */
/* core_var.h - small helpers for functions that give HTTP variables their values. */
#ifndef REM_HTTP_CORE_VAR_H
#define REM_HTTP_CORE_VAR_H

#include "proxy/conf/var.h"
#include "proxy/http/request.h"

struct rem_core_var_def {
    const char *name;
    rem_var_get_fn get;
    const void *data;
    uint32_t flags;
};

/* Defines all of them.  Errors: REM_EEXIST (a name is taken), REM_ENOMEM. */
int rem_core_var_define(struct rem_vars *vars, const struct rem_core_var_def *defs,
                        size_t n) REM_MUST_CHECK;

static inline struct rem_request *rem_core_var_request(struct rem_eval *e)
{
    return e->subject;
}

/* A text that lives as long as the request. */
static inline int rem_core_var_text(struct rem_var_value *out, struct rem_str text)
{
    out->str = text.p != NULL ? text : REM_STR("");
    out->state = REM_VAR_FOUND;
    return 0;
}

static inline int rem_core_var_absent(struct rem_var_value *out)
{
    out->str = REM_STR("");
    out->state = REM_VAR_NOT_FOUND;
    return 0;
}

/* Copies to the request's arena.  Errors: REM_ENOMEM. */
int rem_core_var_copy(struct rem_eval *e, struct rem_var_value *out, struct rem_str text);
int rem_core_var_number(struct rem_eval *e, struct rem_var_value *out, int64_t number);
int rem_core_var_printf(struct rem_eval *e, struct rem_var_value *out, const char *format, ...)
    REM_PRINTF(3, 4);

/* Milliseconds as nginx writes durations: "0.012". */
int rem_core_var_seconds(struct rem_eval *e, struct rem_var_value *out, uint64_t ms);

/* The value of a cookie the request carries; names are compared without regard to case, as
 * $cookie_NAME is.  Returns: false when there is none. */
bool rem_core_cookie(const struct rem_request *request, struct rem_str name, struct rem_str *out);

#endif
