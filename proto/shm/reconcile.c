/* SPDX-License-Identifier: Apache-2.0 */
/* Reconciles the registry with a configuration. */
#include "proto/shm/writer_priv.h"

/* Does the published state of the upstream answer to this block of the configuration? */
static bool unchanged(const struct rem_change_item *item, const struct rem_upstream_spec *spec)
{
    return item->exists && !item->touched && item->spec.config_hash == spec->config_hash &&
           !(item->spec.flags & REM_UPSTREAM_ORPHAN);
}

/* Whether checks are mandatory is said elsewhere than in the block, and may change while it stays.
 */
static void take_over_checks(struct rem_change_item *item, const struct rem_upstream_spec *spec)
{
    uint32_t differs = (item->spec.flags ^ spec->flags) & REM_UPSTREAM_MANDATORY;

    item->spec.flags ^= differs;
    item->touched = item->touched || differs != 0;
}

static int take_over(struct rem_change *change, const struct rem_upstream_spec *specs, size_t count,
                     struct rem_err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct rem_change_item *item;
        int rc = rem_change_item(change, specs[i].name, &item);

        if (rc == REM_OK && unchanged(item, &specs[i]))
            take_over_checks(item, &specs[i]);
        else if (rc == REM_OK)
            rc = rem_change_put(change, &specs[i], err);
        if (rc != REM_OK)
            return rc;
    }
    return REM_OK;
}

/* What the configuration no longer names is kept for older workers, and marked. */
static int mark_orphans(struct rem_change *change, size_t named)
{
    size_t count = rem_writer_count(change->writer);

    for (size_t i = 0; i < count; i++) {
        const struct rem_shm_set *set =
            rem_dir_set(&change->writer->region, change->writer->dir, (uint32_t)i);
        size_t before = change->count;
        struct rem_change_item *item;

        if (set->flags & (REM_UPSTREAM_RUNTIME | REM_UPSTREAM_ORPHAN))
            continue;
        int rc = rem_change_item(change, rem_set_text(set, set->name), &item);
        if (rc != REM_OK)
            return rc;
        if (change->count == before && (size_t)(item - change->items) < named)
            continue;
        item->spec.flags |= REM_UPSTREAM_ORPHAN;
        change->writer->orphans = true;
        item->touched = true;
    }
    return REM_OK;
}

/* ---- tables ---- */

static int take_over_tables(struct rem_change *change, const struct rem_table_spec *specs,
                            size_t count, struct rem_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct rem_table_spec *spec = &specs[i];
        struct rem_change_table_item *item;
        int rc = rem_change_table_item(change, spec->kind, spec->name, &item);

        if (rc != REM_OK)
            return rem_err_set(err, rc, "out of memory");
        if (item->exists && item->flags & REM_TABLE_DECLARED &&
            item->now.config_hash == spec->config_hash)
            continue;
        rc = rem_change_table(change, spec->kind, spec->name,
                              spec->bytes.p != NULL ? spec->bytes : REM_STR(""), spec->config_hash,
                              err);
        if (rc != REM_OK)
            return rc;
        item->flags = REM_TABLE_DECLARED;
        item->now.declared = true;
    }
    return REM_OK;
}

/* As mark_orphans; `named` items are those of the configuration. */
static int mark_table_orphans(struct rem_change *change, size_t named)
{
    const struct rem_shm_dir *dir = change->writer->dir;

    for (uint32_t i = 0; dir != NULL && i < dir->table_count; i++) {
        const struct rem_shm_dir_table *entry = &rem_dir_tables(dir)[i];
        const struct rem_shm_table *table = rem_region_at(&change->writer->region, entry->table);
        struct rem_change_table_item *item;

        if (!(entry->flags & REM_TABLE_DECLARED) || entry->flags & REM_TABLE_ORPHAN)
            continue;
        int rc = rem_change_table_item(change, (enum rem_table_kind)entry->kind,
                                       rem_object_table_name(table), &item);
        if (rc != REM_OK)
            return rc;
        if ((size_t)(item - change->tables) < named)
            continue;
        item->flags |= REM_TABLE_ORPHAN;
        change->writer->orphans = true;
        item->touched = true;
    }
    return REM_OK;
}

int rem_writer_reconcile(struct rem_writer *writer, const struct rem_registry_conf *conf,
                         struct rem_err *err)
{
    struct rem_change *change;
    struct rem_commit commit;
    int rc = rem_change_new(writer, &change);

    if (rc != REM_OK)
        return rem_err_set(err, rc, "cannot change the registry: %s", rem_err_text(rc));
    change->config_generation = conf->generation;
    rc = take_over(change, conf->upstreams, conf->upstream_count, err);
    if (rc == REM_OK)
        rc = mark_orphans(change, change->count);
    if (rc == REM_OK)
        rc = take_over_tables(change, conf->tables, conf->table_count, err);
    if (rc == REM_OK)
        rc = mark_table_orphans(change, change->table_count);
    if (rc == REM_OK)
        rc = rem_change_commit(change, REM_REVISION_ANY, &commit, err);
    rem_change_free(&change);
    return rc;
}
