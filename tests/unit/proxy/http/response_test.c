/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/response.h"

#include "tests/unit/suite.h"

#include <stdlib.h>
#include <string.h>

enum { DATE = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */

static struct rem_worker worker;
static struct rem_request request;

static void begin(void)
{
    memset(&request, 0, sizeof(request));
    request.worker = &worker;
    worker.loop.clock.wall_sec = DATE;
    rem_arena_init(&request.arena, NULL);
    rem_response_reset(&request);
}

static void add(const char *name, const char *value)
{
    ck_assert_int_eq(
        rem_fields_add(&request.response.fields, rem_str_from(name), rem_str_from(value)), 0);
}

START_TEST(weakening)
{
    static const struct {
        const char *tag, *weak; /* NULL: none */
    } tags[] = {
        {"\"x\"", "W/\"x\""}, {"W/\"x\"", "W/\"x\""}, {"\"\"", "W/\"\""}, {"x", NULL},
        {"", NULL},           {NULL, NULL},
    };

    for (size_t i = 0; i < REM_COUNT(tags); i++) {
        struct rem_str got;

        begin();
        if (tags[i].tag != NULL)
            add("ETag", tags[i].tag);
        ck_assert_int_eq(rem_response_weaken_tag(&request), 0);
        got = rem_response_field(&request.response, REM_FIELD_ETAG);
        ck_assert_msg(rem_str_is(got, tags[i].weak != NULL ? tags[i].weak : ""), "case %zu: %.*s",
                      i, REM_STR_ARG(got));
        ck_assert_int_eq(rem_fields_find(&request.response.fields, REM_FIELD_ETAG) != NULL,
                         tags[i].weak != NULL);
        rem_arena_reset(&request.arena);
    }
}
END_TEST

START_TEST(dates)
{
    begin();
    ck_assert_int_eq(rem_response_modified(&request), -1);
    add("Last-Modified", "nonsense");
    ck_assert_int_eq(rem_response_modified(&request), -1);
    rem_fields_remove_all(&request.response.fields, REM_FIELD_LAST_MODIFIED);
    add("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    ck_assert_int_eq(rem_response_modified(&request), DATE);
    request.response.last_modified = 5; /* the handler's own counts first */
    ck_assert_int_eq(rem_response_modified(&request), 5);
    rem_arena_reset(&request.arena);
}
END_TEST

START_TEST(another_body)
{
    struct rem_response *response = &request.response;

    begin();
    response->content_length = 7;
    response->allow_ranges = true;
    add("Accept-Ranges", "bytes");
    add("X", "1");
    add("accept-ranges", "none");
    rem_response_changes_body(response);
    ck_assert_int_eq(response->content_length, -1);
    ck_assert(!response->allow_ranges);
    ck_assert_uint_eq(response->fields.n, 1);
    response->status = 200;
    rem_response_reset(&request);
    ck_assert_uint_eq(response->fields.n, 0);
    ck_assert_int_eq(response->status, 0);
    ck_assert_int_eq(response->content_length, -1);
    ck_assert_int_eq(response->last_modified, -1);
    rem_arena_reset(&request.arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("response");

    tcase_add_test(tc, weakening);
    tcase_add_test(tc, dates);
    tcase_add_test(tc, another_body);
    return run_suite("response", tc);
}
