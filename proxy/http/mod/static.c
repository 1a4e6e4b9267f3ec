/* SPDX-License-Identifier: Apache-2.0 */
/* static.c - answers with the file that the URI names.
 *
 * Cost:       open, fstat (neither with open_file_cache, file.h), and for files of a page or two
 *             one read: head and body then go out in one write.  Larger files are handed to the
 *             codec, which sends them as the client takes them.
 * Not here:   preconditions (not_modified.c) and ranges (range.c): filters do them.  */
#include "proxy/http/mod/static.h"
#include "proxy/http/body.h"
#include "proxy/http/core.h"

#include <errno.h>
#include <unistd.h>

enum {
    IN_MEMORY_MAX = 8192, /* below this a copy costs less than another system call */
};

/* ---- what there is ---- */

static int refuse(struct rem_request *request, struct rem_str path, int error)
{
    enum rem_log_level level = REM_LOG_CRIT;
    int status = 500;

    if (error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG) {
        level = REM_LOG_ERROR;
        status = 404;
    } else if (error == EACCES) {
        level = REM_LOG_ERROR;
        status = 403;
    }
    if (status != 404 || rem_core_location(request)->log_not_found)
        REM_LOG_IN(&request->log, level, error, "open() \"%.*s\" failed", REM_STR_ARG(path));
    return status;
}

/* A directory's URI ends in a slash, so that what its pages refer to is found. */
static int redirect_to_directory(struct rem_request *request)
{
    struct rem_str uri;

    if (rem_uri_escape(request->uri, REM_URI_ESCAPE_PATH, &request->arena, &uri) != 0)
        return 500;
    uri = rem_arena_printf(&request->arena, "%.*s/%s%.*s", REM_STR_ARG(uri),
                           request->args.n != 0 ? "?" : "", REM_STR_ARG(request->args));
    if (uri.p == NULL || rem_core_set_location_field(request, uri) != 0)
        return 500;
    return 301;
}

/* ---- the answer ---- */

/* Whether the file itself is the answer, with its own date, tag and ranges; one that is shown
 * instead of something else (error_page) is sent as it is. */
static bool is_plain(const struct rem_request *request)
{
    return request->error_status == 0 || request->error_status == 200;
}

int rem_static_describe(struct rem_request *request, const struct stat *st)
{
    struct rem_response *response = &request->response;

    response->status = 200;
    response->last_modified = is_plain(request) ? st->st_mtime : -1;
    response->allow_ranges = is_plain(request);
    if (response->content_type.n == 0) /* an upstream that led here may have said */
        response->content_type = rem_core_type(request);
    response->content_length = st->st_size;
    if (rem_core_location(request)->etag) {
        struct rem_str tag =
            rem_arena_printf(&request->arena, "\"%llx-%llx\"", (unsigned long long)st->st_mtime,
                             (unsigned long long)st->st_size);

        if (tag.p == NULL)
            return REM_ENOMEM;
        return rem_fields_add(&response->fields, REM_STR("ETag"), tag);
    }
    return 0;
}

static void on_sent(struct rem_buf *buf)
{
    struct rem_file file = {.fd = buf->fd, .shared = buf->owner};

    rem_file_close(&file);
    buf->fd = -1;
}

/* Small: a copy, so that head and body leave in one write.  Returns 0, or negative with the reason
 * logged. */
static int fill_from_memory(struct rem_request *request, struct rem_file *file, struct rem_buf *buf)
{
    size_t n = (size_t)file->st.st_size;
    char *copy = rem_arena_alloc(&request->arena, n);
    ssize_t got = copy != NULL ? pread(file->fd, copy, n, 0) : -1;
    int error = errno;

    rem_file_close(file);
    if (got != (ssize_t)n) {
        REM_LOG_IN(&request->log, REM_LOG_CRIT, got < 0 ? error : 0, "a file could not be read");
        return REM_EIO;
    }
    *buf = (struct rem_buf){.pos = copy, .last = copy + n, .fd = -1, .final = true};
    return 0;
}

/* The body is one buf, so that filters may send any part of it. */
int rem_static_send(struct rem_request *request, struct rem_file *file)
{
    struct rem_buf *buf = rem_arena_alloc(&request->arena, sizeof(*buf));
    off_t size = file->st.st_size;
    int rc = buf != NULL ? rem_http_send_head(request) : REM_ENOMEM;

    if (rc != REM_OK) {
        rem_file_close(file);
        return rc > 0 ? rc : REM_HTTP_ERROR;
    }
    if (request->response.no_body || size == 0) {
        rem_file_close(file);
        *buf = (struct rem_buf){.fd = -1, .final = true};
    } else if (size <= IN_MEMORY_MAX) {
        if (fill_from_memory(request, file, buf) != 0)
            return REM_HTTP_ERROR;
    } else {
        *buf = (struct rem_buf){.fd = file->fd,
                                .in_file = true,
                                .file_last = size,
                                .final = true,
                                .done = on_sent,
                                .owner = file->shared};
    }
    rc = rem_http_send_body(request, buf);
    return rc == REM_OK || rc == REM_EAGAIN ? REM_HTTP_OK : REM_HTTP_ERROR;
}

/* Whether what was found can be sent; the response's head is filled in then. */
static int prepare(struct rem_request *request, struct rem_str path, const struct stat *st)
{
    int status;

    if (S_ISDIR(st->st_mode))
        return redirect_to_directory(request);
    if (!S_ISREG(st->st_mode)) {
        REM_LOG_IN(&request->log, REM_LOG_CRIT, 0, "\"%.*s\" is not a regular file",
                   REM_STR_ARG(path));
        return 404;
    }
    if (request->method == REM_METHOD_POST)
        return 405;
    status = rem_body_discard(request);
    if (status == REM_HTTP_OK && rem_static_describe(request, st) != 0)
        status = 500;
    return status;
}

static int on_content(struct rem_request *request)
{
    struct rem_file file;
    struct rem_str path;
    int error, status, rc;

    if (request->method != REM_METHOD_GET && request->method != REM_METHOD_HEAD &&
        request->method != REM_METHOD_POST)
        return 405;
    if (request->uri.n != 0 && request->uri.p[request->uri.n - 1] == '/')
        return REM_HTTP_DECLINED;
    rc = rem_core_file(request, &path);
    if (rc != 0)
        return rc == REM_EACCES ? 403 : 500;
    error = rem_file_open(request, path, &file);
    if (error != 0)
        return refuse(request, path, error);
    status = prepare(request, path, &file.st);
    if (status == REM_HTTP_OK)
        return rem_static_send(request, &file);
    rem_file_close(&file);
    return status;
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_CONTENT, on_content);
}

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_static_module = {
    .name = "static",
    .kind = REM_MODULE_HTTP,
    .hooks = &hooks,
};
