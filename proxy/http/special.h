/* SPDX-License-Identifier: Apache-2.0 */
/* special.h - responses that nobody has content for: error pages and redirects.
 *
 * Runs in:    workers.
 * Order:      an error_page of the location, if there is one for the status and none has been
 *             followed yet (or recursive_error_pages is on); else a small page of our own.
 * Not here:   when a request ends with a status (request.c).  */
#ifndef REM_HTTP_SPECIAL_H
#define REM_HTTP_SPECIAL_H

#include "proxy/http/request.h"

/* Statuses with a meaning of their own, never sent. */
enum {
    REM_STATUS_CLOSE = 444,          /* close without an answer */
    REM_STATUS_HEAD_TOO_LARGE = 494, /* answered as 400 */
    REM_STATUS_CLIENT_CLOSED = 499,  /* the client went away */
};

/* Answers `status`.  Returns: what a content handler returns (REM_HTTP_DONE after an internal
 * redirect). */
int rem_special_respond(struct rem_request *request, int status);

/* "remora/0.1.0", or "remora" where server_tokens are off: Server field and foot of pages. */
struct rem_str rem_special_token(const struct rem_request *request);

#endif
