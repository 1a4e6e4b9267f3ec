/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_answer.c - the server's head as the client gets it. */
#include "proxy/http/core.h"
#include "proxy/http/mod/early_hints.h"
#include "proxy/upstream/accel.h"
#include "proxy/upstream/proxy.h"

/* A path becomes a URL, as redirects of our own do. */
static int answer_location(struct rem_upstream_exchange *x, const struct rem_field *field)
{
    struct rem_request *request = x->request;
    const struct rem_proxy_ctx *ctx = x->data;
    struct rem_str value = field->value;
    struct rem_field changed = *field;
    int rc = rem_proxy_redirect_apply(request, ctx->conf, &value);

    if (rc < 0)
        return rc;
    if (rc > 0 && value.n != 0 && value.p[0] == '/')
        return rem_core_set_location_field(request, value);
    changed.value = value;
    return rem_fields_append(&request->response.fields, &changed);
}

/* "5; url=http://..." */
static int answer_refresh(struct rem_upstream_exchange *x, const struct rem_field *field)
{
    struct rem_request *request = x->request;
    const struct rem_proxy_ctx *ctx = x->data;
    struct rem_field changed = *field;
    size_t i = 0;

    while (i + 4 <= field->value.n &&
           !rem_str_eq_nocase(rem_str_make(field->value.p + i, 4), REM_STR("url=")))
        i++;
    if (i + 4 <= field->value.n) {
        struct rem_str url = rem_str_skip(field->value, i + 4);
        int rc = rem_proxy_redirect_apply(request, ctx->conf, &url);
        if (rc < 0)
            return rc;
        if (rc > 0) {
            changed.value = rem_arena_printf(&request->arena, "%.*s%.*s", (int)(i + 4),
                                             field->value.p, REM_STR_ARG(url));
            if (changed.value.p == NULL)
                return REM_ENOMEM;
        }
    }
    return rem_fields_append(&request->response.fields, &changed);
}

static int answer_cookie(struct rem_upstream_exchange *x, const struct rem_field *field)
{
    const struct rem_proxy_ctx *ctx = x->data;
    struct rem_field changed = *field;
    int rc = rem_proxy_cookie_apply(x->request, &ctx->conf->cookies, &changed.value);

    return rc != 0 ? rc : rem_fields_append(&x->request->response.fields, &changed);
}

/* Fields that may stand once: of several the first counts, since nobody knows which of them a
 * client would take. */
static bool is_repeated(const struct rem_upstream_exchange *x, const struct rem_field *field)
{
    const struct rem_field *first;

    switch (field->id) {
    case REM_FIELD_ACCEPT_RANGES:
    case REM_FIELD_CONTENT_ENCODING:
    case REM_FIELD_CONTENT_RANGE:
    case REM_FIELD_CONTENT_TYPE:
    case REM_FIELD_DATE:
    case REM_FIELD_ETAG:
    case REM_FIELD_EXPIRES:
    case REM_FIELD_LAST_MODIFIED:
    case REM_FIELD_LOCATION:
    case REM_FIELD_REFRESH:
    case REM_FIELD_SERVER:
        break;
    default:
        return false;
    }
    first = rem_fields_find(x->fields, (enum rem_field_id)field->id);
    if (first == field)
        return false;
    REM_LOG_IN(&x->request->log, REM_LOG_WARN, 0,
               "upstream sent duplicate header line: \"%.*s: %.*s\", previous value: "
               "\"%.*s: %.*s\", ignored",
               REM_STR_ARG(field->name), REM_STR_ARG(field->value), REM_STR_ARG(first->name),
               REM_STR_ARG(first->value));
    return true;
}

