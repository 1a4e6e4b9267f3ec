/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/alloc.h"

#include "proto/shm/layout.h"

#include <string.h>
#include <sys/mman.h>

#define NONE UINT32_MAX

enum { OWN_BIN_TRIES = 16 };

/* Eight classes per doubling: lengths below 8 have a bin each. */
static uint32_t bin_of(uint32_t units)
{
    uint32_t log;

    if (units < 8)
        return units;
    log = 31 - (uint32_t)__builtin_clz(units);
    return (log - 2) * 8 + ((units >> (log - 3)) & 7);
}

/* The first bin whose extents are all long enough. */
static uint32_t bin_for(uint32_t units)
{
    uint32_t log;

    if (units < 8)
        return units;
    log = 31 - (uint32_t)__builtin_clz(units);
    return bin_of(units) + ((units & ((1u << (log - 3)) - 1)) != 0);
}

static uint32_t to_units(uint64_t size)
{
    return (uint32_t)((size + REM_SHM_UNIT - 1) / REM_SHM_UNIT);
}

int rem_alloc_init(struct rem_alloc *alloc, uint64_t base, uint64_t limit, uint64_t top)
{
    uint64_t units = (limit - base) / REM_SHM_UNIT;
    void *tags;

    if (units >= NONE)
        return REM_ETOOBIG;
    tags = mmap(NULL, (size_t)units * sizeof(struct rem_alloc_tag) + 1, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (tags == MAP_FAILED)
        return REM_ENOMEM;
    *alloc = (struct rem_alloc){.base = base, .units = (uint32_t)units, .tags = tags};
    alloc->top = to_units(top - base);
    memset(alloc->bins, 0xff, sizeof(alloc->bins));
    return REM_OK;
}

void rem_alloc_fini(struct rem_alloc *alloc)
{
    if (alloc->tags != NULL)
        munmap(alloc->tags, (size_t)alloc->units * sizeof(*alloc->tags) + 1);
    alloc->tags = NULL;
}

static void bin_add(struct rem_alloc *alloc, uint32_t first, uint32_t units)
{
    uint32_t bin = bin_of(units);
    struct rem_alloc_tag *tag = &alloc->tags[first];

    tag->units = units;
    alloc->tags[first + units - 1].back = units;
    tag->prev = NONE;
    tag->next = alloc->bins[bin];
    if (tag->next != NONE)
        alloc->tags[tag->next].prev = first;
    alloc->bins[bin] = first;
    alloc->filled[bin / 64] |= 1ULL << (bin % 64);
    alloc->free_units += units;
}

static void bin_remove(struct rem_alloc *alloc, uint32_t first)
{
    struct rem_alloc_tag *tag = &alloc->tags[first];
    uint32_t units = tag->units, bin = bin_of(units);

    if (tag->prev != NONE)
        alloc->tags[tag->prev].next = tag->next;
    else
        alloc->bins[bin] = tag->next;
    if (tag->next != NONE)
        alloc->tags[tag->next].prev = tag->prev;
    if (alloc->bins[bin] == NONE)
        alloc->filled[bin / 64] &= ~(1ULL << (bin % 64));
    tag->units = 0;
    alloc->tags[first + units - 1].back = 0;
    alloc->free_units -= units;
}

/* A free extent of at least `units`, or NONE. */
static uint32_t find(const struct rem_alloc *alloc, uint32_t units)
{
    uint32_t bin = bin_for(units), tries = OWN_BIN_TRIES;

    for (uint32_t word = bin / 64; word < REM_COUNT(alloc->filled); word++) {
        uint64_t bits = alloc->filled[word];

        if (word == bin / 64)
            bits &= ~0ULL << (bin % 64);
        if (bits != 0)
            return alloc->bins[word * 64 + (uint32_t)__builtin_ctzll(bits)];
    }
    /* The class of the length itself has longer and shorter ones; look at a few before the
     * untouched space is broken into. */
    for (uint32_t at = alloc->bins[bin_of(units)]; at != NONE && tries != 0; tries--) {
        if (alloc->tags[at].units >= units)
            return at;
        at = alloc->tags[at].next;
    }
    return NONE;
}

int rem_alloc_take(struct rem_alloc *alloc, uint64_t size, uint64_t *out_off)
{
    uint32_t units = to_units(size), first;

    REM_CHECK(size != 0);
    if (size > (uint64_t)alloc->units * REM_SHM_UNIT)
        return REM_EFULL;
    first = find(alloc, units);
    if (first != NONE) {
        uint32_t rest = alloc->tags[first].units - units;

        bin_remove(alloc, first);
        if (rest != 0)
            bin_add(alloc, first + units, rest);
    } else {
        if (alloc->units - alloc->top < units)
            return REM_EFULL;
        first = alloc->top;
        alloc->top += units;
    }
    *out_off = alloc->base + (uint64_t)first * REM_SHM_UNIT;
    return REM_OK;
}

void rem_alloc_give(struct rem_alloc *alloc, uint64_t off, uint64_t size)
{
    uint32_t first = (uint32_t)((off - alloc->base) / REM_SHM_UNIT), units = to_units(size);

    REM_CHECK(off >= alloc->base && off % REM_SHM_UNIT == 0 && first + units <= alloc->top);
    REM_CHECK(alloc->tags[first].units == 0 && alloc->tags[first + units - 1].back == 0);
    if (first + units < alloc->top && alloc->tags[first + units].units != 0) {
        uint32_t after = first + units;
        units += alloc->tags[after].units;
        bin_remove(alloc, after);
    }
    if (first != 0 && alloc->tags[first - 1].back != 0) {
        uint32_t before = alloc->tags[first - 1].back;
        bin_remove(alloc, first - before);
        first -= before;
        units += before;
    }
    if (first + units == alloc->top)
        alloc->top = first;
    else
        bin_add(alloc, first, units);
}

uint64_t rem_alloc_used(const struct rem_alloc *alloc)
{
    return (uint64_t)(alloc->top - alloc->free_units) * REM_SHM_UNIT;
}

uint64_t rem_alloc_free(const struct rem_alloc *alloc)
{
    return (uint64_t)(alloc->units - alloc->top + alloc->free_units) * REM_SHM_UNIT;
}

uint64_t rem_alloc_top(const struct rem_alloc *alloc)
{
    return alloc->base + (uint64_t)alloc->top * REM_SHM_UNIT;
}
