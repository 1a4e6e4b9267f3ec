/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/str.h"

#include "proto/base/err.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

static const struct rem_str none = {NULL, 0};

START_TEST(comparing)
{
    ck_assert(rem_str_eq(none, REM_STR("")));
    ck_assert(rem_str_eq(REM_STR("ab"), rem_str_from("ab")));
    ck_assert(!rem_str_eq(REM_STR("ab"), REM_STR("abc")));
    ck_assert(!rem_str_eq(REM_STR("ab"), REM_STR("aB")));
    ck_assert(rem_str_is(none, ""));
    ck_assert(rem_str_eq(rem_str_from(NULL), none));
    ck_assert(rem_str_has_prefix(REM_STR("abc"), REM_STR("ab")));
    ck_assert(rem_str_has_prefix(none, none));
    ck_assert(!rem_str_has_prefix(REM_STR("a"), REM_STR("ab")));
    ck_assert(rem_str_eq_nocase(REM_STR("aZ-[`{@"), REM_STR("Az-[`{@")));
    ck_assert(!rem_str_eq_nocase(REM_STR("["), REM_STR("{")));
    ck_assert(!rem_str_eq_nocase(REM_STR("@"), REM_STR("`")));
    ck_assert(!rem_str_eq_nocase(REM_STR("a"), REM_STR("ab")));
    ck_assert(rem_str_eq_nocase(none, REM_STR("")));
    ck_assert_int_lt(rem_str_cmp(REM_STR("a"), REM_STR("b")), 0);
    ck_assert_int_lt(rem_str_cmp(REM_STR("a"), REM_STR("ab")), 0);
    ck_assert_int_gt(rem_str_cmp(REM_STR("\xff"), REM_STR("a")), 0);
    ck_assert_int_gt(rem_str_cmp(REM_STR("b"), REM_STR("ab")), 0);
    ck_assert_int_eq(rem_str_cmp(none, REM_STR("")), 0);
    ck_assert_int_lt(rem_str_cmp(none, REM_STR("a")), 0);
    ck_assert_ptr_null(rem_str_chr(none, 'a'));
    ck_assert_ptr_null(rem_str_chr(rem_str_make("abc", 2), 'c'));
}
END_TEST

START_TEST(trimming)
{
    static const char *const pairs[][2] = {
        {"", ""}, {" \t ", ""}, {" a", "a"}, {"a\t", "a"}, {" a b ", "a b"}, {"\na\r", "\na\r"},
    };

    for (size_t i = 0; i < REM_COUNT(pairs); i++)
        ck_assert_msg(rem_str_is(rem_str_trim(rem_str_from(pairs[i][0])), pairs[i][1]), "row %zu",
                      i);
    ck_assert_uint_eq(rem_str_trim(none).n, 0);
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        const char *text;
        uint64_t max;
        int rc;
        uint64_t want;
    } rows[] = {
        {"0", 0, REM_OK, 0},
        {"1", 0, REM_EINVAL, 0},
        {"007", 7, REM_OK, 7},
        {"18446744073709551615", UINT64_MAX, REM_OK, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, REM_EINVAL, 0},
        {"18446744073709551620", UINT64_MAX, REM_EINVAL, 0},
        {"184467440737095516150", UINT64_MAX, REM_EINVAL, 0},
        {"99999999999999999999999", UINT64_MAX, REM_EINVAL, 0},
        {"65535", 65535, REM_OK, 65535},
        {"65536", 65535, REM_EINVAL, 0},
        {"", 9, REM_EINVAL, 0},
        {"+1", 9, REM_EINVAL, 0},
        {"-1", 9, REM_EINVAL, 0},
        {" 1", 9, REM_EINVAL, 0},
        {"1 ", 9, REM_EINVAL, 0},
        {"0x1", 9, REM_EINVAL, 0},
        {"1a", 99, REM_EINVAL, 0},
    };

    for (size_t i = 0; i < REM_COUNT(rows); i++) {
        uint64_t got = 4242;
        int rc = rem_str_to_u64(rem_str_from(rows[i].text), rows[i].max, &got);

        ck_assert_msg(rc == rows[i].rc, "'%s': %d", rows[i].text, rc);
        ck_assert_uint_eq(got, rc == REM_OK ? rows[i].want : 4242);
    }
}
END_TEST

START_TEST(hexadecimal)
{
    static const char digits[] = "0123456789abcdef";

    for (int c = 0; c < 256; c++) {
        const char *at = c != 0 ? strchr(digits, rem_lower((char)c)) : NULL;

        ck_assert_int_eq(rem_hex_value((char)c), at != NULL ? (int)(at - digits) : -1);
    }
}
END_TEST

/* Equal for equal bytes wherever they are, different for near ones, and spread over low bits. */
START_TEST(hashing)
{
    unsigned buckets[256] = {0};
    char text[40];
    char moved[48];

    for (size_t n = 0; n <= sizeof(text); n++) {
        memset(text, 'Q', sizeof(text));
        memcpy(moved + 3, text, sizeof(text));
        ck_assert_uint_eq(rem_hash(text, n), rem_hash(moved + 3, n));
        for (size_t at = 0; at < n; at++) {
            moved[3 + at] ^= 1;
            ck_assert_uint_ne(rem_hash(text, n), rem_hash(moved + 3, n));
            ck_assert_uint_ne(rem_hash_nocase(text, n), rem_hash_nocase(moved + 3, n));
            moved[3 + at] = 'q';
            ck_assert_uint_ne(rem_hash(text, n), rem_hash(moved + 3, n));
            ck_assert_uint_eq(rem_hash_nocase(text, n), rem_hash_nocase(moved + 3, n));
            moved[3 + at] = 'Q';
        }
        if (n != 0)
            ck_assert_uint_ne(rem_hash(text, n), rem_hash(text, n - 1));
    }
    for (int i = 0; i < 25600; i++) {
        snprintf(text, sizeof(text), "10.0.%d.%d:8080", i / 256, i % 256);
        buckets[rem_hash(text, strlen(text)) & 255]++;
    }
    for (int i = 0; i < 256; i++) {
        ck_assert_uint_gt(buckets[i], 50);
        ck_assert_uint_lt(buckets[i], 160);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, comparing);
    tcase_add_test(tc, trimming);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, hexadecimal);
    tcase_add_test(tc, hashing);
    return run_suite("str", tc);
}
