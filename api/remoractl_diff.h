/* SPDX-License-Identifier: Apache-2.0 */
/* remoractl_diff.h - a difference between two revisions, for people.
 *
 * Runs in:    remoractl.
 * Form:       what /v1 answers to dry_run and keeps in its history: members "upstreams" and
 *             "tables" (see the API's description).  */
#ifndef REM_API_REMORACTL_DIFF_H
#define REM_API_REMORACTL_DIFF_H

#include <jansson.h>
#include <stdbool.h>

/* Is there any?  An upstream that was touched and is as before does not count. */
bool rem_ctl_diff_any(const json_t *difference);

/* Prints it, a line for each change.  Returns: whether there was any. */
bool rem_ctl_diff_print(const json_t *difference);

/* The same in a line: "app: +1 -2 ~1 servers"; owns: the caller frees; NULL without memory. */
char *rem_ctl_diff_line(const json_t *difference);

#endif
