/* SPDX-License-Identifier: Apache-2.0 */
/* headers.c - add_header and add_trailer.
 *
 * Inheritance: a level with any add_header has none of its parent's; the same for trailers.  */
#include "proto/wire/put.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/response.h"

struct added {
    struct rem_str name;
    struct rem_value value;
    bool always;
};

struct headers_conf {
    struct rem_array *headers; /* of struct added; NULL: none */
    struct rem_array *trailers;
};

extern struct rem_module rem_headers_module;

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct headers_conf));
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct headers_conf *prev = parent;
    struct headers_conf *conf = child;

    (void)cf;
    if (conf->headers == NULL)
        conf->headers = prev->headers;
    if (conf->trailers == NULL)
        conf->trailers = prev->trailers;
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A value written over several lines (policies are) is one line for the client: a line's end and
 * the indentation around it become a space. */
static int unfold(struct rem_conf *cf, struct rem_str *value)
{
    char *p = rem_arena_alloc(cf->arena, value->n + 1);
    size_t n = 0;

    if (p == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = 0; i < value->n;) {
        size_t end = i;
        bool folded = false;

        for (; end < value->n && is_space(value->p[end]); end++)
            folded |= value->p[end] == '\r' || value->p[end] == '\n';
        if (folded) {
            if (n != 0 && end < value->n)
                p[n++] = ' ';
            i = end;
        } else {
            do
                p[n++] = value->p[i++];
            while (i < end);
        }
    }
    *value = rem_str_make(p, n);
    return 0;
}

/* `offset` says which of the two lists. */
static int set_add(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_array **list = (void *)((char *)conf + d->offset);
    struct rem_str value = cf->args[2];
    struct added *added;

    if (cf->n_args == 4 && !rem_str_is(cf->args[3], "always"))
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[3]));
    if (!rem_put_is_token(cf->args[1]))
        return rem_conf_error(cf, "invalid field name \"%.*s\"", REM_STR_ARG(cf->args[1]));
    added = rem_set_push(cf, list, sizeof(*added));
    if (added == NULL)
        return REM_ENOMEM;
    added->name = cf->args[1];
    added->always = cf->n_args == 4;
    if (unfold(cf, &value) != 0)
        return REM_ENOMEM;
    return rem_value_compile(cf, value, &added->value);
}

/* ---- responses ---- */

/* A value made of what the client sent could hold line ends: $uri, $arg_x decoded by others. */
static int add_one(struct rem_request *request, struct rem_fields *fields,
                   const struct added *added)
{
    struct rem_str value;
    int rc = rem_http_value(request, &added->value, &value);

    if (rc != 0)
        return rc;
    if (value.n == 0)
        return 0;
    if (!rem_put_is_value(value)) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0,
                   "value of \"%.*s\" holds control bytes, the field is left out",
                   REM_STR_ARG(added->name));
        return 0;
    }
    return rem_fields_add(fields, added->name, value);
}

static int add_header(struct rem_request *request, const struct added *added)
{
    enum rem_field_id id = rem_field_id(added->name);

    /* Of these there is one; an empty value takes it away. */
    if (id == REM_FIELD_LAST_MODIFIED) {
        request->response.last_modified = -1;
        rem_fields_remove_all(&request->response.fields, id);
    } else if (id == REM_FIELD_ETAG) {
        rem_fields_remove_all(&request->response.fields, id);
    }
    return add_one(request, &request->response.fields, added);
}

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    const struct headers_conf *conf = request->location_conf[rem_headers_module.index];
    bool fit = rem_response_takes_fields(request->response.status);

    for (uint32_t i = 0; conf->headers != NULL && i < conf->headers->n; i++) {
        const struct added *added = rem_array_at(conf->headers, i);

        if ((fit || added->always) && add_header(request, added) != 0)
            return REM_ENOMEM;
    }
    for (uint32_t i = 0; conf->trailers != NULL && i < conf->trailers->n; i++) {
        const struct added *added = rem_array_at(conf->trailers, i);

        /* A body whose length is announced has no place for trailers. */
        if ((fit || added->always) && request->version >= 11 &&
            rem_core_location(request)->chunked_transfer_encoding &&
            request->method != REM_METHOD_HEAD)
            request->response.has_trailers = true;
    }
    return next->run(request, next->next);
}

static bool has_final(const struct rem_buf *list)
{
    for (; list != NULL; list = list->next) {
        if (list->final)
            return true;
    }
    return false;
}

/* Values of trailers are those at the end of the body. */
static int on_body(struct rem_request *request, struct rem_buf *list,
                   const struct rem_body_filter *next)
{
    const struct headers_conf *conf = request->location_conf[rem_headers_module.index];
    bool fit = rem_response_takes_fields(request->response.status);

    if (conf->trailers != NULL && has_final(list)) {
        for (uint32_t i = 0; i < conf->trailers->n; i++) {
            const struct added *added = rem_array_at(conf->trailers, i);

            if ((fit || added->always) && add_one(request, &request->response.trailers, added) != 0)
                return REM_ECLOSED;
        }
    }
    return next->run(request, list, next->next);
}

static int install(struct rem_http_setup *setup)
{
    int rc = rem_http_add_header_filter(setup, on_head);

    return rc != 0 ? rc : rem_http_add_body_filter(setup, on_body);
}

enum { HSLI = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION | REM_CTX_LOCATION_IF };

static const struct rem_directive directives[] = {
    {"add_header", HSLI, REM_ARGS_23, set_add, REM_LEVEL_LOCATION,
     offsetof(struct headers_conf, headers), NULL},
    {"add_trailer", HSLI, REM_ARGS_23, set_add, REM_LEVEL_LOCATION,
     offsetof(struct headers_conf, trailers), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_headers_module = {
    .name = "headers",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
