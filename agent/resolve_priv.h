/* SPDX-License-Identifier: Apache-2.0 */
/* resolve_priv.h - what the files of the resolution of servers' names share.
 *
 * Runs in:    agent.  */
#ifndef REM_AGENT_RESOLVE_PRIV_H
#define REM_AGENT_RESOLVE_PRIV_H

#include "agent/resolve.h"

struct rem_resolve_job {
    struct rem_resolve_job *next;
    struct rem_resolves *owner;
    const struct rem_upstream_spec *upstream;
    const struct rem_resolve_spec *spec;
    uint32_t parent; /* what its servers carry */
    struct rem_dns *dns;
    struct rem_dns_query *query;
    struct event *again;
    struct rem_dns_target *targets; /* owned; the last answer */
    size_t count;
    bool answered;          /* and not published yet */
    bool staged;            /* of an answer: it is in the change to be published */
    uint64_t wait_ms;       /* what `again` was set to */
    int failed;             /* the code logged last, so that each is logged once */
    struct rem_arena arena; /* what `spec` lives in, of a name that came through the API */
    bool seen;              /* when looking for those that are gone */
};

/* Begins to ask for a name; the job is the first of the list.  `spec` must live as long (it may
 * move into the job's arena afterwards).  Errors: REM_ENOMEM, those of rem_dns_new. */
int rem_resolve_job_start(struct rem_resolves *resolves, const struct rem_upstream_spec *upstream,
                          const struct rem_resolve_spec *spec, uint32_t parent,
                          struct rem_resolve_job **out) REM_MUST_CHECK;

/* Takes a job out of the list and frees it. */
void rem_resolve_job_end(struct rem_resolve_job **at);

#endif
