/* SPDX-License-Identifier: Apache-2.0 */
/* v1_tables.h - endpoints of /v1 about tables: key-value zones and splits. */
#ifndef REM_API_V1_TABLES_H
#define REM_API_V1_TABLES_H

#include "api/call.h"

/* What a write looks at first: If-Match, and ?dry_run=.  Errors: REM_EINVAL with the fault. */
int rem_v1_begin_write(struct rem_api_call *call, bool *dry_run) REM_MUST_CHECK;

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
