/* SPDX-License-Identifier: Apache-2.0 */
/* dns_loop.h - a resolver that lives on the agent's event loop.  */
#ifndef REM_AGENT_DNS_LOOP_H
#define REM_AGENT_DNS_LOOP_H

#include "proto/base/clock.h"
#include "proto/dns/dns.h"

struct event;
struct event_base;
struct rem_shm_header;
struct rem_shm_resolver;

struct rem_dns_loop {
    const struct rem_dns_spec *spec; /* borrowed */
    struct rem_dns *dns;
    struct event_base *base;
    struct rem_clock *clock;
    struct event *timer;
    struct rem_shm_resolver *counters; /* of the status zone; NULL: none */
};

/* The struct must stay where it is until fini.  `header` has the counters.  Errors: REM_ENOMEM,
 * REM_EINVAL, REM_EIO. */
int rem_dns_loop_init(struct rem_dns_loop *loop, struct event_base *base, struct rem_clock *clock,
                      struct rem_shm_header *header,
                      const struct rem_dns_spec *spec) REM_MUST_CHECK;
void rem_dns_loop_fini(struct rem_dns_loop *loop);

#endif
