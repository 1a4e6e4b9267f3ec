/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/log.h"

#include "proto/base/err.h"
#include "proto/base/syslog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const level_names[] = {"",     "emerg",  "alert", "crit", "error",
                                          "warn", "notice", "info",  "debug"};

int rem_log_level_parse(struct rem_str name, enum rem_log_level *out)
{
    for (int i = REM_LOG_EMERG; i <= REM_LOG_DEBUG; i++)
        if (rem_str_is(name, level_names[i])) {
            *out = (enum rem_log_level)i;
            return REM_OK;
        }
    return REM_EINVAL;
}

int rem_log_file_open(struct rem_log_file *file)
{
    int fd;

    if (file->path == NULL)
        return REM_OK;
    if (file->flush != NULL && file->fd >= 0)
        file->flush(file);
    fd = open(file->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return REM_EIO;
    if (file->fd >= 0)
        close(file->fd);
    file->fd = fd;
    return REM_OK;
}

struct rem_log_file *rem_log_first_file(const struct rem_log *log)
{
    for (const struct rem_log_target *t = log->targets; t != NULL; t = t->next)
        if (t->file != NULL)
            return t->file;
    return NULL;
}

const struct rem_log *rem_log_stderr(enum rem_log_level level)
{
    static struct rem_log_file file = {.fd = STDERR_FILENO};
    static struct rem_log_target targets[REM_LOG_DEBUG + 1];
    static struct rem_log logs[REM_LOG_DEBUG + 1];

    targets[level] = (struct rem_log_target){.file = &file, .level = level};
    logs[level] = (struct rem_log){.targets = &targets[level], .level = level};
    return &logs[level];
}

/* Adds formatted text at `at`, never past `end`; returns the new end of the line. */
static char *add(char *at, const char *end, const char *format, ...) REM_PRINTF(3, 4);

static char *add(char *at, const char *end, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(at, (size_t)(end - at), format, args);
    va_end(args);
    if (n < 0)
        return at;
    return n < end - at ? at + n : at + (end - at - 1);
}

/* A full disk is left alone for the rest of the second. */
static void write_line(struct rem_log_file *file, int64_t now, const char *line, size_t n)
{
    if (file->fd < 0 || (file->full_sec == now && now != 0))
        return;
    if (write(file->fd, line, n) < 0 && errno == ENOSPC)
        file->full_sec = now;
}

/* "2026/11/20 03:47:30 [error] 12#12: " */
static char *add_head(char *at, const char *end, struct rem_clock *clock, enum rem_log_level level)
{
    return add(at, end, "%.*s [%s] %d#%ld: ", REM_STR_ARG(rem_clock_error(clock)),
               level_names[level], (int)getpid(), (long)syscall(SYS_gettid));
}

/* That a syslog server takes nothing is for the files to say, now and then. */
static void tell_failure(const struct rem_log *log, struct rem_clock *clock,
                         struct rem_syslog *syslog, int sys_errno)
{
    char line[REM_LOG_LINE];
    const char *end = line + REM_LOG_LINE - 1;
    char *at;

    if (!rem_syslog_may_tell(syslog, clock->wall_sec))
        return;
    at = add_head(line, end, clock, REM_LOG_ERROR);
    at = add(at, end, "send() to syslog server \"%.*s\" failed (%d: %s)",
             REM_STR_ARG(syslog->server), sys_errno, strerror(sys_errno));
    *at++ = '\n';
    for (const struct rem_log_target *t = log->targets; t != NULL; t = t->next)
        if (t->file != NULL && t->level >= REM_LOG_ERROR)
            write_line(t->file, clock->wall_sec, line, (size_t)(at - line));
}

/* `line` ends in a line feed, which datagrams do without. */
static void hand_out(const struct rem_log *log, enum rem_log_level level, struct rem_clock *clock,
                     struct rem_str line)
{
    for (const struct rem_log_target *t = log->targets; t != NULL; t = t->next) {
        if (t->level < level)
            continue;
        if (t->syslog == NULL)
            write_line(t->file, clock->wall_sec, line.p, line.n);
        else if (rem_syslog_send(t->syslog, level, clock->wall_sec,
                                 rem_str_make(line.p, line.n - 1)) != REM_OK)
            tell_failure(log, clock, t->syslog, errno);
    }
}

static void emit(const struct rem_log_scope *scope, enum rem_log_level level, int sys_errno,
                 const char *format, va_list args)
{
    char line[REM_LOG_LINE];
    const char *end = line + REM_LOG_LINE - 1;
    const struct rem_log *log = scope->log;
    struct rem_clock now = {0};
    struct rem_clock *clock = log->clock;
    char *at;
    int n;

    if (clock == NULL) {
        rem_clock_update(&now);
        clock = &now;
    }
    at = add_head(line, end, clock, level);
    if (scope->connection != 0)
        at = add(at, end, "*%llu ", (unsigned long long)scope->connection);
    n = vsnprintf(at, (size_t)(end - at), format, args);
    if (n > 0)
        at += n < end - at ? n : end - at - 1;
    if (sys_errno != 0)
        at = add(at, end, " (%d: %s)", sys_errno, strerror(sys_errno));
    if (scope->context != NULL)
        at += scope->context(scope->data, at, (size_t)(end - at));
    *at++ = '\n';
    hand_out(log, level, clock, rem_str_make(line, (size_t)(at - line)));
}

void rem_log_write(const struct rem_log *log, enum rem_log_level level, int sys_errno,
                   const char *format, ...)
{
    struct rem_log_scope scope = {.log = log};
    int saved = errno;
    va_list args;

    va_start(args, format);
    emit(&scope, level, sys_errno, format, args);
    va_end(args);
    errno = saved;
}

void rem_log_write_in(const struct rem_log_scope *scope, enum rem_log_level level, int sys_errno,
                      const char *format, ...)
{
    int saved = errno;
    va_list args;

    va_start(args, format);
    emit(scope, level, sys_errno, format, args);
    va_end(args);
    errno = saved;
}
