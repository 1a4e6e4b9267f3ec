/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/body_spill.h"

#include "proxy/http/core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A file under a new name. */
static int open_named(struct rem_request *request, struct rem_str dir, struct rem_body_file *file)
{
    file->path = rem_arena_printf(&request->arena, "%.*s/bodyXXXXXX", REM_STR_ARG(dir));
    if (file->path.p == NULL)
        return REM_ENOMEM;
    file->fd = mkostemp((char *)(uintptr_t)file->path.p, O_CLOEXEC);
    return file->fd >= 0 ? REM_OK : REM_EIO;
}

static int open_nameless(struct rem_request *request, struct rem_str dir,
                         struct rem_body_file *file)
{
    struct rem_str path = rem_arena_dup(&request->arena, dir);
    int rc;

    if (path.p == NULL)
        return REM_ENOMEM;
    file->fd = open(path.p, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file->fd >= 0)
        return REM_OK;
    if (errno != EOPNOTSUPP && errno != EISDIR)
        return REM_EIO;
    rc = open_named(request, dir, file); /* a file system that cannot do without names */
    if (rc == REM_OK)
        unlink(file->path.p);
    file->path = (struct rem_str){NULL, 0};
    return rc;
}

int rem_body_file_open(struct rem_request *request, struct rem_body_file *file)
{
    const struct rem_http_location_conf *loc = rem_core_location(request);
    struct rem_str dir = loc->client_body_temp_path;
    bool shown = rem_core_main(request)->shows_body_file;
    bool named = loc->client_body_in_file_only != REM_IN_FILE_OFF || shown;
    int rc;

    while (dir.n > 1 && dir.p[dir.n - 1] == '/')
        dir.n--;
    *file = (struct rem_body_file){.fd = -1};
    rc = named ? open_named(request, dir, file) : open_nameless(request, dir, file);
    if (rc != REM_OK) {
        REM_LOG_IN(&request->log, REM_LOG_CRIT, errno, "cannot make a temporary file in \"%.*s\"",
                   REM_STR_ARG(dir));
        file->fd = -1;
        return rc;
    }
    file->remove = loc->client_body_in_file_only != REM_IN_FILE_ON;
    REM_LOG_IN(&request->log, REM_LOG_WARN, 0,
               "a client request body is buffered to a temporary file in %.*s", REM_STR_ARG(dir));
    return REM_OK;
}

int rem_body_file_write(struct rem_request *request, struct rem_body_file *file, const char *p,
                        size_t n)
{
    while (n > 0) {
        ssize_t done = pwrite(file->fd, p, n, file->size);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            REM_LOG_IN(&request->log, REM_LOG_CRIT, errno,
                       "writing a request body to a temporary file failed");
            return REM_EIO;
        }
        file->size += done;
        p += done;
        n -= (size_t)done;
    }
    return REM_OK;
}

void rem_body_file_close(struct rem_body_file *file)
{
    if (file->fd < 0)
        return;
    close(file->fd);
    file->fd = -1;
    if (file->remove && file->path.n != 0)
        unlink(file->path.p);
}
