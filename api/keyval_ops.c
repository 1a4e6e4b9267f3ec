/* SPDX-License-Identifier: Apache-2.0 */
#include "api/keyval_ops.h"

#include <stdlib.h>

#define YEAR_MS ((uint64_t)365 * 24 * 3600 * 1000)

static uint64_t now_ms(const struct rem_api_call *call)
{
    const struct rem_clock *clock = call->api->clock;

    return (uint64_t)clock->wall_sec * 1000 + clock->wall_msec;
}

static int no_memory(struct rem_api_call *call)
{
    return rem_call_fault(call, REM_ENOMEM, NULL);
}

/* ---- reading ---- */

int rem_keyval_zone(struct rem_api_call *call, struct rem_str name,
                    const struct rem_keyval_spec **out)
{
    for (size_t i = 0; i < call->api->keyval_count; i++) {
        if (rem_str_eq(call->api->keyvals[i].name, name)) {
            *out = &call->api->keyvals[i];
            return 0;
        }
    }
    return rem_fault_set(&call->fault, REM_FAULT_KEYVAL_NOT_FOUND, "keyval not found");
}

/* The bytes of a table, if they are what the zone's are. */
static struct rem_str bytes_of(const struct rem_keyval_spec *spec, int found,
                               const struct rem_table *table)
{
    if (found != 0 || !rem_keyval_valid(table->bytes, spec->type))
        return REM_STR("");
    return table->bytes;
}

struct rem_str rem_keyval_bytes(struct rem_api_call *call, const struct rem_keyval_spec *spec)
{
    struct rem_table table;
    int rc = rem_writer_table(call->api->writer, REM_TABLE_KEYVAL, spec->name, &table);

    return bytes_of(spec, rc, &table);
}

static int set_member(json_t *object, const struct rem_keyval_entry *entry, bool expiry,
                      uint64_t now)
{
    json_t *value = rem_json_text(entry->value);
    json_t *key = rem_json_text(entry->key);
    int rc = -1;

    if (value != NULL && expiry && entry->expires_ms != 0)
        value =
            json_pack("{s:o,s:I}", "value", value, "expire", (json_int_t)(entry->expires_ms - now));
    if (value != NULL && key != NULL)
        rc = json_object_setn_new(object, json_string_value(key), json_string_length(key), value);
    else
        json_decref(value);
    json_decref(key);
    return rc;
}

