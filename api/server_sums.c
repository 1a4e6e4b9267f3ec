/* SPDX-License-Identifier: Apache-2.0 */
#include "api/server_sums.h"

const char *const rem_server_states[REM_SERVER_STATES] = {
    "up", "draining", "down", "unavail", "checking", "unhealthy", "ejected",
};

void rem_server_sums_add(struct rem_server_sums *sums, const struct rem_server_status *server)
{
    for (size_t i = 0; i < REM_SERVER_STATES; i++) {
        if (rem_str_is(server->state, rem_server_states[i])) {
            sums->states[i]++;
            break;
        }
    }
    sums->active += server->active;
}
