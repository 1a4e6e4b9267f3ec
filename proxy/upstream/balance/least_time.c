/* SPDX-License-Identifier: Apache-2.0 */
/* least_time.c - the server with the least average response time and the fewest open requests, for
 * its weight.
 *
 * The score is what the next request may expect to wait: the average (of the header, or of the last
 * byte), once for each request that is open and once for itself.  With `inflight` open requests
 * count for as long as they have lasted, so that a server that hangs is noticed before any of its
 * answers is late.  A server nobody has asked yet is the best; an average fades while nobody asks,
 * or a server that was slow once would never get the chance to show that it is not any more. */
#include "proxy/upstream/balance/balance_priv.h"

enum { FADE_MS = 5000 }; /* after so long an average counts half */

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed) /* hints */

/* What the workers' lines say of a server. */
struct seen {
    uint64_t average_sum; /* in sixteenths of a millisecond */
    uint64_t averages;
    uint64_t open_since_sum;
    uint64_t selected_ms; /* last, by anybody */
    int64_t active;
};

static struct seen look_at(const struct rem_pick *pick, const struct rem_shm_server *server)
{
    const struct rem_reader *reader = pick->state->reader;
    struct rem_shm_line *lines = rem_slot_lines(rem_reader_slot(reader, server));
    bool last_byte = pick->set->method_flags & REM_METHOD_LAST_BYTE;
    struct seen seen = {0};

    for (uint32_t i = 0; i < reader->lines; i++) {
        uint32_t average = last_byte ? LOAD(lines[i].response_avg) : LOAD(lines[i].header_avg);
        seen.average_sum += average;
        seen.averages += average != 0;
        seen.active += LOAD(lines[i].active);
        uint64_t selected_ms = LOAD(lines[i].selected_ms);
        if (selected_ms > seen.selected_ms)
            seen.selected_ms = selected_ms;
        seen.open_since_sum += LOAD(lines[i].open_since_ms);
    }
    if (seen.active < 0)
        seen.active = 0;
    return seen;
}

uint64_t rem_least_time_score(const struct rem_pick *pick, const struct rem_shm_server *server)
{
    struct seen seen = look_at(pick, server);
    uint64_t average = seen.averages != 0 ? seen.average_sum / seen.averages : 0;

    if (pick->now_ms > seen.selected_ms)
        average = average * FADE_MS / (FADE_MS + (pick->now_ms - seen.selected_ms));
    if (pick->set->method_flags & REM_METHOD_INFLIGHT && seen.active > 0) {
        uint64_t since = seen.open_since_sum / (uint64_t)seen.active;
        uint64_t lasted = pick->now_ms > since ? (pick->now_ms - since) * 16 : 0;
        average = lasted > average ? lasted : average;
    }
    if (average > UINT32_MAX)
        average = UINT32_MAX;
    /* As if each took a sixteenth more: among instant servers the fewer requests decide. */
    return (average + 1) * ((uint64_t)seen.active + 1) * 256 / server->weight;
}

int rem_least_time_side(struct rem_pick *pick, unsigned side)
{
    return rem_scan_side(pick, side, rem_least_time_score);
}
