/* SPDX-License-Identifier: Apache-2.0 */
/* hash.c - a key says which server: by its share of the weights, or by the next point on a ring.
 *
 * Both mappings are nginx's: a key keeps its server when nginx is replaced.  The ring (ketama) is
 * computed when the set is built; servers that are down keep their points. */
#include "proxy/upstream/balance/balance_priv.h"

#include <stdio.h>
#include <zlib.h>

enum { TRIES = 20 };

static bool has_no_use(const struct rem_pick *pick, unsigned side)
{
    return side == REM_SIDE_BACKUP || pick->set->set_flags & REM_SET_SINGLE ||
           pick->set->shares == 0 || pick->state->key.n == 0;
}

/* ---- plain ---- */

/* The next hash of the key: from the second on, it is hashed behind its number. */
static void advance(struct rem_balance_state *state)
{
    uint32_t crc = (uint32_t)crc32(0, NULL, 0);
    char number[12];

    if (state->rehash != 0) {
        int n = snprintf(number, sizeof(number), "%u", state->rehash);
        crc = (uint32_t)crc32(crc, (const unsigned char *)number, (uInt)n);
    }
    crc = (uint32_t)crc32(crc, (const unsigned char *)state->key.p, (uInt)state->key.n);
    state->hash += crc >> 16 & 0x7fff;
    state->rehash++;
}

int rem_hash_plain_side(struct rem_pick *pick, unsigned side)
{
    struct rem_balance_state *state = pick->state;

    if (has_no_use(pick, side))
        return rem_round_robin_side(pick, side);
    while (state->rehash <= TRIES) {
        int rc;

        advance(state);
        rc = rem_balance_try_up(pick, rem_shm_share_of(pick->set, state->hash % pick->set->shares));
        if (rc != REM_EBUSY)
            return rc;
    }
    return rem_round_robin_side(pick, side);
}

/* ---- consistent ---- */

/* The first point at or behind `hash`; the ring is closed. */
static uint32_t find_point(const struct rem_shm_set *set, uint32_t hash)
{
    const struct rem_shm_point *ring = rem_set_ring(set);
    uint32_t low = 0, high = set->ring_length;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (ring[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->ring_length ? low : 0;
}

/* How many servers, addresses of one name, share the points of the first of them. */
static uint32_t same_name(const struct rem_shm_set *set, uint32_t first)
{
    struct rem_str name = rem_set_text(set, rem_set_server(set, first)->name);
    uint32_t i = first + 1;

    while (i < set->count && rem_str_eq(rem_set_text(set, rem_set_server(set, i)->name), name))
        i++;
    return i - first;
}

/* Takes one of the servers that a point stands for; they take turns. */
static int try_point(struct rem_pick *pick, uint32_t first)
{
    uint32_t count = same_name(pick->set, first);
    uint32_t start = count > 1 ? rem_balance_dice(pick->state) % count : 0;
    int rc = REM_EBUSY;

    for (uint32_t i = 0; rc == REM_EBUSY && i < count; i++)
        rc = rem_balance_try_up(pick, first + (start + i) % count);
    return rc;
}

int rem_hash_consistent_side(struct rem_pick *pick, unsigned side)
{
    struct rem_balance_state *state = pick->state;
    const struct rem_shm_set *set = pick->set;

    if (has_no_use(pick, side) || set->ring_length == 0)
        return rem_round_robin_side(pick, side);
    if (!state->hashed)
        state->hash = find_point(
            set, (uint32_t)crc32(0, (const unsigned char *)state->key.p, (uInt)state->key.n));
    state->hashed = true;
    while (state->rehash <= TRIES) {
        int rc = try_point(pick, rem_set_ring(set)[state->hash % set->ring_length].server);

        if (rc != REM_EBUSY)
            return rc;
        state->hash++;
        state->rehash++;
    }
    return rem_round_robin_side(pick, side);
}
