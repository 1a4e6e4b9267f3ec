/* SPDX-License-Identifier: Apache-2.0 */
#include "api/record.h"

#include "api/diff.h"

enum { WHAT_MAX = 512 };

void rem_record_cause(struct rem_api *api, struct rem_str who, struct rem_str method,
                      struct rem_str what)
{
    struct rem_sbuf *out = &api->causes;
    size_t room = WHAT_MAX - method.n % 64;
    char text[WHAT_MAX + 64];
    int n;

    if (api->cause_count++ >= REM_RECORD_CAUSES)
        return;
    n = snprintf(text, sizeof(text), "%.*s%s%.*s", (int)(method.n % 64), method.p,
                 method.n != 0 ? " " : "", (int)(what.n < room ? what.n : room), what.p);
    rem_sbuf_adds(out, api->cause_count == 1 ? "{\"who\":" : ",{\"who\":");
    rem_json_put(out, who);
    rem_sbuf_adds(out, ",\"what\":");
    rem_json_put(out, rem_str_make(text, (size_t)n));
    rem_sbuf_addc(out, '}');
}

void rem_record_forget(struct rem_api *api)
{
    rem_sbuf_clear(&api->causes);
    api->cause_count = 0;
}

/* The record's body.  Its head is what /v1/history lists. */
static int compose(struct rem_api *api, struct rem_change *change, bool brief, struct rem_sbuf *out,
                   uint32_t *head)
{
    int rc;

    rem_sbuf_clear(out);
    rem_sbuf_adds(out, "{\"causes\":[");
    rem_sbuf_add(out, rem_sbuf_str(&api->causes));
    rem_sbuf_addc(out, ']');
    if (api->cause_count > REM_RECORD_CAUSES) {
        rem_sbuf_adds(out, ",\"more_causes\":");
        rem_json_put_number(out, api->cause_count - REM_RECORD_CAUSES);
    }
    *head = (uint32_t)out->n;
    rem_sbuf_addc(out, ',');
    rc = rem_diff_write(api->writer, change, brief, out);
    rem_sbuf_addc(out, '}');
    return rc == REM_OK && out->failed ? REM_ENOMEM : rc;
}

static void on_before(void *data, struct rem_change *change, uint64_t revision)
{
    struct rem_api *api = data;
    struct rem_journal_record record = {
        .kind = REM_JOURNAL_REVISION,
        .revision = revision,
        .wall_ms = api->clock->wall_sec * 1000 + (int64_t)api->clock->wall_msec,
    };
    struct rem_sbuf *body = &api->record;
    int rc = compose(api, change, false, body, &record.head);

    if (rem_writer_revision(api->writer) == 0)
        rem_journal_set_mark(api->journal, REM_JOURNAL_MARK_START, revision);
    rem_journal_cancel(api->journal);
    if (rc == REM_OK)
        rc = rem_journal_prepare(api->journal, &record, rem_sbuf_str(body));
    if (rc == REM_ETOOBIG) { /* too much of a difference: that there was one is still worth it */
        rc = compose(api, change, true, body, &record.head);
        if (rc == REM_OK)
            rc = rem_journal_prepare(api->journal, &record, rem_sbuf_str(body));
    }
    (void)rc;
    if (body->size > (64 << 10)) {
        rem_sbuf_fini(body);
        rem_sbuf_init(body);
    }
}

static void on_after(void *data, bool published)
{
    struct rem_api *api = data;

    if (published)
        rem_journal_commit(api->journal);
    else
        rem_journal_cancel(api->journal);
}

void rem_record_start(struct rem_api *api)
{
    const struct rem_writer_watch watch = {on_before, on_after, api};

    rem_writer_set_watch(api->writer, api->journal != NULL ? &watch : NULL);
}
