/* SPDX-License-Identifier: Apache-2.0 */
/* gzip_static.c - sends FILE.gz, made beforehand, instead of FILE.
 *
 * Order:      before `static`, whose answer this one takes the place of.  */
#include "proxy/conf/set.h"
#include "proxy/http/body.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/gzip_accept.h"
#include "proxy/http/mod/static.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum mode { MODE_OFF = 0, MODE_ON, MODE_ALWAYS };

struct gzip_static_conf {
    int mode; /* enum mode */
};

extern struct rem_module rem_gzip_static_module;

static void *create_location(struct rem_conf *cf)
{
    struct gzip_static_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        conf->mode = REM_CONF_UNSET;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct gzip_static_conf *prev = parent;
    struct gzip_static_conf *conf = child;

    (void)cf;
    rem_merge_enum(&conf->mode, prev->mode, MODE_OFF);
    return 0;
}

/* Whether there is a regular file, which is open then. */
static bool open_packed(struct rem_request *request, struct rem_str path, bool vary,
                        struct rem_file *file)
{
    int error = rem_file_open(request, path, file);

    if (error != 0) {
        if (error != ENOENT && error != ENOTDIR && error != ENAMETOOLONG)
            REM_LOG_IN(&request->log, REM_LOG_ERROR, error, "open() \"%s\" failed", path.p);
        return false;
    }
    if ((!vary || rem_gzip_vary(request) == 0) && S_ISREG(file->st.st_mode))
        return true;
    rem_file_close(file);
    return false;
}

static int answer(struct rem_request *request, struct rem_file *file)
{
    struct rem_response *response = &request->response;
    int status = rem_body_discard(request);

    if (status == REM_HTTP_OK &&
        (rem_static_describe(request, &file->st) != 0 ||
         rem_fields_add(&response->fields, REM_STR("Content-Encoding"), REM_STR("gzip")) != 0))
        status = 500;
    if (status != REM_HTTP_OK) {
        rem_file_close(file);
        return status;
    }
    response->allow_ranges = false; /* of which file, the client could not say */
    return rem_static_send(request, file);
}

static int on_content(struct rem_request *request)
{
    const struct gzip_static_conf *conf = request->location_conf[rem_gzip_static_module.index];
    struct rem_file file;
    struct rem_str path;
    int rc;

    if (conf->mode == MODE_OFF ||
        (request->method != REM_METHOD_GET && request->method != REM_METHOD_HEAD) ||
        request->uri.n == 0 || request->uri.p[request->uri.n - 1] == '/')
        return REM_HTTP_DECLINED;
    rc = rem_core_file(request, &path);
    if (rc != 0)
        return rc == REM_EACCES ? 403 : 500;
    if (memchr(path.p, '\0', path.n) != NULL)
        return REM_HTTP_DECLINED;
    path = rem_arena_printf(&request->arena, "%.*s.gz", REM_STR_ARG(path));
    if (path.p == NULL)
        return 500;
    if (!open_packed(request, path, conf->mode == MODE_ON, &file))
        return REM_HTTP_DECLINED;
    if (conf->mode == MODE_ON && !rem_gzip_accepted(request)) {
        rem_file_close(&file);
        return REM_HTTP_DECLINED;
    }
    return answer(request, &file);
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_CONTENT, on_content);
}

static const struct rem_conf_choice mode_choices[] = {
    {"off", MODE_OFF}, {"on", MODE_ON}, {"always", MODE_ALWAYS}, {0}};

static const struct rem_directive directives[] = {
    {"gzip_static", REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION, REM_ARGS_1, rem_set_enum,
     REM_LEVEL_LOCATION, offsetof(struct gzip_static_conf, mode), mode_choices},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_gzip_static_module = {
    .name = "gzip_static",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
