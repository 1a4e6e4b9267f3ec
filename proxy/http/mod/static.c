/* SPDX-License-Identifier: Apache-2.0 */
/* static.c - answers with the file that the URI names.
 *
 * Cost:       open, fstat, and for files of a page or two one read: head and body then go out in
 * one write.  Larger files are handed to the codec, which sends them as the client takes them.
 * Not here:   preconditions (not_modified.c) and ranges (range.c): filters do them.  */
#include "proxy/http/mod/static.h"
#include "proxy/http/body.h"
#include "proxy/http/core.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    IN_MEMORY_MAX = 8192, /* below this a copy costs less than another system call */
};

/* ---- opening ---- */

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

/* Returns REM_HTTP_OK or a status. */
static int open_file(struct rem_request *request, struct rem_str path, int *fd, struct stat *st)
{
    if (memchr(path.p, '\0', path.n) != NULL)
        return 404;
    /* Not waiting for the other end of a FIFO. */
    *fd = open(path.p, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0)
        return refuse(request, path, errno);
    if (fstat(*fd, st) != 0) {
        int error = errno;

        close(*fd);
        REM_LOG_IN(&request->log, REM_LOG_CRIT, error, "fstat() \"%.*s\" failed",
                   REM_STR_ARG(path));
        return 500;
    }
    return REM_HTTP_OK;
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
    close(buf->fd);
    buf->fd = -1;
}

/* Small: a copy, so that head and body leave in one write.  Returns 0, or negative with the reason
 * logged. */
static int fill_from_memory(struct rem_request *request, int fd, size_t n, struct rem_buf *buf)
{
    char *copy = rem_arena_alloc(&request->arena, n);
    ssize_t got = copy != NULL ? pread(fd, copy, n, 0) : -1;
    int error = errno;

    close(fd);
    if (got != (ssize_t)n) {
        REM_LOG_IN(&request->log, REM_LOG_CRIT, got < 0 ? error : 0, "a file could not be read");
        return REM_EIO;
    }
    *buf = (struct rem_buf){.pos = copy, .last = copy + n, .fd = -1, .final = true};
    return 0;
}

/* The body is one buf, so that filters may send any part of it. */
int rem_static_send(struct rem_request *request, int fd, off_t size)
{
    struct rem_buf *buf = rem_arena_alloc(&request->arena, sizeof(*buf));
    int rc = buf != NULL ? rem_http_send_head(request) : REM_ENOMEM;

    if (rc != REM_OK) {
        close(fd);
        return rc > 0 ? rc : REM_HTTP_ERROR;
    }
    if (request->response.no_body || size == 0) {
        close(fd);
        *buf = (struct rem_buf){.fd = -1, .final = true};
    } else if (size <= IN_MEMORY_MAX) {
        if (fill_from_memory(request, fd, (size_t)size, buf) != 0)
            return REM_HTTP_ERROR;
    } else {
        *buf = (struct rem_buf){
            .fd = fd, .in_file = true, .file_last = size, .final = true, .done = on_sent};
    }
    rc = rem_http_send_body(request, buf);
    return rc == REM_OK || rc == REM_EAGAIN ? REM_HTTP_OK : REM_HTTP_ERROR;
}

static int on_content(struct rem_request *request)
{
    struct rem_str path;
    struct stat st;
    int fd, status;

    if (request->method != REM_METHOD_GET && request->method != REM_METHOD_HEAD &&
        request->method != REM_METHOD_POST)
        return 405;
    if (request->uri.n == 0 || request->uri.p[request->uri.n - 1] == '/')
        return REM_HTTP_DECLINED;
    if (rem_core_path(request, &path, NULL) != 0)
        return 500;
    status = open_file(request, path, &fd, &st);
    if (status != REM_HTTP_OK)
        return status;
    if (S_ISDIR(st.st_mode)) {
        status = redirect_to_directory(request);
    } else if (!S_ISREG(st.st_mode)) {
        REM_LOG_IN(&request->log, REM_LOG_CRIT, 0, "\"%.*s\" is not a regular file",
                   REM_STR_ARG(path));
        status = 404;
    } else if (request->method == REM_METHOD_POST) {
        status = 405;
    } else {
        status = rem_body_discard(request);
        if (status == REM_HTTP_OK && rem_static_describe(request, &st) != 0)
            status = 500;
    }
    if (status != REM_HTTP_OK) {
        close(fd);
        return status;
    }
    return rem_static_send(request, fd, st.st_size);
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
