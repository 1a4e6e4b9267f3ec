/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/core_var.h"

#include <stdarg.h>
#include <stdio.h>

int rem_core_var_define(struct rem_vars *vars, const struct rem_core_var_def *defs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rem_str name = rem_str_from(defs[i].name);

        if (rem_var_add(vars, name, defs[i].get, defs[i].data, defs[i].flags) == NULL)
            return rem_var_find(vars, name) != NULL ? REM_EEXIST : REM_ENOMEM;
    }
    return 0;
}

int rem_core_var_copy(struct rem_eval *e, struct rem_var_value *out, struct rem_str text)
{
    struct rem_str copy = rem_arena_dup(e->arena, text);

    return copy.p != NULL ? rem_core_var_text(out, copy) : REM_ENOMEM;
}

int rem_core_var_number(struct rem_eval *e, struct rem_var_value *out, int64_t number)
{
    char text[24], *at = text + sizeof(text);
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (number < 0)
        *--at = '-';
    return rem_core_var_copy(e, out, rem_str_make(at, (size_t)(text + sizeof(text) - at)));
}

int rem_core_var_printf(struct rem_eval *e, struct rem_var_value *out, const char *format, ...)
{
    char text[512];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    REM_CHECK(n >= 0 && (size_t)n < sizeof(text));
    return rem_core_var_copy(e, out, rem_str_make(text, (size_t)n));
}

int rem_core_var_seconds(struct rem_eval *e, struct rem_var_value *out, uint64_t ms)
{
    return rem_core_var_printf(e, out, "%llu.%03u", (unsigned long long)(ms / 1000),
                               (unsigned)(ms % 1000));
}
