/* SPDX-License-Identifier: Apache-2.0 */
/* remora's own API: the shares of split_clients blocks, each named as its variable is.
 *
 * Bodies:     {"v1": 90, "v2": "*"}: percentages with up to two decimals, "*" for what is left. The
 *             values that there are keep their order, whatever order the body has, so that clients
 *             keep their value as long as the shares before it stay the same; others follow.  Or a
 *             list in the order that is meant: [{"value": "v1", "percent": 90}, {"value": "v2",
 *             "percent": "*"}].  Or what GET answers, whose "parts" is such a list.  */
#include "api/v1.h"
#include "api/v1_tables.h"
#include "proto/shm/split.h"

#include <stdlib.h>

static const char *const members[] = {"value", "percent", "rest"};

/* ---- reading ---- */

static json_t *percent_json(uint32_t share)
{
    return share % 100 == 0 ? json_integer(share / 100) : json_real(share / 100.0);
}

json_t *rem_v1_split_parts(struct rem_str bytes)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < rem_split_count(bytes); i++) {
        struct rem_split_part part;
        json_t *one;

        rem_split_at(bytes, i, &part);
        one = json_pack("{s:o,s:o}", "value", rem_json_text(part.value), "percent",
                        percent_json(part.share));
        if (one != NULL && part.rest && json_object_set_new(one, "rest", json_true()) != 0) {
            json_decref(one);
            one = NULL;
        }
        if (json_array_append_new(list, one) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *split_json(const struct rem_table *table)
{
    return json_pack("{s:o,s:o}", "name", rem_json_text(table->name), "parts",
                     rem_v1_split_parts(table->bytes));
}

static bool is_split(const struct rem_table *table)
{
    return table->kind == REM_TABLE_SPLIT && table->declared && rem_split_valid(table->bytes);
}

static int not_found(struct rem_api_call *call)
{
    return rem_fault_set(&call->fault, REM_FAULT_SPLIT_NOT_FOUND, "split not found");
}

/* Adds the revision.  `body` is taken; NULL: out of memory. */
static int answer(struct rem_api_call *call, json_t *body)
{
    uint64_t revision = rem_writer_revision(call->api->writer);

    call->response->etag = revision;
    call->response->has_etag = true;
    if (body != NULL &&
        json_object_set_new(body, "revision", json_integer(rem_json_count(revision))) != 0) {
        json_decref(body);
        body = NULL;
    }
    return rem_call_answer(call, 200, body);
}

int rem_v1_splits(struct rem_api_call *call)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < rem_writer_tables(call->api->writer); i++) {
        struct rem_table table;

        rem_writer_table_at(call->api->writer, i, &table);
        if (is_split(&table) && json_array_append_new(list, split_json(&table)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return answer(call, json_pack("{s:o}", "splits", list));
}

int rem_v1_split(struct rem_api_call *call)
{
    struct rem_table table;

    if (rem_writer_table(call->api->writer, REM_TABLE_SPLIT, call->params[0], &table) != 0 ||
        !is_split(&table))
        return not_found(call);
    return answer(call, split_json(&table));
}

/* ---- bodies ---- */

struct parts {
    struct rem_split_part *v;
    size_t count, room;
};

static int bad(struct rem_api_call *call, const char *what, struct rem_str value)
{
    return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "%s: value \"%.*s\"", what,
                         (int)(value.n < 128 ? value.n : 128), value.p);
}

/* A percentage, or "*". */
static int parse_percent(struct rem_api_call *call, const json_t *given,
                         struct rem_split_part *part)
{
    double given100 = json_number_value(given) * REM_SPLIT_WHOLE / 100;
    uint32_t share = 0;
    double off = 1;

    part->rest = json_is_string(given) && rem_str_is(rem_json_str(given), "*");
    if (part->rest)
        return 0;
    if (json_is_number(given) && given100 >= 0 && given100 <= REM_SPLIT_WHOLE) {
        share = (uint32_t)(given100 + 0.5);
        off = given100 - share; /* what is left of 33.33 * 100 is less than a millionth */
    }
    if (off > 1e-6 || off < -1e-6)
        return bad(call, "a percentage is a number of 0 to 100 with two decimals, or \"*\"",
                   part->value);
    part->share = share;
    return 0;
}

static int add_part(struct rem_api_call *call, struct parts *parts,
                    const struct rem_split_part *part)
{
    if (part->value.n > REM_SPLIT_VALUE_MAX)
        return bad(call, "too long", rem_str_make(part->value.p, 32));
    if (parts->count == parts->room)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "more than %d values",
                             REM_SPLIT_PARTS_MAX);
    parts->v[parts->count++] = *part;
    return 0;
}

static int parse_list(struct rem_api_call *call, const json_t *list, struct parts *parts)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i), *value = json_object_get(one, "value");
        struct rem_split_part part = {.value = rem_json_str(value)};
        size_t known = 0;
        int rc = 0;

        for (size_t k = 0; k < REM_COUNT(members); k++)
            known += json_object_get(one, members[k]) != NULL;
        if (!json_is_string(value) || json_object_size(one) != known)
            return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                                 "element %zu is no object of \"value\" and \"percent\"", i);
        if (json_is_true(json_object_get(one, "rest")))
            part.rest = true;
        else
            rc = parse_percent(call, json_object_get(one, "percent"), &part);
        if (rc == 0)
            rc = add_part(call, parts, &part);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Takes a member of the object, by name. */
