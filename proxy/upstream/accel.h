/* SPDX-License-Identifier: Apache-2.0 */
/* accel.h - what a server tells us, rather than the client, by fields of its response: X-Accel-*.
 *
 * Runs in:    workers.
 * Not here:   X-Accel-Expires, Expires, Cache-Control, Vary: they steer a cache, and there is none;
 *             a location may ignore them all the same.  */
#ifndef REM_UPSTREAM_ACCEL_H
#define REM_UPSTREAM_ACCEL_H

#include "proto/base/err.h"
#include "proto/base/str.h"
#include "proto/wire/field.h"

struct rem_request;
struct rem_upstream_exchange;

/* Fields that a location may want not to be believed (proxy_ignore_headers). */
enum rem_accel_field {
    REM_ACCEL_REDIRECT = 1 << 1,
    REM_ACCEL_EXPIRES = 1 << 2,
    REM_ACCEL_LIMIT_RATE = 1 << 3,
    REM_ACCEL_BUFFERING = 1 << 4,
    REM_ACCEL_CHARSET = 1 << 5,
    REM_ACCEL_HTTP_EXPIRES = 1 << 6,
    REM_ACCEL_CACHE_CONTROL = 1 << 7,
    REM_ACCEL_SET_COOKIE = 1 << 8,
    REM_ACCEL_VARY = 1 << 9,
};

/* The head is there: does what can be done at once (buffering, rate, charset). */
void rem_accel_apply(struct rem_upstream_exchange *x);

/* Where the request is to go on instead.  Returns: whether anywhere. */
bool rem_accel_redirects(const struct rem_upstream_exchange *x, struct rem_str *to);

/* Whether the client still gets a field of a response that redirects. */
bool rem_accel_survives(enum rem_field_id id);

/* Sends the request on, when the exchange is over.  May end it. */
void rem_accel_follow(struct rem_request *request, struct rem_str to);

#endif
