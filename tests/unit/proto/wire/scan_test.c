/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/scan.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef size_t (*scan_fn)(const char *p, size_t n);

static const struct {
    const char *name;
    scan_fn fast;
    scan_fn portable;
    unsigned class;
    char good;
} scans[] = {
    {"name", rem_scan_name, rem_scan_name_portable, REM_SCAN_NAME, 'a'},
    {"value", rem_scan_value, rem_scan_value_portable, REM_SCAN_VALUE, '\t'},
    {"target", rem_scan_target, rem_scan_target_portable, REM_SCAN_TARGET, '/'},
};

/* Every byte at every place of every length around the vector width, in memory of exactly that
 * size. */
START_TEST(fast_equals_portable)
{
    for (size_t s = 0; s < REM_COUNT(scans); s++)
        for (size_t n = 0; n <= 50; n++) {
            char *p = malloc(n ? n : 1);

            for (size_t at = 0; at <= n; at++)
                for (int c = 0; c < 256; c++) {
                    size_t want = at < n && !rem_scan_is((char)c, scans[s].class) ? at : n;

                    memset(p, scans[s].good, n);
                    if (at < n)
                        p[at] = (char)c;
                    ck_assert_msg(scans[s].fast(p, n) == want && scans[s].portable(p, n) == want,
                                  "%s: byte %d at %zu of %zu: %zu, %zu, not %zu", scans[s].name, c,
                                  at, n, scans[s].fast(p, n), scans[s].portable(p, n), want);
                }
            free(p);
        }
}
END_TEST

START_TEST(random_bytes_agree)
{
    unsigned seed = 1;
    char p[97];

    for (int turn = 0; turn < 20000; turn++) {
        size_t n = (size_t)rand_r(&seed) % (sizeof(p) + 1);

        /* Mostly allowed bytes, or no run would reach the second vector. */
        for (size_t i = 0; i < n; i++)
            p[i] = (char)(rand_r(&seed) % 40 != 0 ? '0' + rand_r(&seed) % 10 : rand_r(&seed) % 256);
        for (size_t s = 0; s < REM_COUNT(scans); s++)
            ck_assert_uint_eq(scans[s].fast(p, n), scans[s].portable(p, n));
    }
}
END_TEST

/* The table against the grammar, written out once more. */
START_TEST(classes)
{
    for (int c = 0; c < 256; c++) {
        bool upper = c >= 'A' && c <= 'Z';
        bool digit = c >= '0' && c <= '9';
        bool alnum = upper || digit || (c >= 'a' && c <= 'z');
        bool visible = c > 0x20 && c != 0x7f;
        unsigned want = 0;

        if (alnum || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL))
            want |= REM_SCAN_TOKEN;
        if (alnum || c == '-')
            want |= REM_SCAN_NAME;
        if (visible || c == ' ' || c == '\t')
            want |= REM_SCAN_VALUE;
        if (visible)
            want |= REM_SCAN_TARGET;
        if (upper || digit || c == '-' || c == '_')
            want |= REM_SCAN_METHOD;
        if (alnum || (c != 0 && strchr("-._~!$&'()*+;=", c) != NULL))
            want |= REM_SCAN_HOST;
        ck_assert_msg(rem_scan_classes[c] == want, "byte %d: %d, not %u", c, rem_scan_classes[c],
                      want);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, fast_equals_portable);
    tcase_add_test(tc, random_bytes_agree);
    tcase_add_test(tc, classes);
    return run_suite("scan", tc);
}
