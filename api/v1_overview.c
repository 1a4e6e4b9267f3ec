/* SPDX-License-Identifier: Apache-2.0 */
/* All that somebody who watches an instance looks at first, in one answer: GET /v1/overview.  Its
 * size does not depend on how many servers the upstreams have. */
#include "api/v1.h"
#include "proto/shm/region.h"

static json_t *responses_json(const uint64_t responses[REM_SHM_CLASSES])
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I}", "1xx", rem_json_count(responses[0]), "2xx",
                     rem_json_count(responses[1]), "3xx", rem_json_count(responses[2]), "4xx",
                     rem_json_count(responses[3]), "5xx", rem_json_count(responses[4]));
}

static int64_t gauge(int64_t value)
{
    return value > 0 ? value : 0;
}

/* Each bucket for itself; the last one has no bound. */
static json_t *histogram_json(const struct rem_histogram *histogram)
{
    json_t *bounds = json_array(), *buckets = json_array();

    for (size_t i = 0; i < REM_SHM_BUCKETS; i++) {
        if (i + 1 < REM_SHM_BUCKETS)
            (void)json_array_append_new(bounds, json_integer(rem_histogram_bounds[i]));
        (void)json_array_append_new(buckets, json_integer(rem_json_count(histogram->buckets[i])));
    }
    return json_pack("{s:o,s:o,s:I,s:I}", "bounds_ms", bounds, "buckets", buckets, "count",
                     rem_json_count(histogram->count), "sum_ms", rem_json_count(histogram->sum_ms));
}

/* ---- upstreams ---- */

/* How many servers are in each state that any is in. */
static json_t *states_json(const struct rem_upstream_status *status)
{
    json_t *states = json_object();

    for (size_t i = 0; states != NULL && i < status->server_count; i++) {
        struct rem_str state = status->servers[i].state;
        json_t *count = json_object_getn(states, state.p, state.n);
        if (count != NULL)
            (void)json_integer_set(count, json_integer_value(count) + 1);
        else
            (void)json_object_setn_new(states, state.p, state.n, json_integer(1));
    }
    return states;
}

static json_t *upstream_json(const struct rem_upstream_status *status)
{
    uint64_t overflows = status->budget_exhausted;
    int64_t active = 0;

    for (size_t i = 0; i < REM_OVERFLOWS; i++)
        overflows += status->overflows[i];
    for (size_t i = 0; i < status->server_count; i++)
        active += gauge(status->servers[i].active);
    return json_pack("{s:o,s:b,s:I,s:o,s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "name",
                     rem_json_text(status->spec.name), "static",
                     (int)((status->spec.flags & REM_UPSTREAM_STATIC) != 0), "servers",
                     rem_json_count(status->server_count), "states", states_json(status), "active",
                     (json_int_t)active, "requests", rem_json_count(status->totals.requests),
                     "responses", responses_json(status->totals.responses), "idle",
                     (json_int_t)gauge(status->idle), "pending", (json_int_t)gauge(status->pending),
                     "zombies", rem_json_count(status->zombies), "retries",
                     rem_json_count(status->retries), "overflows", rem_json_count(overflows),
                     "no_live", rem_json_count(status->no_live), "duration",
                     histogram_json(&status->request_ms));
}

static json_t *upstreams_json(struct rem_api_call *call)
{
    const struct rem_api *api = call->api;
    json_t *list = json_array();

    for (size_t i = 0; i < rem_writer_count(api->writer); i++) {
        struct rem_upstream_status status;
        if (rem_writer_status(api->writer, i, api->clock->mono_ms, &call->arena, &status) != 0) {
            json_decref(list);
            return NULL;
        }
        if (rem_call_is_shown(&status.spec))
            (void)json_array_append_new(list, upstream_json(&status));
    }
    return list;
}

/* ---- zones ---- */

static const char *zone_kind(uint32_t kind)
{
    switch (kind) {
    case REM_STAT_SERVER:
        return "server";
    case REM_STAT_LOCATION:
        return "location";
    case REM_STAT_UNNAMED:
        return "unnamed";
    default:
        return NULL;
    }
}

