/* SPDX-License-Identifier: Apache-2.0 */
/* remoractl_http.h - one blocking HTTP/1.1 request.
 *
 * Runs in:    remoractl.  */
#ifndef REM_API_REMORACTL_HTTP_H
#define REM_API_REMORACTL_HTTP_H

#include "proto/base/err.h"
#include "proto/base/sbuf.h"

enum { REM_CTL_TIMEOUT_MS = 15000 };

struct rem_ctl_request {
    const char *server; /* "unix:/path", "http://127.0.0.1:9901", "127.0.0.1:9901" */
    const char *method;
    const char *path;
    const char *if_match; /* NULL: none */
    struct rem_str body;
};

/* Sends the request and reads the answer's body into *body (initialised by the caller).
 * Errors, with *err: REM_EINVAL (the server's address), REM_EIO (connection), REM_EPROTO (the
 * answer is no HTTP), REM_ENOMEM. */
int rem_ctl_http(const struct rem_ctl_request *request, int *status, struct rem_sbuf *body,
                 struct rem_err *err) REM_MUST_CHECK;

#endif
