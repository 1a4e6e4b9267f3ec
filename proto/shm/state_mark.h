/* SPDX-License-Identifier: Apache-2.0 */
/* state_mark.h - what master and agent both know of state files.
 *
 * A file of `state FILE` ends with a line by which the agent's own text is told from one that
 * somebody has edited.  That of `admin { state DIR; }` begins with its version.
 * Runs in:    the agent writes, the master looks when it reads a configuration.
 * Why here:   proxy and agent never include each other; both may include this.  */
#ifndef REM_SHM_STATE_MARK_H
#define REM_SHM_STATE_MARK_H

#include "proto/base/err.h"
#include "proto/base/sbuf.h"

/* Ends `text` with a comment that holds a digest of what stands before it. */
void rem_state_mark_add(struct rem_sbuf *text);

/* Is `text` whole, and as it was when the mark was added? */
bool rem_state_mark_ok(struct rem_str text);

/* Appends what the file holds.
 * Errors: REM_ENOTFOUND, REM_EIO with errno, REM_ETOOBIG, REM_ENOMEM. */
int rem_state_file_read(const char *path, size_t max, struct rem_sbuf *out) REM_MUST_CHECK;

#define REM_STATE_NAME "state.json" /* in DIR */

enum { REM_STATE_VERSION = 1 }; /* the newest that is known */

/* The version that a text of DIR/state.json says it has; 0: none that could be read. */
unsigned rem_state_version(struct rem_str text);

#endif
