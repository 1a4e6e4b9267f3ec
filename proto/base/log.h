/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - the error log: levels, several destinations, lines as nginx writes them.
 *
 *   2026/11/20 03:47:30 [error] 12#12: *5 connect() failed (111: Connection refused), client: ...
 *
 * Runs in:    every process.  A line is one write() of at most REM_LOG_LINE bytes.
 * Lifecycle:  struct rem_log is a list of destinations; a narrower context (a server block) has
 *             its own list.  Files are opened by whoever reads the configuration and reopened on
 *             USR1 through rem_log_file.  */
#ifndef REM_BASE_LOG_H
#define REM_BASE_LOG_H

#include "proto/base/clock.h"
#include "proto/base/str.h"

enum rem_log_level {
    REM_LOG_STDERR = 0,
    REM_LOG_EMERG,
    REM_LOG_ALERT,
    REM_LOG_CRIT,
    REM_LOG_ERROR,
    REM_LOG_WARN,
    REM_LOG_NOTICE,
    REM_LOG_INFO,
    REM_LOG_DEBUG,
};

enum { REM_LOG_LINE = 2048 };

/* An open file that several logs may share; the fd changes on reopen. */
struct rem_log_file {
    int fd;           /* -1: not open, lines are dropped */
    const char *path; /* NULL: a descriptor that was inherited (stderr) and is never reopened */
    int64_t full_sec; /* the second in which a write last failed for want of space */
    struct rem_log_file *next;
    /* Optional: writes what somebody holds back for this file, before it is opened again. */
    void (*flush)(struct rem_log_file *file);
    void *flush_data;
};

struct rem_syslog;

struct rem_log_target {
    struct rem_log_file *file; /* NULL: syslog */
    enum rem_log_level level;
    struct rem_log_target *next;
    struct rem_syslog *syslog; /* NULL: file */
};

/* Appends ", client: ..." and its like to a line.  Returns the bytes written (at most size). */
typedef size_t (*rem_log_context_fn)(void *data, char *buf, size_t size);

struct rem_log {
    const struct rem_log_target *targets;
    enum rem_log_level level; /* the most talkative of the targets, for a quick refusal */
    struct rem_clock *clock;  /* borrowed; NULL: read the clock for every line */
};

/* The connection number and context that lines of a request carry. */
struct rem_log_scope {
    const struct rem_log *log;
    uint64_t connection; /* 0: no "*N" */
    rem_log_context_fn context;
    void *data;
};

/* Writes one line.  `sys_errno` other than 0 adds " (N: text)". */
void rem_log_write(const struct rem_log *log, enum rem_log_level level, int sys_errno,
                   const char *format, ...) REM_PRINTF(4, 5);
void rem_log_write_in(const struct rem_log_scope *scope, enum rem_log_level level, int sys_errno,
                      const char *format, ...) REM_PRINTF(4, 5);

/* Evaluates its arguments only where somebody listens. */
#define REM_LOG(log, lvl, ...)                                                                     \
    do {                                                                                           \
        if ((log)->level >= (lvl))                                                                 \
            rem_log_write((log), (lvl), __VA_ARGS__);                                              \
    } while (0)
#define REM_LOG_IN(scope, lvl, ...)                                                                \
    do {                                                                                           \
        if ((scope)->log->level >= (lvl))                                                          \
            rem_log_write_in((scope), (lvl), __VA_ARGS__);                                         \
    } while (0)

/* "error" -> REM_LOG_ERROR.  Errors: REM_EINVAL. */
int rem_log_level_parse(struct rem_str name, enum rem_log_level *out) REM_MUST_CHECK;

/* Opens (or opens again) `file->path` for appending, created with mode 0644.  What was held back
 * for it goes to the old file first.
 * Errors: REM_EIO (errno says why); the old descriptor is kept then. */
int rem_log_file_open(struct rem_log_file *file) REM_MUST_CHECK;

/* The first of a log's targets that is a file; NULL: there is none. */
struct rem_log_file *rem_log_first_file(const struct rem_log *log);

/* A log that writes everything up to `level` to stderr, for start-up. */
const struct rem_log *rem_log_stderr(enum rem_log_level level);

#endif
