/* SPDX-License-Identifier: Apache-2.0 */
/* check_spec.h - health checks as the configuration wants them: what is asked of servers, how
 * often, and what an answer must be like.
 *
 * Runs in:    the master makes them when it reads a configuration; the agent checks by them.
 * Ownership:  everything lives in the configuration's arena, which the agent inherits by fork.
 * Why here:   proxy and agent never include each other; both may include this.  */
#ifndef REM_SHM_CHECK_SPEC_H
#define REM_SHM_CHECK_SPEC_H

#include "proto/base/addr.h"
#include "proto/base/regex.h"
#include "proto/base/str.h"

struct rem_fields;
struct rem_log;

enum { REM_CHECK_BODY_MAX = 256 << 10 }; /* what tests of bodies look at */

/* Inclusive. */
struct rem_check_range {
    uint16_t from, to;
};

enum rem_match_subject {
    REM_MATCH_STATUS = 0,
    REM_MATCH_HEADER,
    REM_MATCH_BODY,
    REM_MATCH_REQUIRE, /* all variables are something */
};

enum rem_match_how {
    REM_MATCH_RANGES = 0, /* a status is in one of them */
    REM_MATCH_EXISTS,     /* a field is there */
    REM_MATCH_EQUALS,
    REM_MATCH_REGEX,
};

/* What a response is, for tests that are the configuration's own to evaluate. */
struct rem_check_answer {
    unsigned status;
    const struct rem_fields *fields; /* of the head, proto/wire/field.h */
    struct rem_str addr;             /* of the server, as text */
    uint64_t connect_ms, header_ms;
    uint64_t received; /* bytes */
};

/* One line of a `match` block. */
struct rem_check_test {
    enum rem_match_subject subject;
    enum rem_match_how how;
    bool negated;                         /* the response passes when the test is not met */
    const struct rem_check_range *ranges; /* RANGES */
    size_t range_count;
    struct rem_str name;           /* of the field */
    struct rem_str value;          /* EQUALS; otherwise the pattern */
    const struct rem_regex *regex; /* REGEX */
    /* REQUIRE: are all the variables behind `data` neither empty nor "0"? */
    bool (*require)(void *data, const struct rem_check_answer *answer);
    void *data;
};

struct rem_match_spec {
    struct rem_str name;
    const struct rem_check_test *tests; /* all must be passed */
    size_t count;
    bool body; /* some test looks at it */
};

/* A `health_check` line. */
struct rem_check_spec {
    struct rem_str upstream;
    const struct rem_match_spec *match; /* NULL: the status is 2xx or 3xx */
    struct rem_str request;             /* all bytes that are sent */
    struct rem_addr local;              /* where connections come from; len 0: anywhere */
    uint32_t interval_ms, jitter_ms;
    uint32_t fails, passes; /* in a row, that change the server's state */
    uint16_t port;          /* 0: the server's own */
    bool mandatory;         /* no traffic before the first check has passed */
    bool persistent;        /* with mandatory: not again after a reload */
    uint32_t keepalive_ms;  /* age up to which a connection is used again; 0: one check only */
    uint32_t connect_ms, send_ms, read_ms; /* timeouts */
    uint32_t head_max;                     /* bytes that a response's head may have */
    const struct rem_log *log;             /* the location's */
};

/* The name shown in logs and events; empty: the check has no match block. */
static inline struct rem_str rem_check_name(const struct rem_check_spec *spec)
{
    return spec->match != NULL ? spec->match->name : REM_STR("");
}

#endif
