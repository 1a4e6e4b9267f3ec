/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

static const struct rem_addr *addr_at(const struct rem_addr_index *index, uint32_t at)
{
    return (const void *)(index->first + at * index->stride);
}

/* The place of an address, or the free one where it would be. */
static struct rem_addr_place *place_of(const struct rem_addr_index *index,
                                       const struct rem_addr *addr, uint32_t hash)
{
    for (uint32_t at = hash & index->mask;; at = (at + 1) & index->mask) {
        struct rem_addr_place *place = &index->table[at];

        if (place->first == REM_SHM_NONE ||
            (place->hash == hash && rem_addr_eq(addr_at(index, place->first), addr)))
            return place;
    }
}

static void add(struct rem_addr_index *index, uint32_t number)
{
    const struct rem_addr *addr = addr_at(index, number);
    uint32_t hash = (uint32_t)rem_addr_hash(addr);
    struct rem_addr_place *place = place_of(index, addr, hash);

    index->next[number] = REM_SHM_NONE;
    if (place->first == REM_SHM_NONE) {
        *place = (struct rem_addr_place){hash, number, number, number};
        return;
    }
    index->next[place->last] = number;
    place->last = number;
    index->repeats = true;
}

int rem_addr_index_init(struct rem_addr_index *index, const struct rem_addr *first, size_t stride,
                        uint32_t count)
{
    struct rem_addr_index made = {.first = (const void *)first, .stride = stride, .mask = 3};

    while (made.mask < 2 * count)
        made.mask = made.mask * 2 + 1;
    made.table = malloc(((size_t)made.mask + 1) * sizeof(*made.table));
    made.next = malloc((count + (size_t)1) * sizeof(*made.next));
    made.claimed = calloc(count + (size_t)1, 1);
    if (made.table == NULL || made.next == NULL || made.claimed == NULL) {
        rem_addr_index_fini(&made);
        return REM_ENOMEM;
    }
    memset(made.table, 0xff, ((size_t)made.mask + 1) * sizeof(*made.table));
    for (uint32_t i = 0; i < count; i++)
        add(&made, i);
    *index = made;
    return REM_OK;
}

void rem_addr_index_fini(struct rem_addr_index *index)
{
    free(index->table);
    free(index->next);
    free(index->claimed);
    *index = (struct rem_addr_index){0};
}

uint32_t rem_addr_index_claim(struct rem_addr_index *index, const struct rem_addr *addr)
{
    struct rem_addr_place *place = place_of(index, addr, (uint32_t)rem_addr_hash(addr));
    uint32_t number = place->first != REM_SHM_NONE ? place->left : REM_SHM_NONE;

    if (number == REM_SHM_NONE)
        return REM_SHM_NONE;
    place->left = index->next[number];
    index->claimed[number] = 1;
    return number;
}
