/* SPDX-License-Identifier: Apache-2.0 */
/* least_conn.c - the server with the fewest open requests for its weight; round robin among equals.
 *
 * Exact up to 64 servers, over all workers; beyond, see scan.c. */
#include "proxy/upstream/balance/balance_priv.h"

uint64_t rem_least_conn_score(const struct rem_pick *pick, const struct rem_shm_server *server)
{
    return ((uint64_t)(uint32_t)rem_pick_active(pick, server) << 32) / server->weight;
}

static int pick_side(struct rem_pick *pick, unsigned side)
{
    return rem_scan_side(pick, side, rem_least_conn_score);
}

static int pick_server(struct rem_balance_state *state, uint64_t now_ms)
{
    return rem_balance_pick(state, now_ms, pick_side);
}

const struct rem_balancer rem_least_conn = {
    .name = "least_conn",
    .pick = pick_server,
    .done = rem_balance_done,
};
