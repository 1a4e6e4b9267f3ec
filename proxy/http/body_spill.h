/* SPDX-License-Identifier: Apache-2.0 */
/* body_spill.h - the temporary file of a request body that does not fit into memory.
 *
 * Lifecycle:  open -> write* -> close.  The file has no name, so that nothing is left behind
 *             whatever happens, unless client_body_in_file_only wants one, or $request_body_file
 *             shows it; but for `client_body_in_file_only on` it is removed at close.  */
#ifndef REM_HTTP_BODY_SPILL_H
#define REM_HTTP_BODY_SPILL_H

#include "proxy/http/request.h"

struct rem_body_file {
    int fd;              /* -1: not open */
    off_t size;          /* bytes written */
    struct rem_str path; /* in the request's arena, NUL-terminated; empty: no name */
    bool remove;         /* at close */
};

/* In the location's client_body_temp_path.  Errors: REM_EIO (logged), REM_ENOMEM. */
int rem_body_file_open(struct rem_request *request, struct rem_body_file *file) REM_MUST_CHECK;

/* Appends.  Errors: REM_EIO (logged). */
int rem_body_file_write(struct rem_request *request, struct rem_body_file *file, const char *p,
                        size_t n) REM_MUST_CHECK;

void rem_body_file_close(struct rem_body_file *file);

#endif
