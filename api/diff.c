/* SPDX-License-Identifier: Apache-2.0 */
#include "api/diff.h"

#include "api/diff_server.h"
#include "api/id_index.h"
#include "api/upstream_json.h"
#include "api/v1_tables.h"
#include "proto/shm/split.h"

#include <stdlib.h>

/* An upstream on both sides of the change. */
struct sides {
    struct rem_upstream_spec before, after; /* where `existed` and `exists` */
    bool existed, exists;
};

/* ---- two lists of servers ---- */

/* Servers that belong together. */
struct pair {
    const struct rem_server_spec *before, *after; /* NULL: not there */
    size_t at;                                    /* place before */
};

struct pairs {
    struct pair *items; /* owned */
    size_t count;
    bool moved; /* those that stayed stand in another order */
};

/* Compares whole lists.  First come those that were there before, in their order. */
static int match(const struct sides *sides, struct pairs *out)
{
    const struct rem_upstream_spec *before = &sides->before, *after = &sides->after;
    struct rem_id_index index;
    size_t last = 0;
    int rc = rem_id_index_init(&index, before->servers, before->server_count);

    *out = (struct pairs){
        .items = calloc(before->server_count + after->server_count + 1, sizeof(*out->items)),
        .count = before->server_count,
    };
    if (rc != REM_OK || out->items == NULL) {
        rem_id_index_fini(&index);
        free(out->items);
        out->items = NULL;
        return REM_ENOMEM;
    }
    for (size_t i = 0; i < before->server_count; i++)
        out->items[i] = (struct pair){.before = &before->servers[i], .at = i};
    for (size_t i = 0; i < after->server_count; i++) {
        size_t at = rem_id_index_find(&index, after->servers[i].id);
        if (at == SIZE_MAX) {
            out->items[out->count++].after = &after->servers[i];
            continue;
        }
        out->items[at].after = &after->servers[i];
        out->moved = out->moved || at < last;
        last = at;
    }
    rem_id_index_fini(&index);
    return 0;
}

enum list { ADDED = 0, REMOVED, CHANGED, LISTS };

static bool belongs(const struct pair *pair, enum list list)
{
    if (pair->before == NULL || pair->after == NULL)
        return list == (pair->before == NULL ? ADDED : REMOVED) && pair->before != pair->after;
    return list == CHANGED && !rem_diff_server_same(pair->before, pair->after);
}

static void put_list(struct rem_sbuf *out, const struct pairs *pairs, enum list list, bool *any)
{
    static const char *const names[LISTS] = {"\"added\":[", "\"removed\":[", "\"changed\":["};
    bool first = true;

    for (size_t i = 0; i < pairs->count; i++) {
        const struct pair *pair = &pairs->items[i];
        if (!belongs(pair, list))
            continue;
        if (first && *any)
            rem_sbuf_addc(out, ',');
        rem_sbuf_adds(out, first ? names[list] : ",");
        first = false;
        if (list == CHANGED)
            rem_diff_server_put_changed(out, pair->before, pair->after);
        else
            rem_diff_server_put(out, list == ADDED ? pair->after : pair->before,
                                list == ADDED ? SIZE_MAX : pair->at);
    }
    if (!first) {
        rem_sbuf_addc(out, ']');
        *any = true;
    }
}

/* Appends ,"servers":{...} if there is anything to say. */
static void put_servers(struct rem_sbuf *out, const struct pairs *pairs)
{
    size_t start = out->n;
    bool any = false;

    rem_json_put_key(out, "servers");
    rem_sbuf_addc(out, '{');
    for (enum list list = ADDED; list < LISTS; list++)
        put_list(out, pairs, list, &any);
    if (pairs->moved) {
        rem_sbuf_adds(out, any ? ",\"order\":[" : "\"order\":[");
        for (size_t i = 0; i < pairs->count && pairs->items[i].before != NULL; i++) {
            if (i != 0)
                rem_sbuf_addc(out, ',');
            rem_json_put_number(out, pairs->items[i].before->id);
        }
        rem_sbuf_addc(out, ']');
        any = true;
    }
    rem_sbuf_addc(out, '}');
    if (!any)
        out->n = start;
}

/* ---- upstreams ---- */

/* To look for more servers than that takes longer than to compare the lists. */
enum { IDS_MAX = 64 };

/* Appends ,"before":{ or ,"after":{ with the members that are to be shown; nothing, if there are
 * none. */
static void put_side(struct rem_sbuf *out, const char *name, const struct rem_upstream_spec *spec,
                     const struct rem_upstream_spec *other)
{
    size_t start = out->n, members;

    rem_json_put_key(out, name);
    members = out->n;
    rem_upstream_json_put(out, spec, other);
    if (other == NULL)
        rem_json_put_flag(out, REM_JSON_KEY("runtime"), spec->flags & REM_UPSTREAM_RUNTIME);
    if (out->n == members) {
        out->n = start;
    } else if (!out->failed) {
        out->p[members] = '{'; /* for the first comma */
        rem_sbuf_addc(out, '}');
    }
}

