/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/split.h"

#include "tests/unit/proto/shm/fixture.h"

#define PART(text, share)                                                                          \
    {                                                                                              \
        {(text), sizeof(text) - 1}, (share), false                                                 \
    }
#define REST(text)                                                                                 \
    {                                                                                              \
        {(text), sizeof(text) - 1}, 0, true                                                        \
    }

/* Ends of parts are sums of shares rounded down each. */
static uint32_t end_of(const uint32_t *shares, size_t n)
{
    uint32_t end = 0;

    for (size_t i = 0; i < n; i++)
        end += (uint32_t)((uint64_t)shares[i] * UINT32_MAX / REM_SPLIT_WHOLE);
    return end;
}

static struct rem_str build(const struct rem_split_part *parts, size_t count)
{
    struct rem_str bytes;

    ck_assert_int_eq(rem_split_build(parts, count, &bytes), 0);
    ck_assert(rem_split_valid(bytes));
    ck_assert_uint_eq(rem_split_count(bytes), count);
    return bytes;
}

static void release(struct rem_str bytes)
{
    free((void *)(uintptr_t)bytes.p);
}

static void finds(struct rem_str bytes, uint32_t hash, const char *value)
{
    struct rem_str found = rem_split_lookup(bytes.p, hash);

    ck_assert_msg(rem_str_is(found, value), "%u: \"%.*s\", not \"%s\"", hash, REM_STR_ARG(found),
                  value);
}

START_TEST(hashes_find_their_part)
{
    static const struct rem_split_part parts[] = {PART("a", 1), PART("b", 3333), PART("none", 0),
                                                  PART("c", 3333)};
    static const uint32_t shares[] = {1, 3333, 0, 3333};
    struct rem_str bytes = build(parts, REM_COUNT(parts));

    finds(bytes, 0, "a");
    finds(bytes, end_of(shares, 1) - 1, "a");
    finds(bytes, end_of(shares, 1), "b");
    finds(bytes, end_of(shares, 2) - 1, "b");
    finds(bytes, end_of(shares, 2), "c");
    finds(bytes, end_of(shares, 4) - 1, "c");
    finds(bytes, end_of(shares, 4), "");
    finds(bytes, UINT32_MAX, "");
    release(bytes);
}
END_TEST

START_TEST(the_rest_is_all_that_is_left)
{
    static const struct rem_split_part parts[] = {PART("a", 9999), REST("rest")};
    static const struct rem_split_part all[] = {PART("a", 5000), PART("b", 5000), REST("rest")};
    struct rem_str bytes = build(parts, REM_COUNT(parts));
    struct rem_split_part part;

    finds(bytes, UINT32_MAX, "rest");
    finds(bytes, UINT32_MAX / 2, "a");
    rem_split_at(bytes, 1, &part);
    ck_assert(part.rest && part.share == 1 && rem_str_is(part.value, "rest"));
    rem_split_at(bytes, 0, &part);
    ck_assert(!part.rest && part.share == 9999 && rem_str_is(part.value, "a"));
    release(bytes);
    bytes = build(all, REM_COUNT(all));
    rem_split_at(bytes, 2, &part);
    ck_assert(part.rest && part.share == 0);
    finds(bytes, UINT32_MAX, "rest"); /* what rounding leaves */
    release(bytes);
}
END_TEST

/* Every bit of it turned over: what is called sound can be read, as the sanitizers see. */
START_TEST(what_is_sound_can_be_read)
{
    static const struct rem_split_part parts[] = {PART("a", 5000), PART("", 0), REST("rest")};
    struct rem_str bytes = build(parts, REM_COUNT(parts));
    size_t unsound = 0, sum = 0;

    ck_assert(rem_split_sound(bytes));
    ck_assert(!rem_split_sound(rem_str_make(bytes.p, 8)));
    for (size_t bit = 0; bit < bytes.n * 8; bit++) {
        char *copy = malloc(bytes.n); /* of just that size */

        memcpy(copy, bytes.p, bytes.n);
        copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
        unsound += !rem_split_sound(rem_str_make(copy, bytes.n));
        for (size_t i = 0; rem_split_sound(rem_str_make(copy, bytes.n)) &&
                           i < rem_split_count(rem_str_make(copy, bytes.n));
             i++) {
            struct rem_split_part part;
            rem_split_at(rem_str_make(copy, bytes.n), i, &part);
            for (size_t k = 0; k < part.value.n; k++)
                sum += (unsigned char)part.value.p[k];
        }
        free(copy);
    }
    ck_assert_uint_gt(unsound, 200);
    ck_assert_uint_gt(sum, 0);
    release(bytes);
}
END_TEST

START_TEST(nothing_wrong_is_built)
{
    static const struct rem_split_part much[] = {PART("a", 5000), PART("b", 5001)};
    static const struct rem_split_part huge[] = {PART("a", UINT32_MAX), PART("b", 2)};
    static char text[REM_SPLIT_VALUE_MAX + 1];
    struct rem_split_part one = {rem_str_make(text, sizeof(text)), 1, false};
    struct rem_split_part *many = calloc(REM_SPLIT_PARTS_MAX + 1, sizeof(*many));
    struct rem_str bytes;

    ck_assert_int_eq(rem_split_build(much, 2, &bytes), REM_EINVAL);
    ck_assert_int_eq(rem_split_build(huge, 2, &bytes), REM_EINVAL);
    ck_assert_int_eq(rem_split_build(&one, 1, &bytes), REM_EINVAL);
    one.value.n--;
    bytes = build(&one, 1);
    ck_assert(!rem_split_valid(rem_str_make(bytes.p, bytes.n - 1)));
    ck_assert(!rem_split_valid(rem_str_make(text, sizeof(text))));
    ck_assert(!rem_split_valid(rem_str_make(bytes.p, 4)));
    release(bytes);
    ck_assert_int_eq(rem_split_build(many, REM_SPLIT_PARTS_MAX + 1, &bytes), REM_EINVAL);
    release(build(many, REM_SPLIT_PARTS_MAX));
    free(many);
    bytes = build(NULL, 0);
    finds(bytes, 7, "");
    release(bytes);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("split");

    tcase_add_test(tcase, hashes_find_their_part);
    tcase_add_test(tcase, the_rest_is_all_that_is_left);
    tcase_add_test(tcase, what_is_sound_can_be_read);
    tcase_add_test(tcase, nothing_wrong_is_built);
    return run_suite("split", tcase);
}
