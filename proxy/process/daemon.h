/* SPDX-License-Identifier: Apache-2.0 */
/* daemon.h - leaving the terminal: `daemon on`.
 *
 * Runs in:    the master, once, at start.
 * Lifecycle:  the process that was started lives on until the daemon serves, and exits with 0 then,
 *             with 1 if the daemon ends before.  */
#ifndef REM_PROCESS_DAEMON_H
#define REM_PROCESS_DAEMON_H

#include "proto/base/err.h"
#include "proto/base/log.h"

struct rem_daemon {
    int ready_fd; /* -1: not a daemon */
};

/* With `wanted`, returns in a new process that is detached; stdin and stdout are /dev/null, stderr
 * is the first file of `log` unless it logs to stderr.  Errors: REM_EIO (errno). */
int rem_daemon_start(bool wanted, const struct rem_log *log,
                     struct rem_daemon *daemon) REM_MUST_CHECK;

/* Tells the process that was started, which then exits. */
void rem_daemon_ready(struct rem_daemon *daemon);

#endif
