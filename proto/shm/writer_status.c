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

size_t rem_writer_count(const struct rem_writer *writer)
{
    return writer->dir != NULL ? writer->dir->count : 0;
}

int rem_writer_find(const struct rem_writer *writer, struct rem_str name, size_t *out_index)
{
    const struct rem_shm_dir *dir = writer->dir;
    uint64_t hash = rem_hash(name.p, name.n);
    const uint32_t *table;

    if (dir == NULL)
        return REM_ENOTFOUND;
    table = (const void *)((const char *)dir + dir->table_off);
    for (uint32_t at = (uint32_t)hash & dir->mask; table[at] != REM_SHM_NONE;
         at = (at + 1) & dir->mask) {
        const struct rem_shm_set *set = rem_dir_set(&writer->region, dir, table[at]);
        if (rem_dir_entries(dir)[table[at]].name_hash != hash ||
            !rem_str_eq(rem_set_text(set, set->name), name))
            continue;
        *out_index = table[at];
        return REM_OK;
    }
    return REM_ENOTFOUND;
}

/* ---- descriptions ---- */

/* The whole set is copied into the arena once, and all texts point into the copy. */
static const struct rem_shm_set *copy_set(struct rem_arena *arena, const struct rem_shm_set *set)
{
    void *copy = rem_arena_alloc(arena, set->size + REM_SHM_UNIT);

    if (copy == NULL)
        return NULL;
    copy = (void *)(((uintptr_t)copy + REM_SHM_UNIT - 1) / REM_SHM_UNIT * REM_SHM_UNIT);
    return memcpy(copy, set, set->size);
}

static void server_spec(const struct rem_shm_set *set, const struct rem_shm_server *server,
                        struct rem_server_spec *out)
{
    *out = (struct rem_server_spec){
        .server = rem_set_text(set, server->server),
        .name = rem_set_text(set, server->name),
        .route = rem_set_text(set, server->route),
        .fail_timeout_text = rem_set_text(set, server->fail_timeout_text),
        .slow_start_text = rem_set_text(set, server->slow_start_text),
        .id = server->id,
        .weight = server->weight,
        .max_conns = server->max_conns,
        .max_fails = server->max_fails,
        .fail_timeout_ms = server->fail_timeout_ms,
        .slow_start_ms = server->slow_start_ms,
        .flags = server->flags,
        .parent = server->parent,
    };
    rem_set_addr(set, server, &out->addr);
}

static void upstream_spec(const struct rem_shm_set *set, struct rem_upstream_spec *out)
{
    *out = (struct rem_upstream_spec){
        .name = rem_set_text(set, set->name),
        .zone = rem_set_text(set, set->zone),
        .zone_size = set->zone_size,
        .config_hash = set->config_hash,
        .flags = set->flags,
        .method = set->method,
        .method_flags = set->method_flags,
        .sticky = set->sticky,
        .limits = set->limits,
        .outlier = set->outlier,
        .keepalive = {.connections = set->keepalive_connections,
                      .requests = set->keepalive_requests,
                      .timeout_ms = set->keepalive_timeout_ms,
                      .time_ms = set->keepalive_time_ms},
    };
}

int rem_writer_spec(const struct rem_writer *writer, size_t index, struct rem_arena *arena,
                    struct rem_upstream_spec *out)
{
    const struct rem_shm_set *set;
    struct rem_upstream_spec spec;

    REM_CHECK(index < rem_writer_count(writer));
    set = copy_set(arena, rem_dir_set(&writer->region, writer->dir, (uint32_t)index));
    if (set == NULL)
        return REM_ENOMEM;
    upstream_spec(set, &spec);
    spec.servers = rem_arena_alloc(arena, (set->count + 1) * sizeof(*spec.servers));
    if (spec.servers == NULL)
        return REM_ENOMEM;
    spec.server_count = set->count;
    for (uint32_t i = 0; i < set->count; i++)
        server_spec(set, rem_set_server(set, i), &spec.servers[i]);
    *out = spec;
    return REM_OK;
}

/* ---- states ---- */

