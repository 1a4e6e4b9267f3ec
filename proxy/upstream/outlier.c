/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/outlier.h"

#include "proto/shm/outlier.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/record.h"
#include "proxy/upstream/upstream.h"

/* relaxed: each count stands alone; that a server has been ejected is told by its bit */
#define LOAD(field)     atomic_load_explicit(&(field), memory_order_relaxed)
#define STORE(field, n) atomic_store_explicit(&(field), (n), memory_order_relaxed)
#define ADD(field, n)   atomic_fetch_add_explicit(&(field), (n), memory_order_relaxed)

static void eject(struct rem_upstream_exchange *x, const struct rem_shm_set *set)
{
    struct rem_worker *worker = x->request->worker;

    if (rem_outlier_eject(set, rem_reader_upstream_slot(&worker->reader, set), x->balance.pin.slot,
                          worker->loop.clock.mono_ms))
        rem_record_log(x, REM_LOG_WARN, 0, "upstream server ejected as an outlier",
                       rem_record_doing(x));
}

/* Returns: whether it is that many in a row now. */
static bool count(_Atomic uint32_t *row, bool bad, uint32_t limit)
{
    if (bad)
        return ADD(*row, 1) + 1 >= limit && limit != 0;
    if (LOAD(*row) != 0)
        STORE(*row, 0);
    return false;
}

void rem_outlier_note(struct rem_upstream_exchange *x, const struct rem_pin_report *report)
{
    struct rem_shm_server_slot *slot = x->balance.pin.slot;
    bool broken = report->status == 0;
    const struct rem_shm_set *set;
    bool stands_out;

    if (REM_LIKELY(!(x->balance.pin.set_flags & REM_SET_OUTLIER)) || slot == NULL ||
        (broken && report->outcome != REM_OUTCOME_FAIL))
        return;
    if (broken)
        ADD(x->balance.pin.line->broken, 1);
    set = rem_reader_find(&x->request->worker->reader, &x->group->ref);
    if (set == NULL || set->upstream_uid != x->upstream_uid)
        return;
    stands_out = count(&slot->consecutive_5xx, broken || report->status >= 500,
                       set->outlier.consecutive_5xx);
    if (count(&slot->consecutive_gateway,
              broken || (report->status >= 502 && report->status <= 504),
              set->outlier.consecutive_gateway))
        stands_out = true;
    if (stands_out)
        eject(x, set);
}
