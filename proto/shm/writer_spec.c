/* SPDX-License-Identifier: Apache-2.0 */
/* Reads descriptions back out of sets, and tables. */
#include "proto/shm/writer_priv.h"

size_t rem_writer_count(const struct rem_writer *writer)
{
    return writer->dir != NULL ? writer->dir->count : 0;
}

int rem_writer_find(const struct rem_writer *writer, struct rem_str name, size_t *out_index)
{
    const struct rem_shm_dir *dir = writer->dir;
    uint64_t hash = rem_hash(name.p, name.n);
    const uint32_t *table;

    if (dir == NULL)
        return REM_ENOTFOUND;
    table = (const void *)((const char *)dir + dir->table_off);
    for (uint32_t at = (uint32_t)hash & dir->mask; table[at] != REM_SHM_NONE;
         at = (at + 1) & dir->mask) {
        const struct rem_shm_set *set = rem_dir_set(&writer->region, dir, table[at]);
        if (rem_dir_entries(dir)[table[at]].name_hash != hash ||
            !rem_str_eq(rem_set_text(set, set->name), name))
            continue;
        *out_index = table[at];
        return REM_OK;
    }
    return REM_ENOTFOUND;
}

/* ---- descriptions ---- */

/* The whole set is copied into the arena once, and all texts point into the copy. */
const struct rem_shm_set *rem_writer_copy_set(struct rem_arena *arena,
                                              const struct rem_shm_set *set)
{
    void *copy = rem_arena_alloc(arena, set->size + REM_SHM_UNIT);

    if (copy == NULL)
        return NULL;
    copy = (void *)(((uintptr_t)copy + REM_SHM_UNIT - 1) / REM_SHM_UNIT * REM_SHM_UNIT);
    return memcpy(copy, set, set->size);
}

void rem_writer_server_spec(const struct rem_shm_set *set, const struct rem_shm_server *server,
                            struct rem_server_spec *out)
{
    *out = (struct rem_server_spec){
        .server = rem_set_text(set, server->server),
        .name = rem_set_text(set, server->name),
        .route = rem_set_text(set, server->route),
        .fail_timeout_text = rem_set_text(set, server->fail_timeout_text),
        .slow_start_text = rem_set_text(set, server->slow_start_text),
        .id = server->id,
        .weight = server->weight,
        .max_conns = server->max_conns,
        .max_fails = server->max_fails,
        .fail_timeout_ms = server->fail_timeout_ms,
        .slow_start_ms = server->slow_start_ms,
        .flags = server->flags,
        .parent = server->parent,
    };
    rem_set_addr(set, server, &out->addr);
}

void rem_writer_upstream_head(const struct rem_shm_set *set, struct rem_upstream_spec *out)
{
    *out = (struct rem_upstream_spec){
        .name = rem_set_text(set, set->name),
        .zone = rem_set_text(set, set->zone),
        .zone_size = set->zone_size,
        .config_hash = set->config_hash,
        .flags = set->flags,
        .method = set->method,
        .method_flags = set->method_flags,
        .sticky = set->sticky,
        .limits = set->limits,
        .outlier = set->outlier,
        .server_count = set->count,
        .keepalive = {.connections = set->keepalive_connections,
                      .requests = set->keepalive_requests,
                      .timeout_ms = set->keepalive_timeout_ms,
                      .time_ms = set->keepalive_time_ms},
    };
}

int rem_writer_set_spec(const struct rem_shm_set *set, struct rem_arena *arena,
                        struct rem_upstream_spec *out)
{
    struct rem_upstream_spec spec;

    set = rem_writer_copy_set(arena, set);
    if (set == NULL)
        return REM_ENOMEM;
    rem_writer_upstream_head(set, &spec);
    spec.servers = rem_arena_alloc(arena, (set->count + 1) * sizeof(*spec.servers));
    if (spec.servers == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < set->count; i++)
        rem_writer_server_spec(set, rem_set_server(set, i), &spec.servers[i]);
    *out = spec;
    return REM_OK;
}

void rem_writer_uids(const struct rem_writer *writer, size_t index, struct rem_upstream_uids *out)
{
    const struct rem_shm_set *set;

    REM_CHECK(index < rem_writer_count(writer));
    set = rem_dir_set(&writer->region, writer->dir, (uint32_t)index);
    *out = (struct rem_upstream_uids){.upstream = set->upstream_uid, .set = set->uid};
}

