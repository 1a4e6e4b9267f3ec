/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/transactions: any number of steps, all of them or none, in one publish. */
#include "api/server_json.h"
#include "api/upstream_json.h"
#include "api/v1.h"
#include "api/v1_tables.h"

enum { OPERATIONS_MAX = 20000, MEMBERS_MAX = 6 };

/* ---- operations ---- */

struct operation {
    const char *op;
    const char *members[MEMBERS_MAX]; /* that it may have; the first says what it is about */
    /* `name`: of what it is about.  Returns 0 or REM_EINVAL with the fault. */
    int (*run)(struct rem_api_call *call, const json_t *operation, struct rem_str name);
};

/* The server that an operation names by "id" or by "address". */
static int find_server(struct rem_api_call *call, const json_t *operation, struct rem_str name,
                       uint32_t *out)
{
    const json_t *id = json_object_get(operation, "id");
    const json_t *address = json_object_get(operation, "address");
    json_int_t value = json_integer_value(id);

    if ((id == NULL) == (address == NULL))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                             "an operation names its server by either \"id\" or \"address\"");
    if (id != NULL && !json_is_integer(id))
        return rem_fault_set(&call->fault, REM_FAULT_BAD_SERVER_ID, "invalid server id");
    if (address != NULL && !json_is_string(address))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "invalid \"address\" value");
    if (address != NULL)
        return rem_v1_find_address(call, name, rem_json_str(address), out);
    *out = value >= 0 && value < REM_ID_NONE ? (uint32_t)value : REM_ID_NONE;
    return 0;
}

static int run_replace(struct rem_api_call *call, const json_t *operation, struct rem_str name)
{
    return rem_v1_put_servers(call, name, json_object_get(operation, "servers"));
}

static int run_add(struct rem_api_call *call, const json_t *operation, struct rem_str name)
{
    uint32_t id;

    return rem_v1_add_server(call, name, json_object_get(operation, "server"), &id);
}

static int run_update(struct rem_api_call *call, const json_t *operation, struct rem_str name)
{
    uint32_t id;
    int rc = find_server(call, operation, name, &id);

    if (rc != 0)
        return rc;
    return rem_v1_patch_server(call, name, id, json_object_get(operation, "server"));
}

static int run_remove(struct rem_api_call *call, const json_t *operation, struct rem_str name)
{
    uint32_t id;
    int rc = find_server(call, operation, name, &id);

    return rc == 0 ? rem_v1_remove_server(call, name, id) : rc;
}

static int run_create(struct rem_api_call *call, const json_t *operation, struct rem_str name)
{
    return rem_v1_put_upstream(call, name, json_object_get(operation, "value"), REM_V1_CREATE);
}

static int run_put(struct rem_api_call *call, const json_t *operation, struct rem_str name)
{
    return rem_v1_put_upstream(call, name, json_object_get(operation, "value"), REM_V1_REPLACE);
}

static int run_patch(struct rem_api_call *call, const json_t *operation, struct rem_str name)
{
    return rem_v1_put_upstream(call, name, json_object_get(operation, "value"), REM_V1_PATCH);
}

static int run_delete(struct rem_api_call *call, const json_t *operation, struct rem_str name)
{
    (void)operation;
    return rem_v1_remove_upstream(call, name);
}

static int run_split(struct rem_api_call *call, const json_t *operation, struct rem_str name)
{
    json_t *shown = NULL;
    int rc = rem_v1_split_step(call, name, json_object_get(operation, "value"), &shown);

    json_decref(shown);
    return rc;
}

static int run_keyval(struct rem_api_call *call, const json_t *operation, struct rem_str name)
{
    const char *op = json_string_value(json_object_get(operation, "op"));
    json_t *shown = NULL;
    int rc = rem_v1_keyval_step(call, name, json_object_get(operation, "value"),
                                strcmp(op, "put_keyval") == 0, &shown);

    json_decref(shown);
    return rc;
}

static const struct operation operations[] = {
    {"replace", {"upstream", "servers"}, run_replace},
    {"add", {"upstream", "server"}, run_add},
    {"update", {"upstream", "server", "id", "address"}, run_update},
    {"remove", {"upstream", "id", "address"}, run_remove},
    {"create_upstream", {"upstream", "value"}, run_create},
    {"put_upstream", {"upstream", "value"}, run_put},
    {"patch_upstream", {"upstream", "value"}, run_patch},
    {"delete_upstream", {"upstream"}, run_delete},
    {"put_split", {"split", "value"}, run_split},
    {"put_keyval", {"keyval", "value"}, run_keyval},
    {"patch_keyval", {"keyval", "value"}, run_keyval},
};

/* ---- one of them ---- */

static bool may_have(const struct operation *known, const char *key)
{
    for (size_t i = 0; i < MEMBERS_MAX && known->members[i] != NULL; i++)
        if (strcmp(key, known->members[i]) == 0)
            return true;
    return strcmp(key, "op") == 0;
}

