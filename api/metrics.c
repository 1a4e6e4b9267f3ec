/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: everything that is counted, as Prometheus text.  Labels come from the configuration
 * and the API only, never from requests. */
#include "api/call.h"
#include "api/metrics_text.h"
#include "api/process_stat.h"
#include "proto/wire/uri.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const class_names[REM_SHM_CLASSES] = {"1xx", "2xx", "3xx", "4xx", "5xx"};

/* The states of struct rem_server_status, in the order shown. */
static const char *const state_names[] = {"up",      "draining", "down",
                                          "unavail", "checking", "unhealthy"};

/* What is shown of upstreams: all of them are read once, as families go one after the other. */
struct scrape {
    struct rem_metrics metrics;
    struct rem_upstream_status *upstreams;
    size_t count;
};

static void single_count(struct rem_metrics *m, const char *name, const char *help, uint64_t value)
{
    rem_metric_family(m, name, "counter", help);
    rem_metric_count(m, NULL, 0, value);
}

static void single_gauge(struct rem_metrics *m, const char *name, const char *help, int64_t value)
{
    rem_metric_family(m, name, "gauge", help);
    rem_metric_gauge(m, NULL, 0, value);
}

/* A sample with one label. */
static void labelled(struct rem_metrics *m, const char *name, const char *value, int64_t n)
{
    struct rem_metric_label label = {name, rem_str_from(value)};

    rem_metric_gauge(m, &label, 1, n);
}

/* ---- process and configuration ---- */

static void put_process(struct rem_metrics *m, const struct rem_api *api)
{
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t n = rem_region_workers(api->region, workers);
    struct rem_process_stat sum = {0};
    struct rlimit limit = {0};

    rem_process_stat_add(api->info.master_pid, &sum);
    if (getpid() != api->info.master_pid)
        rem_process_stat_add(getpid(), &sum);
    for (size_t i = 0; i < n; i++)
        rem_process_stat_add(workers[i].pid, &sum);
    rem_metric_family(m, "process_cpu_seconds_total", "counter",
                      "CPU time of the processes that run now.");
    rem_metric_seconds(m, sum.cpu_seconds);
    single_gauge(m, "process_resident_memory_bytes",
                 "Resident memory of all processes, shared pages counted in each.",
                 (int64_t)sum.resident_bytes);
    single_gauge(m, "process_open_fds", "Open descriptors of the processes that may be looked at.",
                 (int64_t)sum.fds);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        single_gauge(m, "process_max_fds", "Descriptors one process may open.",
                     limit.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_cur);
    single_gauge(m, "process_start_time_seconds", "When the master was started.",
                 api->info.started_sec);
}

static void put_config(struct rem_metrics *m, const struct rem_api *api,
                       const struct rem_region_totals *t)
{
    const struct rem_metric_label build[] = {{"version", rem_str_from(api->info.version)},
                                             {"build", rem_str_from(api->info.build)}};

    rem_metric_family(m, "remora_build_info", "gauge", "Always 1; the labels say what runs.");
    rem_metric_gauge(m, build, REM_COUNT(build), 1);
    single_gauge(m, "remora_workers", "Worker processes that are alive, old ones included.",
                 t->workers_live);
    single_count(m, "remora_worker_respawns_total", "Workers started in place of ones that died.",
                 t->worker_respawns);
    single_count(m, "remora_agent_respawns_total", "Agents started in place of ones that died.",
                 t->agent_respawns);
    single_gauge(m, "remora_draining", "Whether the instance is shutting down.",
                 api->info.draining);
    single_gauge(m, "remora_config_generation", "Configurations loaded so far.",
                 (int64_t)api->info.config_generation);
    single_gauge(m, "remora_config_last_reload_success", "Whether the last reload was accepted.",
                 api->info.last_reload_ok);
    single_gauge(m, "remora_config_last_reload_timestamp_seconds", "When that was.",
                 api->info.last_reload_sec);
    rem_metric_family(m, "remora_config_reloads_total", "counter", "Reloads by result.");
    labelled(m, "result", "success", (int64_t)t->reloads);
    labelled(m, "result", "failure", (int64_t)t->reloads_failed);
}

