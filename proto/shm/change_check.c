/* SPDX-License-Identifier: Apache-2.0 */
/* What a description of an upstream must keep to, and who its servers are. */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

enum { TEXT_MAX = 4096 };

/* ---- checking ---- */

int rem_change_check_server(const struct rem_server_spec *server, struct rem_err *err)
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

int rem_change_check_spec(const struct rem_upstream_spec *spec, struct rem_err *err)
{
    if (spec->name.n == 0 || spec->name.n > REM_UPSTREAM_NAME_MAX || spec->zone.n > TEXT_MAX)
        return rem_err_set(err, REM_EINVAL, "invalid upstream name");
    if (spec->method >= REM_BALANCE_METHODS)
        return rem_err_set(err, REM_EINVAL, "unknown balancing method %u", spec->method);
    if (spec->server_count > REM_UPSTREAM_SERVERS_MAX)
        return rem_err_set(err, REM_EINVAL, "more than %d servers", REM_UPSTREAM_SERVERS_MAX);
    for (size_t i = 0; i < spec->server_count; i++) {
        int rc = rem_change_check_server(&spec->servers[i], err);
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

static int index_servers(struct rem_addr_index *index, const struct rem_upstream_spec *spec)
{
    return rem_addr_index_init(index, spec->server_count != 0 ? &spec->servers[0].addr : NULL,
                               sizeof(*spec->servers), (uint32_t)spec->server_count);
}

int rem_change_assign_ids(const struct rem_change_item *item, struct rem_upstream_spec *spec,
                          uint32_t *next_id, struct rem_err *err)
{
    struct rem_addr_index index;
    bool given = false;
    int rc = index_servers(&index, &item->spec);

    if (rc != REM_OK)
        return rc;
    /* First those that say who they are, lest another takes their place. */
    for (size_t i = 0; i < spec->server_count; i++) {
        struct rem_server_spec *server = &spec->servers[i];
        if (server->id == REM_ID_NONE)
            continue;
        given = true;
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
    return given ? check_ids(spec, err) : REM_OK;
}

static size_t count_addr(const struct rem_upstream_spec *spec, const struct rem_addr *addr)
{
    size_t n = 0;

    for (size_t i = 0; i < spec->server_count; i++)
        n += rem_addr_eq(&spec->servers[i].addr, addr);
    return n;
}

int rem_change_check_addrs(const struct rem_upstream_spec *spec,
                           const struct rem_upstream_spec *now, struct rem_err *err)
{
    struct rem_addr_index index;
    char text[REM_ADDR_TEXT];
    int rc = index_servers(&index, spec);

    if (rc != REM_OK)
        return rc;
    for (uint32_t i = 0; index.repeats && i < spec->server_count && rc == REM_OK; i++) {
        const struct rem_addr *addr = &spec->servers[i].addr;
        /* Each is found where it lies, unless an equal one lies before it. */
        if (rem_addr_index_claim(&index, addr) == i &&
            rem_addr_index_claim(&index, addr) != REM_SHM_NONE &&
            count_addr(spec, addr) > count_addr(now, addr)) {
            rem_addr_text(addr, text, sizeof(text));
            rc = rem_err_set(err, REM_EEXIST, "server \"%s\" occurs twice", text);
        }
    }
    rem_addr_index_fini(&index);
    return rc;
}

int rem_change_keep_parents(struct rem_change *change, const struct rem_upstream_spec *now,
                            struct rem_upstream_spec *spec)
{
    struct rem_server_spec *servers;
    struct rem_addr_index index;
    bool any = false;
    int rc;

    for (size_t i = 0; i < now->server_count; i++)
        any = any || now->servers[i].parent != 0;
    if (!any || spec->server_count == 0)
        return REM_OK;
    servers = rem_arena_alloc(&change->arena, spec->server_count * sizeof(*servers));
    if (servers == NULL)
        return REM_ENOMEM;
    memcpy(servers, spec->servers, spec->server_count * sizeof(*servers));
    rc = index_servers(&index, now);
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
    spec->servers = servers;
    return rc;
}
