/* SPDX-License-Identifier: Apache-2.0 */
#include "api/openapi.h"

#include "api/v1.h"

int rem_v1_openapi(struct rem_api_call *call)
{
    call->response->content_type = REM_API_JSON;
    rem_sbuf_add(&call->response->body,
                 rem_str_make((const char *)rem_openapi_json, rem_openapi_json_size));
    return 0;
}
