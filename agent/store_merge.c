/* SPDX-License-Identifier: Apache-2.0 */
/* What was saved, laid over the configuration: the rule of store.h. */
#include "agent/store_priv.h"
#include "api/names.h"

#include <stdlib.h>

struct merging {
    struct rem_store *store;
    const struct rem_store_saved *saved;
    struct rem_upstream_spec *upstreams; /* of the configuration, then those made at run time */
    size_t upstream_count;
    struct rem_table_spec *tables;
    bool fresh; /* the registry is empty, and all that is known is in the file */
};

/* ---- finding upstreams of the configuration ---- */

static int by_name(const void *a, const void *b, void *data)
{
    const struct rem_upstream_spec *specs = data;
    struct rem_str x = specs[*(const uint32_t *)a].name, y = specs[*(const uint32_t *)b].name;
    size_t n = x.n < y.n ? x.n : y.n;
    int way = n != 0 ? memcmp(x.p, y.p, n) : 0;

    return way != 0 ? way : (x.n > y.n) - (x.n < y.n);
}

static int index_conf(struct rem_store *store, const struct rem_registry_conf *conf)
{
    store->conf = *conf;
    store->by_name = calloc(conf->upstream_count + 1, sizeof(*store->by_name));
    if (store->by_name == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < conf->upstream_count; i++)
        store->by_name[i] = (uint32_t)i;
    qsort_r(store->by_name, conf->upstream_count, sizeof(*store->by_name), by_name,
            (void *)(uintptr_t)conf->upstreams);
    return REM_OK;
}

/* ---- what a new configuration drops ---- */

static void keep_drop(struct rem_store *store, const struct rem_store_drop *drop)
{
    if (store->drop_count == REM_STORE_DROPS) {
        memmove(&store->drops[0], &store->drops[1],
                (REM_STORE_DROPS - 1) * sizeof(store->drops[0]));
        store->drop_count--;
    }
    store->drops[store->drop_count++] = *drop;
}

/* Logs the drop and keeps it; without memory it is only logged. */
static void drop(struct rem_store *store, const char *kind, struct rem_str name, const char *why,
                 struct rem_str changes)
{
    struct rem_store_drop entry = {.name = rem_arena_dup(&store->arena, name),
                                   .why = rem_str_from(why),
                                   .changes = rem_arena_dup(&store->arena, changes),
                                   .sec = store->clock->wall_sec};

    REM_LOG(store->log, REM_LOG_WARN, 0,
            "%s \"%.*s\": %s, so that the configuration is used; dropped of what was changed at "
            "run time: %.*s",
            kind, REM_STR_ARG(name), why, REM_STR_ARG(changes));
    if (entry.name.p != NULL && entry.changes.p != NULL)
        keep_drop(store, &entry);
}

/* Is what was saved still running, so that the new configuration takes it away only now? */
static bool is_running(const struct merging *m, const struct rem_upstream_spec *saved)
{
    const struct rem_writer *writer = m->store->writer;
    struct rem_upstream_spec running;
    struct rem_arena arena;
    size_t index;
    bool runs;

    if (rem_writer_find(writer, saved->name, &index) != REM_OK)
        return false;
    rem_arena_init(&arena, NULL);
    runs = rem_writer_spec(writer, index, &arena, &running) == REM_OK &&
           running.config_hash == saved->config_hash && !(running.flags & REM_UPSTREAM_ORPHAN);
    rem_arena_reset(&arena);
    return runs;
}

static void drop_upstream(const struct merging *m, size_t i, const char *why)
{
    const struct rem_upstream_spec *saved = &m->saved->upstreams[i];

    if (m->fresh || is_running(m, saved))
        drop(m->store, "upstream", saved->name, why, m->saved->changes[i]);
}

/* ---- upstreams ---- */

static void merge_runtime(struct merging *m, size_t i, const struct rem_upstream_spec *conf)
{
    if (conf != NULL)
        drop_upstream(m, i, "the configuration has an upstream of this name now");
    else if (m->fresh)
        m->upstreams[m->upstream_count++] = m->saved->upstreams[i];
}

/* A server that was found by a name must have that name: one of the block, or one that came through
 * the API, as long as there is somebody to ask. */
static bool fits(const struct rem_upstream_spec *conf, const struct rem_upstream_spec *saved)
{
    for (size_t i = 0; i < saved->server_count; i++) {
        uint32_t parent = saved->servers[i].parent;
        if (parent > REM_NAMES_FIRST ? conf->resolver == NULL : parent > conf->resolve_count)
            return false;
    }
    return true;
}

