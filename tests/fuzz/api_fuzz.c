/* SPDX-License-Identifier: Apache-2.0 */
/* api_fuzz.c - requests to the admin API, one after the other, through the real handlers.
 *
 * Input:      requests, between them 1E.  A request: a letter for the method, a digit for the role
 *             (and 8 more: it has an If-Match), the path with its query, LF, Last-Event-ID, LF,
 *             If-Match, LF, the body.
 * Checked:    an error and its body go together, JSON is JSON, what fails publishes nothing.  */
#include "api/api.h"
#include "api/events.h"
#include "proto/shm/journal.h"
#include "proto/shm/keyval.h"
#include "proto/shm/split.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world {
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_journal journal;
    struct rem_clock clock;
    struct rem_api api;
    struct rem_str tables[2]; /* bytes: a key-value zone, a split */
    struct rem_server_spec servers[3];
    struct rem_upstream_spec specs[2];
} w;

static const struct rem_keyval_spec keyval = {
    .name = REM_STR("kv"), .type = REM_KEYVAL_STRING, .size = 4096};

static int on_drain(void *data, uint32_t delay_ms, uint32_t timeout_ms)
{
    (void)data, (void)delay_ms, (void)timeout_ms;
    return REM_OK;
}

static void make_tables(void)
{
    static const struct rem_split_part parts[2] = {{.share = 5000, .value = REM_STR("a")},
                                                   {.share = 5000, .value = REM_STR("b")}};
    struct rem_keyval_edit edit;

    REM_CHECK(rem_keyval_edit_init(&edit, keyval.type, REM_STR(""), 0) == REM_OK);
    REM_CHECK(rem_keyval_edit_build(&edit, &w.tables[0]) == REM_OK);
    rem_keyval_edit_fini(&edit);
    REM_CHECK(rem_split_build(parts, 2, &w.tables[1]) == REM_OK);
}

static void make_specs(void)
{
    static const char *const addrs[] = {"127.0.0.1:1", "127.0.0.1:2", "unix:/s"};

    for (size_t i = 0; i < REM_COUNT(addrs); i++) {
        rem_server_spec_init(&w.servers[i]);
        w.servers[i].server = rem_str_from(addrs[i]);
        REM_CHECK(rem_addr_parse(w.servers[i].server, 0, &w.servers[i].addr) == REM_OK);
    }
    w.specs[0] = (struct rem_upstream_spec){.name = REM_STR("a"),
                                            .zone = REM_STR("a"),
                                            .config_hash = 1,
                                            .servers = w.servers,
                                            .server_count = REM_COUNT(addrs)};
    w.specs[1] =
        (struct rem_upstream_spec){.name = REM_STR("b"), .zone = REM_STR("z"), .config_hash = 2};
}

static void begin(void)
{
    struct rem_table_spec tables[2] = {
        {.kind = REM_TABLE_KEYVAL, .name = keyval.name, .bytes = w.tables[0]},
        {.kind = REM_TABLE_SPLIT, .name = REM_STR("split"), .bytes = w.tables[1]}};
    struct rem_err err;

    REM_CHECK(rem_region_create(&w.region, REM_REGION_MIN, 1) == REM_OK);
    REM_CHECK(rem_writer_new(&w.region, &w.writer, &err) == REM_OK);
    REM_CHECK(rem_writer_reconcile(w.writer,
                                   &(struct rem_registry_conf){.upstreams = w.specs,
                                                               .upstream_count = 2,
                                                               .tables = tables,
                                                               .table_count = 2,
                                                               .generation = 1},
                                   &err) == REM_OK);
    rem_clock_update(&w.clock);
    REM_CHECK(rem_journal_create(&w.journal, w.clock.wall_sec) == REM_OK);
    rem_api_init(&w.api, &w.region, w.writer, &w.clock, true);
    w.api.info.version = w.api.info.build = "1";
    w.api.configured = w.specs;
    w.api.configured_count = 2;
    w.api.keyvals = &keyval;
    w.api.keyval_count = 1;
    w.api.drain = on_drain;
    rem_journal_recover(&w.journal, rem_writer_revision(w.writer), w.api.history);
    w.api.journal = &w.journal;
}

