/* SPDX-License-Identifier: Apache-2.0 */
/* state.h - state files: the servers of upstreams with `state`, kept on disk for the next start.
 *
 * Runs in:    agent; the master reads the files when it reads a configuration.
 * Lifecycle:  inherit (before the registry is reconciled) -> start -> per publish of API changes:
 *             note (before); the rest is done by persist.h -> stop.
 * Not here:   addresses found by asking DNS; a server that is a name is kept as its name.  */
#ifndef REM_AGENT_STATE_H
#define REM_AGENT_STATE_H

#include "agent/persist.h"
#include "proto/shm/writer.h"

struct rem_state_job;

struct rem_states {
    struct rem_writer *writer;
    const struct rem_log *log;
    struct rem_persist *persist;
    struct rem_state_job *jobs; /* owned, one per upstream with a state file */
    size_t job_count;
};

/* An upstream with a state file keeps the servers of `old`, which is running, although its block
 * has changed: the file may have been read before the last change.  A file that somebody has edited
 * goes before them.  Texts are borrowed from `old`, the rest lives in `arena`.
 * Errors: REM_ENOMEM. */
int rem_state_inherit(struct rem_arena *arena, const struct rem_upstream_spec *old,
                      struct rem_upstream_spec *spec) REM_MUST_CHECK;

/* Has files written that are missing, or that say something else than the registry because an
 * earlier agent was killed; never those that somebody has edited.  `specs` outlive the struct.
 * Errors: REM_ENOMEM. */
int rem_states_start(struct rem_states *states, const struct rem_upstream_spec *specs,
                     size_t count) REM_MUST_CHECK;
void rem_states_stop(struct rem_states *states);

/* Takes note of the files of the upstreams that a change is about, before it is published. */
void rem_states_note(struct rem_states *states, const struct rem_change *change);

/* The file's text: the names of `spec`, and the servers of `now` that do not come from these. */
void rem_state_text(const struct rem_upstream_spec *spec, const struct rem_upstream_spec *now,
                    struct rem_sbuf *out);

#endif
