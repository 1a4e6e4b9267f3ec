/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/schedule.h"

#include <stdbool.h>
#include <stdlib.h>

/* Up to so many steps the exact order is computed, by the definition: about a millisecond. */
enum { EXACT_STEPS = 1 << 20 };

/* A server's next turn in the large computation. */
struct turn {
    uint64_t nth; /* 2 * turns taken + 1; the deadline is nth / weight */
    uint32_t weight;
    uint32_t index;
};

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Divides by the greatest common divisor.  Returns the sum. */
static uint64_t reduce(uint32_t *weights, uint32_t count)
{
    uint32_t divisor = 0;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < count && divisor != 1; i++)
        divisor = gcd(weights[i], divisor);
    for (uint32_t i = 0; i < count && divisor != 1; i++)
        weights[i] /= divisor;
    for (uint32_t i = 0; i < count; i++)
        sum += weights[i];
    return sum;
}

/* Scales so that the sum stays within 65536 + 16 * count; no weight becomes zero. */
static void quantise(uint32_t *weights, uint32_t count, uint64_t sum)
{
    uint64_t target = 65536 + 14 * (uint64_t)count;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t scaled = (weights[i] * target + sum / 2) / sum;
        weights[i] = scaled != 0 ? (uint32_t)scaled : 1;
    }
}

/* In every turn each server gains its weight and the richest pays the sum; the first one where
 * several are. */
static void fill_exact(const uint32_t *weights, uint32_t count, int64_t *gained, int64_t sum,
                       uint32_t *turns)
{
    for (int64_t turn = 0; turn < sum; turn++) {
        uint32_t best = 0;

        for (uint32_t i = 0; i < count; i++) {
            gained[i] += weights[i];
            if (gained[i] > gained[best])
                best = i;
        }
        gained[best] -= sum;
        turns[turn] = best;
    }
}

static bool before(const struct turn *a, const struct turn *b)
{
    /* nth / weight compared without division: both below 2^18 times below 2^17 */
    uint64_t left = a->nth * b->weight, right = b->nth * a->weight;

    return left != right ? left < right : a->index < b->index;
}

static void sift_down(struct turn *heap, uint32_t count, uint32_t at)
{
    struct turn moved = heap[at];

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= count)
            break;
        if (child + 1 < count && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &moved))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* Turn k of a server is due in the middle of its k-th share of the round. */
static void fill_by_deadline(struct turn *heap, uint32_t count, uint64_t sum, uint32_t *turns)
{
    for (uint32_t at = count / 2; at-- > 0;)
        sift_down(heap, count, at);
    for (uint64_t turn = 0; turn < sum; turn++) {
        turns[turn] = heap[0].index;
        heap[0].nth += 2;
        sift_down(heap, count, 0);
    }
}

static int fill(const uint32_t *weights, uint32_t count, uint64_t sum, uint32_t *turns)
{
    if (sum * count <= EXACT_STEPS) {
        int64_t *gained = calloc(count, sizeof(*gained));

        if (gained == NULL)
            return REM_ENOMEM;
        fill_exact(weights, count, gained, (int64_t)sum, turns);
        free(gained);
        return REM_OK;
    }
    struct turn *heap = malloc(count * sizeof(*heap));
    if (heap == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        heap[i] = (struct turn){.nth = 1, .weight = weights[i], .index = i};
    fill_by_deadline(heap, count, sum, turns);
    free(heap);
    return REM_OK;
}

static int build(uint32_t *weights, uint32_t count, struct rem_schedule *out)
{
    struct rem_schedule made = {0};
    uint64_t sum = reduce(weights, count);
    int rc = REM_OK;

    if (sum > 65536 + 16 * (uint64_t)count) {
        quantise(weights, count, sum);
        sum = reduce(weights, count);
    }
    made.length = (uint32_t)sum;
    if (sum != count) { /* else every weight is 1, and the turns are the list */
        made.turns = malloc(sum * sizeof(*made.turns));
        rc = made.turns != NULL ? fill(weights, count, sum, made.turns) : REM_ENOMEM;
    }
    if (rc != REM_OK)
        rem_schedule_fini(&made);
    else
        *out = made;
    return rc;
}

int rem_schedule_build(const uint32_t *weights, uint32_t count, struct rem_schedule *out)
{
    uint32_t *reduced;
    int rc;

    if (count == 0) {
        *out = (struct rem_schedule){0};
        return REM_OK;
    }
    reduced = malloc(count * sizeof(*reduced));
    if (reduced == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        REM_CHECK(weights[i] != 0);
        reduced[i] = weights[i];
    }
    rc = build(reduced, count, out);
    free(reduced);
    return rc;
}

void rem_schedule_fini(struct rem_schedule *schedule)
{
    free(schedule->turns);
    *schedule = (struct rem_schedule){0};
}
