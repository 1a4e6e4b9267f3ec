/* SPDX-License-Identifier: Apache-2.0 */
#include "api/undo.h"

#include "api/id_index.h"
#include "api/names.h"
#include "api/server_json.h"
#include "api/upstream_json.h"
#include "api/v1_tables.h"

/* An upstream on its way back. */
struct rem_undo_upstream {
    struct rem_undo_upstream *next;    /* of all */
    struct rem_undo_upstream *chained; /* of those whose names have much the same hash */
    struct rem_str name;
    struct rem_upstream_spec spec; /* .servers: in the arena */
    bool existed, exists;          /* now, and then */
    bool runtime;                  /* then */
};

static int damaged(struct rem_undo *undo)
{
    return rem_fault_set(&undo->call->fault, REM_FAULT_INTERNAL, "the history is damaged");
}

static int no_memory(struct rem_undo *undo)
{
    return rem_call_fault(undo->call, REM_ENOMEM, NULL);
}

int rem_undo_init(struct rem_undo *undo, struct rem_api_call *call)
{
    *undo = (struct rem_undo){.call = call, .refused = json_array()};
    if (undo->refused != NULL)
        return rem_call_change(call);
    rem_undo_fini(undo);
    return no_memory(undo);
}

void rem_undo_fini(struct rem_undo *undo)
{
    json_decref(undo->refused);
    undo->refused = NULL;
}

/* The working copy, made of what is there now when it is first asked for. */
static int get(struct rem_undo *undo, struct rem_str name, struct rem_undo_upstream **out)
{
    struct rem_api_call *call = undo->call;
    const struct rem_upstream_spec *now;
    struct rem_undo_upstream *u, **chain;
    int rc;

    chain = &undo->by_name[rem_hash(name.p, name.n) % REM_UNDO_CHAINS];
    for (u = *chain; u != NULL; u = u->chained) {
        if (rem_str_eq(u->name, name)) {
            *out = u;
            return 0;
        }
    }
    u = rem_arena_zalloc(&call->arena, sizeof(*u));
    if (u == NULL || (name = rem_arena_dup(&call->arena, name)).p == NULL)
        return no_memory(undo);
    u->name = name;
    u->spec.name = name;
    rc = rem_change_get(call->api->change, name, &now);
    if (rc == REM_OK && rem_call_is_shown(now)) {
        u->existed = u->exists = true;
        u->runtime = now->flags & REM_UPSTREAM_RUNTIME;
        rc = rem_upstream_spec_copy(&call->arena, now, &u->spec);
    }
    if (rc != REM_OK && rc != REM_ENOTFOUND)
        return rem_call_fault(call, rc, NULL);
    u->next = undo->first;
    undo->first = u;
    u->chained = *chain;
    *chain = u;
    *out = u;
    return 0;
}

/* ---- servers ---- */

static uint32_t id_of(const json_t *object)
{
    return (uint32_t)json_integer_value(json_object_get(object, "id"));
}

/* Texts outlive the difference that they came with. */
static bool own(struct rem_arena *arena, struct rem_str *text, struct rem_str was)
{
    if (text->n == 0)
        *text = REM_STR("");
    else if (text->p != was.p)
        *text = rem_arena_dup(arena, *text);
    return text->p != NULL;
}

static int own_texts(struct rem_undo *undo, struct rem_server_spec *spec,
                     const struct rem_server_spec *was)
{
    struct rem_arena *arena = &undo->call->arena;

    return own(arena, &spec->server, was->server) && own(arena, &spec->name, was->name) &&
                   own(arena, &spec->route, was->route) &&
                   own(arena, &spec->fail_timeout_text, was->fail_timeout_text) &&
                   own(arena, &spec->slow_start_text, was->slow_start_text)
               ? 0
               : no_memory(undo);
}

/* Reads what a difference says of a server on top of *spec; takes out of `object` what only
 * differences have. */
