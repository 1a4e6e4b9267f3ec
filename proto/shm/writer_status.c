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

/* Errors: REM_ENOMEM. */
static int add_codes(const struct rem_writer *writer, struct rem_shm_server_slot *slot,
                     struct rem_arena *arena, struct rem_server_status *out)
{
    struct rem_codes sum;
    void *items;

    sum.count = 0;
    rem_codes_sum(rem_slot_codes(slot, writer->region.lines), writer->region.lines, &sum);
    rem_codes_finish(&sum, out->totals.responses[1]);
    if (sum.count == 0)
        return REM_OK;
    items = rem_arena_alloc(arena, sum.count * sizeof(sum.items[0]));
    if (items == NULL)
        return REM_ENOMEM;
    out->codes = memcpy(items, sum.items, sum.count * sizeof(sum.items[0]));
    out->code_count = sum.count;
    return REM_OK;
}

static int server_status(const struct rem_writer *writer, const struct rem_shm_set *set,
                         const struct rem_shm_server *server, uint64_t now_ms,
                         struct rem_arena *arena, struct rem_server_status *out)
{
    struct rem_shm_server_slot *slot = rem_object_server_slot(&writer->region, server->slot);

    *out = (struct rem_server_status){
        .state = state_of(set, server, slot, now_ms),
        .active = rem_writer_slot_active(writer, slot),
        .down_from_ms = LOAD(slot->down_from_ms),
        .downtime_ms = LOAD(slot->downtime_ms),
    };
    rem_writer_server_spec(set, server, &out->spec);
    health_status(set, slot, now_ms, out);
    rem_writer_slot_totals(writer, slot, &out->totals);
    add_server_lines(writer, slot, out);
    if (out->down_from_ms != 0 && now_ms > out->down_from_ms)
        out->downtime_ms += now_ms - out->down_from_ms;
    return add_codes(writer, slot, arena, out);
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

static size_t count_zombies(const struct rem_writer *writer, size_t index)
{
    size_t n = 0;

    for (uint32_t i = 0; i < writer->dir->zombie_count; i++)
        n += rem_dir_zombies(writer->dir)[i].upstream == index;
    return n;
}

static int zombie_status(const struct rem_writer *writer, const struct rem_shm_zombie *zombie,
                         struct rem_arena *arena, struct rem_server_status *out)
{
    struct rem_shm_server_slot *slot = rem_object_server_slot(&writer->region, zombie->slot);

    *out = (struct rem_server_status){
        .state = REM_STR("removed"),
        .spec.server = {slot->name, slot->name_len},
        .active = rem_writer_slot_active(writer, slot),
        .checks = LOAD(slot->checks),
        .check_fails = LOAD(slot->check_fails),
        .ejections = LOAD(slot->ejections),
    };
    rem_writer_slot_totals(writer, slot, &out->totals);
    return add_codes(writer, slot, arena, out);
}

static int add_zombies(const struct rem_writer *writer, size_t index, struct rem_arena *arena,
                       struct rem_upstream_status *out)
{
    for (uint32_t i = 0; i < writer->dir->zombie_count; i++) {
        const struct rem_shm_zombie *zombie = &rem_dir_zombies(writer->dir)[i];
        struct rem_server_status *status = &out->servers[out->server_count + out->zombies];

        if (zombie->upstream != index)
            continue;
        if (zombie_status(writer, zombie, arena, status) != REM_OK)
            return REM_ENOMEM;
        out->zombies++;
        rem_writer_totals_add(&out->totals, &status->totals);
    }
    return REM_OK;
}

int rem_writer_status(const struct rem_writer *writer, size_t index, uint64_t now_ms,
                      struct rem_arena *arena, struct rem_upstream_status *out)
{
    struct rem_upstream_status status = {0};
    const struct rem_shm_set *set;

    REM_CHECK(index < rem_writer_count(writer));
    set = rem_writer_copy_set(arena, rem_dir_set(&writer->region, writer->dir, (uint32_t)index));
    if (set == NULL)
        return REM_ENOMEM;
    rem_writer_upstream_head(set, &status.spec);
    status.servers = rem_arena_alloc(arena, (set->count + count_zombies(writer, index) + 1) *
                                                sizeof(*status.servers));
    if (status.servers == NULL)
        return REM_ENOMEM;
    status.server_count = set->count;
    status.totals = rem_dir_entries(writer->dir)[index].folded;
    for (uint32_t i = 0; i < set->count; i++) {
        if (server_status(writer, set, rem_set_server(set, i), now_ms, arena, &status.servers[i]) !=
            REM_OK)
            return REM_ENOMEM;
        rem_writer_totals_add(&status.totals, &status.servers[i].totals);
    }
    add_lines(writer, set, &status);
    if (add_zombies(writer, index, arena, &status) != REM_OK)
        return REM_ENOMEM;
    *out = status;
    return REM_OK;
}
