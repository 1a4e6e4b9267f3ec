/* SPDX-License-Identifier: Apache-2.0 */
/* charset.c - charset: says in Content-Type which one the text is in.
 *
 * Precedence: an upstream's X-Accel-Charset, for any type, then the location's `charset`.  A type
 *             that has any parameter already is left alone.
 * Not here:   changing bytes from one charset to another; text is passed on as it is.  */
#include "proxy/conf/merge.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/filter.h"
#include "proxy/http/mod/type_set.h"

struct charset_conf {
    struct rem_value *charset;
    struct rem_type_set *types; /* NULL: the usual ones */
};

extern struct rem_module rem_charset_module;

static const char *const usual_types[] = {
    "text/html",           "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript",
    "application/rss+xml",
};

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct charset_conf));
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct charset_conf *prev = parent;
    struct charset_conf *conf = child;

    (void)cf;
    if (conf->charset == NULL)
        conf->charset = prev->charset;
    if (conf->types == NULL)
        conf->types = prev->types;
    return 0;
}

static bool is_text(const struct charset_conf *conf, struct rem_str type)
{
    if (conf->types != NULL)
        return rem_type_set_has(conf->types, type);
    for (size_t i = 0; i < REM_COUNT(usual_types); i++)
        if (rem_str_eq_nocase(type, rem_str_from(usual_types[i])))
            return true;
    return false;
}

static bool is_name_byte(char c)
{
    return rem_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("-_.:+", c) != NULL);
}

/* A name made of what a client sent must not become another parameter, or another field. */
static bool is_name(struct rem_str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!is_name_byte(name.p[i]))
            return false;
    return name.n != 0;
}

/* The charset that the location names; empty: none. */
static int of_location(struct rem_request *request, const struct charset_conf *conf,
                       struct rem_str *out)
{
    const struct rem_value *value = conf->charset;

    *out = REM_STR("");
    if (value == NULL || !is_text(conf, request->response.content_type) ||
        (rem_value_is_static(value) && rem_str_is(value->text, "off")))
        return 0;
    return rem_http_value(request, value, out);
}

static int on_head(struct rem_request *request, const struct rem_header_filter *next)
{
    const struct charset_conf *conf = request->location_conf[rem_charset_module.index];
    struct rem_response *response = &request->response;
    struct rem_str charset = response->charset, type = response->content_type;

    if ((conf->charset == NULL && charset.n == 0) || type.n == 0 || response->status == 301 ||
        response->status == 302 || rem_str_chr(type, ';') != NULL)
        return next->run(request, next->next);
    if (charset.n == 0 && of_location(request, conf, &charset) != 0)
        return REM_ENOMEM;
    if (is_name(charset)) {
        type = rem_arena_printf(&request->arena, "%.*s; charset=%.*s", REM_STR_ARG(type),
                                REM_STR_ARG(charset));
        if (type.p == NULL)
            return REM_ENOMEM;
        response->content_type = type;
    }
    return next->run(request, next->next);
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_header_filter(setup, on_head);
}

#define HSL (REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION)

static const struct rem_directive directives[] = {
    {"charset", HSL | REM_CTX_LOCATION_IF, REM_ARGS_1, rem_set_value, REM_LEVEL_LOCATION,
     offsetof(struct charset_conf, charset), NULL},
    {"charset_types", HSL, REM_ARGS_1MORE, rem_type_set_directive, REM_LEVEL_LOCATION,
     offsetof(struct charset_conf, types), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_charset_module = {
    .name = "charset",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .hooks = &hooks,
    .create_location = create_location,
    .merge_location = merge_location,
};
