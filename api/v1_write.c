/* SPDX-License-Identifier: Apache-2.0 */
/* remora's own API: changes.  A request first works on private copies of the upstreams it touches;
 * only when all of it is right do these become steps of the turn's change, so that a request
 * changes everything or nothing. */
#include "api/call.h"
#include "api/server_json.h"

enum { OPERATIONS_MAX = 100000 };

/* An upstream that this request changes. */
struct edit {
    struct edit *next;
    struct rem_str name;
    struct rem_upstream_spec before; /* as other requests of this turn left it */
    struct rem_server_spec *servers; /* as it shall be; room for `cap` */
    size_t count, cap;
    bool staged;
};

struct edits {
    struct edit *first;
    struct edit **last;
};

static int no_memory(struct rem_api_call *call)
{
    return rem_call_fault(call, REM_ENOMEM, NULL);
}

/* Room for `n` more servers. */
static int edit_reserve(struct rem_api_call *call, struct edit *edit, size_t n)
{
    struct rem_server_spec *servers;
    size_t cap = edit->count + n;

    if (cap <= edit->cap)
        return 0;
    if (cap < 2 * edit->cap)
        cap = 2 * edit->cap;
    servers = rem_arena_alloc(&call->arena, cap * sizeof(*servers));
    if (servers == NULL)
        return no_memory(call);
    if (edit->count != 0)
        memcpy(servers, edit->servers, edit->count * sizeof(*servers));
    edit->servers = servers;
    edit->cap = cap;
    return 0;
}

/* The working copy of an upstream, made when it is first asked for. */
static int edit_get(struct rem_api_call *call, struct edits *edits, struct rem_str name,
                    struct edit **out)
{
    struct edit *edit;
    int rc;

    for (edit = edits->first; edit != NULL; edit = edit->next) {
        if (rem_str_eq(edit->name, name)) {
            *out = edit;
            return 0;
        }
    }
    edit = rem_arena_zalloc(&call->arena, sizeof(*edit));
    if (edit == NULL)
        return no_memory(call);
    rc = rem_call_find_staged(call, name, &edit->before);
    if (rc == REM_EINVAL && call->fault.code == REM_FAULT_UPSTREAM_NOT_FOUND)
        return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_NOT_FOUND,
                             "upstream \"%.*s\" not found", REM_STR_ARG(name));
    if (rc != 0)
        return rc;
    edit->name = edit->before.name;
    edit->count = edit->before.server_count;
    edit->cap = 0;
    edit->servers = edit->before.servers;
    rc = edit_reserve(call, edit, 1);
    if (rc != 0)
        return rc;
    *edits->last = edit;
    edits->last = &edit->next;
    *out = edit;
    return 0;
}

/* Says where in the body a fault is. */
static int fault_at(struct rem_api_call *call, const struct edit *edit, size_t index)
{
    char text[sizeof(call->fault.text)];

    memcpy(text, call->fault.text, sizeof(text));
    return rem_fault_set(&call->fault, call->fault.code, "upstream \"%.*s\", server %zu: %.150s",
                         (int)(edit->name.n < 64 ? edit->name.n : 64), edit->name.p, index, text);
}

/* ---- what can be done to a working copy ---- */

static int edit_replace(struct rem_api_call *call, struct edit *edit, const json_t *servers)
{
    size_t n = json_array_size(servers);

    if (!json_is_array(servers))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "servers must be an array");
    if (n > REM_UPSTREAM_SERVERS_MAX)
        return rem_fault_set(&call->fault, REM_FAULT_TOO_LARGE, "more than %d servers",
                             REM_UPSTREAM_SERVERS_MAX);
    edit->count = 0;
    if (edit_reserve(call, edit, n) != 0)
        return REM_EINVAL;
    for (size_t i = 0; i < n; i++) {
        int rc = rem_server_json_parse(json_array_get(servers, i), REM_SERVER_JSON_SET,
                                       &call->arena, &edit->servers[i], &call->fault);
        if (rc != 0)
            return fault_at(call, edit, i);
    }
    edit->count = n;
    return 0;
}

static int edit_add(struct rem_api_call *call, struct edit *edit, const json_t *server)
{
    int rc = edit_reserve(call, edit, 1);

    if (rc == 0)
        rc = rem_server_json_parse(server, REM_SERVER_JSON_ADD, &call->arena,
                                   &edit->servers[edit->count], &call->fault);
    if (rc == 0)
        edit->count++;
    return rc;
}

