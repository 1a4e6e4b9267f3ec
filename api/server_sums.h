/* SPDX-License-Identifier: Apache-2.0 */
/* server_sums.h - what the servers of an upstream make together, for views that show no single one.
 */
#ifndef REM_API_SERVER_SUMS_H
#define REM_API_SERVER_SUMS_H

#include "proto/shm/writer.h"

/* The states of struct rem_server_status, in the order shown. */
enum { REM_SERVER_STATES = 7 };
extern const char *const rem_server_states[REM_SERVER_STATES];

struct rem_server_sums {
    uint64_t states[REM_SERVER_STATES]; /* servers in each */
    int64_t active;                     /* requests */
};

void rem_server_sums_add(struct rem_server_sums *sums, const struct rem_server_status *server);

#endif
