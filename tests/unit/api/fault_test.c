/* SPDX-License-Identifier: Apache-2.0 */
#include "api/fault.h"

#include "api/json.h"

#include "tests/unit/suite.h"

static json_t *body_of(const struct rem_api_response *response)
{
    json_t *body = json_loadb(response->body.p, response->body.n, 0, NULL);

    ck_assert_ptr_nonnull(body);
    return body;
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    ck_assert_msg(text != NULL, "no \"%s\"", key);
    return text;
}

/* Every code has a body of the right shape in both styles. */
START_TEST(test_codes)
{
    enum rem_fault_code code = (enum rem_fault_code)_i;
    struct rem_fault fault = {0};
    struct rem_api_response response;
    const json_t *error;
    json_t *body;

    rem_api_response_init(&response);
    ck_assert_int_eq(rem_fault_set(&fault, code, "because of %d", 5), REM_EINVAL);
    rem_fault_answer_plus(&fault, &response);
    body = body_of(&response);
    error = json_object_get(body, "error");
    ck_assert_int_ge(response.status, 400);
    ck_assert_int_eq((int)json_integer_value(json_object_get(error, "status")), response.status);
    ck_assert_str_eq(text_at(error, "text"), "because of 5");
    ck_assert_str_eq(text_at(error, "code"), rem_fault_name(code));
    ck_assert_uint_eq(strlen(text_at(body, "request_id")), 32);
    ck_assert_uint_eq(strspn(text_at(body, "request_id"), "0123456789abcdef"), 32);
    ck_assert_int_eq(strncmp(text_at(body, "href"), "https://", 8), 0);
    ck_assert_str_eq(response.content_type, REM_API_JSON);
    json_decref(body);
    rem_fault_answer_problem(&fault, &response);
    body = body_of(&response);
    ck_assert_int_eq((int)json_integer_value(json_object_get(body, "status")), response.status);
    ck_assert_str_eq(text_at(body, "detail"), "because of 5");
    ck_assert_str_eq(text_at(body, "code"), rem_fault_name(code));
    ck_assert_ptr_nonnull(strstr(text_at(body, "type"), rem_fault_name(code)));
    ck_assert_str_eq(response.content_type, REM_API_PROBLEM);
    ck_assert_int_eq(response.has_etag, code == REM_FAULT_CONFLICT);
    json_decref(body);
    rem_api_response_fini(&response);
}
END_TEST

static const struct {
    const char *given;
    const char *kept;
} texts[] = {
    {"plain", "plain"},
    {"a;b=c", "a,b=c"},
    {"line\r\nend", "line??end"},
    {"\x01\x7f\xc3\xa4", "????"},
    {"\"quoted\\\"", "\"quoted\\\""},
};

START_TEST(test_text)
{
    struct rem_fault fault = {0};

    (void)rem_fault_set(&fault, REM_FAULT_FORMAT, "%s", texts[_i].given);
    ck_assert_str_eq(fault.text, texts[_i].kept);
}
END_TEST

START_TEST(test_long_text)
{
    struct rem_fault fault = {0};

    (void)rem_fault_set(&fault, REM_FAULT_FORMAT, "%01000d", 7);
    ck_assert_uint_eq(strlen(fault.text), sizeof(fault.text) - 1);
}
END_TEST

static const struct {
    int status;
    const char *code;
} statuses[] = {
    {400, "BadRequest"},    {408, "RequestTimeout"},    {413, "RequestTooLarge"},
    {414, "TargetTooLong"}, {417, "ExpectationFailed"}, {431, "HeadTooLarge"},
    {500, "InternalError"}, {501, "NotImplemented"},    {503, "Busy"},
    {505, "HttpVersion"},   {405, "MethodDisabled"},    {599, "InternalError"},
};

START_TEST(test_of_status)
{
    ck_assert_str_eq(rem_fault_name(rem_fault_of_status(statuses[_i].status)), statuses[_i].code);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, test_codes, 0, REM_FAULTS);
    tcase_add_loop_test(tc, test_text, 0, REM_COUNT(texts));
    tcase_add_test(tc, test_long_text);
    tcase_add_loop_test(tc, test_of_status, 0, REM_COUNT(statuses));
    return run_suite("fault", tc);
}
