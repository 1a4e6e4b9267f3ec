/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoints of the NGINX Plus API share: answers cut to `?fields=`, times. */
#include "api/plus.h"
#include "proto/wire/uri.h"

#include <stdio.h>
#include <time.h>

static bool is_named(struct rem_str names, struct rem_str key)
{
    struct rem_str name;

    while (rem_field_list_next(&names, &name))
        if (rem_str_eq(name, key))
            return true;
    return false;
}

/* Keeps only the members that `?fields=` names. */
static void keep_fields(json_t *object, struct rem_str names)
{
    void *at = json_object_iter(object);

    while (at != NULL) {
        const char *key = json_object_iter_key(at);

        at = json_object_iter_next(object, at);
        if (!is_named(names, rem_str_from(key)))
            (void)json_object_del(object, key);
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

/* ---- as text ---- */

void rem_plus_text_begin(struct rem_plus_text *text, struct rem_api_call *call, bool is_map)
{
    struct rem_api_response *response = call->response;

    *text = (struct rem_plus_text){.out = &response->body, .is_map = is_map};
    text->cut = has_fields(call, &text->fields);
    response->status = 200;
    response->content_type = REM_API_JSON;
    rem_sbuf_clear(text->out);
    if (is_map)
        rem_sbuf_addc(text->out, text->cut && text->fields.n == 0 ? '[' : '{');
}

void rem_plus_text_end(struct rem_plus_text *text)
{
    if (text->is_map)
        rem_sbuf_addc(text->out, text->cut && text->fields.n == 0 ? ']' : '}');
}

bool rem_plus_text_entry(struct rem_plus_text *text, struct rem_str name)
{
    rem_json_put_comma(text->out);
    rem_json_put(text->out, name);
    if (text->cut && text->fields.n == 0)
        return false;
    rem_sbuf_addc(text->out, ':');
    return true;
}

void rem_plus_text_open(struct rem_plus_text *text)
{
    rem_sbuf_addc(text->out, '{');
}

void rem_plus_text_close(struct rem_plus_text *text)
{
    rem_sbuf_addc(text->out, '}');
}

bool rem_plus_text_member(struct rem_plus_text *text, const char *name)
{
    if (text->cut && !is_named(text->fields, rem_str_from(name)))
        return false;
    rem_json_put_comma(text->out);
    rem_json_put(text->out, rem_str_from(name));
    rem_sbuf_addc(text->out, ':');
    return true;
}

void rem_plus_text_count(struct rem_plus_text *text, const char *name, uint64_t n)
{
    if (rem_plus_text_member(text, name))
        rem_json_put_count(text->out, REM_STR(""), n);
}

void rem_plus_put_responses(struct rem_sbuf *out, const uint64_t classes[REM_SHM_CLASSES],
                            const struct rem_codes *codes)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < REM_SHM_CLASSES; i++)
        sum += classes[i];
    rem_json_put_classes(out, classes);
    rem_sbuf_add(out, REM_STR(",\"codes\":{"));
    for (size_t i = 0; i < codes->count; i++) {
        if (codes->items[i].count == 0)
            continue;
        rem_json_put_comma(out);
        rem_sbuf_addc(out, '"');
        rem_json_put_number(out, codes->items[i].status);
        rem_json_put_count(out, REM_STR("\":"), codes->items[i].count);
    }
    rem_json_put_count(out, REM_STR("},\"total\":"), sum);
    rem_sbuf_addc(out, '}');
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
