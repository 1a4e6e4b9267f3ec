/* SPDX-License-Identifier: Apache-2.0 */
/* The servers of an upstream, as the NGINX Plus API reads and changes them. */
#include "api/plus.h"
#include "api/server_json.h"

static int refuse_static(struct rem_api_call *call)
{
    return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_STATIC, "upstream is static");
}

/* The published upstream of the path, which must have a zone. */
static int published(struct rem_api_call *call, struct rem_upstream_spec *spec)
{
    size_t index;
    int rc = rem_call_find(call, call->params[0], &index, spec);

    if (rc != 0)
        return rc;
    return spec->flags & REM_UPSTREAM_STATIC ? refuse_static(call) : 0;
}

/* The same with what this turn has staged so far. */
static int staged(struct rem_api_call *call, struct rem_upstream_spec *spec)
{
    int rc = rem_call_find_staged(call, call->params[0], spec);

    if (rc != 0)
        return rc;
    return spec->flags & REM_UPSTREAM_STATIC ? refuse_static(call) : 0;
}

/* The server that the path's id means. */
static int find_server(struct rem_api_call *call, const struct rem_upstream_spec *spec, size_t *out)
{
    uint64_t id;

    if (rem_str_to_u64(call->params[1], REM_ID_NONE - 1, &id) != 0)
        return rem_fault_set(&call->fault, REM_FAULT_BAD_SERVER_ID, "invalid server id");
    for (size_t i = 0; i < spec->server_count; i++) {
        if (spec->servers[i].id == id) {
            *out = i;
            return 0;
        }
    }
    return rem_fault_set(&call->fault, REM_FAULT_SERVER_NOT_FOUND, "server not found");
}

/* Stages the upstream's new servers and gives the upstream as it will be (borrowed from the
 * change until the next step). */
static int stage(struct rem_api_call *call, const struct rem_server_spec *servers, size_t count,
                 const struct rem_upstream_spec **after)
{
    struct rem_change *change = call->api->change;
    struct rem_err err = {0};
    int rc = rem_change_servers(change, call->params[0], servers, count, &err);

    if (rc == REM_EEXIST)
        return rem_fault_set(&call->fault, REM_FAULT_ENTRY_EXISTS,
                             "a server with this address exists");
    if (rc != 0)
        return rem_call_fault(call, rc, &err);
    call->is_staged = true;
    rc = rem_change_get(change, call->params[0], after);
    return rc == 0 ? 0 : rem_call_fault(call, rc, NULL);
}

int rem_plus_servers(struct rem_api_call *call)
{
    struct rem_upstream_spec spec;
    int rc = published(call, &spec);

    if (rc != 0)
        return rc;
    return rem_call_answer(call, 200, rem_server_json_list(spec.servers, spec.server_count));
}

int rem_plus_server(struct rem_api_call *call)
{
    struct rem_upstream_spec spec;
    size_t at;
    int rc = published(call, &spec);

    if (rc == 0)
        rc = find_server(call, &spec, &at);
    if (rc != 0)
        return rc;
    return rem_call_answer(call, 200, rem_server_json_make(&spec.servers[at]));
}

int rem_plus_servers_post(struct rem_api_call *call)
{
    struct rem_upstream_spec spec;
    const struct rem_upstream_spec *after;
    struct rem_server_spec *servers;
    json_t *body;
    int rc = staged(call, &spec);

    if (rc != 0)
        return rc;
    servers = rem_arena_alloc(&call->arena, (spec.server_count + 1) * sizeof(*servers));
    if (servers == NULL)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    if (spec.server_count != 0)
        memcpy(servers, spec.servers, spec.server_count * sizeof(*servers));
    rc = rem_json_parse(call->request->body, &body, &call->fault);
    if (rc != 0)
        return rc;
    rc = rem_server_json_parse(body, REM_SERVER_JSON_ADD, &call->arena, &servers[spec.server_count],
                               &call->fault);
    if (rc == 0)
        rc = stage(call, servers, spec.server_count + 1, &after);
    json_decref(body);
    if (rc != 0)
        return rc;
    return rem_call_answer(call, 201, rem_server_json_make(&after->servers[spec.server_count]));
}

int rem_plus_server_patch(struct rem_api_call *call)
{
    struct rem_upstream_spec spec;
    const struct rem_upstream_spec *after;
    json_t *body;
    size_t at;
    int rc = staged(call, &spec);

    if (rc == 0)
        rc = find_server(call, &spec, &at);
    if (rc == 0)
        rc = rem_json_parse(call->request->body, &body, &call->fault);
    if (rc != 0)
        return rc;
    rc = rem_server_json_parse(body, REM_SERVER_JSON_PATCH, &call->arena, &spec.servers[at],
                               &call->fault);
    if (rc == 0)
        rc = stage(call, spec.servers, spec.server_count, &after);
    json_decref(body);
    if (rc != 0)
        return rc;
    return rem_call_answer(call, 200, rem_server_json_make(&after->servers[at]));
}

int rem_plus_server_delete(struct rem_api_call *call)
{
    struct rem_upstream_spec spec;
    const struct rem_upstream_spec *after;
    size_t at;
    int rc = staged(call, &spec);

    if (rc == 0)
        rc = find_server(call, &spec, &at);
    if (rc != 0)
        return rc;
    memmove(&spec.servers[at], &spec.servers[at + 1],
            (spec.server_count - at - 1) * sizeof(spec.servers[0]));
    rc = stage(call, spec.servers, spec.server_count - 1, &after);
    if (rc != 0)
        return rc;
    return rem_call_answer(call, 200, rem_server_json_list(after->servers, after->server_count));
}