static json_t *zone_json(struct rem_stat *stat)
{
    struct rem_stat_http sum;
    bool named = stat->kind != REM_STAT_UNNAMED;

    rem_stat_http_sum(stat, &sum);
    return json_pack(
        "{s:s,s:o,s:I,s:I,s:o,s:I,s:I,s:I,s:o}", "kind", zone_kind(stat->kind), "name",
        named ? rem_json_text(rem_stat_name(stat)) : json_string("(servers without a zone)"),
        "processing", (json_int_t)gauge(sum.processing), "requests", rem_json_count(sum.requests),
        "responses", responses_json(sum.responses), "discarded", rem_json_count(sum.discarded),
        "received", rem_json_count(sum.received), "sent", rem_json_count(sum.sent), "duration",
        histogram_json(&sum.duration));
}

/* Those of the present configuration; of the servers without one, if they were asked anything. */
static json_t *zones_json(const struct rem_api *api)
{
    json_t *list = json_array();
    struct rem_stat *stat = NULL;

    while ((stat = rem_stat_next(api->region->header, stat)) != NULL) {
        /* relaxed: noted before the agent of that configuration was forked */
        uint64_t generation = atomic_load_explicit(&stat->generation, memory_order_relaxed);
        json_t *zone;
        if (zone_kind(stat->kind) == NULL || generation < api->info.config_generation)
            continue;
        zone = zone_json(stat);
        if (stat->kind == REM_STAT_UNNAMED &&
            json_integer_value(json_object_get(zone, "requests")) == 0)
            json_decref(zone);
        else
            (void)json_array_append_new(list, zone);
    }
    return list;
}

/* ---- the instance ---- */

static json_t *workers_json(const struct rem_api *api)
{
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t count = rem_region_workers(api->region, workers);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_pack("{s:I,s:I,s:I,s:I}", "slot",
                                                    (json_int_t)workers[i].slot, "pid",
                                                    (json_int_t)workers[i].pid, "revision",
                                                    rem_json_count(workers[i].revision), "requests",
                                                    rem_json_count(workers[i].requests)));
    return list;
}

static json_t *memory_json(const struct rem_api *api)
{
    struct rem_writer_stats stats;

    if (rem_writer_stats(api->writer, &stats) != 0)
        return NULL;
    return json_pack("{s:I,s:I,s:I}", "size", rem_json_count(stats.size), "used",
                     rem_json_count(stats.used), "high_water", rem_json_count(stats.high_water));
}

static json_t *instance_json(struct rem_api_call *call)
{
    const struct rem_api *api = call->api;
    const struct rem_api_info *info = &api->info;
    int64_t up = api->clock->wall_sec - info->started_sec;
    struct rem_region_totals t;

    rem_region_totals(api->region, &t);
    return json_pack(
        "{s:s,s:I,s:I,s:I,s:b,s:o,s:s,s:b,s:I,s:I,s:{s:I,s:I,s:I,s:I},s:{s:I,s:I},s:o,s:I,s:I}",
        "version", info->version, "revision", rem_json_count(rem_writer_revision(api->writer)),
        "generation", rem_json_count(info->config_generation), "uptime", (json_int_t)gauge(up),
        "draining", (int)info->draining, "who", rem_json_text(call->request->who), "role",
        rem_role_name(call->request->role), "read_only", (int)rem_call_is_read_only(call),
        "worker_respawns", rem_json_count(t.worker_respawns), "agent_respawns",
        rem_json_count(t.agent_respawns), "connections", "accepted",
        rem_json_count(t.conn_accepted), "rejected", rem_json_count(t.conn_rejected), "active",
        (json_int_t)gauge(t.conn_active), "idle", (json_int_t)gauge(t.conn_waiting), "requests",
        "total", rem_json_count(t.requests), "current", (json_int_t)gauge(t.requests_current),
        "responses", responses_json(t.responses), "received", rem_json_count(t.received), "sent",
        rem_json_count(t.sent));
}

int rem_v1_overview(struct rem_api_call *call)
{
    json_t *body = instance_json(call);
    json_t *more = json_pack("{s:o,s:o,s:o,s:o}", "workers", workers_json(call->api), "memory",
                             memory_json(call->api), "upstreams", upstreams_json(call), "zones",
                             zones_json(call->api));

    if (body == NULL || more == NULL || json_object_update(body, more) != 0) {
        json_decref(body);
        body = NULL;
    }
    json_decref(more);
    return rem_call_answer(call, 200, body);
}
