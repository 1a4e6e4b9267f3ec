/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/error_log.h"

#include "proxy/conf/conf.h"
#include "proxy/net/setup.h"

#include <unistd.h>

/* Targets keep the order of the file, so that what is told twice is told in the same order. */
static int add_target(struct rem_setup *setup, struct rem_log **log,
                      const struct rem_log_target *made)
{
    struct rem_log_target *target = rem_arena_zalloc(setup->arena, sizeof(*target));
    const struct rem_log_target **end;
    struct rem_log *to = *log;

    if (to == NULL)
        to = rem_arena_zalloc(setup->arena, sizeof(*to));
    if (target == NULL || to == NULL)
        return REM_ENOMEM;
    *target = *made;
    for (end = &to->targets; *end != NULL;)
        end = (const struct rem_log_target **)(uintptr_t) & (*end)->next;
    *end = target;
    if (made->level > to->level)
        to->level = made->level;
    *log = to;
    return REM_OK;
}

int rem_error_log_add(struct rem_setup *setup, struct rem_log **log, struct rem_log_file *file,
                      enum rem_log_level level)
{
    struct rem_log_target target = {.file = file, .level = level};

    return add_target(setup, log, &target);
}

/* The process's stderr as a log file: never reopened, shared by all that log there. */
static struct rem_log_file *stderr_file(struct rem_setup *setup)
{
    struct rem_log_file *file;

    for (file = setup->log_files; file != NULL; file = file->next)
        if (file->path == NULL)
            return file;
    file = rem_arena_zalloc(setup->arena, sizeof(*file));
    if (file == NULL)
        return NULL;
    file->fd = STDERR_FILENO;
    file->next = setup->log_files;
    setup->log_files = file;
    return file;
}

struct rem_log_file *rem_error_log_file(struct rem_setup *setup, struct rem_str path)
{
    if (path.n == 0 || rem_str_is(path, "stderr"))
        return stderr_file(setup);
    return rem_setup_log_file(setup, path);
}

/* "stderr" is no path; anything else is one, relative to the prefix. */
static struct rem_log_file *file_of(struct rem_conf *cf, struct rem_str name)
{
    struct rem_str path = name;

    if (!rem_str_is(name, "stderr")) {
        path = rem_conf_path(cf, name, REM_BASE_PREFIX);
        if (path.p == NULL)
            return NULL;
    }
    return rem_error_log_file(cf->user, path);
}

struct rem_syslog *rem_error_log_syslog(struct rem_conf *cf, struct rem_str name)
{
    struct rem_syslog *syslog = NULL;
    struct rem_err err = {0};

    if (rem_setup_syslog(cf->user, rem_str_skip(name, strlen("syslog:")), &syslog, &err) == REM_OK)
        return syslog;
    (void)rem_conf_error(cf, "%s", err.text);
    return NULL;
}

int rem_error_log_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_log **log = (struct rem_log **)(void *)((char *)conf + d->offset);
    struct rem_log_target target = {.level = REM_LOG_ERROR};
    struct rem_str name = cf->args[1];

    if (name.n == 0)
        return rem_conf_invalid_arg(cf, name);
    if (rem_str_has_prefix(name, REM_STR("memory:")))
        return rem_conf_error(cf, "\"%.*s\": \"error_log\" to memory is not supported",
                              REM_STR_ARG(name));
    if (cf->n_args > 3)
        return rem_conf_error(cf, "duplicate log level \"%.*s\"", REM_STR_ARG(cf->args[3]));
    if (cf->n_args == 3 && rem_log_level_parse(cf->args[2], &target.level) != REM_OK)
        return rem_conf_error(cf, "invalid log level \"%.*s\"", REM_STR_ARG(cf->args[2]));
    if (rem_str_has_prefix(name, REM_STR("syslog:"))) {
        target.syslog = rem_error_log_syslog(cf, name);
        if (target.syslog == NULL)
            return REM_EINVAL;
    } else {
        target.file = file_of(cf, name);
        if (target.file == NULL)
            return rem_conf_nomem(cf);
    }
    return add_target(cf->user, log, &target) == REM_OK ? REM_OK : rem_conf_nomem(cf);
}
