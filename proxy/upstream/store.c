/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/store.h"

#include "proto/wire/date.h"
#include "proxy/conf/merge.h"
#include "proxy/http/core.h"
#include "proxy/net/setup.h"
#include "proxy/upstream/upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

struct rem_store {
    int fd; /* -1: closed */
    struct rem_str temp, path;
};

/* ---- directives ---- */

int rem_store_parse(struct rem_conf *cf, struct rem_upstream_store **at)
{
    struct rem_upstream_store *store;

    if (*at != REM_CONF_UNSET_PTR)
        return rem_conf_duplicate(cf);
    if (rem_str_is(cf->args[1], "off")) {
        *at = NULL;
        return 0;
    }
    store = rem_arena_zalloc(cf->arena, sizeof(*store));
    if (store == NULL)
        return rem_conf_nomem(cf);
    *at = store;
    if (rem_str_is(cf->args[1], "on"))
        return 0;
    if (cf->args[1].n == 0)
        return rem_conf_error(cf, "empty path");
    store->path = rem_arena_zalloc(cf->arena, sizeof(*store->path));
    if (store->path == NULL)
        return rem_conf_nomem(cf);
    return rem_value_compile(cf, rem_conf_path(cf, cf->args[1], REM_BASE_PREFIX), store->path);
}

/* "rw" or "r" behind the colon, for the bits of the user, the group or all. */
static int parse_rights(struct rem_str text, int *rights)
{
    if (rem_str_is(text, "rw"))
        *rights = 6;
    else if (rem_str_is(text, "r"))
        *rights = 4;
    else
        return REM_EINVAL;
    return 0;
}

int rem_store_parse_access(struct rem_conf *cf, int *mode)
{
    static const struct {
        struct rem_str name;
        int shift;
    } who[] = {{{"user:", 5}, 6}, {{"group:", 6}, 3}, {{"all:", 4}, 0}};

    if (*mode != REM_CONF_UNSET)
        return rem_conf_duplicate(cf);
    *mode = 0600;
    for (size_t i = 1; i < cf->n_args; i++) {
        int rights = 0;

        for (size_t k = 0; k < REM_COUNT(who) && rights == 0; k++) {
            if (!rem_str_has_prefix(cf->args[i], who[k].name))
                continue;
            if (parse_rights(rem_str_skip(cf->args[i], who[k].name.n), &rights) != 0)
                break;
            *mode |= rights << who[k].shift;
        }
        if (rights == 0)
            return rem_conf_error(cf, "invalid value \"%s\"", cf->args[i].p);
    }
    return 0;
}

/* ---- the file ---- */

static void store_failed(struct rem_upstream_exchange *x, const char *what, const char *path)
{
    REM_LOG_IN(&x->request->log, REM_LOG_CRIT, errno, "%s \"%s\" failed", what, path);
}

static int store_path(struct rem_upstream_exchange *x, struct rem_str *path)
{
    const struct rem_value *value = x->policy->store->path;
    int rc;

    if (value == NULL)
        return rem_core_file(x->request, path);
    rc = rem_value_eval_z(value, &x->request->eval, path);
    if (rc == 0 && rem_core_leads_out(x->request, *path, value, path->n))
        rc = REM_EACCES;
    return rc;
}

void rem_store_begin(struct rem_upstream_exchange *x)
{
    struct rem_request *request = x->request;
    struct rem_store *store;

    if (x->policy->store == NULL || x->status != 200 || x->upgraded ||
        request->method == REM_METHOD_HEAD)
        return;
    store = rem_arena_zalloc(&request->arena, sizeof(*store));
    if (store == NULL || store_path(x, &store->path) != 0)
        return;
    store->temp =
        rem_arena_printf(&request->arena, "%.*s/storeXXXXXX", REM_STR_ARG(x->policy->temp_path));
    if (store->temp.p == NULL)
        return;
    store->fd = mkostemp((char *)(uintptr_t)store->temp.p, O_CLOEXEC);
    if (store->fd < 0) {
        store_failed(x, "creating", store->temp.p);
        return;
    }
    x->store = store;
}

static void store_drop(struct rem_upstream_exchange *x)
{
    struct rem_store *store = x->store;

    x->store = NULL;
    if (store->fd >= 0)
        close(store->fd);
    (void)unlink(store->temp.p);
}

void rem_store_write(struct rem_upstream_exchange *x, const char *p, size_t n)
{
    while (x->store != NULL && n > 0) {
        ssize_t done = write(x->store->fd, p, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            store_failed(x, "writing", x->store->temp.p);
            store_drop(x);
            return;
        }
        p += done;
        n -= (size_t)done;
    }
}

/* Makes the directories above a file.  A directory may be searched by whoever may read files. */
static void make_dirs(const char *path, int mode)
{
    char copy[4096];

    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return;
    mode |= (mode & 0444) >> 2;
    for (char *at = copy + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(copy, (mode_t)mode);
        *at = '/';
    }
}

/* Gives a file that is complete its mode, and the time that the response has. */
static int store_dress(struct rem_upstream_exchange *x, int fd)
{
    const struct rem_field *modified = rem_fields_find(x->fields, REM_FIELD_LAST_MODIFIED);
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    time_t now = x->request->worker->loop.clock.wall_sec, when;

    if (modified != NULL && rem_date_parse(modified->value, now, &when) == 0)
        times[1] = (struct timespec){.tv_sec = when};
    return fchmod(fd, (mode_t)x->policy->store_access) == 0 && futimens(fd, times) == 0 ? 0
                                                                                        : REM_EIO;
}

/* Copies the file to the file system it is for, under a name that mkostemp makes of `to`. */
static int store_copy(struct rem_upstream_exchange *x, char *to)
{
    int fd = mkostemp(to, O_CLOEXEC), rc, error;
    off_t at = 0;
    ssize_t n;

    if (fd < 0)
        return REM_EIO;
    do
        n = sendfile(fd, x->store->fd, &at, 1 << 20);
    while (n > 0 || (n < 0 && errno == EINTR));
    rc = n == 0 ? store_dress(x, fd) : REM_EIO;
    error = errno;
    if (close(fd) != 0 && rc == 0) {
        rc = REM_EIO;
        error = errno;
    }
    if (rc != 0)
        (void)unlink(to);
    errno = error;
    return rc;
}

static int store_rename(struct rem_upstream_exchange *x)
{
    const char *from = x->store->temp.p, *to = x->store->path.p;
    struct rem_str beside;

    if (rename(from, to) == 0)
        return 0;
    if (errno == ENOENT) {
        make_dirs(to, x->policy->store_access);
        if (rename(from, to) == 0)
            return 0;
    }
    if (errno != EXDEV)
        return REM_EIO;
    /* Whoever looks must never find half a file, so it gets its name there too by a rename. */
    beside = rem_arena_printf(&x->request->arena, "%s.XXXXXX", to);
    if (beside.p == NULL || store_copy(x, (char *)(uintptr_t)beside.p) != 0)
        return REM_EIO;
    if (rename(beside.p, to) != 0) {
        (void)unlink(beside.p);
        return REM_EIO;
    }
    (void)unlink(from);
    return 0;
}

void rem_store_finish(struct rem_upstream_exchange *x)
{
    struct rem_store *store = x->store;

    if (store == NULL)
        return;
    if (store_dress(x, store->fd) != 0 || store_rename(x) != 0) {
        store_failed(x, "storing", store->path.p);
        store_drop(x);
        return;
    }
    close(store->fd);
    x->store = NULL;
}

void rem_store_fini(struct rem_upstream_exchange *x)
{
    if (x->store != NULL)
        store_drop(x);
}
