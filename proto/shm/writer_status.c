/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/writer_priv.h"

/* relaxed throughout: each counter stands alone; exceptions say so */
#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

int64_t rem_writer_slot_active(const struct rem_writer *writer, struct rem_shm_server_slot *slot)
{
    struct rem_shm_line *lines = rem_slot_lines(slot);
    int64_t sum = 0;

    for (uint32_t i = 0; i < writer->region.lines; i++)
        /* acquire: pairs with the release in rem_pin_done; at zero, all counters are in */
        sum += atomic_load_explicit(&lines[i].active, memory_order_acquire);
    return sum;
}

void rem_writer_slot_totals(const struct rem_writer *writer, struct rem_shm_server_slot *slot,
                            struct rem_shm_totals *totals)
{
    for (uint32_t i = 0; i < writer->region.lines; i++) {
        struct rem_shm_line *line = &rem_slot_lines(slot)[i];

        totals->requests += LOAD(line->requests);
        totals->sent += LOAD(line->sent);
        totals->received += LOAD(line->received);
        for (unsigned status_class = 1; status_class <= REM_SHM_CLASSES; status_class++)
            totals->responses[status_class - 1] +=
                LOAD(line->responses[rem_shm_class(status_class)]);
        totals->fails += LOAD(line->fails);
        totals->unavail += LOAD(line->unavail);
        totals->header_ms += LOAD(line->header_ms);
        totals->response_ms += LOAD(line->response_ms);
    }
}

void rem_writer_totals_add(struct rem_shm_totals *totals, const struct rem_shm_totals *more)
{
    totals->requests += more->requests;
    totals->sent += more->sent;
    totals->received += more->received;
    for (unsigned i = 0; i < REM_SHM_CLASSES; i++)
        totals->responses[i] += more->responses[i];
    totals->fails += more->fails;
    totals->unavail += more->unavail;
    totals->header_ms += more->header_ms;
    totals->response_ms += more->response_ms;
}

/* ---- states ---- */

static struct rem_str state_of(const struct rem_shm_set *set, const struct rem_shm_server *server,
                               struct rem_shm_server_slot *slot, uint64_t now_ms)
{
    uint32_t bits = LOAD(slot->health), health = bits & REM_HEALTH_MASK;
    uint64_t retry_ms;

    if (server->flags & REM_SERVER_DOWN)
        return REM_STR("down");
    if (server->flags & REM_SERVER_DRAIN)
        return REM_STR("draining");
    if (health == REM_HEALTH_CHECKING)
        return REM_STR("checking");
    if (health == REM_HEALTH_DOWN)
        return REM_STR("unhealthy");
    if (bits & REM_HEALTH_EJECTED && rem_ejection_holds(set, LOAD(slot->ejected_until_ms), now_ms))
        return REM_STR("ejected");
    return rem_server_available(set, server, slot, now_ms, &retry_ms) ? REM_STR("up")
                                                                      : REM_STR("unavail");
}

static void health_status(const struct rem_shm_set *set, struct rem_shm_server_slot *slot,
                          uint64_t now_ms, struct rem_server_status *out)
{
    uint32_t health = LOAD(slot->health);

    out->health = health & REM_HEALTH_MASK;
    out->checks = LOAD(slot->checks);
    out->check_fails = LOAD(slot->check_fails);
    out->unhealthy = LOAD(slot->unhealthy);
    out->last_passed = LOAD(slot->last_passed);
    out->checked_wall_ms = LOAD(slot->checked_wall_ms);
    out->ejected_until_ms = LOAD(slot->ejected_until_ms);
    out->ejected =
        health & REM_HEALTH_EJECTED && rem_ejection_holds(set, out->ejected_until_ms, now_ms);
    out->ejections = LOAD(slot->ejections);
}

/* What the lines say beside their counters. */
static void add_server_lines(const struct rem_writer *writer, struct rem_shm_server_slot *slot,
                             struct rem_server_status *out)
{
    uint32_t headers = 0, responses = 0;

