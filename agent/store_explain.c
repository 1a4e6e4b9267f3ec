/* SPDX-License-Identifier: Apache-2.0 */
/* The rule of store.h, applied to what is there now. */
#include "agent/store_diff.h"
#include "agent/store_priv.h"
#include "api/json.h"

static const char rule[] =
    "What was changed at run time is in effect where the configuration's block is the one that it "
    "was changed under; where the block has changed since, the configuration is. Upstreams made at "
    "run time stay unless the configuration names them.";

static const struct why {
    const char *in_effect, *why;
} whys[] = {
    [REM_STORE_HIDDEN] = {"", ""},
    [REM_STORE_CONF] = {"configuration", "it was not changed at run time"},
    [REM_STORE_CHANGED] = {"run-time",
                           "it was changed at run time, and its block is the same as then"},
    [REM_STORE_RUNTIME] = {"run-time", "it was made at run time"},
    [REM_STORE_FILE] = {"state file", "it is kept in a file of its own"},
};

/* What comes with a start: of changes that a `state DIR` keeps, of those it does not. */
static const char *fate(const struct rem_store *store, enum rem_store_source source)
{
    if (source == REM_STORE_FILE)
        return "kept";
    if (source == REM_STORE_CONF)
        return "read again";
    return store->path != NULL ? "kept" : "lost";
}

/* The upstream with the configuration's servers. */
static const struct rem_upstream_spec *settings_of(const struct rem_upstream_spec *now,
                                                   const struct rem_upstream_spec *conf,
                                                   struct rem_upstream_spec *copy)
{
    *copy = *now;
    copy->servers = conf->servers;
    copy->server_count = conf->server_count;
    return copy;
}

static json_t *upstream_json(const struct rem_store *store, const struct rem_upstream_spec *now,
                             enum rem_store_source source)
{
    const struct rem_upstream_spec *conf = rem_store_conf_of(store, now->name);
    struct rem_upstream_spec copy;
    struct rem_sbuf changes;
    json_t *object = NULL;

    rem_sbuf_init(&changes);
    if ((source != REM_STORE_CHANGED && source != REM_STORE_FILE) || conf == NULL ||
        rem_store_changes(conf, source == REM_STORE_FILE ? settings_of(now, conf, &copy) : now,
                          REM_STORE_WORDS, &changes) == REM_OK)
        object = json_pack("{s:o,s:s,s:s,s:s,s:o}", "name", rem_json_text(now->name), "in_effect",
                           whys[source].in_effect, "why", whys[source].why, "at_restart",
                           fate(store, source), "changes", rem_json_text(rem_sbuf_str(&changes)));
    if (object != NULL && source == REM_STORE_FILE && conf != NULL &&
        json_object_set_new(object, "file", rem_json_text(conf->state)) != 0) {
        json_decref(object);
        object = NULL;
    }
    rem_sbuf_fini(&changes);
    return object;
}

static json_t *upstreams_json(const struct rem_store *store)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < rem_writer_count(store->writer); i++) {
        struct rem_upstream_spec now;
        enum rem_store_source source = REM_STORE_HIDDEN;
        struct rem_arena arena;
        int rc;

        rem_arena_init(&arena, NULL);
        rc = rem_writer_spec(store->writer, i, &arena, &now);
        if (rc == REM_OK)
            source = rem_store_source(rem_store_conf_of(store, now.name), &now);
        if (rc != REM_OK ||
            (source != REM_STORE_HIDDEN &&
             json_array_append_new(list, upstream_json(store, &now, source)) != 0)) {
            json_decref(list);
            list = NULL;
        }
        rem_arena_reset(&arena);
    }
    return list;
}

static json_t *tables_json(const struct rem_store *store)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < rem_writer_tables(store->writer); i++) {
        struct rem_table table;
        enum rem_store_source source;
        rem_writer_table_at(store->writer, i, &table);
        if (!rem_table_is_said(table.kind))
            continue;
        source = rem_store_table_source(store, &table);
        if (json_array_append_new(list, json_pack("{s:o,s:s,s:s,s:s,s:s}", "name",
                                                  rem_json_text(table.name), "kind",
                                                  rem_store_table_kind(table.kind), "in_effect",
                                                  whys[source].in_effect, "why", whys[source].why,
                                                  "at_restart", fate(store, source))) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *drops_json(const struct rem_store *store)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < store->drop_count; i++) {
        const struct rem_store_drop *drop = &store->drops[i];
        if (json_array_append_new(
                list, json_pack("{s:o,s:I,s:o,s:o}", "name", rem_json_text(drop->name), "time",
                                (json_int_t)drop->sec, "why", rem_json_text(drop->why), "changes",
                                rem_json_text(drop->changes))) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

json_t *rem_store_explain(void *data)
{
    const struct rem_store *store = data;

    return json_pack("{s:I,s:o,s:b,s:s,s:o,s:o,s:o}", "revision",
                     (json_int_t)rem_writer_revision(store->writer), "file",
                     store->path != NULL ? rem_json_text(rem_str_from(store->path)) : json_null(),
                     "saved", (int)!(rem_persist_busy(store->persist) || store->file.failed),
                     "rule", rule, "upstreams", upstreams_json(store), "tables", tables_json(store),
                     "dropped", drops_json(store));
}
