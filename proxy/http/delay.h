/* SPDX-License-Identifier: Apache-2.0 */
/* delay.h - a request that has to wait: for its turn (limit_req), or before it is refused. */
#ifndef REM_HTTP_DELAY_H
#define REM_HTTP_DELAY_H

#include "proxy/http/request.h"

/* From a phase handler or checker: has the phases run on after `ms`, beginning with whoever called;
 * a client that goes away meanwhile ends the request.  Returns REM_HTTP_AGAIN, or 500 without
 * memory. */
int rem_request_delay(struct rem_request *request, uint64_t ms) REM_MUST_CHECK;

#endif
