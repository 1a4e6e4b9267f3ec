/* SPDX-License-Identifier: Apache-2.0 */
/* What has been changed, by whom, and the way back. */
#include "api/events.h"
#include "api/undo.h"
#include "api/v1.h"
#include "proto/wire/uri.h"

#include <stdlib.h>

/* ---- the list ---- */

/* How many are asked for. */
static int read_limit(struct rem_api_call *call, uint64_t *out)
{
    struct rem_str text;

    *out = call->api->history;
    if (!rem_uri_arg(call->request->args, REM_STR("limit"), &text))
        return 0;
    if (rem_str_to_u64(text, UINT32_MAX, out) != 0 || *out == 0)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "limit must be a number above 0");
    if (*out > call->api->history)
        *out = call->api->history;
    return 0;
}

/* Appends the records of the last `limit` revisions, the latest first. */
static int put_list(struct rem_api_call *call, uint64_t limit, struct rem_sbuf *out)
{
    const struct rem_journal *journal = call->api->journal;
    uint64_t last = rem_writer_revision(call->api->writer);
    bool first = true;

    for (uint64_t n = 0; n < limit && n < last; n++) {
        struct rem_journal_record record;
        int rc;
        if (rem_journal_revision(journal, last - n, &record) != REM_OK)
            continue;
        if (!first)
            rem_sbuf_addc(out, ',');
        first = false;
        rc = rem_events_json(&record, false, out);
        if (rc != REM_OK)
            return rc;
    }
    return REM_OK;
}

int rem_v1_history(struct rem_api_call *call)
{
    struct rem_sbuf *out = &call->response->body;
    uint64_t revision = rem_writer_revision(call->api->writer), limit;
    int rc = read_limit(call, &limit);

    if (rc != 0)
        return rc;
    call->response->etag = revision;
    call->response->has_etag = true;
    call->response->content_type = REM_API_JSON;
    rem_sbuf_addf(out, "{\"revision\":%llu,\"history\":[", (unsigned long long)revision);
    if (call->api->journal != NULL && put_list(call, limit, out) != REM_OK)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    rem_sbuf_adds(out, "]}");
    return 0;
}

/* ---- one of them ---- */

/* The revision of the path. */
static int read_revision(struct rem_api_call *call, uint64_t *out)
{
    uint64_t now = rem_writer_revision(call->api->writer);

    if (rem_str_to_u64(call->params[0], UINT64_MAX, out) != 0)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT, "a revision is a number");
    if (*out > now || *out == 0)
        return rem_fault_set(&call->fault, REM_FAULT_REVISION_NOT_FOUND,
                             "there is no revision %llu, the current one is %llu",
                             (unsigned long long)*out, (unsigned long long)now);
    return 0;
}

/* The record of a revision, if it is among those kept. */
static int find_record(struct rem_api_call *call, uint64_t revision, struct rem_journal_record *out)
{
    const struct rem_api *api = call->api;

    if (api->journal != NULL && revision + api->history > rem_writer_revision(api->writer) &&
        rem_journal_revision(api->journal, revision, out) == REM_OK)
        return 0;
    return rem_fault_set(&call->fault, REM_FAULT_REVISION_GONE,
                         "revision %llu is no longer in the history", (unsigned long long)revision);
}

int rem_v1_history_one(struct rem_api_call *call)
{
    struct rem_journal_record record;
    uint64_t revision;
    int rc = read_revision(call, &revision);

    if (rc == 0)
        rc = find_record(call, revision, &record);
    if (rc != 0)
        return rc;
    call->response->content_type = REM_API_JSON;
    rc = rem_events_json(&record, true, &call->response->body);
    return rc == REM_OK ? 0 : rem_call_fault(call, rc, NULL);
}

/* ---- the way back ---- */

static int revert(struct rem_api_call *call, struct rem_undo *undo, uint64_t revision)
{
    struct rem_journal_record record;
    struct rem_sbuf text;
    json_t *body = NULL;
    int rc = find_record(call, revision, &record);

    if (rc != 0)
        return rc;
    rem_sbuf_init(&text);
    rc = rem_journal_body(&record, &text);
    if (rc == REM_OK)
        body = json_loadb(text.p, text.n, 0, NULL);
    rem_sbuf_fini(&text);
    if (body == NULL)
        return rem_call_fault(call, rc == REM_OK ? REM_ENOMEM : rc, NULL);
    rc = rem_undo_revert(undo, body);
    json_decref(body);
    return rc;
}

/* What a start made of configuration and state file differs from nothing, not from what there was
 * before the end: undone, it would take away all that was made at run time. */
static int check_start(struct rem_api_call *call, uint64_t target)
{
    const struct rem_journal *journal = call->api->journal;
    uint64_t start = journal != NULL ? rem_journal_mark(journal, REM_JOURNAL_MARK_START) : 0;

    if (target >= start)
        return 0;
    return rem_fault_set(&call->fault, REM_FAULT_REVISION_GONE,
                         "the instance was started with revision %llu", (unsigned long long)start);
}

static int roll_back(struct rem_api_call *call, struct rem_undo *undo, uint64_t target)
{
    json_t *restored = NULL;
    int rc = 0;

    for (uint64_t at = rem_writer_revision(call->api->writer); rc == 0 && at > target; at--)
        rc = revert(call, undo, at);
    if (rc == 0)
        rc = rem_undo_stage(undo, &restored);
    if (rc != 0)
        return rc;
    return rem_v1_stage(call, 200,
                        json_pack("{s:I,s:o,s:O}", "restored", (json_int_t)target, "upstreams",
                                  restored, "not_restored", undo->refused));
}

int rem_v1_rollback(struct rem_api_call *call)
{
    struct rem_undo undo;
    uint64_t target;
    int rc = read_revision(call, &target);

    if (rc == 0)
        rc = check_start(call, target);
    if (rc == 0)
        rc = rem_undo_init(&undo, call);
    if (rc != 0)
        return rc;
    rc = roll_back(call, &undo, target);
    rem_undo_fini(&undo);
    return rc;
}
