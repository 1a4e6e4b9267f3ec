/* SPDX-License-Identifier: Apache-2.0 */
/* regex.h - regular expressions: PCRE2 with JIT, bounded.
 *
 * Runs in:    compiled in the master, matched in its children (each has its own copy after fork; a
 *             regex is not for two threads at a time).
 * Lifecycle:  freed with the arena it was compiled in.
 * Not here:   captures as variables (see proxy/conf/capture.h).  */
#ifndef REM_BASE_REGEX_H
#define REM_BASE_REGEX_H

#include "proto/base/arena.h"
#include "proto/base/err.h"

enum rem_regex_flags {
    REM_REGEX_NOCASE = 1u << 0,
};

struct rem_regex_name {
    struct rem_str name;
    uint32_t number; /* of the capture */
};

struct rem_regex;

/* Errors: REM_EINVAL with err->text as nginx words it:
 * `pcre2_compile() failed: REASON in "PATTERN" at "REST"`, the last part only where something is
 * left; REM_ENOMEM. */
int rem_regex_new(struct rem_arena *arena, struct rem_str pattern, uint32_t flags,
                  struct rem_regex **out, struct rem_err *err) REM_MUST_CHECK;

/* Matches.  Returns the number of captures that are valid ($0 counts, so > 0), 0 without a match,
 * or negative: REM_ETOOBIG when the match limit was reached, REM_ENOMEM, REM_EIO.
 * *ovector: pairs of offsets into subject, valid until the next match of the same regex; a group
 * that took no part has both offsets REM_REGEX_NONE. */
int rem_regex_match(const struct rem_regex *regex, struct rem_str subject,
                    const size_t **ovector) REM_MUST_CHECK;

#define REM_REGEX_NONE (~(size_t)0)

/* Captures in the pattern, $0 not counted. */
uint32_t rem_regex_captures(const struct rem_regex *regex);
struct rem_str rem_regex_pattern(const struct rem_regex *regex);

/* The named captures: *n of them. */
const struct rem_regex_name *rem_regex_names(const struct rem_regex *regex, uint32_t *n);

#endif
