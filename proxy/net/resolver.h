/* SPDX-License-Identifier: Apache-2.0 */
/* resolver.h - a worker's resolvers: one for each `resolver` directive that is used.
 *
 * Runs in:    workers.
 * Lifecycle:  made when first asked for, freed by rem_resolvers_free when the worker ends.  */
#ifndef REM_NET_RESOLVER_H
#define REM_NET_RESOLVER_H

#include "proto/dns/dns.h"
#include "proxy/net/worker.h"

/* The worker's resolver for `spec`, which is told from others by its address and lives as long as
 * the worker.  NULL without memory. */
struct rem_dns *rem_resolver_get(struct rem_worker *worker, const struct rem_dns_spec *spec);

void rem_resolvers_free(struct rem_worker *worker);

#endif