int rem_writer_spec(const struct rem_writer *writer, size_t index, struct rem_arena *arena,
                    struct rem_upstream_spec *out)
{
    REM_CHECK(index < rem_writer_count(writer));
    return rem_writer_set_spec(rem_dir_set(&writer->region, writer->dir, (uint32_t)index), arena,
                               out);
}

uint32_t rem_writer_server_at(const struct rem_shm_set *set, uint32_t id)
{
    uint32_t first;

    if (set->count == 0)
        return REM_SHM_NONE;
    /* Where nothing was removed and no name resolved, ids run on. */
    first = rem_set_server(set, 0)->id;
    if (id >= first && id - first < set->count && rem_set_server(set, id - first)->id == id)
        return id - first;
    for (uint32_t i = 0; i < set->count; i++)
        if (rem_set_server(set, i)->id == id)
            return i;
    return REM_SHM_NONE;
}

int rem_writer_server_place(const struct rem_writer *writer, size_t index, uint32_t id,
                            size_t *out_place)
{
    uint32_t at;

    REM_CHECK(index < rem_writer_count(writer));
    at = rem_writer_server_at(rem_dir_set(&writer->region, writer->dir, (uint32_t)index), id);
    if (at == REM_SHM_NONE)
        return REM_ENOTFOUND;
    *out_place = at;
    return REM_OK;
}

int rem_writer_server(const struct rem_writer *writer, size_t index, uint32_t id,
                      struct rem_server_spec *out)
{
    const struct rem_shm_set *set;
    uint32_t at;

    REM_CHECK(index < rem_writer_count(writer));
    set = rem_dir_set(&writer->region, writer->dir, (uint32_t)index);
    at = rem_writer_server_at(set, id);
    if (at == REM_SHM_NONE)
        return REM_ENOTFOUND;
    rem_writer_server_spec(set, rem_set_server(set, at), out);
    return REM_OK;
}

/* ---- tables ---- */

void rem_writer_read_table(const struct rem_writer *writer, const struct rem_shm_dir_table *entry,
                           struct rem_table *out)
{
    const struct rem_shm_table *table = rem_region_at(&writer->region, entry->table);

    *out = (struct rem_table){
        .kind = (enum rem_table_kind)entry->kind,
        .name = rem_object_table_name(table),
        .bytes = rem_str_make((const char *)table + table->bytes_off, table->bytes_len),
        .config_hash = entry->config_hash,
        .uid = table->uid,
        .declared = entry->flags & REM_TABLE_DECLARED,
    };
}

uint32_t rem_writer_table_index(const struct rem_writer *writer, enum rem_table_kind kind,
                                struct rem_str name)
{
    const struct rem_shm_dir *dir = writer->dir;
    uint64_t hash = rem_table_hash(kind, name);

    for (uint32_t i = 0; dir != NULL && i < dir->table_count; i++) {
        const struct rem_shm_dir_table *entry = &rem_dir_tables(dir)[i];
        if (entry->name_hash == hash && entry->kind == (uint32_t)kind &&
            rem_str_eq(rem_object_table_name(rem_region_at(&writer->region, entry->table)), name))
            return i;
    }
    return REM_SHM_NONE;
}

size_t rem_writer_tables(const struct rem_writer *writer)
{
    size_t n = 0;

    for (uint32_t i = 0; writer->dir != NULL && i < writer->dir->table_count; i++)
        n += !(rem_dir_tables(writer->dir)[i].flags & REM_TABLE_ORPHAN);
    return n;
}

void rem_writer_table_at(const struct rem_writer *writer, size_t index, struct rem_table *out)
{
    const struct rem_shm_dir_table *entry = rem_dir_tables(writer->dir);

    REM_CHECK(index < rem_writer_tables(writer));
    for (;; entry++)
        if (!(entry->flags & REM_TABLE_ORPHAN) && index-- == 0)
            break;
    rem_writer_read_table(writer, entry, out);
}

int rem_writer_table(const struct rem_writer *writer, enum rem_table_kind kind, struct rem_str name,
                     struct rem_table *out)
{
    uint32_t at = rem_writer_table_index(writer, kind, name);

    if (at == REM_SHM_NONE || rem_dir_tables(writer->dir)[at].flags & REM_TABLE_ORPHAN)
        return REM_ENOTFOUND;
    rem_writer_read_table(writer, &rem_dir_tables(writer->dir)[at], out);
    return REM_OK;
}
