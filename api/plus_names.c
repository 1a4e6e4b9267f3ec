/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that are names, as the NGINX Plus API reads and changes them.
 *
 * A name is a server of its own in lists, with an id; the servers found for it say so in `parent`
 * and `host`.  Names in the configuration can be looked at; only those that came through the API
 * can be changed or removed, and a server found for a name only with it.  */
#include "api/names.h"
#include "api/plus.h"
#include "api/server_json.h"

/* ---- names as they are ---- */

/* Those that are published.  What cannot be read is as good as nothing to look at. */
static int published_names(struct rem_api_call *call, struct rem_names *out)
{
    struct rem_table table;
    bool found = rem_writer_table(call->api->writer, REM_TABLE_NAMES, REM_NAMES_TABLE, &table) == 0;
    int rc = rem_names_read(found ? table.bytes : REM_STR(""), &call->arena, out);

    return rc == REM_ENOMEM ? rem_call_fault(call, rc, NULL) : 0;
}

/* Those that this turn leaves.  What cannot be read must not be written over. */
static int staged_names(struct rem_api_call *call, struct rem_names *out)
{
    struct rem_table table;
    bool found =
        rem_change_table_get(call->api->change, REM_TABLE_NAMES, REM_NAMES_TABLE, &table) == 0;
    int rc = rem_names_read(found ? table.bytes : REM_STR(""), &call->arena, out);

    return rc == 0 ? 0 : rem_call_fault(call, rc, NULL);
}

static int stage_names(struct rem_api_call *call, const struct rem_names *names)
{
    struct rem_err err = {0};
    struct rem_str bytes;
    int rc = rem_names_write(names, &call->arena, &bytes);

    if (rc == 0)
        rc = rem_change_table(call->api->change, REM_TABLE_NAMES, REM_NAMES_TABLE, bytes,
                              REM_NAMES_HASH, &err);
    if (rc != 0)
        return rem_call_fault(call, rc, &err);
    call->api->names = true;
    call->is_staged = true;
    return 0;
}

/* A name of the configuration as a server; `index` is its number. */
static struct rem_server_spec configured(const struct rem_upstream_spec *conf, size_t index)
{
    const struct rem_resolve_spec *resolve = &conf->resolves[index];
    struct rem_server_spec server = resolve->server;

    server.id = (uint32_t)(REM_NAMES_ID + index);
    server.server = server.name;
    if (resolve->service.n != 0) /* without the host behind it */
        server.service = rem_str_make(resolve->service.p, resolve->service.n - resolve->host.n - 1);
    return server;
}

/* ---- for the lists of servers ---- */

static bool append(json_t *list, const struct rem_server_spec *server)
{
    return json_array_append_new(list, rem_server_json_make(server)) == 0;
}

