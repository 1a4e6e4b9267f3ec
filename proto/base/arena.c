/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/arena.h"

#include "proto/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define REM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REM_ASAN 1
#endif
#endif

enum { ARENA_BLOCK_SIZE = 4096, ARENA_ALIGN = 16 };

void rem_block_pool_init(struct rem_block_pool *pool, size_t block_size, size_t max_free)
{
    REM_CHECK(block_size >= 4 * sizeof(struct rem_block));
#ifdef REM_ASAN
    max_free = 0; /* real frees let the sanitizer see every use after the give-back */
#endif
    *pool = (struct rem_block_pool){.block_size = block_size, .max_free = max_free};
}

void rem_block_pool_fini(struct rem_block_pool *pool)
{
    while (pool->free != NULL) {
        struct rem_block *block = pool->free;
        pool->free = block->next;
        free(block);
    }
    pool->free_count = 0;
}

void *rem_block_get(struct rem_block_pool *pool)
{
    struct rem_block *block = pool->free;

    if (block == NULL)
        return malloc(pool->block_size);
    pool->free = block->next;
    pool->free_count--;
    return block;
}

void rem_block_put(struct rem_block_pool *pool, void *memory)
{
    struct rem_block *block = memory;

    if (pool->free_count >= pool->max_free) {
        if (pool->given_back != NULL)
            *pool->given_back += pool->block_size;
        free(block);
        return;
    }
    block->next = pool->free;
    pool->free = block;
    pool->free_count++;
}

void rem_arena_init(struct rem_arena *arena, struct rem_block_pool *pool)
{
    *arena = (struct rem_arena){.pool = pool};
}

void rem_arena_reset(struct rem_arena *arena)
{
    while (arena->cleanups != NULL) {
        struct rem_arena_cleanup *cleanup = arena->cleanups;
        arena->cleanups = cleanup->next;
        cleanup->run(cleanup->data);
    }
    while (arena->large != NULL) {
        struct rem_block *block = arena->large;
        arena->large = block->next;
        free(block);
    }
    while (arena->blocks != NULL) {
        struct rem_block *block = arena->blocks;
        arena->blocks = block->next;
        if (arena->pool != NULL)
            rem_block_put(arena->pool, block);
        else
            free(block);
    }
    arena->at = NULL;
    arena->end = NULL;
}

static void *alloc_large(struct rem_arena *arena, size_t size)
{
    struct rem_block *block;

    if (size > SIZE_MAX - ARENA_ALIGN)
        return NULL;
    block = malloc(ARENA_ALIGN + size);
    if (block == NULL)
        return NULL;
    block->next = arena->large;
    arena->large = block;
    return (char *)block + ARENA_ALIGN;
}

/* Whether something large goes into a block of the pool, which is there already as a rule. */
static bool fits_block(const struct rem_arena *arena, size_t size)
{
#ifdef REM_ASAN
    (void)arena; /* one by one the sanitizer sees where each ends */
    (void)size;
    return false;
#else
    return arena->pool != NULL && size <= (arena->pool->block_size / ARENA_ALIGN - 1) * ARENA_ALIGN;
#endif
}

void *rem_arena_alloc_more(struct rem_arena *arena, size_t size)
{
    size_t block_size = arena->pool != NULL ? arena->pool->block_size : ARENA_BLOCK_SIZE;
    struct rem_block *block;
    char *p;

    if (size > (block_size - ARENA_ALIGN) / 4 && !fits_block(arena, size))
        return alloc_large(arena, size);
    block = arena->pool != NULL ? rem_block_get(arena->pool) : malloc(block_size);
    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    p = (char *)block + ARENA_ALIGN;
    size = (size + ARENA_ALIGN - (size != 0)) & ~(size_t)(ARENA_ALIGN - 1);
    /* What comes next goes where more is left. */
    if (block_size - ARENA_ALIGN - size >= (size_t)(arena->end - arena->at)) {
        arena->at = p + size;
        arena->end = (char *)block + block_size;
    }
    return p;
}

void *rem_arena_zalloc(struct rem_arena *arena, size_t size)
{
    void *p = rem_arena_alloc(arena, size);

    if (p != NULL)
        memset(p, 0, size);
    return p;
}

struct rem_str rem_arena_dup(struct rem_arena *arena, struct rem_str s)
{
    char *p = rem_arena_alloc(arena, s.n + 1);

    if (p == NULL)
        return (struct rem_str){NULL, 0};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct rem_str){p, s.n};
}

struct rem_str rem_arena_printf(struct rem_arena *arena, const char *format, ...)
{
    va_list args;
    va_list again;
    int n;
    char *p = NULL;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0)
        p = rem_arena_alloc(arena, (size_t)n + 1);
    if (p != NULL)
        vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return (struct rem_str){p, p != NULL ? (size_t)n : 0};
}

int rem_arena_on_reset(struct rem_arena *arena, void (*run)(void *data), void *data)
{
    struct rem_arena_cleanup *cleanup = rem_arena_alloc(arena, sizeof(*cleanup));

    if (cleanup == NULL)
        return REM_ENOMEM;
    *cleanup = (struct rem_arena_cleanup){arena->cleanups, run, data};
    arena->cleanups = cleanup;
    return REM_OK;
}
