/* SPDX-License-Identifier: Apache-2.0 */
#include "api/upstream_json.h"

#include "tests/unit/suite.h"

/* What a body makes of an upstream with the defaults; "": it is refused. */
static const struct {
    const char *body;
    bool keyed;
    const char *differing; /* from the defaults */
} rows[] = {
    {"{}", false, "{}"},
    {"{\"method\":\"round_robin\"}", false, "{}"},
    {"{\"method\":null}", false, "{}"},
    {"{\"method\":\"least_conn\"}", false, "{\"method\":\"least_conn\"}"},
    {"{\"method\":\"random two least_conn\"}", false, "{\"method\":\"random two\"}"},
    {"{\"method\":\"hash\"}", false, ""},
    {"{\"method\":\"hash\"}", true, "{\"method\":\"hash\"}"},
    {"{\"method\":\"hash consistent\"}", true, "{\"method\":\"hash consistent\"}"},
    {"{\"method\":\"least_time\"}", false, ""},
    {"{\"method\":1}", false, ""},
    {"{\"method\":\"\"}", false, ""},
    {"{\"keepalive\":{}}", false, "{}"},
    {"{\"keepalive\":null}", false, "{}"},
    {"{\"keepalive\":{\"connections\":0,\"time\":\"1m\"}}", false,
     "{\"keepalive\":{\"connections\":0,\"requests\":1000,\"timeout\":\"60s\",\"time\":\"60s\"}}"},
    {"{\"keepalive\":{\"connections\":2147483648}}", false, ""},
    {"{\"keepalive\":{\"connections\":-1}}", false, ""},
    {"{\"keepalive\":{\"connections\":\"3\"}}", false, ""},
    {"{\"keepalive\":{\"timeout\":3}}", false, ""},
    {"{\"keepalive\":{\"timeout\":\"x\"}}", false, ""},
    {"{\"keepalive\":{\"colour\":1}}", false, ""},
    {"{\"keepalive\":[]}", false, ""},
    {"{\"limits\":null}", false, "{}"},
    {"{\"limits\":{}}", false, "{}"},
    {"{\"limits\":{\"requests\":5}}", false,
     "{\"limits\":{\"connections\":0,\"pending\":0,\"requests\":5,\"retries\":0,"
     "\"retry_budget\":0,\"retry_budget_min\":0}}"},
    {"{\"limits\":{\"retry_budget\":101}}", false, ""},
    {"{\"outlier_detection\":{\"consecutive_5xx\":2147483648}}", false, ""},
    {"{\"limits\":{\"retry_budget\":20}}", false,
     "{\"limits\":{\"connections\":0,\"pending\":0,\"requests\":0,\"retries\":0,"
     "\"retry_budget\":20,\"retry_budget_min\":3}}"},
    {"{\"limits\":{\"retry_budget\":20,\"retry_budget_min\":0}}", false,
     "{\"limits\":{\"connections\":0,\"pending\":0,\"requests\":0,\"retries\":0,"
     "\"retry_budget\":20,\"retry_budget_min\":0}}"},
    {"{\"limits\":{\"retry_budget_min\":2}}", false, ""},
    {"{\"limits\":{\"requests\":1.0}}", false, ""},
    {"{\"outlier_detection\":null}", false, "{}"},
    {"{\"outlier_detection\":{\"max_ejection_percent\":101}}", false, ""},
    {"{\"outlier_detection\":{\"interval\":\"0s\"}}", false, ""},
    {"{\"outlier_detection\":{\"success_rate_request_volume\":0}}", false, ""},
    {"{\"outlier_detection\":{\"max_ejection_time\":\"10s\"}}", false, ""},
    {"{\"outlier_detection\":{\"base_ejection_time\":\"10m\"}}", false,
     "{\"outlier_detection\":{\"consecutive_5xx\":5,\"consecutive_gateway_failure\":0,"
     "\"interval\":\"10s\",\"base_ejection_time\":\"600s\",\"max_ejection_time\":\"600s\","
     "\"max_ejection_percent\":10,\"success_rate_minimum_hosts\":5,"
     "\"success_rate_request_volume\":100,\"success_rate_stdev_factor\":1900}}"},
    {"{\"outlier_detection\":1}", false, ""},
    {"{\"colour\":1}", false, ""},
};

