/* SPDX-License-Identifier: Apache-2.0 */
#include "api/message.h"

void rem_api_response_init(struct rem_api_response *response)
{
    *response = (struct rem_api_response){.status = 200};
    rem_sbuf_init(&response->body);
}

void rem_api_response_fini(struct rem_api_response *response)
{
    rem_sbuf_fini(&response->body);
}

void rem_api_response_reset(struct rem_api_response *response)
{
    *response =
        (struct rem_api_response){.status = 200, .body = response->body, .route = response->route};
    rem_sbuf_clear(&response->body);
}
