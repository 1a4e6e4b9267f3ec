/* SPDX-License-Identifier: Apache-2.0 */
/* log_buffer.h - access log lines that wait in a worker, to be written (or compressed) together.
 *
 * Runs in:    workers.  Which buffers there are is known from the configuration; after the fork
 *             each worker fills its own copy.
 * Whole:      a line is never torn, and what is compressed goes out as one gzip member in one
 *             write, since other workers append to the same file.
 * Written:    when full, `flush=` after the first line came in, before the file is opened again,
 *             and when the worker exits.
 * One file:   has at most one buffer, and all that is logged there goes through it.  */
#ifndef REM_HTTP_MOD_LOG_BUFFER_H
#define REM_HTTP_MOD_LOG_BUFFER_H

#include "proto/base/log.h"
#include "proxy/net/worker.h"

struct rem_log_buffer {
    struct rem_log_buffer *next;
    struct rem_log_file *file;
    size_t size;
    int64_t flush_ms; /* 0: only when full */
    int gzip;         /* level; 0: plain */

    char *p; /* in workers */
    size_t n;
    struct rem_timer timer;
    struct rem_worker *worker;
};

/* In a worker: from now on rem_log_buffer_write holds lines for the file back.
 * Errors: REM_ENOMEM. */
int rem_log_buffer_start(struct rem_log_buffer *buffer, struct rem_worker *worker) REM_MUST_CHECK;

/* Writes what waits.  Does nothing for a buffer that was not started. */
void rem_log_buffer_stop(struct rem_log_buffer *buffer);

/* Writes a line (its line feed included) to the file, or to the buffer that it has.  Failures are
 * told in the error log, once a minute. */
void rem_log_buffer_write(struct rem_worker *worker, struct rem_log_file *file,
                          struct rem_str line);

#endif
