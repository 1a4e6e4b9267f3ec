/* SPDX-License-Identifier: Apache-2.0 */
/* core_root.c - root and alias, and the path of the file that a request's URI names. */
#include "proxy/http/core_priv.h"
#include "proxy/net/setup.h"

/* A variable that is made of root cannot be part of it. */
static int refuse_self(struct rem_conf *cf, struct rem_str text)
{
    static const char *const names[] = {"document_root", "realpath_root"};

    for (size_t i = 0; i < REM_COUNT(names); i++) {
        size_t n = strlen(names[i]);

        for (const char *p = memchr(text.p, '$', text.n); p != NULL;
             p = memchr(p + 1, '$', (size_t)(text.p + text.n - p - 1))) {
            const char *name = p + 1 < text.p + text.n && p[1] == '{' ? p + 2 : p + 1;

            if ((size_t)(text.p + text.n - name) >= n && memcmp(name, names[i], n) == 0)
                return rem_conf_error(cf,
                                      "the $%s variable cannot be used in the \"%.*s\" directive",
                                      names[i], REM_STR_ARG(cf->args[0]));
        }
    }
    return 0;
}

static int refuse_second(struct rem_conf *cf, const struct rem_http_location_conf *location,
                         bool alias)
{
    if (!location->root_set)
        return 0;
    if ((location->alias != 0) == alias)
        return rem_conf_duplicate(cf);
    return rem_conf_error(cf,
                          "\"%.*s\" directive is duplicate, \"%s\" directive was specified earlier",
                          REM_STR_ARG(cf->args[0]), alias ? "root" : "alias");
}

int rem_core_set_root(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_location_conf *location = conf;
    bool alias = rem_str_is(cf->args[0], "alias");
    struct rem_str text = cf->args[1];
    int rc = refuse_second(cf, location, alias);

    (void)d;
    if (rc == 0)
        rc = refuse_self(cf, text);
    if (rc != 0)
        return rc;
    if (alias && location->named)
        return rem_conf_error(cf,
                              "the \"alias\" directive cannot be used inside the named location");
    if (!alias && text.n > 1 && text.p[text.n - 1] == '/')
        text.n--;
    if (text.n == 0 || text.p[0] != '$')
        text = rem_conf_path(cf, text, REM_BASE_PREFIX);
    location->root = rem_arena_zalloc(cf->arena, sizeof(*location->root));
    if (text.p == NULL || location->root == NULL)
        return rem_conf_nomem(cf);
    location->root_set = true;
    location->alias = !alias ? 0 : location->regex != NULL ? SIZE_MAX : location->name.n;
    return rem_value_compile(cf, text, location->root);
}

/* The root itself, absolute. */
static int eval_root(struct rem_request *request, const struct rem_http_location_conf *location,
                     struct rem_str *out)
{
    struct rem_str prefix = request->worker->setup->prefix;
    int rc;

    if (location->root == NULL) {
        *out = REM_STR("html");
    } else {
        rc = rem_http_value(request, location->root, out);
        if (rc != 0)
            return rc;
        if (out->n != 0 && out->p[0] == '/')
            return 0;
    }
    *out = rem_arena_printf(&request->arena, "%.*s%s%.*s", REM_STR_ARG(prefix),
                            prefix.n != 0 && prefix.p[prefix.n - 1] != '/' ? "/" : "",
                            REM_STR_ARG(*out));
    return out->p != NULL ? 0 : REM_ENOMEM;
}

int rem_core_path(struct rem_request *request, struct rem_str *path, size_t *root_size)
{
    const struct rem_http_location_conf *location = rem_core_location(request);
    struct rem_str root, rest = request->uri;
    char *p;
    int rc = eval_root(request, location, &root);

    if (rc != 0)
        return rc;
    /* A rewrite may have left less of the URI than the alias stands for. */
    if (!request->uri_behind_alias)
        rest = rem_str_skip(rest, location->alias < rest.n ? location->alias : rest.n);
    p = rem_arena_alloc(&request->arena, root.n + rest.n + 1);
    if (p == NULL)
        return REM_ENOMEM;
    memcpy(p, root.p, root.n);
    if (rest.n != 0)
        memcpy(p + root.n, rest.p, rest.n);
    p[root.n + rest.n] = '\0';
    *path = rem_str_make(p, root.n + rest.n);
    if (root_size != NULL)
        *root_size = root.n;
    return 0;
}

bool rem_core_leads_out(struct rem_request *request, struct rem_str path,
                        const struct rem_value *text, size_t size)
{
    struct rem_str prefix = request->worker->setup->prefix;
    const char *at = path.p, *end = path.p + path.n;

    if (text != NULL && !rem_value_is_static(text) &&
        memmem(text->text.p, text->text.n, "..", 2) == NULL)
        size = rem_str_has_prefix(path, prefix) ? prefix.n : 0;
    while ((at = memmem(at, (size_t)(end - at), "/..", 3)) != NULL) {
        at += 3;
        if ((at != end && *at != '/') || at <= path.p + size)
            continue;
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "\"%.*s\" leads out of the root",
                   REM_STR_ARG(path));
        return true;
    }
    return false;
}

int rem_core_file(struct rem_request *request, struct rem_str *path)
{
    size_t root_size;
    int rc = rem_core_path(request, path, &root_size);

    if (rc == 0 && rem_core_leads_out(request, *path, rem_core_location(request)->root, root_size))
        rc = REM_EACCES;
    return rc;
}
