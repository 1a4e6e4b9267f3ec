/* SPDX-License-Identifier: Apache-2.0 */
/* rewrite.h - the steps that rewrite, if, set, break and return put into a server or location.
 *
 * Runs in:    the configuration fills the list in the order of the file; workers walk it in the
 *             server-rewrite phase (a server's own) and the rewrite phase (a location's).
 * Blocks:     what stands in an `if` goes to the list of the block around it; the step of the `if`
 *             knows where its part ends.
 * Not here:   the phases themselves (proxy/http/phase.h).  */
#ifndef REM_HTTP_MOD_REWRITE_H
#define REM_HTTP_MOD_REWRITE_H

#include "proxy/conf/array.h"
#include "proxy/conf/capture.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"

/* What an `if` asks. */
enum rem_if_kind {
    REM_IF_TRUE = 0, /* a variable is neither empty nor "0" */
    REM_IF_EQUAL,
    REM_IF_MATCH,
    REM_IF_FILE,
    REM_IF_DIRECTORY,
    REM_IF_EXISTS,
    REM_IF_EXECUTABLE,
};

struct rem_if {
    enum rem_if_kind kind;
    bool negated;
    uint32_t index;         /* TRUE, EQUAL, MATCH: of the variable */
    struct rem_value value; /* EQUAL: what it is compared with; files: the path */
    struct rem_capture regex;
};

/* What `return` answers. */
struct rem_return {
    int status;
    bool has_text;
    struct rem_value value; /* text or URL */
};

/* What `rewrite` makes of a URI. */
struct rem_rewrite {
    struct rem_capture regex;
    struct rem_value uri;  /* up to the first "?"; of a redirect: all of the replacement */
    struct rem_value args; /* behind it */
    int status;            /* 301 or 302: a redirect; 0: the request goes on with the new URI */
    bool has_args;         /* there is a "?" */
    bool drop_args;        /* the replacement ends in "?": the arguments so far are dropped */
    bool last;             /* no further steps */
    bool stay;             /* "break": the location stays, too */
};

enum rem_rewrite_kind {
    REM_REWRITE_SET = 0,
    REM_REWRITE_RETURN,
    REM_REWRITE_URI,
    REM_REWRITE_BREAK,
    REM_REWRITE_IF,
};

struct rem_rewrite_step {
    enum rem_rewrite_kind kind;
    uint32_t index;                                /* SET: of the variable */
    uint32_t end;                                  /* IF: the step behind its block */
    const struct rem_http_location_conf *location; /* IF: its block in a location; else NULL */
    union {
        struct rem_value *value; /* SET */
        struct rem_return *answer;
        struct rem_rewrite *rewrite;
        struct rem_if *condition;
    } u;
};

/* One level: http, server, location or the block of an if. */
struct rem_rewrite_conf {
    struct rem_array *steps; /* of struct rem_rewrite_step; NULL: none; not inherited */
    int log;                 /* rewrite_log */
    int warn_unset;          /* uninitialized_variable_warn */
};

extern struct rem_module rem_rewrite_module;

static inline const struct rem_rewrite_conf *rem_rewrite_conf_of(const struct rem_request *request)
{
    return request->location_conf[rem_rewrite_module.index];
}

/* Appends a step whose kind is all that is known yet; NULL without memory (reported).  The next
 * call may move it. */
struct rem_rewrite_step *rem_rewrite_add(struct rem_conf *cf, struct rem_rewrite_conf *conf,
                                         enum rem_rewrite_kind kind) REM_MUST_CHECK;

/* Whether a configured text begins as the address of another place does. */
bool rem_rewrite_is_url(struct rem_str text);

/* rewrite_uri.c.  Applying returns 1 rewritten (or redirected: finalized), 0 no match, negative:
 * answer 500. */
int rem_rewrite_set(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_rewrite_apply(struct rem_request *request, const struct rem_rewrite *rewrite);

/* Matches for a step: logs it where rewrite_log is on, and empties $1 without a match.  Returns as
 * rem_capture_match. */
int rem_rewrite_match(struct rem_request *request, const struct rem_capture *regex,
                      struct rem_str text);

/* Evaluates a value whose captures are to be as they stood in the request: escaped, if the request
 * came with escapes.  Errors: as rem_http_value. */
int rem_rewrite_eval(struct rem_request *request, const struct rem_value *value,
                     struct rem_str *out) REM_MUST_CHECK;

/* if.c.  Testing returns 1, 0, or negative: answer 500. */
int rem_if_set(struct rem_conf *cf, const struct rem_directive *d, void *conf);
int rem_if_test(struct rem_request *request, const struct rem_if *condition);

/* return.c.  Answering finalizes the request. */
int rem_return_set(struct rem_conf *cf, const struct rem_directive *d, void *conf);
void rem_return_answer(struct rem_request *request, const struct rem_return *answer);

#endif
