/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_cookie.h - proxy_cookie_domain, proxy_cookie_path and proxy_cookie_flags: Set-Cookie,
 * rewritten from the server's view to the client's.
 *
 * Runs in:    the directives while a configuration is read, applying in workers.
 * Ownership:  rules live in the configuration's arena, results in the request's.  */
#ifndef REM_UPSTREAM_PROXY_COOKIE_H
#define REM_UPSTREAM_PROXY_COOKIE_H

#include "proxy/upstream/proxy_rule.h"

/* What a location has to say; each list is UNSET_PTR (inherited) or NULL (off). */
struct rem_proxy_cookie_conf {
    struct rem_array *domains; /* of struct rem_proxy_rule */
    struct rem_array *paths;   /* of struct rem_proxy_rule */
    struct rem_array *flags;   /* of struct rem_proxy_cookie_flags */
};

struct rem_proxy_cookie_flags {
    struct rem_capture *regex; /* NULL: `name` */
    struct rem_value name;     /* of the cookie */
    struct rem_array values;   /* of struct rem_value: "secure", "nosecure", "samesite=lax" ... */
};

/* The directives; `conf` is the struct that has a rem_proxy_cookie_conf at d->offset. */
int rem_proxy_cookie_set_domain(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_proxy_cookie_set_path(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_proxy_cookie_set_flags(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* What a location begins with, and what it takes from the level above: each kind of rule by itself,
 * where the location has none of that kind. */
void rem_proxy_cookie_unset(struct rem_proxy_cookie_conf *conf);
void rem_proxy_cookie_merge(struct rem_proxy_cookie_conf *conf,
                            const struct rem_proxy_cookie_conf *up);

/* Rewrites the value of a Set-Cookie field.  Errors: REM_ENOMEM, REM_EINVAL (variables). */
int rem_proxy_cookie_apply(struct rem_request *request, const struct rem_proxy_cookie_conf *conf,
                           struct rem_str *value) REM_MUST_CHECK;

#endif
