/* SPDX-License-Identifier: Apache-2.0 */
/* path_cache.h - what is known about paths of the file system, and descriptors kept open for them.
 *
 * Runs in:    workers, each with its own; the configuration says which there are.
 * Lifecycle:  zeroed but for the settings -> find, add, ... -> stop.
 * Bounded:    by `max` paths.  Of those the one unused for longest makes room; one unused for
 *             `inactive` goes.  An open file that somebody shares stays open for him.
 * Not here:   what is done with a file (mod/file.h, mod/log_named.h).  */
#ifndef REM_HTTP_PATH_CACHE_H
#define REM_HTTP_PATH_CACHE_H

#include "proto/base/attr.h"
#include "proto/base/list.h"
#include "proto/base/str.h"
#include "proxy/net/timer.h"

#include <sys/stat.h>

struct rem_conf;

/* An open file, closed by the last of those who share it. */
struct rem_open_file {
    int fd;
    uint32_t shares;
};

struct rem_path_entry {
    struct rem_path_entry *next; /* in its bucket */
    struct rem_list node;        /* in cache->used */
    uint64_t hash;
    uint64_t used_ms;
    uint64_t checked_ms; /* when the file system was last asked */
    uint32_t uses;
    bool known;                 /* `error` and `st` say something */
    struct rem_open_file *file; /* NULL: none is kept */
    int error;                  /* errno of the last look; 0: there is something */
    struct stat st;             /* as of checked_ms, without error */
    size_t n;
    char path[]; /* with a NUL */
};

struct rem_path_cache {
    uint32_t max;
    uint32_t min_uses; /* within `inactive`, for a descriptor to be kept */
    uint64_t inactive_ms;
    uint64_t valid_ms;
    struct rem_path_cache *next; /* of the configuration */

    /* in workers, from the first path on */
    struct rem_timers *timers;
    struct rem_path_entry **buckets; /* NULL: nothing yet */
    uint32_t mask;                   /* of bucket numbers */
    uint32_t n;
    struct rem_list used; /* entries, latest first */
    struct rem_timer timer;
};

/* Reads a directive's parameters over `defaults`: "max=N inactive=TIME", with `all` also
 * "min_uses=N valid=TIME" (open_log_file_cache; open_file_cache has directives for these), or
 * "off", for which *out is NULL. *out lives as long as the configuration.  Errors: reported. */
int rem_path_cache_parse(struct rem_conf *cf, const struct rem_path_cache *defaults, bool all,
                         struct rem_path_cache **out) REM_MUST_CHECK;

/* The path's entry, and counts a use; NULL: there is none.
 * Borrows: the cache owns the entry, which is good until the next call that finds or adds. */
struct rem_path_entry *rem_path_cache_find(struct rem_path_cache *cache, struct rem_timers *timers,
                                           struct rem_str path);

/* After a find that had none: an entry that nothing is known about, used once.  NULL: no memory. */
struct rem_path_entry *rem_path_cache_add(struct rem_path_cache *cache, struct rem_timers *timers,
                                          struct rem_str path);

/* Whether what is known was true within `valid`. */
static inline bool rem_path_is_fresh(const struct rem_path_cache *cache,
                                     const struct rem_path_entry *entry)
{
    return entry->known && cache->timers->now_ms - entry->checked_ms < cache->valid_ms;
}

/* Looks at the path again.  The open file stays if it still is what the path leads to. */
void rem_path_look(struct rem_path_cache *cache, struct rem_path_entry *entry);

/* The descriptor that is kept, if the path was found to lead to it within `valid`; else -1. */
int rem_path_current(struct rem_path_cache *cache, struct rem_path_entry *entry);

/* Notes a file that was just opened by the path.  Takes: fd, if it returns true; too rarely used
 * paths, and those for which a file is kept already, leave it to the caller. */
bool rem_path_keep(struct rem_path_cache *cache, struct rem_path_entry *entry, int fd,
                   const struct stat *st);

/* Notes what somebody found out by himself: an errno, or 0 and `st`. */
void rem_path_note(struct rem_path_cache *cache, struct rem_path_entry *entry, int error,
                   const struct stat *st);

/* A share in an open file, until release. */
static inline struct rem_open_file *rem_open_file_share(struct rem_open_file *file)
{
    file->shares++;
    return file;
}
void rem_open_file_release(struct rem_open_file *file);

/* Closes everything that nobody shares.  Does nothing for a cache that was never used. */
void rem_path_cache_stop(struct rem_path_cache *cache);

#endif
