/* SPDX-License-Identifier: Apache-2.0 */
/* privileges.h - what a child gives up and takes on between fork and work.
 *
 * Runs in:    workers and the agent, right after the fork.  */
#ifndef REM_PROCESS_PRIVILEGES_H
#define REM_PROCESS_PRIVILEGES_H

#include "proxy/net/setup.h"

/* The user of `user`, the environment of `env`, the `working_directory`, and, when the master dies,
 * `death_signal` (0: none).  `master` is its pid.  Errors: REM_EIO, logged. */
int rem_privileges_drop(const struct rem_setup *setup, pid_t master,
                        int death_signal) REM_MUST_CHECK;

/* Can the user of `user` make files in the directory? */
bool rem_privileges_can_write(const struct rem_setup *setup, const char *dir);
/* The same of reading a file. */
bool rem_privileges_can_read(const struct rem_setup *setup, const char *path);

/* Limits, priority and CPUs of worker `index`; only complained about, as none is vital. */
void rem_privileges_limits(const struct rem_setup *setup, int index);

#endif
