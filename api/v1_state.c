/* SPDX-License-Identifier: Apache-2.0 */
/* Which of it all is the configuration's, and which was changed at run time. */
#include "api/v1.h"

int rem_v1_state(struct rem_api_call *call)
{
    const struct rem_api *api = call->api;

    if (api->explain == NULL)
        return rem_fault_set(&call->fault, REM_FAULT_PATH_NOT_FOUND, "path not found");
    return rem_call_answer(call, 200, api->explain(api->explain_data));
}
