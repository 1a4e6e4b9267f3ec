/* SPDX-License-Identifier: Apache-2.0 */
/* What is written down of revisions, and what streams tell of it. */
#include "api/record.h"

#include "api/events.h"

#include "tests/unit/suite.h"

#include <stdlib.h>
#include <string.h>

static struct rem_region region;
static struct rem_writer *writer;
static struct rem_journal journal;
static struct rem_clock tick;
static struct rem_api api;

static void setup(void)
{
    struct rem_upstream_spec spec = {.name = REM_STR("a"), .zone = REM_STR("a"), .config_hash = 1};
    struct rem_registry_conf conf = {.upstreams = &spec, .upstream_count = 1, .generation = 1};
    struct rem_err err = {0};

    ck_assert_int_eq(rem_region_create(&region, 64 << 20, 1), 0);
    ck_assert_int_eq(rem_writer_new(&region, &writer, &err), 0);
    rem_clock_update(&tick);
    ck_assert_int_eq(rem_journal_create(&journal, tick.wall_sec), 0);
    rem_journal_recover(&journal, 0, REM_JOURNAL_HISTORY);
    rem_api_init(&api, &region, writer, &tick, true);
    api.journal = &journal;
    rem_record_start(&api);
    rem_record_cause(&api, REM_STR("configuration"), REM_STR(""), REM_STR("generation 1"));
    ck_assert_int_eq(rem_writer_reconcile(writer, &conf, &err), 0);
    rem_record_forget(&api);
}

static void teardown(void)
{
    rem_api_fini(&api);
    rem_writer_free(&writer);
    rem_journal_close(&journal);
    rem_region_close(&region);
}

/* `count` servers 10.A.x.y, with texts that no compression helps with if `noise`. */
static struct rem_server_spec *make_servers(size_t count, unsigned a, bool noise)
{
    struct rem_server_spec *servers = calloc(count, sizeof(*servers));
    uint32_t x = a;

    for (size_t i = 0; i < count; i++) {
        char *text = malloc(64), *route = malloc(33);
        int n = snprintf(text, 64, "10.%zu.%zu.%zu:80", a + (i >> 16), i >> 8 & 255, i & 255);
        rem_server_spec_init(&servers[i]);
        servers[i].server = servers[i].name = rem_str_make(text, (size_t)n);
        ck_assert_int_eq(rem_addr_parse(servers[i].server, 0, &servers[i].addr), 0);
        for (int k = 0; k < 32; k++) {
            x = x * 1664525 + 1013904223;
            route[k] = (char)('!' + (x >> 24) % 64);
        }
        servers[i].route = noise ? rem_str_make(route, 32) : REM_STR("");
        if (!noise)
            free(route);
    }
    return servers;
}

static void free_servers(struct rem_server_spec *servers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)servers[i].server.p);
        if (servers[i].route.n != 0)
            free((void *)(uintptr_t)servers[i].route.p);
    }
    free(servers);
}

static int put(size_t count, unsigned a, bool noise)
{
    struct rem_server_spec *servers = make_servers(count, a, noise);
    struct rem_err err = {0};
    struct rem_commit commit;
    int rc = rem_change_new(writer, &api.change);

    if (rc == 0)
        rc = rem_change_servers(api.change, REM_STR("a"), servers, count, &err);
    ck_assert_int_eq(rc, 0);
    rc = rem_api_publish(&api, &commit);
    while (rem_writer_reclaim(writer))
        ;
    free_servers(servers, count);
    return rc;
}

/* The record of a revision.  Owns: the caller's. */
static json_t *record_of(uint64_t revision)
{
    struct rem_journal_record record;
    struct rem_sbuf text;
    json_t *object;

    ck_assert_int_eq(rem_journal_revision(&journal, revision, &record), 0);
    rem_sbuf_init(&text);
    ck_assert_int_eq(rem_events_json(&record, true, &text), 0);
    object = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(object != NULL, "%.*s", (int)text.n, text.p);
    rem_sbuf_fini(&text);
    return object;
}

START_TEST(test_causes)
{
    json_t *record, *causes;

    record = record_of(1);
    causes = json_object_get(record, "causes");
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(causes, 0), "who")),
                     "configuration");
    json_decref(record);
    for (int i = 0; i < REM_RECORD_CAUSES + 3; i++)
        rem_record_cause(&api, REM_STR("who \"\\\xff"), REM_STR("PUT"), REM_STR("/v1/x"));
    ck_assert_int_eq(put(1, 1, false), 0);
    record = record_of(2);
    ck_assert_uint_eq(json_array_size(json_object_get(record, "causes")), REM_RECORD_CAUSES);
    ck_assert_int_eq(json_integer_value(json_object_get(record, "more_causes")), 3);
    json_decref(record);
    ck_assert_int_eq(put(1, 2, false), 0);
    record = record_of(3);
    ck_assert_uint_eq(json_array_size(json_object_get(record, "causes")), 0);
    ck_assert_ptr_null(json_object_get(record, "more_causes"));
    json_decref(record);
}
END_TEST