    for (uint32_t i = 0; i < writer->region.lines; i++) {
        struct rem_shm_line *line = &rem_slot_lines(slot)[i];
        uint64_t selected = LOAD(line->selected_ms);
        uint32_t header = LOAD(line->header_avg), response = LOAD(line->response_avg);

        if (selected > out->selected_ms)
            out->selected_ms = selected;
        out->header_avg += header;
        headers += header != 0;
        out->response_avg += response;
        responses += response != 0;
    }
    if (headers != 0)
        out->header_avg /= headers;
    if (responses != 0)
        out->response_avg /= responses;
}

/* What a slot counted by status; the status borrows from `codes`. */
static void add_codes(const struct rem_writer *writer, struct rem_shm_server_slot *slot,
                      struct rem_codes *codes, struct rem_server_status *out)
{
    codes->count = 0;
    rem_codes_sum(rem_slot_codes(slot, writer->region.lines), writer->region.lines, codes);
    rem_codes_finish(codes, out->totals.responses[1]);
    out->codes = codes->count != 0 ? codes->items : NULL;
    out->code_count = codes->count;
}

static void server_status(const struct rem_writer_walk *walk, const struct rem_shm_server *server,
                          struct rem_codes *codes, struct rem_server_status *out)
{
    const struct rem_writer *writer = walk->writer;
    struct rem_shm_server_slot *slot = rem_object_server_slot(&writer->region, server->slot);

    *out = (struct rem_server_status){
        .state = state_of(walk->set, server, slot, walk->now_ms),
        .active = rem_writer_slot_active(writer, slot),
        .down_from_ms = LOAD(slot->down_from_ms),
        .downtime_ms = LOAD(slot->downtime_ms),
    };
    rem_writer_server_spec(walk->set, server, &out->spec);
    health_status(walk->set, slot, walk->now_ms, out);
    rem_writer_slot_totals(writer, slot, &out->totals);
    add_server_lines(writer, slot, out);
    if (out->down_from_ms != 0 && walk->now_ms > out->down_from_ms)
        out->downtime_ms += walk->now_ms - out->down_from_ms;
    add_codes(writer, slot, codes, out);
}

static void add_lines(const struct rem_writer *writer, const struct rem_shm_set *set,
                      struct rem_upstream_status *out)
{
    struct rem_shm_upstream_slot *slot = rem_region_at(&writer->region, set->upstream_slot);

    for (uint32_t i = 0; i < writer->region.lines; i++) {
        struct rem_shm_upstream_line *line = &rem_upstream_lines(slot)[i];
        out->idle += LOAD(line->idle);
        out->requests += LOAD(line->requests);
        out->pending += LOAD(line->pending);
        out->retrying += LOAD(line->retrying);
        out->connections += LOAD(line->connections);
        out->queued += LOAD(line->queued);
        out->no_live += LOAD(line->no_live);
        out->retries += LOAD(line->retries);
        out->opened += LOAD(line->opened);
        out->reused += LOAD(line->reused);
        for (size_t k = 0; k < REM_RETRY_REASONS; k++)
            out->retries_by[k] += LOAD(line->retries_by[k]);
        for (size_t k = 0; k < REM_OVERFLOWS; k++)
            out->overflows[k] += LOAD(line->overflows[k]);
        out->budget_exhausted += LOAD(line->budget_exhausted);
        rem_histogram_sum(&line->request_ms, &out->request_ms);
        rem_histogram_sum(&line->connect_ms, &out->connect_ms);
    }
    out->ejected = LOAD(slot->ejected);
}

/* How many servers were removed that requests still hold; adds what they counted. */
static size_t add_zombies(const struct rem_writer *writer, size_t index,
                          struct rem_shm_totals *totals)
{
    size_t n = 0;