static struct rem_str state_of(const struct rem_shm_set *set, const struct rem_shm_server *server,
                               struct rem_shm_server_slot *slot, uint64_t now_ms)
{
    uint32_t health = LOAD(slot->health);
    uint64_t retry_ms;

    if (server->flags & REM_SERVER_DOWN)
        return REM_STR("down");
    if (server->flags & REM_SERVER_DRAIN)
        return REM_STR("draining");
    if (health == REM_HEALTH_CHECKING)
        return REM_STR("checking");
    if (health == REM_HEALTH_DOWN)
        return REM_STR("unhealthy");
    return rem_server_available(set, server, slot, now_ms, &retry_ms) ? REM_STR("up")
                                                                      : REM_STR("unavail");
}

static void server_status(const struct rem_writer *writer, const struct rem_shm_set *set,
                          const struct rem_shm_server *server, uint64_t now_ms,
                          struct rem_server_status *out)
{
    struct rem_shm_server_slot *slot = rem_object_server_slot(&writer->region, server->slot);

    *out = (struct rem_server_status){
        .state = state_of(set, server, slot, now_ms),
        .active = rem_writer_slot_active(writer, slot),
        .down_from_ms = LOAD(slot->down_from_ms),
        .downtime_ms = LOAD(slot->downtime_ms),
    };
    server_spec(set, server, &out->spec);
    rem_writer_slot_totals(writer, slot, &out->totals);
    for (uint32_t i = 0; i < writer->region.lines; i++) {
        uint64_t selected = LOAD(rem_slot_lines(slot)[i].selected_ms);
        if (selected > out->selected_ms)
            out->selected_ms = selected;
    }
    if (out->down_from_ms != 0 && now_ms > out->down_from_ms)
        out->downtime_ms += now_ms - out->down_from_ms;
}

static void add_lines(const struct rem_writer *writer, const struct rem_shm_set *set,
                      struct rem_upstream_status *out)
{
    struct rem_shm_upstream_slot *slot = rem_region_at(&writer->region, set->upstream_slot);

    for (uint32_t i = 0; i < writer->region.lines; i++) {
        struct rem_shm_upstream_line *line = &rem_upstream_lines(slot)[i];
        out->idle += LOAD(line->idle);
        out->no_live += LOAD(line->no_live);
        out->retries += LOAD(line->retries);
        out->opened += LOAD(line->opened);
        out->reused += LOAD(line->reused);
    }
}

static void add_zombies(const struct rem_writer *writer, size_t index,
                        struct rem_upstream_status *out)
{
    for (uint32_t i = 0; i < writer->dir->zombie_count; i++) {
        const struct rem_shm_zombie *zombie = &rem_dir_zombies(writer->dir)[i];
        if (zombie->upstream != index)
            continue;
        out->zombies++;
        rem_writer_slot_totals(writer, rem_object_server_slot(&writer->region, zombie->slot),
                               &out->totals);
    }
}

int rem_writer_status(const struct rem_writer *writer, size_t index, uint64_t now_ms,
                      struct rem_arena *arena, struct rem_upstream_status *out)
{
    struct rem_upstream_status status = {0};
    const struct rem_shm_set *set;

    REM_CHECK(index < rem_writer_count(writer));
    set = copy_set(arena, rem_dir_set(&writer->region, writer->dir, (uint32_t)index));
    if (set == NULL)
        return REM_ENOMEM;
    upstream_spec(set, &status.spec);
    status.servers = rem_arena_alloc(arena, (set->count + 1) * sizeof(*status.servers));
    if (status.servers == NULL)
        return REM_ENOMEM;
    status.server_count = set->count;
    status.totals = rem_dir_entries(writer->dir)[index].folded;
    for (uint32_t i = 0; i < set->count; i++) {
        server_status(writer, set, rem_set_server(set, i), now_ms, &status.servers[i]);
        rem_writer_totals_add(&status.totals, &status.servers[i].totals);
    }
    add_lines(writer, set, &status);
    add_zombies(writer, index, &status);
    *out = status;
    return REM_OK;
}
