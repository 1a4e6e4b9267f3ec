/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_upstream.c - upstreams; their servers one by one are in metrics_server.c. */
#include "api/metrics_upstream.h"

#include "proto/shm/space.h"

/* Servers one by one take memory, so they are kept only where they are shown.
 * Errors: REM_EINVAL with the fault. */
static int read_upstream(struct rem_scrape *scrape, size_t index, struct rem_scrape_upstream *out)
{
    const struct rem_api *api = scrape->api;
    struct rem_writer_walk walk;
    struct rem_server_status server;
    int rc;

    if (!scrape->servers) {
        rem_writer_walk_start(&walk, api->writer, index, api->clock->mono_ms);
        while (rem_writer_walk_next(&walk, &server))
            rem_server_sums_add(&out->sums, &server);
        out->status = walk.status;
        return 0;
    }
    rc = rem_writer_status(api->writer, index, api->clock->mono_ms, scrape->arena, &out->status);
    if (rc != 0)
        return rem_call_fault(scrape->call, rc, NULL);
    for (size_t i = 0; i < out->status.server_count; i++)
        rem_server_sums_add(&out->sums, &out->status.servers[i]);
    return 0;
}

/* Reads all upstreams that are shown, once, as families go one after the other.
 * Errors: REM_EINVAL with the fault. */
static int read_upstreams(struct rem_scrape *scrape, struct rem_scrape_upstream **out,
                          size_t *out_count)
{
    const struct rem_api *api = scrape->api;
    size_t count = rem_writer_count(api->writer), n = 0;
    struct rem_scrape_upstream *all = rem_arena_zalloc(scrape->arena, (count + 1) * sizeof(*all));

    if (all == NULL)
        return rem_call_fault(scrape->call, REM_ENOMEM, NULL);
    for (size_t i = 0; i < count; i++) {
        struct rem_space_upstream known;

        rem_space_upstream(api->writer, i, &known);
        if (!rem_call_flags_are_shown(known.flags) || !rem_scrape_shows(scrape, known.name))
            continue;
        all[n].labels = rem_scrape_label(scrape, "upstream", known.name);
        if (read_upstream(scrape, i, &all[n++]) != 0)
            return REM_EINVAL;
    }
    *out = all;
    *out_count = n;
    return 0;
}

/* ---- families with labels of their own ---- */

static void put_requests(struct rem_scrape *scrape, const struct rem_scrape_upstream *up)
{
    rem_scrape_responses(scrape, up->labels, up->status.totals.responses, NULL, 0);
}

static void put_servers(struct rem_scrape *scrape, const struct rem_scrape_upstream *up)
{
    static const char *const labels[REM_SERVER_STATES] = {
        "state=\"up\"",       "state=\"draining\"",  "state=\"down\"",    "state=\"unavail\"",
        "state=\"checking\"", "state=\"unhealthy\"", "state=\"ejected\"",
    };

    for (size_t k = 0; k < REM_SERVER_STATES; k++)
        rem_metric_count(&scrape->text, up->labels, rem_str_from(labels[k]), up->sums.states[k]);
}

static void put_retries(struct rem_scrape *scrape, const struct rem_scrape_upstream *up)
{
    static const char *const reasons[REM_RETRY_REASONS] = {
        [REM_RETRY_ERROR] = "reason=\"error\"",
        [REM_RETRY_TIMEOUT] = "reason=\"timeout\"",
        [REM_RETRY_INVALID] = "reason=\"invalid_header\"",
        [REM_RETRY_STATUS] = "reason=\"status\"",
    };

    for (size_t k = 0; k < REM_RETRY_REASONS; k++)
        rem_metric_count(&scrape->text, up->labels, rem_str_from(reasons[k]),
                         up->status.retries_by[k]);
}

static void put_overflows(struct rem_scrape *scrape, const struct rem_scrape_upstream *up)
{
    static const char *const limits[REM_OVERFLOWS] = {
        [REM_OVERFLOW_CONNECTIONS] = "limit=\"conns\"",
        [REM_OVERFLOW_PENDING] = "limit=\"pending\"",
        [REM_OVERFLOW_REQUESTS] = "limit=\"requests\"",
        [REM_OVERFLOW_RETRIES] = "limit=\"retries\"",
        [REM_OVERFLOW_QUEUE] = "limit=\"queue\"",
    };

    for (size_t k = 0; k < REM_OVERFLOWS; k++)
        rem_metric_count(&scrape->text, up->labels, rem_str_from(limits[k]),
                         up->status.overflows[k]);
}

static void put_connections(struct rem_scrape *scrape, const struct rem_scrape_upstream *up)
{
    int64_t idle = up->status.idle > 0 ? up->status.idle : 0;
    int64_t active = up->status.connections - idle;

    rem_metric_gauge(&scrape->text, up->labels, REM_STR("state=\"active\""),
                     active > 0 ? active : 0);
    rem_metric_gauge(&scrape->text, up->labels, REM_STR("state=\"idle\""), idle);
}

