/* SPDX-License-Identifier: Apache-2.0 */
/* A change and its steps about whole upstreams. */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

/* ---- the change and its items ---- */

int rem_change_new(struct rem_writer *writer, struct rem_change **out)
{
    struct rem_change *change;

    REM_CHECK_OBJ(writer, REM_WRITER_MAGIC);
    if (writer->change != NULL)
        return REM_EBUSY;
    change = calloc(1, sizeof(*change));
    if (change == NULL)
        return REM_ENOMEM;
    change->magic = REM_CHANGE_MAGIC;
    change->writer = writer;
    change->config_generation = writer->dir != NULL ? writer->dir->config_generation : 0;
    rem_arena_init(&change->arena, NULL);
    writer->change = change;
    *out = change;
    return REM_OK;
}

void rem_change_free(struct rem_change **change)
{
    struct rem_change *freed = *change;

    if (freed == NULL)
        return;
    REM_CHECK_OBJ(freed, REM_CHANGE_MAGIC);
    freed->writer->change = NULL;
    rem_arena_reset(&freed->arena);
    for (size_t i = 0; i < freed->count; i++)
        rem_change_keys_drop(&freed->items[i]);
    free(freed->items);
    free(freed->by_name);
    for (size_t i = 0; i < freed->table_count; i++)
        free(freed->tables[i].owned);
    free(freed->tables);
    freed->magic = 0;
    free(freed);
    *change = NULL;
}

/* The place of an item, or the empty one where it would be.  There is room. */
static uint32_t *place_of(const struct rem_change *change, struct rem_str name, uint64_t hash)
{
    size_t mask = 2 * change->room - 1, at = hash & mask;

    for (; change->by_name[at] != 0; at = (at + 1) & mask) {
        const struct rem_change_item *item = &change->items[change->by_name[at] - 1];
        if (item->name_hash == hash && rem_str_eq(item->spec.name, name))
            break;
    }
    return &change->by_name[at];
}

static struct rem_change_item *known_item(const struct rem_change *change, struct rem_str name,
                                          uint64_t hash)
{
    uint32_t number = change->room != 0 ? *place_of(change, name, hash) : 0;

    return number != 0 ? &change->items[number - 1] : NULL;
}

/* Room for one more. */
static int make_room(struct rem_change *change)
{
    size_t room = change->room != 0 ? change->room * 2 : 8; /* a power of two */
    struct rem_change_item *grown;
    uint32_t *by_name;

    if (change->count < change->room)
        return REM_OK;
    by_name = calloc(2 * room, sizeof(*by_name));
    grown = by_name != NULL ? realloc(change->items, room * sizeof(*grown)) : NULL;
    if (grown == NULL) {
        free(by_name);
        return REM_ENOMEM;
    }
    free(change->by_name);
    change->items = grown;
    change->by_name = by_name;
    change->room = room;
    for (size_t i = 0; i < change->count; i++)
        *place_of(change, grown[i].spec.name, grown[i].name_hash) = (uint32_t)i + 1;
    return REM_OK;
}

bool rem_change_names(const struct rem_change *change, struct rem_str name)
{
    return known_item(change, name, rem_hash(name.p, name.n)) != NULL;
}

/* Begins with what is published.  Its set stays where it is until this change is committed, so that
 * texts may point into it; only orphans may go before. */
static int begin_item(struct rem_change *change, struct rem_str name, struct rem_change_item *item)
{
    struct rem_writer *writer = change->writer;
    size_t index;

    if (rem_writer_find(writer, name, &index) != REM_OK) {
        item->full = true;
        item->spec.name = rem_arena_dup(&change->arena, name);
        return item->spec.name.p != NULL ? REM_OK : REM_ENOMEM;
    }
    item->base = rem_dir_set(&writer->region, writer->dir, (uint32_t)index);
    if (item->base->flags & REM_UPSTREAM_ORPHAN)
        item->base = rem_writer_copy_set(&change->arena, item->base);
    if (item->base == NULL)
        return REM_ENOMEM;
    rem_writer_upstream_head(item->base, &item->spec);
    item->exists = true;
    item->next_id = item->base->next_id;
    return REM_OK;
}

