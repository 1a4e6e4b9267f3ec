/* SPDX-License-Identifier: Apache-2.0 */
/* remora's own API: what there is. */
#include "api/server_json.h"
#include "api/upstream_json.h"
#include "api/v1.h"
#include "proto/shm/space.h"

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

/* ---- upstreams, as text: they are large, and asked for often ---- */

/* Begins such an answer.  Returns: where to write it. */
static struct rem_sbuf *answer_text(struct rem_api_call *call)
{
    struct rem_api_response *response = call->response;

    response->status = 200;
    response->content_type = REM_API_JSON;
    response->etag = rem_writer_revision(call->api->writer);
    response->has_etag = true;
    rem_sbuf_clear(&response->body);
    return &response->body;
}

/* An average of times in sixteenths of a millisecond; null: not measured. */
static void put_time(struct rem_sbuf *out, struct rem_str key, uint64_t sixteenths)
{
    if (sixteenths != 0) {
        rem_json_put_count(out, key, (sixteenths + 8) / 16);
        return;
    }
    rem_sbuf_add(out, key);
    rem_sbuf_add(out, REM_STR("null"));
}

static void put_checks(struct rem_sbuf *out, const struct rem_server_status *server)
{
    static const char *const verdicts[] = {"none", "passed", "failed"};
    const char *last =
        server->last_passed < REM_COUNT(verdicts) ? verdicts[server->last_passed] : verdicts[0];

    rem_json_put_checks(out, server->checks, server->check_fails, server->unhealthy);
    rem_json_put_text(out, REM_JSON_KEY("last"), rem_str_from(last));
    rem_sbuf_addc(out, '}');
}

/* A server with its state and counters. */
static void put_server(struct rem_sbuf *out, const struct rem_server_status *server)
{
    const struct rem_shm_totals *totals = &server->totals;

    rem_server_json_put_open(out, &server->spec, 0);
    rem_json_put_text(out, REM_JSON_KEY("state"), server->state);
    rem_json_put_gauge(out, REM_JSON_KEY("active"), server->active);
    rem_json_put_count(out, REM_JSON_KEY("requests"), totals->requests);
    rem_sbuf_add(out, REM_JSON_KEY("responses"));
    rem_json_put_classes(out, totals->responses);
    rem_sbuf_addc(out, '}');
    rem_json_put_count(out, REM_JSON_KEY("fails"), totals->fails);
    rem_json_put_count(out, REM_JSON_KEY("unavail"), totals->unavail);
    put_time(out, REM_JSON_KEY("header_time"), server->header_avg);
    put_time(out, REM_JSON_KEY("response_time"), server->response_avg);
    rem_json_put_count(out, REM_JSON_KEY("response_ms"), totals->response_ms);
    put_checks(out, server);
    rem_json_put_flag(out, REM_JSON_KEY("ejected"), server->ejected);
    rem_json_put_count(out, REM_JSON_KEY("ejections"), server->ejections);
    rem_sbuf_addc(out, '}');
}

static void put_counters(struct rem_sbuf *out, const struct rem_upstream_status *status)
{
    const uint64_t *overflows = status->overflows, *by = status->retries_by;

    rem_json_put_gauge(out, REM_STR(",\"counters\":{\"active\":"), status->requests);
    rem_json_put_gauge(out, REM_JSON_KEY("pending"), status->pending);
    rem_json_put_gauge(out, REM_JSON_KEY("connections"), status->connections);
    rem_json_put_gauge(out, REM_JSON_KEY("ejected"), status->ejected);
    rem_json_put_count(out, REM_JSON_KEY("opened"), status->opened);
    rem_json_put_count(out, REM_JSON_KEY("reused"), status->reused);
    rem_json_put_count(out, REM_STR(",\"retries\":{\"error\":"), by[REM_RETRY_ERROR]);
    rem_json_put_count(out, REM_JSON_KEY("timeout"), by[REM_RETRY_TIMEOUT]);
    rem_json_put_count(out, REM_JSON_KEY("invalid"), by[REM_RETRY_INVALID]);
    rem_json_put_count(out, REM_JSON_KEY("status"), by[REM_RETRY_STATUS]);
    rem_json_put_count(out, REM_STR("},\"overflows\":{\"connections\":"),
                       overflows[REM_OVERFLOW_CONNECTIONS]);
    rem_json_put_count(out, REM_JSON_KEY("pending"), overflows[REM_OVERFLOW_PENDING]);
    rem_json_put_count(out, REM_JSON_KEY("requests"), overflows[REM_OVERFLOW_REQUESTS]);
    rem_json_put_count(out, REM_JSON_KEY("retries"), overflows[REM_OVERFLOW_RETRIES]);
    rem_json_put_count(out, REM_JSON_KEY("queue"), overflows[REM_OVERFLOW_QUEUE]);
    rem_json_put_count(out, REM_STR("},\"budget_exhausted\":"), status->budget_exhausted);
    rem_json_put_count(out, REM_JSON_KEY("timed_requests"), status->request_ms.count);
    rem_json_put_count(out, REM_JSON_KEY("request_time_sum"), status->request_ms.sum_ms);
    rem_sbuf_addc(out, '}');
}

