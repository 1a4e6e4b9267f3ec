/* SPDX-License-Identifier: Apache-2.0 */
#include "api/events.h"

#include "api/v1.h"

enum { STREAMS_MAX = 64, RETRY_MS = 1000 };

static const char *const names[REM_JOURNAL_KINDS] = {
    [REM_JOURNAL_REVISION] = "revision", [REM_JOURNAL_HEALTH] = "health",
    [REM_JOURNAL_EJECT] = "eject",       [REM_JOURNAL_RESPAWN] = "respawn",
    [REM_JOURNAL_RELOAD] = "reload",     [REM_JOURNAL_DRAIN] = "drain",
};

void rem_api_note(struct rem_api *api, enum rem_journal_kind kind, json_t *body)
{
    struct rem_journal_record record = {
        .kind = kind,
        .revision = rem_writer_revision(api->writer),
        .wall_ms = api->clock->wall_sec * 1000 + (int64_t)api->clock->wall_msec,
    };
    struct rem_sbuf text;

    rem_sbuf_init(&text);
    if (body == NULL)
        rem_sbuf_adds(&text, "{}");
    else
        rem_json_dump(&text, body);
    json_decref(body);
    record.head = (uint32_t)text.n;
    if (api->journal != NULL && !text.failed)
        (void)!rem_journal_append(api->journal, &record, rem_sbuf_str(&text));
    rem_sbuf_fini(&text);
}

/* ---- a record as JSON ---- */

int rem_events_json(const struct rem_journal_record *record, bool whole, struct rem_sbuf *out)
{
    char at[REM_PLUS_TIME];
    struct rem_sbuf body;
    struct rem_str text;
    int rc;

    rem_plus_time(record->wall_ms / 1000, (unsigned)(record->wall_ms % 1000), at);
    rem_sbuf_addf(out, "{\"sequence\":%llu,\"at\":\"%s\",\"revision\":%llu",
                  (unsigned long long)record->sequence, at, (unsigned long long)record->revision);
    rem_sbuf_init(&body);
    rc = whole ? rem_journal_body(record, &body) : rem_journal_head(record, &body);
    text = rem_sbuf_str(&body);
    /* The head is an object up to, but without, its closing brace. */
    if (rc == REM_OK && (whole || record->head == record->raw) && text.n != 0)
        text.n--;
    if (rc == REM_OK && text.n > 1) {
        rem_sbuf_addc(out, ',');
        rem_sbuf_add(out, rem_str_skip(text, 1));
    }
    rem_sbuf_fini(&body);
    rem_sbuf_addc(out, '}');
    return rc == REM_OK && out->failed ? REM_ENOMEM : rc;
}

/* ---- the stream ---- */

static void put_event(const struct rem_journal_record *record, struct rem_sbuf *out)
{
    size_t before = out->n;
    bool whole = record->raw <= REM_EVENTS_BODY;

    rem_sbuf_addf(out, "id: %llu\nevent: %s\ndata: ", (unsigned long long)record->sequence,
                  names[record->kind]);
    if (rem_events_json(record, whole, out) != REM_OK && !out->failed) {
        out->n = before;
        return;
    }
    rem_sbuf_adds(out, "\n\n");
}

/* Says where the stream stands: at its beginning, or when events were missed. */
static void put_place(const struct rem_api *api, const char *event, bool numbered,
                      struct rem_sbuf *out)
{
    unsigned long long sequence = rem_journal_sequence(api->journal);

    if (numbered)
        rem_sbuf_addf(out, "id: %llu\n", sequence);
    rem_sbuf_addf(out, "event: %s\ndata: {\"sequence\":%llu,\"revision\":%llu}\n\n", event,
                  sequence, (unsigned long long)rem_writer_revision(api->writer));
}

void rem_events_fill(const struct rem_api *api, struct rem_api_response *response)
{
    struct rem_sbuf *out = &response->body;
    struct rem_journal_record record;
    int rc = REM_OK;

    while (rc == REM_OK && out->n < REM_EVENTS_PIECE && !out->failed) {
        rc = rem_journal_next(api->journal, &response->cursor, &record);
        if (rc == REM_OK)
            put_event(&record, out);
    }
    if (rc != REM_EFULL)
        return;
    rem_journal_seek_end(api->journal, &response->cursor);
    put_place(api, "gap", true, out);
}

/* From where on a client wants to be told: *given is false if it does not say. */
static int wanted(struct rem_api_call *call, uint64_t *out, bool *given)
{
    struct rem_str text = call->request->last_event_id;

    *given = text.n != 0 || rem_uri_arg(call->request->args, REM_STR("after"), &text);
    if (*given && rem_str_to_u64(text, UINT64_MAX, out) != 0)
        return rem_fault_set(&call->fault, REM_FAULT_FORMAT,
                             "Last-Event-ID must be the id of an event");
    return 0;
}

int rem_v1_events(struct rem_api_call *call)
{
    struct rem_api *api = call->api;
    struct rem_api_response *response = call->response;
    uint64_t after = 0;
    bool given, missed = false;
    int rc = wanted(call, &after, &given);

    if (rc != 0)
        return rc;
    if (api->journal == NULL || api->streams >= STREAMS_MAX)
        return rem_fault_set(&call->fault, REM_FAULT_BUSY, "more than %d streams", STREAMS_MAX);
    response->status = 200;
    response->content_type = REM_API_EVENTS;
    if (call->request->method == REM_METHOD_HEAD)
        return 0;
    response->streams = true;
    if (given)
        missed = !rem_journal_seek(api->journal, after, &response->cursor);
    else
        rem_journal_seek_end(api->journal, &response->cursor);
    rem_sbuf_addf(&response->body, "retry: %d\n", RETRY_MS);
    put_place(api, "hello", !given, &response->body);
    if (missed)
        put_place(api, "gap", true, &response->body);
    return 0;
}