/* The change does not fit: there is no revision, and no record; the next one has both. */
START_TEST(test_a_publish_that_fails)
{
    struct rem_journal_record record;

    ck_assert_int_eq(put(200000, 1, false), REM_EFULL);
    ck_assert_uint_eq(rem_writer_revision(writer), 1);
    ck_assert_int_eq(rem_journal_revision(&journal, 2, &record), REM_ENOTFOUND);
    ck_assert_int_eq(put(3, 1, false), 0);
    ck_assert_int_eq(rem_journal_revision(&journal, 2, &record), 0);
}
END_TEST

START_TEST(test_a_difference_that_is_too_large)
{
    struct rem_api_response response;
    json_t *record, *app;

    ck_assert_int_eq(put(20000, 1, true), 0);
    record = record_of(2);
    app = json_object_get(json_object_get(record, "upstreams"), "a");
    ck_assert(json_is_true(json_object_get(app, "large")));
    ck_assert_ptr_null(json_object_get(app, "servers"));
    json_decref(record);
    ck_assert_int_eq(put(9000, 2, false), 0); /* what goes was large */
    ck_assert_int_eq(put(9000, 3, false), 0);
    record = record_of(4);
    app = json_object_get(json_object_get(record, "upstreams"), "a");
    ck_assert_uint_eq(json_array_size(json_object_get(json_object_get(app, "servers"), "removed")),
                      9000);
    json_decref(record);

    /* A stream gets it without the difference. */
    rem_api_response_init(&response);
    rem_events_fill(&api, &response);
    ck_assert_uint_lt(response.body.n, 4096);
    rem_sbuf_addc(&response.body, '\0');
    ck_assert_ptr_nonnull(strstr(response.body.p, "\"revision\":4,\"causes\":[]}\n\n"));
    rem_api_response_fini(&response);
}
END_TEST

/* Streams: all in order, nothing twice, and a word where the journal was faster. */
START_TEST(test_streams)
{
    struct rem_api_response response, slow;

    rem_api_response_init(&response);
    rem_api_response_init(&slow);
    rem_journal_seek_end(&journal, &slow.cursor);
    rem_events_fill(&api, &response);
    ck_assert_uint_ne(response.body.n, 0);
    rem_sbuf_clear(&response.body);
    rem_events_fill(&api, &response);
    ck_assert_uint_eq(response.body.n, 0);
    rem_api_note(&api, REM_JOURNAL_DRAIN, json_pack("{s:s}", "state", "begun"));
    rem_api_note(&api, REM_JOURNAL_RELOAD, NULL);
    rem_events_fill(&api, &response);
    rem_sbuf_addc(&response.body, '\0');
    ck_assert_ptr_nonnull(strstr(response.body.p, "event: drain\ndata: {\"sequence\":"));
    ck_assert_ptr_nonnull(strstr(response.body.p, ",\"revision\":1,\"state\":\"begun\"}\n\n"));
    ck_assert_ptr_nonnull(strstr(response.body.p, ",\"revision\":1}\n\n"));

    for (unsigned i = 0; i < REM_JOURNAL_CHANGES + 2; i++)
        ck_assert_int_eq(put(1, i & 127, false), 0);
    rem_events_fill(&api, &slow);
    rem_sbuf_addc(&slow.body, '\0');
    ck_assert_ptr_nonnull(strstr(slow.body.p, "event: gap\n"));
    rem_sbuf_clear(&slow.body);
    ck_assert_int_eq(put(2, 1, false), 0);
    rem_events_fill(&api, &slow);
    rem_sbuf_addc(&slow.body, '\0');
    ck_assert_ptr_nonnull(strstr(slow.body.p, "event: revision\n"));
    ck_assert_ptr_null(strstr(slow.body.p, "event: gap\n"));
    rem_api_response_fini(&response);
    rem_api_response_fini(&slow);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("record");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, test_causes);
    tcase_add_test(tcase, test_a_publish_that_fails);
    tcase_add_test(tcase, test_a_difference_that_is_too_large);
    tcase_add_test(tcase, test_streams);
    return run_suite("record", tcase);
}
