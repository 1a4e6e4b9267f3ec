/* SPDX-License-Identifier: Apache-2.0 */
/* remora's own API: the servers of an upstream, all at once or one by one. */
#include "api/diff_server.h"
#include "api/server_json.h"
#include "api/v1.h"
#include "proto/wire/uri.h"

/* ---- what writes share ---- */

int rem_v1_body(struct rem_api_call *call, json_t **out)
{
    return rem_json_parse(call->request->body, out, &call->fault);
}

int rem_v1_stage(struct rem_api_call *call, int status, json_t *body)
{
    json_t *head = json_pack("{s:i,s:b}", "revision", 0, "applied", 0);

    if (head != NULL && (body == NULL || json_object_update(head, body) != 0)) {
        json_decref(head);
        head = NULL;
    }
    json_decref(body);
    call->response->status = status;
    call->staged->body = head;
    if (head == NULL)
        call->response->body.failed = true;
    call->is_staged = true;
    return 0;
}

bool rem_v1_minimal(const struct rem_api_call *call)
{
    struct rem_str value;

    return rem_uri_arg(call->request->args, REM_STR("return"), &value) &&
           rem_str_is(value, "minimal");
}

int rem_v1_head(struct rem_api_call *call, struct rem_str name, struct rem_upstream_spec *out)
{
    int rc = rem_call_change(call);

    if (rc != 0)
        return rc;
    rc = rem_change_head(call->api->change, name, out);
    if (rc == REM_ENOTFOUND || (rc == REM_OK && !rem_call_is_shown(out)))
        return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_NOT_FOUND,
                             "upstream \"%.*s\" not found", REM_STR_ARG(name));
    return rc == REM_OK ? 0 : rem_call_fault(call, rc, NULL);
}

static int server_missing(struct rem_api_call *call, struct rem_str name)
{
    return rem_fault_set(&call->fault, REM_FAULT_SERVER_NOT_FOUND,
                         "server not found in upstream \"%.*s\"", REM_STR_ARG(name));
}

/* ---- steps ---- */

/* Says which server of a list a fault is about. */
static int fault_at(struct rem_api_call *call, struct rem_str name, size_t index)
{
    char text[sizeof(call->fault.text)];

    memcpy(text, call->fault.text, sizeof(text));
    return rem_fault_set(&call->fault, call->fault.code, "upstream \"%.*s\", server %zu: %.150s",
                         (int)(name.n < 64 ? name.n : 64), name.p, index, text);
}

/* Not a word of it would be another one.  Whoever says again what there is, as controllers do every
 * few seconds, makes no revision: it would push one out of the history that says something. */
static bool same_server(const struct rem_server_spec *a, const struct rem_server_spec *b)
{
    return rem_diff_server_same(a, b) && rem_str_eq(a->fail_timeout_text, b->fail_timeout_text) &&
           rem_str_eq(a->slow_start_text, b->slow_start_text);
}

static bool same_servers(struct rem_api_call *call, struct rem_str name,
                         const struct rem_server_spec *specs, size_t count)
{
    const struct rem_upstream_spec *now;

    if (rem_change_get(call->api->change, name, &now) != REM_OK || now->server_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!same_server(&specs[i], &now->servers[i]))
            return false;
    return true;
}

int rem_v1_put_servers(struct rem_api_call *call, struct rem_str name, const json_t *servers)
{
    size_t count = json_array_size(servers);
    struct rem_server_spec *specs;
    struct rem_err err = {0};
    int rc;

    if (!json_is_array(servers))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "servers must be an array");
    if (count > REM_UPSTREAM_SERVERS_MAX)
        return rem_fault_set(&call->fault, REM_FAULT_TOO_LARGE, "more than %d servers",
                             REM_UPSTREAM_SERVERS_MAX);
    specs = rem_arena_alloc(&call->arena, (count + 1) * sizeof(*specs));
    if (specs == NULL)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    for (size_t i = 0; i < count; i++)
        if (rem_server_json_parse(json_array_get(servers, i), REM_SERVER_JSON_SET, &call->arena,
                                  &specs[i], &call->fault) != 0)
            return fault_at(call, name, i);
    if (same_servers(call, name, specs, count))
        return 0;
    rc = rem_change_servers(call->api->change, name, specs, count, &err);
    return rc == REM_OK ? 0 : rem_call_fault(call, rc, &err);
}

int rem_v1_add_server(struct rem_api_call *call, struct rem_str name, const json_t *server,
                      uint32_t *out_id)
{
    struct rem_server_spec spec;
    struct rem_err err = {0};
    int rc = rem_server_json_parse(server, REM_SERVER_JSON_ADD, &call->arena, &spec, &call->fault);

    if (rc != 0)
        return rc;
    rc = rem_change_server_add(call->api->change, name, &spec, out_id, &err);
    return rc == REM_OK ? 0 : rem_call_fault(call, rc, &err);
}

/* A merge patch with the defaults in place of null (RFC 7396: the member is removed).
 * Owns: *out is the caller's. */
static int without_nulls(struct rem_api_call *call, const json_t *patch, json_t **out)
{
    json_t *defaults = json_pack("{s:i,s:i,s:i,s:s,s:s,s:s,s:b,s:b,s:b}", "weight", 1, "max_conns",
                                 0, "max_fails", 1, "fail_timeout", "10s", "slow_start", "0s",
                                 "route", "", "backup", 0, "down", 0, "drain", 0);
    json_t *copy = json_is_object(patch) ? json_copy((json_t *)(uintptr_t)patch) : NULL;
    const char *key;
    json_t *value;
    int rc = defaults == NULL || copy == NULL ? REM_ENOMEM : 0;

    if (!json_is_object(patch))
        rc = rem_fault_set(&call->fault, REM_FAULT_FORMAT, "a server must be an object");
    else if (rc != 0)
        rc = rem_call_fault(call, rc, NULL);
    json_object_foreach((json_t *)(uintptr_t)patch, key, value)
    {
        json_t *usual = json_object_get(defaults, key);
        if (rc == 0 && json_is_null(value) && usual != NULL &&
            json_object_set(copy, key, usual) != 0)
            rc = rem_call_fault(call, REM_ENOMEM, NULL);
    }
    json_decref(defaults);
    if (rc != 0)
        json_decref(copy);
    else
        *out = copy;
    return rc;
}

