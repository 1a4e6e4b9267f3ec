/* SPDX-License-Identifier: Apache-2.0 */
/* v1_tables.h - endpoints of /v1 about tables: key-value zones and splits. */
#ifndef REM_API_V1_TABLES_H
#define REM_API_V1_TABLES_H

#include "api/call.h"

/* Steps, for transactions too: the body of a PUT or PATCH, as members of the turn's change.
 * *shown: what the answer says of it; the caller's, NULL without memory.
 * Errors: REM_EINVAL with the fault. */
int rem_v1_keyval_step(struct rem_api_call *call, struct rem_str name, json_t *body, bool replace,
                       json_t **shown) REM_MUST_CHECK;
int rem_v1_split_step(struct rem_api_call *call, struct rem_str name, json_t *body,
                      json_t **shown) REM_MUST_CHECK;

/* The parts of a split as a list, which a body may be.  NULL without memory. */
json_t *rem_v1_split_parts(struct rem_str bytes);

/* v1_keyvals.c */
int rem_v1_keyvals(struct rem_api_call *call);
int rem_v1_keyval(struct rem_api_call *call);
int rem_v1_keyval_patch(struct rem_api_call *call);
int rem_v1_keyval_put(struct rem_api_call *call);

/* v1_splits.c */
int rem_v1_splits(struct rem_api_call *call);
int rem_v1_split(struct rem_api_call *call);
int rem_v1_split_put(struct rem_api_call *call);

#endif
