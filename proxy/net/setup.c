/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/setup.h"

#include "proxy/conf/conf.h"

#include <stdlib.h>
#include <unistd.h>

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

int rem_setup_add_table(struct rem_setup *setup, const struct rem_table_spec *spec)
{
    struct rem_table_spec *table = REM_ARRAY_OF(&setup->tables, struct rem_table_spec);

    if (setup->tables.size == 0)
        rem_array_init(&setup->tables, sizeof(*table));
    for (uint32_t i = 0; i < setup->tables.n; i++) {
        if (table[i].kind == spec->kind && rem_str_eq(table[i].name, spec->name)) {
            table[i] = *spec;
            return REM_OK;
        }
    }
    table = rem_array_push(setup->arena, &setup->tables);
    if (table == NULL)
        return REM_ENOMEM;
    *table = *spec;
    return REM_OK;
}

/* A zone without entries, in the configuration's memory. */
static int empty_zone(struct rem_arena *arena, enum rem_keyval_type type, struct rem_str *out)
{
    struct rem_keyval_edit edit;
    struct rem_str bytes;
    char *copy = NULL;
    int rc = rem_keyval_edit_init(&edit, type, REM_STR(""), 0);

    if (rc == REM_OK)
        rc = rem_keyval_edit_build(&edit, &bytes);
    rem_keyval_edit_fini(&edit);
    if (rc != REM_OK)
        return rc;
    copy = rem_arena_alloc(arena, bytes.n);
    if (copy != NULL)
        memcpy(copy, bytes.p, bytes.n);
    free((void *)(uintptr_t)bytes.p);
    *out = rem_str_make(copy, bytes.n);
    return copy != NULL ? REM_OK : REM_ENOMEM;
}

int rem_setup_add_keyval(struct rem_setup *setup, const struct rem_keyval_spec *spec)
{
    struct rem_table_spec table = {.kind = REM_TABLE_KEYVAL, .name = spec->name};
    struct rem_keyval_spec *keyval;
    int rc = empty_zone(setup->arena, spec->type, &table.bytes);

    if (rc != REM_OK)
        return rc;
    if (setup->keyvals.size == 0)
        rem_array_init(&setup->keyvals, sizeof(*keyval));
    keyval = rem_array_push(setup->arena, &setup->keyvals);
    if (keyval == NULL)
        return REM_ENOMEM;
    *keyval = *spec;
    table.config_hash = rem_keyval_config_hash(spec);
    return rem_setup_add_table(setup, &table);
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

struct rem_str rem_setup_temp_path(struct rem_conf *cf, struct rem_str name)
{
    const struct rem_setup *setup = cf->user;
    struct rem_str path = rem_conf_path(cf, name, REM_BASE_PREFIX);

    if (path.p != NULL && access(path.p, F_OK) != 0 && access(setup->prefix.p, W_OK) != 0)
        return REM_STR("/tmp");
    return path;
}

int rem_setup_add_written_dir(struct rem_conf *cf, struct rem_str path)
{
    struct rem_conf_pos here = rem_conf_here(cf);
    struct rem_str where =
        rem_arena_printf(cf->arena, " in %.*s:%u", REM_STR_ARG(here.file), here.line);

    if (where.p == NULL || add_dir(cf->user, path, true, where) != REM_OK)
        return rem_conf_nomem(cf);
    return REM_OK;
}

int rem_setup_add_state_file(struct rem_conf *cf, struct rem_str path, struct rem_str *out)
{
    struct rem_str dir = *out = rem_conf_path(cf, path, REM_BASE_PREFIX);

    if (out->p == NULL)
        return REM_ENOMEM;
    while (dir.n > 1 && dir.p[dir.n - 1] != '/')
        dir.n--;
    if (dir.n > 1)
        dir.n--;
    return rem_setup_add_written_dir(cf, dir);
}
