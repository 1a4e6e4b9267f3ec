/* SPDX-License-Identifier: Apache-2.0 */
/* zone_layout.h - everything that lives in a zone's memory, and nothing else.
 *
 * Runs in:    workers write, each under the shard's lock; the master only makes it.
 * Layout:     header | shard, shard ... ; a shard's buckets and chunks lie behind all shard heads.
 *             Chunks are numbered from 1 within their shard, so zeroed memory is an empty shard.
 * An entry:   one head chunk: struct rem_zone_head, the value, the first bytes of the key; and as
 *             many chunks more as the rest of the key takes, linked by `more`.  */
#ifndef REM_SHM_ZONE_LAYOUT_H
#define REM_SHM_ZONE_LAYOUT_H

#include "proto/base/attr.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdint.h>

#define REM_ZONE_MEMORY_MAGIC 0x656e6f7a6d6572ULL
#define REM_ZONE_LAYOUT       2u /* raise with every change in this file */

enum { REM_ZONE_SHARDS = 16, REM_ZONE_CHUNK = 64, REM_ZONE_NO_CHUNK = 0 };

/* The first bytes of an entry's first chunk. */
struct rem_zone_head {
    uint32_t hash;     /* low half of the key's */
    uint32_t next;     /* in the bucket */
    uint32_t older;    /* least recently used first */
    uint32_t newer;    /* (a free chunk's successor is `more`) */
    uint32_t more;     /* the key goes on there */
    uint32_t key_size; /* bytes */
    uint64_t used_ms;  /* monotonic, when it was last touched */
};

/* A chunk behind the first, or a free one. */
struct rem_zone_tail {
    uint32_t reserved;
    uint32_t more;
    char bytes[REM_ZONE_CHUNK - 8];
};

struct rem_zone_shard {
    alignas(64) pthread_mutex_t lock; /* process-shared, robust: covers all below and the chunks */
    alignas(64) uint32_t free;        /* chunks that have been used before */
    uint32_t fresh;                   /* so many chunks have been handed out at least once */
    uint32_t oldest, newest;
    uint32_t entries;
    uint32_t chunks_used;
    uint64_t lookups, evicted, refused, recovered;
    uint64_t asked;                   /* chunks, whether or not there were any */
    uint64_t buckets_off, chunks_off; /* from the start of the zone */
};

struct rem_zone_memory {
    alignas(64) uint64_t magic;
    uint32_t layout;
    uint32_t kind;
    uint64_t size;
    uint32_t n_shards;
    uint32_t value_size;
    uint32_t buckets; /* per shard, a power of two */
    uint32_t chunks;  /* per shard */
    uint64_t seed[2];
    struct rem_zone_shard shards[];
};

_Static_assert(sizeof(struct rem_zone_head) == 32, "layout");
_Static_assert(sizeof(struct rem_zone_tail) == REM_ZONE_CHUNK, "layout");
_Static_assert(offsetof(struct rem_zone_tail, bytes) == 8, "layout");
_Static_assert(sizeof(pthread_mutex_t) <= 64, "layout");
_Static_assert(sizeof(struct rem_zone_shard) == 192, "layout");
_Static_assert(sizeof(struct rem_zone_memory) == 64, "layout");

#endif
