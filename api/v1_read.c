/* SPDX-License-Identifier: Apache-2.0 */
/* remora's own API: what there is. */
#include "api/call.h"
#include "api/server_json.h"

#include <unistd.h>

/* Every answer names the revision it is of, so that a client can write with If-Match. */
static int answer(struct rem_api_call *call, json_t *body)
{
    call->response->etag = rem_writer_revision(call->api->writer);
    call->response->has_etag = true;
    return rem_call_answer(call, 200, body);
}

static json_t *revision_json(const struct rem_api_call *call)
{
    return json_integer(rem_json_count(rem_writer_revision(call->api->writer)));
}

/* A server with its state and counters. */
static json_t *server_json(const struct rem_server_status *server)
{
    json_t *object = rem_server_json_make(&server->spec);
    json_t *more = json_pack(
        "{s:o,s:I,s:I,s:{s:I,s:I,s:I,s:I,s:I},s:I,s:I}", "state", rem_json_text(server->state),
        "active", (json_int_t)(server->active > 0 ? server->active : 0), "requests",
        rem_json_count(server->totals.requests), "responses", "1xx",
        rem_json_count(server->totals.responses[0]), "2xx",
        rem_json_count(server->totals.responses[1]), "3xx",
        rem_json_count(server->totals.responses[2]), "4xx",
        rem_json_count(server->totals.responses[3]), "5xx",
        rem_json_count(server->totals.responses[4]), "fails", rem_json_count(server->totals.fails),
        "unavail", rem_json_count(server->totals.unavail));
    int rc = object == NULL || more == NULL ? -1 : json_object_update(object, more);

    json_decref(more);
    if (rc != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* An upstream with servers, states and counters.  NULL without memory. */
static json_t *upstream_json(struct rem_api_call *call, size_t index)
{
    const struct rem_api *api = call->api;
    struct rem_upstream_status status;
    json_t *servers = json_array();

    if (servers == NULL ||
        rem_writer_status(api->writer, index, api->clock->mono_ms, &call->arena, &status) != 0) {
        json_decref(servers);
        return NULL;
    }
    for (size_t i = 0; i < status.server_count; i++) {
        if (json_array_append_new(servers, server_json(&status.servers[i])) != 0) {
            json_decref(servers);
            return NULL;
        }
    }
    return json_pack(
        "{s:o,s:o,s:b,s:o,s:I,s:I,s:I,s:I}", "name", rem_json_text(status.spec.name), "zone",
        status.spec.zone.n != 0 ? rem_json_text(status.spec.zone) : json_null(), "static",
        (status.spec.flags & REM_UPSTREAM_STATIC) != 0, "servers", servers, "idle",
        (json_int_t)(status.idle > 0 ? status.idle : 0), "zombies", rem_json_count(status.zombies),
        "requests", rem_json_count(status.totals.requests), "no_live",
        rem_json_count(status.no_live));
}

int rem_v1_upstreams(struct rem_api_call *call)
{
    size_t count = rem_writer_count(call->api->writer);
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < count; i++) {
        struct rem_upstream_spec spec;
        int rc = rem_writer_spec(call->api->writer, i, &call->arena, &spec);
        if (rc == 0 && !rem_call_is_shown(&spec))
            continue;
        if (rc != 0 || json_array_append_new(list, upstream_json(call, i)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return answer(call, json_pack("{s:o,s:o}", "revision", revision_json(call), "upstreams", list));
}

int rem_v1_upstream(struct rem_api_call *call)
{
    struct rem_upstream_spec spec;
    json_t *body, *rest;
    size_t index;
    int rc = rem_call_find(call, call->params[0], &index, &spec);

    if (rc != 0)
        return rc;
    body = json_pack("{s:o}", "revision", revision_json(call));
    rest = upstream_json(call, index);
    if (body != NULL && (rest == NULL || json_object_update(body, rest) != 0)) {
        json_decref(body);
        body = NULL;
    }
    json_decref(rest);
    return answer(call, body);
}

int rem_v1_servers(struct rem_api_call *call)
{
    struct rem_upstream_spec spec;
    size_t index;
    int rc = rem_call_find(call, call->params[0], &index, &spec);

    if (rc != 0)
        return rc;
    return answer(call, rem_server_json_list(spec.servers, spec.server_count));
}

static json_t *workers_json(const struct rem_api *api)
{
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t n = rem_region_workers(api->region, workers);
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < n; i++) {
        json_t *one = json_pack(
            "{s:I,s:I,s:I,s:I,s:b}", "slot", (json_int_t)workers[i].slot, "pid",
            (json_int_t)workers[i].pid, "generation", rem_json_count(workers[i].config_generation),
            "revision", rem_json_count(workers[i].revision), "idle", (int)(workers[i].seen == 0));
        if (json_array_append_new(list, one) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

int rem_v1_revision(struct rem_api_call *call)
{
    const struct rem_api *api = call->api;

    return answer(call, json_pack("{s:o,s:I,s:I,s:o}", "revision", revision_json(call), "epoch",
                                  rem_json_count(rem_writer_epoch(api->writer)), "agent_pid",
                                  (json_int_t)getpid(), "workers", workers_json(api)));
}

static json_t *memory_json(const struct rem_api *api)
{
    struct rem_writer_stats stats;

    if (rem_writer_stats(api->writer, &stats) != 0)
        return NULL;
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "size", rem_json_count(stats.size), "used",
                     rem_json_count(stats.used), "reachable", rem_json_count(stats.reachable),
                     "pending", rem_json_count(stats.pending), "free", rem_json_count(stats.free),
                     "high_water", rem_json_count(stats.high_water), "zombies",
                     rem_json_count(stats.zombies));
}

int rem_v1_status(struct rem_api_call *call)
{
    const struct rem_api *api = call->api;
    const struct rem_api_info *info = &api->info;
    struct rem_region_totals t;
    int64_t up = api->clock->wall_sec - info->started_sec;
    json_t *body;

    rem_region_totals(api->region, &t);
    body = json_pack(
        "{s:s,s:s,s:o,s:I,s:I,s:b,s:b,s:i,s:I,s:I,s:{s:I,s:I,s:I,s:I},s:{s:I,s:I},s:o,s:o}",
        "version", info->version, "build", info->build, "revision", revision_json(call),
        "generation", rem_json_count(info->config_generation), "uptime",
        (json_int_t)(up > 0 ? up : 0), "draining", (int)info->draining, "write", (int)api->write,
        "master", (int)info->master_pid, "worker_respawns", rem_json_count(t.worker_respawns),
        "agent_respawns", rem_json_count(t.agent_respawns), "connections", "accepted",
        rem_json_count(t.conn_accepted), "rejected", rem_json_count(t.conn_rejected), "active",
        (json_int_t)(t.conn_active > 0 ? t.conn_active : 0), "idle",
        (json_int_t)(t.conn_waiting > 0 ? t.conn_waiting : 0), "requests", "total",
        rem_json_count(t.requests), "current",
        (json_int_t)(t.requests_current > 0 ? t.requests_current : 0), "memory", memory_json(api),
        "workers", workers_json(api));
    return answer(call, body);
}
