/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/deflates.h"

#include "tests/unit/suite.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE = 3000 };

static size_t pack(struct rem_deflate *packer, const char *in, size_t n, unsigned char *out)
{
    packer->z.next_in = (unsigned char *)(uintptr_t)in;
    packer->z.avail_in = (unsigned)n;
    packer->z.next_out = out;
    packer->z.avail_out = SIZE;
    ck_assert_int_eq(deflate(&packer->z, Z_FINISH), Z_STREAM_END);
    return SIZE - packer->z.avail_out;
}

static size_t unpack(struct rem_deflate *inflater, unsigned char *in, size_t n, char *out)
{
    inflater->z.next_in = in;
    inflater->z.avail_in = (unsigned)n;
    inflater->z.next_out = (unsigned char *)out;
    inflater->z.avail_out = SIZE;
    ck_assert_int_eq(inflate(&inflater->z, Z_FINISH), Z_STREAM_END);
    return SIZE - inflater->z.avail_out;
}

START_TEST(there_and_back)
{
    static const long long sizes[] = {-1, 0, 100, 4096, 4097, 1 << 30};
    struct rem_deflates *pool = rem_deflates_new();
    char text[SIZE / 2], back[SIZE];
    unsigned char packed[SIZE];

    ck_assert_ptr_nonnull(pool);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i * i % 7);
    for (int level = 1; level <= 9; level++) {
        for (size_t i = 0; i < REM_COUNT(sizes); i++) {
            struct rem_deflate *d = rem_deflates_get(pool, level, sizes[i]);
            struct rem_deflate *u = rem_deflates_get(pool, 0, -1);
            size_t n;

            ck_assert_ptr_nonnull(d);
            ck_assert_ptr_nonnull(u);
            n = pack(d, text, sizeof(text), packed);
            ck_assert_uint_lt(n, sizeof(text));
            ck_assert_uint_eq(unpack(u, packed, n, back), sizeof(text));
            ck_assert_mem_eq(back, text, sizeof(text));
            rem_deflates_put(pool, d);
            rem_deflates_put(pool, u);
            ck_assert_uint_le(pool->n_idle, REM_DEFLATES_IDLE);
        }
    }
    rem_deflates_free(pool);
}
END_TEST

/* One that was given back in the middle of its work starts afresh. */
START_TEST(recycled)
{
    struct rem_deflates *pool = rem_deflates_new();
    struct rem_deflate *first = rem_deflates_get(pool, 6, -1), *again;
    unsigned char packed[SIZE];

    ck_assert_ptr_nonnull(first);
    first->z.next_in = (unsigned char *)(uintptr_t) "unfinished";
    first->z.avail_in = 10;
    first->z.next_out = packed;
    first->z.avail_out = SIZE;
    ck_assert_int_eq(deflate(&first->z, Z_NO_FLUSH), Z_OK);
    rem_deflates_put(pool, first);
    again = rem_deflates_get(pool, 5, -1);
    ck_assert_ptr_nonnull(again);
    ck_assert_ptr_ne(again, first); /* another level */
    rem_deflates_put(pool, again);
    again = rem_deflates_get(pool, 6, 100);
    ck_assert_ptr_ne(again, first); /* another window */
    rem_deflates_put(pool, again);
    again = rem_deflates_get(pool, 6, -1);
    ck_assert_ptr_eq(again, first);
    {
        char back[SIZE];
        struct rem_deflate *u = rem_deflates_get(pool, 0, -1);
        size_t n = pack(again, "new", 3, packed);

        ck_assert_uint_eq(unpack(u, packed, n, back), 3);
        ck_assert_mem_eq(back, "new", 3);
        rem_deflates_put(pool, u);
    }
    rem_deflates_put(pool, again);
    rem_deflates_free(pool);
    rem_deflates_free(NULL);
}
END_TEST

START_TEST(few_are_kept)
{
    struct rem_deflates *pool = rem_deflates_new();
    struct rem_deflate *many[REM_DEFLATES_IDLE * 3];

    for (size_t i = 0; i < REM_COUNT(many); i++) {
        many[i] = rem_deflates_get(pool, 1, -1);
        ck_assert_ptr_nonnull(many[i]);
    }
    for (size_t i = 0; i < REM_COUNT(many); i++)
        rem_deflates_put(pool, many[i]);
    ck_assert_uint_eq(pool->n_idle, REM_DEFLATES_IDLE);
    ck_assert_ptr_eq(pool->idle, many[REM_COUNT(many) - 1]);
    rem_deflates_free(pool);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("deflates");

    tcase_add_test(tc, there_and_back);
    tcase_add_test(tc, recycled);
    tcase_add_test(tc, few_are_kept);
    return run_suite("deflates", tc);
}
