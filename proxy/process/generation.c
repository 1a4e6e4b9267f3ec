/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/generation.h"

#include "proxy/http/http.h"
#include "proxy/process/privileges.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"",     "emerg",  "alert", "crit", "error",
                                          "warn", "notice", "info",  "debug"};

/* The terminal hears of warnings and worse. */
static void tell(const struct rem_reporter *to, enum rem_log_level level, const char *text)
{
    if (to->terminal != NULL && level <= REM_LOG_WARN)
        fprintf(to->terminal, "remora: [%s] %s\n", level_names[level], text);
    if (to->log != NULL)
        REM_LOG(to->log, level, 0, "%s", text);
}

void rem_report(const struct rem_reporter *to, enum rem_log_level level, int sys_errno,
                const char *format, ...)
{
    char text[REM_LOG_LINE];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (sys_errno != 0 && n >= 0 && (size_t)n < sizeof(text))
        snprintf(text + n, sizeof(text) - (size_t)n, " (%d: %s)", sys_errno, strerror(sys_errno));
    tell(to, level, text);
}

static void on_report(void *data, const struct rem_conf_report *report)
{
    struct rem_sbuf text;

    rem_sbuf_init(&text);
    rem_conf_report_text(report, &text);
    rem_sbuf_addc(&text, '\0');
    if (!text.failed)
        tell(data, report->level, text.p);
    rem_sbuf_fini(&text);
}

/* `path` behind the directory `base`, unless it is absolute. */
static void join(const char *base, const char *path, char *buf, size_t size)
{
    size_t n = strlen(base);

    if (*path == '/')
        snprintf(buf, size, "%s", path);
    else
        snprintf(buf, size, "%s%s%s", base, n > 0 && base[n - 1] == '/' ? "" : "/", path);
}

