/* SPDX-License-Identifier: Apache-2.0 */
/* err.h - the one list of error codes, error context, and invariant checks.
 *
 * Every fallible function returns 0 or a negative REM_E*, and leaves what the caller passed
 * unchanged on failure.  Context (which file, which server) is added once, at the edge.  */
#ifndef REM_BASE_ERR_H
#define REM_BASE_ERR_H

#include "proto/base/attr.h"

/* name, value, text, HTTP status an API caller sees */
#define REM_ERR_LIST(X)                                                                            \
    X(REM_OK, 0, "ok", 200)                                                                        \
    X(REM_EAGAIN, -1, "would block", 503)                                                          \
    X(REM_ENOMEM, -2, "out of memory", 500)                                                        \
    X(REM_EINVAL, -3, "invalid value", 400)                                                        \
    X(REM_ENOTFOUND, -4, "not found", 404)                                                         \
    X(REM_EEXIST, -5, "already exists", 409)                                                       \
    X(REM_EFULL, -6, "shared memory is full", 507)                                                 \
    X(REM_EIO, -7, "input/output error", 500)                                                      \
    X(REM_ECONFLICT, -8, "revision does not match", 412)                                           \
    X(REM_ETOOBIG, -9, "too large", 413)                                                           \
    X(REM_EPROTO, -10, "protocol error", 400)                                                      \
    X(REM_ETIMEOUT, -11, "timed out", 504)                                                         \
    X(REM_ECLOSED, -12, "connection closed", 502)                                                  \
    X(REM_EUNSUPPORTED, -13, "not supported", 501)                                                 \
    X(REM_EBUSY, -14, "busy", 503)                                                                 \
    X(REM_EACCES, -15, "not permitted", 403)

enum rem_errno {
#define REM_ERR_ENUM(name, value, text, status) name = (value),
    REM_ERR_LIST(REM_ERR_ENUM)
#undef REM_ERR_ENUM
};

/* Room for one sentence of context, filled in where the failure is noticed. */
struct rem_err {
    int code;
    char text[512];
};

/* The fixed text of an error code ("not found"); "unknown error" for others. */
const char *rem_err_text(int code);

/* The name of an error code ("REM_ENOTFOUND"). */
const char *rem_err_name(int code);

/* The HTTP status with which the admin API reports a code. */
int rem_err_status(int code);

/* Fills in `err` (may be NULL) and returns `code`, so that callers write
 * `return rem_err_set(err, REM_EINVAL, "...")`. */
int rem_err_set(struct rem_err *err, int code, const char *format, ...) REM_PRINTF(3, 4);

/* A broken invariant: reports it on stderr and aborts.  Never compiled out. */
void rem_check_failed(const char *file, int line, const char *what) REM_NORETURN;

#define REM_CHECK(condition)                                                                       \
    do {                                                                                           \
        if (REM_UNLIKELY(!(condition)))                                                            \
            rem_check_failed(__FILE__, __LINE__, #condition);                                      \
    } while (0)

/* Checks the magic of a long-lived object on entry. */
#define REM_CHECK_OBJ(object, magic_value)                                                         \
    REM_CHECK((object) != NULL && (object)->magic == (magic_value))

#endif