static int take_member(struct rem_api_call *call, const json_t *object, struct rem_str name,
                       struct parts *parts)
{
    struct rem_split_part part = {.value = name};
    int rc = parse_percent(call, json_object_getn(object, name.p, name.n), &part);

    return rc == 0 ? add_part(call, parts, &part) : rc;
}

/* The values that there are in their order, then the new ones. */
static int parse_object(struct rem_api_call *call, json_t *object, struct rem_str now,
                        struct parts *parts)
{
    const char *name;
    json_t *value;
    int rc = 0;

    for (size_t i = 0; i < rem_split_count(now) && rc == 0; i++) {
        struct rem_split_part old;
        bool seen = false;

        rem_split_at(now, i, &old);
        for (size_t k = 0; k < parts->count; k++)
            seen = seen || rem_str_eq(parts->v[k].value, old.value);
        if (!seen && json_object_getn(object, old.value.p, old.value.n) != NULL)
            rc = take_member(call, object, old.value, parts);
    }
    json_object_foreach(object, name, value)
    {
        bool seen = false;

        for (size_t k = 0; k < parts->count; k++)
            seen = seen || rem_str_is(parts->v[k].value, name);
        if (!seen && rc == 0)
            rc = take_member(call, object, rem_str_from(name), parts);
    }
    return rc;
}

/* What all parts have to be together.  The rest goes last, as nothing behind it is ever found. */
static int check_parts(struct rem_api_call *call, struct parts *parts)
{
    size_t rest = SIZE_MAX;
    uint64_t total = 0;

    for (size_t i = 0; i < parts->count; i++) {
        if (parts->v[i].rest && rest != SIZE_MAX)
            return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "more than one value has \"*\"");
        if (parts->v[i].rest)
            rest = i;
        else
            total += parts->v[i].share;
    }
    if (parts->count == 0)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "a split has one value at least");
    if (total > REM_SPLIT_WHOLE)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "more than 100 percent in all");
    if (rest != SIZE_MAX) {
        struct rem_split_part part = parts->v[rest];

        memmove(parts->v + rest, parts->v + rest + 1, (parts->count - rest - 1) * sizeof(part));
        parts->v[parts->count - 1] = part;
    }
    return 0;
}

/* What GET shows beside the parts says nothing; another name, or more than that, is a mistake. */
static int check_shown(struct rem_api_call *call, json_t *body, struct rem_str name)
{
    const char *key;
    json_t *value;

    json_object_foreach(body, key, value)
    {
        if (strcmp(key, "name") == 0 && !rem_str_eq(rem_json_str(value), name))
            return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "\"name\" is not the split's");
        if (strcmp(key, "parts") != 0 && strcmp(key, "name") != 0 && strcmp(key, "revision") != 0 &&
            strcmp(key, "applied") != 0)
            return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "unknown parameter \"%.100s\"",
                                 key);
    }
    return 0;
}

static int parse_body(struct rem_api_call *call, json_t *body, const struct rem_table *table,
                      struct parts *parts)
{
    json_t *list = json_is_array(body) ? body : json_object_get(body, "parts");
    int rc;

    if (json_is_array(list) && check_shown(call, body, table->name) != 0)
        return REM_EINVAL;
    parts->room = REM_SPLIT_PARTS_MAX;
    parts->v = rem_arena_alloc(&call->arena, parts->room * sizeof(*parts->v));
    if (parts->v == NULL)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    rc = json_is_array(list) ? parse_list(call, list, parts)
                             : parse_object(call, body, table->bytes, parts);
    return rc == 0 ? check_parts(call, parts) : rc;
}

/* ---- writing ---- */

int rem_v1_split_step(struct rem_api_call *call, struct rem_str name, json_t *body, json_t **shown)
{
    struct parts parts = {0};
    struct rem_table table;
    struct rem_err err = {0};
    struct rem_str bytes;
    int rc = rem_call_change(call);

    if (rc != 0)
        return rc;
    if (rem_change_table_get(call->api->change, REM_TABLE_SPLIT, name, &table) != 0 ||
        !rem_split_valid(table.bytes))
        return not_found(call);
    rc = parse_body(call, body, &table, &parts);
    if (rc != 0)
        return rc;
    rc = rem_split_build(parts.v, parts.count, &bytes);
    if (rc != 0)
        return rem_call_fault(call, rc, NULL);
    if (!rem_str_eq(bytes, table.bytes)) /* else there is nothing to publish */
        rc = rem_change_table(call->api->change, REM_TABLE_SPLIT, name, bytes, table.config_hash,
                              &err);
    if (rc != 0)
        rc = rem_call_fault(call, rc, &err);
    else
        *shown = split_json(&(struct rem_table){.name = name, .bytes = bytes});
    free((void *)(uintptr_t)bytes.p);
    return rc;
}

int rem_v1_split_put(struct rem_api_call *call)
{
    json_t *body = NULL, *shown;
    int rc = rem_v1_body(call, &body);

    if (rc == 0)
        rc = rem_v1_split_step(call, call->params[0], body, &shown);
    json_decref(body);
    return rc == 0 ? rem_v1_stage(call, 200, shown) : rc;
}