/* The server that an operation names by "id" or by "address". */
static int edit_find(struct rem_api_call *call, const struct edit *edit, const json_t *operation,
                     size_t *out)
{
    const json_t *id = json_object_get(operation, "id");
    const json_t *address = json_object_get(operation, "address");

    if ((id == NULL) == (address == NULL))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                             "an operation names its server by either \"id\" or \"address\"");
    if (id != NULL && !json_is_integer(id))
        return rem_fault_set(&call->fault, REM_FAULT_BAD_SERVER_ID, "invalid server id");
    if (address != NULL && !json_is_string(address))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "invalid \"address\" value");
    for (size_t i = 0; i < edit->count; i++) {
        const struct rem_server_spec *spec = &edit->servers[i];
        if (id != NULL ? spec->id != REM_ID_NONE && spec->id == json_integer_value(id)
                       : rem_str_eq(spec->server, rem_json_str(address))) {
            *out = i;
            return 0;
        }
    }
    return rem_fault_set(&call->fault, REM_FAULT_SERVER_NOT_FOUND,
                         "server not found in upstream \"%.*s\"", REM_STR_ARG(edit->name));
}

static int edit_update(struct rem_api_call *call, struct edit *edit, const json_t *operation)
{
    size_t at;
    int rc = edit_find(call, edit, operation, &at);

    if (rc != 0)
        return rc;
    return rem_server_json_parse(json_object_get(operation, "server"), REM_SERVER_JSON_PATCH,
                                 &call->arena, &edit->servers[at], &call->fault);
}

static int edit_remove(struct rem_api_call *call, struct edit *edit, const json_t *operation)
{
    size_t at;
    int rc = edit_find(call, edit, operation, &at);

    if (rc != 0)
        return rc;
    edit->count--;
    memmove(&edit->servers[at], &edit->servers[at + 1],
            (edit->count - at) * sizeof(edit->servers[0]));
    return 0;
}

/* ---- the precondition ---- */

/* Whether If-Match, if there is one, names the published revision (strong comparison: a weak tag
 * matches nothing).  Nothing is staged when such a request is handled. */
static int check_precondition(struct rem_api_call *call)
{
    uint64_t revision = rem_writer_revision(call->api->writer), wanted;
    struct rem_str rest = call->request->if_match, tag;

    if (!call->request->has_if_match)
        return 0;
    while (rem_field_list_next(&rest, &tag)) {
        if (rem_str_is(tag, "*"))
            return 0;
        if (rem_str_has_prefix(tag, REM_STR("W/")))
            continue;
        if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
            tag = rem_str_make(tag.p + 1, tag.n - 2);
        if (rem_str_to_u64(tag, UINT64_MAX, &wanted) != 0)
            return rem_fault_set(&call->fault, REM_FAULT_BAD_PRECONDITION,
                                 "If-Match must be a revision in quotes");
        if (wanted == revision)
            return 0;
    }
    call->fault.revision = revision;
    return rem_fault_set(&call->fault, REM_FAULT_CONFLICT, "the current revision is %llu",
                         (unsigned long long)revision);
}

/* ---- staging ---- */

/* Takes back what this request staged.  The sets were good a moment ago, so only memory can
 * fail; then the whole turn's change must not be published. */
static void unstage(struct rem_api_call *call, struct edits *edits)
{
    for (struct edit *edit = edits->first; edit != NULL; edit = edit->next)
        if (edit->staged && rem_change_put(call->api->change, &edit->before, NULL) != 0)
            call->api->spoiled = true;
}

static int stage(struct rem_api_call *call, struct edits *edits)
{
    for (struct edit *edit = edits->first; edit != NULL; edit = edit->next) {
        struct rem_err err = {0};
        int rc =
            rem_change_servers(call->api->change, edit->name, edit->servers, edit->count, &err);
        if (rc != 0) {
            unstage(call, edits);
            return rem_call_fault(call, rc, &err);
        }
        edit->staged = true;
    }
    call->is_staged = true;
    return 0;
}

/* The upstream's servers as they are staged. */
static json_t *staged_servers(struct rem_api_call *call, struct rem_str name)
{
    const struct rem_upstream_spec *after;

    if (rem_change_get(call->api->change, name, &after) != 0)
        return NULL;
    return rem_server_json_list(after->servers, after->server_count);
}

int rem_v1_servers_put(struct rem_api_call *call)
{
    struct edits edits = {.last = &edits.first};
    struct edit *edit;
    json_t *body = NULL;
    int rc = check_precondition(call);

    if (rc == 0)
        rc = edit_get(call, &edits, call->params[0], &edit);
    if (rc == 0)
        rc = rem_json_parse(call->request->body, &body, &call->fault);
    if (rc == 0)
        rc = edit_replace(call, edit, body);
    if (rc == 0)
        rc = stage(call, &edits);
    if (rc == 0) {
        call->staged->body = json_pack("{s:i,s:b,s:o}", "revision", 0, "applied", 0, "servers",
                                       staged_servers(call, edit->name));
        if (call->staged->body == NULL)
            call->response->body.failed = true;
    }
    json_decref(body);
    return rc;
}

