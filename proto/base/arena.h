/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - bump allocation that is given back all at once.
 *
 * Runs in:    every process; one block pool per process (no locks).
 * Lifecycle:  init -> alloc* -> reset, which keeps nothing; the arena may then be used again.
 * Ownership:  memory from an arena lives until its reset; nothing that lives longer may point
 *             into it.  Blocks return to the pool, so steady state costs no malloc.
 *             Under AddressSanitizer blocks are freed for real, so that late uses show.  */
#ifndef REM_BASE_ARENA_H
#define REM_BASE_ARENA_H

#include "proto/base/attr.h"
#include "proto/base/list.h"
#include "proto/base/str.h"

#include <stdint.h>

/* Recycles blocks of one size. */
struct rem_block_pool {
    size_t block_size; /* bytes in a block, header included */
    size_t max_free;   /* blocks kept when idle; more are freed */
    size_t free_count;
    struct rem_block *free;
    size_t *given_back; /* bytes of blocks that were freed, for the owner; NULL: nobody counts */
};

struct rem_block {
    struct rem_block *next;
};

void rem_block_pool_init(struct rem_block_pool *pool, size_t block_size, size_t max_free);
void rem_block_pool_fini(struct rem_block_pool *pool);

/* Returns: block_size bytes, owned by the caller until put; NULL without memory. */
void *rem_block_get(struct rem_block_pool *pool) REM_MUST_CHECK;
void rem_block_put(struct rem_block_pool *pool, void *block);

struct rem_arena_cleanup {
    struct rem_arena_cleanup *next;
    void (*run)(void *data);
    void *data;
};

struct rem_arena {
    struct rem_block_pool *pool; /* borrowed; outlives the arena; NULL: blocks are malloc'ed */
    struct rem_block *blocks;    /* pool blocks, newest first */
    struct rem_block *large;     /* malloc'ed one by one */
    struct rem_arena_cleanup *cleanups;
    char *at;
    char *end;
};

/* `pool` may be NULL (configuration and other rare arenas). */
void rem_arena_init(struct rem_arena *arena, struct rem_block_pool *pool);

/* Runs the cleanups, newest first, and gives all memory back.  The arena may be used again. */
void rem_arena_reset(struct rem_arena *arena);

/* The slow half of rem_arena_alloc. */
void *rem_arena_alloc_more(struct rem_arena *arena, size_t size);

/* Returns: `size` bytes aligned to 16, not zeroed; NULL without memory. */
static inline void *rem_arena_alloc(struct rem_arena *arena, size_t size)
{
    /* Nothing gets an address of its own too: NULL always means that memory ran out. */
    size_t rounded = (size + 15 + (size == 0)) & ~(size_t)15;

    if (REM_LIKELY(rounded >= size && (size_t)(arena->end - arena->at) >= rounded)) {
        char *p = arena->at;
        arena->at += rounded;
        return p;
    }
    return rem_arena_alloc_more(arena, size);
}

/* As rem_arena_alloc, zeroed. */
void *rem_arena_zalloc(struct rem_arena *arena, size_t size);

/* A NUL-terminated copy (the NUL is not counted in .n); .p is NULL without memory. */
struct rem_str rem_arena_dup(struct rem_arena *arena, struct rem_str s);

/* Formats into the arena; .p is NULL without memory. */
struct rem_str rem_arena_printf(struct rem_arena *arena, const char *format, ...) REM_PRINTF(2, 3);

/* Has `run(data)` called at reset.  Errors: REM_ENOMEM. */
int rem_arena_on_reset(struct rem_arena *arena, void (*run)(void *data), void *data) REM_MUST_CHECK;

#endif
