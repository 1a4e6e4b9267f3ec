/* SPDX-License-Identifier: Apache-2.0 */
/* file.h - opening and testing files for a request, through open_file_cache where that is on.
 *
 * Cost:       with the cache, nothing is asked of the file system about a path that was looked at
 *             within open_file_cache_valid.  */
#ifndef REM_HTTP_MOD_FILE_H
#define REM_HTTP_MOD_FILE_H

#include "proxy/http/path_cache.h"
#include "proxy/http/request.h"

struct rem_file {
    int fd; /* -1: none; a directory may have none */
    struct stat st;
    struct rem_open_file *shared; /* NULL: the descriptor is this file's own */
};

/* Opens a file or a directory for reading.  `path` ends in a NUL that its length does not count.
 * Returns: 0, or an errno (ENOENT for a path with a NUL in it); close the file after 0. */
int rem_file_open(struct rem_request *request, struct rem_str path,
                  struct rem_file *file) REM_MUST_CHECK;
void rem_file_close(struct rem_file *file);

/* What the path leads to, as stat.  Returns: 0, or an errno. */
int rem_file_stat(struct rem_request *request, struct rem_str path, struct stat *st) REM_MUST_CHECK;

#endif
