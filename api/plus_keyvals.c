/* SPDX-License-Identifier: Apache-2.0 */
/* Key-value zones, as the NGINX Plus API reads and changes them. */
#include "api/keyval_ops.h"
#include "api/plus.h"
#include "proto/wire/uri.h"

int rem_plus_keyvals(struct rem_api_call *call)
{
    const struct rem_api *api = call->api;
    json_t *map = json_object();

    for (size_t i = 0; map != NULL && i < api->keyval_count; i++) {
        const struct rem_keyval_spec *spec = &api->keyvals[i];

        map = rem_plus_put(
            map, spec->name,
            rem_keyval_json(call, rem_keyval_bytes(call, spec), REM_STR(""), false, NULL));
    }
    return rem_plus_answer_map(call, map);
}

/* `?key=` asks for one pair. */
int rem_plus_keyval(struct rem_api_call *call)
{
    const struct rem_keyval_spec *spec;
    struct rem_str raw, key = REM_STR("");
    bool found = false;
    json_t *object;
    int rc = rem_keyval_zone(call, call->params[0], &spec);

    if (rc != 0)
        return rc;
    if (rem_uri_arg(call->request->args, REM_STR("key"), &raw) &&
        rem_uri_unescape(raw, &call->arena, &key) != 0)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    object = rem_keyval_json(call, rem_keyval_bytes(call, spec), key, false, &found);
    if (key.n != 0 && !found) {
        json_decref(object);
        return rem_fault_set(&call->fault, REM_FAULT_KEYVAL_KEY_NOT_FOUND, "keyval key not found");
    }
    return rem_call_answer(call, 200, object);
}

/* The pairs of the body: an object that is not empty. */
static int parse_pairs(struct rem_api_call *call, json_t **out)
{
    json_t *body;
    int rc = rem_json_parse(call->request->body, &body, &call->fault);

    if (rc != 0)
        return rc;
    if (!json_is_object(body))
        rc = rem_fault_set(&call->fault, REM_FAULT_KEYVAL_FORMAT, "invalid JSON, not an object");
    else if (json_object_size(body) == 0)
        rc = rem_fault_set(&call->fault, REM_FAULT_KEYVAL_FORMAT, "key required");
    if (rc == 0)
        *out = body;
    else
        json_decref(body);
    return rc;
}

static int apply_pairs(struct rem_api_call *call, struct rem_keyval_op *op, json_t *pairs,
                       enum rem_keyval_mode mode)
{
    const char *key;
    size_t length;
    json_t *value;

    /* Several at once only where there is nothing that they could be mixed up with. */
    if (json_object_size(pairs) > 1 && (mode == REM_KEYVAL_MODIFY || op->edit.count != 0))
        return rem_fault_set(&call->fault, REM_FAULT_KEYVAL_FORMAT, "only one key can be %s",
                             mode == REM_KEYVAL_MODIFY ? "updated" : "added");
    json_object_keylen_foreach(pairs, key, length, value)
    {
        int rc = rem_keyval_apply(call, op, rem_str_make(key, length), value, mode);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int change(struct rem_api_call *call, enum rem_keyval_mode mode)
{
    const struct rem_keyval_spec *spec;
    struct rem_keyval_op op = {0};
    json_t *pairs = NULL;
    int rc = rem_keyval_zone(call, call->params[0], &spec);

    if (rc == 0)
        rc = parse_pairs(call, &pairs);
    if (rc == 0)
        rc = rem_keyval_begin(call, spec, &op);
    if (rc == 0)
        rc = apply_pairs(call, &op, pairs, mode);
    if (rc == 0)
        rc = rem_keyval_stage(call, &op);
    rem_keyval_end(&op);
    json_decref(pairs);
    if (rc == 0)
        call->response->status = mode == REM_KEYVAL_ADD ? 201 : 204;
    return rc;
}

int rem_plus_keyval_post(struct rem_api_call *call)
{
    return change(call, REM_KEYVAL_ADD);
}

int rem_plus_keyval_patch(struct rem_api_call *call)
{
    return change(call, REM_KEYVAL_MODIFY);
}

int rem_plus_keyval_delete(struct rem_api_call *call)
{
    const struct rem_keyval_spec *spec;
    struct rem_keyval_op op = {0};
    int rc = rem_keyval_zone(call, call->params[0], &spec);

    if (rc == 0)
        rc = rem_keyval_begin(call, spec, &op);
    if (rc == 0) {
        rem_keyval_edit_clear(&op.edit);
        rc = rem_keyval_stage(call, &op);
    }
    rem_keyval_end(&op);
    if (rc == 0)
        call->response->status = 204;
    return rc;
}
