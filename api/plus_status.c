/* SPDX-License-Identifier: Apache-2.0 */
/* Status objects of the NGINX Plus API: versions, lists of endpoints, nginx, processes,
 * connections, requests, and what is always empty. */
#include "api/plus.h"

#include <unistd.h>

/* Clients look for "-r" and a number; from 33 on they would ask for a license. */
#define BUILD_NAME "remora-r1"

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
                           json_pack("[s,s,s,s,s,s,s,s]", "requests", "server_zones",
                                     "location_zones", "caches", "limit_conns", "limit_reqs",
                                     "keyvals", "upstreams"));
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

/* A license without an end that nobody reports on. */
int rem_plus_license(struct rem_api_call *call)
{
    return rem_plus_answer_object(call, json_pack("{s:b}", "eval", 0));
}

/* ---- counters of processes, connections, requests ---- */

enum { ACCEPTED = 0, DROPPED, CONNECTION_COUNTERS };

int rem_plus_processes(struct rem_api_call *call)
{
    struct rem_region_totals totals;
    uint64_t respawned;

    rem_region_totals(call->api->region, &totals);
    respawned = totals.worker_respawns + totals.agent_respawns;
    rem_reset_apply(&respawned,
                    rem_reset_find(call, "processes", REM_STR(""), sizeof(respawned), NULL), 1);
    return rem_plus_answer_object(call, json_pack("{s:I}", "respawned", rem_json_count(respawned)));
}

int rem_plus_processes_reset(struct rem_api_call *call)
{
    struct rem_region_totals totals;
    uint64_t respawned;

    rem_region_totals(call->api->region, &totals);
    respawned = totals.worker_respawns + totals.agent_respawns;
    if (rem_reset_keep(call, "processes", REM_STR(""), &respawned, sizeof(respawned)) != 0)
        return REM_EINVAL;
    return rem_reset_answer(call);
}

int rem_plus_connections(struct rem_api_call *call)
{
    struct rem_region_totals totals;
    uint64_t counters[CONNECTION_COUNTERS];

    rem_region_totals(call->api->region, &totals);
    counters[ACCEPTED] = totals.conn_accepted;
    counters[DROPPED] = totals.conn_rejected;
    rem_reset_apply(counters,
                    rem_reset_find(call, "connections", REM_STR(""), sizeof(counters), NULL),
                    CONNECTION_COUNTERS);
    return rem_plus_answer_object(
        call, json_pack("{s:I,s:I,s:I,s:I}", "accepted", rem_json_count(counters[ACCEPTED]),
                        "dropped", rem_json_count(counters[DROPPED]), "active",
                        rem_json_gauge(totals.conn_active - totals.conn_waiting), "idle",
                        rem_json_gauge(totals.conn_waiting)));
}

int rem_plus_connections_reset(struct rem_api_call *call)
{
    struct rem_region_totals totals;
    uint64_t counters[CONNECTION_COUNTERS];

    rem_region_totals(call->api->region, &totals);
    counters[ACCEPTED] = totals.conn_accepted;
    counters[DROPPED] = totals.conn_rejected;
    if (rem_reset_keep(call, "connections", REM_STR(""), counters, sizeof(counters)) != 0)
        return REM_EINVAL;
    return rem_reset_answer(call);
}

int rem_plus_requests(struct rem_api_call *call)
{
    struct rem_region_totals totals;

    rem_region_totals(call->api->region, &totals);
    rem_reset_apply(
        &totals.requests,
        rem_reset_find(call, "http/requests", REM_STR(""), sizeof(totals.requests), NULL), 1);
    return rem_plus_answer_object(call,
                                  json_pack("{s:I,s:I}", "total", rem_json_count(totals.requests),
                                            "current", rem_json_gauge(totals.requests_current)));
}

int rem_plus_requests_reset(struct rem_api_call *call)
{
    struct rem_region_totals totals;

    rem_region_totals(call->api->region, &totals);
    if (rem_reset_keep(call, "http/requests", REM_STR(""), &totals.requests,
                       sizeof(totals.requests)) != 0)
        return REM_EINVAL;
    return rem_reset_answer(call);
}

/* ---- TLS ---- */

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

int rem_plus_ssl_reset(struct rem_api_call *call)
{
    return rem_reset_answer(call);
}
