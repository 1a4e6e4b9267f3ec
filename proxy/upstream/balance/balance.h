/* SPDX-License-Identifier: Apache-2.0 */
/* balance.h - choosing a server: what a request and a balancer say to each other.
 *
 * Runs in:    workers.
 * Lifecycle:  init with the request -> (pick -> done)* -> fini.  Each pick is followed by its done
 *             before the next; a server that was tried is not given to the same request again.
 * Order:      the server the client is to stay with, else what the method says, among primaries;
 *             then both again among backups.
 * Cost:       every method is O(1) or O(log n) in the number of servers.
 * Not here:   failure state and counters (proto/shm/reader.h), what methods share
 *             (balance_priv.h).  */
#ifndef REM_BALANCE_BALANCE_H
#define REM_BALANCE_BALANCE_H

#include "proto/shm/reader.h"

enum { REM_TRIED_INLINE = 4 };

/* The servers a request has been to, by slot uid. */
struct rem_tried {
    uint32_t count;
    uint32_t size; /* of `more`, a power of two; 0: the inline ones do */
    uint64_t few[REM_TRIED_INLINE];
    uint64_t *more; /* owned hash table; 0 is empty */
};

struct rem_balance_state {
    struct rem_reader *reader;    /* borrowed; the worker's */
    struct rem_upstream_ref *ref; /* borrowed; the worker's memory of the upstream */
    struct rem_tried tried;
    struct rem_pin pin; /* from pick to done */

    /* What methods go by; for the user to fill in before the first pick.  Borrowed. */
    const struct rem_addr *client; /* NULL: nobody */
    struct rem_str key;            /* of `hash`; empty: none */
    uint64_t route;                /* hash of the sticky id to stay with; 0: none */

    /* Of hashes, from pick to pick. */
    uint32_t hash, rehash;
    bool hashed;

    /* What came out, until the end of the turn. */
    const struct rem_shm_set *set;
    uint32_t index; /* of the server in the set */
    bool full;      /* of a failed pick: some server was only full */
};

void rem_balance_init(struct rem_balance_state *state, struct rem_reader *reader,
                      struct rem_upstream_ref *ref);

/* Lets go of a server still held, without a verdict. */
void rem_balance_fini(struct rem_balance_state *state);

/* Gives the request a server it has not tried, by the method of the upstream's set, in state->pin.
 * Errors: REM_ENOTFOUND (no such upstream), REM_EBUSY (no server can be had: none there, none live,
 * all full, or all tried), REM_ENOMEM. */
int rem_balance_pick(struct rem_balance_state *state, uint64_t now_ms) REM_MUST_CHECK;

/* Reports on the picked server and lets it go.  Does nothing when none is held. */
void rem_balance_done(struct rem_balance_state *state, const struct rem_pin_report *report,
                      uint64_t now_ms);

/* The uid of the server whose turn comes `ahead` turns after the one just picked, for callers that
 * fetch early what they will need for it; 0 where nobody can tell or it is not worth it. */
uint64_t rem_balance_ahead(const struct rem_balance_state *state, uint32_t ahead);

bool rem_tried_has(const struct rem_tried *tried, uint64_t uid);
/* Errors: REM_ENOMEM. */
int rem_tried_add(struct rem_tried *tried, uint64_t uid) REM_MUST_CHECK;

#endif
