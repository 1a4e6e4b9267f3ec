/* SPDX-License-Identifier: Apache-2.0 */
/* ip_hash.c - the client's address says which server: of an IPv4 address its first three bytes, all
 * of an IPv6 one.
 *
 * The mapping is nginx's: a client keeps its server when nginx is replaced.  Servers that are down
 * keep their share, so that the others keep their clients. */
#include "proxy/upstream/balance/balance_priv.h"

enum { SEED = 89, FACTOR = 113, MODULUS = 6271, TRIES = 20 };

static uint32_t mix(uint32_t hash, const struct rem_addr *client)
{
    static const unsigned char nobody[3];
    const unsigned char *bytes = nobody;
    size_t n = sizeof(nobody);

    if (client != NULL && rem_addr_family(client) == AF_INET) {
        bytes = (const unsigned char *)&client->u.in.sin_addr;
    } else if (client != NULL && rem_addr_family(client) == AF_INET6) {
        bytes = client->u.in6.sin6_addr.s6_addr;
        n = sizeof(client->u.in6.sin6_addr);
    }
    for (size_t i = 0; i < n; i++)
        hash = (hash * FACTOR + bytes[i]) % MODULUS;
    return hash;
}

int rem_ip_hash_side(struct rem_pick *pick, unsigned side)
{
    struct rem_balance_state *state = pick->state;

    if (side == REM_SIDE_BACKUP || pick->set->set_flags & REM_SET_SINGLE || pick->set->shares == 0)
        return rem_round_robin_side(pick, side);
    if (!state->hashed)
        state->hash = SEED;
    state->hashed = true;
    while (state->rehash <= TRIES) {
        state->hash = mix(state->hash, state->client);
        int rc =
            rem_balance_try_up(pick, rem_shm_share_of(pick->set, state->hash % pick->set->shares));
        if (rc != REM_EBUSY)
            return rc;
        state->rehash++;
    }
    return rem_round_robin_side(pick, side);
}
