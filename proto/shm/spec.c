/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/spec.h"

#include <stdio.h>

void rem_server_spec_init(struct rem_server_spec *spec)
{
    *spec = (struct rem_server_spec){
        .id = REM_ID_NONE, .weight = 1, .max_fails = 1, .fail_timeout_ms = 10000};
}

/* An empty text needs no memory; keeps `text->n` right in either case. */
static bool dup_text(struct rem_arena *arena, struct rem_str *text)
{
    if (text->n == 0) {
        *text = REM_STR("");
        return true;
    }
    *text = rem_arena_dup(arena, *text);
    return text->p != NULL;
}

int rem_server_spec_copy(struct rem_arena *arena, const struct rem_server_spec *from,
                         struct rem_server_spec *to)
{
    struct rem_server_spec copy = *from;

    if (!dup_text(arena, &copy.server))
        return REM_ENOMEM;
    if (from->name.p == from->server.p && from->name.n == from->server.n)
        copy.name = copy.server;
    else if (!dup_text(arena, &copy.name))
        return REM_ENOMEM;
    if (!dup_text(arena, &copy.route) || !dup_text(arena, &copy.fail_timeout_text) ||
        !dup_text(arena, &copy.slow_start_text) || !dup_text(arena, &copy.service))
        return REM_ENOMEM;
    *to = copy;
    return REM_OK;
}

int rem_upstream_spec_copy(struct rem_arena *arena, const struct rem_upstream_spec *from,
                           struct rem_upstream_spec *to)
{
    struct rem_upstream_spec copy = *from;

    if (!dup_text(arena, &copy.name) || !dup_text(arena, &copy.zone) ||
        !dup_text(arena, &copy.state))
        return REM_ENOMEM;
    copy.servers = NULL;
    if (from->server_count != 0) {
        copy.servers = rem_arena_alloc(arena, from->server_count * sizeof(*copy.servers));
        if (copy.servers == NULL)
            return REM_ENOMEM;
    }
    for (size_t i = 0; i < from->server_count; i++) {
        int rc = rem_server_spec_copy(arena, &from->servers[i], &copy.servers[i]);
        if (rc != REM_OK)
            return rc;
    }
    *to = copy;
    return REM_OK;
}

struct rem_str rem_spec_service_name(struct rem_arena *arena, struct rem_str service,
                                     struct rem_str host)
{
    if (rem_str_chr(service, '.') == NULL)
        return rem_arena_printf(arena, "_%.*s._tcp.%.*s", REM_STR_ARG(service), REM_STR_ARG(host));
    return rem_arena_printf(arena, "%.*s.%.*s", REM_STR_ARG(service), REM_STR_ARG(host));
}

size_t rem_spec_duration_text(uint32_t ms, char *buf, size_t size)
{
    int n =
        ms % 1000 == 0 ? snprintf(buf, size, "%us", ms / 1000) : snprintf(buf, size, "%ums", ms);

    if (n < 0 || size == 0)
        return 0;
    return (size_t)n < size ? (size_t)n : size - 1;
}