static void put_in_flight(struct rem_scrape *scrape, const struct rem_scrape_upstream *up)
{
    rem_metric_gauge(&scrape->text, up->labels, REM_STR(""),
                     up->sums.active > 0 ? up->sums.active : 0);
}

static void put_queued(struct rem_scrape *scrape, const struct rem_scrape_upstream *up)
{
    rem_metric_gauge(&scrape->text, up->labels, REM_STR(""),
                     up->status.queued > 0 ? up->status.queued : 0);
}

static void put_request_duration(struct rem_scrape *scrape, const struct rem_scrape_upstream *up)
{
    rem_metric_histogram(&scrape->text, up->labels, &up->status.request_ms);
}

static void put_connect_duration(struct rem_scrape *scrape, const struct rem_scrape_upstream *up)
{
    rem_metric_histogram(&scrape->text, up->labels, &up->status.connect_ms);
}

/* ---- families with one number ---- */

#define NUMBER(name, expression)                                                                   \
    static void put_##name(struct rem_scrape *scrape, const struct rem_scrape_upstream *up)        \
    {                                                                                              \
        rem_metric_count(&scrape->text, up->labels, REM_STR(""), up->status.expression);           \
    }

NUMBER(no_live, no_live)
NUMBER(opened, opened)
NUMBER(reused, reused)
NUMBER(budget, budget_exhausted)
NUMBER(fails, totals.fails)
NUMBER(sent, totals.sent)
NUMBER(received, totals.received)
NUMBER(zombies, zombies)

#undef NUMBER

static const struct {
    struct rem_metric_family family;
    void (*put)(struct rem_scrape *scrape, const struct rem_scrape_upstream *up);
} parts[] = {
    {{"remora_upstream_requests_total", REM_METRIC_COUNTER,
      "Responses of an upstream's servers, by class of status."},
     put_requests},
    {{"remora_upstream_servers", REM_METRIC_GAUGE, "Servers of an upstream by state."},
     put_servers},
    {{"remora_upstream_no_live_servers_total", REM_METRIC_COUNTER,
      "Requests that found no live server."},
     put_no_live},
    {{"remora_upstream_retries_total", REM_METRIC_COUNTER,
      "Requests sent on to a further server, by why."},
     put_retries},
    {{"remora_upstream_retry_budget_exhausted_total", REM_METRIC_COUNTER,
      "Requests that the retry budget did not let go on."},
     put_budget},
    {{"remora_upstream_overflows_total", REM_METRIC_COUNTER,
      "Requests refused at a limit, by which."},
     put_overflows},
    {{"remora_upstream_connections_opened_total", REM_METRIC_COUNTER,
      "Connections opened to servers."},
     put_opened},
    {{"remora_upstream_connections_reused_total", REM_METRIC_COUNTER,
      "Requests sent over a kept connection."},
     put_reused},
    {{"remora_upstream_connections", REM_METRIC_GAUGE, "Connections to servers by state."},
     put_connections},
    {{"remora_upstream_requests_in_flight", REM_METRIC_GAUGE,
      "Requests that servers of the present set are answering."},
     put_in_flight},
    {{"remora_upstream_queue_length", REM_METRIC_GAUGE, "Requests that wait for a server."},
     put_queued},
    {{"remora_upstream_failures_total", REM_METRIC_COUNTER, "Failed exchanges with servers."},
     put_fails},
    {{"remora_upstream_sent_bytes_total", REM_METRIC_COUNTER, "Bytes sent to servers."}, put_sent},
    {{"remora_upstream_received_bytes_total", REM_METRIC_COUNTER, "Bytes received from servers."},
     put_received},
    {{"remora_upstream_zombies", REM_METRIC_GAUGE, "Removed servers that requests still hold."},
     put_zombies},
    {{"remora_upstream_request_duration_seconds", REM_METRIC_HISTOGRAM,
      "From a server's being chosen to the end of its response."},
     put_request_duration},
    {{"remora_upstream_connect_duration_seconds", REM_METRIC_HISTOGRAM,
      "How long new connections took to be made."},
     put_connect_duration},
};

int rem_scrape_upstreams(struct rem_scrape *scrape)
{
    struct rem_scrape_upstream *all = NULL;
    size_t count = 0;
    int rc = read_upstreams(scrape, &all, &count);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < REM_COUNT(parts); i++) {
        rem_metric_begin(&scrape->text, &parts[i].family);
        for (size_t k = 0; k < count; k++)
            parts[i].put(scrape, &all[k]);
    }
    return scrape->servers ? rem_scrape_servers(scrape, all, count) : 0;
}
