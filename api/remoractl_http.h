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
    const char *token;    /* NULL: none */
    const char *last_id;  /* of an event, for a stream; NULL: none */
    struct rem_str body;
};

/* Sends the request and reads the answer's body into *body (initialised by the caller).
 * Errors, with *err: REM_EINVAL (the server's address), REM_EIO (connection), REM_EPROTO (the
 * answer is no HTTP), REM_ENOMEM. */
int rem_ctl_http(const struct rem_ctl_request *request, int *status, struct rem_sbuf *body,
                 struct rem_err *err) REM_MUST_CHECK;

/* ---- an answer that goes on ---- */

struct rem_ctl_stream;

/* Sends the request and reads the head of its answer.  With a status that is no success, *out is
 * NULL and *body has what came with it (initialised by the caller).
 * Errors, with *err: as rem_ctl_http. */
int rem_ctl_stream_open(const struct rem_ctl_request *request, int *status, struct rem_sbuf *body,
                        struct rem_ctl_stream **out, struct rem_err *err) REM_MUST_CHECK;

/* Appends what has come to *out; waits for something up to `timeout_ms` (-1: for ever).
 * Errors: REM_EAGAIN (nothing yet, or a signal), REM_ECLOSED (the end), REM_EPROTO, REM_EIO,
 * REM_ENOMEM. */
int rem_ctl_stream_read(struct rem_ctl_stream *stream, int timeout_ms,
                        struct rem_sbuf *out) REM_MUST_CHECK;
void rem_ctl_stream_close(struct rem_ctl_stream **stream);

/* For rem_ctl_stream: connects and sends.  Owns: *out_fd is the caller's. */
int rem_ctl_http_send(const struct rem_ctl_request *request, int *out_fd,
                      struct rem_err *err) REM_MUST_CHECK;

/* Takes a whole answer apart.  Errors: REM_EPROTO. */
int rem_ctl_http_answer(struct rem_str in, int *status, struct rem_sbuf *body) REM_MUST_CHECK;

#endif
