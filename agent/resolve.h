/* SPDX-License-Identifier: Apache-2.0 */
/* resolve.h - servers that are names: asks for their addresses again and again, and publishes what
 * has changed.
 *
 * Lifecycle:  inherit (before the registry is reconciled) -> start (with the loop) -> answers come
 *             -> apply, at the end of a turn -> stop.
 * Failure:    an answer that is an error changes nothing; that a name has no addresses any more is
 *             an answer like others.
 * Names:      those of the configuration, and those that came through the API (api/names.h).
 * Identity:   servers made from a name carry `parent`, the name's number in its block, and the
 *             name as their own; a reload finds them by that.  */
#ifndef REM_AGENT_RESOLVE_H
#define REM_AGENT_RESOLVE_H

#include "agent/dns_loop.h"
#include "proto/base/log.h"
#include "proto/shm/writer.h"

struct rem_resolve_job;

struct rem_resolves {
    struct rem_writer *writer;
    const struct rem_log *log;
    struct event_base *base;
    struct rem_clock *clock;
    struct rem_shm_header *header;
    struct rem_dns_loop **loops; /* owned, one per resolver */
    size_t loop_count;
    struct rem_resolve_job *jobs;          /* owned, linked; one per name of an upstream */
    const struct rem_upstream_spec *specs; /* of the configuration */
    size_t spec_count;
    bool dirty; /* some job has an answer that is not published yet */
};

/* An upstream whose block has changed begins with the addresses that are known of its names:
 * appends to `spec` what `old`, which is running, has of them.  Texts are borrowed from `old`, the
 * rest lives in `arena`.  Errors: REM_ENOMEM. */
int rem_resolve_inherit(struct rem_arena *arena, const struct rem_upstream_spec *old,
                        struct rem_upstream_spec *spec) REM_MUST_CHECK;

/* Begins to ask.  `specs` outlive the struct.  Errors: REM_ENOMEM, those of rem_dns_new. */
int rem_resolves_start(struct rem_resolves *resolves, struct event_base *base,
                       const struct rem_upstream_spec *specs, size_t count) REM_MUST_CHECK;
void rem_resolves_stop(struct rem_resolves *resolves);

/* Looks at what names have come and gone through the API; after a publish of such.  Where memory
 * is short some are not asked for until the next time.  (resolve_names.c) */
void rem_resolves_look(struct rem_resolves *resolves);

/* Publishes answers, if no other change is open.  Returns: true if something was published. */
bool rem_resolves_apply(struct rem_resolves *resolves);

#endif
