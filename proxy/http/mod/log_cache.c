/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/log_cache.h"

#include "proto/base/attr.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUCKETS_MAX = 4096 };

struct rem_log_cache_entry {
    struct rem_log_cache_entry *next; /* in its bucket */
    struct rem_list node;             /* in cache->used */
    uint64_t hash;
    uint64_t used_ms;
    uint64_t checked_ms;
    uint32_t uses;
    int fd; /* -1: not kept */
    dev_t device;
    ino_t inode;
    size_t n;
    char path[]; /* with a NUL */
};

static struct rem_log_cache_entry **find(struct rem_log_cache *cache, struct rem_str path,
                                         uint64_t hash)
{
    struct rem_log_cache_entry **at = &cache->buckets[hash & cache->mask];

    while (*at != NULL &&
           ((*at)->hash != hash || !rem_str_eq(rem_str_make((*at)->path, (*at)->n), path)))
        at = &(*at)->next;
    return at;
}

static void drop_descriptor(struct rem_log_cache_entry *entry)
{
    if (entry->fd >= 0)
        close(entry->fd);
    entry->fd = -1;
}

static void drop(struct rem_log_cache *cache, struct rem_log_cache_entry *entry)
{
    struct rem_log_cache_entry **at = &cache->buckets[entry->hash & cache->mask];

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    rem_list_remove(&entry->node);
    drop_descriptor(entry);
    free(entry);
    cache->n--;
}

static struct rem_log_cache_entry *oldest(struct rem_log_cache *cache)
{
    return REM_CONTAINER(cache->used.prev, struct rem_log_cache_entry, node);
}

static void expire(struct rem_log_cache *cache)
{
    uint64_t now = cache->timers->now_ms;

    while (cache->n != 0 && now - oldest(cache)->used_ms >= cache->inactive_ms)
        drop(cache, oldest(cache));
    if (cache->n != 0 && !rem_timer_armed(&cache->timer))
        rem_timer_set(cache->timers, &cache->timer,
                      oldest(cache)->used_ms + cache->inactive_ms - now);
}

static void on_timer(struct rem_timer *timer)
{
    expire(REM_CONTAINER(timer, struct rem_log_cache, timer));
}

/* Whether the path still leads to the file that is open; asked every now and then. */
static bool is_current(const struct rem_log_cache *cache, struct rem_log_cache_entry *entry)
{
    uint64_t now = cache->timers->now_ms;
    struct stat st;

    if (now - entry->checked_ms < cache->valid_ms)
        return true;
    if (stat(entry->path, &st) != 0 || st.st_dev != entry->device || st.st_ino != entry->inode)
        return false;
    entry->checked_ms = now;
    return true;
}

static void use(struct rem_log_cache *cache, struct rem_log_cache_entry *entry)
{
    entry->uses++;
    entry->used_ms = cache->timers->now_ms;
    rem_list_remove(&entry->node);
    rem_list_insert(&cache->used, &entry->node);
}

int rem_log_cache_find(struct rem_log_cache *cache, struct rem_timers *timers, struct rem_str path)
{
    struct rem_log_cache_entry *entry;

    if (cache->buckets == NULL)
        return -1;
    cache->timers = timers;
    expire(cache);
    entry = *find(cache, path, rem_hash(path.p, path.n));
    if (entry == NULL)
        return -1;
    use(cache, entry);
    if (entry->fd >= 0 && !is_current(cache, entry))
        drop_descriptor(entry);
    return entry->fd;
}

static bool start(struct rem_log_cache *cache)
{
    uint32_t n = 16;

    if (cache->buckets != NULL)
        return true;
    while (n < cache->max && n < BUCKETS_MAX)
        n *= 2;
    cache->buckets = calloc(n, sizeof(struct rem_log_cache_entry *));
    if (cache->buckets == NULL)
        return false;
    cache->mask = n - 1;
    cache->n = 0;
    rem_list_init(&cache->used);
    rem_timer_init(&cache->timer, on_timer);
    return true;
}

/* An entry for a path that has none, used once. */
static struct rem_log_cache_entry *add(struct rem_log_cache *cache, struct rem_str path,
                                       uint64_t hash)
{
    struct rem_log_cache_entry *entry = malloc(sizeof(*entry) + path.n + 1);
    struct rem_log_cache_entry **bucket = &cache->buckets[hash & cache->mask];

    if (entry == NULL)
        return NULL;
    if (cache->n >= cache->max)
        drop(cache, oldest(cache));
    *entry = (struct rem_log_cache_entry){.next = *bucket, .hash = hash, .fd = -1, .n = path.n};
    memcpy(entry->path, path.p, path.n);
    entry->path[path.n] = '\0';
    *bucket = entry;
    rem_list_init(&entry->node);
    cache->n++;
    use(cache, entry);
    return entry;
}

bool rem_log_cache_keep(struct rem_log_cache *cache, struct rem_timers *timers, struct rem_str path,
                        int fd)
{
    uint64_t hash = rem_hash(path.p, path.n);
    struct rem_log_cache_entry *entry;
    struct stat st;

    cache->timers = timers;
    if (!start(cache))
        return false;
    entry = *find(cache, path, hash);
    if (entry == NULL)
        entry = add(cache, path, hash);
    if (entry == NULL)
        return false;
    if (!rem_timer_armed(&cache->timer))
        rem_timer_set(timers, &cache->timer, cache->inactive_ms);
    if (entry->uses < cache->min_uses || fstat(fd, &st) != 0)
        return false;
    drop_descriptor(entry);
    entry->fd = fd;
    entry->device = st.st_dev;
    entry->inode = st.st_ino;
    entry->checked_ms = timers->now_ms;
    return true;
}

void rem_log_cache_stop(struct rem_log_cache *cache)
{
    if (cache->buckets == NULL)
        return;
    while (cache->n != 0)
        drop(cache, oldest(cache));
    rem_timer_cancel(cache->timers, &cache->timer);
    free(cache->buckets);
    cache->buckets = NULL;
}
