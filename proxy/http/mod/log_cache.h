/* SPDX-License-Identifier: Apache-2.0 */
/* log_cache.h - descriptors of log files whose names have variables, kept open
 * (open_log_file_cache).
 *
 * Runs in:    workers, each with its own; the configuration says which there are.
 * Bounded:    by `max` names.  Of those the one unused for longest makes room; one unused for
 *             `inactive` goes.
 * Stale:      a file that was renamed or removed is noticed within `valid`.  */
#ifndef REM_HTTP_MOD_LOG_CACHE_H
#define REM_HTTP_MOD_LOG_CACHE_H

#include "proto/base/list.h"
#include "proto/base/str.h"
#include "proxy/net/timer.h"

struct rem_log_cache_entry;

struct rem_log_cache {
    uint32_t max;
    uint32_t min_uses; /* within `inactive`, for a descriptor to be kept */
    uint64_t inactive_ms;
    uint64_t valid_ms;
    struct rem_log_cache *next; /* of the configuration */

    /* in workers, from the first file on */
    struct rem_timers *timers;
    struct rem_log_cache_entry **buckets; /* NULL: nothing yet */
    uint32_t mask;                        /* of bucket numbers */
    uint32_t n;
    struct rem_list used; /* entries, latest first */
    struct rem_timer timer;
};

/* The descriptor that is kept for a path (NUL-terminated), and counts a use.  Returns -1 when there
 * is none; the caller then opens the file and offers it to rem_log_cache_keep.
 * Borrows: the cache owns the descriptor, which is good until the next call. */
int rem_log_cache_find(struct rem_log_cache *cache, struct rem_timers *timers, struct rem_str path);

/* After a find that had none: takes note of the file.  Returns whether the cache keeps (and owns)
 * the descriptor; if not, the caller closes it. */
bool rem_log_cache_keep(struct rem_log_cache *cache, struct rem_timers *timers, struct rem_str path,
                        int fd);

/* Closes everything.  Does nothing for a cache that was never used. */
void rem_log_cache_stop(struct rem_log_cache *cache);

#endif