static int read_server(struct rem_undo *undo, json_t *object, struct rem_server_spec *spec)
{
    static const char *const ours[] = {"id", "at", "backup", "parent", "host"};
    struct rem_api_call *call = undo->call;
    const struct rem_server_spec was = *spec;
    const json_t *backup = json_object_get(object, "backup");
    const json_t *parent = json_object_get(object, "parent");
    struct rem_str host = rem_json_str(json_object_get(object, "host"));
    int rc;

    if (backup != NULL)
        spec->flags = (spec->flags & ~(uint32_t)REM_SERVER_BACKUP) |
                      (json_is_true(backup) ? REM_SERVER_BACKUP : 0);
    if (parent != NULL)
        spec->parent = json_is_integer(parent) ? (uint32_t)json_integer_value(parent) + 1 : 0;
    if (json_is_integer(parent) && (host = rem_arena_dup(&call->arena, host)).p == NULL)
        return no_memory(undo);
    if (!json_is_integer(parent))
        host.p = NULL;
    for (size_t i = 0; i < REM_COUNT(ours); i++)
        (void)json_object_del(object, ours[i]);
    rc = rem_server_json_parse(object, REM_SERVER_JSON_PATCH, &call->arena, spec, &call->fault);
    if (rc == 0)
        rc = own_texts(undo, spec, &was);
    if (rc == 0 && host.p != NULL)
        spec->name = host;
    return rc;
}

/* Takes those out that were added, and undoes what was changed in the others. */
static int revert_present(struct rem_undo *undo, struct rem_upstream_spec *spec,
                          const json_t *servers)
{
    const json_t *added = json_object_get(servers, "added");
    const json_t *changed = json_object_get(servers, "changed");
    struct rem_id_index index;
    size_t left = 0;
    int rc = rem_id_index_init(&index, spec->servers, spec->server_count);

    if (rc != REM_OK)
        return no_memory(undo);
    for (size_t i = 0; rc == 0 && i < json_array_size(changed); i++) {
        const json_t *one = json_array_get(changed, i);
        size_t at = rem_id_index_find(&index, id_of(one));
        rc = at == SIZE_MAX ? damaged(undo)
                            : read_server(undo, json_object_get(one, "before"), &spec->servers[at]);
    }
    for (size_t i = 0; rc == 0 && i < json_array_size(added); i++) {
        size_t at = rem_id_index_find(&index, id_of(json_array_get(added, i)));
        if (at == SIZE_MAX)
            rc = damaged(undo);
        else
            spec->servers[at].weight = 0; /* none has that: it is to go */
    }
    rem_id_index_fini(&index);
    for (size_t i = 0; rc == 0 && i < spec->server_count; i++)
        if (spec->servers[i].weight != 0)
            spec->servers[left++] = spec->servers[i];
    if (rc == 0)
        spec->server_count = left;
    return rc;
}

/* Puts those back that were removed, each at its place.  They come in the order of these. */
static int insert_removed(struct rem_undo *undo, struct rem_upstream_spec *spec,
                          const json_t *removed)
{
    size_t count = json_array_size(removed), total = spec->server_count + count, old = 0, next = 0;
    struct rem_server_spec *servers;

    if (count == 0)
        return 0;
    servers = rem_arena_alloc(&undo->call->arena, total * sizeof(*servers));
    if (servers == NULL)
        return no_memory(undo);
    for (size_t i = 0; i < total; i++) {
        json_t *one = next < count ? json_array_get(removed, next) : NULL;
        json_int_t at = json_integer_value(json_object_get(one, "at"));
        uint32_t id = id_of(one);
        int rc;
        if (one == NULL || (old < spec->server_count && at > (json_int_t)i)) {
            servers[i] = spec->servers[old++];
            continue;
        }
        rem_server_spec_init(&servers[i]);
        rc = read_server(undo, one, &servers[i]);
        if (rc != 0)
            return rc;
        servers[i].id = id;
        next++;
    }
    spec->servers = servers;
    spec->server_count = total;
    return 0;
}

/* Brings the servers into the order of these ids. */
static int reorder(struct rem_undo *undo, struct rem_upstream_spec *spec, const json_t *order)
{
    size_t count = json_array_size(order);
    struct rem_server_spec *servers =
        rem_arena_alloc(&undo->call->arena, (count + 1) * sizeof(*servers));
    struct rem_id_index index;
    int rc = 0;

    if (servers == NULL || rem_id_index_init(&index, spec->servers, spec->server_count) != REM_OK)
        return no_memory(undo);
    if (count != spec->server_count)
        rc = damaged(undo);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        json_int_t id = json_integer_value(json_array_get(order, i));
        size_t at = rem_id_index_find(&index, (uint32_t)id);
        if (at == SIZE_MAX)
            rc = damaged(undo);
        else
            servers[i] = spec->servers[at];
    }
    rem_id_index_fini(&index);
    if (rc == 0)
        spec->servers = servers;
    return rc;
}

