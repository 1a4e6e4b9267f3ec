/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_config.c - configurations, the registry's revisions, and the memory it lives in. */
#include "api/metrics_scrape.h"
#include "proto/shm/stat_admin.h"
#include "proto/shm/zone.h"
#include "proto/shm/zone_layout.h"

#include <stdio.h>

static void put_reloads(struct rem_scrape *scrape)
{
    static const struct rem_metric_family reloads = {"remora_config_reloads_total",
                                                     REM_METRIC_COUNTER, "Reloads by result."};
    const struct rem_api_info *info = &scrape->api->info;
    struct rem_region_totals totals;

    rem_region_totals(scrape->api->region, &totals);
    rem_scrape_gauge(scrape, "remora_config_generation", "Configurations loaded so far.",
                     (int64_t)info->config_generation);
    rem_scrape_gauge(scrape, "remora_config_last_reload_success",
                     "Whether the last reload was accepted.", info->last_reload_ok);
    rem_scrape_gauge(scrape, "remora_config_last_reload_timestamp_seconds", "When that was.",
                     info->last_reload_sec);
    rem_metric_begin(&scrape->text, &reloads);
    rem_metric_count(&scrape->text, REM_STR(""), REM_STR("result=\"success\""), totals.reloads);
    rem_metric_count(&scrape->text, REM_STR(""), REM_STR("result=\"failure\""),
                     totals.reloads_failed);
}

static void put_revisions(struct rem_scrape *scrape)
{
    static const struct rem_metric_family of_worker = {"remora_worker_revision", REM_METRIC_GAUGE,
                                                       "The revision each worker picks by."};
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t n = rem_region_workers(scrape->api->region, workers);
    char label[32];

    rem_scrape_gauge(scrape, "remora_upstream_revision", "Changes of the upstream sets so far.",
                     (int64_t)rem_writer_revision(scrape->api->writer));
    rem_metric_begin(&scrape->text, &of_worker);
    for (size_t i = 0; i < n; i++) {
        int length = snprintf(label, sizeof(label), "worker=\"%u\"", workers[i].slot);

        rem_metric_gauge(&scrape->text, REM_STR(""), rem_str_make(label, (size_t)length),
                         (int64_t)workers[i].revision);
    }
}

/* The region's own name; a zone that happens to bear it is not shown twice. */
#define REGION "remora"

static bool is_shown(const struct rem_scrape *scrape, const struct rem_zone *zone)
{
    return !rem_str_is(zone->name, REGION) && rem_scrape_shows(scrape, zone->name);
}

static void put_bytes(struct rem_scrape *scrape)
{
    static const struct rem_metric_family family = {"remora_shm_bytes", REM_METRIC_GAUGE,
                                                    "Shared memory by use."};
    const struct rem_str region = REM_STR("zone=\"" REGION "\"");
    struct rem_writer_stats stats;
    struct rem_zone_stats of_zone;

    rem_metric_begin(&scrape->text, &family);
    if (rem_scrape_shows(scrape, REM_STR(REGION)) &&
        rem_writer_stats(scrape->api->writer, &stats) == 0) {
        rem_metric_count(&scrape->text, region, REM_STR("state=\"reserved\""), stats.size);
        rem_metric_count(&scrape->text, region, REM_STR("state=\"used\""), stats.used);
        rem_metric_count(&scrape->text, region, REM_STR("state=\"pending\""), stats.pending);
        rem_metric_count(&scrape->text, region, REM_STR("state=\"free\""), stats.free);
        rem_metric_count(&scrape->text, region, REM_STR("state=\"touched\""), stats.high_water);
    }
    for (const struct rem_zone *at = scrape->api->info.zones; at != NULL; at = at->next) {
        struct rem_str labels;

        if (!is_shown(scrape, at))
            continue;
        labels = rem_scrape_label(scrape, "zone", at->name);
        rem_zone_peek(at, &of_zone);
        rem_metric_count(&scrape->text, labels, REM_STR("state=\"reserved\""), of_zone.size);
        rem_metric_count(&scrape->text, labels, REM_STR("state=\"used\""),
                         of_zone.used * REM_ZONE_CHUNK);
        rem_metric_count(&scrape->text, labels, REM_STR("state=\"free\""),
                         (of_zone.chunks - of_zone.used) * REM_ZONE_CHUNK);
    }
}

static void put_failures(struct rem_scrape *scrape)
{
    static const struct rem_metric_family family = {"remora_shm_alloc_failures_total",
                                                    REM_METRIC_COUNTER,
                                                    "What shared memory had no room for."};
    const struct rem_stat_admin *admin = rem_stat_admin(scrape->api->region->header);

    rem_metric_begin(&scrape->text, &family);
    if (admin != NULL && rem_scrape_shows(scrape, REM_STR(REGION)))
        rem_metric_count(&scrape->text, REM_STR("zone=\"" REGION "\""), REM_STR(""),
                         atomic_load_explicit(&admin->full, memory_order_relaxed));
    for (const struct rem_zone *at = scrape->api->info.zones; at != NULL; at = at->next) {
        struct rem_zone_stats of_zone;

        if (!is_shown(scrape, at))
            continue;
        rem_zone_peek(at, &of_zone);
        rem_metric_count(&scrape->text, rem_scrape_label(scrape, "zone", at->name), REM_STR(""),
                         of_zone.refused);
    }
}

int rem_scrape_config(struct rem_scrape *scrape)
{
    put_reloads(scrape);
    put_revisions(scrape);
    put_bytes(scrape);
    put_failures(scrape);
    return 0;
}
