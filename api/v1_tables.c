/* SPDX-License-Identifier: Apache-2.0 */
#include "api/v1_tables.h"

#include "proto/wire/uri.h"

/* Is the published revision among those of If-Match, if there is one? */
static int check_match(struct rem_api_call *call)
{
    uint64_t revision = rem_writer_revision(call->api->writer), wanted;
    struct rem_str rest = call->request->if_match, tag;

    if (!call->request->has_if_match)
        return 0;
    while (rem_field_list_next(&rest, &tag)) {
        if (rem_str_is(tag, "*"))
            return 0;
        if (rem_str_has_prefix(tag, REM_STR("W/")))
            continue;
        if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
            tag = rem_str_make(tag.p + 1, tag.n - 2);
        if (rem_str_to_u64(tag, UINT64_MAX, &wanted) != 0)
            return rem_fault_set(&call->fault, REM_FAULT_BAD_PRECONDITION,
                                 "If-Match must be a revision in quotes");
        if (wanted == revision)
            return 0;
    }
    call->fault.revision = revision;
    return rem_fault_set(&call->fault, REM_FAULT_CONFLICT, "the current revision is %llu",
                         (unsigned long long)revision);
}

int rem_v1_begin_write(struct rem_api_call *call, bool *dry_run)
{
    struct rem_str value;
    int rc = check_match(call);

    if (rc != 0 || !rem_uri_arg(call->request->args, REM_STR("dry_run"), &value))
        return rc;
    *dry_run = rem_str_is(value, "true") || rem_str_is(value, "1");
    if (!*dry_run && !rem_str_is(value, "false") && !rem_str_is(value, "0"))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "dry_run must be true or false");
    return 0;
}
