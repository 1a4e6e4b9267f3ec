/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/failures.h"

#include "proto/base/siphash.h"

#include <sys/random.h>

void rem_failures_init(struct rem_failures *failures, uint32_t count, uint32_t period_ms)
{
    *failures = (struct rem_failures){.count = count, .period_us = (uint64_t)period_ms * 1000};
    /* Without randomness somebody might share his misfortune with a chosen other, no more. */
    (void)!getrandom(failures->seed, sizeof(failures->seed), GRND_NONBLOCK);
}

uint64_t rem_failures_key(const struct rem_failures *failures, const void *p, size_t n)
{
    return rem_siphash(failures->seed, p, n);
}

/* What one failure costs. */
static uint64_t cost_us(const struct rem_failures *failures)
{
    return failures->period_us / failures->count;
}

static const struct rem_failure *find(const struct rem_failures *failures, uint64_t key)
{
    const struct rem_failure *set = failures->entries[key % REM_FAILURES_SETS];

    for (size_t i = 0; i < REM_FAILURES_WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

uint64_t rem_failures_wait(const struct rem_failures *failures, uint64_t key, uint64_t now_ms)
{
    const struct rem_failure *entry = failures->count != 0 ? find(failures, key) : NULL;
    uint64_t latest_us; /* who owes more than until then must wait */

    if (entry == NULL)
        return 0;
    latest_us = now_ms * 1000 + failures->period_us - cost_us(failures);
    if (entry->owes_until_us <= latest_us)
        return 0;
    return (entry->owes_until_us - latest_us + 999) / 1000;
}

void rem_failures_add(struct rem_failures *failures, uint64_t key, uint64_t now_ms)
{
    struct rem_failure *set = failures->entries[key % REM_FAILURES_SETS];
    struct rem_failure *entry = &set[0];
    uint64_t now_us = now_ms * 1000;

    if (failures->count == 0)
        return;
    for (size_t i = 0; i < REM_FAILURES_WAYS; i++) {
        if (set[i].key == key) {
            entry = &set[i];
            break;
        }
        if (set[i].owes_until_us < entry->owes_until_us)
            entry = &set[i];
    }
    if (entry->key != key || entry->owes_until_us < now_us)
        *entry = (struct rem_failure){key, now_us};
    entry->owes_until_us += cost_us(failures);
}