/* Finds the operation's row and checks its members. */
static int look_up(struct rem_api_call *call, const json_t *operation, const struct operation **out)
{
    const char *op = json_string_value(json_object_get(operation, "op"));
    const char *key;
    json_t *value;

    if (op == NULL)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                             "an operation is an object with \"op\"");
    *out = NULL;
    for (size_t i = 0; i < REM_COUNT(operations); i++)
        if (strcmp(op, operations[i].op) == 0)
            *out = &operations[i];
    if (*out == NULL)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "unknown operation \"%.32s\"", op);
    json_object_foreach((json_t *)(uintptr_t)operation, key, value)
    {
        if (!may_have(*out, key))
            return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "unknown parameter \"%.100s\"",
                                 key);
    }
    return 0;
}

/* The upstream that is meant must be there, but for operations that may bring it. */
static int check_upstream(struct rem_api_call *call, const struct operation *known,
                          struct rem_str name)
{
    struct rem_upstream_spec head;

    if (known->run == run_create || known->run == run_put || !may_have(known, "upstream"))
        return 0;
    return rem_v1_head(call, name, &head);
}

static int operate(struct rem_api_call *call, const json_t *operation)
{
    const struct operation *known = NULL;
    const json_t *name;
    int rc = look_up(call, operation, &known);

    if (rc != 0)
        return rc;
    name = json_object_get(operation, known->members[0]);
    if (!json_is_string(name))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "missing or invalid \"%s\"",
                             known->members[0]);
    rc = check_upstream(call, known, rem_json_str(name));
    return rc == 0 ? known->run(call, operation, rem_json_str(name)) : rc;
}

static int operate_all(struct rem_api_call *call, const json_t *list)
{
    if (!json_is_array(list) || json_array_size(list) > OPERATIONS_MAX)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                             "operations must be an array of at most %d", OPERATIONS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char text[sizeof(call->fault.text)];
        if (operate(call, json_array_get(list, i)) == 0)
            continue;
        memcpy(text, call->fault.text, sizeof(text));
        return rem_fault_set(&call->fault, call->fault.code, "operation %zu: %.200s", i, text);
    }
    return 0;
}

static int replace_all(struct rem_api_call *call, json_t *map)
{
    const char *key;
    json_t *value;
    size_t len;

    if (!json_is_object(map))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "upstreams must be an object");
    json_object_keylen_foreach(map, key, len, value)
    {
        struct rem_upstream_spec head;
        struct rem_str name = rem_str_make(key, len);
        int rc = rem_v1_head(call, name, &head);
        if (rc == 0)
            rc = rem_v1_put_servers(call, name, value);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* First whole sets, then operations in their order. */
static int transact(struct rem_api_call *call, json_t *body)
{
    json_t *map = json_object_get(body, "upstreams");
    json_t *list = json_object_get(body, "operations");
    size_t known = (map != NULL) + (size_t)(list != NULL);
    int rc = 0;

    if (!json_is_object(body) || known == 0 || json_object_size(body) != known)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                             "a transaction has \"upstreams\" or \"operations\" or both, "
                             "and nothing else");
    if (map != NULL)
        rc = replace_all(call, map);
    if (rc == 0 && list != NULL)
        rc = operate_all(call, list);
    return rc;
}

/* Upstreams that were altered, as they are now; null: gone. */
static void put_altered(struct rem_api_call *call, struct rem_sbuf *out)
{
    struct rem_touched touched;
    size_t cursor = 0;
    const char *between = "\"upstreams\":{";

    while (rem_change_next(call->api->change, &cursor, &touched)) {
        if (touched.kind != REM_TOUCHED_UPSTREAM)
            continue;
        rem_sbuf_adds(out, between);
        between = ",";
        rem_json_put(out, touched.name);
        rem_sbuf_addc(out, ':');
        if (!touched.exists) {
            rem_sbuf_adds(out, "null");
            continue;
        }
        rem_sbuf_addc(out, '{');
        rem_v1_put_staged(call, touched.name, out);
        rem_sbuf_addc(out, '}');
    }
    rem_sbuf_adds(out, between[0] == ',' ? "}" : "\"upstreams\":{}");
}

/* Are there several steps of the change in it, so that one may fail behind another?  A whole value
 * is several by itself: an upstream and then its servers. */
static bool has_several_steps(const json_t *body)
{
    const json_t *list = json_object_get(body, "operations");
    size_t count = json_object_size(json_object_get(body, "upstreams")) + json_array_size(list);

    return count > 1 || json_object_get(json_array_get(list, 0), "value") != NULL;
}

int rem_v1_transaction(struct rem_api_call *call)
{
    bool fresh = call->api->change == NULL;
    json_t *body = NULL;
    int rc = rem_v1_body(call, &body);

    if (rc == 0 && !fresh && has_several_steps(body)) {
        /* What fails is taken back with the whole change, which must hold nothing else then. */
        call->flush = true;
        json_decref(body);
        return 0;
    }
    if (rc == 0)
        rc = rem_call_change(call);
    if (rc == 0)
        rc = transact(call, body);
    json_decref(body);
    if (rc != 0)
        return rc;
    if (!rem_v1_minimal(call))
        put_altered(call, &call->response->body);
    return rem_v1_stage(call, 200, json_object());
}
