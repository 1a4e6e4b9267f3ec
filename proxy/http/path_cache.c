/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/path_cache.h"

#include "proto/base/attr.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUCKETS_MAX = 4096 };

static struct rem_path_entry **find(struct rem_path_cache *cache, struct rem_str path,
                                    uint64_t hash)
{
    struct rem_path_entry **at = &cache->buckets[hash & cache->mask];

    while (*at != NULL &&
           ((*at)->hash != hash || !rem_str_eq(rem_str_make((*at)->path, (*at)->n), path)))
        at = &(*at)->next;
    return at;
}

void rem_open_file_release(struct rem_open_file *file)
{
    if (--file->shares != 0)
        return;
    close(file->fd);
    free(file);
}

static void drop_file(struct rem_path_entry *entry)
{
    if (entry->file != NULL)
        rem_open_file_release(entry->file);
    entry->file = NULL;
}

static void drop(struct rem_path_cache *cache, struct rem_path_entry *entry)
{
    struct rem_path_entry **at = &cache->buckets[entry->hash & cache->mask];

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    rem_list_remove(&entry->node);
    cache->n--;
    drop_file(entry);
    free(entry);
}

static struct rem_path_entry *oldest(struct rem_path_cache *cache)
{
    return REM_CONTAINER(cache->used.prev, struct rem_path_entry, node);
}

static void expire(struct rem_path_cache *cache)
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
    expire(REM_CONTAINER(timer, struct rem_path_cache, timer));
}

static void use(struct rem_path_cache *cache, struct rem_path_entry *entry)
{
    entry->uses++;
    entry->used_ms = cache->timers->now_ms;
    rem_list_remove(&entry->node);
    rem_list_insert(&cache->used, &entry->node);
}

struct rem_path_entry *rem_path_cache_find(struct rem_path_cache *cache, struct rem_timers *timers,
                                           struct rem_str path)
{
    struct rem_path_entry *entry;

    if (cache->buckets == NULL)
        return NULL;
    cache->timers = timers;
    expire(cache);
    entry = *find(cache, path, rem_hash(path.p, path.n));
    if (entry != NULL)
        use(cache, entry);
    return entry;
}

static bool start(struct rem_path_cache *cache)
{
    uint32_t n = 16;

    if (cache->buckets != NULL)
        return true;
    while (n < cache->max && n < BUCKETS_MAX)
        n *= 2;
    cache->buckets = calloc(n, sizeof(struct rem_path_entry *));
    if (cache->buckets == NULL)
        return false;
    cache->mask = n - 1;
    cache->n = 0;
    rem_list_init(&cache->used);
    rem_timer_init(&cache->timer, on_timer);
    return true;
}

struct rem_path_entry *rem_path_cache_add(struct rem_path_cache *cache, struct rem_timers *timers,
                                          struct rem_str path)
{
    struct rem_path_entry *entry, **bucket;

    cache->timers = timers;
    if (!start(cache))
        return NULL;
    entry = malloc(sizeof(*entry) + path.n + 1);
    if (entry == NULL)
        return NULL;
    if (cache->n >= cache->max)
        drop(cache, oldest(cache));
    *entry = (struct rem_path_entry){.hash = rem_hash(path.p, path.n), .n = path.n};
    memcpy(entry->path, path.p, path.n);
    entry->path[path.n] = '\0';
    bucket = &cache->buckets[entry->hash & cache->mask];
    entry->next = *bucket;
    *bucket = entry;
    rem_list_init(&entry->node);
    cache->n++;
    use(cache, entry);
    if (!rem_timer_armed(&cache->timer))
        rem_timer_set(timers, &cache->timer, cache->inactive_ms);
    return entry;
}

void rem_path_note(struct rem_path_cache *cache, struct rem_path_entry *entry, int error,
                   const struct stat *st)
{
    bool same = error == 0 && entry->known && entry->error == 0 && st->st_dev == entry->st.st_dev &&
                st->st_ino == entry->st.st_ino;

    if (!same)
        drop_file(entry);
    entry->known = true;
    entry->checked_ms = cache->timers->now_ms;
    entry->error = error;
    if (error == 0)
        entry->st = *st;
}

void rem_path_look(struct rem_path_cache *cache, struct rem_path_entry *entry)
{
    struct stat st;
    int error = stat(entry->path, &st) == 0 ? 0 : errno;

    rem_path_note(cache, entry, error, &st);
}

int rem_path_current(struct rem_path_cache *cache, struct rem_path_entry *entry)
{
    if (entry->file != NULL && !rem_path_is_fresh(cache, entry))
        rem_path_look(cache, entry);
    return entry->file != NULL ? entry->file->fd : -1;
}

bool rem_path_keep(struct rem_path_cache *cache, struct rem_path_entry *entry, int fd,
                   const struct stat *st)
{
    rem_path_note(cache, entry, 0, st);
    if (entry->uses < cache->min_uses || entry->file != NULL)
        return false;
    entry->file = malloc(sizeof(*entry->file));
    if (entry->file == NULL)
        return false;
    *entry->file = (struct rem_open_file){.fd = fd, .shares = 1};
    return true;
}

void rem_path_cache_stop(struct rem_path_cache *cache)
{
    if (cache->buckets == NULL)
        return;
    while (cache->n != 0)
        drop(cache, oldest(cache));
    rem_timer_cancel(cache->timers, &cache->timer);
    free(cache->buckets);
    cache->buckets = NULL;
}
