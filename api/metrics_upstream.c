/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_upstream.c - upstreams; their servers one by one are in metrics_server.c.
 *
 * Budget:     no more than max_upstream_series series: the first upstreams, in the order of the
 *             configuration, are shown; the others are summed as upstream="_other", so that sums
 *             over all upstreams stay what they are.  */
#include "api/metrics_upstream.h"

#include "proto/shm/space.h"

#define OTHER "_other"

/* What an upstream has: the families below. */
enum {
    SERIES = REM_SHM_CLASSES + REM_SERVER_STATES + REM_RETRY_REASONS + REM_OVERFLOWS + 12 +
             2 * (REM_SHM_BUCKETS + 2)
};

/* Servers one by one take memory, so they are kept only where they are shown.
 * Errors: REM_EINVAL with the fault. */
static int read_upstream(struct rem_scrape *scrape, size_t index, bool own,
                         struct rem_scrape_upstream *out)
{
    const struct rem_api *api = scrape->api;
    struct rem_writer_walk walk;
    struct rem_server_status server;
    int rc;

    if (!scrape->servers || !own) {
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

/* Whether an upstream is asked for at all. */
static bool is_wanted(const struct rem_scrape *scrape, size_t index, struct rem_str *name)
{
    struct rem_space_upstream known;

    rem_space_upstream(scrape->api->writer, index, &known);
    *name = known.name;
    return rem_call_flags_are_shown(known.flags) && rem_scrape_shows(scrape, known.name);
}

/* How many of them are shown under their own names; *over: more than that are there. */
static size_t find_room(struct rem_scrape *scrape, bool *over)
{
    struct rem_api *api = scrape->call->api;
    size_t count = rem_writer_count(api->writer), wanted = 0;
    size_t fit = api->max_upstream_series / SERIES;
    struct rem_str name;

    for (size_t i = 0; i < count; i++)
        wanted += is_wanted(scrape, i, &name);
    *over = wanted > fit;
    if (!*over)
        return wanted;
    fit -= fit != 0; /* for "_other" */
    rem_api_count_dropped(&api->counts, api->region->header, (wanted - fit - 1) * SERIES);
    return fit;
}

static void add_histogram(struct rem_histogram *sum, const struct rem_histogram *histogram)
{
    for (size_t i = 0; i < REM_SHM_BUCKETS; i++)
        sum->buckets[i] += histogram->buckets[i];
    sum->count += histogram->count;
    sum->sum_ms += histogram->sum_ms;
}

/* What the families below show. */
static void add_upstream(struct rem_scrape_upstream *sum, const struct rem_scrape_upstream *up)
{
    struct rem_upstream_status *to = &sum->status;
    const struct rem_upstream_status *from = &up->status;

    for (size_t i = 0; i < REM_SHM_CLASSES; i++)
        to->totals.responses[i] += from->totals.responses[i];
    to->totals.fails += from->totals.fails;
    to->totals.sent += from->totals.sent;
    to->totals.received += from->totals.received;
    for (size_t i = 0; i < REM_SERVER_STATES; i++)
        sum->sums.states[i] += up->sums.states[i];
    sum->sums.active += up->sums.active;
    for (size_t i = 0; i < REM_RETRY_REASONS; i++)
        to->retries_by[i] += from->retries_by[i];
    for (size_t i = 0; i < REM_OVERFLOWS; i++)
        to->overflows[i] += from->overflows[i];
    to->no_live += from->no_live;
    to->budget_exhausted += from->budget_exhausted;
    to->opened += from->opened;
    to->reused += from->reused;
    to->idle += from->idle;
    to->connections += from->connections;
    to->queued += from->queued;
    to->zombies += from->zombies;
    add_histogram(&to->request_ms, &from->request_ms);
    add_histogram(&to->connect_ms, &from->connect_ms);
}

/* Reads the upstreams, once, as families go one after the other: *named of their own, and behind
 * them, if *count is one more, what the others make together.  Errors: REM_EINVAL with the fault.
 */
static int read_upstreams(struct rem_scrape *scrape, struct rem_scrape_upstream **out,
                          size_t *named, size_t *count)
{
    bool over;
    size_t room = find_room(scrape, &over), all = rem_writer_count(scrape->api->writer), n = 0;
    struct rem_scrape_upstream *list = rem_arena_zalloc(scrape->arena, (room + 1) * sizeof(*list));

    if (list == NULL)
        return rem_call_fault(scrape->call, REM_ENOMEM, NULL);
    for (size_t i = 0; i < all; i++) {
        struct rem_scrape_upstream one = {.labels = {NULL, 0}};
        struct rem_str name;
        bool own;

        if (!is_wanted(scrape, i, &name))
            continue;
        /* one that bears the name of the others is among them, as series must differ */
        own = n < room && !(over && rem_str_is(name, OTHER));
        if (read_upstream(scrape, i, own, &one) != 0)
            return REM_EINVAL;
        if (!own) {
            add_upstream(&list[room], &one);
            continue;
        }
        list[n] = one;
        list[n++].labels = rem_scrape_label(scrape, "upstream", name);
    }
    *named = n;
    if (over) {
        list[n] = list[room];
        list[n++].labels = rem_scrape_label(scrape, "upstream", REM_STR(OTHER));
    }
    *out = list;
    *count = n;
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
    size_t named = 0, count = 0;
    int rc = read_upstreams(scrape, &all, &named, &count);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < REM_COUNT(parts); i++) {
        rem_metric_begin(&scrape->text, &parts[i].family);
        for (size_t k = 0; k < count; k++)
            parts[i].put(scrape, &all[k]);
    }
    return scrape->servers ? rem_scrape_servers(scrape, all, named) : 0;
}
