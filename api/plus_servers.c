/* SPDX-License-Identifier: Apache-2.0 */
/* The servers of an upstream, as the NGINX Plus API reads and changes them. */
#include "api/plus.h"
#include "api/server_json.h"
#include "proto/shm/space.h"

static int refuse_static(struct rem_api_call *call)
{
    return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_STATIC, "upstream is static");
}

/* The published upstream of the path, which must have a zone. */
static int published(struct rem_api_call *call, struct rem_upstream_spec *spec)
{
    uint32_t flags;
    size_t index;
    int rc = rem_call_find(call, call->params[0], &index, &flags);

    if (rc == 0 && flags & REM_UPSTREAM_STATIC)
        rc = refuse_static(call);
    return rc == 0 ? rem_call_read(call, index, spec) : rc;
}

/* The same with what this turn has staged so far, all servers included. */
static int staged(struct rem_api_call *call, struct rem_upstream_spec *spec)
{
    int rc = rem_call_find_staged(call, call->params[0], spec);

    if (rc != 0)
        return rc;
    return spec->flags & REM_UPSTREAM_STATIC ? refuse_static(call) : 0;
}

/* The same without the servers: a change of one costs nothing for the others. */
static int staged_head(struct rem_api_call *call, struct rem_upstream_spec *spec)
{
    int rc = rem_call_change(call);

    if (rc != 0)
        return rc;
    rc = rem_change_head(call->api->change, call->params[0], spec);
    if (rc == REM_ENOTFOUND || (rc == 0 && !rem_call_is_shown(spec)))
        return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_NOT_FOUND, "upstream not found");
    if (rc != 0)
        return rem_call_fault(call, rc, NULL);
    return spec->flags & REM_UPSTREAM_STATIC ? refuse_static(call) : 0;
}

/* The id in the path. */
static int parse_id(struct rem_api_call *call, uint64_t *id)
{
    if (rem_str_to_u64(call->params[1], REM_ID_NONE - 1, id) != 0)
        return rem_fault_set(&call->fault, REM_FAULT_BAD_SERVER_ID, "invalid server id");
    return 0;
}

static int server_missing(struct rem_api_call *call)
{
    return rem_fault_set(&call->fault, REM_FAULT_SERVER_NOT_FOUND, "server not found");
}

/* The server with that id, as this turn leaves it. */
static int staged_server(struct rem_api_call *call, uint64_t id, struct rem_server_spec *out)
{
    int rc = rem_change_server_get(call->api->change, call->params[0], (uint32_t)id, out);

    if (rc == REM_ENOTFOUND)
        return server_missing(call);
    return rc == 0 ? 0 : rem_call_fault(call, rc, NULL);
}

/* What a step about a server came to. */
static int step_done(struct rem_api_call *call, int rc, const struct rem_err *err)
{
    if (rc == REM_EEXIST)
        return rem_fault_set(&call->fault, REM_FAULT_ENTRY_EXISTS,
                             "a server with this address exists");
    if (rc != 0)
        return rem_call_fault(call, rc, err);
    call->is_staged = true;
    return 0;
}

/* ---- reading ---- */

/* Names first, then servers in the order of the set. */
static int answer_list(struct rem_api_call *call, const struct rem_upstream_spec *spec,
                       bool is_staged)
{
    struct rem_sbuf *out = &call->response->body;
    json_t *names = rem_plus_names_json(call, spec->name, is_staged);
    bool some = json_array_size(names) != 0;

    call->response->status = 200;
    rem_json_answer(call->response, names);
    if (out->failed)
        return 0;
    out->n--; /* the bracket */
    if (some && spec->server_count != 0)
        rem_sbuf_addc(out, ',');
    rem_server_json_put_list(out, spec->servers, spec->server_count, REM_NAMES_ID);
    rem_sbuf_addc(out, ']');
    return 0;
}

static int answer_server(struct rem_api_call *call, int status, const struct rem_server_spec *spec)
{
    call->response->status = status;
    call->response->content_type = REM_API_JSON;
    rem_sbuf_clear(&call->response->body);
    rem_server_json_put(&call->response->body, spec, REM_NAMES_ID);
    return 0;
}

int rem_plus_servers(struct rem_api_call *call)
{
    struct rem_upstream_spec spec;
    int rc = published(call, &spec);

    return rc == 0 ? answer_list(call, &spec, false) : rc;
}

int rem_plus_server(struct rem_api_call *call)
{
    const struct rem_writer *writer = call->api->writer;
    struct rem_space_upstream upstream;
    struct rem_server_spec server;
    size_t index;
    uint64_t id;
    int rc = rem_writer_find(writer, call->params[0], &index);

    if (rc == 0)
        rem_space_upstream(writer, index, &upstream);
    if (rc != 0 || !rem_call_flags_are_shown(upstream.flags))
        return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_NOT_FOUND, "upstream not found");
    if (upstream.flags & REM_UPSTREAM_STATIC)
        return refuse_static(call);
    rc = parse_id(call, &id);
    if (rc != 0)
        return rc;
    if (id >= REM_NAMES_ID)
        return rem_plus_name(call, upstream.name, id);
    if (rem_writer_server(writer, index, (uint32_t)id, &server) != 0)
        return server_missing(call);
    return answer_server(call, 200, &server);
}

