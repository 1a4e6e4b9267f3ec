/* SPDX-License-Identifier: Apache-2.0 */
/* static.c - answers with the file that the URI names.
 *
 * Cost:       open, fstat, and for files of a page or two one read: head and body then go out in
 * one write.  Larger files go by sendfile, or with `sendfile off` through memory, a piece at a time
 * as the client takes them.  */
#include "proxy/http/body.h"
#include "proxy/http/core.h"
#include "proxy/http/mod/conditional.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    IN_MEMORY_MAX = 8192, /* below this a copy costs less than another system call */
    PIECE = 65536,        /* with sendfile off */
};

extern struct rem_module rem_static_module;

/* A file on its way out; in the request's arena. */
struct sending {
    struct rem_request *request;
    int fd;
    off_t at, end;
    bool lent; /* `buf` is with the codec */
    struct rem_buf buf;
    char *piece;
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

/* ---- the head ---- */

static int describe(struct rem_request *request, const struct stat *st,
                    struct rem_conditional_target *target)
{
    const struct rem_http_location_conf *location = rem_core_location(request);

    *target = (struct rem_conditional_target){
        .modified = st->st_mtime,
        .size = st->st_size,
        .before = location->if_modified_since == REM_IMS_BEFORE,
        .ignore_since = location->if_modified_since == REM_IMS_OFF,
    };
    if (location->etag) {
        target->etag =
            rem_arena_printf(&request->arena, "\"%llx-%llx\"", (unsigned long long)st->st_mtime,
                             (unsigned long long)st->st_size);
        if (target->etag.p == NULL)
            return REM_ENOMEM;
    }
    return 0;
}

static int add_content_range(struct rem_request *request, int status, int64_t first, int64_t end,
                             int64_t size)
{
    struct rem_str value =
        status == 206 ? rem_arena_printf(&request->arena, "bytes %lld-%lld/%lld", (long long)first,
                                         (long long)end - 1, (long long)size)
                      : rem_arena_printf(&request->arena, "bytes */%lld", (long long)size);

    if (value.p == NULL)
        return REM_ENOMEM;
    return rem_fields_add(&request->response.fields, REM_STR("Content-Range"), value);
}

/* Whether the file itself is the answer, with its own date, tag and ranges. */
static bool is_plain(const struct rem_request *request)
{
    return request->error_status == 0 || request->error_status == 200;
}

/* Chooses between 200, 206, 304, and the refusals; a file that is shown instead of something else
 * (error_page) is sent as it is.  Returns 200, 206 or 304, or a status to finalize with. */
static int choose(struct rem_request *request, const struct rem_conditional_target *target,
                  int64_t *first, int64_t *end)
{
    time_t now = request->worker->loop.clock.wall_sec;
    int status;

    *first = 0;
    *end = target->size;
    if (!is_plain(request))
        return 200;
    status = rem_conditional_status(&request->fields, now, target);
    if (status == 0)
        status = rem_conditional_range(&request->fields, now, target, first, end);
    if ((status == 206 || status == 416) &&
        add_content_range(request, status, *first, *end, target->size) != 0)
        return 500;
    return status != 0 ? status : 200;
}

/* Returns REM_HTTP_OK with the response's head filled in, or a status to finalize with. */
static int make_head(struct rem_request *request, const struct stat *st, int64_t *first,
                     int64_t *end)
{
    struct rem_response *response = &request->response;
    struct rem_conditional_target target;
    int status;

    if (describe(request, st, &target) != 0)
        return 500;
    status = choose(request, &target, first, end);
    if (status >= 400)
        return status;
    response->status = status;
    response->last_modified = is_plain(request) ? st->st_mtime : -1;
    if (target.etag.n != 0 && rem_fields_add(&response->fields, REM_STR("ETag"), target.etag) != 0)
        return 500;
    if (status == 304) {
        response->content_length = -1;
        return REM_HTTP_OK;
    }
    response->content_type = rem_core_type(request);
    response->content_length = *end - *first;
    if (status == 200 && is_plain(request) &&
        rem_fields_add(&response->fields, REM_STR("Accept-Ranges"), REM_STR("bytes")) != 0)
        return 500;
    return REM_HTTP_OK;
}

/* ---- the body ---- */

static int result_of(int rc)
{
    return rc == REM_OK || rc == REM_EAGAIN ? REM_HTTP_OK : REM_HTTP_ERROR;
}

static int send_empty(struct rem_request *request, struct sending *sending)
{
    sending->buf = (struct rem_buf){.fd = -1, .final = true};
    return result_of(rem_http_send_body(request, &sending->buf));
}

static void on_sent(struct rem_buf *buf)
{
    close(buf->fd);
    buf->fd = -1;
}

/* The kernel copies. */
static int send_by_kernel(struct rem_request *request, struct sending *sending)
{
    sending->buf = (struct rem_buf){
        .fd = sending->fd,
        .in_file = true,
        .file_pos = sending->at,
        .file_last = sending->end,
        .final = true,
        .done = on_sent,
    };
    return result_of(rem_http_send_body(request, &sending->buf));
}

static void on_piece_sent(struct rem_buf *buf)
{
    struct sending *sending = buf->owner;

    sending->lent = false;
}

/* Reads the next piece.  Returns its size, or negative when the file has become shorter or cannot
 * be read: the length announced cannot be kept. */
static ssize_t read_piece(struct sending *sending)
{
    off_t left = sending->end - sending->at;
    size_t n = left < PIECE ? (size_t)left : (size_t)PIECE;
    ssize_t got;

    do
        got = pread(sending->fd, sending->piece, n, sending->at);
    while (got < 0 && errno == EINTR);
    if (got <= 0) {
        REM_LOG_IN(&sending->request->log, REM_LOG_ALERT, got < 0 ? errno : 0,
                   "a file ended before the length announced was sent");
        return -1;
    }
    return got;
}

/* Sends pieces while the codec has no piece of ours. */
static void send_pieces(struct rem_request *request, struct sending *sending)
{
    while (!sending->lent) {
        ssize_t n = read_piece(sending);
        int rc;

        if (n < 0) {
            rem_request_finalize(request, REM_HTTP_ERROR);
            return;
        }
        sending->at += n;
        sending->lent = true;
        sending->buf = (struct rem_buf){
            .pos = sending->piece,
            .last = sending->piece + n,
            .fd = -1,
            .final = sending->at == sending->end,
            .done = on_piece_sent,
            .owner = sending,
        };
        rc = rem_http_send_body(request, &sending->buf);
        if (sending->at == sending->end || (rc != REM_OK && rc != REM_EAGAIN)) {
            rem_request_finalize(request, result_of(rc));
            return;
        }
    }
}

static void on_writable(struct rem_request *request)
{
    send_pieces(request, request->module_ctx[rem_static_module.index]);
}

static void on_cleanup(void *data)
{
    struct sending *sending = data;

    close(sending->fd);
}

static int send_through_memory(struct rem_request *request, struct sending *sending)
{
    sending->piece = rem_arena_alloc(&request->arena, PIECE);
    if (sending->piece == NULL || rem_request_on_cleanup(request, on_cleanup, sending) != 0) {
        close(sending->fd);
        return REM_HTTP_ERROR;
    }
    request->module_ctx[rem_static_module.index] = sending;
    request->on_writable = on_writable;
    send_pieces(request, sending);
    return REM_HTTP_DONE;
}

/* Takes: sending->fd.  The head is not sent yet, so that what cannot be read is a 500. */
static int send_small(struct rem_request *request, struct sending *sending)
{
    size_t n = (size_t)(sending->end - sending->at);
    char *copy = rem_arena_alloc(&request->arena, n);
    ssize_t got = copy != NULL ? pread(sending->fd, copy, n, sending->at) : -1;
    int error = errno;

    close(sending->fd);
    if (got != (ssize_t)n) {
        REM_LOG_IN(&request->log, REM_LOG_CRIT, got < 0 ? error : 0, "a file could not be read");
        return 500;
    }
    if (rem_http_send_head(request) != REM_OK)
        return REM_HTTP_ERROR;
    sending->buf = (struct rem_buf){.pos = copy, .last = copy + n, .fd = -1, .final = true};
    return result_of(rem_http_send_body(request, &sending->buf));
}

/* Takes: fd. */
static int send_file(struct rem_request *request, int fd, int64_t first, int64_t end)
{
    struct sending *sending = rem_arena_zalloc(&request->arena, sizeof(*sending));
    bool bodiless = request->response.status == 304 || request->method == REM_METHOD_HEAD;

    if (sending == NULL) {
        close(fd);
        return 500;
    }
    *sending = (struct sending){.request = request, .fd = fd, .at = first, .end = end};
    if (!bodiless && first != end && end - first <= IN_MEMORY_MAX)
        return send_small(request, sending);
    if (bodiless || first == end) {
        close(fd);
        return rem_http_send_head(request) == REM_OK ? send_empty(request, sending)
                                                     : REM_HTTP_ERROR;
    }
    if (rem_http_send_head(request) != REM_OK) {
        close(fd);
        return REM_HTTP_ERROR;
    }
    return rem_core_location(request)->sendfile ? send_by_kernel(request, sending)
                                                : send_through_memory(request, sending);
}

static int on_content(struct rem_request *request)
{
    struct rem_str path;
    int64_t first, end;
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
        rem_body_discard(request);
        status = make_head(request, &st, &first, &end);
    }
    if (status != REM_HTTP_OK) {
        close(fd);
        return status;
    }
    return send_file(request, fd, first, end);
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
