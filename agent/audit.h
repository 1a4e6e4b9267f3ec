/* SPDX-License-Identifier: Apache-2.0 */
/* audit.h - a JSON line for every request that changes something, or wanted to.
 *
 *   {"time":"2026-11-20T07:40:00.123Z","request_id":"...","who":"token:ci","role":"write",
 *    "address":"127.0.0.1:4711","method":"PUT","path":"/v1/...","revision_before":7,
 *    "revision_after":8,"status":200}
 *
 * Runs in:    agent, on its loop, before the answer is sent.
 * Delay:      a file gets one write(), which waits for no disk unless the system itself is short of
 *             memory.  Whatever else a descriptor leads to (a pipe to a collector) is written only
 *             if it has room: the line is lost otherwise, and the number of lost lines is logged.
 *             The API goes on in any case.
 * Not here:   what the change was (see /v1/history).  */
#ifndef REM_AGENT_AUDIT_H
#define REM_AGENT_AUDIT_H

#include "api/api.h"
#include "proto/base/log.h"

enum {
    REM_AUDIT_TEXT = 1024, /* bytes of a path, as written */
    REM_AUDIT_UNKNOWN =
        10, /* lines per second about people without a role: they shall fill no disk */
};

struct rem_api_counts;
struct rem_shm_header;

struct rem_audit {
    struct rem_log_file *file; /* borrowed; NULL: none */
    struct rem_syslog *syslog; /* likewise */
    const struct rem_log *log;
    const struct rem_clock *clock;
    int fd;        /* of which `regular` is known; -1: of none */
    bool regular;  /* a file, to be written without asking */
    uint64_t lost; /* lines since this was last told */
    int64_t told_sec;
    int64_t unknown_sec; /* in which so many lines were about people without a role: */
    unsigned unknown;
    int64_t stamp_sec;             /* `stamp` is of this second */
    char stamp[24];                /* "2026-11-20T07:40:00" */
    struct rem_api_counts *counts; /* of what is lost; NULL: nobody wants to know */
    const struct rem_shm_header *header;
};

/* Borrows all. */
void rem_audit_init(struct rem_audit *audit, const struct rem_admin_spec *spec,
                    const struct rem_log *log, const struct rem_clock *clock);

/* The file was opened anew: it may be of another kind. */
void rem_audit_reopened(struct rem_audit *audit);

/* A request has its answer, or (`status` 499) its client has gone.  Requests that ask for nothing
 * but to read are of no interest, unless they came with wrong credentials.  Gives the response a
 * request id. */
void rem_audit_note(struct rem_audit *audit, const struct rem_api_request *request,
                    struct rem_api_response *response, int status, uint64_t before, uint64_t after);

#endif
