/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_process.c - what runs, and what it costs: all processes of the instance together. */
#include "api/metrics_scrape.h"
#include "api/process_stat.h"

#include <openssl/crypto.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef REM_COMMIT
#define REM_COMMIT ""
#endif

static void put_build(struct rem_scrape *scrape)
{
    static const struct rem_metric_family family = {"remora_build_info", REM_METRIC_INFO,
                                                    "Always 1; the labels say what runs."};
    const struct rem_str commit = rem_str_from(REM_COMMIT);
    const struct rem_metric_label labels[] = {
        {"version", rem_str_from(scrape->api->info.version)},
        {"build", rem_str_from(scrape->api->info.build)},
        {"commit", commit.n != 0 ? commit : (struct rem_str){NULL, 0}},
        {"openssl", rem_str_from(OpenSSL_version(OPENSSL_VERSION_STRING))},
    };
    struct rem_str text = rem_metric_labels(scrape->arena, labels, REM_COUNT(labels));

    rem_metric_begin(&scrape->text, &family);
    rem_metric_count(&scrape->text, text, REM_STR(""), 1);
}

static void put_costs(struct rem_scrape *scrape, const struct rem_process_stat *sum)
{
    static const struct rem_metric_family cpu = {
        "process_cpu_seconds_total", REM_METRIC_COUNTER,
        "CPU time of all processes, those that have ended included."};
    struct rlimit limit = {0};

    rem_metric_begin(&scrape->text, &cpu);
    rem_metric_ms(&scrape->text, REM_STR(""), (uint64_t)(sum->cpu_seconds * 1000));
    rem_scrape_gauge(scrape, "process_resident_memory_bytes",
                     "Resident memory of all processes, shared pages counted in each.",
                     (int64_t)sum->resident_bytes);
    rem_scrape_gauge(scrape, "process_open_fds",
                     "Open descriptors of the processes that may be looked at.", (int64_t)sum->fds);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        rem_scrape_gauge(scrape, "process_max_fds", "Descriptors one process may open.",
                         limit.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_cur);
    rem_scrape_gauge(scrape, "process_start_time_seconds", "When the master was started.",
                     scrape->api->info.started_sec);
}

int rem_scrape_process(struct rem_scrape *scrape)
{
    const struct rem_api *api = scrape->api;
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t n = rem_region_workers(api->region, workers);
    struct rem_region_totals totals;
    struct rem_process_stat sum = {0};

    rem_process_stat_add(api->info.master_pid, &sum);
    if (getpid() != api->info.master_pid)
        rem_process_stat_add(getpid(), &sum);
    for (size_t i = 0; i < n; i++)
        if (workers[i].pid != api->info.master_pid)
            rem_process_stat_add(workers[i].pid, &sum);
    rem_region_totals(api->region, &totals);
    put_build(scrape);
    put_costs(scrape, &sum);
    rem_scrape_gauge(scrape, "remora_workers",
                     "Worker processes that are alive, old ones included.", (int64_t)n);
    rem_scrape_count(scrape, "remora_worker_respawns_total",
                     "Workers started in place of ones that died.", totals.worker_respawns);
    rem_scrape_count(scrape, "remora_agent_respawns_total",
                     "Agents started in place of ones that died.", totals.agent_respawns);
    rem_scrape_gauge(scrape, "remora_draining", "Whether the instance is shutting down.",
                     api->info.draining);
    return 0;
}
