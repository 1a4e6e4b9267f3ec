/* SPDX-License-Identifier: Apache-2.0 */
/* hostmap.h - host names with wildcards to pointers: server names, map, referers.
 *
 * Preference: the exact name; the longest "*.x"; the longest "x.*".  ".x" is "x" and "*.x" at once.
 *             Letters compare equal in both cases.
 * Cost:       one hash lookup for an exact name, one more for each label of the host that a
 *             wildcard name could cover.
 * Not here:   regular expressions.  */
#ifndef REM_CONF_HOSTMAP_H
#define REM_CONF_HOSTMAP_H

#include "proxy/conf/strmap.h"

struct rem_hostmap {
    struct rem_strmap exact;
    struct rem_strmap head; /* "*.x" as "x" */
    struct rem_strmap tail; /* "x.*" as "x" */
    size_t head_longest;    /* bytes of the longest key: longer ends of a host need no lookup */
    size_t tail_longest;
};

void rem_hostmap_init(struct rem_hostmap *map, struct rem_arena *arena);

/* `name` is borrowed as long as the map.  Errors: REM_EEXIST (the name is taken; nothing changed),
 * REM_EINVAL (a wildcard in the middle, an empty label, nothing beside the wildcard), REM_ENOMEM.
 */
int rem_hostmap_add(struct rem_hostmap *map, struct rem_str name, void *value) REM_MUST_CHECK;

/* The value for a host, or NULL. */
void *rem_hostmap_find(const struct rem_hostmap *map, struct rem_str host);

#endif