json_t *rem_plus_names_json(struct rem_api_call *call, struct rem_str upstream, bool staged)
{
    const struct rem_upstream_spec *conf = rem_api_conf(call->api, upstream);
    json_t *list = json_array();
    struct rem_names names;
    bool good = list != NULL;

    for (size_t i = 0; good && conf != NULL && i < conf->resolve_count; i++) {
        struct rem_server_spec server = configured(conf, i);
        good = append(list, &server);
    }
    good = good && (staged ? staged_names(call, &names) : published_names(call, &names)) == 0;
    for (size_t i = 0; good && i < names.count; i++) {
        if (rem_str_eq(names.items[i].upstream, upstream) && rem_names_holds(&names.items[i], conf))
            good = append(list, &names.items[i].server);
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

struct rem_str rem_plus_service(struct rem_api_call *call, struct rem_plus_names *names,
                                uint32_t parent)
{
    if (parent == 0)
        return REM_STR("");
    if (!names->is_read) {
        names->is_read = true;
        names->conf = rem_api_conf(call->api, names->upstream);
        if ((names->staged ? staged_names(call, &names->given)
                           : published_names(call, &names->given)) != 0)
            names->given.count = 0;
    }
    if (names->conf != NULL && parent <= names->conf->resolve_count)
        return configured(names->conf, parent - 1).service;
    for (size_t i = 0; i < names->given.count; i++)
        if (names->given.items[i].number + 1 == parent)
            return names->given.items[i].server.service;
    return REM_STR("");
}

/* ---- calls ---- */

static int not_found(struct rem_api_call *call)
{
    return rem_fault_set(&call->fault, REM_FAULT_SERVER_NOT_FOUND, "server not found");
}

/* The staged names, and where the one with that id is among them. */
static int find(struct rem_api_call *call, struct rem_str upstream, uint64_t id,
                struct rem_names *names, size_t *at)
{
    const struct rem_upstream_spec *conf = rem_api_conf(call->api, upstream);

    if (conf != NULL && id - REM_NAMES_ID < conf->resolve_count)
        return rem_fault_set(&call->fault, REM_FAULT_SERVER_IMMUTABLE,
                             "server \"%llu\" is one of the configuration", (unsigned long long)id);
    if (staged_names(call, names) != 0)
        return REM_EINVAL;
    for (*at = 0; *at < names->count; (*at)++) {
        const struct rem_name *name = &names->items[*at];
        if (name->server.id == id && rem_str_eq(name->upstream, upstream) &&
            rem_names_holds(name, conf))
            return 0;
    }
    return not_found(call);
}

int rem_plus_name(struct rem_api_call *call, struct rem_str upstream, uint64_t id)
{
    json_t *list = rem_plus_names_json(call, upstream, false), *object;
    size_t at;

    if (list == NULL)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    json_array_foreach(list, at, object)
    {
        if ((uint64_t)json_integer_value(json_object_get(object, "id")) != id)
            continue;
        json_incref(object);
        json_decref(list);
        return rem_call_answer(call, 200, object);
    }
    json_decref(list);
    return not_found(call);
}

/* Is it there already, in the configuration or given at run time? */
static bool exists(const struct rem_names *names, const struct rem_upstream_spec *conf,
                   const struct rem_server_spec *server)
{
    for (size_t i = 0; i < conf->resolve_count; i++) {
        struct rem_server_spec other = configured(conf, i);
        if (rem_str_eq_nocase(other.server, server->server) &&
            rem_str_eq(other.service, server->service))
            return true;
    }
    for (size_t i = 0; i < names->count; i++) {
        const struct rem_name *name = &names->items[i];
        if (rem_names_holds(name, conf) && rem_str_eq_nocase(name->server.server, server->server) &&
            rem_str_eq(name->server.service, server->service))
            return true;
    }
    return false;
}

int rem_plus_name_post(struct rem_api_call *call, const struct rem_upstream_spec *upstream,
                       const struct rem_server_spec *server)
{
    const struct rem_upstream_spec *conf = rem_api_conf(call->api, upstream->name);
    struct rem_names names;
    struct rem_name *name;

    if (conf == NULL || conf->resolver == NULL)
        return rem_fault_set(&call->fault, REM_FAULT_NO_RESOLVER,
                             "no resolver defined to resolve %.*s", REM_STR_ARG(server->server));
    if (server->flags & REM_SERVER_BACKUP && !rem_balance_has_backups(upstream->method))
        return rem_fault_set(&call->fault, REM_FAULT_NO_BACKUP, "upstream \"%.*s\" has no backup",
                             REM_STR_ARG(upstream->name));
    if (staged_names(call, &names) != 0)
        return REM_EINVAL;
    if (exists(&names, conf, server))
        return rem_fault_set(&call->fault, REM_FAULT_ENTRY_EXISTS,
                             "a server with this name exists");
    name = &names.items[names.count++];
    *name = (struct rem_name){
        .upstream = upstream->name,
        .config_hash = conf->config_hash,
        .number = names.next++,
        .server = *server,
    };
    name->server.id = REM_NAMES_ID + name->number;
    if (stage_names(call, &names) != 0)
        return REM_EINVAL;
    return rem_call_answer(call, 201, rem_server_json_make(&name->server));
}

/* Does the same to the servers that were found for the name.  What SRV records say stays. */
static int patch_children(struct rem_api_call *call, const struct rem_upstream_spec *upstream,
                          const struct rem_name *name, json_t *body)
{
    struct rem_err err = {0};
    bool any = false;
    int rc;

    (void)json_object_del(body, "server");
    (void)json_object_del(body, "service");
    (void)json_object_del(body, "backup");
    if (name->server.service.n != 0)
        (void)json_object_del(body, "weight");
    for (size_t i = 0; i < upstream->server_count; i++) {
        if (upstream->servers[i].parent != name->number + 1)
            continue;
        any = true;
        if (rem_server_json_parse(body, REM_SERVER_JSON_PLUS_PATCH, &call->arena,
                                  &upstream->servers[i], &call->fault) != 0)
            return REM_EINVAL;
    }
    if (!any)
        return 0;
    rc = rem_change_servers(call->api->change, upstream->name, upstream->servers,
                            upstream->server_count, &err);
    return rc == 0 ? 0 : rem_call_fault(call, rc, &err);
}

int rem_plus_name_patch(struct rem_api_call *call, const struct rem_upstream_spec *upstream,
                        uint64_t id)
{
    const json_t *address;
    struct rem_names names;
    struct rem_name *name;
    json_t *body;
    size_t at;
    int rc = find(call, upstream->name, id, &names, &at);

    if (rc == 0)
        rc = rem_json_parse(call->request->body, &body, &call->fault);
    if (rc != 0)
        return rc;
    name = &names.items[at];
    address = json_object_get(body, "server");
    if (json_is_string(address) && !rem_str_eq(rem_json_str(address), name->server.server))
        rc = rem_fault_set(&call->fault, REM_FAULT_SERVER_IMMUTABLE,
                           "server \"%llu\" address is immutable", (unsigned long long)id);
    if (rc == 0)
        rc = rem_server_json_parse(body, REM_SERVER_JSON_PLUS_PATCH, &call->arena, &name->server,
                                   &call->fault);
    if (rc == 0)
        rc = stage_names(call, &names);
    if (rc == 0)
        rc = patch_children(call, upstream, name, body);
    if (rc == 0)
        rc = rem_call_answer(call, 200, rem_server_json_make(&name->server));
    json_decref(body);
    return rc;
}

int rem_plus_name_delete(struct rem_api_call *call, const struct rem_upstream_spec *upstream,
                         uint64_t id)
{
    struct rem_err err = {0};
    struct rem_names names;
    uint32_t parent;
    size_t at, kept = 0;
    int rc = find(call, upstream->name, id, &names, &at);

    if (rc != 0)
        return rc;
    parent = names.items[at].number + 1;
    for (size_t i = at + 1; i < names.count; i++)
        names.items[i - 1] = names.items[i];
    names.count--;
    for (size_t i = 0; i < upstream->server_count; i++)
        if (upstream->servers[i].parent != parent)
            upstream->servers[kept++] = upstream->servers[i];
    rc = stage_names(call, &names);
    if (rc != 0 || kept == upstream->server_count)
        return rc;
    rc = rem_change_servers(call->api->change, upstream->name, upstream->servers, kept, &err);
    return rc == 0 ? 0 : rem_call_fault(call, rc, &err);
}
