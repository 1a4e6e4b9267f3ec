/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

static const struct rem_addr *addr_at(const struct rem_addr_index *index, uint32_t at)
{
    return (const void *)(index->first + at * index->stride);
}

int rem_addr_index_init(struct rem_addr_index *index, const struct rem_addr *first, size_t stride,
                        uint32_t count)
{
    struct rem_addr_index made = {.first = (const void *)first, .stride = stride, .mask = 3};

    while (made.mask < 2 * count)
        made.mask = made.mask * 2 + 1;
    made.table = malloc(((size_t)made.mask + 1) * sizeof(*made.table));
    made.claimed = calloc(count != 0 ? count : 1, 1);
    if (made.table == NULL || made.claimed == NULL) {
        rem_addr_index_fini(&made);
        return REM_ENOMEM;
    }
    memset(made.table, 0xff, ((size_t)made.mask + 1) * sizeof(*made.table));
    /* Equal addresses come to lie in list order on the probe path, and are claimed in it. */
    for (uint32_t i = 0; i < count; i++) {
        const struct rem_addr *addr = addr_at(&made, i);
        uint32_t hash = (uint32_t)rem_addr_hash(addr), at = hash & made.mask;

        for (; made.table[at].at != REM_SHM_NONE; at = (at + 1) & made.mask)
            made.repeats = made.repeats || (made.table[at].hash == hash &&
                                            rem_addr_eq(addr_at(&made, made.table[at].at), addr));
        made.table[at] = (struct rem_addr_place){hash, i};
    }
    *index = made;
    return REM_OK;
}

void rem_addr_index_fini(struct rem_addr_index *index)
{
    free(index->table);
    free(index->claimed);
    *index = (struct rem_addr_index){0};
}

uint32_t rem_addr_index_claim(struct rem_addr_index *index, const struct rem_addr *addr)
{
    uint32_t hash = (uint32_t)rem_addr_hash(addr), at = hash & index->mask;

    for (; index->table[at].at != REM_SHM_NONE; at = (at + 1) & index->mask) {
        uint32_t i = index->table[at].at;
        if (index->table[at].hash != hash || index->claimed[i] ||
            !rem_addr_eq(addr_at(index, i), addr))
            continue;
        index->claimed[i] = 1;
        return i;
    }
    return REM_SHM_NONE;
}
