/* SPDX-License-Identifier: Apache-2.0 */
/* not_modified.c - answers 304 or 412 where a precondition says so.
 *
 * Who may:    an upstream's answer is what it made of the client's conditions itself, and stays.
 * Order:      first of the header filters: it looks at the date and the tag of the content itself,
 *             not at what add_header makes of them.  */
#include "proxy/http/core.h"
#include "proxy/http/mod/conditional.h"
#include "proxy/http/response.h"

static bool has_condition(const struct rem_fields *fields)
{
    REM_FIELDS_EACH(field, fields) {
        switch (field->id) {
        case REM_FIELD_IF_MATCH:
        case REM_FIELD_IF_NONE_MATCH:
        case REM_FIELD_IF_MODIFIED_SINCE:
        case REM_FIELD_IF_UNMODIFIED_SINCE:
            return true;
        default:
            break;
        }
    }
    return false;
}

static void make_not_modified(struct rem_response *response)
{
    response->status = 304;
    response->status_line = (struct rem_str){NULL, 0};
    response->content_type = (struct rem_str){NULL, 0};
    response->content_length = -1;
    response->no_body = true;
    rem_response_without_ranges(response);
    rem_fields_remove_all(&response->fields, REM_FIELD_CONTENT_ENCODING);
}

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    const struct rem_http_location_conf *location = rem_core_location(request);
    struct rem_response *response = &request->response;
    struct rem_conditional_target target;

    if (response->status != 200 || response->from_upstream || request->parent != NULL ||
        !has_condition(&request->fields))
        return next->run(request, next->next);
    target = (struct rem_conditional_target){
        .etag = rem_response_field(response, REM_FIELD_ETAG),
        .modified = rem_response_modified(request),
        .before = location->if_modified_since == REM_IMS_BEFORE,
        .ignore_since = location->if_modified_since == REM_IMS_OFF,
    };
    switch (
        rem_conditional_status(&request->fields, request->worker->loop.clock.wall_sec, &target)) {
    case 304:
        make_not_modified(response);
        return next->run(request, next->next);
    case 412:
        rem_response_reset(request);
        return 412;
    default:
        return next->run(request, next->next);
    }
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_header_filter(setup, on_head);
}

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_not_modified_module = {
    .name = "not_modified",
    .kind = REM_MODULE_HTTP,
    .hooks = &hooks,
};
