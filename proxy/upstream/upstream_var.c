/* SPDX-License-Identifier: Apache-2.0 */
/* upstream_var.c - the $upstream_* variables: one value per server asked, separated by ", ", or by
 * " : " where an internal redirect lies between. */
#include "proxy/upstream/pool.h"
#include "proxy/upstream/proxy.h"
#include "proxy/upstream/record.h"

#include <stdio.h>

/* Writes what one try has to say. */
typedef void (*try_put_fn)(struct rem_put *put, const struct rem_upstream_try *try);

static void put_time(struct rem_put *put, int64_t ms)
{
    char text[32];
    int n;

    if (ms < 0) {
        rem_put_char(put, '-');
        return;
    }
    n = snprintf(text, sizeof(text), "%lld.%03d", (long long)(ms / 1000), (int)(ms % 1000));
    rem_put_bytes(put, text, (size_t)n);
}

static void put_addr(struct rem_put *put, const struct rem_upstream_try *try)
{
    rem_put_add(put, try->addr);
}

static void put_status(struct rem_put *put, const struct rem_upstream_try *try)
{
    if (try->status != 0)
        rem_put_u64(put, (uint64_t)try->status);
    else
        rem_put_char(put, '-');
}

static void put_response_time(struct rem_put *put, const struct rem_upstream_try *try)
{
    put_time(put, try->response_ms);
}

static void put_connect_time(struct rem_put *put, const struct rem_upstream_try *try)
{
    put_time(put, try->connect_ms);
}

static void put_header_time(struct rem_put *put, const struct rem_upstream_try *try)
{
    put_time(put, try->header_ms);
}

static void put_length(struct rem_put *put, const struct rem_upstream_try *try)
{
    rem_put_u64(put, try->length);
}

static void put_sent(struct rem_put *put, const struct rem_upstream_try *try)
{
    rem_put_u64(put, try->sent);
}

static void put_received(struct rem_put *put, const struct rem_upstream_try *try)
{
    rem_put_u64(put, try->received);
}

static const struct tries_var {
    struct rem_str name;
    try_put_fn put;
} tries_vars[] = {
    {{"upstream_addr", 13}, put_addr},
    {{"upstream_status", 15}, put_status},
    {{"upstream_response_time", 22}, put_response_time},
    {{"upstream_connect_time", 21}, put_connect_time},
    {{"upstream_header_time", 20}, put_header_time},
    {{"upstream_response_length", 24}, put_length},
    {{"upstream_bytes_sent", 19}, put_sent},
    {{"upstream_bytes_received", 23}, put_received},
};

/* Room for any number or time, and for a separator. */
enum { REM_TRY_ROOM = 48 };

static int get_tries(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = e->subject;
    const struct tries_var *var = v->data;
    const struct rem_upstream_exchange *x = request->upstream;
    struct rem_put put;
    size_t size = 0;
    char *memory;

    if (x == NULL || x->tries == NULL) {
        out->state = REM_VAR_NOT_FOUND;
        return 0;
    }
    for (const struct rem_upstream_try *try = x->tries; try != NULL; try = try->next)
        size += REM_TRY_ROOM + try->addr.n;
    memory = rem_arena_alloc(e->arena, size);
    if (memory == NULL)
        return REM_ENOMEM;
    rem_put_init(&put, memory, size);
    for (const struct rem_upstream_try *try = x->tries; try != NULL; try = try->next) {
        if (try != x->tries && try->redirected)
            REM_PUT(&put, " : ");
        else if (try != x->tries)
            REM_PUT(&put, ", ");
        var->put(&put, try);
    }
    out->str = rem_put_str(&put);
    out->state = REM_VAR_FOUND;
    return 0;
}

/* "Content-Type" is asked for as content_type. */
static bool name_matches(struct rem_str field, struct rem_str asked)
{
    if (field.n != asked.n)
        return false;
    for (size_t i = 0; i < field.n; i++) {
        char c = rem_lower(field.p[i]);
        if ((c == '-' ? '_' : c) != asked.p[i])
            return false;
    }
    return true;
}

