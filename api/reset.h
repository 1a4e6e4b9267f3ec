/* SPDX-License-Identifier: Apache-2.0 */
/* reset.h - DELETE on statistics of the NGINX Plus API.
 *
 * Counters in the region belong to the workers and never go back; what is reset is this API's
 * view of them: the values at the reset are kept here and taken off.  A new agent process shows
 * the full counts again.  /metrics knows no reset.  */
#ifndef REM_API_RESET_H
#define REM_API_RESET_H

#include "api/call.h"

struct rem_api_reset;

void rem_reset_free(struct rem_api_reset **resets);

/* Takes off what was counted before the last resets. */
void rem_reset_apply_totals(const struct rem_api *api, struct rem_region_totals *totals);
void rem_reset_apply_upstream(const struct rem_api *api, struct rem_upstream_status *status);

#endif
