/* SPDX-License-Identifier: Apache-2.0 */
/* remora's own API: key-value zones.  A patch of a zone is a merge patch (RFC 7396) of its entries,
 * of as many as it likes; all of them change in one publish, or none does. */
#include "api/keyval_ops.h"
#include "api/v1.h"
#include "api/v1_tables.h"

#include "proto/wire/uri.h"

static json_t *revision_json(const struct rem_api_call *call)
{
    return json_integer(rem_json_count(rem_writer_revision(call->api->writer)));
}

/* What there is to know about a zone besides its entries.  NULL without memory. */
static json_t *zone_json(struct rem_api_call *call, const struct rem_keyval_spec *spec)
{
    struct rem_str bytes = rem_keyval_bytes(call, spec);
    json_t *zone = json_pack("{s:o,s:s,s:I,s:I}", "name", rem_json_text(spec->name), "type",
                             rem_keyval_type_name(spec->type), "size", rem_json_count(spec->size),
                             "used", rem_json_count(bytes.n));

    if (zone != NULL && spec->timeout_ms != 0 &&
        json_object_set_new(zone, "timeout_ms", json_integer(rem_json_count(spec->timeout_ms))) !=
            0) {
        json_decref(zone);
        zone = NULL;
    }
    return zone;
}

static int answer(struct rem_api_call *call, json_t *body)
{
    call->response->etag = rem_writer_revision(call->api->writer);
    call->response->has_etag = true;
    return rem_call_answer(call, 200, body);
}

int rem_v1_keyvals(struct rem_api_call *call)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < call->api->keyval_count; i++) {
        if (json_array_append_new(list, zone_json(call, &call->api->keyvals[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return answer(call, json_pack("{s:o,s:o}", "revision", revision_json(call), "keyvals", list));
}

int rem_v1_keyval(struct rem_api_call *call)
{
    const struct rem_keyval_spec *spec;
    struct rem_str key = {"", 0};
    json_t *zone, *entries;
    bool found;
    int rc = rem_keyval_zone(call, call->params[0], &spec);

    if (rc != 0)
        return rc;
    if (rem_uri_arg(call->request->args, REM_STR("key"), &key) &&
        rem_uri_unescape(key, &call->arena, &key) != 0)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    entries = rem_keyval_json(call, rem_keyval_bytes(call, spec), key, true, &found);
    if (key.n != 0 && !found) {
        json_decref(entries);
        return rem_fault_set(&call->fault, REM_FAULT_KEYVAL_KEY_NOT_FOUND, "keyval key not found");
    }
    zone = zone_json(call, spec);
    if (zone == NULL || json_object_set_new(zone, "revision", revision_json(call)) != 0 ||
        json_object_set(zone, "entries", entries) != 0) {
        json_decref(zone);
        zone = NULL;
    }
    json_decref(entries);
    return answer(call, zone);
}

/* ---- writing ---- */

/* Applies all members of the body; *changed says how many entries they are about. */
static int apply_all(struct rem_api_call *call, struct rem_keyval_op *op, json_t *body)
{
    const char *key;
    json_t *value;

    if (!json_is_object(body))
        return rem_fault_set(&call->fault, REM_FAULT_KEYVAL_FORMAT,
                             "entries must be an object of keys");
    json_object_foreach(body, key, value)
    {
        int rc = rem_keyval_apply(call, op, rem_str_from(key), value, REM_KEYVAL_MERGE);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static json_t *written_json(const struct rem_keyval_op *op, size_t before)
{
    return json_pack("{s:o,s:I,s:I,s:I}", "name", rem_json_text(op->spec->name), "before",
                     rem_json_count(before), "entries", rem_json_count(op->edit.count), "used",
                     rem_json_count(rem_keyval_edit_size(&op->edit)));
}

int rem_v1_keyval_step(struct rem_api_call *call, struct rem_str name, json_t *body, bool replace,
                       json_t **shown)
{
    const struct rem_keyval_spec *spec;
    struct rem_keyval_op op = {.expire_always = true};
    size_t before = 0;
    int rc = rem_keyval_zone(call, name, &spec);

    if (rc == 0)
        rc = rem_keyval_begin(call, spec, &op);
    if (rc == 0) {
        before = op.edit.count;
        if (replace)
            rem_keyval_edit_clear(&op.edit);
        rc = apply_all(call, &op, body);
    }
    if (rc == 0)
        rc = rem_keyval_stage(call, &op);
    if (rc == 0)
        *shown = written_json(&op, before);
    rem_keyval_end(&op);
    return rc;
}

static int write_zone(struct rem_api_call *call, bool replace)
{
    json_t *body = NULL, *shown;
    int rc = rem_v1_body(call, &body);

    if (rc == 0)
        rc = rem_v1_keyval_step(call, call->params[0], body, replace, &shown);
    json_decref(body);
    return rc == 0 ? rem_v1_stage(call, 200, shown) : rc;
}

int rem_v1_keyval_patch(struct rem_api_call *call)
{
    return write_zone(call, false);
}

int rem_v1_keyval_put(struct rem_api_call *call)
{
    return write_zone(call, true);
}
