/* SPDX-License-Identifier: Apache-2.0 */
/* least_conn.c - the server with the fewest open requests for its weight; round robin among equals.
 *
 * Exact up to 64 servers, over all workers; beyond, see scan.c. */
#include "proxy/upstream/balance/balance_priv.h"

uint64_t rem_least_conn_score(const struct rem_pick *pick, const struct rem_shm_server *server)
{
    return ((uint64_t)(uint32_t)rem_pick_active(pick, server) << 32) / server->weight;
}

int rem_least_conn_side(struct rem_pick *pick, unsigned side)
{
    return rem_scan_side(pick, side, rem_least_conn_score);
}
