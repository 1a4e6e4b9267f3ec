/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

enum { TEXT_MAX = 4096 };

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
    free(freed->items);
    freed->magic = 0;
    free(freed);
    *change = NULL;
}

bool rem_change_names(const struct rem_change *change, struct rem_str name)
{
    for (size_t i = 0; i < change->count; i++)
        if (rem_str_eq(change->items[i].spec.name, name))
            return true;
    return false;
}

/* The upstream's item, made from what is published when it is not there yet. */
static int item_for(struct rem_change *change, struct rem_str name, struct rem_change_item **out)
{
    struct rem_change_item item = {.name_hash = rem_hash(name.p, name.n)};
    size_t index;

    REM_CHECK_OBJ(change, REM_CHANGE_MAGIC);
    REM_CHECK(!change->done);
    for (size_t i = 0; i < change->count; i++) {
        *out = &change->items[i];
        if ((*out)->name_hash == item.name_hash && rem_str_eq((*out)->spec.name, name))
            return REM_OK;
    }
    if (change->count == change->room) {
        size_t room = change->room != 0 ? change->room * 2 : 8;
        struct rem_change_item *grown = realloc(change->items, room * sizeof(*grown));
        if (grown == NULL)
            return REM_ENOMEM;
        change->items = grown;
        change->room = room;
    }
    if (rem_writer_find(change->writer, name, &index) == REM_OK) {
        int rc = rem_writer_spec(change->writer, index, &change->arena, &item.spec);
        if (rc != REM_OK)
            return rc;
        item.exists = true;
        item.next_id =
            rem_dir_set(&change->writer->region, change->writer->dir, (uint32_t)index)->next_id;
    } else {
        item.spec.name = rem_arena_dup(&change->arena, name);
        if (item.spec.name.p == NULL)
            return REM_ENOMEM;
    }
    change->items[change->count] = item;
    *out = &change->items[change->count++];
    return REM_OK;
}

int rem_change_get(struct rem_change *change, struct rem_str name,
                   const struct rem_upstream_spec **out)
{
    struct rem_change_item *item;
    int rc = item_for(change, name, &item);

    if (rc != REM_OK)
        return rc;
    if (!item->exists)
        return REM_ENOTFOUND;
    *out = &item->spec;
    return REM_OK;
}

int rem_change_remove(struct rem_change *change, struct rem_str name)
{
    struct rem_change_item *item;
    int rc = item_for(change, name, &item);

    if (rc != REM_OK)
        return rc;
    if (!item->exists)
        return REM_ENOTFOUND;
    item->exists = false;
    item->touched = true;
    item->spec.servers = NULL;
    item->spec.server_count = 0;
    return REM_OK;
}

/* ---- checking ---- */

static int check_server(const struct rem_server_spec *server, struct rem_err *err)
{
    const uint32_t known = REM_SERVER_BACKUP | REM_SERVER_DOWN | REM_SERVER_DRAIN;
    int family = rem_addr_family(&server->addr);

    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
        return rem_err_set(err, REM_EINVAL, "server without an address");
    if (server->weight == 0 || server->weight > REM_SERVER_WEIGHT_MAX)
        return rem_err_set(err, REM_EINVAL, "weight %u is not in 1..%d", server->weight,
                           REM_SERVER_WEIGHT_MAX);
    if (server->max_conns > INT32_MAX)
        return rem_err_set(err, REM_EINVAL, "max_conns %u is too large", server->max_conns);
    if (server->flags & ~known)
        return rem_err_set(err, REM_EINVAL, "unknown server flags %#x", server->flags);
    if (server->server.n > TEXT_MAX || server->name.n > TEXT_MAX || server->route.n > TEXT_MAX ||
        server->fail_timeout_text.n > TEXT_MAX || server->slow_start_text.n > TEXT_MAX)
        return rem_err_set(err, REM_EINVAL, "a server's text is longer than %d bytes", TEXT_MAX);
    return REM_OK;
}