/* ---- transactions ---- */

/* The members an operation may have. */
static const struct operation {
    const char *op;
    const char *members[5];
} operations[] = {
    {"replace", {"op", "upstream", "servers"}},
    {"add", {"op", "upstream", "server"}},
    {"update", {"op", "upstream", "server", "id", "address"}},
    {"remove", {"op", "upstream", "id", "address"}},
};

static int check_members(struct rem_api_call *call, const json_t *operation, const char *op)
{
    const struct operation *known = NULL;
    const char *key;
    json_t *value;

    for (size_t i = 0; i < REM_COUNT(operations); i++)
        if (strcmp(op, operations[i].op) == 0)
            known = &operations[i];
    if (known == NULL)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "unknown operation \"%.32s\"", op);
    json_object_foreach((json_t *)(uintptr_t)operation, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < REM_COUNT(known->members) && known->members[i] != NULL; i++)
            found = found || strcmp(key, known->members[i]) == 0;
        if (!found)
            return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "unknown parameter \"%.100s\"",
                                 key);
    }
    return 0;
}

static int operate(struct rem_api_call *call, struct edits *edits, const json_t *operation)
{
    const char *op = json_string_value(json_object_get(operation, "op"));
    const json_t *upstream = json_object_get(operation, "upstream");
    struct edit *edit;
    int rc;

    if (op == NULL || !json_is_string(upstream))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                             "an operation is an object with \"op\" and \"upstream\"");
    rc = check_members(call, operation, op);
    if (rc == 0)
        rc = edit_get(call, edits, rem_json_str(upstream), &edit);
    if (rc != 0)
        return rc;
    if (strcmp(op, "replace") == 0)
        return edit_replace(call, edit, json_object_get(operation, "servers"));
    if (strcmp(op, "add") == 0)
        return edit_add(call, edit, json_object_get(operation, "server"));
    if (strcmp(op, "update") == 0)
        return edit_update(call, edit, operation);
    return edit_remove(call, edit, operation);
}

static int operate_all(struct rem_api_call *call, struct edits *edits, const json_t *list)
{
    if (!json_is_array(list) || json_array_size(list) > OPERATIONS_MAX)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                             "operations must be an array of at most %d", OPERATIONS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char text[sizeof(call->fault.text)];
        if (operate(call, edits, json_array_get(list, i)) == 0)
            continue;
        memcpy(text, call->fault.text, sizeof(text));
        return rem_fault_set(&call->fault, call->fault.code, "operation %zu: %.200s", i, text);
    }
    return 0;
}

static int replace_all(struct rem_api_call *call, struct edits *edits, json_t *map)
{
    const char *key;
    json_t *servers;

    if (!json_is_object(map))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "upstreams must be an object");
    json_object_foreach(map, key, servers)
    {
        struct edit *edit;
        int rc = edit_get(call, edits, rem_str_from(key), &edit);
        if (rc == 0)
            rc = edit_replace(call, edit, servers);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Applies a transaction's body to working copies: first whole sets, then operations in order. */
static int transact(struct rem_api_call *call, struct edits *edits, json_t *body)
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
        rc = replace_all(call, edits, map);
    if (rc == 0 && list != NULL)
        rc = operate_all(call, edits, list);
    return rc;
}

static json_t *transaction_json(struct rem_api_call *call, const struct edits *edits)
{
    json_t *map = json_object();

    for (const struct edit *edit = edits->first; map != NULL && edit != NULL; edit = edit->next) {
        json_t *name = rem_json_text(edit->name);
        struct rem_str key = rem_json_str(name);
        json_t *one = json_pack("{s:o}", "servers", staged_servers(call, edit->name));
        if (name == NULL || json_object_setn_new(map, key.p, key.n, one) != 0) {
            json_decref(map);
            map = NULL;
        }
        json_decref(name);
    }
    return json_pack("{s:i,s:b,s:o}", "revision", 0, "applied", 0, "upstreams", map);
}

int rem_v1_transaction(struct rem_api_call *call)
{
    struct edits edits = {.last = &edits.first};
    json_t *body = NULL;
    int rc = check_precondition(call);

    if (rc == 0)
        rc = rem_json_parse(call->request->body, &body, &call->fault);
    if (rc == 0)
        rc = rem_call_change(call);
    if (rc == 0)
        rc = transact(call, &edits, body);
    if (rc == 0)
        rc = stage(call, &edits);
    if (rc == 0) {
        call->staged->body = transaction_json(call, &edits);
        if (call->staged->body == NULL)
            call->response->body.failed = true;
    }
    json_decref(body);
    return rc;
}
