/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/accel.c"

#include "tests/unit/suite.h"

#include <stdlib.h>

/* Where a server may send a request. */
static const struct path_case {
    struct rem_str path;
    bool safe;
} paths[] = {
    {{"/", 1}, true},
    {{"/a/b", 4}, true},
    {{"/a b", 4}, true},
    {{"/..a", 4}, true},
    {{"/a..", 4}, true},
    {{"/a../b", 6}, true},
    {{"/...", 4}, true},
    {{"", 0}, false},
    {{"a", 1}, false},
    {{"http://h/", 9}, false},
    {{"/..", 3}, false},
    {{"/../a", 5}, false},
    {{"/a/..", 5}, false},
    {{"/a/../b", 7}, false},
    {{"/a/b/../", 8}, false},
    {{"/a\0b", 4}, false},
    {{"/a/../../b", 10}, false},
};

START_TEST(safe)
{
    const struct path_case *c = &paths[_i];

    ck_assert_msg(is_safe(c->path) == c->safe, "\"%.*s\"", (int)c->path.n, c->path.p);
}
END_TEST

static struct rem_upstream_policy policy;
static struct rem_request request;
static struct rem_upstream_exchange x;
static struct rem_fields fields;
static struct rem_arena arena;

/* An exchange whose head has these fields. */
static void head_of(const char *name, const char *value)
{
    memset(&x, 0, sizeof(x));
    memset(&request, 0, sizeof(request));
    x.request = &request;
    x.policy = &policy;
    x.relay.buffering = true;
    rem_fields_init(&fields, &arena);
    ck_assert_int_eq(rem_fields_add(&fields, rem_str_from(name), rem_str_from(value)), 0);
    x.fields = &fields;
    rem_accel_apply(&x);
}

START_TEST(apply)
{
    struct rem_str to;

    rem_arena_init(&arena, NULL);
    policy.ignore = 0;
    head_of("x-accel-buffering", "No");
    ck_assert(!x.relay.buffering);
    head_of("X-Accel-Buffering", "maybe");
    ck_assert(x.relay.buffering);
    head_of("X-Accel-Limit-Rate", "1000");
    ck_assert(request.rate.limit == 1000 && request.rate.limit_set);
    head_of("X-Accel-Limit-Rate", "1k");
    ck_assert(!request.rate.limit_set);
    head_of("X-Accel-Limit-Rate", "99999999999999999999");
    ck_assert(!request.rate.limit_set);
    head_of("X-Accel-Redirect", "/x");
    ck_assert(rem_accel_redirects(&x, &to));
    ck_assert(rem_str_is(to, "/x"));
    head_of("Location", "/x");
    ck_assert(!rem_accel_redirects(&x, &to));
    policy.ignore = REM_ACCEL_REDIRECT | REM_ACCEL_BUFFERING | REM_ACCEL_LIMIT_RATE;
    head_of("X-Accel-Buffering", "no");
    ck_assert(x.relay.buffering);
    head_of("X-Accel-Limit-Rate", "1000");
    ck_assert(!request.rate.limit_set);
    head_of("X-Accel-Redirect", "/x");
    ck_assert(!rem_accel_redirects(&x, &to));
    rem_arena_reset(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("accel");

    tcase_add_loop_test(tc, safe, 0, (int)REM_COUNT(paths));
    tcase_add_test(tc, apply);
    return run_suite("accel", tc);
}
