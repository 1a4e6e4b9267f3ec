/* SPDX-License-Identifier: Apache-2.0 */
#include "api/reset.h"

#define UPSTREAMS "http/upstreams/"

/* What is kept lies in a table; any value but 0 does, as no configuration names it. */
enum { CONFIG_HASH = 1 };

static struct rem_str path_of(struct rem_arena *arena, const char *kind, struct rem_str name)
{
    return rem_arena_printf(arena, "%s/%.*s", kind, REM_STR_ARG(name));
}

const void *rem_reset_find(struct rem_api_call *call, const char *kind, struct rem_str name,
                           size_t min, size_t *size)
{
    struct rem_str path = path_of(&call->arena, kind, name);
    struct rem_table table;

    if (path.p == NULL || rem_writer_table(call->api->writer, REM_TABLE_RESET, path, &table) != 0 ||
        table.bytes.n < min)
        return NULL;
    if (size != NULL)
        *size = table.bytes.n;
    return table.bytes.p;
}

/* What was kept of upstreams that are gone is of no use any more. */
static int forget_the_gone(struct rem_api_call *call)
{
    const struct rem_writer *writer = call->api->writer;
    const struct rem_str prefix = REM_STR(UPSTREAMS);
    size_t count = rem_writer_tables(writer);

    for (size_t i = 0; i < count; i++) {
        struct rem_table table;
        size_t index;
        int rc;

        rem_writer_table_at(writer, i, &table);
        if (table.kind != REM_TABLE_RESET || !rem_str_has_prefix(table.name, prefix) ||
            rem_writer_find(writer, rem_str_skip(table.name, prefix.n), &index) == 0)
            continue;
        rc = rem_change_table(call->api->change, REM_TABLE_RESET, table.name,
                              (struct rem_str){NULL, 0}, CONFIG_HASH, NULL);
        if (rc != 0 && rc != REM_ENOTFOUND) /* another call of this turn has done it */
            return rc;
    }
    return 0;
}

int rem_reset_keep(struct rem_api_call *call, const char *kind, struct rem_str name,
                   const void *values, size_t size)
{
    struct rem_str path = path_of(&call->arena, kind, name);
    struct rem_err err = {0};
    int rc;

    if (path.p == NULL)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    rc = rem_call_change(call);
    if (rc != 0)
        return rc;
    rc = forget_the_gone(call);
    if (rc == 0)
        rc = rem_change_table(call->api->change, REM_TABLE_RESET, path, rem_str_make(values, size),
                              CONFIG_HASH, &err);
    if (rc != 0)
        return rem_call_fault(call, rc, &err);
    call->is_staged = true;
    return 0;
}

int rem_reset_answer(struct rem_api_call *call)
{
    call->response->status = 204;
    return 0;
}

void rem_reset_apply(uint64_t *counters, const uint64_t *base, size_t count)
{
    for (size_t i = 0; base != NULL && i < count; i++)
        counters[i] = rem_reset_less(counters[i], base[i]);
}
