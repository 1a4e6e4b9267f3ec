/* SPDX-License-Identifier: Apache-2.0 */
/* index.c - index: which file a URI ending in "/" means. */
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/file.h"

#include <errno.h>
#include <sys/stat.h>

struct index_conf {
    struct rem_array *names; /* of struct rem_value; NULL: inherited */
};

extern struct rem_module rem_index_module;

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct index_conf));
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    struct index_conf *prev = parent, *conf = child;
    struct rem_value *name;

    if (conf->names != NULL)
        return 0;
    if (prev->names == NULL) { /* made once, for all below */
        name = rem_set_push(cf, &prev->names, sizeof(*name));
        if (name == NULL)
            return REM_ENOMEM;
        name->text = REM_STR("index.html");
    }
    conf->names = prev->names;
    return 0;
}

static int set_index(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct index_conf *location = conf;

    (void)d;
    for (size_t i = 1; i < cf->n_args; i++) {
        struct rem_value *name = rem_set_push(cf, &location->names, sizeof(*name));
        int rc;

        if (cf->args[i].n == 0)
            return rem_conf_error(cf, "index \"\" in \"index\" directive is invalid");
        if (name == NULL)
            return REM_ENOMEM;
        rc = rem_value_compile(cf, cf->args[i], name);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- requests ---- */

static bool is_missing(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG;
}

/* A failure that says something about the directory itself. */
static int refuse(struct rem_request *request, struct rem_str path, int error)
{
    if (error == EACCES) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, error, "\"%.*s\" is forbidden", REM_STR_ARG(path));
        return 403;
    }
    if (is_missing(error)) {
        if (rem_core_location(request)->log_not_found)
            REM_LOG_IN(&request->log, REM_LOG_ERROR, error, "\"%.*s\" is not found",
                       REM_STR_ARG(path));
        return 404;
    }
    REM_LOG_IN(&request->log, REM_LOG_CRIT, error, "stat() \"%.*s\" failed", REM_STR_ARG(path));
    return 500;
}

/* `directory` holds all that stands before the names.  Returns a status if it does not exist. */
static int test_directory(struct rem_request *request, struct rem_str directory,
                          struct rem_str path)
{
    struct stat st;
    struct rem_str copy = rem_arena_dup(&request->arena, directory);
    int error = copy.p != NULL ? rem_file_stat(request, copy, &st) : ENOMEM;

    if (copy.p == NULL)
        return 500;
    if (error == 0 && !S_ISDIR(st.st_mode))
        error = ENOTDIR;
    return error == 0 ? REM_HTTP_OK : refuse(request, path, error);
}

/* Returns REM_HTTP_DECLINED where there is no such file. */
static int try_name(struct rem_request *request, struct rem_str name, struct rem_str directory,
                    bool *tested)
{
    struct rem_str path, uri;
    struct stat st;
    int error, status;

    if (name.n != 0 && name.p[0] == '/')
        return rem_request_redirect(request, name, request->args);
    path = rem_arena_printf(&request->arena, "%.*s%.*s", REM_STR_ARG(directory), REM_STR_ARG(name));
    if (path.p == NULL)
        return 500;
    error = rem_file_stat(request, path, &st);
    if (error == 0) {
        uri = rem_arena_printf(&request->arena, "%.*s%.*s", REM_STR_ARG(request->uri),
                               REM_STR_ARG(name));
        return uri.p != NULL ? rem_request_redirect(request, uri, request->args) : 500;
    }
    if (!is_missing(error))
        return refuse(request, path, error);
    if (!*tested) {
        status = test_directory(request, directory, path);
        if (status != REM_HTTP_OK)
            return status;
        *tested = true;
    }
    return REM_HTTP_DECLINED;
}

static int on_content(struct rem_request *request)
{
    const struct index_conf *conf = request->location_conf[rem_index_module.index];
    struct rem_str directory;
    bool tested = false;
    int rc;

    if (request->uri.n == 0 || request->uri.p[request->uri.n - 1] != '/')
        return REM_HTTP_DECLINED;
    if (request->method != REM_METHOD_GET && request->method != REM_METHOD_HEAD &&
        request->method != REM_METHOD_POST)
        return REM_HTTP_DECLINED;
    rc = rem_core_file(request, &directory);
    if (rc != 0)
        return rc == REM_EACCES ? 403 : 500;
    if (memchr(directory.p, '\0', directory.n) != NULL)
        return 404;
    for (uint32_t i = 0; i < conf->names->n; i++) {
        struct rem_str name;

        rc = rem_http_value(request, rem_array_at(conf->names, i), &name);
        if (rc != 0)
            return 500;
        if (name.n == 0) /* a variable that names none here */
            continue;
        rc = try_name(request, name, directory, &tested);
        if (rc != REM_HTTP_DECLINED)
            return rc;
    }
    return REM_HTTP_DECLINED;
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_CONTENT, on_content);
}

static const struct rem_directive directives[] = {
    {"index", REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION, REM_ARGS_1MORE, set_index,
     REM_LEVEL_LOCATION, 0, NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_index_module = {
    .name = "index",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
