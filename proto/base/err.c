/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    int code;
    const char *name;
    const char *text;
    int status;
} err_table[] = {
#define REM_ERR_ROW(name, value, text, status) {value, #name, text, status},
    REM_ERR_LIST(REM_ERR_ROW)
#undef REM_ERR_ROW
};

static bool is_known(int code)
{
    return code <= 0 && code > -(int)REM_COUNT(err_table);
}

const char *rem_err_text(int code)
{
    if (!is_known(code))
        return "unknown error";
    return err_table[-code].text;
}

const char *rem_err_name(int code)
{
    if (!is_known(code))
        return "unknown";
    return err_table[-code].name;
}

int rem_err_status(int code)
{
    if (!is_known(code))
        return 500;
    return err_table[-code].status;
}

int rem_err_set(struct rem_err *err, int code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;

        err->code = code;
        va_start(args, format);
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
    }
    return code;
}

void rem_check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "remora: check failed at %s:%d: %s\n", file, line, what);
    abort();
}