static int answer_field(struct rem_upstream_exchange *x, const struct rem_field *field)
{
    const struct rem_proxy_ctx *ctx = x->data;
    struct rem_response *response = &x->request->response;

    if ((field->flags & REM_FIELD_HOP) != 0 && !(x->upgraded && field->id == REM_FIELD_UPGRADE))
        return 0;
    if (rem_proxy_names_has(ctx->conf->hidden, field) || is_repeated(x, field))
        return 0;
    switch (field->id) {
    case REM_FIELD_CONTENT_LENGTH:
    case REM_FIELD_TRANSFER_ENCODING:
        return 0;
    case REM_FIELD_CONTENT_TYPE:
        response->content_type = field->value;
        return 0;
    case REM_FIELD_SET_COOKIE:
        return answer_cookie(x, field);
    case REM_FIELD_ACCEPT_RANGES:
        if (x->policy->force_ranges) /* whether there are any is for us to say */
            return 0;
        break;
    case REM_FIELD_LOCATION:
        return answer_location(x, field);
    case REM_FIELD_REFRESH:
        return answer_refresh(x, field);
    default:
        break;
    }
    return rem_fields_append(&response->fields, field);
}

/* Whether a field is the server's to say, be it by leaving it out (proxy_pass_header). */
static bool is_theirs(const struct rem_proxy_ctx *ctx, enum rem_field_id id)
{
    const struct rem_field field = {.id = (uint16_t)id};

    return !rem_proxy_names_has(ctx->conf->hidden, &field);
}

int rem_proxy_answer(struct rem_upstream_exchange *x)
{
    struct rem_proxy_ctx *ctx = x->data;
    const struct rem_h1_response *head = &ctx->client.head;
    struct rem_response *response = &x->request->response;

    response->has_date = is_theirs(ctx, REM_FIELD_DATE);
    response->has_server = is_theirs(ctx, REM_FIELD_SERVER);
    response->status = x->status;
    response->status_line = head->reason;
    response->from_upstream = true;
    response->content_length = -1;
    if (ctx->client.framing == REM_FRAMING_LENGTH ||
        (ctx->client.framing == REM_FRAMING_NONE && (head->head.flags & REM_H1_HAS_LENGTH) != 0))
        response->content_length = (int64_t)head->head.content_length;
    /* proxy_method had HEAD asked for a client that takes what comes for a body. */
    if (ctx->head && x->request->method != REM_METHOD_HEAD && x->status != 304)
        response->content_length = 0;
    if (x->policy->force_ranges) {
        response->allow_ranges = true;
        response->single_range = true;
    }
    REM_FIELDS_EACH(field, &head->head.fields) {
        int rc = answer_field(x, field);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int rem_proxy_answer_redirect(struct rem_upstream_exchange *x)
{
    REM_FIELDS_EACH(field, x->fields) {
        int rc = rem_accel_survives((enum rem_field_id)field->id) ? answer_field(x, field) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

int rem_proxy_answer_trailers(struct rem_upstream_exchange *x)
{
    const struct rem_proxy_ctx *ctx = x->data;
    struct rem_fields *trailers = &x->request->response.trailers;

    if (x->trailers == NULL)
        return 0;
    REM_FIELDS_EACH(field, x->trailers) {
        if ((field->flags & REM_FIELD_HOP) != 0 ||
            !rem_chunk_trailer_allowed((enum rem_field_id)field->id) ||
            rem_proxy_names_has(ctx->conf->hidden, field))
            continue;
        if (rem_fields_append(trailers, field) != 0)
            return REM_ENOMEM;
    }
    return 0;
}

void rem_proxy_answer_interim(struct rem_upstream_exchange *x, const struct rem_h1_response *head)
{
    const struct rem_proxy_ctx *ctx = x->data;
    struct rem_request *request = x->request;
    struct rem_fields fields;

    if (head->code != 103 || request->codec == NULL || !rem_early_hints_wanted(request))
        return;
    rem_fields_init(&fields, &request->arena);
    REM_FIELDS_EACH(field, &head->head.fields) {
        if ((field->flags & REM_FIELD_HOP) != 0 || field->id == REM_FIELD_CONTENT_LENGTH ||
            rem_proxy_names_has(ctx->conf->hidden, field))
            continue;
        if (rem_fields_append(&fields, field) != 0)
            return;
    }
    /* A client that has gone shows when the answer is sent. */
    if (request->exchange->send_informational(request, 103, &fields) != REM_OK)
        return;
}
