/* SPDX-License-Identifier: Apache-2.0 */
/* resolver.h - the directives `resolver` and `resolver_timeout` of http, server and location. */
#ifndef REM_MOD_RESOLVER_H
#define REM_MOD_RESOLVER_H

#include "proto/dns/dns.h"
#include "proxy/http/request.h"

struct rem_resolver_conf {
    const struct rem_dns_spec *spec; /* NULL: no resolver */
    int64_t timeout_ms;
};

/* What applies to the request's location; never NULL.
 * Use: rem_resolver_get(request->worker, conf->spec) of proxy/net/resolver.h, then rem_dns_addrs.
 */
const struct rem_resolver_conf *rem_resolver_conf(const struct rem_request *request);

/* What `server ... resolve` in an upstream block inherits from the http block.  While a
 * configuration is read, after the http block was. */
const struct rem_resolver_conf *rem_resolver_conf_http(const struct rem_conf *cf);

/* Reads the arguments of `resolver` (cf->args) into a new spec in the configuration's arena.
 * Errors: reported. */
int rem_resolver_parse(struct rem_conf *cf, struct rem_dns_spec **out) REM_MUST_CHECK;

#endif