static int join_fields(struct rem_eval *e, const struct rem_var *v, const struct rem_fields *fields,
                       struct rem_var_value *out)
{
    struct rem_str text = {NULL, 0};

    out->state = REM_VAR_NOT_FOUND;
    if (fields == NULL)
        return 0;
    REM_FIELDS_EACH(field, fields) {
        if (!name_matches(field->name, v->rest))
            continue;
        if (out->state == REM_VAR_FOUND)
            text = rem_arena_printf(e->arena, "%.*s, %.*s", REM_STR_ARG(text),
                                    REM_STR_ARG(field->value));
        else
            text = field->value;
        if (text.p == NULL && text.n != 0)
            return REM_ENOMEM;
        out->state = REM_VAR_FOUND;
    }
    out->str = text;
    return 0;
}

static int get_field(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = e->subject;
    const struct rem_upstream_exchange *x = request->upstream;

    return join_fields(e, v, x != NULL ? x->fields : NULL, out);
}

static int get_trailer(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = e->subject;
    const struct rem_upstream_exchange *x = request->upstream;

    return join_fields(e, v, x != NULL ? x->trailers : NULL, out);
}

/* Without the spaces around it; a tab is a byte like others in cookies. */
static struct rem_str trim_spaces(struct rem_str s)
{
    while (s.n != 0 && s.p[0] == ' ')
        s = rem_str_skip(s, 1);
    while (s.n != 0 && s.p[s.n - 1] == ' ')
        s.n--;
    return s;
}

/* The value a Set-Cookie of that name gives. */
static int get_cookie(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = e->subject;
    const struct rem_upstream_exchange *x = request->upstream;
    const struct rem_field *field;

    out->state = REM_VAR_NOT_FOUND;
    if (x == NULL || x->fields == NULL)
        return 0;
    field = rem_fields_find(x->fields, REM_FIELD_SET_COOKIE);
    for (; field != NULL; field = rem_fields_next(x->fields, field)) {
        const char *equals = rem_str_chr(field->value, '=');
        struct rem_str name, value;
        const char *end;

        if (equals == NULL)
            continue;
        name = trim_spaces(rem_str_make(field->value.p, (size_t)(equals - field->value.p)));
        value = rem_str_skip(field->value, (size_t)(equals + 1 - field->value.p));
        end = rem_str_chr(value, ';');
        if (end != NULL)
            value.n = (size_t)(end - value.p);
        if (rem_str_eq_nocase(name, v->rest)) {
            out->str = trim_spaces(value);
            out->state = REM_VAR_FOUND;
            return 0;
        }
    }
    return 0;
}

/* Nothing is cached, so no request has to do with a cache: what log formats made for one show then.
 */
static int get_cache_status(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)e;
    (void)v;
    out->state = REM_VAR_NOT_FOUND;
    return 0;
}

int rem_upstream_add_variables(struct rem_conf *cf)
{
    const uint32_t plain = REM_VAR_NOCACHE | REM_VAR_CLIENTLESS;
    const uint32_t prefix = plain | REM_VAR_PREFIX;

    for (size_t i = 0; i < REM_COUNT(tries_vars); i++) {
        if (rem_var_add(cf->vars, tries_vars[i].name, get_tries, &tries_vars[i], plain) == NULL)
            return rem_conf_nomem(cf);
    }
    if (rem_var_add(cf->vars, REM_STR("upstream_cache_status"), get_cache_status, NULL, 0) ==
            NULL ||
        rem_var_add(cf->vars, REM_STR("upstream_http_"), get_field, NULL, prefix) == NULL ||
        rem_var_add(cf->vars, REM_STR("upstream_trailer_"), get_trailer, NULL, prefix) == NULL ||
        rem_var_add(cf->vars, REM_STR("upstream_cookie_"), get_cookie, NULL, prefix) == NULL)
        return rem_conf_nomem(cf);
    return 0;
}