/* ---- changing ---- */

int rem_plus_servers_post(struct rem_api_call *call)
{
    struct rem_change *change;
    struct rem_upstream_spec head;
    struct rem_server_spec server;
    struct rem_err err = {0};
    json_t *body = NULL;
    uint32_t id;
    int rc = staged_head(call, &head);

    if (rc == 0)
        rc = rem_json_parse(call->request->body, &body, &call->fault);
    if (rc != 0)
        return rc;
    change = call->api->change;
    rc = rem_server_json_parse(body, REM_SERVER_JSON_PLUS_ADD, &call->arena, &server, &call->fault);
    if (rc == 0 && server.addr.len == 0) {
        rc = rem_plus_name_post(call, &head, &server);
    } else if (rc == 0) {
        rc = step_done(call, rem_change_server_add(change, call->params[0], &server, &id, &err),
                       &err);
        if (rc == 0)
            rc = staged_server(call, id, &server);
        if (rc == 0)
            rc = answer_server(call, 201, &server);
    }
    json_decref(body);
    return rc;
}

/* Reads the changes.  A server that was found for a name keeps its address, and the weight that an
 * SRV record gave. */
static int read_patch(struct rem_api_call *call, const json_t *body, struct rem_server_spec *server)
{
    const json_t *address = json_object_get(body, "server");
    struct rem_plus_names names = {.upstream = call->params[0], .staged = true};
    uint32_t weight = server->weight;

    if (server->parent != 0 && json_is_string(address) &&
        !rem_str_eq(rem_json_str(address), server->server))
        return rem_fault_set(&call->fault, REM_FAULT_SERVER_IMMUTABLE,
                             "server \"%u\" address is immutable", server->id);
    if (rem_server_json_parse(body, REM_SERVER_JSON_PLUS_PATCH, &call->arena, server,
                              &call->fault) != 0)
        return REM_EINVAL;
    if (server->parent != 0 && server->weight != weight &&
        rem_plus_service(call, &names, server->parent).n != 0)
        return rem_fault_set(&call->fault, REM_FAULT_WEIGHT_IMMUTABLE,
                             "server \"%u\" weight is immutable", server->id);
    return 0;
}

static int patch_name(struct rem_api_call *call, uint64_t id)
{
    struct rem_upstream_spec spec;
    int rc = staged(call, &spec);

    return rc == 0 ? rem_plus_name_patch(call, &spec, id) : rc;
}

int rem_plus_server_patch(struct rem_api_call *call)
{
    struct rem_upstream_spec head;
    struct rem_server_spec server;
    struct rem_err err = {0};
    json_t *body;
    uint64_t id;
    int rc = staged_head(call, &head);

    if (rc == 0)
        rc = parse_id(call, &id);
    if (rc == 0 && id >= REM_NAMES_ID)
        return patch_name(call, id);
    if (rc == 0)
        rc = staged_server(call, id, &server);
    if (rc == 0)
        rc = rem_json_parse(call->request->body, &body, &call->fault);
    if (rc != 0)
        return rc;
    rc = read_patch(call, body, &server);
    if (rc == 0)
        rc = step_done(
            call, rem_change_server_put(call->api->change, call->params[0], &server, &err), &err);
    if (rc == 0)
        rc = staged_server(call, id, &server);
    if (rc == 0)
        rc = answer_server(call, 200, &server);
    json_decref(body);
    return rc;
}

/* Takes out the server, or the name with all that was found for it. */
static int delete_server(struct rem_api_call *call, uint64_t id)
{
    struct rem_upstream_spec spec;
    struct rem_server_spec server;
    int rc;

    if (id >= REM_NAMES_ID) {
        rc = staged(call, &spec);
        return rc == 0 ? rem_plus_name_delete(call, &spec, id) : rc;
    }
    rc = staged_server(call, id, &server);
    if (rc == 0 && server.parent != 0)
        rc = rem_fault_set(&call->fault, REM_FAULT_SERVER_IMMUTABLE, "server \"%u\" not removable",
                           server.id);
    if (rc != 0)
        return rc;
    return step_done(
        call, rem_change_server_remove(call->api->change, call->params[0], (uint32_t)id), NULL);
}

int rem_plus_server_delete(struct rem_api_call *call)
{
    struct rem_upstream_spec head, after;
    uint64_t id;
    int rc = staged_head(call, &head);

    if (rc == 0)
        rc = parse_id(call, &id);
    if (rc == 0)
        rc = delete_server(call, id);
    if (rc != 0)
        return rc;
    rc = rem_change_list(call->api->change, call->params[0], &call->arena, &after);
    if (rc != 0)
        return rem_call_fault(call, rc, NULL);
    return answer_list(call, &after, true);
}
