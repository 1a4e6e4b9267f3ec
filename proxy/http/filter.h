/* SPDX-License-Identifier: Apache-2.0 */
/* filter.h - what stands between a content handler and the codec.
 *
 * Header filters run once, when the response's head is complete; body filters for every list of
 * bufs. A filter does its work and calls `next->run(request, ..., next->next)`.  The chain ends in
 * the codec.  Order: the modules' order in modules.c, first listed runs first.
 * A body filter owns the bufs it is called with; each is passed on or done with (rem_buf_done).
 * A list may be empty: whoever holds something passes on what it can, and everybody calls the next.
 */
#ifndef REM_HTTP_FILTER_H
#define REM_HTTP_FILTER_H

#include "proxy/http/request.h"

/* A body filter that has not used up its input, for want of room behind it, sets its bit in
 * request->buffered, returns REM_EAGAIN, and is called with an empty list when there is room. */
enum rem_filter_holds {
    REM_FILTER_GUNZIP = 1 << 0,
    REM_FILTER_SUB = 1 << 1,
    REM_FILTER_GZIP = 1 << 2,
};

/* Returns: REM_OK; an error; or a status, when the response is to be another one than was meant
 * (412, 416): nothing has been sent then, and the handler returns the status. */
struct rem_header_filter;
typedef int (*rem_header_filter_fn)(struct rem_request *request,
                                    const struct rem_header_filter *next);
struct rem_header_filter {
    rem_header_filter_fn run;
    const struct rem_header_filter *next;
};

struct rem_body_filter;
typedef int (*rem_body_filter_fn)(struct rem_request *request, struct rem_buf *list,
                                  const struct rem_body_filter *next);
struct rem_body_filter {
    rem_body_filter_fn run;
    const struct rem_body_filter *next;
};

struct rem_http_setup;

/* http block: links what modules have registered into chains that end in the codec.
 * Errors: REM_ENOMEM. */
int rem_filter_compile(struct rem_http_setup *setup, const struct rem_header_filter **headers,
                       const struct rem_body_filter **bodies) REM_MUST_CHECK;

/* Content handlers: the response's head is filled in.  Runs the header filters; afterwards
 * response.head_sent is true.  Returns: REM_OK, REM_ENOMEM, REM_ECLOSED, or a status that the
 * handler is to return instead of sending its body (a precondition failed, no range fits). */
int rem_http_send_head(struct rem_request *request) REM_MUST_CHECK;

/* Content handlers: runs the body filters.  Results as exchange->send_body. */
int rem_http_send_body(struct rem_request *request, struct rem_buf *list) REM_MUST_CHECK;

/* A whole response from memory that lives as long as the request (or is static): sets length and
 * type, sends head and body.  Returns what a content handler returns. */
int rem_http_respond(struct rem_request *request, int status, struct rem_str type,
                     struct rem_str body);

#endif
