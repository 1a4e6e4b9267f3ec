/* SPDX-License-Identifier: Apache-2.0 */
/* core_types.c - the types block, and which type a URI has. */
#include "proxy/http/core_priv.h"

static int add_type(struct rem_conf *cf, struct rem_strmap *types, struct rem_str *type,
                    struct rem_str extension)
{
    struct rem_str *before = rem_strmap_get(types, extension);

    if (before != NULL)
        rem_conf_warn(cf,
                      "duplicate extension \"%.*s\", content type: \"%.*s\", previous content "
                      "type: \"%.*s\"",
                      REM_STR_ARG(extension), REM_STR_ARG(*type), REM_STR_ARG(*before));
    return rem_strmap_set(types, extension, type) != 0 ? rem_conf_nomem(cf) : 0;
}

static int on_line(struct rem_conf *cf, void *data)
{
    struct rem_str *type;

    if (rem_str_is(cf->args[0], "include")) {
        if (cf->n_args != 2)
            return rem_conf_error(cf, "invalid number of arguments in \"include\" directive");
        return rem_conf_include(cf);
    }
    type = rem_arena_alloc(cf->arena, sizeof(*type));
    if (type == NULL)
        return rem_conf_nomem(cf);
    *type = cf->args[0];
    for (size_t i = 1; i < cf->n_args; i++) {
        int rc = add_type(cf, data, type, cf->args[i]);

        if (rc != 0)
            return rc;
    }
    return 0;
}

static struct rem_strmap *new_types(struct rem_conf *cf)
{
    struct rem_strmap *types = rem_arena_alloc(cf->arena, sizeof(*types));

    if (types != NULL)
        rem_strmap_init(types, cf->arena, true);
    return types;
}

int rem_core_set_types(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_location_conf *location = conf;

    (void)d;
    if (location->types == NULL)
        location->types = new_types(cf);
    if (location->types == NULL)
        return rem_conf_nomem(cf);
    return rem_conf_block_lines(cf, on_line, location->types);
}

struct rem_strmap *rem_core_default_types(struct rem_conf *cf)
{
    static struct rem_str html = {"text/html", 9}, gif = {"image/gif", 9},
                          jpeg = {"image/jpeg", 10};
    struct rem_strmap *types = new_types(cf);

    if (types == NULL || rem_strmap_set(types, REM_STR("html"), &html) != 0 ||
        rem_strmap_set(types, REM_STR("gif"), &gif) != 0 ||
        rem_strmap_set(types, REM_STR("jpg"), &jpeg) != 0)
        return NULL;
    return types;
}

struct rem_str rem_core_type(const struct rem_request *request)
{
    const struct rem_http_location_conf *location = rem_core_location(request);
    struct rem_str uri = request->uri;
    const struct rem_str *type;
    size_t i = uri.n;

    while (i > 0 && uri.p[i - 1] != '.' && uri.p[i - 1] != '/')
        i--;
    /* ".html" and "/" have no extension: something must stand before the dot. */
    if (i < 2 || i == uri.n || uri.p[i - 1] != '.' || uri.p[i - 2] == '/')
        return location->default_type;
    type = rem_strmap_get(location->types, rem_str_skip(uri, i));
    return type != NULL ? *type : location->default_type;
}
