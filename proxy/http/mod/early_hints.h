/* SPDX-License-Identifier: Apache-2.0 */
/* early_hints.h - the directive `early_hints`: whether 103 responses reach the client. */
#ifndef REM_MOD_EARLY_HINTS_H
#define REM_MOD_EARLY_HINTS_H

#include "proxy/http/request.h"

/* Whether one of the location's conditions holds. */
bool rem_early_hints_wanted(struct rem_request *request);

#endif
