/* SPDX-License-Identifier: Apache-2.0 */
/* Steps about tables. */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

static struct rem_change_table_item *known_table(const struct rem_change *change,
                                                 enum rem_table_kind kind, struct rem_str name)
{
    for (size_t i = 0; i < change->table_count; i++) {
        struct rem_change_table_item *item = &change->tables[i];
        if (item->now.kind == kind && rem_str_eq(item->now.name, name))
            return item;
    }
    return NULL;
}

/* Begins with what is published. */
static int begin_table(struct rem_change *change, enum rem_table_kind kind, struct rem_str name,
                       struct rem_change_table_item *item)
{
    const struct rem_writer *writer = change->writer;
    uint32_t at = rem_writer_table_index(writer, kind, name);

    if (at != REM_SHM_NONE) {
        const struct rem_shm_dir_table *entry = &rem_dir_tables(writer->dir)[at];
        rem_writer_read_table(writer, entry, &item->before);
        item->now = item->before;
        item->flags = entry->flags;
        /* One that is kept for older workers is none to a change. */
        item->exists = item->existed = !(entry->flags & REM_TABLE_ORPHAN);
    }
    /* An orphan may go before the change is committed. */
    item->now.kind = kind;
    item->now.name = rem_arena_dup(&change->arena, name);
    return item->now.name.p != NULL ? REM_OK : REM_ENOMEM;
}

int rem_change_table_item(struct rem_change *change, enum rem_table_kind kind, struct rem_str name,
                          struct rem_change_table_item **out)
{
    struct rem_change_table_item item = {0};
    int rc;

    REM_CHECK_OBJ(change, REM_CHANGE_MAGIC);
    REM_CHECK(!change->done);
    *out = known_table(change, kind, name);
    if (*out != NULL)
        return REM_OK;
    if (change->table_count == change->table_room) {
        size_t room = change->table_room != 0 ? change->table_room * 2 : 4;
        struct rem_change_table_item *grown = realloc(change->tables, room * sizeof(*grown));
        if (grown == NULL)
            return REM_ENOMEM;
        change->tables = grown;
        change->table_room = room;
    }
    rc = begin_table(change, kind, name, &item);
    if (rc != REM_OK)
        return rc;
    change->tables[change->table_count] = item;
    *out = &change->tables[change->table_count++];
    return REM_OK;
}

static int remove_table(struct rem_change_table_item *item, struct rem_err *err)
{
    if (!item->exists)
        return rem_err_set(err, REM_ENOTFOUND, "table \"%.*s\" not found",
                           REM_STR_ARG(item->now.name));
    item->exists = false;
    item->touched = true;
    return REM_OK;
}

/* Errors: those of rem_change_table; *out is the table's place. */
static int begin_step(struct rem_change *change, enum rem_table_kind kind, struct rem_str name,
                      struct rem_change_table_item **out, struct rem_err *err)
{
    int rc;

    if (name.n == 0 || name.n > REM_TABLE_NAME_MAX)
        return rem_err_set(err, REM_EINVAL, "invalid name of a table");
    rc = rem_change_table_item(change, kind, name, out);
    return rc == REM_OK ? rc : rem_err_set(err, rc, "out of memory");
}

/* Bytes that an earlier step brought go: a turn may have many about one large table. */
static void set_bytes(struct rem_change_table_item *item, void *bytes, size_t n,
                      uint64_t config_hash)
{
    free(item->owned);
    item->owned = bytes;
    if (!item->exists)
        item->flags = 0;
    item->now.bytes = rem_str_make(bytes, n);
    item->now.config_hash = config_hash;
    item->now.uid = 0;
    item->now.declared = item->flags & REM_TABLE_DECLARED;
    item->exists = item->touched = true;
}

int rem_change_table(struct rem_change *change, enum rem_table_kind kind, struct rem_str name,
                     struct rem_str bytes, uint64_t config_hash, struct rem_err *err)
{
    struct rem_change_table_item *item;
    char *copy;
    int rc = begin_step(change, kind, name, &item, err);

    if (rc != REM_OK)
        return rc;
    if (bytes.p == NULL)
        return remove_table(item, err);
    copy = aligned_alloc(REM_SHM_UNIT, (bytes.n / REM_SHM_UNIT + 1) * REM_SHM_UNIT);
    if (copy == NULL)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    if (bytes.n != 0)
        memcpy(copy, bytes.p, bytes.n);
    set_bytes(item, copy, bytes.n, config_hash);
    return REM_OK;
}

int rem_change_table_take(struct rem_change *change, enum rem_table_kind kind, struct rem_str name,
                          struct rem_str *bytes, uint64_t config_hash, struct rem_err *err)
{
    struct rem_change_table_item *item;
    int rc = begin_step(change, kind, name, &item, err);

    if (rc != REM_OK)
        return rc;
    REM_CHECK((uintptr_t)bytes->p % REM_SHM_UNIT == 0);
    set_bytes(item, (void *)(uintptr_t)bytes->p, bytes->n, config_hash);
    *bytes = REM_STR("");
    return REM_OK;
}

int rem_change_table_get(struct rem_change *change, enum rem_table_kind kind, struct rem_str name,
                         struct rem_table *out)
{
    struct rem_change_table_item *item = known_table(change, kind, name);

    if (item == NULL)
        return rem_writer_table(change->writer, kind, name, out);
    if (!item->exists)
        return REM_ENOTFOUND;
    *out = item->now;
    return REM_OK;
}

int rem_change_table_before(const struct rem_change *change, enum rem_table_kind kind,
                            struct rem_str name, struct rem_table *out)
{
    const struct rem_change_table_item *item = known_table(change, kind, name);

    if (item == NULL || !item->existed)
        return REM_ENOTFOUND;
    *out = item->before;
    return REM_OK;
}

int rem_change_table_after(const struct rem_change *change, enum rem_table_kind kind,
                           struct rem_str name, struct rem_table *out)
{
    const struct rem_change_table_item *item = known_table(change, kind, name);

    if (item == NULL || !item->exists)
        return REM_ENOTFOUND;
    *out = item->now;
    return REM_OK;
}
