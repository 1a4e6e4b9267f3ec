/* SPDX-License-Identifier: Apache-2.0 */
/* gzip_accept.h - whether a client may be sent gzip.
 *
 * Used by:    gzip.c (makes it), gunzip.c (unmakes it), gzip_static.c (has it ready).  */
#ifndef REM_HTTP_MOD_GZIP_ACCEPT_H
#define REM_HTTP_MOD_GZIP_ACCEPT_H

#include "proxy/http/request.h"

/* Whether a list of codings (RFC 9110 section 12.5.3) names gzip with a weight above 0. */
bool rem_gzip_listed(struct rem_str accept_encoding);

/* Whether the request asks for it and nothing of gzip_http_version, gzip_proxied and gzip_disable
 * is against it. */
bool rem_gzip_accepted(const struct rem_request *request);

/* Adds "Vary: Accept-Encoding", once, if gzip_vary is on: the response could be another one.
 * Errors: REM_ENOMEM. */
int rem_gzip_vary(struct rem_request *request) REM_MUST_CHECK;

#endif
