/* SPDX-License-Identifier: Apache-2.0 */
/* static.h - sends a file as the answer, for handlers that have found one themselves. */
#ifndef REM_HTTP_MOD_STATIC_H
#define REM_HTTP_MOD_STATIC_H

#include "proxy/http/mod/file.h"

/* Fills in the response's head for a file: date, tag, length, the type of the URI.
 * Errors: REM_ENOMEM. */
int rem_static_describe(struct rem_request *request, const struct stat *st) REM_MUST_CHECK;

/* Sends the head and the file.  Takes: file.  Returns what a handler returns. */
int rem_static_send(struct rem_request *request, struct rem_file *file);

#endif
