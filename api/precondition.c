/* SPDX-License-Identifier: Apache-2.0 */
#include "api/precondition.h"

#include "proto/wire/uri.h"

enum match { MATCH_NONE = 0, MATCH_REVISION, MATCH_ANY, MATCH_BAD };

/* Looks for the revision in a list of tags. */
static enum match look(struct rem_str list, uint64_t revision, bool weak)
{
    struct rem_str tag;
    uint64_t wanted;

    while (rem_field_list_next(&list, &tag)) {
        if (rem_str_is(tag, "*"))
            return MATCH_ANY;
        if (rem_str_has_prefix(tag, REM_STR("W/"))) {
            if (!weak)
                continue;
            tag = rem_str_skip(tag, 2);
        }
        if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
            tag = rem_str_make(tag.p + 1, tag.n - 2);
        if (rem_str_to_u64(tag, UINT64_MAX, &wanted) != 0)
            return MATCH_BAD;
        if (wanted == revision)
            return MATCH_REVISION;
    }
    return MATCH_NONE;
}

static int mismatch(struct rem_api_call *call, uint64_t revision)
{
    call->fault.revision = revision;
    return rem_fault_set(&call->fault, REM_FAULT_CONFLICT, "the current revision is %llu",
                         (unsigned long long)revision);
}

static int bad_tag(struct rem_api_call *call, const char *field)
{
    return rem_fault_set(&call->fault, REM_FAULT_BAD_PRECONDITION,
                         "%s must be a revision in quotes", field);
}

int rem_precondition_match(struct rem_api_call *call)
{
    uint64_t revision = rem_writer_revision(call->api->writer);

    if (!call->request->has_if_match)
        return 0;
    switch (look(call->request->if_match, revision, false)) {
    case MATCH_BAD:
        return bad_tag(call, "If-Match");
    case MATCH_NONE:
        return mismatch(call, revision);
    default:
        return 0;
    }
}

int rem_precondition_none_match(struct rem_api_call *call)
{
    uint64_t revision = rem_writer_revision(call->api->writer);

    if (!call->request->has_if_none_match)
        return 0;
    switch (look(call->request->if_none_match, revision, true)) {
    case MATCH_BAD:
        return bad_tag(call, "If-None-Match");
    case MATCH_REVISION:
        return mismatch(call, revision);
    default:
        return 0;
    }
}

bool rem_precondition_not_modified(const struct rem_api_call *call)
{
    enum match match;

    if (!call->request->has_if_none_match)
        return false;
    match = look(call->request->if_none_match, rem_writer_revision(call->api->writer), true);
    return match == MATCH_REVISION || match == MATCH_ANY;
}

int rem_precondition_absent(struct rem_api_call *call)
{
    uint64_t revision = rem_writer_revision(call->api->writer);

    if (!call->request->has_if_none_match || call->request->method == REM_METHOD_POST ||
        call->response->status == 201 ||
        look(call->request->if_none_match, revision, true) != MATCH_ANY)
        return 0;
    call->fault.revision = revision;
    return rem_fault_set(&call->fault, REM_FAULT_CONFLICT, "it exists, as of revision %llu",
                         (unsigned long long)revision);
}

int rem_precondition_dry_run(struct rem_api_call *call, bool *out)
{
    struct rem_str value;

    *out = false;
    if (!rem_uri_arg(call->request->args, REM_STR("dry_run"), &value))
        return 0;
    if (rem_str_is(value, "true") || rem_str_is(value, "1"))
        *out = true;
    else if (!rem_str_is(value, "false") && !rem_str_is(value, "0"))
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "dry_run must be true or false");
    return 0;
}
