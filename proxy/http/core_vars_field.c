/* SPDX-License-Identifier: Apache-2.0 */
/* core_vars_field.c - variables made of the fields of the request and the response, cookies among
 * them.  */
#include "proxy/http/body.h"
#include "proxy/http/core_priv.h"
#include "proxy/http/core_var.h"

#include "proto/wire/date.h"

/* ---- of both ---- */

/* Whether a field's name is what a variable's rest says, where "-" reads "_". */
static bool names_field(struct rem_str name, struct rem_str rest)
{
    if (name.n != rest.n)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i] == '-' ? '_' : rem_lower(name.p[i]);

        if (c != rest.p[i])
            return false;
    }
    return true;
}

/* All values of the fields with that name, joined. */
static int join_fields(struct rem_eval *e, const struct rem_fields *fields, struct rem_str rest,
                       struct rem_var_value *out)
{
    struct rem_str separator = rem_str_is(rest, "cookie") ? REM_STR("; ") : REM_STR(", ");
    const struct rem_field *first = NULL;
    size_t total = 0, count = 0;
    char *p, *at;

    REM_FIELDS_EACH(field, fields) {
        if (!names_field(field->name, rest))
            continue;
        if (first == NULL)
            first = field;
        total += field->value.n + separator.n;
        count++;
    }
    if (count == 0)
        return rem_core_var_absent(out);
    if (count == 1)
        return rem_core_var_text(out, first->value);
    p = at = rem_arena_alloc(e->arena, total);
    if (p == NULL)
        return REM_ENOMEM;
    REM_FIELDS_EACH(field, fields) {
        if (!names_field(field->name, rest))
            continue;
        if (at != p) {
            memcpy(at, separator.p, separator.n);
            at += separator.n;
        }
        if (field->value.n != 0)
            memcpy(at, field->value.p, field->value.n);
        at += field->value.n;
    }
    return rem_core_var_text(out, rem_str_make(p, (size_t)(at - p)));
}

/* ---- the request's ---- */

static int get_http(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    return join_fields(e, &rem_core_var_request(e)->fields, v->rest, out);
}

static int get_content_type(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)v;
    return join_fields(e, &rem_core_var_request(e)->fields, REM_STR("content_type"), out);
}

static int get_content_length(struct rem_eval *e, const struct rem_var *v,
                              struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);
    const struct rem_field *field = rem_fields_find(&request->fields, REM_FIELD_CONTENT_LENGTH);

    (void)v;
    if (field != NULL)
        return rem_core_var_text(out, field->value);
    /* A chunked body's length is known once it has been read. */
    if (request->body != NULL && request->body->complete)
        return rem_core_var_number(e, out, (int64_t)request->body->size);
    return rem_core_var_absent(out);
}

/* The value of the pair that `list` begins with, if that has the name. */
static bool take_pair(struct rem_str list, struct rem_str name, struct rem_str *out)
{
    const char *semicolon;
    struct rem_str value;

    if (list.n < name.n || !rem_str_eq_nocase(rem_str_make(list.p, name.n), name))
        return false;
    value = rem_str_trim(rem_str_skip(list, name.n));
    if (value.n == 0 || value.p[0] != '=')
        return false;
    value = rem_str_skip(value, 1);
    semicolon = rem_str_chr(value, ';');
    if (semicolon != NULL)
        value.n = (size_t)(semicolon - value.p);
    *out = rem_str_trim(value);
    return true;
}

/* What follows the pair that `list` begins with. A comma ends a pair that has not the name; within
 * a value it is like other bytes. */
static struct rem_str next_pair(struct rem_str list)
{
    size_t i = 0;

    while (i < list.n && list.p[i] != ';' && list.p[i] != ',')
        i++;
    for (i += i < list.n; i < list.n && list.p[i] == ' '; i++)
        ;
    return rem_str_skip(list, i);
}

bool rem_core_cookie(const struct rem_request *request, struct rem_str name, struct rem_str *out)
{
    REM_FIELDS_EACH(field, &request->fields) {
        if (field->id != REM_FIELD_COOKIE)
            continue;
        for (struct rem_str rest = field->value; rest.n != 0; rest = next_pair(rest)) {
            if (take_pair(rest, name, out))
                return true;
        }
    }
    return false;
}

static int get_cookie(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct rem_str value;

    if (rem_core_cookie(rem_core_var_request(e), v->rest, &value))
        return rem_core_var_text(out, value);
    return rem_core_var_absent(out);
}

/* ---- the response's ---- */

/* What the codec, not a field, says in the response's head. */
static int get_sent_special(struct rem_eval *e, struct rem_str name, struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);
    const struct rem_http_location_conf *location = rem_core_location(request);
    const struct rem_response *response = &request->response;
    char date[REM_DATE_SIZE];

    if (rem_str_is(name, "content_type") && response->content_type.n != 0)
        return rem_core_var_text(out, response->content_type);
    if (rem_str_is(name, "content_length") && response->content_length >= 0 &&
        response->status != 204)
        return rem_core_var_number(e, out, response->content_length);
    if (rem_str_is(name, "last_modified") && response->last_modified >= 0) {
        rem_date_format(date, response->last_modified);
        return rem_core_var_copy(e, out, rem_str_make(date, sizeof(date)));
    }
    if (rem_str_is(name, "connection"))
        return rem_core_var_text(out, response->status == 101 ? REM_STR("upgrade")
                                      : request->keepalive    ? REM_STR("keep-alive")
                                                              : REM_STR("close"));
    if (rem_str_is(name, "keep_alive") && request->keepalive && location->keepalive_header > 0)
        return rem_core_var_printf(e, out, "timeout=%lld", (long long)location->keepalive_header);
    if (rem_str_is(name, "transfer_encoding") && response->content_length < 0 &&
        !response->no_body && request->version == 11 && response->status >= 200 &&
        location->chunked_transfer_encoding)
        return rem_core_var_text(out, REM_STR("chunked"));
    return rem_core_var_absent(out);
}

static int get_sent_http(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_fields *fields = &rem_core_var_request(e)->response.fields;
    int rc = join_fields(e, fields, v->rest, out);

    if (rc != 0 || out->state == REM_VAR_FOUND)
        return rc;
    return get_sent_special(e, v->rest, out);
}

static int get_sent_trailer(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    return join_fields(e, &rem_core_var_request(e)->response.trailers, v->rest, out);
}

static const struct rem_core_var_def defs[] = {
    {"http_", get_http, NULL, REM_VAR_PREFIX},
    {"cookie_", get_cookie, NULL, REM_VAR_PREFIX},
    {"sent_http_", get_sent_http, NULL, REM_VAR_PREFIX | REM_VAR_NOCACHE},
    {"sent_trailer_", get_sent_trailer, NULL, REM_VAR_PREFIX | REM_VAR_NOCACHE},
    {"content_type", get_content_type, NULL, 0},
    {"content_length", get_content_length, NULL, REM_VAR_NOCACHE},
};

int rem_core_add_field_vars(struct rem_vars *vars)
{
    return rem_core_var_define(vars, defs, REM_COUNT(defs));
}
