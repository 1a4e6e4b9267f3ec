/* SPDX-License-Identifier: Apache-2.0 */
/* generation.h - one loaded configuration and what it set up: the unit that HUP replaces.
 *
 * Runs in:    the master; children inherit the one they were forked with.
 * Lifecycle:  load -> prepare (logs, directories) -> its processes run -> free, when the next one
 *             has taken over.  Sockets are opened and closed by the master (listener.h).  */
#ifndef REM_PROCESS_GENERATION_H
#define REM_PROCESS_GENERATION_H

#include "proxy/conf/load.h"
#include "proxy/net/setup.h"
#include "proxy/process/options.h"

struct rem_generation {
    uint64_t number; /* config_generation: 1, 2, ... over binary upgrades too */
    struct rem_conf_cycle *cycle;
    struct rem_setup setup;
    int64_t loaded_sec;
};

/* Where problems are told: to a log, and on a terminal as nginx words it. */
struct rem_reporter {
    const struct rem_log *log; /* NULL: none */
    FILE *terminal;            /* NULL: none */
};

/* Tells a problem that has no place in a file. */
void rem_report(const struct rem_reporter *to, enum rem_log_level level, int sys_errno,
                const char *format, ...) REM_PRINTF(4, 5);

/* Reads the configuration.  Errors: negative, after it has been told why. */
int rem_generation_load(const struct rem_options *options, const struct rem_reporter *to,
                        struct rem_generation **out) REM_MUST_CHECK;

/* The absolute path of the configuration file, as far as options say; at most `size` bytes. */
void rem_generation_conf_path(const struct rem_options *options, char *buf, size_t size);

/* The absolute path that -e names; empty without -e or with "stderr". */
void rem_generation_log_path(const struct rem_options *options, char *buf, size_t size);

/* Opens log files and makes directories.  Errors: REM_EIO, told. */
int rem_generation_prepare(struct rem_generation *gen,
                           const struct rem_reporter *to) REM_MUST_CHECK;

/* Closes its logs and frees everything.  NULL is fine.  Sockets stay as they are. */
void rem_generation_free(struct rem_generation *gen);

/* Opens all of a list of log files again (USR1).  `uid` other than 0 becomes the owner of files
 * that root opened, so that workers can open them too. */
void rem_generation_reopen(struct rem_log_file *files, uid_t uid, const struct rem_log *log);

#endif