static void put_head(struct rem_sbuf *out, const struct sides *sides)
{
    bool both = sides->existed && sides->exists;

    if (sides->existed)
        put_side(out, "before", &sides->before, both ? &sides->after : NULL);
    if (sides->exists)
        put_side(out, "after", &sides->after, both ? &sides->before : NULL);
}

static const char *change_name(bool existed, bool exists)
{
    if (existed && exists)
        return "changed";
    return existed ? "removed" : "added";
}

static int read_side(int rc, struct rem_upstream_spec *spec, bool *there)
{
    if (rc != REM_OK && rc != REM_ENOTFOUND)
        return rc;
    *there = rc == REM_OK && rem_diff_is_shown(spec);
    if (!*there)
        *spec = (struct rem_upstream_spec){0};
    return 0;
}

/* Appends "NAME":{"change":... without the closing brace. */
static void open_upstream(struct rem_str name, const char *change, struct rem_sbuf *out)
{
    rem_json_put(out, name);
    rem_sbuf_adds(out, ":{\"change\":\"");
    rem_sbuf_adds(out, change);
    rem_sbuf_addc(out, '"');
}

/* Appends "inexact" where what is said would bring something else back. */
static void close_upstream(struct rem_str name, const struct pairs *pairs, struct rem_sbuf *out)
{
    bool exact = rem_json_is_utf8(name);

    for (size_t i = 0; exact && i < pairs->count; i++) {
        const struct pair *pair = &pairs->items[i];

        exact = pair->before == NULL || rem_diff_server_exact(pair->before, pair->after);
    }
    rem_sbuf_adds(out, exact ? "}" : ",\"inexact\":true}");
}

/* Compares the whole upstream.  Nothing is appended of one that users do not see. */
static int put_whole(struct rem_change *change, struct rem_str name, struct rem_arena *arena,
                     struct rem_sbuf *out)
{
    struct sides sides;
    struct pairs pairs;
    int rc = read_side(rem_change_before(change, name, arena, &sides.before), &sides.before,
                       &sides.existed);

    if (rc == 0)
        rc = read_side(rem_change_after(change, name, arena, &sides.after), &sides.after,
                       &sides.exists);
    if (rc != 0 || (!sides.existed && !sides.exists))
        return rc;
    rc = match(&sides, &pairs);
    if (rc != 0)
        return rc;
    open_upstream(name, change_name(sides.existed, sides.exists), out);
    put_head(out, &sides);
    put_servers(out, &pairs);
    close_upstream(name, &pairs, out);
    free(pairs.items);
    return 0;
}

/* A server on both sides. */
static int read_pair(const struct rem_writer *writer, struct rem_change *change,
                     struct rem_str name, uint32_t id, struct rem_arena *arena, struct pair *out)
{
    struct rem_server_spec *before = rem_arena_alloc(arena, 2 * sizeof(*before)), *after;
    size_t index;
    int rc;

    if (before == NULL)
        return REM_ENOMEM;
    after = before + 1;
    rc = rem_writer_find(writer, name, &index);
    if (rc == REM_OK)
        rc = rem_writer_server(writer, index, id, before);
    if (rc == REM_OK)
        out->before = before;
    rc = rem_change_server_get(change, name, id, after);
    if (rc == REM_OK)
        rc = rem_server_spec_copy(arena, after, after);
    if (rc == REM_OK)
        out->after = after;
    if (rc == REM_ENOTFOUND && out->before != NULL)
        return rem_writer_server_place(writer, index, id, &out->at);
    return rc == REM_ENOTFOUND ? REM_OK : rc;
}