static int check_spec(const struct rem_upstream_spec *spec, struct rem_err *err)
{
    if (spec->name.n == 0 || spec->name.n > REM_UPSTREAM_NAME_MAX || spec->zone.n > TEXT_MAX)
        return rem_err_set(err, REM_EINVAL, "invalid upstream name");
    if (spec->method >= REM_BALANCE_METHODS)
        return rem_err_set(err, REM_EINVAL, "unknown balancing method %u", spec->method);
    if (spec->server_count > REM_UPSTREAM_SERVERS_MAX)
        return rem_err_set(err, REM_EINVAL, "more than %d servers", REM_UPSTREAM_SERVERS_MAX);
    for (size_t i = 0; i < spec->server_count; i++) {
        int rc = check_server(&spec->servers[i], err);
        if (rc != REM_OK)
            return rc;
        if (spec->servers[i].flags & REM_SERVER_BACKUP && !rem_balance_has_backups(spec->method))
            return rem_err_set(err, REM_EUNSUPPORTED, "the method knows no backup servers");
    }
    return REM_OK;
}

/* ---- identities ---- */

static int by_id(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

static int check_ids(const struct rem_upstream_spec *spec, struct rem_err *err)
{
    uint32_t *ids = malloc((spec->server_count + 1) * sizeof(*ids));
    int rc = REM_OK;

    if (ids == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < spec->server_count; i++)
        ids[i] = spec->servers[i].id;
    qsort(ids, spec->server_count, sizeof(*ids), by_id);
    for (size_t i = 1; i < spec->server_count && rc == REM_OK; i++)
        if (ids[i] == ids[i - 1])
            rc = rem_err_set(err, REM_EEXIST, "two servers with the id %u", ids[i]);
    free(ids);
    return rc;
}

/* Owns: *out is the caller's to free. */
static int spec_addrs(const struct rem_upstream_spec *spec, struct rem_addr **out)
{
    struct rem_addr *addrs = malloc((spec->server_count + 1) * sizeof(*addrs));

    if (addrs == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < spec->server_count; i++)
        addrs[i] = spec->servers[i].addr;
    *out = addrs;
    return REM_OK;
}

/* Gives servers without an id that of the server with the same address, or the next one. */
static int assign_ids(const struct rem_change_item *item, struct rem_upstream_spec *spec,
                      uint32_t *next_id, struct rem_err *err)
{
    struct rem_addr_index index;
    struct rem_addr *addrs;
    int rc = spec_addrs(&item->spec, &addrs);

    if (rc != REM_OK)
        return rc;
    rc = rem_addr_index_init(&index, addrs, (uint32_t)item->spec.server_count);
    if (rc == REM_OK) {
        /* First those that say who they are, lest another takes their place. */
        for (size_t i = 0; i < spec->server_count; i++) {
            struct rem_server_spec *server = &spec->servers[i];
            if (server->id == REM_ID_NONE)
                continue;
            (void)rem_addr_index_claim(&index, &server->addr);
            if (server->id >= *next_id)
                *next_id = server->id + 1;
        }
        for (size_t i = 0; i < spec->server_count; i++) {
            struct rem_server_spec *server = &spec->servers[i];
            if (server->id != REM_ID_NONE)
                continue;
            uint32_t same = rem_addr_index_claim(&index, &server->addr);
            server->id = same != REM_SHM_NONE ? item->spec.servers[same].id : (*next_id)++;
        }
        rem_addr_index_fini(&index);
    }
    free(addrs);
    return rc == REM_OK ? check_ids(spec, err) : rc;
}

static size_t count_addr(const struct rem_upstream_spec *spec, const struct rem_addr *addr)
{
    size_t n = 0;

    for (size_t i = 0; i < spec->server_count; i++)
        n += rem_addr_eq(&spec->servers[i].addr, addr);
    return n;
}

/* Does any address occur twice?  One that already does in `now` (the configuration may list it so)
 * may go on doing so, but not more often. */
static int check_addrs_differ(const struct rem_upstream_spec *spec,
                              const struct rem_upstream_spec *now, struct rem_err *err)
{
    struct rem_addr_index index;
    struct rem_addr *addrs;
    char text[REM_ADDR_TEXT];
    int rc = spec_addrs(spec, &addrs);

    if (rc != REM_OK)
        return rc;
    rc = rem_addr_index_init(&index, addrs, (uint32_t)spec->server_count);
    if (rc == REM_OK) {
        for (uint32_t i = 0; i < spec->server_count && rc == REM_OK; i++)
            /* Each is found where it lies, unless an equal one lies before it. */
            if (rem_addr_index_claim(&index, &addrs[i]) == i &&
                rem_addr_index_claim(&index, &addrs[i]) != REM_SHM_NONE &&
                count_addr(spec, &addrs[i]) > count_addr(now, &addrs[i])) {
                rem_addr_text(&addrs[i], text, sizeof(text));
                rc = rem_err_set(err, REM_EEXIST, "server \"%s\" occurs twice", text);
            }
        rem_addr_index_fini(&index);
    }
    free(addrs);
    return rc;
}

/* ---- steps ---- */

int rem_change_put(struct rem_change *change, const struct rem_upstream_spec *spec,
                   struct rem_err *err)
{
    struct rem_change_item *item;
    struct rem_upstream_spec copy;
    uint32_t next_id;
    int rc = check_spec(spec, err);

    if (rc != REM_OK)
        return rc;
    rc = item_for(change, spec->name, &item);
    if (rc == REM_OK)
        rc = rem_upstream_spec_copy(&change->arena, spec, &copy);
    if (rc != REM_OK)
        return rem_err_set(err, rc, "out of memory");
    next_id = item->next_id;
    rc = assign_ids(item, &copy, &next_id, err);
    if (rc != REM_OK)
        return rc;
    item->spec = copy;
    item->next_id = next_id;
    item->exists = true;
    item->touched = true;
    return REM_OK;
}

/* A server that was found by its name stays so when its address is given again: else the next
 * answer for the name would bring it a second time. */
static int keep_parents(struct rem_change *change, const struct rem_upstream_spec *now,
                        struct rem_upstream_spec *spec)
{
    struct rem_server_spec *servers;
    struct rem_addr_index index;
    struct rem_addr *addrs;
    bool any = false;
    int rc;

    for (size_t i = 0; i < now->server_count; i++)
        any = any || now->servers[i].parent != 0;
    if (!any || spec->server_count == 0)
        return REM_OK;
    servers = rem_arena_alloc(&change->arena, spec->server_count * sizeof(*servers));
    if (servers == NULL || spec_addrs(now, &addrs) != REM_OK)
        return REM_ENOMEM;
    memcpy(servers, spec->servers, spec->server_count * sizeof(*servers));
    rc = rem_addr_index_init(&index, addrs, (uint32_t)now->server_count);
    for (size_t i = 0; rc == REM_OK && i < spec->server_count; i++) {
        uint32_t same = rem_addr_index_claim(&index, &servers[i].addr);
        if (same != REM_SHM_NONE && now->servers[same].parent != 0) {
            servers[i].parent = now->servers[same].parent;
            servers[i].name = now->servers[same].name;
        } else {
            servers[i].parent = 0; /* it got another address */
        }
    }
    if (rc == REM_OK)
        rem_addr_index_fini(&index);
    free(addrs);
    spec->servers = servers;
    return rc;
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
    rc = check_spec(&spec, err);
    if (rc == REM_OK)
        rc = check_addrs_differ(&spec, now, err);
    if (rc == REM_OK && keep_parents(change, now, &spec) != REM_OK)
        rc = rem_err_set(err, REM_ENOMEM, "out of memory");
    return rc == REM_OK ? rem_change_put(change, &spec, err) : rc;
}

/* ---- reconciling with a configuration ---- */

/* Does the published state of the upstream answer to this block of the configuration? */
static bool unchanged(const struct rem_change_item *item, const struct rem_upstream_spec *spec)
{
    return item->exists && !item->touched && item->spec.config_hash == spec->config_hash &&
           !(item->spec.flags & REM_UPSTREAM_ORPHAN);
}

static int take_over(struct rem_change *change, const struct rem_upstream_spec *specs, size_t count,
                     struct rem_err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct rem_change_item *item;
        int rc = item_for(change, specs[i].name, &item);

        if (rc == REM_OK && !unchanged(item, &specs[i]))
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
        int rc = item_for(change, rem_set_text(set, set->name), &item);
        if (rc != REM_OK)
            return rc;
        if (change->count == before && (size_t)(item - change->items) < named)
            continue;
        item->spec.flags |= REM_UPSTREAM_ORPHAN;
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
        rc = rem_change_commit(change, REM_REVISION_ANY, &commit, err);
    rem_change_free(&change);
    return rc;
}
