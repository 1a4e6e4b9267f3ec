/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/reader.h"

/* relaxed: each stands alone; exceptions say so */
#define LOAD(field)         atomic_load_explicit(&(field), memory_order_relaxed)
#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)
#define ADD(field, value)   atomic_fetch_add_explicit(&(field), (value), memory_order_relaxed)

/* One more, unless `most` are ejected: of several that come at once, no more than may. */
static bool take_place(struct rem_shm_upstream_slot *upstream, int32_t most)
{
    int32_t ejected = LOAD(upstream->ejected);

    do
        if (ejected >= most)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&upstream->ejected, &ejected, ejected + 1,
                                                  memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool rem_server_eject(struct rem_shm_upstream_slot *upstream, struct rem_shm_server_slot *slot,
                      int32_t most, uint64_t until_ms)
{
    if (LOAD(slot->health) & REM_HEALTH_EJECTED || !take_place(upstream, most))
        return false;
    STORE(slot->ejected_until_ms, until_ms);
    /* release: whoever sees the bit sees until when; pairs with the acquire in
     * rem_server_available.  Of several that eject at once, one has set the bit. */
    if (atomic_fetch_or_explicit(&slot->health, REM_HEALTH_EJECTED, memory_order_release) &
        REM_HEALTH_EJECTED) {
        ADD(upstream->ejected, -1);
        return false;
    }
    ADD(slot->ejections, 1);
    return true;
}

bool rem_server_uneject(struct rem_shm_upstream_slot *upstream, struct rem_shm_server_slot *slot,
                        uint64_t now_ms)
{
    const uint32_t others = ~(uint32_t)REM_HEALTH_EJECTED;

    /* relaxed: of several that come at once, one has cleared the bit */
    if (!(atomic_fetch_and_explicit(&slot->health, others, memory_order_relaxed) &
          REM_HEALTH_EJECTED))
        return false;
    STORE(slot->consecutive_5xx, 0);
    STORE(slot->consecutive_gateway, 0);
    STORE(slot->slow_from_ms, now_ms);
    ADD(upstream->ejected, -1);
    return true;
}