static int by_id(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

static int by_place(const void *a, const void *b)
{
    size_t left = ((const struct pair *)a)->at, right = ((const struct pair *)b)->at;

    return left < right ? -1 : left > right;
}

/* Compares the servers with these ids, some of which may be named twice. */
static int put_ids(const struct rem_writer *writer, struct rem_change *change, struct rem_str name,
                   const uint32_t *given, size_t count, struct rem_arena *arena,
                   struct rem_sbuf *out)
{
    struct pairs pairs = {.items = calloc(count + 1, sizeof(*pairs.items))};
    uint32_t *ids = rem_arena_alloc(arena, (count + 1) * sizeof(*ids));
    int rc = pairs.items == NULL || ids == NULL ? REM_ENOMEM : REM_OK;

    if (rc == REM_OK) {
        memcpy(ids, given, count * sizeof(*ids));
        qsort(ids, count, sizeof(*ids), by_id);
    }
    for (size_t i = 0; rc == REM_OK && i < count; i++)
        if (i == 0 || ids[i] != ids[i - 1])
            rc = read_pair(writer, change, name, ids[i], arena, &pairs.items[pairs.count++]);
    if (rc == REM_OK) {
        qsort(pairs.items, pairs.count, sizeof(*pairs.items), by_place);
        open_upstream(name, "changed", out);
        put_servers(out, &pairs);
        close_upstream(name, &pairs, out);
    }
    free(pairs.items);
    return rc;
}

static int put_upstream(const struct rem_writer *writer, struct rem_change *change,
                        const struct rem_touched *touched, bool brief, struct rem_sbuf *out)
{
    struct rem_arena arena;
    const uint32_t *ids;
    size_t count;
    int rc = 0;

    rem_arena_init(&arena, NULL);
    if (brief) {
        open_upstream(touched->name, change_name(touched->existed, touched->exists), out);
        rem_sbuf_adds(out, ",\"large\":true}");
    } else if (touched->existed && touched->exists &&
               rem_change_ids(change, touched->name, &ids, &count) && count != 0 &&
               count <= IDS_MAX) {
        rc = put_ids(writer, change, touched->name, ids, count, &arena, out);
    } else {
        rc = put_whole(change, touched->name, &arena, out);
    }
    rem_arena_reset(&arena);
    return rc;
}

/* ---- tables ---- */

/* Of splits, what they were and are; the others hold too much. */
static void put_parts(const char *name, int rc, const struct rem_table *table, struct rem_sbuf *out)
{
    json_t *parts;

    if (rc != REM_OK || !rem_split_valid(table->bytes))
        return;
    parts = rem_v1_split_parts(table->bytes);
    if (parts == NULL)
        out->failed = true;
    if (json_array_size(parts) != 0) {
        rem_json_put_key(out, name);
        rem_json_dump(out, parts);
    }
    json_decref(parts);
}

/* Whether the parts that were there are said as they were. */
static bool is_exact_split(const struct rem_change *change, struct rem_str name)
{
    struct rem_split_part part;
    struct rem_table table;
    bool exact = rem_json_is_utf8(name);

    if (rem_change_table_before(change, REM_TABLE_SPLIT, name, &table) != REM_OK ||
        !rem_split_valid(table.bytes))
        return exact;
    for (size_t i = 0; exact && i < rem_split_count(table.bytes); i++) {
        rem_split_at(table.bytes, i, &part);
        exact = rem_json_is_utf8(part.value);
    }
    return exact;
}

/* Put again as it was: nothing that anybody would call a change. */
static bool is_same_table(const struct rem_change *change, const struct rem_touched *touched)
{
    struct rem_table before, after;

    return touched->existed && touched->exists &&
           rem_change_table_before(change, touched->table_kind, touched->name, &before) == REM_OK &&
           rem_change_table_after(change, touched->table_kind, touched->name, &after) == REM_OK &&
           rem_str_eq(before.bytes, after.bytes);
}

static void put_table(const struct rem_change *change, const struct rem_touched *touched,
                      struct rem_sbuf *out)
{
    struct rem_table table;

    static const char *const kinds[] = {
        [REM_TABLE_KEYVAL] = "keyval", [REM_TABLE_SPLIT] = "split", [REM_TABLE_NAMES] = "names"};

    rem_sbuf_adds(out, "{\"kind\":");
    rem_json_put(out, rem_str_from(kinds[touched->table_kind]));
    rem_json_put_key(out, "name");
    rem_json_put(out, touched->name);
    rem_json_put_key(out, "change");
    rem_json_put(out, rem_str_from(change_name(touched->existed, touched->exists)));
    if (touched->table_kind == REM_TABLE_SPLIT) {
        put_parts("before", rem_change_table_before(change, REM_TABLE_SPLIT, touched->name, &table),
                  &table, out);
        put_parts("after", rem_change_table_after(change, REM_TABLE_SPLIT, touched->name, &table),
                  &table, out);
        if (!is_exact_split(change, touched->name))
            rem_sbuf_adds(out, ",\"inexact\":true");
    }
    rem_sbuf_addc(out, '}');
}

/* ---- the whole ---- */

int rem_diff_write(const struct rem_writer *writer, struct rem_change *change, bool brief,
                   struct rem_sbuf *out)
{
    struct rem_touched touched;
    size_t cursor = 0, start;
    int rc = 0;

    rem_sbuf_adds(out, "\"upstreams\":{");
    start = out->n;
    while (rc == 0 && rem_change_next(change, &cursor, &touched)) {
        size_t end = out->n, begin;
        if (touched.kind != REM_TOUCHED_UPSTREAM)
            continue;
        if (end != start)
            rem_sbuf_addc(out, ',');
        begin = out->n;
        rc = put_upstream(writer, change, &touched, brief, out);
        if (out->n == begin) /* nothing that users see: no comma either */
            out->n = end;
    }
    rem_sbuf_addc(out, '}');
    start = 0;
    for (cursor = 0; rc == 0 && rem_change_next(change, &cursor, &touched);) {
        if (touched.kind != REM_TOUCHED_TABLE || touched.table_kind == REM_TABLE_RESET ||
            is_same_table(change, &touched))
            continue;
        rem_sbuf_adds(out, start++ == 0 ? ",\"tables\":[" : ",");
        put_table(change, &touched, out);
    }
    if (start != 0)
        rem_sbuf_addc(out, ']');
    return rc == 0 && out->failed ? REM_ENOMEM : rc;
}