/* The members of an upstream, servers, states and counters among them; the first has no comma. */
static void put_upstream(struct rem_sbuf *out, const struct rem_api *api, size_t index)
{
    struct rem_writer_walk walk;
    const struct rem_upstream_status *status = &walk.status;
    const struct rem_upstream_spec *spec = &status->spec;
    struct rem_server_status server;

    rem_writer_walk_start(&walk, api->writer, index, api->clock->mono_ms);
    rem_json_put_text(out, REM_STR("\"name\":"), spec->name);
    if (spec->zone.n != 0)
        rem_json_put_text(out, REM_JSON_KEY("zone"), spec->zone);
    else
        rem_sbuf_add(out, REM_STR(",\"zone\":null"));
    rem_json_put_flag(out, REM_JSON_KEY("static"), spec->flags & REM_UPSTREAM_STATIC);
    rem_json_put_flag(out, REM_JSON_KEY("runtime"), spec->flags & REM_UPSTREAM_RUNTIME);
    rem_upstream_json_put(out, spec, NULL);
    rem_sbuf_add(out, REM_STR(",\"servers\":["));
    while (rem_writer_walk_next(&walk, &server)) {
        rem_json_put_comma(out);
        put_server(out, &server);
    }
    rem_json_put_gauge(out, REM_STR("],\"idle\":"), status->idle);
    rem_json_put_count(out, REM_JSON_KEY("zombies"), status->zombies);
    rem_json_put_count(out, REM_JSON_KEY("requests"), status->totals.requests);
    rem_json_put_count(out, REM_JSON_KEY("no_live"), status->no_live);
    put_counters(out, status);
}

int rem_v1_upstreams(struct rem_api_call *call)
{
    size_t count = rem_writer_count(call->api->writer);
    struct rem_sbuf *out = answer_text(call);

    rem_json_put_count(out, REM_STR("{\"revision\":"), call->response->etag);
    rem_sbuf_add(out, REM_STR(",\"upstreams\":["));
    for (size_t i = 0; i < count; i++) {
        struct rem_space_upstream known;

        rem_space_upstream(call->api->writer, i, &known);
        if (!rem_call_flags_are_shown(known.flags))
            continue;
        rem_json_put_comma(out);
        rem_sbuf_addc(out, '{');
        put_upstream(out, call->api, i);
        rem_sbuf_addc(out, '}');
    }
    rem_sbuf_add(out, REM_STR("]}"));
    return 0;
}

int rem_v1_upstream(struct rem_api_call *call)
{
    struct rem_sbuf *out;
    size_t index;
    uint32_t flags;
    int rc = rem_call_find(call, call->params[0], &index, &flags);

    if (rc != 0)
        return rc;
    out = answer_text(call);
    rem_json_put_count(out, REM_STR("{\"revision\":"), call->response->etag);
    rem_sbuf_addc(out, ',');
    put_upstream(out, call->api, index);
    rem_sbuf_addc(out, '}');
    return 0;
}

int rem_v1_servers(struct rem_api_call *call)
{
    struct rem_upstream_spec spec;
    struct rem_sbuf *out;
    size_t index;
    uint32_t flags;
    int rc = rem_call_find(call, call->params[0], &index, &flags);

    if (rc == 0)
        rc = rem_call_read(call, index, &spec);
    if (rc != 0)
        return rc;
    out = answer_text(call);
    rem_sbuf_addc(out, '[');
    rem_server_json_put_list(out, spec.servers, spec.server_count, 0);
    rem_sbuf_addc(out, ']');
    return 0;
}

/* The server that the path names by its id or by its address, as it is published. */
int rem_v1_server(struct rem_api_call *call)
{
    struct rem_writer_walk walk;
    struct rem_server_status server;
    size_t index;
    uint64_t id;
    bool by_id = rem_str_to_u64(call->params[1], REM_ID_NONE - 1, &id) == 0;
    uint32_t flags;
    int rc = rem_call_find(call, call->params[0], &index, &flags);

    if (rc != 0)
        return rc;
    rem_writer_walk_start(&walk, call->api->writer, index, call->api->clock->mono_ms);
    while (rem_writer_walk_next(&walk, &server)) {
        if (by_id ? server.spec.id == id : rem_str_eq(server.spec.server, call->params[1])) {
            put_server(answer_text(call), &server);
            return 0;
        }
    }
    return rem_fault_set(&call->fault, REM_FAULT_SERVER_NOT_FOUND,
                         "server not found in upstream \"%.*s\"",
                         REM_STR_ARG(walk.status.spec.name));
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
