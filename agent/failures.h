/* SPDX-License-Identifier: Apache-2.0 */
/* failures.h - who has shown wrong credentials lately, and may not try again yet.
 *
 * Runs in:    agent.
 * Memory:     a fixed table; where it is full, whoever is nearest to being forgiven is forgotten.
 * Timers:     none: an entry is out of date by the clock.  */
#ifndef REM_AGENT_FAILURES_H
#define REM_AGENT_FAILURES_H

#include "proto/base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REM_FAILURES_SETS = 256, REM_FAILURES_WAYS = 4 };

/* Every failure costs a client `period / count`; who owes a whole period has to wait. */
struct rem_failures {
    uint64_t seed[2];
    uint64_t count; /* 0: no limit */
    uint64_t period_us;
    struct rem_failure {
        uint64_t key;
        uint64_t owes_until_us; /* monotonic */
    } entries[REM_FAILURES_SETS][REM_FAILURES_WAYS];
};

/* `count` attempts in `period_ms` may fail, as far as one client goes. */
void rem_failures_init(struct rem_failures *failures, uint32_t count, uint32_t period_ms);

/* A key for rem_failures_*, of the bytes that identify a client. */
uint64_t rem_failures_key(const struct rem_failures *failures, const void *p, size_t n);

/* How many milliseconds the client has to wait before its next attempt; 0: none. */
uint64_t rem_failures_wait(const struct rem_failures *failures, uint64_t key, uint64_t now_ms);

/* An attempt has failed.  Where all places of the key's set are taken, whoever owes least is
 * forgotten. */
void rem_failures_add(struct rem_failures *failures, uint64_t key, uint64_t now_ms);

#endif