static int revert_servers(struct rem_undo *undo, struct rem_upstream_spec *spec,
                          const json_t *servers)
{
    const json_t *order = json_object_get(servers, "order");
    int rc = revert_present(undo, spec, servers);

    if (rc == 0)
        rc = insert_removed(undo, spec, json_object_get(servers, "removed"));
    return rc == 0 && order != NULL ? reorder(undo, spec, order) : rc;
}

/* ---- upstreams ---- */

static int revert_head(struct rem_undo *undo, struct rem_upstream_spec *spec, const json_t *before)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)before, key, value)
    {
        int rc = strcmp(key, "runtime") == 0
                     ? 0
                     : rem_upstream_json_member(spec, true, key, value, &undo->call->fault);
        if (rc == REM_ENOTFOUND)
            return damaged(undo);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int revert_upstream(struct rem_undo *undo, struct rem_str name, const json_t *diff)
{
    const char *change = json_string_value(json_object_get(diff, "change"));
    const json_t *before = json_object_get(diff, "before");
    struct rem_undo_upstream *u = NULL;
    int rc;

    if (json_is_true(json_object_get(diff, "inexact")))
        return rem_fault_set(&undo->call->fault, REM_FAULT_REVISION_GONE,
                             "a change of \"%.*s\" on the way there had texts that are not UTF-8",
                             REM_STR_ARG(name));
    rc = get(undo, name, &u);
    if (rc != 0)
        return rc;
    if (change == NULL || json_is_true(json_object_get(diff, "large")))
        return rem_fault_set(&undo->call->fault, REM_FAULT_REVISION_GONE,
                             "a change of \"%.*s\" on the way there was too large to be kept",
                             REM_STR_ARG(name));
    if (strcmp(change, "added") == 0) {
        u->exists = false;
        u->spec.server_count = 0;
        return 0;
    }
    if (strcmp(change, "removed") == 0) {
        u->exists = true;
        u->runtime = json_is_true(json_object_get(before, "runtime"));
        u->spec.server_count = 0;
        rem_upstream_json_defaults(&u->spec);
    }
    rc = revert_head(undo, &u->spec, before);
    return rc == 0 ? revert_servers(undo, &u->spec, json_object_get(diff, "servers")) : rc;
}

static int refuse(struct rem_undo *undo, const char *what, struct rem_str name, const char *reason)
{
    const json_t *one;
    size_t i;

    json_array_foreach(undo->refused, i, one)
    {
        const json_t *known = json_object_get(one, what);
        if (known != NULL && rem_str_eq(rem_json_str(known), name))
            return 0;
    }
    if (json_array_append_new(undo->refused, json_pack("{s:o,s:s}", what, rem_json_text(name),
                                                       "reason", reason)) != 0)
        return no_memory(undo);
    return 0;
}

/* Splits are put back at once, one revision after the other. */
static int revert_table(struct rem_undo *undo, const json_t *table)
{
    struct rem_str name = rem_json_str(json_object_get(table, "name"));
    const char *kind = json_string_value(json_object_get(table, "kind"));
    json_t *before = json_object_get(table, "before"), *shown = NULL;
    struct rem_table now;
    int rc;

    if (kind == NULL || strcmp(kind, "split") != 0)
        return refuse(undo, "table", name, "the history does not hold what is in it");
    if (json_is_true(json_object_get(table, "inexact")))
        return refuse(undo, "table", name, "the history does not hold texts that are not UTF-8");
    if (before == NULL)
        return refuse(undo, "table", name, "it is in the configuration now");
    if (rem_change_table_get(undo->call->api->change, REM_TABLE_SPLIT, name, &now) != REM_OK)
        return refuse(undo, "table", name, "it is no longer in the configuration");
    rc = rem_v1_split_step(undo->call, name, before, &shown);
    json_decref(shown);
    return rc;
}

int rem_undo_revert(struct rem_undo *undo, json_t *body)
{
    const json_t *tables = json_object_get(body, "tables"), *table;
    const char *key;
    json_t *value;
    size_t len, i;
    int rc = 0;

    json_object_keylen_foreach(json_object_get(body, "upstreams"), key, len, value)
    {
        rc = revert_upstream(undo, rem_str_make(key, len), value);
        if (rc != 0)
            return rc;
    }
    json_array_foreach(tables, i, table)
    {
        rc = revert_table(undo, table);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- the way back ---- */

static bool same(const struct rem_upstream_spec *now, const struct rem_upstream_spec *then)
{
    bool equal = rem_upstream_json_same(now, then) && now->server_count == then->server_count;

    for (size_t i = 0; equal && i < now->server_count; i++) {
        json_t *a = rem_server_json_make(&now->servers[i]);
        json_t *b = rem_server_json_make(&then->servers[i]);
        equal = a != NULL && b != NULL && json_equal(a, b);
        json_decref(a);
        json_decref(b);
    }
    return equal;
}

/* Is there a name, of the configuration or of the API, that has this number in the upstream? */
static bool is_name(const struct rem_undo_upstream *u, const struct rem_upstream_spec *conf,
                    const struct rem_names *names, uint32_t parent)
{
    if (conf != NULL && parent <= conf->resolve_count)
        return true;
    for (size_t i = 0; i < names->count; i++)
        if (names->items[i].number + 1 == parent && rem_str_eq(names->items[i].upstream, u->name) &&
            rem_names_holds(&names->items[i], conf))
            return true;
    return false;
}

/* Names of the API do not come back: what had been found for one that is gone comes back as servers
 * of their own, or nobody would ever look after them and nobody could remove them. */
static int release_orphans(struct rem_undo *undo, struct rem_undo_upstream *u)
{
    struct rem_api_call *call = undo->call;
    const struct rem_upstream_spec *conf = rem_api_conf(call->api, u->name);
    struct rem_table table = {.bytes = REM_STR("")};
    struct rem_names names;
    size_t first = 0;
    int rc;

    while (first < u->spec.server_count && u->spec.servers[first].parent == 0)
        first++;
    if (first == u->spec.server_count)
        return 0;
    (void)!rem_change_table_get(call->api->change, REM_TABLE_NAMES, REM_NAMES_TABLE, &table);
    rc = rem_names_read(table.bytes, &call->arena, &names);
    for (size_t i = first; rc == 0 && i < u->spec.server_count; i++) {
        struct rem_server_spec *server = &u->spec.servers[i];
        char text[REM_ADDR_TEXT];

        if (server->parent == 0 || is_name(u, conf, &names, server->parent))
            continue;
        server->parent = 0;
        server->name = rem_arena_dup(
            &call->arena, rem_str_make(text, rem_addr_text(&server->addr, text, sizeof(text))));
        server->server = server->name;
        rc = server->name.p != NULL ? 0 : REM_ENOMEM;
    }
    return rc == 0 ? 0 : rem_call_fault(call, rc, NULL);
}

/* Stages one upstream.  *altered: whether it is another one then. */
static int stage_one(struct rem_undo *undo, struct rem_undo_upstream *u, bool *altered)
{
    struct rem_change *change = undo->call->api->change;
    const struct rem_upstream_spec *now;
    struct rem_err err = {0};
    int rc = REM_OK;

    *altered = false;
    if (!u->exists && !u->existed)
        return 0;
    if (u->exists && !u->existed && !u->runtime)
        return refuse(undo, "upstream", u->name, "it is no longer in the configuration");
    if (!u->exists && !u->runtime)
        return refuse(undo, "upstream", u->name, "it is in the configuration now");
    if (release_orphans(undo, u) != 0)
        return REM_EINVAL;
    if (u->existed)
        rc = rem_change_get(change, u->name, &now);
    if (rc == REM_OK && u->existed && u->exists && same(now, &u->spec))
        return 0;
    if (rc == REM_OK && !u->existed) {
        u->spec.zone = u->name;
        u->spec.flags = REM_UPSTREAM_RUNTIME;
    }
    if (rc == REM_OK)
        rc =
            u->exists ? rem_change_put(change, &u->spec, &err) : rem_change_remove(change, u->name);
    *altered = true;
    return rc == REM_OK ? 0 : rem_call_fault(undo->call, rc, &err);
}

int rem_undo_stage(struct rem_undo *undo, json_t **restored)
{
    json_t *names = json_array();

    if (names == NULL)
        return no_memory(undo);
    for (struct rem_undo_upstream *u = undo->first; u != NULL; u = u->next) {
        bool altered;
        int rc = stage_one(undo, u, &altered);
        if (rc == 0 && altered && json_array_append_new(names, rem_json_text(u->name)) != 0)
            rc = no_memory(undo);
        if (rc != 0) {
            json_decref(names);
            return rc;
        }
    }
    *restored = names;
    return 0;
}
