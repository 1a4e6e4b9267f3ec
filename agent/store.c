/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/store_diff.h"
#include "agent/store_priv.h"
#include "proto/shm/keyval.h"
#include "proto/shm/state_mark.h"

#include <inttypes.h>
#include <stdlib.h>

/* What an upstream of the registry is in the file. */
struct rem_store_entry {
    struct rem_upstream_uids uids; /* of what was looked at */
    struct rem_sbuf text;          /* empty: it is not in the file */
};

/* ---- the configuration ---- */

static int compare(struct rem_str a, struct rem_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int way = n != 0 ? memcmp(a.p, b.p, n) : 0;

    return way != 0 ? way : (a.n > b.n) - (a.n < b.n);
}

const struct rem_upstream_spec *rem_store_conf_of(const struct rem_store *store,
                                                  struct rem_str name)
{
    size_t low = 0, high = store->by_name != NULL ? store->conf.upstream_count : 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct rem_upstream_spec *spec = &store->conf.upstreams[store->by_name[middle]];
        int way = compare(spec->name, name);
        if (way == 0)
            return spec;
        if (way < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct rem_table_spec *rem_store_table_of(const struct rem_store *store,
                                                enum rem_table_kind kind, struct rem_str name)
{
    for (size_t i = 0; i < store->conf.table_count; i++)
        if (store->conf.tables[i].kind == kind && rem_str_eq(store->conf.tables[i].name, name))
            return &store->conf.tables[i];
    return NULL;
}

static bool same_table(const struct rem_table_spec *conf, const struct rem_table *now)
{
    if (conf == NULL || conf->config_hash != now->config_hash)
        return false;
    if (now->kind == REM_TABLE_KEYVAL && rem_keyval_count(now->bytes) == 0)
        return rem_keyval_count(conf->bytes) == 0; /* empty zones differ in their seeds */
    return rem_str_eq(conf->bytes, now->bytes);
}

/* Has the key-value zone a state file of its own? */
static bool has_file(const struct rem_store *store, struct rem_str name)
{
    for (size_t i = 0; i < store->keyval_count; i++)
        if (rem_str_eq(store->keyvals[i].name, name))
            return store->keyvals[i].state.n != 0;
    return false;
}

const char *rem_store_table_kind(enum rem_table_kind kind)
{
    switch (kind) {
    case REM_TABLE_SPLIT:
        return "split";
    case REM_TABLE_NAMES:
        return "names";
    default:
        return "keyval";
    }
}

enum rem_store_source rem_store_table_source(const struct rem_store *store,
                                             const struct rem_table *now)
{
    if (now->kind == REM_TABLE_KEYVAL && has_file(store, now->name))
        return REM_STORE_FILE;
    return same_table(rem_store_table_of(store, now->kind, now->name), now) ? REM_STORE_CONF
                                                                            : REM_STORE_CHANGED;
}

enum rem_store_source rem_store_source(const struct rem_upstream_spec *conf,
                                       const struct rem_upstream_spec *now)
{
    if (now->flags & (REM_UPSTREAM_IMPLICIT | REM_UPSTREAM_ORPHAN))
        return REM_STORE_HIDDEN;
    if (now->flags & REM_UPSTREAM_RUNTIME)
        return REM_STORE_RUNTIME;
    if (now->flags & REM_UPSTREAM_STATE)
        return REM_STORE_FILE;
    if (conf == NULL)
        return REM_STORE_HIDDEN;
    return rem_store_same(conf, now) ? REM_STORE_CONF : REM_STORE_CHANGED;
}

/* ---- texts ---- */

static int look_at(struct rem_store *store, size_t index, struct rem_arena *arena,
                   struct rem_sbuf *changes, struct rem_sbuf *text)
{
    const struct rem_upstream_spec *conf;
    struct rem_upstream_spec now;
    enum rem_store_source source;
    int rc = rem_writer_spec(store->writer, index, arena, &now);

    if (rc != REM_OK)
        return rc;
    conf = rem_store_conf_of(store, now.name);
    source = rem_store_source(conf, &now);
    if (source == REM_STORE_FILE && conf != NULL && !rem_store_same_settings(conf, &now)) {
        now.servers = conf->servers; /* its own file has them */
        now.server_count = conf->server_count;
    } else if (source != REM_STORE_CHANGED && source != REM_STORE_RUNTIME) {
        return REM_OK;
    }
    rc = rem_store_changes(source == REM_STORE_RUNTIME ? NULL : conf, &now, REM_STORE_WORDS,
                           changes);
    if (source == REM_STORE_FILE)
        now.server_count = 0;
    if (rc == REM_OK)
        rem_store_text_upstream(&now, rem_sbuf_str(changes), text);
    return rc == REM_OK && text->failed ? REM_ENOMEM : rc;
}

static int look(struct rem_store *store, size_t index, struct rem_store_entry *entry)
{
    struct rem_sbuf changes;
    struct rem_arena arena;
    int rc;

    rem_sbuf_clear(&entry->text);
    rem_sbuf_init(&changes);
    rem_arena_init(&arena, NULL);
    rc = look_at(store, index, &arena, &changes, &entry->text);
    rem_arena_reset(&arena);
    rem_sbuf_fini(&changes);
    return rc;
}

static void free_entries(struct rem_store_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rem_sbuf_fini(&entries[i].text);
    free(entries);
}

/* The registry keeps upstreams in their order, new ones come last: what does not stand where it is
 * looked for is gone. */
static struct rem_sbuf take_text(struct rem_store *store, size_t *at, struct rem_upstream_uids uids,
                                 bool *same)
{
    struct rem_sbuf text;

    rem_sbuf_init(&text);
    *same = false;
    for (; *at < store->entry_count; (*at)++) {
        struct rem_store_entry *old = &store->entries[*at];
        if (old->uids.upstream != uids.upstream)
            continue;
        *same = old->uids.set == uids.set;
        text = old->text;
        rem_sbuf_init(&old->text);
        (*at)++;
        break;
    }
    return text;
}

/* Has the texts say what the registry says; those of upstreams that did not change are kept. */
static int refresh(struct rem_store *store)
{
    size_t count = rem_writer_count(store->writer), at = 0;
    struct rem_store_entry *entries = calloc(count + 1, sizeof(*entries));
    int rc = REM_OK;

    if (entries == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; rc == REM_OK && i < count; i++) {
        bool same;
        rem_writer_uids(store->writer, i, &entries[i].uids);
        entries[i].text = take_text(store, &at, entries[i].uids, &same);
        if (!same)
            rc = look(store, i, &entries[i]);
        if (rc != REM_OK)
            entries[i].uids = (struct rem_upstream_uids){0};
    }
    free_entries(store->entries, store->entry_count);
    store->entries = entries;
    store->entry_count = count;
    return rc;
}

/* ---- the file ---- */

static void begin_item(struct rem_sbuf *out, size_t n)
{
    rem_sbuf_adds(out, n == 0 ? "\n" : ",\n");
}

static void add_upstreams(const struct rem_store *store, struct rem_sbuf *out)
{
    size_t n = 0;

    rem_sbuf_adds(out, ",\n\"upstreams\":[");
    for (size_t i = 0; i < store->entry_count; i++) {
        if (store->entries[i].text.n == 0)
            continue;
        begin_item(out, n++);
        rem_sbuf_add(out, rem_sbuf_str(&store->entries[i].text));
    }
    rem_sbuf_addc(out, ']');
}

static void add_tables(const struct rem_store *store, struct rem_sbuf *out)
{
    size_t n = 0;

    rem_sbuf_adds(out, ",\n\"tables\":[");
    for (size_t i = 0; i < rem_writer_tables(store->writer); i++) {
        struct rem_table table;
        rem_writer_table_at(store->writer, i, &table);
        if (!rem_table_is_said(table.kind) ||
            rem_store_table_source(store, &table) != REM_STORE_CHANGED)
            continue;
        begin_item(out, n++);
        rem_store_text_table(&table, out);
    }
    rem_sbuf_addc(out, ']');
}

static int make_text(void *data, struct rem_sbuf *out)
{
    struct rem_store *store = data;
    uint64_t revision = rem_writer_revision(store->writer);
    int rc = refresh(store);

    if (rc != REM_OK)
        return rc;
    store->reserved = revision + (store->closing ? 0 : REM_STORE_AHEAD);
    rem_sbuf_addf(out, "{\"remora_state\":%d,\n\"revision\":%" PRIu64 ",\"reserved\":%" PRIu64,
                  REM_STATE_VERSION, revision, store->reserved);
    add_upstreams(store, out);
    add_tables(store, out);
    rem_sbuf_adds(out, ",\n\"dropped\":[");
    for (size_t i = 0; i < store->drop_count; i++) {
        begin_item(out, i);
        rem_store_text_drop(&store->drops[i], out);
    }
    rem_sbuf_addc(out, ']');
    rem_store_text_end(out);
    return REM_OK;
}

/* ---- life ---- */

void rem_store_start(struct rem_store *store)
{
    if (store->path == NULL)
        return;
    store->file.path = store->path;
    store->file.subject = REM_STR("changes made at run time");
    store->file.make = make_text;
    store->file.data = store;
    rem_persist_add(store->persist, &store->file);
    rem_persist_want(store->persist, &store->file);
}

void rem_store_note(struct rem_store *store)
{
    if (store->path != NULL)
        rem_persist_note(store->persist, &store->file);
}

void rem_store_turn(struct rem_store *store)
{
    if (store->path != NULL &&
        rem_writer_revision(store->writer) + REM_STORE_AHEAD / 2 > store->reserved)
        rem_persist_want(store->persist, &store->file);
}

void rem_store_close(struct rem_store *store)
{
    if (store->file.make == NULL)
        return;
    store->closing = true;
    rem_persist_want(store->persist, &store->file);
}

void rem_store_stop(struct rem_store *store)
{
    free_entries(store->entries, store->entry_count);
    store->entries = NULL;
    store->entry_count = 0;
    free(store->by_name);
    store->by_name = NULL;
    rem_arena_reset(&store->arena);
}
