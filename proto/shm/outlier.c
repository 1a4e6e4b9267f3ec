/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/outlier.h"

#include "proto/shm/reader.h"

/* relaxed: hints that stand alone; the ejection itself is ordered by rem_server_eject */
#define LOAD(field)   atomic_load_explicit(&(field), memory_order_relaxed)
#define ADD(field, n) atomic_fetch_add_explicit(&(field), (n), memory_order_relaxed)

/* One may be ejected whatever the share of one server is, but never the only one. */
static int32_t most_ejected(const struct rem_shm_set *set)
{
    int64_t share = (int64_t)set->count * set->outlier.max_ejection_percent / 100;

    if (set->outlier.max_ejection_percent == 0 || set->count < 2)
        return 0;
    return share > 1 ? (int32_t)share : 1;
}

bool rem_outlier_eject(const struct rem_shm_set *set, struct rem_shm_upstream_slot *upstream,
                       struct rem_shm_server_slot *slot, uint64_t now_ms)
{
    uint64_t ms = (uint64_t)set->outlier.base_ejection_ms * (LOAD(slot->ejection_level) + 1);

    if (ms > set->outlier.max_ejection_ms)
        ms = set->outlier.max_ejection_ms;
    if (!rem_server_eject(upstream, slot, most_ejected(set), now_ms + ms))
        return false;
    /* What makes no ejection longer would only take longer to be forgotten. */
    if (ms < set->outlier.max_ejection_ms)
        ADD(slot->ejection_level, 1);
    return true;
}

void rem_outlier_calm(struct rem_shm_server_slot *slot)
{
    uint32_t level = LOAD(slot->ejection_level);

    /* relaxed: a worker that raises it meanwhile wins */
    if (level != 0)
        (void)atomic_compare_exchange_strong_explicit(&slot->ejection_level, &level, level - 1,
                                                      memory_order_relaxed, memory_order_relaxed);
}
