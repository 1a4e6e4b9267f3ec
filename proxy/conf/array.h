/* SPDX-License-Identifier: Apache-2.0 */
/* array.h - a vector in an arena, for lists that a configuration collects.
 *
 * Growth leaves the old vector behind in the arena, so elements move: keep indexes, not pointers,
 * while pushing.  */
#ifndef REM_CONF_ARRAY_H
#define REM_CONF_ARRAY_H

#include "proto/base/arena.h"

struct rem_array {
    void *v; /* n elements of `size` bytes */
    uint32_t n;
    uint32_t room;
    uint32_t size;
};

void rem_array_init(struct rem_array *array, size_t size);

/* Returns: a new empty array of elements of `size` bytes; NULL without memory. */
struct rem_array *rem_array_new(struct rem_arena *arena, size_t size) REM_MUST_CHECK;

/* Returns: one more element, zeroed; NULL without memory. */
void *rem_array_push(struct rem_arena *arena, struct rem_array *array) REM_MUST_CHECK;

/* The elements as a C array of `type`; NULL array: NULL. */
#define REM_ARRAY_OF(array, type) ((type *)(array)->v)

static inline void *rem_array_at(const struct rem_array *array, uint32_t i)
{
    return (char *)array->v + (size_t)i * array->size;
}

#endif