int rem_change_item(struct rem_change *change, struct rem_str name, struct rem_change_item **out)
{
    struct rem_change_item item = {.name_hash = rem_hash(name.p, name.n)};
    int rc;

    REM_CHECK_OBJ(change, REM_CHANGE_MAGIC);
    REM_CHECK(!change->done);
    *out = known_item(change, name, item.name_hash);
    if (*out != NULL)
        return REM_OK;
    rc = make_room(change);
    if (rc == REM_OK)
        rc = begin_item(change, name, &item);
    if (rc != REM_OK)
        return rc;
    *place_of(change, item.spec.name, item.name_hash) = (uint32_t)change->count + 1;
    change->items[change->count] = item;
    *out = &change->items[change->count++];
    return REM_OK;
}

/* ---- lists of servers ---- */

/* The servers of the base as the edits leave them. */
static int list_servers(const struct rem_change_item *item, const struct rem_shm_set *base,
                        struct rem_arena *arena, struct rem_upstream_spec *out)
{
    size_t room = (size_t)base->count + item->edit_count + 1, n = 0;
    struct rem_server_spec *servers = rem_arena_alloc(arena, room * sizeof(*servers));

    if (servers == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < base->count; i++)
        rem_writer_server_spec(base, rem_set_server(base, i), &servers[i]);
    for (uint32_t i = 0; i < item->edit_count; i++)
        if (item->edits[i].at != REM_SHM_NONE)
            servers[item->edits[i].at] = item->edits[i].spec;
    /* What is removed has no weight. */
    for (uint32_t i = 0; i < base->count; i++)
        if (servers[i].weight != 0)
            servers[n++] = servers[i];
    for (uint32_t i = 0; i < item->edit_count; i++)
        if (item->edits[i].at == REM_SHM_NONE)
            servers[n++] = item->edits[i].spec;
    out->servers = servers;
    out->server_count = n;
    return REM_OK;
}

int rem_change_fill(struct rem_change *change, struct rem_change_item *item)
{
    int rc = REM_OK;

    if (item->full)
        rem_change_compact(item);
    else
        rc = list_servers(item, item->base, &change->arena, &item->spec);
    if (rc != REM_OK)
        return rc;
    item->full = true;
    item->edit_count = 0;
    return REM_OK;
}

/* ---- steps ---- */

static int existing_item(struct rem_change *change, struct rem_str name,
                         struct rem_change_item **out)
{
    int rc = rem_change_item(change, name, out);

    return rc == REM_OK && !(*out)->exists ? REM_ENOTFOUND : rc;
}

int rem_change_get(struct rem_change *change, struct rem_str name,
                   const struct rem_upstream_spec **out)
{
    struct rem_change_item *item;
    int rc = existing_item(change, name, &item);

    if (rc != REM_OK)
        return rc;
    *out = &item->spec;
    return rem_change_fill(change, item);
}

int rem_change_list(struct rem_change *change, struct rem_str name, struct rem_arena *arena,
                    struct rem_upstream_spec *out)
{
    struct rem_change_item *item;
    int rc = existing_item(change, name, &item);

    if (rc != REM_OK)
        return rc;
    rem_change_compact(item);
    *out = item->spec;
    return item->full ? REM_OK : list_servers(item, item->base, arena, out);
}

int rem_change_head(struct rem_change *change, struct rem_str name, struct rem_upstream_spec *out)
{
    struct rem_change_item *item;
    int rc = existing_item(change, name, &item);

    if (rc != REM_OK)
        return rc;
    *out = item->spec;
    out->servers = NULL;
    return REM_OK;
}

/* The item is what was put from here on. */
static void replaced(struct rem_change_item *item, bool exists)
{
    item->exists = exists;
    item->touched = true;
    item->full = true;
    item->whole = true;
    item->room = 0;
    item->holes = 0;
    item->edit_count = 0;
    rem_change_keys_drop(item);
}

int rem_change_remove(struct rem_change *change, struct rem_str name)
{
    struct rem_change_item *item;
    int rc = existing_item(change, name, &item);

    if (rc != REM_OK)
        return rc;
    replaced(item, false);
    item->spec.servers = NULL;
    item->spec.server_count = 0;
    return REM_OK;
}

