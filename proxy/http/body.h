/* SPDX-License-Identifier: Apache-2.0 */
/* body.h - reading a request's body: buffered whole (memory, then a temporary file), streamed, or
 * discarded.
 *
 * Limits:     client_max_body_size (413), client_body_buffer_size (spill), client_body_timeout
 *             (408).
 * Expect:     100-continue is answered when reading begins.
 * Again:      an error_page may take a request to another location, which asks for the body anew.
 *             What was kept is given again, what was discarded counts as empty, and what was
 *             streamed away is gone: 500.  */
#ifndef REM_HTTP_BODY_H
#define REM_HTTP_BODY_H

#include "proxy/http/request.h"

struct rem_request_body {
    struct rem_buf *bufs; /* buffered: what has been read, in order; memory and at most one file */
    uint64_t size;        /* bytes read so far, decoded */
    int temp_fd;          /* -1: none */
    struct rem_str temp_path; /* NUL-terminated; empty: the file has no name */
    bool complete;            /* the end has been read */
    bool streaming;
    struct rem_str seen; /* streamed: what has passed by, where some configuration shows it */
    bool discarding;
    /* buffered: called once when complete; streamed: when rem_body_next is worth calling */
    void (*ready)(struct rem_request *request);
};

/* Starts reading the whole body; `ready` is called when it is there, perhaps before this returns.
 * Returns: REM_HTTP_DONE (ready will be or has been called), or a status (413, 500). */
int rem_body_read(struct rem_request *request, void (*ready)(struct rem_request *request));

/* Whether an earlier location has kept the body or had it discarded, so that it can be had from
 * rem_body_read alone. */
bool rem_body_is_settled(const struct rem_request *request);

/* Starts reading without buffering; `ready` is called whenever rem_body_next may give something,
 * the first time before this returns.  Returns: REM_HTTP_DONE, or a status (500). */
int rem_body_stream(struct rem_request *request, void (*ready)(struct rem_request *request));

/* Streamed: the next run, valid until the next call or the end of the turn.
 * Returns: REM_OK (data.n == 0 with *final at the end), REM_EAGAIN, or an error: finalize with
 * rem_body_error_status. */
int rem_body_next(struct rem_request *request, struct rem_str *data, bool *final) REM_MUST_CHECK;

/* 413, 400, 408 or 499 for a failed read. */
int rem_body_error_status(int error);

/* A subrequest gets its parent's body, which is complete, as its own.  Errors: REM_ENOMEM. */
int rem_body_share(struct rem_request *child, struct rem_request *parent) REM_MUST_CHECK;

/* Reads and forgets what is left, so that the connection can be kept; the codec may do the rest
 * (lingering) after the response.  Returns: REM_HTTP_OK, or 400 when what has come already is no
 * body; a handler that has not answered yet answers so. */
int rem_body_discard(struct rem_request *request);

#endif
