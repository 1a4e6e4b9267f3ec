/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

int rem_addr_index_init(struct rem_addr_index *index, const struct rem_addr *addrs, uint32_t count)
{
    struct rem_addr_index made = {.addrs = addrs, .mask = 3};

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
        uint32_t at = (uint32_t)rem_addr_hash(&addrs[i]) & made.mask;
        while (made.table[at] != REM_SHM_NONE)
            at = (at + 1) & made.mask;
        made.table[at] = i;
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
    uint32_t at = (uint32_t)rem_addr_hash(addr) & index->mask;

    for (; index->table[at] != REM_SHM_NONE; at = (at + 1) & index->mask) {
        uint32_t i = index->table[at];
        if (index->claimed[i] || !rem_addr_eq(&index->addrs[i], addr))
            continue;
        index->claimed[i] = 1;
        return i;
    }
    return REM_SHM_NONE;
}
