/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoints of the NGINX Plus API share: answers cut to `?fields=`, times. */
#include "api/plus.h"
#include "proto/wire/uri.h"

#include <stdio.h>
#include <time.h>

/* Keeps only the members that `?fields=` names. */
static void keep_fields(json_t *object, struct rem_str names)
{
    void *at = json_object_iter(object);

    while (at != NULL) {
        struct rem_str key = rem_str_from(json_object_iter_key(at));
        struct rem_str rest = names, name;
        bool keep = false;
        at = json_object_iter_next(object, at);
        while (rem_field_list_next(&rest, &name))
            keep = keep || rem_str_eq(name, key);
        if (!keep)
            (void)json_object_del(object, key.p);
    }
}

static bool has_fields(struct rem_api_call *call, struct rem_str *names)
{
    struct rem_str raw;

    return rem_uri_arg(call->request->args, REM_STR("fields"), &raw) &&
           rem_uri_unescape(raw, &call->arena, names) == 0;
}

/* Appends to a list that may have failed before. */
static json_t *append(json_t *list, json_t *value)
{
    if (list == NULL) {
        json_decref(value);
        return NULL;
    }
    if (json_array_append_new(list, value) == 0)
        return list;
    json_decref(list);
    return NULL;
}

int rem_plus_answer_object(struct rem_api_call *call, json_t *object)
{
    struct rem_str names;

    if (object != NULL && has_fields(call, &names))
        keep_fields(object, names);
    return rem_call_answer(call, 200, object);
}

int rem_plus_answer_map(struct rem_api_call *call, json_t *map)
{
    struct rem_str names;
    const char *key;
    json_t *value, *list;

    if (map == NULL || !has_fields(call, &names))
        return rem_call_answer(call, 200, map);
    if (names.n != 0) {
        json_object_foreach(map, key, value) keep_fields(value, names);
        return rem_call_answer(call, 200, map);
    }
    list = json_array();
    json_object_foreach(map, key, value) list = append(list, json_string(key));
    json_decref(map);
    return rem_call_answer(call, 200, list);
}

int rem_plus_answer_list(struct rem_api_call *call, json_t *list)
{
    struct rem_str names;
    json_t *value, *ids;
    size_t at;

    if (list == NULL || !has_fields(call, &names))
        return rem_call_answer(call, 200, list);
    if (names.n != 0) {
        json_array_foreach(list, at, value) keep_fields(value, names);
        return rem_call_answer(call, 200, list);
    }
    ids = json_array();
    json_array_foreach(list, at, value) ids =
        append(ids, json_incref(json_object_get(value, "id")));
    json_decref(list);
    return rem_call_answer(call, 200, ids);
}

json_t *rem_plus_put(json_t *map, struct rem_str name, json_t *value)
{
    json_t *text = rem_json_text(name); /* valid UTF-8, whatever the name is */
    struct rem_str key = rem_json_str(text);

    if (map == NULL || text == NULL || value == NULL ||
        json_object_setn_new(map, key.p, key.n, json_incref(value)) != 0) {
        json_decref(map);
        map = NULL;
    }
    json_decref(value);
    json_decref(text);
    return map;
}

static json_t *codes_json(const struct rem_codes *codes)
{
    json_t *object = json_object();

    for (size_t i = 0; object != NULL && i < codes->count; i++) {
        char name[16];

        if (codes->items[i].count == 0)
            continue;
        (void)snprintf(name, sizeof(name), "%u", codes->items[i].status);
        object = rem_plus_put(object, rem_str_from(name),
                              json_integer(rem_json_count(codes->items[i].count)));
    }
    return object;
}

json_t *rem_plus_responses(const uint64_t classes[REM_SHM_CLASSES], const struct rem_codes *codes)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < REM_SHM_CLASSES; i++)
        sum += classes[i];
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:o,s:I}", "1xx", rem_json_count(classes[0]), "2xx",
                     rem_json_count(classes[1]), "3xx", rem_json_count(classes[2]), "4xx",
                     rem_json_count(classes[3]), "5xx", rem_json_count(classes[4]), "codes",
                     codes_json(codes), "total", rem_json_count(sum));
}

void rem_plus_codes_less(struct rem_codes *codes, const struct rem_codes *base)
{
    size_t k = 0; /* both ascend */

    for (size_t i = 0; i < codes->count; i++) {
        while (k < base->count && base->items[k].status < codes->items[i].status)
            k++;
        if (k < base->count && base->items[k].status == codes->items[i].status)
            codes->items[i].count = rem_reset_less(codes->items[i].count, base->items[k].count);
    }
}

void rem_plus_time(int64_t sec, unsigned ms, char out[REM_PLUS_TIME])
{
    time_t when = (time_t)sec;
    struct tm tm = {0};
    size_t n;

    (void)gmtime_r(&when, &tm);
    n = strftime(out, REM_PLUS_TIME, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out + n, REM_PLUS_TIME - n, ".%03uZ", ms % 1000);
}
