/* SPDX-License-Identifier: Apache-2.0 */
/* capture.h - a regular expression whose captures become $1..$9 and variables.
 *
 * For location ~, server_name ~, rewrite, if ~, map ~.  */
#ifndef REM_CONF_CAPTURE_H
#define REM_CONF_CAPTURE_H

#include "proto/base/regex.h"
#include "proxy/conf/var.h"

struct rem_capture {
    struct rem_regex *regex;
    struct rem_capture_var {
        uint32_t index;  /* of the variable */
        uint32_t number; /* of the capture */
    } * vars;
    uint32_t n_vars;
};

/* Compiles a pattern in cf->arena and defines a CHANGEABLE variable in cf->vars for each named
 * capture.  Reports errors of the pattern with file and line. */
int rem_capture_compile(struct rem_conf *cf, struct rem_str pattern, uint32_t flags,
                        struct rem_capture *out) REM_MUST_CHECK;

/* Matches; on success the captures of `e` are those of this match (subject and offsets copied into
 * e->arena, but only if the pattern has captures) and the named ones are set.
 * Returns 1 matched, 0 not (nothing changed), negative as rem_regex_match.
 * In nginx a `rewrite` or `if` that does not match empties $1 as well; their module does that by
 * e->n_captures = 0. */
int rem_capture_match(const struct rem_capture *capture, struct rem_eval *e,
                      struct rem_str subject) REM_MUST_CHECK;

#endif