static void put_registry(struct rem_metrics *m, const struct rem_api *api)
{
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t n = rem_region_workers(api->region, workers);
    struct rem_writer_stats stats;

    single_gauge(m, "remora_upstream_revision", "Changes of the upstream sets so far.",
                 (int64_t)rem_writer_revision(api->writer));
    rem_metric_family(m, "remora_worker_revision", "gauge", "The revision each worker picks by.");
    for (size_t i = 0; i < n; i++) {
        char slot[16];
        (void)snprintf(slot, sizeof(slot), "%u", workers[i].slot);
        labelled(m, "worker", slot, (int64_t)workers[i].revision);
    }
    if (rem_writer_stats(api->writer, &stats) != 0)
        return;
    rem_metric_family(m, "remora_shm_bytes", "gauge", "Shared memory by use.");
    struct {
        const char *state;
        uint64_t bytes;
    } rows[] = {{"reserved", stats.size},
                {"used", stats.used},
                {"pending", stats.pending},
                {"free", stats.free},
                {"touched", stats.high_water}};
    for (size_t i = 0; i < REM_COUNT(rows); i++) {
        const struct rem_metric_label labels[] = {{"zone", REM_STR("upstreams")},
                                                  {"state", rem_str_from(rows[i].state)}};
        rem_metric_gauge(m, labels, REM_COUNT(labels), (int64_t)rows[i].bytes);
    }
}

/* ---- clients ---- */

static void put_clients(struct rem_metrics *m, const struct rem_region_totals *t)
{
    rem_metric_family(m, "remora_http_requests_total", "counter",
                      "Requests answered, by class of status.");
    for (size_t i = 0; i < REM_SHM_CLASSES; i++)
        labelled(m, "code", class_names[i], (int64_t)t->responses[i]);
    single_gauge(m, "remora_http_requests_in_flight", "Requests being answered.",
                 t->requests_current);
    single_count(m, "remora_http_received_bytes_total", "Bytes received from clients.",
                 t->received);
    single_count(m, "remora_http_sent_bytes_total", "Bytes sent to clients.", t->sent);
    rem_metric_family(m, "remora_connections", "gauge", "Client connections by state.");
    labelled(m, "state", "active", t->conn_active - t->conn_waiting);
    labelled(m, "state", "idle", t->conn_waiting);
    single_count(m, "remora_connections_accepted_total", "Client connections accepted.",
                 t->conn_accepted);
    single_count(m, "remora_connections_rejected_total",
                 "Client connections closed for want of room.", t->conn_rejected);
}

/* ---- upstreams ---- */

static void put_upstream_requests(struct scrape *scrape)
{
    rem_metric_family(&scrape->metrics, "remora_upstream_requests_total", "counter",
                      "Responses of an upstream's servers, by class of status.");
    for (size_t i = 0; i < scrape->count; i++) {
        for (size_t k = 0; k < REM_SHM_CLASSES; k++) {
            const struct rem_metric_label labels[] = {{"upstream", scrape->upstreams[i].spec.name},
                                                      {"code", rem_str_from(class_names[k])}};
            rem_metric_count(&scrape->metrics, labels, REM_COUNT(labels),
                             scrape->upstreams[i].totals.responses[k]);
        }
    }
}

static void put_upstream_servers(struct scrape *scrape)
{
    rem_metric_family(&scrape->metrics, "remora_upstream_servers", "gauge",
                      "Servers of an upstream by state.");
    for (size_t i = 0; i < scrape->count; i++) {
        const struct rem_upstream_status *upstream = &scrape->upstreams[i];
        for (size_t k = 0; k < REM_COUNT(state_names); k++) {
            const struct rem_metric_label labels[] = {{"upstream", upstream->spec.name},
                                                      {"state", rem_str_from(state_names[k])}};
            int64_t n = 0;
            for (size_t s = 0; s < upstream->server_count; s++)
                n += rem_str_is(upstream->servers[s].state, state_names[k]);
            rem_metric_gauge(&scrape->metrics, labels, REM_COUNT(labels), n);
        }
    }
}

