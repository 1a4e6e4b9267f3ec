/* SPDX-License-Identifier: Apache-2.0 */
/* memfile.h - an input as a file, for code that reads files: in memory, under a path. */
#ifndef REM_FUZZ_MEMFILE_H
#define REM_FUZZ_MEMFILE_H

#include "proto/base/err.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MEMFILE_PATH = 32 };

/* Fills the file with other bytes; made when *fd is -1. */
static inline void memfile_set(int *fd, char path[MEMFILE_PATH], const void *bytes, size_t n)
{
    if (*fd < 0)
        *fd = memfd_create("fuzz", MFD_CLOEXEC);
    REM_CHECK(*fd >= 0);
    REM_CHECK(ftruncate(*fd, 0) == 0 && pwrite(*fd, bytes, n, 0) == (ssize_t)n);
    (void)snprintf(path, MEMFILE_PATH, "/proc/self/fd/%d", *fd);
}

#endif