static int read_all(struct rem_upstream_spec *spec, bool keyed, const char *body,
                    struct rem_fault *fault)
{
    json_t *object = json_loads(body, 0, NULL), *value;
    const char *key;
    int rc = 0;

    ck_assert_ptr_nonnull(object);
    json_object_foreach(object, key, value)
    {
        if (rc == 0)
            rc = rem_upstream_json_member(spec, keyed, key, value, fault);
    }
    json_decref(object);
    return rc;
}

/* What is put, as an object of its own; the caller's. */
static char *shown(const struct rem_upstream_spec *spec, const struct rem_upstream_spec *other)
{
    struct rem_sbuf out;

    rem_sbuf_init(&out);
    rem_upstream_json_put(&out, spec, other);
    if (out.n == 0)
        rem_sbuf_adds(&out, ",");
    out.p[0] = '{'; /* for the first comma */
    rem_sbuf_adds(&out, "}");
    rem_sbuf_addc(&out, '\0');
    ck_assert(!out.failed);
    return out.p;
}

START_TEST(test_member)
{
    struct rem_upstream_spec usual = {0}, spec;
    struct rem_fault fault = {0};
    char *text;
    int rc;

    rem_upstream_json_defaults(&usual);
    spec = usual;
    rc = read_all(&spec, rows[_i].keyed, rows[_i].body, &fault);
    if (rows[_i].differing[0] == '\0') {
        ck_assert_int_ne(rc, 0);
        ck_assert(rc == REM_ENOTFOUND || fault.text[0] != '\0');
        return;
    }
    ck_assert_int_eq(rc, 0);
    text = shown(&spec, &usual);
    ck_assert_str_eq(text, rows[_i].differing);
    ck_assert_int_eq(rem_upstream_json_same(&spec, &usual), strcmp(text, "{}") == 0);
    free(text);
}
END_TEST

/* What is shown can be read again, onto whatever there was. */
START_TEST(test_round)
{
    struct rem_upstream_spec spec = {0}, again = {0};
    struct rem_fault fault = {0};
    char *text, *twice;

    rem_upstream_json_defaults(&spec);
    ck_assert_int_eq(read_all(&spec, false,
                              "{\"method\":\"random two least_time=last_byte\",\"keepalive\":{"
                              "\"timeout\":\"1500ms\"},\"limits\":{\"retries\":7},"
                              "\"outlier_detection\":{\"interval\":\"2s\"}}",
                              &fault),
                     0);
    ck_assert_uint_eq(spec.outlier.consecutive_5xx, 5);
    ck_assert_uint_eq(spec.outlier.base_ejection_ms, 30000);
    text = shown(&spec, NULL);
    rem_upstream_json_defaults(&again);
    again.limits.max_requests = 99;
    ck_assert_int_eq(read_all(&again, false, text, &fault), 0);
    ck_assert(rem_upstream_json_same(&spec, &again));
    twice = shown(&again, NULL);
    ck_assert_str_eq(twice, text);
    free(text);
    free(twice);
}
END_TEST

/* A patch leaves alone what it does not name. */
START_TEST(test_patch)
{
    struct rem_upstream_spec spec = {0};
    struct rem_fault fault = {0};

    rem_upstream_json_defaults(&spec);
    ck_assert_int_eq(read_all(&spec, false, "{\"limits\":{\"requests\":5,\"pending\":2}}", &fault),
                     0);
    ck_assert_int_eq(read_all(&spec, false, "{\"limits\":{\"pending\":null}}", &fault), 0);
    ck_assert_uint_eq(spec.limits.max_requests, 5);
    ck_assert_uint_eq(spec.limits.max_pending, 0);
    ck_assert_int_eq(read_all(&spec, false, "{\"limits\":null}", &fault), 0);
    ck_assert_uint_eq(spec.limits.max_requests, 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("upstream_json");

    tcase_add_loop_test(tcase, test_member, 0, (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tcase, test_round);
    tcase_add_test(tcase, test_patch);
    return run_suite("upstream_json", tcase);
}
