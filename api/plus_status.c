/* SPDX-License-Identifier: Apache-2.0 */
/* Status objects of the NGINX Plus API: versions, lists of endpoints, nginx, processes,
 * connections, workers, requests. */
#include "api/call.h"
#include "api/reset.h"
#include "proto/wire/uri.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Clients look for "-r" and a number; from 33 on they would ask for a license. */
#define BUILD_NAME "remora-r1"

/* Keeps only the members that `?fields=` names. */
static void keep_fields(json_t *object, struct rem_str names)
{
    void *at = json_object_iter(object);

    while (at != NULL) {
        struct rem_str key = rem_str_from(json_object_iter_key(at));
        struct rem_str rest = names, name;
        bool keep = false;
        at = json_object_iter_next(object, at);
        while (rem_field_list_next(&rest, &name))
            keep = keep || rem_str_eq(name, key);
        if (!keep)
            (void)json_object_del(object, key.p);
    }
}

static bool has_fields(struct rem_api_call *call, struct rem_str *names)
{
    struct rem_str raw;

    return rem_uri_arg(call->request->args, REM_STR("fields"), &raw) &&
           rem_uri_unescape(raw, &call->arena, names) == 0;
}

int rem_plus_answer_object(struct rem_api_call *call, json_t *object)
{
    struct rem_str names;

    if (object != NULL && has_fields(call, &names))
        keep_fields(object, names);
    return rem_call_answer(call, 200, object);
}

int rem_plus_answer_map(struct rem_api_call *call, json_t *map)
{
    struct rem_str names;
    const char *key;
    json_t *value, *list;

    if (map == NULL || !has_fields(call, &names))
        return rem_call_answer(call, 200, map);
    if (names.n != 0) {
        json_object_foreach(map, key, value) keep_fields(value, names);
        return rem_call_answer(call, 200, map);
    }
    list = json_array();
    json_object_foreach(map, key, value)
    {
        if (list != NULL && json_array_append_new(list, json_string(key)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    json_decref(map);
    return rem_call_answer(call, 200, list);
}

void rem_plus_time(int64_t sec, unsigned ms, char out[REM_PLUS_TIME])
{
    time_t when = (time_t)sec;
    struct tm tm = {0};
    size_t n;

    (void)gmtime_r(&when, &tm);
    n = strftime(out, REM_PLUS_TIME, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out + n, REM_PLUS_TIME - n, ".%03uZ", ms % 1000);
}

int rem_plus_versions(struct rem_api_call *call)
{
    return rem_call_answer(call, 200, json_pack("[i,i,i,i,i,i,i,i,i]", 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

int rem_plus_root(struct rem_api_call *call)
{
    return rem_call_answer(call, 200,
                           json_pack("[s,s,s,s,s,s,s,s]", "nginx", "processes", "connections",
                                     "slabs", "http", "resolvers", "ssl", "workers"));
}

int rem_plus_http(struct rem_api_call *call)
{
    return rem_call_answer(call, 200,
                           json_pack("[s,s,s,s,s,s,s]", "requests", "server_zones",
                                     "location_zones", "caches", "limit_conns", "limit_reqs",
                                     "upstreams"));
}

/* Maps of what this configuration language has no zones of: always empty, never absent, as
 * clients give up on a 404. */
int rem_plus_none(struct rem_api_call *call)
{
    return rem_plus_answer_map(call, json_object());
}

int rem_plus_nginx(struct rem_api_call *call)
{
    const struct rem_api *api = call->api;
    char loaded[REM_PLUS_TIME], now[REM_PLUS_TIME];
    struct rem_str local = call->request->local;

    rem_plus_time(api->info.loaded_sec, 0, loaded);
    rem_plus_time(api->clock->wall_sec, api->clock->wall_msec, now);
    return rem_plus_answer_object(
        call,
        json_pack(
            "{s:s,s:s,s:o,s:I,s:s,s:s,s:i,s:i}", "version", api->info.version, "build", BUILD_NAME,
            "address", rem_json_text(local.n != 0 ? local : REM_STR("unix:")), "generation",
            rem_json_count(api->info.config_generation != 0 ? api->info.config_generation : 1),
            "load_timestamp", loaded, "timestamp", now, "pid", (int)getpid(), "ppid",
            (int)api->info.master_pid));
}

static void totals_of(struct rem_api_call *call, struct rem_region_totals *out)
{
    rem_region_totals(call->api->region, out);
    rem_reset_apply_totals(call->api, out);
}

/* Gauges are sums over workers that change meanwhile; a moment's -1 is no number for clients. */
static json_int_t gauge(int64_t n)
{
    return n > 0 ? n : 0;
}

int rem_plus_processes(struct rem_api_call *call)
{
    struct rem_region_totals totals;

    totals_of(call, &totals);
    return rem_plus_answer_object(
        call, json_pack("{s:I}", "respawned",
                        rem_json_count(totals.worker_respawns + totals.agent_respawns)));
}

static json_t *connections_json(uint64_t accepted, uint64_t dropped, int64_t active, int64_t idle)
{
    return json_pack("{s:I,s:I,s:I,s:I}", "accepted", rem_json_count(accepted), "dropped",
                     rem_json_count(dropped), "active", gauge(active - idle), "idle", gauge(idle));
}

int rem_plus_connections(struct rem_api_call *call)
{
    struct rem_region_totals totals;

    totals_of(call, &totals);
    return rem_plus_answer_object(call, connections_json(totals.conn_accepted, totals.conn_rejected,
                                                         totals.conn_active, totals.conn_waiting));
}

static json_t *requests_json(uint64_t total, int64_t current)
{
    return json_pack("{s:I,s:I}", "total", rem_json_count(total), "current", gauge(current));
}

int rem_plus_requests(struct rem_api_call *call)
{
    struct rem_region_totals totals;

    totals_of(call, &totals);
    return rem_plus_answer_object(call, requests_json(totals.requests, totals.requests_current));
}

/* relaxed: counters stand alone */
static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static int64_t load_gauge(const _Atomic int64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

int rem_plus_workers(struct rem_api_call *call)
{
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t n = rem_region_workers(call->api->region, workers);
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        const struct rem_shm_worker *worker = rem_region_worker(call->api->region, workers[i].slot);
        json_t *one = json_pack(
            "{s:I,s:I,s:o,s:{s:o}}", "id", (json_int_t)workers[i].slot, "pid",
            (json_int_t)workers[i].pid, "connections",
            connections_json(load(&worker->conn_accepted), load(&worker->conn_rejected),
                             load_gauge(&worker->conn_active), load_gauge(&worker->conn_waiting)),
            "http", "requests",
            requests_json(load(&worker->requests), load_gauge(&worker->requests_current)));
        if (json_array_append_new(list, one) != 0) {
            json_decref(list);
            list = NULL;
            break;
        }
    }
    return rem_call_answer(call, 200, list);
}

/* No listener speaks TLS, so nothing was counted. */
int rem_plus_ssl(struct rem_api_call *call)
{
    return rem_plus_answer_object(
        call, json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:{s:i,s:i,s:i,s:i,s:i}}", "handshakes", 0,
                        "handshakes_failed", 0, "session_reuses", 0, "no_common_protocol", 0,
                        "no_common_cipher", 0, "handshake_timeout", 0, "peer_rejected_cert", 0,
                        "verify_failures", "no_cert", 0, "expired_cert", 0, "revoked_cert", 0,
                        "hostname_mismatch", 0, "other", 0));
}