int rem_v1_patch_server(struct rem_api_call *call, struct rem_str name, uint32_t id,
                        const json_t *patch)
{
    struct rem_change *change = call->api->change;
    struct rem_server_spec spec, was;
    struct rem_err err = {0};
    json_t *plain = NULL;
    int rc = rem_change_server_get(change, name, id, &spec);

    if (rc == REM_ENOTFOUND)
        return server_missing(call, name);
    if (rc != REM_OK)
        return rem_call_fault(call, rc, NULL);
    was = spec;
    rc = without_nulls(call, patch, &plain);
    if (rc == 0)
        rc = rem_server_json_parse(plain, REM_SERVER_JSON_PATCH, &call->arena, &spec, &call->fault);
    if (rc == 0 && !same_server(&was, &spec)) {
        rc = rem_change_server_put(change, name, &spec, &err);
        if (rc != REM_OK)
            rc = rem_call_fault(call, rc, &err);
    }
    json_decref(plain);
    return rc;
}

int rem_v1_remove_server(struct rem_api_call *call, struct rem_str name, uint32_t id)
{
    int rc = rem_change_server_remove(call->api->change, name, id);

    if (rc == REM_ENOTFOUND)
        return server_missing(call, name);
    return rc == REM_OK ? 0 : rem_call_fault(call, rc, NULL);
}

int rem_v1_find_address(struct rem_api_call *call, struct rem_str name, struct rem_str address,
                        uint32_t *out)
{
    int rc = rem_change_server_find(call->api->change, name, address, out);

    if (rc == REM_ENOTFOUND)
        return server_missing(call, name);
    return rc == REM_OK ? 0 : rem_call_fault(call, rc, NULL);
}

/* The staged server that the path names by its id or by its address. */
static int find_server(struct rem_api_call *call, uint32_t *out)
{
    struct rem_str name = call->params[0], text = call->params[1];
    struct rem_upstream_spec head;
    uint64_t id;
    int rc = rem_v1_head(call, name, &head);

    if (rc != 0)
        return rc;
    if (rem_str_to_u64(text, REM_ID_NONE - 1, &id) != 0)
        return rem_v1_find_address(call, name, text, out);
    *out = (uint32_t)id;
    return 0;
}

/* ---- endpoints ---- */

/* The servers as they are staged, as a member of the answer. */
static void put_servers(struct rem_api_call *call, struct rem_str name)
{
    struct rem_sbuf *out = &call->response->body;
    struct rem_upstream_spec after;

    if (rem_change_list(call->api->change, name, &call->arena, &after) != REM_OK) {
        out->failed = true;
        return;
    }
    rem_sbuf_adds(out, "\"servers\":[");
    rem_server_json_put_list(out, after.servers, after.server_count, 0);
    rem_sbuf_addc(out, ']');
}

int rem_v1_servers_put(struct rem_api_call *call)
{
    struct rem_upstream_spec head;
    json_t *body = NULL;
    int rc = rem_v1_head(call, call->params[0], &head);

    if (rc == 0)
        rc = rem_v1_body(call, &body);
    if (rc == 0)
        rc = rem_v1_put_servers(call, call->params[0], body);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (!rem_v1_minimal(call))
        put_servers(call, call->params[0]);
    return rem_v1_stage(call, 200, json_object());
}

/* The answer that shows one server. */
static int stage_server(struct rem_api_call *call, int status, uint32_t id)
{
    struct rem_server_spec spec;
    json_t *server = NULL;

    if (rem_v1_minimal(call))
        return rem_v1_stage(call, status, json_object());
    if (rem_change_server_get(call->api->change, call->params[0], id, &spec) == REM_OK)
        server = rem_server_json_make(&spec);
    return rem_v1_stage(call, status, json_pack("{s:o}", "server", server));
}

int rem_v1_servers_post(struct rem_api_call *call)
{
    struct rem_upstream_spec head;
    json_t *body = NULL;
    uint32_t id = 0;
    int rc = rem_v1_head(call, call->params[0], &head);

    if (rc == 0)
        rc = rem_v1_body(call, &body);
    if (rc == 0)
        rc = rem_v1_add_server(call, call->params[0], body, &id);
    if (rc == 0)
        rc = stage_server(call, 201, id);
    json_decref(body);
    return rc;
}

int rem_v1_server_patch(struct rem_api_call *call)
{
    json_t *body = NULL;
    uint32_t id = 0;
    int rc = find_server(call, &id);

    if (rc == 0)
        rc = rem_v1_body(call, &body);
    if (rc == 0)
        rc = rem_v1_patch_server(call, call->params[0], id, body);
    if (rc == 0)
        rc = stage_server(call, 200, id);
    json_decref(body);
    return rc;
}

int rem_v1_server_delete(struct rem_api_call *call)
{
    uint32_t id = 0;
    int rc = find_server(call, &id);

    if (rc == 0)
        rc = rem_v1_remove_server(call, call->params[0], id);
    return rc == 0 ? rem_v1_stage(call, 200, json_object()) : rc;
}