static void merge_upstream(struct merging *m, size_t i)
{
    const struct rem_upstream_spec *saved = &m->saved->upstreams[i];
    const struct rem_upstream_spec *conf = rem_store_conf_of(m->store, saved->name);
    struct rem_upstream_spec *to;

    if (saved->flags & REM_UPSTREAM_RUNTIME) {
        merge_runtime(m, i, conf);
        return;
    }
    if (conf == NULL) {
        drop_upstream(m, i, "the configuration no longer has it");
        return;
    }
    if (conf->config_hash != saved->config_hash || !fits(conf, saved)) {
        drop_upstream(m, i, "its block in the configuration has changed");
        return;
    }
    if (!m->fresh)
        return;
    to = &m->upstreams[conf - m->store->conf.upstreams];
    if (!(conf->flags & REM_UPSTREAM_STATE)) { /* else its own file has them */
        to->servers = saved->servers;
        to->server_count = saved->server_count;
    }
    for (const struct rem_store_field *field = rem_store_upstream_fields; field->name != NULL;
         field++)
        *rem_store_number(to, field) = rem_store_number_of(saved, field);
}

/* ---- tables ---- */

static void merge_table(struct merging *m, const struct rem_table *saved)
{
    const struct rem_table_spec *conf = rem_store_table_of(m->store, saved->kind, saved->name);
    const char *why = "the configuration no longer has it";
    struct rem_table running;

    if (conf != NULL && conf->config_hash == saved->config_hash) {
        if (m->fresh)
            m->tables[conf - m->store->conf.tables].bytes = saved->bytes;
        return;
    }
    if (conf != NULL)
        why = "what the configuration says of it has changed";
    if (!m->fresh &&
        (rem_writer_table(m->store->writer, saved->kind, saved->name, &running) != REM_OK ||
         running.config_hash != saved->config_hash))
        return;
    drop(m->store, rem_store_table_kind(saved->kind), saved->name, why, REM_STR("its contents"));
}

/* ---- the whole ---- */

static int merge(struct merging *m, struct rem_registry_conf *conf)
{
    struct rem_store *store = m->store;
    const struct rem_store_saved *saved = m->saved;
    size_t room = conf->upstream_count + saved->upstream_count + 1;

    m->upstreams = rem_arena_alloc(&store->arena, room * sizeof(*m->upstreams));
    m->tables = rem_arena_alloc(&store->arena, (conf->table_count + 1) * sizeof(*m->tables));
    if (m->upstreams == NULL || m->tables == NULL)
        return REM_ENOMEM;
    if (conf->upstream_count != 0)
        memcpy(m->upstreams, conf->upstreams, conf->upstream_count * sizeof(*m->upstreams));
    if (conf->table_count != 0)
        memcpy(m->tables, conf->tables, conf->table_count * sizeof(*m->tables));
    m->upstream_count = conf->upstream_count;
    for (size_t i = 0; i < saved->drop_count; i++)
        keep_drop(store, &saved->drops[i]);
    for (size_t i = 0; i < saved->upstream_count; i++)
        merge_upstream(m, i);
    for (size_t i = 0; i < saved->table_count; i++)
        merge_table(m, &saved->tables[i]);
    conf->upstreams = m->upstreams;
    conf->upstream_count = m->upstream_count;
    conf->tables = m->tables;
    store->merged = m->fresh;
    return REM_OK;
}

/* A file that is of no use is kept, and revisions begin where none has been. */
static void set_aside(struct rem_store *store, const char *why)
{
    store->file.aside = true;
    store->file.known = false;
    REM_LOG(store->log, REM_LOG_ERROR, 0,
            "state file \"%s\" is broken: %s; it is kept as \"%s.broken\", and what is not running "
            "is as the configuration says",
            store->path, why, store->path);
    if (rem_writer_revision(store->writer) == 0)
        rem_writer_raise(store->writer, (uint64_t)store->clock->wall_sec);
}

static void raise_revision(struct rem_store *store, const struct rem_store_saved *saved)
{
    if (rem_writer_revision(store->writer) < saved->revision)
        rem_writer_raise(store->writer, saved->reserved + 1);
}

int rem_store_merge(struct rem_store *store, const char *path, struct rem_registry_conf *conf,
                    struct rem_err *err)
{
    struct rem_store_saved saved = {0};
    struct merging m = {.store = store, .saved = &saved};
    struct rem_err why = {0};
    int rc;

    rem_arena_init(&store->arena, NULL);
    store->path = path;
    rc = index_conf(store, conf);
    if (rc != REM_OK || path == NULL)
        return rc;
    m.fresh = rem_writer_revision(store->writer) == 0;
    rc = rem_store_read_file(path, &store->arena, &saved, &why);
    if (rc == REM_ENOTFOUND)
        return REM_OK;
    if (rc == REM_EPROTO) {
        set_aside(store, why.text);
        return REM_OK;
    }
    if (rc == REM_EUNSUPPORTED)
        return rem_err_set(err, rc, "state file \"%s\": %s", path, why.text);
    if (rc != REM_OK)
        return rc;
    if (saved.edited)
        REM_LOG(store->log, REM_LOG_WARN, 0, "state file \"%s\" was edited by hand", path);
    store->file.known = true;
    store->file.hash = saved.hash;
    raise_revision(store, &saved);
    return merge(&m, conf);
}

void rem_store_unmerge(struct rem_store *store, struct rem_registry_conf *conf, const char *why)
{
    *conf = store->conf;
    store->merged = false;
    set_aside(store, why);
}
