/* SPDX-License-Identifier: Apache-2.0 */
#include "api/precondition.h"

#include "tests/unit/suite.h"

enum { NOW = 7 };

static struct rem_region region;
static struct rem_writer *writer;

static void setup(void)
{
    struct rem_registry_conf conf = {0};
    struct rem_err err = {0};

    ck_assert_int_eq(rem_region_create(&region, REM_REGION_MIN, 1), 0);
    ck_assert_int_eq(rem_writer_new(&region, &writer, &err), 0);
    for (uint64_t i = 1; i <= NOW; i++) {
        struct rem_upstream_spec spec = {.name = REM_STR("a"), .config_hash = i};
        conf = (struct rem_registry_conf){.upstreams = &spec, .upstream_count = 1, .generation = i};
        ck_assert_int_eq(rem_writer_reconcile(writer, &conf, &err), 0);
    }
    ck_assert_uint_eq(rem_writer_revision(writer), NOW);
}

static void teardown(void)
{
    rem_writer_free(&writer);
    rem_region_close(&region);
}

/* A field, and what each question says to it: 0, or the status of the fault. */
static const struct {
    const char *field;
    int match, none_match, absent;
    bool not_modified;
} rows[] = {
    {"\"7\"", 0, 412, 0, true},
    {"\"6\"", 412, 0, 0, false},
    {"7", 0, 412, 0, true},
    {"W/\"7\"", 412, 412, 0, true},
    {"\"5\", \"7\"", 0, 412, 0, true},
    {"\"5\",\"6\"", 412, 0, 0, false},
    {"*", 0, 0, 412, true},
    {"\"x\"", 400, 400, 0, false},
    {"\"-7\"", 400, 400, 0, false},
    {"\"\"", 400, 400, 0, false},
    {"", 412, 0, 0, false},
    {"\"18446744073709551616\"", 400, 400, 0, false},
};

static const int statuses[REM_FAULTS] = {
    [REM_FAULT_CONFLICT] = 412,
    [REM_FAULT_BAD_PRECONDITION] = 400,
};

static void check(struct rem_api_call *call, int rc, int status)
{
    ck_assert_int_eq(rc != 0 ? statuses[call->fault.code] : 0, status);
    if (status == 412)
        ck_assert_uint_eq(call->fault.revision, NOW);
}

START_TEST(test_fields)
{
    struct rem_api api = {.writer = writer};
    struct rem_api_request request = {.if_match = rem_str_from(rows[_i].field),
                                      .has_if_match = true,
                                      .if_none_match = rem_str_from(rows[_i].field),
                                      .has_if_none_match = true};
    struct rem_api_response response = {.status = 200};
    struct rem_api_call call = {.api = &api, .request = &request, .response = &response};

    check(&call, rem_precondition_match(&call), rows[_i].match);
    check(&call, rem_precondition_none_match(&call), rows[_i].none_match);
    request.method = REM_METHOD_PUT;
    check(&call, rem_precondition_absent(&call), rows[_i].absent);
    request.method = REM_METHOD_POST;
    check(&call, rem_precondition_absent(&call), 0);
    request.method = REM_METHOD_PUT;
    response.status = 201;
    check(&call, rem_precondition_absent(&call), 0);
    ck_assert(rem_precondition_not_modified(&call) == rows[_i].not_modified);
}
END_TEST

START_TEST(test_no_fields)
{
    struct rem_api api = {.writer = writer};
    struct rem_api_request request = {0};
    struct rem_api_call call = {.api = &api, .request = &request};

    ck_assert_int_eq(rem_precondition_match(&call), 0);
    ck_assert_int_eq(rem_precondition_none_match(&call), 0);
    ck_assert_int_eq(rem_precondition_absent(&call), 0);
    ck_assert(!rem_precondition_not_modified(&call));
}
END_TEST

static const struct {
    const char *args;
    int rc; /* 0: no, 1: yes, -1: refused */
} runs[] = {
    {"", 0},          {"a=b", 0},           {"dry_run=true", 1},     {"a=b&dry_run=1", 1},
    {"dry_run=0", 0}, {"dry_run=false", 0}, {"dry_run=perhaps", -1}, {"dry_run", -1},
    {"dry_run=", -1}, {"dry_run=TRUE", -1},
};

START_TEST(test_dry_run)
{
    struct rem_api_request request = {.args = rem_str_from(runs[_i].args)};
    struct rem_api_call call = {.request = &request};
    bool dry;
    int rc = rem_precondition_dry_run(&call, &dry);

    ck_assert_int_eq(rc != 0 ? -1 : dry, runs[_i].rc);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("precondition");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, test_fields, 0, (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tcase, test_no_fields);
    tcase_add_loop_test(tcase, test_dry_run, 0, (int)(sizeof(runs) / sizeof(runs[0])));
    return run_suite("precondition", tcase);
}
