/* SPDX-License-Identifier: Apache-2.0 */
/* phase.h - the phases of a request, compiled into one flat array of handlers.
 *
 * Runs in:    workers; the array is built when the configuration is read.
 * Each phase has a checker that says what a handler's result means there:
 *   post-read, server-rewrite, rewrite, preaccess, precontent: OK ends the phase, DECLINED tries
 * the next handler, AGAIN and DONE suspend, anything else finalizes the request. find-config:
 * chooses the location; its result replaces location_conf. post-rewrite: runs find-config again
 * when a rewrite changed the URI, at most ten times. access: with `satisfy all` OK and DECLINED go
 * on, with `satisfy any` the first OK ends it. post-access: refuses what the access phase refused.
 *   content: the location's own handler if it has one, else each handler until one does not
 * decline; 404 (or 403 for a URI ending in "/") when none is left. log: all handlers, results
 * ignored, run by finalization.  */
#ifndef REM_HTTP_PHASE_H
#define REM_HTTP_PHASE_H

#include "proxy/http/request.h"

enum rem_phase {
    REM_PHASE_POST_READ = 0,
    REM_PHASE_SERVER_REWRITE,
    REM_PHASE_FIND_CONFIG,
    REM_PHASE_REWRITE,
    REM_PHASE_POST_REWRITE,
    REM_PHASE_PREACCESS,
    REM_PHASE_ACCESS,
    REM_PHASE_POST_ACCESS,
    REM_PHASE_PRECONTENT,
    REM_PHASE_CONTENT,
    REM_PHASE_LOG,
    REM_PHASE_COUNT,
};

/* Returns an enum rem_http_result or a status. */
typedef int (*rem_phase_fn)(struct rem_request *request);

struct rem_http_setup;
struct rem_phase_engine;

/* http block: makes the flat array of what modules have registered, in the configuration's arena.
 * Errors: REM_ENOMEM. */
int rem_phase_compile(struct rem_http_setup *setup,
                      const struct rem_phase_engine **out) REM_MUST_CHECK;

/* Where a request enters: a client's at post-read, a redirected one at server-rewrite, one sent to
 * a named location at rewrite. */
void rem_phase_enter(struct rem_request *request, enum rem_phase phase);

/* Runs phases from request->phase on until one suspends or the request is finalized. */
void rem_phase_run(struct rem_request *request);

/* Runs the log phase. */
void rem_phase_log(struct rem_request *request);

#endif
