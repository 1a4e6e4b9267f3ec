/* SPDX-License-Identifier: Apache-2.0 */
/* strmap.h - names to pointers: directives, variables, server names, MIME types.
 *
 * Filled while a configuration is read, only looked up afterwards.  Open addressing, at most
 * half full; keys are borrowed and must live as long as the map (they do, in one arena).  */
#ifndef REM_CONF_STRMAP_H
#define REM_CONF_STRMAP_H

#include "proto/base/arena.h"
#include "proto/base/err.h"

struct rem_strmap_slot {
    struct rem_str key; /* p == NULL: empty */
    void *value;
    uint64_t hash;
};

struct rem_strmap {
    struct rem_arena *arena;
    struct rem_strmap_slot *slots; /* mask + 1 of them; NULL while empty */
    uint32_t mask;
    uint32_t count;
    bool nocase; /* ASCII letters compare equal in both cases */
};

void rem_strmap_init(struct rem_strmap *map, struct rem_arena *arena, bool nocase);

/* Errors: REM_EEXIST (the old value stays), REM_ENOMEM. */
int rem_strmap_add(struct rem_strmap *map, struct rem_str key, void *value) REM_MUST_CHECK;

/* Adds or replaces.  Errors: REM_ENOMEM. */
int rem_strmap_set(struct rem_strmap *map, struct rem_str key, void *value) REM_MUST_CHECK;

/* The value of `key`, or NULL.  Allocates nothing. */
void *rem_strmap_get(const struct rem_strmap *map, struct rem_str key);

#endif
