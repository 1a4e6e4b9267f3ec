/* SPDX-License-Identifier: Apache-2.0 */
/* undo.h - makes what was there before a revision out of what is there now and the differences.
 *
 * Memory:     one difference at a time; what it leaves lies in the call's arena.
 * Lifecycle:  init -> revert (from the latest revision backwards) -> stage -> fini.
 * What the configuration decides:  which upstreams it names.  One that it no longer names does not
 *             come back, one that it names since does not go; both are told.  */
#ifndef REM_API_UNDO_H
#define REM_API_UNDO_H

#include "api/call.h"

struct rem_undo_upstream;

enum { REM_UNDO_CHAINS = 1024 };

struct rem_undo {
    struct rem_api_call *call;
    struct rem_undo_upstream *first; /* in the call's arena, as all else */
    struct rem_undo_upstream *by_name[REM_UNDO_CHAINS];
    json_t *refused; /* what cannot be restored: [{"upstream" | "table", "reason"}] */
};

/* Errors, here and below: REM_EINVAL with the fault. */
int rem_undo_init(struct rem_undo *undo, struct rem_api_call *call) REM_MUST_CHECK;
void rem_undo_fini(struct rem_undo *undo);

/* `body` is the body of a revision's record; it is used up, and still the caller's to free. */
int rem_undo_revert(struct rem_undo *undo, json_t *body) REM_MUST_CHECK;

/* Takes the steps that lead there on the call's change, which holds nothing else.  *restored: an
 * array of the names of the upstreams that are altered; the caller's. */
int rem_undo_stage(struct rem_undo *undo, json_t **restored) REM_MUST_CHECK;

#endif
