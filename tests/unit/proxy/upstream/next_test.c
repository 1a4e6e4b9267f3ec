/* SPDX-License-Identifier: Apache-2.0 */
/* Which failures lead to another server, and which connections were merely stale. */
#include "proxy/upstream/next.h"

#include "proxy/upstream/pool.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

#define E REM_FAULT_ERROR
#define T REM_FAULT_TIMEOUT
#define N REM_FAULT_NON_IDEMPOTENT

static const struct rule {
    const char *what;
    uint32_t listed;
    enum rem_upstream_fault fault;
    enum rem_method method;
    uint64_t sent;
    int64_t tries, timeout;
    uint32_t tried;
    bool head_sent, consumed, gone;
    bool allowed;
} rules[] = {
    {"listed", E | T, E, REM_METHOD_GET, 9, 0, 0, 1, false, false, false, true},
    {"not listed", T, E, REM_METHOD_GET, 9, 0, 0, 1, false, false, false, false},
    {"off", E | REM_FAULT_OFF, E, REM_METHOD_GET, 9, 0, 0, 1, false, false, false, false},
    {"head sent", E, E, REM_METHOD_GET, 9, 0, 0, 1, true, false, false, false},
    {"body gone", E, E, REM_METHOD_PUT, 9, 0, 0, 1, false, true, false, false},
    {"client gone", E, E, REM_METHOD_GET, 9, 0, 0, 1, false, false, true, false},
    {"post, sent", E, E, REM_METHOD_POST, 1, 0, 0, 1, false, false, false, false},
    {"post, not sent", E, E, REM_METHOD_POST, 0, 0, 0, 1, false, false, false, true},
    {"post, forced", E | N, E, REM_METHOD_POST, 1, 0, 0, 1, false, false, false, true},
    {"patch", E, E, REM_METHOD_PATCH, 1, 0, 0, 1, false, false, false, false},
    {"lock", E, E, REM_METHOD_LOCK, 1, 0, 0, 1, false, false, false, false},
    {"unknown method", E, E, REM_METHOD_OTHER, 1, 0, 0, 1, false, false, false, false},
    {"put", E, E, REM_METHOD_PUT, 1, 0, 0, 1, false, false, false, true},
    {"delete", E, E, REM_METHOD_DELETE, 1, 0, 0, 1, false, false, false, true},
    {"tries left", E, E, REM_METHOD_GET, 1, 2, 0, 1, false, false, false, true},
    {"no tries left", E, E, REM_METHOD_GET, 1, 2, 0, 2, false, false, false, false},
    {"time left", E, E, REM_METHOD_GET, 1, 0, 1001, 1, false, false, false, true},
    {"no time left", E, E, REM_METHOD_GET, 1, 0, 1000, 1, false, false, false, false},
};

START_TEST(allowed)
{
    const struct rule *r = &rules[_i];
    struct rem_worker worker = {.loop = {.clock = {.mono_ms = 6000}}};
    struct rem_request request = {.worker = &worker, .method = r->method};
    struct rem_upstream_policy policy = {
        .next_upstream = r->listed, .next_tries = r->tries, .next_timeout = r->timeout};
    struct rem_upstream_conn peer = {.conn = {.sent = 100 + r->sent}};
    struct rem_upstream_exchange x = {
        .request = &request,
        .policy = &policy,
        .peer = &peer,
        .start_ms = 5000,
        .try_count = r->tried,
        .client_gone = r->gone,
        .upload = {.base = 100, .consumed = r->consumed},
    };

    request.response.head_sent = r->head_sent;
    ck_assert_msg(rem_next_allowed(&x, r->fault) == r->allowed, "%s", r->what);
}
END_TEST

static const struct stale {
    const char *what;
    bool reused, consumed;
    uint64_t received, sent;
    enum rem_method method;
    enum rem_upstream_fault fault;
    bool is;
} stales[] = {
    {"reused, nothing back", true, false, 0, 9, REM_METHOD_GET, REM_FAULT_ERROR, true},
    {"fresh", false, false, 0, 9, REM_METHOD_GET, REM_FAULT_ERROR, false},
    {"some of an answer", true, false, 1, 9, REM_METHOD_GET, REM_FAULT_ERROR, false},
    {"timeout", true, false, 0, 9, REM_METHOD_GET, REM_FAULT_TIMEOUT, false},
    {"post sent", true, false, 0, 9, REM_METHOD_POST, REM_FAULT_ERROR, false},
    {"post not sent", true, false, 0, 0, REM_METHOD_POST, REM_FAULT_ERROR, true},
    {"body gone", true, true, 0, 9, REM_METHOD_PUT, REM_FAULT_ERROR, false},
};

START_TEST(stale)
{
    const struct stale *s = &stales[_i];
    struct rem_request request = {.method = s->method};
    struct rem_upstream_conn peer = {.reused = s->reused,
                                     .conn = {.sent = s->sent, .received = 50 + s->received}};
    struct rem_upstream_exchange x = {.request = &request,
                                      .peer = &peer,
                                      .received_base = 50,
                                      .upload = {.consumed = s->consumed}};

    ck_assert_msg(rem_next_stale(&x, s->fault) == s->is, "%s", s->what);
}
END_TEST

START_TEST(faults)
{
    static const int known[] = {403, 404, 429, 500, 502, 503, 504};
    uint32_t seen = 0;

    for (size_t i = 0; i < REM_COUNT(known); i++) {
        uint32_t fault = rem_next_fault_of(known[i]);
        ck_assert_uint_ne(fault, 0);
        ck_assert_uint_eq(seen & fault, 0);
        seen |= fault;
    }
    ck_assert_uint_eq(rem_next_fault_of(200), 0);
    ck_assert_uint_eq(rem_next_fault_of(501), 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("rules");

    tcase_add_loop_test(tc, allowed, 0, (int)REM_COUNT(rules));
    tcase_add_loop_test(tc, stale, 0, (int)REM_COUNT(stales));
    tcase_add_test(tc, faults);
    return run_suite("next", tc);
}
