/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/zone.h"

#include "proto/base/siphash.h"
#include "proto/shm/zone_layout.h"

#include <errno.h>

enum { VALUE_MAX = REM_ZONE_CHUNK - sizeof(struct rem_zone_head) };

/* ---- where things are ---- */

static struct rem_zone_memory *memory_of(const struct rem_zone *zone)
{
    REM_CHECK_OBJ(zone, REM_ZONE_MAGIC);
    REM_CHECK(zone->map != NULL);
    return zone->map->memory;
}

static uint32_t *bucket_at(struct rem_zone_memory *memory, const struct rem_zone_shard *shard,
                           uint32_t hash)
{
    uint32_t *buckets = (uint32_t *)(void *)((char *)memory + shard->buckets_off);

    return &buckets[hash & (memory->buckets - 1)];
}

static void *chunk_at(struct rem_zone_memory *memory, const struct rem_zone_shard *shard,
                      uint32_t number)
{
    REM_CHECK(number != REM_ZONE_NO_CHUNK && number <= memory->chunks);
    return (char *)memory + shard->chunks_off + (size_t)(number - 1) * REM_ZONE_CHUNK;
}

static uint32_t number_of(struct rem_zone_memory *memory, const struct rem_zone_shard *shard,
                          const struct rem_zone_head *head)
{
    size_t off = (size_t)((const char *)head - (const char *)memory) - shard->chunks_off;

    return (uint32_t)(off / REM_ZONE_CHUNK) + 1;
}

static void *value_of(struct rem_zone_head *head)
{
    return head + 1;
}

static struct rem_zone_head *head_of(void *value)
{
    return (struct rem_zone_head *)value - 1;
}

/* ---- chunks ---- */

/* Returns: a chunk's number, or REM_ZONE_NO_CHUNK. */
static uint32_t take_chunk(struct rem_zone_memory *memory, struct rem_zone_shard *shard)
{
    uint32_t number = shard->free;

    shard->asked++;
    if (number != REM_ZONE_NO_CHUNK) {
        shard->free = ((struct rem_zone_tail *)chunk_at(memory, shard, number))->more;
    } else {
        if (shard->fresh == memory->chunks)
            return REM_ZONE_NO_CHUNK;
        number = ++shard->fresh;
    }
    shard->chunks_used++;
    return number;
}

/* Chunks from `number` on, linked as tails are. */
static void give_tails(struct rem_zone_memory *memory, struct rem_zone_shard *shard,
                       uint32_t number)
{
    while (number != REM_ZONE_NO_CHUNK) {
        struct rem_zone_tail *tail = chunk_at(memory, shard, number);
        uint32_t more = tail->more;

        tail->more = shard->free;
        shard->free = number;
        shard->chunks_used--;
        number = more;
    }
}

/* ---- keys ---- */

static size_t key_room(const struct rem_zone_memory *memory)
{
    return VALUE_MAX - memory->value_size;
}

static bool key_is(struct rem_zone_memory *memory, const struct rem_zone_shard *shard,
                   struct rem_zone_head *head, struct rem_str key)
{
    const char *at = (char *)value_of(head) + memory->value_size;
    size_t room = key_room(memory);
    uint32_t more = head->more;

    if (head->key_size != key.n)
        return false;
    for (;;) {
        size_t n = key.n < room ? key.n : room;
        const struct rem_zone_tail *tail;

        if (n != 0 && memcmp(at, key.p, n) != 0)
            return false;
        if (n == key.n)
            return true;
        key = rem_str_skip(key, n);
        tail = chunk_at(memory, shard, more);
        at = tail->bytes;
        room = sizeof(tail->bytes);
        more = tail->more;
    }
}

/* Copies the key behind the value and into as many tails as it takes.
 * Returns: false when they ran out; what was taken is linked then. */
static bool put_key(struct rem_zone_memory *memory, struct rem_zone_shard *shard,
                    struct rem_zone_head *head, struct rem_str key)
{
    char *at = (char *)value_of(head) + memory->value_size;
    size_t room = key_room(memory);
    uint32_t *link = &head->more;

    head->key_size = (uint32_t)key.n;
    head->more = REM_ZONE_NO_CHUNK;
    for (;;) {
        size_t n = key.n < room ? key.n : room;
        struct rem_zone_tail *tail;

        if (n != 0)
            memcpy(at, key.p, n);
        if (n == key.n)
            return true;
        key = rem_str_skip(key, n);
        *link = take_chunk(memory, shard);
        if (*link == REM_ZONE_NO_CHUNK)
            return false;
        tail = chunk_at(memory, shard, *link);
        tail->more = REM_ZONE_NO_CHUNK;
        at = tail->bytes;
        room = sizeof(tail->bytes);
        link = &tail->more;
    }
}

