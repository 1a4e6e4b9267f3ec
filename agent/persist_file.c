/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/persist_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* ---- the system ---- */

static int system_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

static int system_exchange(const char *one, const char *other)
{
    return renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

const struct rem_persist_calls rem_persist_system = {
    .open = system_open,
    .write = write,
    .fsync = fsync,
    .close = close,
    .rename = rename,
    .exchange = system_exchange,
    .unlink = unlink,
};

/* ---- one file ---- */

static void fail(struct rem_persist_write *write, const char *step)
{
    write->error = errno != 0 ? errno : EIO;
    write->step = step;
}

/* Returns: false with errno if the name is too long. */
static bool name_beside(const char *path, const char *tail, char out[PATH_MAX])
{
    if (snprintf(out, PATH_MAX, "%s%s", path, tail) < PATH_MAX)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

/* The length of the directory's part of a path; 0: the current one. */
static size_t dir_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return 0;
    return slash == path ? 1 : (size_t)(slash - path);
}

/* Returns: 0, or -1 with errno.  A write that failed is never tried again on the same file, as the
 * kernel may have dropped what it could not write. */
static int write_new(const struct rem_persist_calls *calls, const char *path, struct rem_str text)
{
    int fd, rc = 0;

    if (calls->unlink(path) != 0 && errno != ENOENT)
        return -1;
    fd = calls->open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    while (rc == 0 && text.n != 0) {
        ssize_t n = calls->write(fd, text.p, text.n);
        if (n < 0 && errno != EINTR)
            rc = -1;
        else if (n > 0)
            text = rem_str_skip(text, (size_t)n);
    }
    if (rc == 0)
        rc = calls->fsync(fd);
    int error = errno;
    if (calls->close(fd) != 0 && rc == 0)
        return -1;
    errno = error;
    return rc;
}

/* Makes the new file beside the old one. */
static void prepare(const struct rem_persist_calls *calls, struct rem_persist_write *write)
{
    char fresh[PATH_MAX];

    write->error = 0;
    write->step = NULL;
    errno = 0;
    if (!name_beside(write->path, ".new", fresh)) {
        fail(write, "write");
    } else if (write_new(calls, fresh, write->text) != 0) {
        fail(write, "write");
        (void)calls->unlink(fresh);
    }
}

/* Puts the new file in the old one's place.  One that is kept goes aside, and there is no moment
 * without a file. */
static void put_in_place(const struct rem_persist_calls *calls, struct rem_persist_write *write)
{
    char fresh[PATH_MAX], aside[PATH_MAX];
    int rc;

    errno = 0;
    if (!name_beside(write->path, ".new", fresh) || !name_beside(write->path, ".broken", aside)) {
        fail(write, "rename");
        return;
    }
    if (write->aside && calls->exchange(fresh, write->path) == 0)
        rc = calls->rename(fresh, aside);
    else
        rc = calls->rename(fresh, write->path);
    if (rc != 0) {
        fail(write, "rename");
        (void)calls->unlink(fresh);
    }
}

/* ---- directories ---- */

static bool same_dir(const char *a, const char *b)
{
    size_t n = dir_length(a);

    return dir_length(b) == n && memcmp(a, b, n) == 0;
}

/* Returns: 0, or -1 with errno. */
static int sync_dir(const struct rem_persist_calls *calls, const char *path)
{
    char dir[PATH_MAX];
    int fd, rc;

    if (!name_beside(path, "", dir))
        return -1;
    dir[dir_length(path)] = '\0';
    fd = calls->open(dir[0] != '\0' ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    rc = calls->fsync(fd);
    int error = errno;
    (void)calls->close(fd);
    errno = error;
    return rc != 0 && error == EINVAL ? 0 : rc; /* a file system that has no such thing */
}

/* Has the directory of write `at` been synced for an earlier one? */
static bool is_synced(const struct rem_persist_write *writes, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (writes[i].error == 0 && same_dir(writes[i].path, writes[at].path))
            return true;
    return false;
}

/* A directory that cannot be synced fails all that was put into it. */
static void sync_dirs(const struct rem_persist_calls *calls, struct rem_persist_write *writes,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        errno = 0;
        if (writes[i].error != 0 || is_synced(writes, i) || sync_dir(calls, writes[i].path) == 0)
            continue;
        int error = errno;
        for (size_t k = i; k < count; k++) {
            if (writes[k].error != 0 || !same_dir(writes[i].path, writes[k].path))
                continue;
            errno = error;
            fail(&writes[k], "sync the directory of");
        }
    }
}

void rem_persist_write_all(const struct rem_persist_calls *calls, struct rem_persist_write *writes,
                           size_t count)
{
    for (size_t i = 0; i < count; i++)
        prepare(calls, &writes[i]);
    for (size_t i = 0; i < count; i++)
        if (writes[i].error == 0)
            put_in_place(calls, &writes[i]);
    sync_dirs(calls, writes, count);
}
