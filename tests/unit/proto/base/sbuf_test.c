/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/sbuf.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

/* Lets the sanitizer's allocator fail as the real one does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

START_TEST(appending)
{
    struct rem_sbuf sb;
    char *want = malloc(20000);
    size_t n = 0;

    rem_sbuf_init(&sb);
    ck_assert_uint_eq(rem_sbuf_str(&sb).n, 0);
    for (int i = 0; i < 1000; i++) {
        n += (size_t)snprintf(want + n, 20000 - n, "%d,x;yz", i);
        rem_sbuf_addf(&sb, "%d", i);
        rem_sbuf_addc(&sb, ',');
        rem_sbuf_adds(&sb, "x;");
        rem_sbuf_add(&sb, rem_str_make("yzq", 2));
        rem_sbuf_add(&sb, rem_str_make(NULL, 0));
        rem_sbuf_adds(&sb, NULL);
    }
    ck_assert(!sb.failed);
    ck_assert(rem_str_eq(rem_sbuf_str(&sb), rem_str_make(want, n)));
    rem_sbuf_clear(&sb);
    ck_assert_uint_eq(rem_sbuf_str(&sb).n, 0);
    rem_sbuf_addf(&sb, "%s", "again");
    ck_assert(rem_str_is(rem_sbuf_str(&sb), "again"));
    rem_sbuf_fini(&sb);
    ck_assert_ptr_null(sb.p);
    free(want);
}
END_TEST

/* What cannot be had is remembered, and nothing is appended any more. */
START_TEST(failure_sticks)
{
    volatile size_t huge = SIZE_MAX - 100; /* hidden from the compiler, which would object */
    struct rem_sbuf sb;

    rem_sbuf_init(&sb);
    rem_sbuf_adds(&sb, "a");
    rem_sbuf_add(&sb, rem_str_make("x", huge));
    ck_assert(sb.failed);
    rem_sbuf_adds(&sb, "b");
    rem_sbuf_addf(&sb, "%d", 1);
    rem_sbuf_addc(&sb, 'c');
    ck_assert(rem_str_is(rem_sbuf_str(&sb), "a"));
    rem_sbuf_clear(&sb);
    ck_assert(!sb.failed);
    rem_sbuf_adds(&sb, "d");
    ck_assert(rem_str_is(rem_sbuf_str(&sb), "d"));
    rem_sbuf_fini(&sb);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, appending);
    tcase_add_test(tc, failure_sticks);
    return run_suite("sbuf", tc);
}
