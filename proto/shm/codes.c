/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/codes.h"

#include <stdbool.h>
#include <string.h>

enum { SHIFT = 48 };

#define COUNT_MASK ((1ULL << SHIFT) - 1)

/* Adds to the entry if it is the code's, or free.  Returns: false if it is another's. */
static bool add_to(_Atomic uint64_t *entry, uint64_t code)
{
    /* relaxed: each entry stands alone; its code never changes once it is there */
    uint64_t now = atomic_load_explicit(entry, memory_order_relaxed);

    /* Two workers may share the line during a reload, and both want the same free entry. */
    if (now == 0 && atomic_compare_exchange_strong_explicit(
                        entry, &now, code << SHIFT | 1, memory_order_relaxed, memory_order_relaxed))
        return true;
    if (now >> SHIFT != code)
        return false;
    atomic_fetch_add_explicit(entry, 1, memory_order_relaxed);
    return true;
}

void rem_codes_add(struct rem_shm_codes *codes, size_t lines, unsigned status)
{
    if (status < 100 || status > 599)
        return;
    for (size_t line = 0; line < lines; line++)
        for (size_t i = 0; i < REM_SHM_CODES; i++)
            if (add_to(&codes[line].entries[i], status))
                return;
}

static void put(struct rem_codes *out, uint32_t status, uint64_t count)
{
    size_t at = 0;

    while (at < out->count && out->items[at].status < status)
        at++;
    if (at < out->count && out->items[at].status == status) {
        out->items[at].count += count;
        return;
    }
    if (out->count == REM_CODES_MAX)
        return;
    memmove(&out->items[at + 1], &out->items[at], (out->count - at) * sizeof(out->items[0]));
    out->items[at] = (struct rem_code){status, count};
    out->count++;
}

void rem_codes_sum(const struct rem_shm_codes *codes, size_t lines, struct rem_codes *out)
{
    for (size_t line = 0; line < lines; line++)
        for (size_t i = 0; i < REM_SHM_CODES; i++) {
            uint64_t entry = atomic_load_explicit(&codes[line].entries[i], memory_order_relaxed);

            if (entry == 0)
                break;
            put(out, (uint32_t)(entry >> SHIFT), entry & COUNT_MASK);
        }
}

void rem_codes_finish(struct rem_codes *codes, uint64_t all_2xx)
{
    uint64_t others = 0;

    for (size_t i = 0; i < codes->count; i++)
        if (codes->items[i].status / 100 == 2)
            others += codes->items[i].count;
    if (all_2xx > others)
        put(codes, 200, all_2xx - others);
}