/* `spec` is known to be good. */
static int put(struct rem_change *change, const struct rem_upstream_spec *spec, struct rem_err *err)
{
    struct rem_change_item *item;
    struct rem_upstream_spec copy;
    uint32_t next_id;
    int rc = rem_change_item(change, spec->name, &item);

    if (rc == REM_OK)
        rc = rem_change_fill(change, item);
    if (rc == REM_OK)
        rc = rem_upstream_spec_copy(&change->arena, spec, &copy);
    if (rc != REM_OK)
        return rem_err_set(err, rc, "out of memory");
    next_id = item->next_id;
    rc = rem_change_assign_ids(item, &copy, &next_id, err);
    if (rc != REM_OK)
        return rc;
    item->spec = copy;
    item->next_id = next_id;
    replaced(item, true);
    return REM_OK;
}

int rem_change_put(struct rem_change *change, const struct rem_upstream_spec *spec,
                   struct rem_err *err)
{
    int rc = rem_change_check_spec(spec, err);

    return rc == REM_OK ? put(change, spec, err) : rc;
}

int rem_change_servers(struct rem_change *change, struct rem_str name,
                       const struct rem_server_spec *servers, size_t count, struct rem_err *err)
{
    const struct rem_upstream_spec *now;
    struct rem_upstream_spec spec;
    int rc = rem_change_get(change, name, &now);

    if (rc != REM_OK)
        return rem_err_set(err, rc, "upstream \"%.*s\": %s", REM_STR_ARG(name), rem_err_text(rc));
    spec = *now;
    spec.servers = (struct rem_server_spec *)(uintptr_t)servers; /* read only, by put */
    spec.server_count = count;
    rc = rem_change_check_spec(&spec, err);
    if (rc == REM_OK)
        rc = rem_change_check_addrs(&spec, now, err);
    if (rc == REM_OK && rem_change_keep_parents(change, now, &spec) != REM_OK)
        rc = rem_err_set(err, REM_ENOMEM, "out of memory");
    return rc == REM_OK ? put(change, &spec, err) : rc;
}

/* ---- what it is about ---- */

static bool next_item(const struct rem_change *change, size_t at, struct rem_touched *out)
{
    const struct rem_change_item *item = &change->items[at];

    *out = (struct rem_touched){
        .kind = REM_TOUCHED_UPSTREAM,
        .name = item->spec.name,
        .existed = item->base != NULL,
        .exists = item->exists,
    };
    return item->touched && (out->existed || out->exists);
}

static bool next_table(const struct rem_change *change, size_t at, struct rem_touched *out)
{
    const struct rem_change_table_item *item = &change->tables[at];

    *out = (struct rem_touched){
        .kind = REM_TOUCHED_TABLE,
        .table_kind = item->now.kind,
        .name = item->now.name,
        .existed = item->existed,
        .exists = item->exists,
    };
    return item->touched && (out->existed || out->exists);
}

bool rem_change_next(const struct rem_change *change, size_t *cursor, struct rem_touched *out)
{
    while (*cursor < change->count + change->table_count) {
        size_t at = (*cursor)++;

        if (at < change->count ? next_item(change, at, out)
                               : next_table(change, at - change->count, out))
            return true;
    }
    return false;
}

int rem_change_before(const struct rem_change *change, struct rem_str name, struct rem_arena *arena,
                      struct rem_upstream_spec *out)
{
    const struct rem_change_item *item = known_item(change, name, rem_hash(name.p, name.n));

    if (item == NULL || item->base == NULL)
        return REM_ENOTFOUND;
    return rem_writer_set_spec(item->base, arena, out);
}

int rem_change_after(const struct rem_change *change, struct rem_str name, struct rem_arena *arena,
                     struct rem_upstream_spec *out)
{
    struct rem_change_item *item = known_item(change, name, rem_hash(name.p, name.n));
    struct rem_upstream_spec spec;
    int rc;

    if (item == NULL || !item->exists)
        return REM_ENOTFOUND;
    rem_change_compact(item);
    spec = item->spec;
    if (!item->full) {
        rc = list_servers(item, item->base, arena, &spec);
        if (rc != REM_OK)
            return rc;
    }
    return rem_upstream_spec_copy(arena, &spec, out);
}

bool rem_change_ids(const struct rem_change *change, struct rem_str name, const uint32_t **out_ids,
                    size_t *out_count)
{
    const struct rem_change_item *item = known_item(change, name, rem_hash(name.p, name.n));

    if (item == NULL || item->whole)
        return false;
    *out_ids = item->ids;
    *out_count = item->id_count;
    return true;
}
