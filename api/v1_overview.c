/* SPDX-License-Identifier: Apache-2.0 */
/* All that somebody who watches an instance looks at first, in one answer: GET /v1/overview.  Its
 * size does not depend on how many servers the upstreams have. */
#include "api/server_sums.h"
#include "api/v1.h"
#include "proto/shm/region.h"
#include "proto/shm/space.h"

static void put_responses(struct rem_sbuf *out, const uint64_t responses[REM_SHM_CLASSES])
{
    rem_sbuf_add(out, REM_JSON_KEY("responses"));
    rem_json_put_classes(out, responses);
    rem_sbuf_addc(out, '}');
}

/* Each bucket for itself; the last one has no bound. */
static void put_histogram(struct rem_sbuf *out, const struct rem_histogram *histogram)
{
    rem_sbuf_add(out, REM_STR(",\"duration\":{\"bounds_ms\":["));
    for (size_t i = 0; i + 1 < REM_SHM_BUCKETS; i++)
        rem_json_put_count(out, i != 0 ? REM_STR(",") : REM_STR(""), rem_histogram_bounds[i]);
    rem_sbuf_add(out, REM_STR("],\"buckets\":["));
    for (size_t i = 0; i < REM_SHM_BUCKETS; i++)
        rem_json_put_count(out, i != 0 ? REM_STR(",") : REM_STR(""), histogram->buckets[i]);
    rem_json_put_count(out, REM_STR("],\"count\":"), histogram->count);
    rem_json_put_count(out, REM_JSON_KEY("sum_ms"), histogram->sum_ms);
    rem_sbuf_addc(out, '}');
}

/* ---- upstreams: as text, as all that there may be thousands of ---- */

/* How many servers are in each state that any is in. */
static void put_states(struct rem_sbuf *out, const struct rem_server_sums *sums)
{
    rem_sbuf_add(out, REM_STR(",\"states\":{"));
    for (size_t i = 0; i < REM_SERVER_STATES; i++) {
        if (sums->states[i] == 0)
            continue;
        rem_json_put_comma(out);
        rem_json_put(out, rem_str_from(rem_server_states[i]));
        rem_json_put_count(out, REM_STR(":"), sums->states[i]);
    }
    rem_sbuf_addc(out, '}');
}

static void put_upstream(struct rem_sbuf *out, const struct rem_api *api, size_t index)
{
    struct rem_writer_walk walk;
    const struct rem_upstream_status *status = &walk.status;
    struct rem_server_sums sums = {.active = 0};
    struct rem_server_status server;
    uint64_t overflows;

    rem_writer_walk_start(&walk, api->writer, index, api->clock->mono_ms);
    while (rem_writer_walk_next(&walk, &server))
        rem_server_sums_add(&sums, &server);
    overflows = status->budget_exhausted;
    for (size_t i = 0; i < REM_OVERFLOWS; i++)
        overflows += status->overflows[i];
    rem_json_put_text(out, REM_STR("{\"name\":"), status->spec.name);
    rem_json_put_flag(out, REM_JSON_KEY("static"), status->spec.flags & REM_UPSTREAM_STATIC);
    rem_json_put_count(out, REM_JSON_KEY("servers"), status->server_count);
    put_states(out, &sums);
    rem_json_put_gauge(out, REM_JSON_KEY("active"), sums.active);
    rem_json_put_count(out, REM_JSON_KEY("requests"), status->totals.requests);
    put_responses(out, status->totals.responses);
    rem_json_put_gauge(out, REM_JSON_KEY("idle"), status->idle);
    rem_json_put_gauge(out, REM_JSON_KEY("pending"), status->pending);
    rem_json_put_count(out, REM_JSON_KEY("zombies"), status->zombies);
    rem_json_put_count(out, REM_JSON_KEY("retries"), status->retries);
    rem_json_put_count(out, REM_JSON_KEY("overflows"), overflows);
    rem_json_put_count(out, REM_JSON_KEY("no_live"), status->no_live);
    put_histogram(out, &status->request_ms);
    rem_sbuf_addc(out, '}');
}

