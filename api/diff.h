/* SPDX-License-Identifier: Apache-2.0 */
/* diff.h - the difference that a change of the registry makes, as JSON.
 *
 * Form:       "upstreams": {NAME: {"change": "added" | "removed" | "changed",
 *               "before": {...}, "after": {...},            what differs besides servers
 *               "servers": {"added": [...], "removed": [...], "changed": [...], "order": [...]}}},
 *             "tables": [{"kind", "name", "change"}]
 *             "inexact": true stands where what was there cannot be told, as it is no UTF-8.
 *             Members that say nothing are left out.  A server is written with its id, its address
 *             and what is not the default; a removed one with the place ("at") where it was; a
 *             changed one with what differs, "before" and "after".  "order" has the ids as they
 *             were when those that stayed stand in another order now.
 * Contract:   what is as it was after the change can be made out of what is there now and the
 *             difference (see undo.h), unless that is "inexact" or "large".
 * Cost:       where single servers were changed, only these are looked at.  */
#ifndef REM_API_DIFF_H
#define REM_API_DIFF_H

#include "api/json.h"
#include "proto/shm/writer.h"

/* Appends the members, without braces around them.  `brief`: of changed upstreams only that they
 * have changed, with "large": true.  Errors: REM_ENOMEM. */
int rem_diff_write(const struct rem_writer *writer, struct rem_change *change, bool brief,
                   struct rem_sbuf *out) REM_MUST_CHECK;

/* Is an upstream one that users see? */
static inline bool rem_diff_is_shown(const struct rem_upstream_spec *spec)
{
    return !(spec->flags & (REM_UPSTREAM_IMPLICIT | REM_UPSTREAM_ORPHAN));
}

#endif
