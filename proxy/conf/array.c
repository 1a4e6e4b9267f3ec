/* SPDX-License-Identifier: Apache-2.0 */
/* array.c - see array.h. */
#include "proxy/conf/array.h"

#include "proto/base/err.h"

void rem_array_init(struct rem_array *array, size_t size)
{
    REM_CHECK(size > 0 && size <= UINT32_MAX);
    *array = (struct rem_array){.size = (uint32_t)size};
}

struct rem_array *rem_array_new(struct rem_arena *arena, size_t size)
{
    struct rem_array *array = rem_arena_alloc(arena, sizeof(*array));

    if (array != NULL)
        rem_array_init(array, size);
    return array;
}

void *rem_array_push(struct rem_arena *arena, struct rem_array *array)
{
    if (array->n == array->room) {
        uint32_t room = array->room == 0 ? 4 : array->room * 2;
        void *grown;

        if (array->room > UINT32_MAX / 2)
            return NULL;
        grown = rem_arena_alloc(arena, (size_t)room * array->size);
        if (grown == NULL)
            return NULL;
        if (array->n > 0)
            memcpy(grown, array->v, (size_t)array->n * array->size);
        array->v = grown;
        array->room = room;
    }
    return memset(rem_array_at(array, array->n++), 0, array->size);
}
