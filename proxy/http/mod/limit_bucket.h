/* SPDX-License-Identifier: Apache-2.0 */
/* limit_bucket.h - the leaky bucket of limit_req: arithmetic and its entry in a zone.
 *
 * A bucket holds the excess, in thousandths of a request; time empties it at the rate, a request
 * adds a thousand.  What exceeds the burst is rejected and leaves no trace.  */
#ifndef REM_HTTP_MOD_LIMIT_BUCKET_H
#define REM_HTTP_MOD_LIMIT_BUCKET_H

#include "proto/shm/zone.h"

struct rem_limit_rate {
    uint64_t requests; /* so many */
    uint64_t period_ms;
    uint64_t burst; /* in thousandths of a request */
};

/* The value of a zone's entry. */
struct rem_limit_bucket {
    uint64_t excess;
    uint64_t last_ms; /* monotonic, when excess was true */
};

enum rem_limit_verdict {
    REM_LIMIT_FITS = 0,
    REM_LIMIT_EXCEEDS, /* the burst */
    REM_LIMIT_NO_ROOM, /* the zone cannot take another key */
};

/* The excess with one request more at `now_ms`. */
uint64_t rem_limit_bucket_excess(const struct rem_limit_bucket *bucket,
                                 const struct rem_limit_rate *rate, uint64_t now_ms);

/* Until the excess has sunk to `limit`. */
uint64_t rem_limit_bucket_wait(const struct rem_limit_rate *rate, uint64_t excess, uint64_t limit);

/* Looks at the key's bucket and, with `commit`, puts the request into it if it fits; a key without
 * bucket has an excess of 0.  *excess is that with the request. */
enum rem_limit_verdict rem_limit_bucket_ask(struct rem_zone *zone, struct rem_str key,
                                            const struct rem_limit_rate *rate, uint64_t now_ms,
                                            bool commit, uint64_t *excess);

#endif
