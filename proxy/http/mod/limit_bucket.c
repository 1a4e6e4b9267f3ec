/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/limit_bucket.h"

enum {
    ONE = 1000,         /* a request */
    IDLE_MS = 60000,    /* unused for so long: may go */
    SWEEP = 2,          /* so many are looked at whenever a key is added */
    KEY_PER_CHUNK = 32, /* at least so many bytes of a key lie in one chunk */
};

/* rate * time: long pauses at high rates do not fit 64 bits. */
static uint64_t drained(const struct rem_limit_rate *rate, uint64_t ms)
{
    unsigned __int128 n = (unsigned __int128)ms * rate->requests * ONE / rate->period_ms;

    return n < UINT64_MAX ? (uint64_t)n : UINT64_MAX;
}

static uint64_t left(const struct rem_limit_bucket *bucket, const struct rem_limit_rate *rate,
                     uint64_t now_ms)
{
    /* The clocks of workers differ by up to a turn of their loops. */
    uint64_t ms = now_ms > bucket->last_ms ? now_ms - bucket->last_ms : 0;

    return bucket->excess + ONE > drained(rate, ms) ? bucket->excess + ONE - drained(rate, ms) : 0;
}

uint64_t rem_limit_bucket_excess(const struct rem_limit_bucket *bucket,
                                 const struct rem_limit_rate *rate, uint64_t now_ms)
{
    return left(bucket, rate, now_ms);
}

uint64_t rem_limit_bucket_wait(const struct rem_limit_rate *rate, uint64_t excess, uint64_t limit)
{
    unsigned __int128 ms;

    if (excess <= limit)
        return 0;
    ms = (unsigned __int128)(excess - limit) * rate->period_ms / ((uint64_t)ONE * rate->requests);
    return ms < UINT32_MAX ? (uint64_t)ms : UINT32_MAX;
}

/* Lets go of keys that nobody has asked for in a while and whose bucket is empty anyway. */
static void sweep(struct rem_zone_hold *hold, const struct rem_limit_rate *rate, uint64_t now_ms)
{
    for (int i = 0; i < SWEEP; i++) {
        uint64_t used_ms;
        struct rem_limit_bucket *bucket = rem_zone_oldest(hold, &used_ms);

        if (bucket == NULL || used_ms + IDLE_MS > now_ms || left(bucket, rate, now_ms) > ONE)
            return;
        rem_zone_remove(hold, bucket);
    }
}

/* Makes room by forgetting who was not seen for longest. */
static struct rem_limit_bucket *add(struct rem_zone_hold *hold, uint64_t now_ms)
{
    struct rem_limit_bucket *bucket = rem_zone_put(hold, now_ms);

    for (size_t i = 0; bucket == NULL && i <= 1 + hold->key.n / KEY_PER_CHUNK; i++) {
        if (!rem_zone_evict(hold))
            return NULL;
        bucket = rem_zone_put(hold, now_ms);
    }
    return bucket;
}

enum rem_limit_verdict rem_limit_bucket_ask(struct rem_zone *zone, struct rem_str key,
                                            const struct rem_limit_rate *rate, uint64_t now_ms,
                                            bool commit, uint64_t *excess)
{
    enum rem_limit_verdict verdict = REM_LIMIT_FITS;
    struct rem_limit_bucket *bucket;
    struct rem_zone_hold hold;

    *excess = 0;
    rem_zone_lock(zone, key, &hold);
    bucket = rem_zone_get(&hold);
    if (bucket != NULL) {
        rem_zone_touch(&hold, bucket, now_ms);
        *excess = rem_limit_bucket_excess(bucket, rate, now_ms);
        if (*excess > rate->burst)
            verdict = REM_LIMIT_EXCEEDS;
    } else if (commit) {
        sweep(&hold, rate, now_ms);
        bucket = add(&hold, now_ms);
        if (bucket == NULL)
            verdict = REM_LIMIT_NO_ROOM;
    }
    if (commit && verdict == REM_LIMIT_FITS) {
        bucket->excess = *excess;
        if (bucket->last_ms < now_ms)
            bucket->last_ms = now_ms;
    }
    rem_zone_unlock(&hold);
    return verdict;
}
