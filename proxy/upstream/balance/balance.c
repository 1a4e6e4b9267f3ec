/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/balance/balance.h"

#include "proxy/upstream/balance/round_robin.h"

#include <stdlib.h>

void rem_balance_init(struct rem_balance_state *state, struct rem_reader *reader,
                      struct rem_upstream_ref *ref)
{
    *state = (struct rem_balance_state){.reader = reader, .ref = ref};
}

void rem_balance_fini(struct rem_balance_state *state)
{
    const struct rem_pin_report nothing = {.outcome = REM_OUTCOME_NEUTRAL};

    rem_pin_done(&state->pin, &nothing, 0);
    free(state->tried.more);
    state->tried = (struct rem_tried){0};
}

const struct rem_balancer *rem_balance_method(uint32_t method)
{
    static const struct rem_balancer *const methods[] = {
        [REM_BALANCE_ROUND_ROBIN] = &rem_round_robin,
    };

    return method < REM_COUNT(methods) ? methods[method] : &rem_round_robin;
}

/* ---- the servers a request has been to ---- */

/* Where `uid` is, or the empty place where it would be. */
static uint32_t place(const uint64_t *table, uint32_t size, uint64_t uid)
{
    uint32_t at = (uint32_t)(uid * 0x9e3779b97f4a7c15ULL >> 32) & (size - 1);

    while (table[at] != 0 && table[at] != uid)
        at = (at + 1) & (size - 1);
    return at;
}

bool rem_tried_has(const struct rem_tried *tried, uint64_t uid)
{
    if (tried->size != 0)
        return tried->more[place(tried->more, tried->size, uid)] == uid;
    for (uint32_t i = 0; i < tried->count; i++)
        if (tried->few[i] == uid)
            return true;
    return false;
}

/* Moves to a table of twice the room. */
static int grow(struct rem_tried *tried)
{
    uint32_t size = tried->size != 0 ? tried->size * 2 : 4 * REM_TRIED_INLINE;
    const uint64_t *old = tried->size != 0 ? tried->more : tried->few;
    uint32_t old_size = tried->size != 0 ? tried->size : tried->count;
    uint64_t *table = calloc(size, sizeof(*table));

    if (table == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i] != 0)
            table[place(table, size, old[i])] = old[i];
    free(tried->more);
    tried->more = table;
    tried->size = size;
    return REM_OK;
}

int rem_tried_add(struct rem_tried *tried, uint64_t uid)
{
    bool full =
        tried->size != 0 ? tried->count * 2 >= tried->size : tried->count == REM_TRIED_INLINE;

    if (rem_tried_has(tried, uid))
        return REM_OK;
    if (full) {
        int rc = grow(tried);
        if (rc != REM_OK)
            return rc;
    }
    if (tried->size != 0)
        tried->more[place(tried->more, tried->size, uid)] = uid;
    else
        tried->few[tried->count] = uid;
    tried->count++;
    return REM_OK;
}
