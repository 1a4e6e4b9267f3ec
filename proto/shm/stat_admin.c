/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/stat_admin.h"

#include <string.h>

struct rem_stat_admin *rem_stat_admin(const struct rem_shm_header *header)
{
    struct rem_stat *stat = NULL;

    while ((stat = rem_stat_next(header, stat)) != NULL)
        if (stat->kind == REM_STAT_ADMIN)
            return rem_stat_line(stat, 0);
    return NULL;
}

struct rem_stat_route *rem_stat_admin_route(struct rem_stat_admin *admin, const char *name)
{
    /* relaxed: the agent alone writes, and one agent comes after the other */
    uint32_t n = atomic_load_explicit(&admin->routes, memory_order_relaxed);
    struct rem_stat_route *route;

    for (uint32_t i = 0; i < n; i++)
        if (strncmp(admin->route[i].name, name, REM_STAT_ROUTE_NAME - 1) == 0)
            return &admin->route[i];
    if (n == REM_STAT_ROUTES)
        return NULL;
    route = &admin->route[n];
    memset(route->name, 0, sizeof(route->name));
    memcpy(route->name, name, strnlen(name, REM_STAT_ROUTE_NAME - 1));
    /* release: the name is complete, should the agent die right here */
    atomic_store_explicit(&admin->routes, n + 1, memory_order_release);
    return route;
}
