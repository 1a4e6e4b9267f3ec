/* SPDX-License-Identifier: Apache-2.0 */
/* sticky.h - clients that stay with a server: by a cookie of ours, by a route that the server hands
 * out, or by a session that is learnt from what server and client say.
 *
 * Runs in:    the configuration, workers.
 * Identity:   a server is known by its sticky id: the `route` parameter, or a digest of its address
 *             (proto/shm/reader.h).  The registry finds servers by it; nothing here knows indexes.
 * Sessions:   live in a zone shared by the workers, by session name: the hash of a sticky id.  */
#ifndef REM_UPSTREAM_STICKY_H
#define REM_UPSTREAM_STICKY_H

#include "proto/shm/zone.h"
#include "proxy/conf/array.h"
#include "proxy/conf/conf.h"
#include "proxy/conf/value.h"
#include "proxy/upstream/upstream.h"

enum rem_sticky_method {
    REM_STICKY_BY_COOKIE = 0,
    REM_STICKY_BY_ROUTE,
    REM_STICKY_BY_LEARNING,
};

enum { REM_STICKY_EXPIRES_NONE = -1, REM_STICKY_EXPIRES_MAX = -2 };

struct rem_sticky_conf {
    enum rem_sticky_method method;

    struct rem_str cookie;                            /* its name */
    int64_t expires;                                  /* seconds, or one of the above */
    const struct rem_value *domain, *path, *samesite; /* NULL: none */
    bool httponly, secure;

    struct rem_array lookup; /* of struct rem_value; of a route too */
    struct rem_array create;
    struct rem_zone *zone;
    uint64_t timeout_ms;
    bool at_header; /* learn when the response's head is there, not when it has ended */
};

/* Of the request's exchange, in the order of the calls. */

/* Before the first pick: the hash of the server's sticky id, 0 where the client is free. */
uint64_t rem_sticky_wanted(struct rem_upstream_exchange *x, const struct rem_sticky_conf *conf);

/* The response's head is about to be passed on.  Errors: REM_ENOMEM. */
int rem_sticky_on_head(struct rem_upstream_exchange *x) REM_MUST_CHECK;

/* The response has ended. */
void rem_sticky_on_end(struct rem_upstream_exchange *x);

/* strict, lax or none. */
bool rem_sticky_is_samesite(struct rem_str value);

extern struct rem_module rem_sticky_module;

#endif