    for (uint32_t i = 0; i < writer->dir->zombie_count; i++) {
        const struct rem_shm_zombie *zombie = &rem_dir_zombies(writer->dir)[i];

        if (zombie->upstream != index)
            continue;
        rem_writer_slot_totals(writer, rem_object_server_slot(&writer->region, zombie->slot),
                               totals);
        n++;
    }
    return n;
}

void rem_writer_walk_start(struct rem_writer_walk *walk, const struct rem_writer *writer,
                           size_t index, uint64_t now_ms)
{
    REM_CHECK(index < rem_writer_count(writer));
    *walk = (struct rem_writer_walk){
        .writer = writer,
        .set = rem_dir_set(&writer->region, writer->dir, (uint32_t)index),
        .now_ms = now_ms,
        .status.totals = rem_dir_entries(writer->dir)[index].folded,
    };
    rem_writer_upstream_head(walk->set, &walk->status.spec);
    walk->status.server_count = walk->set->count;
    walk->status.zombies = add_zombies(writer, index, &walk->status.totals);
    add_lines(writer, walk->set, &walk->status);
}

bool rem_writer_walk_next(struct rem_writer_walk *walk, struct rem_server_status *out)
{
    if (walk->next == walk->set->count)
        return false;
    server_status(walk, rem_set_server(walk->set, walk->next++), &walk->codes, out);
    rem_writer_totals_add(&walk->status.totals, &out->totals);
    return true;
}

/* ---- all at once ---- */

/* Errors: REM_ENOMEM. */
static int keep_codes(struct rem_arena *arena, struct rem_server_status *status)
{
    size_t size = status->code_count * sizeof(status->codes[0]);
    void *items;

    if (size == 0)
        return REM_OK;
    items = rem_arena_alloc(arena, size);
    if (items == NULL)
        return REM_ENOMEM;
    status->codes = memcpy(items, status->codes, size);
    return REM_OK;
}

static int zombie_status(const struct rem_writer *writer, const struct rem_shm_zombie *zombie,
                         struct rem_arena *arena, struct rem_server_status *out)
{
    struct rem_shm_server_slot *slot = rem_object_server_slot(&writer->region, zombie->slot);
    struct rem_codes codes;

    *out = (struct rem_server_status){
        .state = REM_STR("removed"),
        .spec.server = {slot->name, slot->name_len},
        .active = rem_writer_slot_active(writer, slot),
        .checks = LOAD(slot->checks),
        .check_fails = LOAD(slot->check_fails),
        .ejections = LOAD(slot->ejections),
    };
    rem_writer_slot_totals(writer, slot, &out->totals);
    add_codes(writer, slot, &codes, out);
    return keep_codes(arena, out);
}

static int read_zombies(const struct rem_writer *writer, size_t index, struct rem_arena *arena,
                        struct rem_server_status *out)
{
    for (uint32_t i = 0; i < writer->dir->zombie_count; i++) {
        const struct rem_shm_zombie *zombie = &rem_dir_zombies(writer->dir)[i];

        if (zombie->upstream == index && zombie_status(writer, zombie, arena, out++) != REM_OK)
            return REM_ENOMEM;
    }
    return REM_OK;
}

int rem_writer_status(const struct rem_writer *writer, size_t index, uint64_t now_ms,
                      struct rem_arena *arena, struct rem_upstream_status *out)
{
    struct rem_writer_walk walk;
    struct rem_server_status *servers, *at;

    rem_writer_walk_start(&walk, writer, index, now_ms);
    servers = rem_arena_alloc(arena, (walk.status.server_count + walk.status.zombies + 1) *
                                         sizeof(*servers));
    if (servers == NULL)
        return REM_ENOMEM;
    for (at = servers; rem_writer_walk_next(&walk, at); at++)
        if (keep_codes(arena, at) != REM_OK)
            return REM_ENOMEM;
    if (read_zombies(writer, index, arena, at) != REM_OK)
        return REM_ENOMEM;
    walk.status.servers = servers;
    *out = walk.status;
    return REM_OK;
}
