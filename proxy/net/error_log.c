/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/error_log.h"

#include "proxy/conf/conf.h"
#include "proxy/net/setup.h"

#include <unistd.h>

int rem_error_log_add(struct rem_setup *setup, struct rem_log **log, struct rem_log_file *file,
                      enum rem_log_level level)
{
    struct rem_log_target *target = rem_arena_zalloc(setup->arena, sizeof(*target));
    struct rem_log *to = *log;

    if (to == NULL)
        to = rem_arena_zalloc(setup->arena, sizeof(*to));
    if (target == NULL || to == NULL)
        return REM_ENOMEM;
    target->file = file;
    target->level = level;
    target->next = (struct rem_log_target *)(uintptr_t)to->targets;
    to->targets = target;
    if (level > to->level)
        to->level = level;
    *log = to;
    return REM_OK;
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

int rem_error_log_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_log **log = (struct rem_log **)(void *)((char *)conf + d->offset);
    enum rem_log_level level = REM_LOG_ERROR;
    struct rem_log_file *file;
    struct rem_str name = cf->args[1];

    if (name.n == 0)
        return rem_conf_invalid_arg(cf, name);
    if (rem_str_has_prefix(name, REM_STR("syslog:")) ||
        rem_str_has_prefix(name, REM_STR("memory:")))
        return rem_conf_error(cf, "\"%.*s\": only files and stderr are supported by \"error_log\"",
                              REM_STR_ARG(name));
    if (cf->n_args > 3)
        return rem_conf_error(cf, "duplicate log level \"%.*s\"", REM_STR_ARG(cf->args[3]));
    if (cf->n_args == 3 && rem_log_level_parse(cf->args[2], &level) != REM_OK)
        return rem_conf_error(cf, "invalid log level \"%.*s\"", REM_STR_ARG(cf->args[2]));
    file = file_of(cf, name);
    if (file == NULL || rem_error_log_add(cf->user, log, file, level) != REM_OK)
        return rem_conf_nomem(cf);
    return REM_OK;
}
