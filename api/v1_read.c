/* SPDX-License-Identifier: Apache-2.0 */
/* remora's own API: what there is. */
#include "api/server_json.h"
#include "api/upstream_json.h"
#include "api/v1.h"

#include <unistd.h>

/* The answer names the revision it is of, so that a client can write with If-Match. */
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

/* Adds the members of `more` (taken); frees `object` on failure.  Returns it, or NULL. */
static json_t *with(json_t *object, json_t *more)
{
    int rc = object == NULL || more == NULL ? -1 : json_object_update(object, more);

    json_decref(more);
    if (rc == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* An average of times in sixteenths of a millisecond; null: not measured. */
static json_t *time_json(uint64_t sixteenths)
{
    return sixteenths != 0 ? json_integer(rem_json_count((sixteenths + 8) / 16)) : json_null();
}

static json_t *checks_json(const struct rem_server_status *server)
{
    static const char *const verdicts[] = {"none", "passed", "failed"};
    const char *last =
        server->last_passed < REM_COUNT(verdicts) ? verdicts[server->last_passed] : verdicts[0];

    return json_pack("{s:I,s:I,s:I,s:s}", "checks", (json_int_t)server->checks, "fails",
                     (json_int_t)server->check_fails, "unhealthy", (json_int_t)server->unhealthy,
                     "last", last);
}

/* A server with its state and counters. */
static json_t *server_json(const struct rem_server_status *server)
{
    const struct rem_shm_totals *totals = &server->totals;
    json_t *object = rem_server_json_make(&server->spec);

    object = with(
        object,
        json_pack(
            "{s:o,s:I,s:I,s:{s:I,s:I,s:I,s:I,s:I},s:I,s:I}", "state", rem_json_text(server->state),
            "active", (json_int_t)(server->active > 0 ? server->active : 0), "requests",
            rem_json_count(totals->requests), "responses", "1xx",
            rem_json_count(totals->responses[0]), "2xx", rem_json_count(totals->responses[1]),
            "3xx", rem_json_count(totals->responses[2]), "4xx",
            rem_json_count(totals->responses[3]), "5xx", rem_json_count(totals->responses[4]),
            "fails", rem_json_count(totals->fails), "unavail", rem_json_count(totals->unavail)));
    return with(object,
                json_pack("{s:o,s:o,s:I,s:o,s:b,s:I}", "header_time", time_json(server->header_avg),
                          "response_time", time_json(server->response_avg), "response_ms",
                          rem_json_count(totals->response_ms), "health_checks", checks_json(server),
                          "ejected", (int)server->ejected, "ejections",
                          (json_int_t)server->ejections));
}

static json_int_t gauge(int64_t n)
{
    return n > 0 ? (json_int_t)n : 0;
}

static json_t *counters_json(const struct rem_upstream_status *status)
{
    const uint64_t *overflows = status->overflows, *by = status->retries_by;

    return json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:I,s:{s:I,s:I,s:I,s:I},s:{s:I,s:I,s:I,s:I,s:I},s:I,s:I,s:I}",
        "active", gauge(status->requests), "pending", gauge(status->pending), "connections",
        gauge(status->connections), "ejected", gauge(status->ejected), "opened",
        rem_json_count(status->opened), "reused", rem_json_count(status->reused), "retries",
        "error", rem_json_count(by[REM_RETRY_ERROR]), "timeout",
        rem_json_count(by[REM_RETRY_TIMEOUT]), "invalid", rem_json_count(by[REM_RETRY_INVALID]),
        "status", rem_json_count(by[REM_RETRY_STATUS]), "overflows", "connections",
        rem_json_count(overflows[REM_OVERFLOW_CONNECTIONS]), "pending",
        rem_json_count(overflows[REM_OVERFLOW_PENDING]), "requests",
        rem_json_count(overflows[REM_OVERFLOW_REQUESTS]), "retries",
        rem_json_count(overflows[REM_OVERFLOW_RETRIES]), "queue",
        rem_json_count(overflows[REM_OVERFLOW_QUEUE]), "budget_exhausted",
        rem_json_count(status->budget_exhausted), "timed_requests",
        rem_json_count(status->request_ms.count), "request_time_sum",
        rem_json_count(status->request_ms.sum_ms));
}

/* An upstream with servers, states and counters.  NULL without memory. */
static json_t *upstream_json(struct rem_api_call *call, size_t index)
{
    const struct rem_api *api = call->api;
    struct rem_upstream_status status;
    const struct rem_upstream_spec *spec = &status.spec;
    json_t *servers = json_array(), *object;

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
    object = json_pack("{s:o,s:o,s:b,s:b}", "name", rem_json_text(spec->name), "zone",
                       spec->zone.n != 0 ? rem_json_text(spec->zone) : json_null(), "static",
                       (spec->flags & REM_UPSTREAM_STATIC) != 0, "runtime",
                       (spec->flags & REM_UPSTREAM_RUNTIME) != 0);
    object = with(object, rem_upstream_json_make(spec));
    return with(object,
                json_pack("{s:o,s:I,s:I,s:I,s:I,s:o}", "servers", servers, "idle",
                          gauge(status.idle), "zombies", rem_json_count(status.zombies), "requests",
                          rem_json_count(status.totals.requests), "no_live",
                          rem_json_count(status.no_live), "counters", counters_json(&status)));
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
    answer(call, json_array());
    call->response->body.n--;
    rem_server_json_put_list(&call->response->body, spec.servers, spec.server_count, 0);
    rem_sbuf_addc(&call->response->body, ']');
    return 0;
}

/* The server that the path names by its id or by its address, as it is published. */
int rem_v1_server(struct rem_api_call *call)
{
    struct rem_upstream_status status;
    struct rem_upstream_spec spec;
    size_t index;
    uint64_t id;
    bool by_id = rem_str_to_u64(call->params[1], REM_ID_NONE - 1, &id) == 0;
    int rc = rem_call_find(call, call->params[0], &index, &spec);

    if (rc != 0)
        return rc;
    rc = rem_writer_status(call->api->writer, index, call->api->clock->mono_ms, &call->arena,
                           &status);
    if (rc != REM_OK)
        return rem_call_fault(call, rc, NULL);
    for (size_t i = 0; i < status.server_count; i++) {
        const struct rem_server_status *server = &status.servers[i];
        if (by_id ? server->spec.id == id : rem_str_eq(server->spec.server, call->params[1]))
            return answer(call, server_json(server));
    }
    return rem_fault_set(&call->fault, REM_FAULT_SERVER_NOT_FOUND,
                         "server not found in upstream \"%.*s\"", REM_STR_ARG(spec.name));
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
    return rem_call_answer(call, 200, body);
}