static void put_upstreams(struct rem_sbuf *out, const struct rem_api *api)
{
    size_t count = rem_writer_count(api->writer);

    for (size_t i = 0; i < count; i++) {
        struct rem_space_upstream known;

        rem_space_upstream(api->writer, i, &known);
        if (!rem_call_flags_are_shown(known.flags))
            continue;
        rem_json_put_comma(out);
        put_upstream(out, api, i);
    }
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

static void put_zone(struct rem_sbuf *out, const struct rem_stat *stat,
                     const struct rem_stat_http *sum)
{
    bool named = stat->kind != REM_STAT_UNNAMED;

    rem_json_put_text(out, REM_STR("{\"kind\":"), rem_str_from(zone_kind(stat->kind)));
    rem_json_put_text(out, REM_JSON_KEY("name"),
                      named ? rem_stat_name(stat) : REM_STR("(servers without a zone)"));
    rem_json_put_gauge(out, REM_JSON_KEY("processing"), sum->processing);
    rem_json_put_count(out, REM_JSON_KEY("requests"), sum->requests);
    put_responses(out, sum->responses);
    rem_json_put_count(out, REM_JSON_KEY("discarded"), sum->discarded);
    rem_json_put_count(out, REM_JSON_KEY("received"), sum->received);
    rem_json_put_count(out, REM_JSON_KEY("sent"), sum->sent);
    put_histogram(out, &sum->duration);
    rem_sbuf_addc(out, '}');
}

/* Those of the present configuration; of the servers without one, if they were asked anything. */
static void put_zones(struct rem_sbuf *out, const struct rem_api *api)
{
    struct rem_stat *stat = NULL;

    while ((stat = rem_stat_next(api->region->header, stat)) != NULL) {
        /* relaxed: noted before the agent of that configuration was forked */
        uint64_t generation = atomic_load_explicit(&stat->generation, memory_order_relaxed);
        struct rem_stat_http sum;

        if (zone_kind(stat->kind) == NULL || generation < api->info.config_generation)
            continue;
        rem_stat_http_sum(stat, &sum);
        if (stat->kind == REM_STAT_UNNAMED && sum.requests == 0)
            continue;
        rem_json_put_comma(out);
        put_zone(out, stat, &sum);
    }
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
        "{s:s,s:I,s:I,s:I,s:b,s:o,s:s,s:b,s:I,s:I,s:{s:I,s:I,s:I,s:I},s:{s:I,s:I},s:{s:I,s:I,s:I,s:"
        "I,s:I},s:I,s:I,s:o,s:o}",
        "version", info->version, "revision", rem_json_count(rem_writer_revision(api->writer)),
        "generation", rem_json_count(info->config_generation), "uptime", rem_json_gauge(up),
        "draining", (int)info->draining, "who", rem_json_text(call->request->who), "role",
        rem_role_name(call->request->role), "read_only", (int)rem_call_is_read_only(call),
        "worker_respawns", rem_json_count(t.worker_respawns), "agent_respawns",
        rem_json_count(t.agent_respawns), "connections", "accepted",
        rem_json_count(t.conn_accepted), "rejected", rem_json_count(t.conn_rejected), "active",
        rem_json_gauge(t.conn_active), "idle", rem_json_gauge(t.conn_waiting), "requests", "total",
        rem_json_count(t.requests), "current", rem_json_gauge(t.requests_current), "responses",
        "1xx", rem_json_count(t.responses[0]), "2xx", rem_json_count(t.responses[1]), "3xx",
        rem_json_count(t.responses[2]), "4xx", rem_json_count(t.responses[3]), "5xx",
        rem_json_count(t.responses[4]), "received", rem_json_count(t.received), "sent",
        rem_json_count(t.sent), "workers", workers_json(api), "memory", memory_json(api));
}

int rem_v1_overview(struct rem_api_call *call)
{
    struct rem_sbuf *out = &call->response->body;

    rem_call_answer(call, 200, instance_json(call));
    if (out->failed)
        return 0;
    out->n--; /* the brace at its end */
    rem_sbuf_add(out, REM_STR(",\"upstreams\":["));
    put_upstreams(out, call->api);
    rem_sbuf_add(out, REM_STR("],\"zones\":["));
    put_zones(out, call->api);
    rem_sbuf_add(out, REM_STR("]}"));
    return 0;
}
