/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/arena.h"

#include "proto/base/err.h"

#include "tests/unit/suite.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Lets the sanitizer's allocator fail as the real one does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* Allocations of all sizes are aligned, apart from each other, and keep what is written. */
static void fill(struct rem_arena *arena)
{
    enum { COUNT = 300 };
    unsigned char *made[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        made[i] = rem_arena_alloc(arena, i * 7);
        ck_assert_ptr_nonnull(made[i]);
        ck_assert_uint_eq((uintptr_t)made[i] % 16, 0);
        memset(made[i], (int)(i & 255), i * 7);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t k = 0; k < i * 7; k++)
            ck_assert_uint_eq(made[i][k], i & 255);
}

START_TEST(with_and_without_pool)
{
    struct rem_block_pool pool;
    struct rem_arena arena;

    rem_block_pool_init(&pool, 1024, 8);
    rem_arena_init(&arena, &pool);
    for (int turn = 0; turn < 3; turn++) {
        fill(&arena);
        rem_arena_reset(&arena);
        ck_assert_uint_le(pool.free_count, 8);
    }
    rem_block_pool_fini(&pool);
    ck_assert_uint_eq(pool.free_count, 0);
    rem_arena_init(&arena, NULL);
    fill(&arena);
    rem_arena_reset(&arena);
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(nothing_is_something)
{
    struct rem_arena arena;

    rem_arena_init(&arena, NULL);
    ck_assert_ptr_nonnull(rem_arena_alloc(&arena, 0));
    ck_assert_ptr_ne(rem_arena_alloc(&arena, 0), rem_arena_alloc(&arena, 0));
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(impossible_sizes)
{
    struct rem_arena arena;

    rem_arena_init(&arena, NULL);
    ck_assert_ptr_null(rem_arena_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_null(rem_arena_alloc(&arena, SIZE_MAX - 14));
    ck_assert_ptr_null(rem_arena_alloc(&arena, SIZE_MAX - 40));
    ck_assert_ptr_nonnull(rem_arena_alloc(&arena, 1));
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(texts)
{
    struct rem_arena arena;
    struct rem_str copy, text;
    char *zeroed;

    rem_arena_init(&arena, NULL);
    copy = rem_arena_dup(&arena, rem_str_make("abcdef", 3));
    ck_assert_str_eq(copy.p, "abc");
    ck_assert_uint_eq(copy.n, 3);
    copy = rem_arena_dup(&arena, rem_str_make(NULL, 0));
    ck_assert_str_eq(copy.p, "");
    text = rem_arena_printf(&arena, "%d-%s-%0*d", 42, "x", 5000, 7);
    ck_assert_uint_eq(text.n, 5 + 5000);
    ck_assert(memcmp(text.p, "42-x-000", 8) == 0);
    ck_assert_int_eq(text.p[text.n - 1], '7');
    ck_assert_int_eq(text.p[text.n], 0);
    zeroed = rem_arena_zalloc(&arena, 100);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(zeroed[i], 0);
    rem_arena_reset(&arena);
}
END_TEST

struct order {
    int runs;
    int at;
    struct order *count; /* shared */
};

static void on_reset(void *data)
{
    struct order *order = data;

    order->at = ++order->count->runs;
}

START_TEST(cleanups_run_newest_first)
{
    struct rem_arena arena;
    struct order count = {0};
    struct order a = {.count = &count}, b = {.count = &count};

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_arena_on_reset(&arena, on_reset, &a), REM_OK);
    ck_assert_int_eq(rem_arena_on_reset(&arena, on_reset, &b), REM_OK);
    rem_arena_reset(&arena);
    ck_assert_int_eq(b.at, 1);
    ck_assert_int_eq(a.at, 2);
    rem_arena_reset(&arena);
    ck_assert_int_eq(count.runs, 2);
}
END_TEST

/* Blocks come back, up to the number a pool keeps (a sanitizer build keeps none). */
/* What fits a block is no reason to malloc, and what is left of it is used. */
START_TEST(large_ones_are_recycled)
{
#if !defined(__SANITIZE_ADDRESS__)
    enum { SIZE = 1024, FULL = SIZE - 16 };
    static const struct {
        size_t sizes[4];
        unsigned blocks;
    } rows[] = {
        {{400, 400, 10}, 1},                                 /* both in one */
        {{600, 600, 200, 100}, 2},     {{100, 950, 800}, 2}, /* the first is the roomier one still
                                                              */
        {{FULL, FULL, FULL, FULL}, 4}, {{FULL, 16}, 2},      {{FULL - 15, 0}, 1},
    };

    for (size_t i = 0; i < REM_COUNT(rows); i++) {
        struct rem_block_pool pool;
        struct rem_arena arena;

        rem_block_pool_init(&pool, SIZE, 8);
        rem_arena_init(&arena, &pool);
        for (size_t k = 0; k < 4; k++)
            if (rows[i].sizes[k] != 0)
                memset(rem_arena_alloc(&arena, rows[i].sizes[k]), 1, rows[i].sizes[k]);
        ck_assert_ptr_null(arena.large);
        rem_arena_reset(&arena);
        ck_assert_msg(pool.free_count == rows[i].blocks, "row %zu: %u", i,
                      (unsigned)pool.free_count);
        ck_assert_ptr_nonnull(rem_arena_alloc(&arena, FULL + 1));
        ck_assert_ptr_nonnull(arena.large);
        rem_arena_reset(&arena);
        rem_block_pool_fini(&pool);
    }
#endif
}
END_TEST

START_TEST(pool_recycles)
{
    struct rem_block_pool pool;
    size_t given_back = 0;
    void *blocks[4];

    rem_block_pool_init(&pool, 256, 2);
    pool.given_back = &given_back;
    for (int i = 0; i < 4; i++) {
        blocks[i] = rem_block_get(&pool);
        ck_assert_ptr_nonnull(blocks[i]);
        memset(blocks[i], 1, 256);
    }
    for (int i = 0; i < 4; i++)
        rem_block_put(&pool, blocks[i]);
    ck_assert_uint_eq(pool.free_count, pool.max_free);
    ck_assert_uint_eq(given_back, (4 - pool.max_free) * 256);
    if (pool.max_free == 2) {
        ck_assert_ptr_eq(rem_block_get(&pool), blocks[1]);
        ck_assert_uint_eq(pool.free_count, 1);
        rem_block_put(&pool, blocks[1]);
    }
    rem_block_pool_fini(&pool);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, with_and_without_pool);
    tcase_add_test(tc, nothing_is_something);
    tcase_add_test(tc, impossible_sizes);
    tcase_add_test(tc, texts);
    tcase_add_test(tc, cleanups_run_newest_first);
    tcase_add_test(tc, large_ones_are_recycled);
    tcase_add_test(tc, pool_recycles);
    return run_suite("arena", tc);
}
