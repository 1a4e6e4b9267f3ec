/* SPDX-License-Identifier: Apache-2.0 */
/* zone_open.c - declaring zones, and giving them memory: new, or the former configuration's.
 *
 * A shard's lock comes to life here; zone.c takes it and what it covers from there.  */
#include "proto/shm/zone.h"
#include "proto/shm/zone_layout.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

enum { VALUE_MAX = REM_ZONE_CHUNK - sizeof(struct rem_zone_head), SHARD_SIZE_MIN = 32768 };

static const size_t SIZE_LIMIT = (size_t)1 << 42;

/* ---- declaring ---- */

/* A configuration has let go of its zone. */
static void release(void *data)
{
    struct rem_zone *zone = data;
    struct rem_zone_map *map = zone->map;

    zone->map = NULL;
    zone->magic = 0;
    if (map == NULL || --map->refs > 0)
        return;
    munmap(map->memory, map->size);
    free(map);
}

struct rem_zone *rem_zone_find(struct rem_zone *list, struct rem_str name)
{
    while (list != NULL && !rem_str_eq(list->name, name))
        list = list->next;
    return list;
}

int rem_zone_declare(struct rem_zone **list, struct rem_arena *arena, const struct rem_zone *spec,
                     struct rem_zone **out)
{
    struct rem_zone *zone;

    if (spec->size < REM_ZONE_SIZE_MIN || spec->size > SIZE_LIMIT)
        return REM_EINVAL;
    REM_CHECK(spec->value_size <= VALUE_MAX && spec->value_size % 8 == 0);
    if (rem_zone_find(*list, spec->name) != NULL)
        return REM_EEXIST;
    zone = rem_arena_zalloc(arena, sizeof(*zone));
    if (zone == NULL || rem_arena_on_reset(arena, release, zone) != REM_OK)
        return REM_ENOMEM;
    *zone = *spec;
    zone->magic = REM_ZONE_MAGIC;
    zone->map = NULL;
    zone->next = *list;
    *list = zone;
    *out = zone;
    return REM_OK;
}

/* ---- memory ---- */

/* Shards large enough that an uneven spread of keys matters little. */
static uint32_t shards_for(size_t size)
{
    size_t n = size / SHARD_SIZE_MIN;

    if (n > REM_ZONE_SHARDS)
        n = REM_ZONE_SHARDS;
    return n > 0 ? (uint32_t)n : 1;
}

/* Fills in how many chunks and buckets a shard gets of `room` bytes: about a bucket per chunk. */
static void divide(struct rem_zone_memory *memory, size_t room)
{
    size_t chunks = room / (REM_ZONE_CHUNK + sizeof(uint32_t));
    size_t buckets = 16;

    while (buckets * 2 <= chunks && buckets < (1u << 30))
        buckets *= 2;
    chunks = (room - buckets * sizeof(uint32_t)) / REM_ZONE_CHUNK;
    memory->buckets = (uint32_t)buckets;
    memory->chunks = chunks < UINT32_MAX ? (uint32_t)chunks : UINT32_MAX - 1;
}

static int init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;
    int rc = pthread_mutexattr_init(&attr);

    if (rc != 0)
        return REM_ENOMEM;
    rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if (rc == 0)
        rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    if (rc == 0)
        rc = pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
    return rc == 0 ? REM_OK : REM_EIO;
}

/* Lays out memory that is all zeroes. */
static int init_memory(struct rem_zone_memory *memory, const struct rem_zone *zone, size_t size)
{
    uint32_t n = shards_for(zone->size);
    size_t heads = sizeof(*memory) + n * sizeof(struct rem_zone_shard);
    size_t room = (zone->size - heads) / n / REM_ZONE_CHUNK * REM_ZONE_CHUNK;

    memory->layout = REM_ZONE_LAYOUT;
    memory->kind = (uint32_t)zone->kind;
    memory->size = size;
    memory->n_shards = n;
    memory->value_size = zone->value_size;
    divide(memory, room);
    if (getrandom(memory->seed, sizeof(memory->seed), 0) != sizeof(memory->seed))
        return REM_EIO;
    for (uint32_t i = 0; i < n; i++) {
        struct rem_zone_shard *shard = &memory->shards[i];

        shard->chunks_off = heads + i * room;
        shard->buckets_off = shard->chunks_off + (uint64_t)memory->chunks * REM_ZONE_CHUNK;
        if (init_lock(&shard->lock) != REM_OK)
            return REM_EIO;
    }
    memory->magic = REM_ZONE_MEMORY_MAGIC;
    return REM_OK;
}

static int make_map(struct rem_zone *zone)
{
    struct rem_zone_map *map = malloc(sizeof(*map));
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int rc;

    if (map == NULL)
        return REM_ENOMEM;
    map->size = (zone->size + page - 1) / page * page;
    map->refs = 1;
    map->memory = mmap(NULL, map->size, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map->memory == MAP_FAILED) {
        free(map);
        return REM_ENOMEM;
    }
    rc = init_memory(map->memory, zone, map->size);
    if (rc != REM_OK) {
        munmap(map->memory, map->size);
        free(map);
        return rc;
    }
    zone->map = map;
    return REM_OK;
}

static bool means_the_same(const struct rem_zone *a, const struct rem_zone *b)
{
    return a->kind == b->kind && a->size == b->size && a->value_size == b->value_size &&
           rem_str_eq(a->tag, b->tag);
}

int rem_zones_open(struct rem_zone *list, struct rem_zone *previous, struct rem_err *err)
{
    for (struct rem_zone *zone = list; zone != NULL; zone = zone->next) {
        const struct rem_zone *old = rem_zone_find(previous, zone->name);
        int rc = REM_OK;

        REM_CHECK_OBJ(zone, REM_ZONE_MAGIC);
        if (zone->map != NULL)
            continue; /* from a start that is tried again */
        if (old != NULL && old->map != NULL && means_the_same(zone, old)) {
            zone->map = old->map;
            zone->map->refs++;
        } else {
            rc = make_map(zone);
        }
        if (rc != REM_OK)
            return rem_err_set(err, rc, "shared memory zone \"%.*s\" of %zu bytes: %s",
                               REM_STR_ARG(zone->name), zone->size, rem_err_text(rc));
    }
    return REM_OK;
}
