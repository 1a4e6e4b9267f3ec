/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

static const struct {
    const char *text;
    size_t n; /* 0: strlen */
    enum rem_fault_code code;
} bodies[] = {
    {"{}", 0, REM_FAULT_NONE},
    {" [1, \"x\", null, true, {\"a\":[]}]\n", 0, REM_FAULT_NONE},
    {"[\"]]]]{{{{\", \"\\\"[[[[\"]", 0, REM_FAULT_NONE},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 0,
     REM_FAULT_NONE}, /* 32 */
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 0, REM_FAULT_JSON},
    {"", 0, REM_FAULT_JSON},
    {" ", 0, REM_FAULT_JSON},
    {"5", 0, REM_FAULT_JSON},
    {"null", 0, REM_FAULT_JSON},
    {"[", 0, REM_FAULT_JSON},
    {"]", 0, REM_FAULT_JSON},
    {"[]]", 0, REM_FAULT_JSON},
    {"{\"a\":1,\"a\":2}", 0, REM_FAULT_JSON},
    {"{a:1}", 0, REM_FAULT_JSON},
    {"[1e999999999]", 0, REM_FAULT_JSON},
    {"[9223372036854775808]", 0, REM_FAULT_JSON},
    {"[NaN]", 0, REM_FAULT_JSON},
    {"[\"\\u0000\"]", 0, REM_FAULT_JSON},
    {"[\"\\ud800\"]", 0, REM_FAULT_JSON},
    {"[\"\xff\"]", 0, REM_FAULT_JSON},
    {"[1]\0", 4, REM_FAULT_JSON},
    {"[\"unfinished", 0, REM_FAULT_JSON},
    {"[\"\\", 0, REM_FAULT_JSON},
};

START_TEST(test_parse)
{
    size_t n = bodies[_i].n != 0 ? bodies[_i].n : strlen(bodies[_i].text);
    struct rem_fault fault = {0};
    json_t *value = NULL;
    int rc = rem_json_parse(rem_str_make(bodies[_i].text, n), &value, &fault);

    ck_assert_msg(fault.code == bodies[_i].code, "%s: %s %s", bodies[_i].text,
                  rem_fault_name(fault.code), fault.text);
    ck_assert_int_eq(rc == 0, bodies[_i].code == REM_FAULT_NONE);
    ck_assert_int_eq(value != NULL, rc == 0);
    json_decref(value);
}
END_TEST

/* `n` times `unit` in brackets. */
static int parse_repeated(const char *unit, size_t n, struct rem_fault *fault)
{
    struct rem_sbuf text;
    json_t *value = NULL;
    int rc;

    rem_sbuf_init(&text);
    rem_sbuf_addc(&text, '[');
    for (size_t i = 0; i < n; i++)
        rem_sbuf_adds(&text, unit);
    rem_sbuf_adds(&text, "0]");
    ck_assert(!text.failed);
    rc = rem_json_parse(rem_sbuf_str(&text), &value, fault);
    json_decref(value);
    rem_sbuf_fini(&text);
    return rc;
}

START_TEST(test_bounds)
{
    struct rem_fault fault = {0};

    ck_assert_int_eq(parse_repeated("{},", REM_JSON_CONTAINERS - 1, &fault), 0);
    ck_assert_int_ne(parse_repeated("{},", REM_JSON_CONTAINERS, &fault), 0);
    ck_assert_int_eq(fault.code, REM_FAULT_TOO_LARGE);
    fault.code = REM_FAULT_NONE;
    ck_assert_int_ne(parse_repeated("1,", REM_JSON_VALUES, &fault), 0);
    ck_assert_int_eq(fault.code, REM_FAULT_TOO_LARGE);
}
END_TEST

START_TEST(test_text)
{
    json_t *good = rem_json_text(REM_STR("a\xc3\xa4"));
    json_t *bad = rem_json_text(REM_STR("a\xff\xc3z"));
    json_t *none = rem_json_text((struct rem_str){NULL, 0});

    ck_assert_str_eq(json_string_value(good), "a\xc3\xa4");
    ck_assert_str_eq(json_string_value(bad), "a??z");
    ck_assert_str_eq(json_string_value(none), "");
    json_decref(good);
    json_decref(bad);
    json_decref(none);
}
END_TEST

START_TEST(test_answer)
{
    struct rem_api_response response;

    rem_api_response_init(&response);
    rem_json_answer(&response, json_pack("{s:s,s:[i]}", "z", "\"\n", "a", 1));
    ck_assert_str_eq(response.content_type, REM_API_JSON);
    ck_assert(rem_str_is(rem_sbuf_str(&response.body), "{\"z\":\"\\\"\\n\",\"a\":[1]}"));
    ck_assert(!response.body.failed);
    rem_json_answer(&response, NULL);
    ck_assert(response.body.failed);
    rem_api_response_fini(&response);
}
END_TEST

START_TEST(test_put)
{
    static const uint64_t classes[REM_SHM_CLASSES] = {0, 1, 2, 3, UINT64_MAX};
    struct rem_sbuf out;

    rem_sbuf_init(&out);
    rem_json_put_comma(&out); /* before the first of all */
    rem_json_put_count(&out, REM_STR("{\"a\":"), UINT64_MAX);
    rem_json_put_gauge(&out, REM_JSON_KEY("b"), -1);
    rem_json_put_text(&out, REM_JSON_KEY("c"), rem_str_make("\"\xff", 2));
    rem_json_put_flag(&out, REM_JSON_KEY("d"), true);
    rem_sbuf_add(&out, REM_JSON_KEY("e"));
    rem_json_put_classes(&out, classes);
    rem_sbuf_add(&out, REM_STR("},\"f\":["));
    for (int i = 0; i < 3; i++) {
        rem_json_put_comma(&out);
        rem_json_put_flag(&out, REM_STR(""), false);
    }
    rem_sbuf_addc(&out, ']');
    rem_json_put_checks(&out, 3, 2, 1);
    rem_sbuf_add(&out, REM_STR("}}"));
    rem_sbuf_addc(&out, '\0');
    ck_assert_str_eq(out.p, "{\"a\":9223372036854775807,\"b\":0,\"c\":\"\\\"?\",\"d\":true,"
                            "\"e\":{\"1xx\":0,\"2xx\":1,\"3xx\":2,\"4xx\":3,"
                            "\"5xx\":9223372036854775807},\"f\":[false,false,false],"
                            "\"health_checks\":{\"checks\":3,\"fails\":2,\"unhealthy\":1}}");
    rem_sbuf_fini(&out);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_parse, 0, REM_COUNT(bodies));
    tcase_add_test(tc, test_bounds);
    tcase_add_test(tc, test_text);
    tcase_add_test(tc, test_answer);
    tcase_add_test(tc, test_put);
    return run_suite("json", tc);
}