/* Families with one number per upstream. */
enum upstream_number {
    NUMBER_NO_LIVE = 0,
    NUMBER_RETRIES,
    NUMBER_OPENED,
    NUMBER_REUSED,
    NUMBER_FAILS,
    NUMBER_SENT,
    NUMBER_RECEIVED,
    NUMBER_IDLE,
    NUMBER_ZOMBIES,
    NUMBERS
};

static uint64_t upstream_number(const struct rem_upstream_status *upstream,
                                enum upstream_number which)
{
    switch (which) {
    case NUMBER_NO_LIVE:
        return upstream->no_live;
    case NUMBER_RETRIES:
        return upstream->retries;
    case NUMBER_OPENED:
        return upstream->opened;
    case NUMBER_REUSED:
        return upstream->reused;
    case NUMBER_FAILS:
        return upstream->totals.fails;
    case NUMBER_SENT:
        return upstream->totals.sent;
    case NUMBER_RECEIVED:
        return upstream->totals.received;
    case NUMBER_IDLE:
        return upstream->idle > 0 ? (uint64_t)upstream->idle : 0;
    case NUMBER_ZOMBIES:
        return upstream->zombies;
    case NUMBERS:
        break;
    }
    return 0;
}

static void put_upstream_numbers(struct scrape *scrape)
{
    static const struct {
        const char *name;
        const char *type;
        const char *help;
    } families[NUMBERS] = {
        [NUMBER_NO_LIVE] = {"remora_upstream_no_live_servers_total", "counter",
                            "Requests that found no live server."},
        [NUMBER_RETRIES] = {"remora_upstream_retries_total", "counter",
                            "Requests sent on to a further server."},
        [NUMBER_OPENED] = {"remora_upstream_connections_opened_total", "counter",
                           "Connections opened to servers."},
        [NUMBER_REUSED] = {"remora_upstream_connections_reused_total", "counter",
                           "Requests sent over a kept connection."},
        [NUMBER_FAILS] = {"remora_upstream_failures_total", "counter",
                          "Failed exchanges with servers."},
        [NUMBER_SENT] = {"remora_upstream_sent_bytes_total", "counter", "Bytes sent to servers."},
        [NUMBER_RECEIVED] = {"remora_upstream_received_bytes_total", "counter",
                             "Bytes received from servers."},
        [NUMBER_IDLE] = {"remora_upstream_connections_idle", "gauge",
                         "Connections kept for later requests."},
        [NUMBER_ZOMBIES] = {"remora_upstream_zombies", "gauge",
                            "Removed servers that requests still hold."},
    };

    for (int k = 0; k < NUMBERS; k++) {
        rem_metric_family(&scrape->metrics, families[k].name, families[k].type, families[k].help);
        for (size_t i = 0; i < scrape->count; i++) {
            const struct rem_metric_label label = {"upstream", scrape->upstreams[i].spec.name};
            rem_metric_count(&scrape->metrics, &label, 1,
                             upstream_number(&scrape->upstreams[i], (enum upstream_number)k));
        }
    }
}

/* ---- servers, with ?detail=server ---- */

/* Families with one number per server; responses come apart, by class. */
static void put_server_family(struct scrape *scrape, const char *name, const char *type,
                              const char *help,
                              int64_t (*number)(const struct rem_server_status *server))
{
    rem_metric_family(&scrape->metrics, name, type, help);
    for (size_t i = 0; i < scrape->count; i++) {
        const struct rem_upstream_status *upstream = &scrape->upstreams[i];
        for (size_t s = 0; s < upstream->server_count; s++) {
            const struct rem_metric_label labels[] = {{"upstream", upstream->spec.name},
                                                      {"server", upstream->servers[s].spec.server}};
            rem_metric_gauge(&scrape->metrics, labels, REM_COUNT(labels),
                             number(&upstream->servers[s]));
        }
    }
}

