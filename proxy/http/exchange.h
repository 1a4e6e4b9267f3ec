/* SPDX-License-Identifier: Apache-2.0 */
/* exchange.h - what a request asks of the codec that carries it; HTTP/1 implements it first.
 *
 * Runs in:    workers.
 * Direction:  request -> codec through these functions; codec -> request through the request's on_*
 *             members and rem_request_start/reject.  A codec never calls on_* from inside one of
 *             these functions.  */
#ifndef REM_HTTP_EXCHANGE_H
#define REM_HTTP_EXCHANGE_H

#include "proxy/http/request.h"

struct rem_exchange_ops {
    const char *name; /* "HTTP/1.1" */

    /* 1xx.  `fields` may be NULL.  Errors: REM_ENOMEM, REM_ECLOSED. */
    int (*send_informational)(struct rem_request *request, int status,
                              const struct rem_fields *fields);

    /* Queues the head made of request->response; decides framing and keep-alive. */
    int (*send_head)(struct rem_request *request);

    /* Takes a list of bufs (see buf.h; NULL: only tries to write what is queued).  The buf with
     * `final` ends the body.  Returns: REM_OK when the queue is empty or below the watermark,
     * REM_EAGAIN when the sender should pause until on_writable, REM_ECLOSED when the client is
     * gone (all bufs are done with then). */
    int (*send_body)(struct rem_request *request, struct rem_buf *list);

    /* Bytes queued and not yet written. */
    size_t (*queued)(const struct rem_request *request);

    /* Takes the next run of body bytes, in place, valid until the next call or end of turn.
     * Returns: REM_OK with data.n > 0; REM_OK with data.n == 0 and *final set at the end of the
     * body; REM_EAGAIN (on_body will be called); REM_EPROTO, REM_ECLOSED, REM_ETIMEOUT. */
    int (*read_body)(struct rem_request *request, struct rem_str *data, bool *final);

    /* From now on bytes pass untouched both ways (101 and CONNECT): raw reads come through
     * read_body, raw writes through send_body. */
    int (*upgrade)(struct rem_request *request);

    /* The request is over: everything queued is still sent, unless `abort`.  The codec decides
     * between the next request, lingering close and close, forgets the request and never calls its
     * on_* again. */
    void (*finish)(struct rem_request *request, bool abort);
};

#endif
