/* SPDX-License-Identifier: Apache-2.0 */
/* diff_server.h - a server as a difference has it; the form is described in diff.h.
 *
 * Not here:   which servers differ (diff.c), a server as the API shows it (server_json.h).  */
#ifndef REM_API_DIFF_SERVER_H
#define REM_API_DIFF_SERVER_H

#include "proto/base/sbuf.h"
#include "proto/shm/spec.h"

/* Appends a server as a whole; `at`: its place, or SIZE_MAX for none. */
void rem_diff_server_put(struct rem_sbuf *out, const struct rem_server_spec *server, size_t at);

/* Appends what has changed of a server. */
void rem_diff_server_put_changed(struct rem_sbuf *out, const struct rem_server_spec *before,
                                 const struct rem_server_spec *after);

/* Whether there is nothing to be told of a change from one to the other. */
bool rem_diff_server_same(const struct rem_server_spec *a, const struct rem_server_spec *b);

/* Whether what a difference says of a server that was removed (`after` NULL) or changed says
 * exactly what it was: JSON has no words for bytes that are not UTF-8. */
bool rem_diff_server_exact(const struct rem_server_spec *before,
                           const struct rem_server_spec *after);

#endif
