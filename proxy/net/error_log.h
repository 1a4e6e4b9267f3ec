/* SPDX-License-Identifier: Apache-2.0 */
/* error_log.h - the error_log directive, the same at every level.
 *
 * Runs in:    the master, while a configuration is read.
 * Field:      `struct rem_log *` at d->offset of the struct of d->level, NULL while unset.  Each
 *             use in one block adds a destination; a block without any takes its parent's pointer
 *             (merge: `if (child->log == NULL) child->log = parent->log`), the outermost one takes
 *             setup->log.  Note: setup->log may still be empty while http is merged (error_log may
 *             stand below the http block): it is a struct that exists from the start and is filled
 *             in later, so the pointer may be taken at any time.  */
#ifndef REM_NET_ERROR_LOG_H
#define REM_NET_ERROR_LOG_H

#include "proto/base/err.h"
#include "proto/base/log.h"

struct rem_conf;
struct rem_directive;
struct rem_setup;
struct rem_syslog;

/* `error_log FILE|stderr|syslog:PARAMETERS [LEVEL]`; args REM_ARGS_1MORE. */
int rem_error_log_set(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* Adds a destination to *log (made when NULL).  Errors: REM_ENOMEM. */
int rem_error_log_add(struct rem_setup *setup, struct rem_log **log, struct rem_log_file *file,
                      enum rem_log_level level) REM_MUST_CHECK;

/* The destination that "syslog:..." in the directive at hand names; NULL after reporting why not.
 * Used by access_log too. */
struct rem_syslog *rem_error_log_syslog(struct rem_conf *cf, struct rem_str name);

/* The file of an absolute path, or the process's stderr for "stderr" and the empty path.  NULL
 * without memory. */
struct rem_log_file *rem_error_log_file(struct rem_setup *setup, struct rem_str path);

#endif
