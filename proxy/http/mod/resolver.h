/* SPDX-License-Identifier: Apache-2.0 */
/* resolver.h - the directives `resolver` and `resolver_timeout` of http, server and location. */
#ifndef REM_MOD_RESOLVER_H
#define REM_MOD_RESOLVER_H

#include "proto/dns/dns.h"
#include "proxy/conf/conf.h"
#include "proxy/http/request.h"

struct rem_resolver_conf {
    const struct rem_dns_spec *spec; /* NULL: no resolver */
    int64_t timeout_ms;
};

/* What applies to the request's location; never NULL.
 * Use: rem_resolver_get(request->worker, conf->spec) of proxy/net/resolver.h, then rem_dns_addrs.
 */
const struct rem_resolver_conf *rem_resolver_conf(const struct rem_request *request);

/* What an upstream block has, or else inherits from the http block.  While a configuration is read:
 * after the http block has been, with cf->ctx being its context; `block` is the upstream's. */
struct rem_resolver_conf rem_resolver_conf_of(const struct rem_conf *cf,
                                              const struct rem_conf_ctx *block);

#endif
