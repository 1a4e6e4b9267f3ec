/* SPDX-License-Identifier: Apache-2.0 */
/* persist_thread.h - the thread that writes and syncs files for the loop.
 *
 * Runs in:    agent; all functions on the loop.
 * Locking:    a batch belongs to the thread from write until it has said that it is done, and to
 *             the loop otherwise; the mutex guards the handing over alone.
 * Not here:   what is written (see persist.h), the writing (see persist_file.h).  */
#ifndef REM_AGENT_PERSIST_THREAD_H
#define REM_AGENT_PERSIST_THREAD_H

#include "agent/persist.h"

/* Hands persist->writes to the thread, which is started when there is none; the loop calls
 * rem_persist_finish when it is done.  Returns: false if there can be no thread: the caller writes.
 */
bool rem_persist_thread_write(struct rem_persist *persist);

/* Waits until the batch is done, instead of the loop. */
void rem_persist_thread_wait(struct rem_persist *persist);

/* Ends the thread, which has nothing to do. */
void rem_persist_thread_stop(struct rem_persist *persist);

/* The batch is over: takes note of what came of it, answers those that wait.  (persist.c) */
void rem_persist_finish(struct rem_persist *persist);

#endif
