/* SPDX-License-Identifier: Apache-2.0 */
/* precondition.h - If-Match, If-None-Match and dry_run: what a request makes its answer depend on.
 *
 * Tags:       revisions in quotes.  What a revision describes are upstreams, servers and tables;
 *             counters and states change without it.  */
#ifndef REM_API_PRECONDITION_H
#define REM_API_PRECONDITION_H

#include "api/call.h"

/* Is the published revision among those of If-Match, if there is one?  A weak tag matches nothing.
 * Errors: REM_EINVAL with the fault. */
int rem_precondition_match(struct rem_api_call *call) REM_MUST_CHECK;

/* May a write go on that has an If-None-Match?  What "*" says, only the handler finds out: see
 * rem_precondition_absent.  Errors: REM_EINVAL with the fault. */
int rem_precondition_none_match(struct rem_api_call *call) REM_MUST_CHECK;

/* Does the client have what it asks for already? */
bool rem_precondition_not_modified(const struct rem_api_call *call);

/* The handler has staged the change.  With If-None-Match: * that may stay only where it makes
 * something new (201); of a POST, something else is made than what its path names.
 * Errors: REM_EINVAL with the fault. */
int rem_precondition_absent(struct rem_api_call *call) REM_MUST_CHECK;

/* Reads ?dry_run=.  Errors: REM_EINVAL with the fault. */
int rem_precondition_dry_run(struct rem_api_call *call, bool *out) REM_MUST_CHECK;

#endif
