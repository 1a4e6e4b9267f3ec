/* SPDX-License-Identifier: Apache-2.0 */
/* core_names.h - the server names of one address, and which of them fits a host.
 *
 * Preference: as hostmap.h; then the first regex in the order of the file.  */
#ifndef REM_HTTP_CORE_NAMES_H
#define REM_HTTP_CORE_NAMES_H

#include "proxy/conf/capture.h"
#include "proxy/conf/hostmap.h"

struct rem_http_server_conf;

/* A name as server_name gave it. */
struct rem_http_server_name {
    struct rem_str name; /* lower case; "*.x", ".x", "x.*", "~pattern" */
    struct rem_capture *regex;
};

struct rem_http_names_regex {
    const struct rem_capture *regex;
    const struct rem_http_server_conf *server;
};

struct rem_http_names {
    struct rem_arena *arena;
    struct rem_hostmap hosts;
    struct rem_http_names_regex *regexes;
    uint32_t n_regexes;
    uint32_t room_regexes;
};

void rem_http_names_init(struct rem_http_names *names, struct rem_arena *arena);

/* Errors: REM_EEXIST (another server has the name already; nothing changed), REM_EINVAL (a
 * wildcard in the middle, or no name), REM_ENOMEM. */
int rem_http_names_add(struct rem_http_names *names, const struct rem_http_server_name *name,
                       const struct rem_http_server_conf *server) REM_MUST_CHECK;

/* *out is the server that fits `host` (lower case), or NULL.  A regex is asked only with `eval`,
 * and leaves its captures there.  Errors: REM_ENOMEM, REM_ETOOBIG (match limit). */
int rem_http_names_find(const struct rem_http_names *names, struct rem_str host,
                        struct rem_eval *eval,
                        const struct rem_http_server_conf **out) REM_MUST_CHECK;

#endif