/* ---- the order of use ---- */

static void unlink_use(struct rem_zone_memory *memory, struct rem_zone_shard *shard,
                       struct rem_zone_head *head)
{
    if (head->older != REM_ZONE_NO_CHUNK)
        ((struct rem_zone_head *)chunk_at(memory, shard, head->older))->newer = head->newer;
    else
        shard->oldest = head->newer;
    if (head->newer != REM_ZONE_NO_CHUNK)
        ((struct rem_zone_head *)chunk_at(memory, shard, head->newer))->older = head->older;
    else
        shard->newest = head->older;
}

static void append_use(struct rem_zone_memory *memory, struct rem_zone_shard *shard,
                       struct rem_zone_head *head, uint64_t now_ms)
{
    uint32_t number = number_of(memory, shard, head);

    head->used_ms = now_ms;
    head->older = shard->newest;
    head->newer = REM_ZONE_NO_CHUNK;
    if (shard->newest != REM_ZONE_NO_CHUNK)
        ((struct rem_zone_head *)chunk_at(memory, shard, shard->newest))->newer = number;
    else
        shard->oldest = number;
    shard->newest = number;
}

/* ---- locks ---- */

/* Whoever held the lock died in the middle of something: nothing in the shard can be trusted. */
static void empty_shard(struct rem_zone_memory *memory, struct rem_zone_shard *shard)
{
    memset(bucket_at(memory, shard, 0), 0, memory->buckets * sizeof(uint32_t));
    shard->free = REM_ZONE_NO_CHUNK;
    shard->fresh = 0;
    shard->oldest = REM_ZONE_NO_CHUNK;
    shard->newest = REM_ZONE_NO_CHUNK;
    shard->entries = 0;
    shard->chunks_used = 0;
    shard->recovered++;
}

static void lock_shard(struct rem_zone_memory *memory, struct rem_zone_shard *shard)
{
    int rc = pthread_mutex_lock(&shard->lock);

    if (rc == EOWNERDEAD) {
        /* Dying here again leaves the lock as it was found. */
        empty_shard(memory, shard);
        rc = pthread_mutex_consistent(&shard->lock);
    }
    REM_CHECK(rc == 0);
}

static void unlock_shard(struct rem_zone_shard *shard)
{
    int rc = pthread_mutex_unlock(&shard->lock);

    REM_CHECK(rc == 0);
}

void rem_zone_lock(struct rem_zone *zone, struct rem_str key, struct rem_zone_hold *hold)
{
    struct rem_zone_memory *memory = memory_of(zone);
    uint64_t hash = rem_siphash(memory->seed, key.p, key.n);

    REM_CHECK(key.n <= REM_ZONE_KEY_MAX);
    *hold = (struct rem_zone_hold){
        .zone = zone,
        .shard = &memory->shards[(hash >> 32) % memory->n_shards],
        .key = key,
        .hash = (uint32_t)hash,
    };
    lock_shard(memory, hold->shard);
}

void rem_zone_unlock(struct rem_zone_hold *hold)
{
    unlock_shard(hold->shard);
    hold->shard = NULL;
}

/* ---- entries ---- */

void *rem_zone_get(struct rem_zone_hold *hold)
{
    struct rem_zone_memory *memory = memory_of(hold->zone);
    struct rem_zone_shard *shard = hold->shard;
    uint32_t number = *bucket_at(memory, shard, hold->hash);

    shard->lookups++;
    while (number != REM_ZONE_NO_CHUNK) {
        struct rem_zone_head *head = chunk_at(memory, shard, number);

        if (head->hash == hold->hash && key_is(memory, shard, head, hold->key))
            return value_of(head);
        number = head->next;
    }
    return NULL;
}

