/* SPDX-License-Identifier: Apache-2.0 */
/* state_mark.h - the last line of a state file, by which the agent's own text is told from one that
 * somebody has edited.
 *
 * Runs in:    the agent marks, the master looks when it reads a configuration.
 * Why here:   proxy and agent never include each other; both may include this.  */
#ifndef REM_SHM_STATE_MARK_H
#define REM_SHM_STATE_MARK_H

#include "proto/base/sbuf.h"

/* Ends `text` with a comment that holds a digest of what stands before it. */
void rem_state_mark_add(struct rem_sbuf *text);

/* Is `text` whole, and as it was when the mark was added? */
bool rem_state_mark_ok(struct rem_str text);

#endif
