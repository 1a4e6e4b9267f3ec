/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/check_priv.h"

static const char *const doings[] = {
    [REM_MATCH_STATUS] = "checking status code",
    [REM_MATCH_HEADER] = "checking header",
    [REM_MATCH_BODY] = "checking body",
    [REM_MATCH_REQUIRE] = "checking required variables",
};

static bool status_in(const struct rem_check_test *test, unsigned status)
{
    for (size_t i = 0; i < test->range_count; i++) {
        if (status >= test->ranges[i].from && status <= test->ranges[i].to)
            return true;
    }
    return false;
}

/* A pattern that cannot be decided counts as one that does not match. */
static bool value_is(const struct rem_check_test *test, struct rem_str value)
{
    const size_t *ovector;

    if (test->how == REM_MATCH_EQUALS)
        return rem_str_eq(value, test->value);
    return rem_regex_match(test->regex, value, &ovector) > 0;
}

/* A field that is to have another value must be there; of several, none may have the value. */
static bool header_passes(const struct rem_check_test *test, const struct rem_fields *fields)
{
    const struct rem_field *field = rem_fields_find_name(fields, test->name);
    bool found = false;

    if (test->how == REM_MATCH_EXISTS)
        return (field != NULL) != test->negated;
    if (field == NULL)
        return false;
    for (; field != NULL && !found; field = rem_fields_next(fields, field))
        found = value_is(test, field->value);
    return found != test->negated;
}

static bool test_passes(const struct rem_check_test *test, const struct rem_check_answer *answer)
{
    switch (test->subject) {
    case REM_MATCH_STATUS:
        return status_in(test, answer->status) != test->negated;
    case REM_MATCH_HEADER:
        return header_passes(test, answer->fields);
    case REM_MATCH_REQUIRE:
        return test->require(test->data, answer);
    default:
        return true; /* of the body, later */
    }
}

/* In the order in which a response comes, whatever the order of the block. */
bool rem_check_match_head(const struct rem_match_spec *match, const struct rem_check_answer *answer,
                          const char **doing)
{
    static const enum rem_match_subject order[] = {REM_MATCH_STATUS, REM_MATCH_HEADER,
                                                   REM_MATCH_REQUIRE};

    *doing = doings[REM_MATCH_STATUS];
    if (match == NULL)
        return answer->status >= 200 && answer->status < 400;
    for (size_t k = 0; k < REM_COUNT(order); k++) {
        for (size_t i = 0; i < match->count; i++) {
            if (match->tests[i].subject != order[k])
                continue;
            *doing = doings[order[k]];
            if (!test_passes(&match->tests[i], answer))
                return false;
        }
    }
    return true;
}

bool rem_check_match_body(const struct rem_match_spec *match, struct rem_str body,
                          const char **doing)
{
    *doing = doings[REM_MATCH_BODY];
    for (size_t i = 0; i < match->count; i++) {
        const struct rem_check_test *test = &match->tests[i];

        if (test->subject == REM_MATCH_BODY && value_is(test, body) == test->negated)
            return false;
    }
    return true;
}
