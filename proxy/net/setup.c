/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/setup.h"

struct rem_log_file *rem_setup_log_file(struct rem_setup *setup, struct rem_str path)
{
    struct rem_log_file **end = &setup->log_files;
    struct rem_log_file *file;
    struct rem_str copy;

    for (; *end != NULL; end = &(*end)->next)
        if ((*end)->path != NULL && rem_str_is(path, (*end)->path))
            return *end;
    copy = rem_arena_dup(setup->arena, path);
    file = rem_arena_zalloc(setup->arena, sizeof(*file));
    if (copy.p == NULL || file == NULL)
        return NULL;
    file->fd = -1;
    file->path = copy.p;
    *end = file;
    return file;
}

int rem_setup_syslog(struct rem_setup *setup, struct rem_str text, struct rem_syslog **out,
                     struct rem_err *err)
{
    struct rem_syslog *syslog = setup->syslogs;
    int rc;

    while (syslog != NULL && !rem_str_eq(syslog->text, text))
        syslog = syslog->next;
    if (syslog == NULL) {
        syslog = rem_arena_zalloc(setup->arena, sizeof(*syslog));
        if (syslog == NULL)
            return rem_err_set(err, REM_ENOMEM, "out of memory");
        rc = rem_syslog_parse(text, syslog, err);
        if (rc != REM_OK)
            return rc;
        syslog->next = setup->syslogs;
        setup->syslogs = syslog;
    }
    *out = syslog;
    return REM_OK;
}

static int add_dir(struct rem_setup *setup, struct rem_str path, bool written, struct rem_str where)
{
    struct rem_setup_dir **end = &setup->dirs;
    struct rem_str copy;

    for (; *end != NULL; end = &(*end)->next)
        if (rem_str_is(path, (*end)->path)) {
            if (written && !(*end)->written)
                (*end)->where = rem_arena_dup(setup->arena, where).p;
            (*end)->written = (*end)->written || written;
            return REM_OK;
        }
    copy = rem_arena_dup(setup->arena, path);
    *end = rem_arena_zalloc(setup->arena, sizeof(**end));
    if (copy.p == NULL || *end == NULL) {
        *end = NULL;
        return REM_ENOMEM;
    }
    (*end)->path = copy.p;
    (*end)->written = written;
    (*end)->where = rem_arena_dup(setup->arena, where).p;
    return REM_OK;
}

int rem_setup_add_dir(struct rem_setup *setup, struct rem_str path)
{
    return add_dir(setup, path, false, REM_STR(""));
}

int rem_setup_add_written_dir(struct rem_setup *setup, struct rem_str path, struct rem_str where)
{
    return add_dir(setup, path, true, where);
}
