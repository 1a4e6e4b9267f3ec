/* SPDX-License-Identifier: Apache-2.0 */
/* log_named.h - lines for log files whose names have variables.
 *
 * Runs in:    workers.
 * Files:      opened for a line and closed again, unless open_log_file_cache keeps them.  A name
 *             that would lead out of its directory, and one for a request whose root is not there,
 *             get no file.  */
#ifndef REM_HTTP_MOD_LOG_NAMED_H
#define REM_HTTP_MOD_LOG_NAMED_H

#include "proxy/http/path_cache.h"
#include "proxy/http/request.h"

/* Appends `line` to the file that `name` is for the request; failures are logged.  `cache` NULL: no
 * file is kept open. */
void rem_log_named_write(struct rem_request *request, const struct rem_value *name,
                         struct rem_path_cache *cache, struct rem_str line);

#endif
