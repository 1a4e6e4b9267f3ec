/* SPDX-License-Identifier: Apache-2.0 */
#include "api/id_index.h"

#include <stdlib.h>

enum { SLOTS_MIN = 16 };

struct rem_id_slot {
    uint32_t id;
    uint32_t place; /* + 1; 0: empty */
};

static size_t hash(uint32_t id, size_t mask)
{
    return (size_t)(id * UINT32_C(2654435761)) & mask;
}

int rem_id_index_init(struct rem_id_index *index, const struct rem_server_spec *servers,
                      size_t count)
{
    size_t size = SLOTS_MIN;

    while (size < count * 2)
        size *= 2;
    index->mask = size - 1;
    index->slots = calloc(size, sizeof(*index->slots));
    if (index->slots == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        size_t at = hash(servers[i].id, index->mask);
        while (index->slots[at].place != 0)
            at = (at + 1) & index->mask;
        index->slots[at] = (struct rem_id_slot){servers[i].id, (uint32_t)i + 1};
    }
    return REM_OK;
}

void rem_id_index_fini(struct rem_id_index *index)
{
    free(index->slots);
    index->slots = NULL;
}

size_t rem_id_index_find(const struct rem_id_index *index, uint32_t id)
{
    for (size_t at = hash(id, index->mask); index->slots[at].place != 0;
         at = (at + 1) & index->mask)
        if (index->slots[at].id == id)
            return index->slots[at].place - 1;
    return SIZE_MAX;
}
