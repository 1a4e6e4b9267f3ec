/* SPDX-License-Identifier: Apache-2.0 */
/* try_files.c - try_files: the first of several files or directories that exists; else the last
 * argument, a URI, a named location or a status. */
#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/file.h"

#include <sys/stat.h>

struct try_item {
    struct rem_value name; /* without the last slash of a directory */
    bool directory;
};

struct try_conf {
    struct rem_array *items; /* of struct try_item: those to be tested; NULL: no try_files */
    struct rem_value last;
    int status; /* of "=404" as the last; else 0 */
};

extern struct rem_module rem_try_files_module;

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct try_conf));
}

static int set_last(struct rem_conf *cf, struct try_conf *conf, struct rem_str text)
{
    int64_t status;

    if (text.n == 0 || text.p[0] != '=')
        return rem_value_compile(cf, text, &conf->last);
    if (rem_conf_parse_num(rem_str_skip(text, 1), &status) != 0 || status > 999)
        return rem_conf_error(cf, "invalid code \"%.*s\"", REM_STR_ARG(text));
    conf->status = (int)status;
    return 0;
}

static int set_try_files(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct try_conf *location = conf;

    (void)d;
    if (location->items != NULL)
        return rem_conf_duplicate(cf);
    location->items = rem_array_new(cf->arena, sizeof(struct try_item));
    if (location->items == NULL)
        return rem_conf_nomem(cf);
    for (size_t i = 1; i + 1 < cf->n_args; i++) {
        struct try_item *item = rem_array_push(cf->arena, location->items);
        struct rem_str name = cf->args[i];
        int rc;

        if (item == NULL)
            return rem_conf_nomem(cf);
        item->directory = name.n > 0 && name.p[name.n - 1] == '/';
        if (item->directory)
            name.n--;
        rc = rem_value_compile(cf, name, &item->name);
        if (rc != 0)
            return rc;
    }
    return set_last(cf, location, cf->args[cf->n_args - 1]);
}

/* ---- requests ---- */

/* The path of the file that `*uri` names.  Behind a location's alias stands what follows the
 * location's name: a name that does not begin with it is taken for what follows, and *uri becomes
 * the whole.  An alias of a regular expression has all of it behind. */
static int path_of(struct rem_request *request, struct rem_str *uri, struct rem_str *path)
{
    const struct rem_http_location_conf *location = rem_core_location(request);
    struct rem_str before = request->uri;
    int rc;

    if (location->alias != 0 && location->alias != SIZE_MAX &&
        !rem_str_has_prefix(*uri, location->name)) {
        *uri = rem_arena_printf(&request->arena, "%.*s%.*s", REM_STR_ARG(location->name),
                                REM_STR_ARG(*uri));
        if (uri->p == NULL)
            return REM_ENOMEM;
    }
    request->uri = *uri;
    request->uri_behind_alias = location->alias == SIZE_MAX;
    rc = rem_core_file(request, path);
    request->uri = before;
    request->uri_behind_alias = false;
    return rc;
}

/* Returns 1 the item exists (*uri is its URI), 0 it does not, negative. */
static int test_item(struct rem_request *request, const struct try_item *item, struct rem_str *uri)
{
    struct rem_str path;
    struct stat st;
    int rc = rem_http_value(request, &item->name, uri);

    if (rc == 0)
        rc = path_of(request, uri, &path);
    if (rc != 0)
        return rc == REM_EACCES ? 0 : rc; /* nothing that is to be found */
    if (rem_file_stat(request, path, &st) != 0)
        return 0;
    return S_ISDIR(st.st_mode) == item->directory;
}

static int go_to_last(struct rem_request *request, const struct try_conf *conf)
{
    struct rem_str to, args = REM_STR("");
    const char *mark;

    if (conf->status != 0)
        return conf->status;
    if (rem_http_value(request, &conf->last, &to) != 0)
        return 500;
    if (to.n != 0 && to.p[0] == '@')
        return rem_request_redirect_named(request, to);
    mark = rem_str_chr(to, '?');
    if (mark != NULL) {
        args = rem_str_skip(to, (size_t)(mark - to.p) + 1);
        to.n = (size_t)(mark - to.p);
    }
    return rem_request_redirect(request, to, args);
}

static int on_precontent(struct rem_request *request)
{
    const struct try_conf *conf = request->location_conf[rem_try_files_module.index];

    if (conf->items == NULL)
        return REM_HTTP_DECLINED;
    for (uint32_t i = 0; i < conf->items->n; i++) {
        const struct try_item *item = rem_array_at(conf->items, i);
        struct rem_str uri;
        int found = test_item(request, item, &uri);

        if (found < 0)
            return 500;
        if (found == 0)
            continue;
        /* A directory is found without its slash, and redirected to it by static. */
        if (!rem_value_is_static(&item->name))
            uri = rem_arena_dup(&request->arena, uri);
        if (uri.p == NULL)
            return 500;
        request->uri = uri; /* `uri_as_sent` stays: a proxy passes on what was asked for */
        request->uri_behind_alias = rem_core_location(request)->alias == SIZE_MAX;
        return REM_HTTP_DECLINED;
    }
    return go_to_last(request, conf);
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_PRECONTENT, on_precontent);
}

static const struct rem_directive directives[] = {
    {"try_files", REM_CTX_SERVER | REM_CTX_LOCATION, REM_ARGS_2MORE, set_try_files,
     REM_LEVEL_LOCATION, 0, NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_try_files_module = {
    .name = "try_files",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .hooks = &hooks,
};