json_t *rem_keyval_json(struct rem_api_call *call, struct rem_str bytes, struct rem_str key,
                        bool expiry, bool *found)
{
    json_t *object = json_object();
    uint64_t now = now_ms(call);
    struct rem_keyval_entry entry;
    bool is_there = false;
    int rc = 0;

    if (key.n != 0) {
        is_there = rem_keyval_find(bytes, key, &entry) == 0 &&
                   (entry.expires_ms == 0 || entry.expires_ms > now);
        if (object != NULL && is_there)
            rc = set_member(object, &entry, expiry, now);
    }
    for (size_t i = 0; key.n == 0 && object != NULL && i < rem_keyval_count(bytes) && rc == 0;
         i++) {
        rem_keyval_at(bytes, i, &entry);
        if (entry.expires_ms == 0 || entry.expires_ms > now)
            rc = set_member(object, &entry, expiry, now);
    }
    if (found != NULL)
        *found = is_there;
    if (rc != 0) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* ---- changing ---- */

int rem_keyval_begin(struct rem_api_call *call, const struct rem_keyval_spec *spec,
                     struct rem_keyval_op *op)
{
    struct rem_table table;
    int rc = rem_call_change(call);

    if (rc != 0)
        return rc;
    op->spec = spec;
    rc = rem_change_table_get(call->api->change, REM_TABLE_KEYVAL, spec->name, &table);
    rc = rem_keyval_edit_init(&op->edit, spec->type, bytes_of(spec, rc, &table), now_ms(call));
    op->begun = rc == 0;
    op->edit.max_size = spec->size;
    return rc == 0 ? 0 : no_memory(call);
}

static int format_fault(struct rem_api_call *call, const char *what, struct rem_str key)
{
    return rem_fault_set(&call->fault, REM_FAULT_KEYVAL_FORMAT, "%s: key \"%.*s\"", what,
                         (int)(key.n < 128 ? key.n : 128), key.p);
}

/* When an entry goes that is changed now: {"expire": ms}, or else as the zone says.
 * `given`: NULL without the member. */
static int expiry_of(struct rem_api_call *call, const struct rem_keyval_op *op, struct rem_str key,
                     const json_t *given, uint64_t *out)
{
    json_int_t ms = json_integer_value(given);

    if (given == NULL) {
        *out = op->spec->timeout_ms != 0 ? now_ms(call) + op->spec->timeout_ms : 0;
        return 0;
    }
    if (op->spec->timeout_ms == 0 && !op->expire_always)
        return rem_fault_set(&call->fault, REM_FAULT_KEYVAL_FORMAT,
                             "keyval timeout is not enabled");
    if (!json_is_integer(given) || ms <= 0 || (uint64_t)ms > 100 * YEAR_MS)
        return format_fault(call, "invalid \"expire\", which is a number of milliseconds", key);
    *out = now_ms(call) + (uint64_t)ms;
    return 0;
}

/* Takes a member's value apart; *text and *expire are NULL where they are not given. */
static int parse_value(struct rem_api_call *call, struct rem_str key, const json_t *value,
                       const json_t **text, const json_t **expire)
{
    const char *name;
    json_t *member;

    *text = value;
    *expire = NULL;
    if (json_is_object(value)) {
        *text = json_object_get(value, "value");
        *expire = json_object_get(value, "expire");
        json_object_foreach((json_t *)(uintptr_t)value, name, member)
        {
            if (member != *text && member != *expire)
                return format_fault(call, "an entry has \"value\" and \"expire\" alone", key);
        }
        if (*text == NULL && *expire == NULL)
            return format_fault(call, "value required", key);
    }
    if (*text != NULL && !json_is_string(*text))
        return format_fault(call, "the value is not a string", key);
    return 0;
}

static int put(struct rem_api_call *call, struct rem_keyval_op *op,
               const struct rem_keyval_entry *entry)
{
    int rc = rem_keyval_edit_put(&op->edit, entry);

    if (rc == REM_EINVAL)
        return format_fault(call,
                            op->spec->type == REM_KEYVAL_IP
                                ? "invalid key format, the zone's keys are addresses and networks"
                                : "invalid key format",
                            entry->key);
    if (rc == REM_ETOOBIG)
        return format_fault(call, "the key or its value is too long", entry->key);
    return rc == 0 ? 0 : no_memory(call);
}

int rem_keyval_apply(struct rem_api_call *call, struct rem_keyval_op *op, struct rem_str key,
                     const json_t *value, enum rem_keyval_mode mode)
{
    struct rem_keyval_entry entry = {.value = {NULL, 0}};
    const json_t *text, *expire;
    bool exists = rem_keyval_edit_get(&op->edit, key, &entry) == 0;
    int rc;

    if (mode == REM_KEYVAL_ADD && exists)
        return rem_fault_set(&call->fault, REM_FAULT_KEYVAL_KEY_EXISTS, "key already exists");
    if (mode == REM_KEYVAL_MODIFY && !exists)
        return rem_fault_set(&call->fault, REM_FAULT_KEYVAL_KEY_NOT_FOUND, "keyval key not found");
    if (json_is_null(value) && mode != REM_KEYVAL_ADD)
        return exists && rem_keyval_edit_remove(&op->edit, key) != 0 ? no_memory(call) : 0;
    rc = parse_value(call, key, value, &text, &expire);
    if (rc == 0 && text == NULL && !exists)
        rc = format_fault(call, "value required", key);
    if (rc == 0)
        rc = expiry_of(call, op, key, expire, &entry.expires_ms);
    if (rc != 0)
        return rc;
    if (!exists)
        entry.key = key;
    if (text != NULL)
        entry.value = rem_json_str(text);
    return put(call, op, &entry);
}

static int check_size(struct rem_api_call *call, const struct rem_keyval_op *op)
{
    size_t size = rem_keyval_edit_size(&op->edit);

    if (size <= op->spec->size)
        return 0;
    return rem_fault_set(&call->fault, REM_FAULT_KEYVAL_FULL,
                         "the zone would take %zu bytes, it may take %zu", size, op->spec->size);
}

int rem_keyval_stage(struct rem_api_call *call, struct rem_keyval_op *op)
{
    struct rem_err err = {0};
    struct rem_str bytes;
    int rc = check_size(call, op);

    if (rc != 0)
        return rc;
    rc = rem_keyval_edit_build(&op->edit, &bytes);
    if (rc != 0)
        return rem_call_fault(call, rc, NULL);
    rc = rem_change_table_take(call->api->change, REM_TABLE_KEYVAL, op->spec->name, &bytes,
                               rem_keyval_config_hash(op->spec), &err);
    if (rc != 0) {
        free((void *)(uintptr_t)bytes.p);
        return rem_call_fault(call, rc, &err);
    }
    call->is_staged = true;
    return 0;
}

void rem_keyval_end(struct rem_keyval_op *op)
{
    if (op->begun)
        rem_keyval_edit_fini(&op->edit);
    op->begun = false;
}
