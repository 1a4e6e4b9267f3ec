/* SPDX-License-Identifier: Apache-2.0 */
/* keyval_state.h - the files of `keyval_zone ... state=`: zones kept on disk for the next start.
 *
 * A file is one JSON object, {"entries":{"key":"value"}, "expires":{"key":MS}}, where MS are
 * milliseconds of the wall clock since 1970, of entries that have a time.
 * Runs in:    agent.
 * Lifecycle:  inherit (before the registry is reconciled) -> start -> per publish of API changes:
 *             note (before); the rest is done by persist.h -> stop.
 * Rule:       a file is read when the registry does not know the zone yet; from then on the
 *             registry says what it holds.  One that cannot be read is left alone until the first
 *             change of its zone, and moved aside then.  */
#ifndef REM_AGENT_KEYVAL_STATE_H
#define REM_AGENT_KEYVAL_STATE_H

#include "agent/persist.h"
#include "proto/base/clock.h"
#include "proto/shm/keyval.h"
#include "proto/shm/writer.h"

struct rem_keyval_job;

struct rem_keyval_states {
    struct rem_writer *writer;
    const struct rem_log *log;
    struct rem_clock *clock;
    struct rem_persist *persist;
    struct rem_keyval_job *jobs; /* owned, one per zone with a file */
    size_t job_count;
};

/* A copy of the tables in which zones that the registry does not know have what their files say.
 * Everything lives in `arena`.  Errors: REM_ENOMEM. */
int rem_keyval_states_inherit(const struct rem_keyval_states *states, struct rem_arena *arena,
                              const struct rem_keyval_spec *specs, size_t spec_count,
                              const struct rem_table_spec *tables, size_t table_count,
                              const struct rem_table_spec **out) REM_MUST_CHECK;

/* Has files written that say something else than the registry.  `specs` outlive the struct.
 * Errors: REM_ENOMEM. */
int rem_keyval_states_start(struct rem_keyval_states *states, const struct rem_keyval_spec *specs,
                            size_t count) REM_MUST_CHECK;
void rem_keyval_states_stop(struct rem_keyval_states *states);

/* Takes note of the files of the zones that a change is about, before it is published. */
void rem_keyval_states_note(struct rem_keyval_states *states, const struct rem_change *change);

#endif
