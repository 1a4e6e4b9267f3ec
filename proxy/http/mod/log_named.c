/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/log_named.h"

#include "proxy/http/core.h"
#include "proxy/http/mod/log_buffer.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name made of what a client sent must not leave the directory it was meant for. */
static bool is_safe(struct rem_str path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '\0' ||
            (path.p[i] == '/' && rem_str_has_prefix(rem_str_skip(path, i), REM_STR("/../"))))
            return false;
    }
    return true;
}

/* Who can make up host names (say) is not to fill the disk with files named after them: there has
 * to be a root for what was asked for. */
static bool has_root(struct rem_request *request)
{
    struct rem_str path;
    struct stat st;
    size_t n;
    char *root;

    if (rem_core_path(request, &path, &n) != 0)
        return false;
    root = rem_arena_alloc(&request->arena, n + 1);
    if (root == NULL)
        return false;
    memcpy(root, path.p, n);
    root[n] = '\0';
    if (stat(root, &st) != 0) {
        int code = errno;

        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0,
                   "testing \"%s\" existence failed (%d: %s) while logging request", root, code,
                   strerror(code));
        return false;
    }
    return S_ISDIR(st.st_mode);
}

static int open_named(struct rem_request *request, const char *path)
{
    struct rem_log_file file = {.fd = -1, .path = path};

    if (!has_root(request))
        return -1;
    if (rem_log_file_open(&file) != 0) {
        int code = errno;

        REM_LOG_IN(&request->log, REM_LOG_CRIT, 0,
                   "open() \"%s\" failed (%d: %s) while logging request", path, code,
                   strerror(code));
    }
    return file.fd;
}

/* The descriptor of a file that is not open yet; *kept: it is the cache's. */
static int open_and_keep(struct rem_request *request, struct rem_path_cache *cache,
                         struct rem_path_entry *entry, struct rem_str path, bool *kept)
{
    int fd = open_named(request, path.p);
    struct stat st;

    *kept = false;
    if (fd < 0 || cache == NULL || fstat(fd, &st) != 0)
        return fd;
    if (entry == NULL) /* only files that can be opened take a place */
        entry = rem_path_cache_add(cache, &request->worker->loop.timers, path);
    *kept = entry != NULL && rem_path_keep(cache, entry, fd, &st);
    return fd;
}

void rem_log_named_write(struct rem_request *request, const struct rem_value *name,
                         struct rem_path_cache *cache, struct rem_str line)
{
    struct rem_timers *timers = &request->worker->loop.timers;
    struct rem_path_entry *entry = NULL;
    struct rem_log_file file = {.fd = -1};
    struct rem_str path;
    bool kept = true;

    if (rem_value_eval_z(name, &request->eval, &path) != 0 || path.n == 0 ||
        path.p[path.n - 1] == '/' || !is_safe(path))
        return;
    file.path = path.p;
    if (cache != NULL)
        entry = rem_path_cache_find(cache, timers, path);
    if (entry != NULL)
        file.fd = rem_path_current(cache, entry);
    if (file.fd < 0)
        file.fd = open_and_keep(request, cache, entry, path, &kept);
    if (file.fd < 0)
        return;
    rem_log_buffer_write(request->worker, &file, line);
    if (!kept)
        close(file.fd);
}