/* The prefix made absolute with the working directory. */
static void prefix_path(const struct rem_options *options, char *buf, size_t size)
{
    char cwd[PATH_MAX];

    if (*options->prefix == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
        snprintf(buf, size, "%s", options->prefix);
    else
        join(cwd, options->prefix, buf, size);
}

void rem_generation_conf_path(const struct rem_options *options, char *buf, size_t size)
{
    char prefix[PATH_MAX];

    prefix_path(options, prefix, sizeof(prefix));
    join(prefix, options->conf, buf, size);
}

void rem_generation_log_path(const struct rem_options *options, char *buf, size_t size)
{
    char prefix[PATH_MAX];

    *buf = '\0';
    if (options->log == NULL || strcmp(options->log, "stderr") == 0 || *options->log == '\0')
        return;
    prefix_path(options, prefix, sizeof(prefix));
    join(prefix, options->log, buf, size);
}

int rem_generation_load(const struct rem_options *options, const struct rem_reporter *to,
                        struct rem_generation **out)
{
    struct rem_generation *gen = calloc(1, sizeof(*gen));
    char prefix[PATH_MAX];
    char log[PATH_MAX];
    struct rem_conf_options load = {.modules = rem_modules, .report = on_report};
    int rc;

    if (gen == NULL)
        return REM_ENOMEM;
    prefix_path(options, prefix, sizeof(prefix));
    rem_generation_log_path(options, log, sizeof(log));
    while (rem_modules[load.n_modules] != NULL)
        load.n_modules++;
    load.prefix = rem_str_from(prefix);
    load.file = rem_str_from(options->conf);
    load.globals = options->globals != NULL ? rem_str_from(options->globals) : REM_STR("");
    load.report_data = (void *)(uintptr_t)to;
    load.user = &gen->setup;
    gen->setup.prefix = load.prefix;
    gen->setup.default_log = rem_str_from(log);
    rc = rem_conf_load(&load, &gen->cycle);
    if (rc != REM_OK) {
        free(gen);
        return rc;
    }
    /* These were on the stack here; from now on only the cycle's own are used. */
    gen->setup.prefix = gen->cycle->prefix;
    gen->setup.default_log = (struct rem_str){NULL, 0};
    gen->loaded_sec = time(NULL);
    *out = gen;
    return REM_OK;
}

/* One directory, for the workers alone.  Its parents must be there, except where a temporary path
 * of several levels is made. */
static int make_dir(const struct rem_setup *setup, const char *path)
{
    struct stat st;

    if (mkdir(path, 0700) != 0) {
        if (errno != EEXIST)
            return REM_EIO;
        return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? REM_OK : REM_EIO;
    }
    if (setup->user.n > 0 && chown(path, setup->uid, setup->gid) != 0)
        return REM_EIO;
    return REM_OK;
}

/* Who children run as. */
static const char *user_name(const struct rem_setup *setup)
{
    const struct passwd *own;

    if (setup->user.n > 0 && geteuid() == 0)
        return setup->user.p;
    own = getpwuid(geteuid());
    return own != NULL ? own->pw_name : "?";
}

/* The agent reads them, as the user of `user`, and again when they change. */
static int check_tokens(const struct rem_setup *setup, const struct rem_reporter *to)
{
    for (const struct rem_admin_token *token = setup->admin_spec.tokens; token != NULL;
         token = token->next)
        if (!rem_privileges_can_read(setup, token->path)) {
            rem_report(to, REM_LOG_EMERG, 0,
                       "the file \"%s\" of token \"%.*s\" in %.*s is not readable for user \"%s\"",
                       token->path, REM_STR_ARG(token->name), REM_STR_ARG(token->place),
                       user_name(setup));
            return REM_EACCES;
        }
    return REM_OK;
}

int rem_generation_prepare(struct rem_generation *gen, const struct rem_reporter *to)
{
    for (const struct rem_setup_dir *dir = gen->setup.dirs; dir != NULL; dir = dir->next)
        if (make_dir(&gen->setup, dir->path) != REM_OK) {
            rem_report(to, REM_LOG_EMERG, errno, "mkdir() \"%s\" failed%s", dir->path,
                       dir->where != NULL ? dir->where : "");
            return REM_EIO;
        } else if (dir->written && !rem_privileges_can_write(&gen->setup, dir->path)) {
            rem_report(to, REM_LOG_EMERG, 0,
                       "directory \"%s\" of a state file is not writable for user \"%s\"%s",
                       dir->path, user_name(&gen->setup), dir->where != NULL ? dir->where : "");
            return REM_EIO;
        }
    for (struct rem_log_file *file = gen->setup.log_files; file != NULL; file = file->next)
        if (file->path != NULL && rem_log_file_open(file) != REM_OK) {
            rem_report(to, REM_LOG_EMERG, errno, "open() \"%s\" failed", file->path);
            return REM_EIO;
        }
    return check_tokens(&gen->setup, to);
}

void rem_generation_free(struct rem_generation *gen)
{
    if (gen == NULL)
        return;
    for (struct rem_log_file *file = gen->setup.log_files; file != NULL; file = file->next)
        if (file->path != NULL && file->fd >= 0) {
            close(file->fd);
            file->fd = -1;
        }
    for (struct rem_syslog *to = gen->setup.syslogs; to != NULL; to = to->next)
        rem_syslog_close(to);
    rem_conf_free(gen->cycle);
    free(gen);
}

void rem_generation_reopen(struct rem_log_file *files, uid_t uid, const struct rem_log *log)
{
    for (struct rem_log_file *file = files; file != NULL; file = file->next) {
        if (file->path == NULL)
            continue;
        if (rem_log_file_open(file) != REM_OK) {
            REM_LOG(log, REM_LOG_EMERG, errno, "open() \"%s\" failed", file->path);
            continue;
        }
        if (uid != 0 && geteuid() == 0 && fchown(file->fd, uid, (gid_t)-1) != 0)
            REM_LOG(log, REM_LOG_EMERG, errno, "chown(\"%s\", %u) failed", file->path,
                    (unsigned)uid);
    }
}
