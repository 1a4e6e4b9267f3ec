/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Written beside and renamed, so that nobody ever reads an empty one. */
int rem_pidfile_write(const char *path, pid_t pid)
{
    char temporary[PATH_MAX + 8];
    char text[32];
    int n = snprintf(text, sizeof(text), "%d\n", (int)pid);
    int fd;

    snprintf(temporary, sizeof(temporary), "%s.new", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return REM_EIO;
    if (write(fd, text, (size_t)n) != n || rename(temporary, path) != 0) {
        int saved = errno;

        close(fd);
        unlink(temporary);
        errno = saved;
        return REM_EIO;
    }
    close(fd);
    return REM_OK;
}

int rem_pidfile_read(const char *path, pid_t *out)
{
    char text[32];
    struct rem_str s;
    uint64_t value;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return REM_EIO;
    n = read(fd, text, sizeof(text));
    close(fd);
    if (n < 0)
        return REM_EIO;
    s = rem_str_make(text, (size_t)n);
    while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == ' '))
        s.n--;
    if (rem_str_to_u64(s, INT_MAX, &value) != REM_OK || value == 0)
        return REM_EINVAL;
    *out = (pid_t)value;
    return REM_OK;
}
