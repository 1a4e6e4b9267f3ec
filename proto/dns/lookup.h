/* SPDX-License-Identifier: Apache-2.0 */
/* lookup.h - one question followed to its end: aliases, both families, a service's targets.
 *
 * Lifecycle:  start -> replies of c-ares -> done, once, unless dropped -> freed when the last reply
 *             is in.
 * Not here:   who asked, for how long they wait, and what is remembered (dns.c).  */
#ifndef REM_DNS_LOOKUP_H
#define REM_DNS_LOOKUP_H

#include "proto/dns/dns.h"
#include "proto/dns/record.h"

#include <ares.h>

struct rem_dns_lookup;

/* What came out; the targets are the callee's to take (set them to NULL). */
struct rem_dns_found {
    int code;
    struct rem_dns_target *targets; /* owned */
    size_t count;
    uint32_t ttl; /* seconds; UINT32_MAX: no record said any */
};

typedef void (*rem_dns_found_fn)(void *data, struct rem_dns_found *found);

struct rem_dns_ask {
    ares_channel channel;
    bool no_ipv4, no_ipv6;
    bool service;     /* SRV records and their targets' addresses */
    const char *name; /* borrowed */
    rem_dns_found_fn done;
    void *data;
};

/* `done` may be called before this returns; *out is NULL then.  Errors: REM_ENOMEM. */
int rem_dns_lookup_start(const struct rem_dns_ask *ask, struct rem_dns_lookup **out) REM_MUST_CHECK;

/* Nobody wants to know any more. */
void rem_dns_lookup_drop(struct rem_dns_lookup **lookup);

#endif