static int64_t server_up(const struct rem_server_status *server)
{
    return rem_str_is(server->state, "up");
}

static int64_t server_weight(const struct rem_server_status *server)
{
    return server->spec.weight;
}

static int64_t server_active(const struct rem_server_status *server)
{
    return server->active > 0 ? server->active : 0;
}

static int64_t server_fails(const struct rem_server_status *server)
{
    return (int64_t)server->totals.fails;
}

static int64_t server_sent(const struct rem_server_status *server)
{
    return (int64_t)server->totals.sent;
}

static int64_t server_received(const struct rem_server_status *server)
{
    return (int64_t)server->totals.received;
}

static void put_servers(struct scrape *scrape)
{
    rem_metric_family(&scrape->metrics, "remora_upstream_server_requests_total", "counter",
                      "Responses of a server, by class of status.");
    for (size_t i = 0; i < scrape->count; i++) {
        const struct rem_upstream_status *upstream = &scrape->upstreams[i];
        for (size_t s = 0; s < upstream->server_count; s++) {
            for (size_t k = 0; k < REM_SHM_CLASSES; k++) {
                const struct rem_metric_label labels[] = {
                    {"upstream", upstream->spec.name},
                    {"server", upstream->servers[s].spec.server},
                    {"code", rem_str_from(class_names[k])}};
                rem_metric_count(&scrape->metrics, labels, REM_COUNT(labels),
                                 upstream->servers[s].totals.responses[k]);
            }
        }
    }
    put_server_family(scrape, "remora_upstream_server_failures_total", "counter",
                      "Failed exchanges with a server.", server_fails);
    put_server_family(scrape, "remora_upstream_server_sent_bytes_total", "counter",
                      "Bytes sent to a server.", server_sent);
    put_server_family(scrape, "remora_upstream_server_received_bytes_total", "counter",
                      "Bytes received from a server.", server_received);
    put_server_family(scrape, "remora_upstream_server_up", "gauge",
                      "Whether a server takes requests.", server_up);
    put_server_family(scrape, "remora_upstream_server_weight", "gauge", "A server's weight.",
                      server_weight);
    put_server_family(scrape, "remora_upstream_server_active_requests", "gauge",
                      "Requests a server is answering.", server_active);
}

/* Reads all upstreams that are shown.  Errors: REM_EINVAL with the fault. */
static int read_upstreams(struct rem_api_call *call, struct scrape *scrape)
{
    const struct rem_api *api = call->api;
    size_t count = rem_writer_count(api->writer);

    scrape->upstreams = rem_arena_zalloc(&call->arena, (count + 1) * sizeof(*scrape->upstreams));
    if (scrape->upstreams == NULL)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    for (size_t i = 0; i < count; i++) {
        struct rem_upstream_status *status = &scrape->upstreams[scrape->count];
        int rc = rem_writer_status(api->writer, i, api->clock->mono_ms, &call->arena, status);
        if (rc != 0)
            return rem_call_fault(call, rc, NULL);
        scrape->count += rem_call_is_shown(&status->spec);
    }
    return 0;
}

int rem_metrics_get(struct rem_api_call *call)
{
    const struct rem_api *api = call->api;
    struct scrape scrape = {.metrics.out = &call->response->body};
    struct rem_region_totals totals;
    struct rem_str detail;
    int rc = read_upstreams(call, &scrape);

    if (rc != 0)
        return rc;
    rem_region_totals(api->region, &totals);
    put_config(&scrape.metrics, api, &totals);
    put_registry(&scrape.metrics, api);
    put_clients(&scrape.metrics, &totals);
    put_upstream_requests(&scrape);
    put_upstream_servers(&scrape);
    put_upstream_numbers(&scrape);
    if (rem_uri_arg(call->request->args, REM_STR("detail"), &detail) &&
        rem_str_is(detail, "server"))
        put_servers(&scrape);
    put_process(&scrape.metrics, api);
    call->response->status = 200;
    call->response->content_type = REM_API_METRICS;
    return 0;
}