void *rem_zone_put(struct rem_zone_hold *hold, uint64_t now_ms)
{
    struct rem_zone_memory *memory = memory_of(hold->zone);
    struct rem_zone_shard *shard = hold->shard;
    uint32_t *bucket = bucket_at(memory, shard, hold->hash);
    uint32_t number = take_chunk(memory, shard);
    struct rem_zone_head *head;

    if (number == REM_ZONE_NO_CHUNK) {
        shard->refused++;
        return NULL;
    }
    head = chunk_at(memory, shard, number);
    if (!put_key(memory, shard, head, hold->key)) {
        give_tails(memory, shard, head->more);
        ((struct rem_zone_tail *)(void *)head)->more = REM_ZONE_NO_CHUNK;
        give_tails(memory, shard, number);
        shard->refused++;
        return NULL;
    }
    head->hash = hold->hash;
    head->next = *bucket;
    *bucket = number;
    append_use(memory, shard, head, now_ms);
    shard->entries++;
    return memset(value_of(head), 0, memory->value_size);
}

void rem_zone_touch(struct rem_zone_hold *hold, void *value, uint64_t now_ms)
{
    struct rem_zone_memory *memory = memory_of(hold->zone);

    unlink_use(memory, hold->shard, head_of(value));
    append_use(memory, hold->shard, head_of(value), now_ms);
}

void *rem_zone_oldest(struct rem_zone_hold *hold, uint64_t *used_ms)
{
    struct rem_zone_shard *shard = hold->shard;
    struct rem_zone_head *head;

    if (shard->oldest == REM_ZONE_NO_CHUNK)
        return NULL;
    head = chunk_at(memory_of(hold->zone), shard, shard->oldest);
    *used_ms = head->used_ms;
    return value_of(head);
}

static void remove_entry(struct rem_zone_memory *memory, struct rem_zone_shard *shard,
                         struct rem_zone_head *head)
{
    uint32_t number = number_of(memory, shard, head);
    uint32_t *link = bucket_at(memory, shard, head->hash);

    while (*link != number) {
        REM_CHECK(*link != REM_ZONE_NO_CHUNK);
        link = &((struct rem_zone_head *)chunk_at(memory, shard, *link))->next;
    }
    *link = head->next;
    unlink_use(memory, shard, head);
    give_tails(memory, shard, head->more);
    ((struct rem_zone_tail *)(void *)head)->more = REM_ZONE_NO_CHUNK;
    give_tails(memory, shard, number);
    shard->entries--;
}

void rem_zone_remove(struct rem_zone_hold *hold, void *value)
{
    remove_entry(memory_of(hold->zone), hold->shard, head_of(value));
}

bool rem_zone_evict(struct rem_zone_hold *hold)
{
    uint64_t used_ms;
    void *value = rem_zone_oldest(hold, &used_ms);

    if (value == NULL)
        return false;
    rem_zone_remove(hold, value);
    hold->shard->evicted++;
    return true;
}

void rem_zone_each(struct rem_zone *zone, bool (*visit)(void *data, void *value), void *data)
{
    struct rem_zone_memory *memory = memory_of(zone);

    for (uint32_t i = 0; i < memory->n_shards; i++) {
        struct rem_zone_shard *shard = &memory->shards[i];
        uint32_t number;

        lock_shard(memory, shard);
        number = shard->oldest;
        while (number != REM_ZONE_NO_CHUNK) {
            struct rem_zone_head *head = chunk_at(memory, shard, number);

            number = head->newer;
            if (!visit(data, value_of(head)))
                remove_entry(memory, shard, head);
        }
        unlock_shard(shard);
    }
}

static void add_stats(const struct rem_zone_shard *shard, struct rem_zone_stats *out)
{
    /* relaxed: each number stands alone; under the lock none of them changes */
    out->used += __atomic_load_n(&shard->chunks_used, __ATOMIC_RELAXED);
    out->entries += __atomic_load_n(&shard->entries, __ATOMIC_RELAXED);
    out->lookups += __atomic_load_n(&shard->lookups, __ATOMIC_RELAXED);
    out->asked += __atomic_load_n(&shard->asked, __ATOMIC_RELAXED);
    out->evicted += __atomic_load_n(&shard->evicted, __ATOMIC_RELAXED);
    out->refused += __atomic_load_n(&shard->refused, __ATOMIC_RELAXED);
    out->recovered += __atomic_load_n(&shard->recovered, __ATOMIC_RELAXED);
}

void rem_zone_peek(const struct rem_zone *zone, struct rem_zone_stats *out)
{
    const struct rem_zone_memory *memory = memory_of(zone);

    *out = (struct rem_zone_stats){
        .size = memory->size,
        .chunks = (uint64_t)memory->chunks * memory->n_shards,
    };
    for (uint32_t i = 0; i < memory->n_shards; i++)
        add_stats(&memory->shards[i], out);
}
