/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_admin.c - the API about itself. */
#include "api/metrics_scrape.h"
#include "proto/shm/stat_admin.h"

struct endpoint {
    struct rem_str labels; /* method and endpoint */
    struct rem_stat_http sum;
};

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void read_endpoint(struct rem_scrape *scrape, const struct rem_stat_route *route,
                          struct endpoint *out)
{
    struct rem_str name = rem_str_from(route->name);
    const char *space = rem_str_chr(name, ' ');
    size_t at = space != NULL ? (size_t)(space - name.p) : name.n;
    const struct rem_metric_label labels[] = {
        {"method", rem_str_make(name.p, at)},
        {"endpoint", rem_str_skip(name, space != NULL ? at + 1 : at)}};

    out->labels = rem_metric_labels(scrape->arena, labels, 2);
    rem_stat_http_add(&route->counts, &out->sum);
    rem_codes_finish(&out->sum.codes, out->sum.responses[1]);
}

static int put_endpoints(struct rem_scrape *scrape, const struct rem_stat_admin *admin)
{
    static const struct rem_metric_family requests = {
        "remora_admin_requests_total", REM_METRIC_COUNTER, "Answers of the admin API."};
    static const struct rem_metric_family duration = {
        "remora_admin_request_duration_seconds", REM_METRIC_HISTOGRAM,
        "From a complete request to the admin API to its answer."};
    uint32_t n = atomic_load_explicit(&admin->routes, memory_order_acquire);
    struct endpoint *all = rem_arena_zalloc(scrape->arena, (n + 1) * sizeof(*all));

    if (all == NULL)
        return rem_call_fault(scrape->call, REM_ENOMEM, NULL);
    for (uint32_t i = 0; i < n; i++)
        read_endpoint(scrape, &admin->route[i], &all[i]);
    rem_metric_begin(&scrape->text, &requests);
    for (uint32_t i = 0; i < n; i++)
        rem_scrape_responses(scrape, all[i].labels, all[i].sum.responses, all[i].sum.codes.items,
                             all[i].sum.codes.count);
    rem_metric_begin(&scrape->text, &duration);
    for (uint32_t i = 0; i < n; i++)
        rem_metric_histogram(&scrape->text, all[i].labels, &all[i].sum.duration);
    return 0;
}

static void put_results(struct rem_scrape *scrape, const struct rem_stat_admin *admin)
{
    static const struct rem_metric_family family = {
        "remora_admin_transactions_total", REM_METRIC_COUNTER,
        "Requests to change something, by what became of them."};
    static const char *const names[REM_RESULTS] = {
        [REM_RESULT_APPLIED] = "result=\"applied\"",
        [REM_RESULT_UNCHANGED] = "result=\"unchanged\"",
        [REM_RESULT_CONFLICT] = "result=\"conflict\"",
        [REM_RESULT_INVALID] = "result=\"invalid\"",
        [REM_RESULT_DENIED] = "result=\"denied\"",
        [REM_RESULT_NO_MEMORY] = "result=\"no_memory\"",
        [REM_RESULT_FAILED] = "result=\"failed\"",
    };

    rem_metric_begin(&scrape->text, &family);
    for (size_t i = 0; i < REM_RESULTS; i++)
        rem_metric_count(&scrape->text, REM_STR(""), rem_str_from(names[i]),
                         load(&admin->results[i]));
}

int rem_scrape_admin(struct rem_scrape *scrape)
{
    static const struct rem_metric_family apply = {
        "remora_snapshot_apply_duration_seconds", REM_METRIC_HISTOGRAM,
        "From a published change to when all workers ran it, where somebody waited for that."};
    static const struct rem_metric_family log_dropped = {
        "remora_log_dropped_total", REM_METRIC_COUNTER, "Lines that could not be written."};
    const struct rem_stat_admin *admin = rem_stat_admin(scrape->api->region->header);
    struct rem_histogram sum = {0};
    int rc;

    if (admin == NULL)
        return 0;
    rc = put_endpoints(scrape, admin);
    if (rc != 0)
        return rc;
    put_results(scrape, admin);
    rem_histogram_sum(&admin->apply, &sum);
    rem_metric_begin(&scrape->text, &apply);
    rem_metric_histogram(&scrape->text, REM_STR(""), &sum);
    rem_scrape_count(scrape, "remora_state_persist_failures_total",
                     "Publishes whose state could not be saved.", load(&admin->save_failures));
    rem_metric_begin(&scrape->text, &log_dropped);
    rem_metric_count(&scrape->text, REM_STR(""), REM_STR("log=\"audit\""),
                     load(&admin->log_dropped));
    rem_scrape_count(scrape, "remora_metrics_dropped_series_total",
                     "Series of servers and upstreams that scrapes left out, see max_series.",
                     load(&admin->dropped_series));
    return 0;
}