static void end(void)
{
    rem_api_fini(&w.api);
    rem_journal_close(&w.journal);
    rem_writer_free(&w.writer);
    rem_region_close(&w.region);
}

static struct rem_str cut(struct rem_str *rest, int mark)
{
    const char *at = rem_str_chr(*rest, (char)mark);
    struct rem_str part = at != NULL ? rem_str_make(rest->p, (size_t)(at - rest->p)) : *rest;

    *rest = rem_str_skip(*rest, part.n + (at != NULL));
    return part;
}

static bool parse(struct rem_str text, struct rem_api_request *out)
{
    static const enum rem_method methods[] = {REM_METHOD_GET,    REM_METHOD_PUT,   REM_METHOD_POST,
                                              REM_METHOD_DELETE, REM_METHOD_PATCH, REM_METHOD_HEAD,
                                              REM_METHOD_OTHER};
    unsigned role;

    if (text.n < 3 || text.p[2] != '/')
        return false;
    role = (unsigned char)text.p[1];
    *out = (struct rem_api_request){
        .method = methods[(unsigned char)text.p[0] % REM_COUNT(methods)],
        .method_text = REM_STR("X"),
        .role = (enum rem_api_role)(role % 8 > REM_ROLE_ADMIN ? REM_ROLE_ADMIN : role % 8),
        .has_if_match = role & 8,
        .has_if_none_match = role & 16,
        .who = REM_STR("token:t"),
        .content_type = REM_STR(REM_API_JSON),
        .accept = role & 32 ? REM_STR("application/openmetrics-text; version=1.0.0") : REM_STR("")};
    text = rem_str_skip(text, 2);
    out->args = cut(&text, '\n');
    out->path = cut(&out->args, '?');
    out->last_event_id = cut(&text, '\n');
    out->if_match = out->if_none_match = cut(&text, '\n');
    out->body = text;
    return true;
}

static void check_response(const struct rem_api_response *response)
{
    struct rem_str body = rem_sbuf_str(&response->body);
    json_error_t error;
    json_t *json;

    REM_CHECK(response->status >= 200 && response->status < 600);
    if (response->content_type == NULL || strstr(response->content_type, "json") == NULL)
        return;
    json = json_loadb(body.p, body.n, JSON_DECODE_ANY, &error);
    REM_CHECK(json != NULL || body.n == 0);
    json_decref(json);
}

static void stream(struct rem_api_response *response)
{
    size_t before;

    do {
        before = response->body.n;
        rem_events_fill(&w.api, response);
    } while (response->body.n != before && response->body.n < REM_EVENTS_PIECE);
}

static void ask(const struct rem_api_request *request)
{
    struct rem_api_staged staged = {0};
    struct rem_api_response response;
    enum rem_api_outcome outcome;
    uint64_t before = rem_writer_revision(w.writer);
    int rc;

    rem_api_response_init(&response);
    outcome = rem_api_handle(&w.api, request, &response, &staged);
    REM_CHECK(outcome != REM_API_FLUSH); /* nothing was staged before */
    rc = rem_api_publish(&w.api, &staged.commit);
    if (outcome == REM_API_STAGED && rc == REM_OK)
        rem_api_finish(&staged, true, &response);
    else if (outcome == REM_API_STAGED)
        rem_api_finish_failed(&staged, request, rc, &response);
    if (response.status >= 400)
        REM_CHECK(rem_writer_revision(w.writer) == before);
    if (response.streams)
        stream(&response);
    else
        check_response(&response);
    rem_api_forget(&staged);
    rem_api_response_fini(&response);
    while (rem_writer_reclaim(w.writer))
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rem_str text = rem_str_make((const char *)data, size);
    struct rem_api_request request;

    if (w.tables[0].p == NULL) {
        make_tables();
        make_specs();
    }
    begin();
    while (text.n != 0)
        if (parse(cut(&text, 0x1e), &request))
            ask(&request);
    end();
    return 0;
}
