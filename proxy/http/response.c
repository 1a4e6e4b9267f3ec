/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/response.h"

#include "proto/wire/date.h"

struct rem_str rem_response_field(const struct rem_response *response, enum rem_field_id id)
{
    const struct rem_field *field = rem_fields_find(&response->fields, id);

    return field != NULL ? field->value : (struct rem_str){"", 0};
}

int64_t rem_response_modified(const struct rem_request *request)
{
    const struct rem_response *response = &request->response;
    struct rem_str text;
    time_t when;

    if (response->last_modified >= 0)
        return response->last_modified;
    text = rem_response_field(response, REM_FIELD_LAST_MODIFIED);
    if (text.n == 0 || rem_date_parse(text, request->worker->loop.clock.wall_sec, &when) != 0)
        return -1;
    return when;
}

void rem_response_without_ranges(struct rem_response *response)
{
    response->allow_ranges = false;
    rem_fields_remove_all(&response->fields, REM_FIELD_ACCEPT_RANGES);
}

void rem_response_changes_body(struct rem_response *response)
{
    response->content_length = -1;
    rem_response_without_ranges(response);
}

bool rem_response_is_weak(struct rem_str tag)
{
    return tag.n > 2 && tag.p[0] == 'W' && tag.p[1] == '/';
}

int rem_response_weaken_tag(struct rem_request *request)
{
    struct rem_response *response = &request->response;
    struct rem_field *tag = rem_fields_find(&response->fields, REM_FIELD_ETAG);
    struct rem_str weak;

    if (tag == NULL || rem_response_is_weak(tag->value))
        return 0;
    if (tag->value.n == 0 || tag->value.p[0] != '"') {
        rem_fields_remove_all(&response->fields, REM_FIELD_ETAG);
        return 0;
    }
    weak = rem_arena_printf(&request->arena, "W/%.*s", REM_STR_ARG(tag->value));
    if (weak.p == NULL)
        return REM_ENOMEM;
    tag->value = weak;
    return 0;
}

void rem_response_reset(struct rem_request *request)
{
    request->response = (struct rem_response){.content_length = -1, .last_modified = -1};
    rem_fields_init(&request->response.fields, &request->arena);
    rem_fields_init(&request->response.trailers, &request->arena);
}

bool rem_response_is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool rem_response_takes_fields(int status)
{
    switch (status) {
    case 200:
    case 201:
    case 204:
    case 206:
    case 301:
    case 302:
    case 303:
    case 304:
    case 307:
    case 308:
        return true;
    default:
        return false;
    }
}
