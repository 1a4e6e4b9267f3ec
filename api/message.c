/* SPDX-License-Identifier: Apache-2.0 */
#include "api/message.h"

#include <sys/random.h>

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

void rem_api_request_id(struct rem_api_response *response)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[REM_API_REQUEST_ID / 2] = {0};

    if (response->request_id[0] != '\0')
        return;
    /* An id that repeats harms nobody, so a failure is let pass. */
    (void)!getrandom(bytes, sizeof(bytes), GRND_NONBLOCK);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        response->request_id[2 * i] = digits[bytes[i] >> 4];
        response->request_id[2 * i + 1] = digits[bytes[i] & 15];
    }
    response->request_id[REM_API_REQUEST_ID] = '\0';
}
