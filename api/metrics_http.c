/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_http.c - clients: their requests by status zone, their connections by listener.
 *
 * Zones:      requests to servers without `status_zone` bear no zone label, so that a sum over all
 *             zones is the instance's.  */
#include "api/metrics_scrape.h"

struct zone {
    struct rem_str labels;
    struct rem_stat_http sum;
};

struct listener {
    struct rem_str labels;
    struct rem_stat_listener sum;
};

/* The group belongs to the present configuration (or to one that was refused since). */
static bool is_present(const struct rem_scrape *scrape, const struct rem_stat *stat)
{
    return atomic_load_explicit(&stat->generation, memory_order_relaxed) >=
           scrape->api->info.config_generation;
}

static bool is_wanted(const struct rem_scrape *scrape, const struct rem_stat *stat,
                      enum rem_stat_kind kind)
{
    if (!is_present(scrape, stat))
        return false;
    if (stat->kind == REM_STAT_UNNAMED && kind == REM_STAT_SERVER)
        return scrape->names.p == NULL;
    return stat->kind == (uint32_t)kind && rem_scrape_shows(scrape, rem_stat_name(stat));
}

/* How many groups of that kind are shown. */
static size_t count_groups(const struct rem_scrape *scrape, enum rem_stat_kind kind)
{
    struct rem_stat *stat = NULL;
    size_t n = 0;

    while ((stat = rem_stat_next(scrape->api->region->header, stat)) != NULL)
        n += is_wanted(scrape, stat, kind);
    return n;
}

/* Sums all zones of a kind once, as families go one after the other.  NULL without memory. */
static struct zone *read_zones(struct rem_scrape *scrape, enum rem_stat_kind kind, size_t *count)
{
    size_t n = count_groups(scrape, kind), i = 0;
    struct zone *zones = rem_arena_zalloc(scrape->arena, (n + 1) * sizeof(*zones));
    struct rem_stat *stat = NULL;

    if (zones == NULL)
        return NULL;
    while (i < n && (stat = rem_stat_next(scrape->api->region->header, stat)) != NULL) {
        if (!is_wanted(scrape, stat, kind))
            continue;
        zones[i].labels = stat->kind == REM_STAT_UNNAMED
                              ? REM_STR("")
                              : rem_scrape_label(scrape, "zone", rem_stat_name(stat));
        rem_stat_http_sum(stat, &zones[i++].sum);
    }
    *count = n;
    return zones;
}

/* The families that server zones and location zones have. */
enum { ZONE_REQUESTS = 0, ZONE_DISCARDED, ZONE_RECEIVED, ZONE_SENT, ZONE_DURATION, ZONE_FAMILIES };

static void put_zone(struct rem_scrape *scrape, int family, const struct zone *zone)
{
    const struct rem_stat_http *sum = &zone->sum;

    switch (family) {
    case ZONE_REQUESTS:
        rem_scrape_responses(scrape, zone->labels, sum->responses, sum->codes.items,
                             sum->codes.count);
        break;
    case ZONE_DISCARDED:
        rem_metric_count(&scrape->text, zone->labels, REM_STR(""), sum->discarded);
        break;
    case ZONE_RECEIVED:
        rem_metric_count(&scrape->text, zone->labels, REM_STR(""), sum->received);
        break;
    case ZONE_SENT:
        rem_metric_count(&scrape->text, zone->labels, REM_STR(""), sum->sent);
        break;
    default:
        rem_metric_histogram(&scrape->text, zone->labels, &sum->duration);
    }
}

static void put_zones(struct rem_scrape *scrape, const struct rem_metric_family *families,
                      const struct zone *zones, size_t count)
{
    for (int i = 0; i < ZONE_FAMILIES; i++) {
        rem_metric_begin(&scrape->text, &families[i]);
        for (size_t k = 0; k < count; k++)
            put_zone(scrape, i, &zones[k]);
    }
}

static int put_servers(struct rem_scrape *scrape)
{
    static const struct rem_metric_family families[ZONE_FAMILIES] = {
        {"remora_http_requests_total", REM_METRIC_COUNTER, "Responses to clients, by status."},
        {"remora_http_requests_discarded_total", REM_METRIC_COUNTER,
         "Requests that ended without a response."},
        {"remora_http_received_bytes_total", REM_METRIC_COUNTER, "Bytes received from clients."},
        {"remora_http_sent_bytes_total", REM_METRIC_COUNTER, "Bytes sent to clients."},
        {"remora_http_request_duration_seconds", REM_METRIC_HISTOGRAM,
         "From the first byte of a request to the last of its response."},
    };
    static const struct rem_metric_family in_flight = {
        "remora_http_requests_in_flight", REM_METRIC_GAUGE, "Requests being answered."};
    size_t count = 0;
    struct zone *zones = read_zones(scrape, REM_STAT_SERVER, &count);

    if (zones == NULL)
        return rem_call_fault(scrape->call, REM_ENOMEM, NULL);
    put_zones(scrape, families, zones, count);
    rem_metric_begin(&scrape->text, &in_flight);
    for (size_t i = 0; i < count; i++)
        rem_metric_gauge(&scrape->text, zones[i].labels, REM_STR(""),
                         zones[i].sum.processing > 0 ? zones[i].sum.processing : 0);
    return 0;
}

static int put_locations(struct rem_scrape *scrape)
{
    static const struct rem_metric_family families[ZONE_FAMILIES] = {
        {"remora_http_location_requests_total", REM_METRIC_COUNTER,
         "Responses to requests that ended in a location of the zone, by status."},
        {"remora_http_location_requests_discarded_total", REM_METRIC_COUNTER,
         "Requests that ended there without a response."},
        {"remora_http_location_received_bytes_total", REM_METRIC_COUNTER,
         "Bytes received of these requests."},
        {"remora_http_location_sent_bytes_total", REM_METRIC_COUNTER,
         "Bytes sent in answer to them."},
        {"remora_http_location_request_duration_seconds", REM_METRIC_HISTOGRAM,
         "How long they took."},
    };
    size_t count = 0;
    struct zone *zones = read_zones(scrape, REM_STAT_LOCATION, &count);

    if (zones == NULL)
        return rem_call_fault(scrape->call, REM_ENOMEM, NULL);
    if (count != 0)
        put_zones(scrape, families, zones, count);
    return 0;
}

/* ---- connections ---- */

static struct listener *read_listeners(struct rem_scrape *scrape, size_t *count)
{
    size_t n = count_groups(scrape, REM_STAT_LISTENER), i = 0;
    struct listener *all = rem_arena_zalloc(scrape->arena, (n + 1) * sizeof(*all));
    struct rem_stat *stat = NULL;

    if (all == NULL)
        return NULL;
    while (i < n && (stat = rem_stat_next(scrape->api->region->header, stat)) != NULL) {
        if (!is_wanted(scrape, stat, REM_STAT_LISTENER))
            continue;
        all[i].labels = rem_scrape_label(scrape, "listener", rem_stat_name(stat));
        rem_stat_listener_sum(stat, &all[i++].sum);
    }
    *count = n;
    return all;
}

static int put_listeners(struct rem_scrape *scrape)
{
    static const struct rem_metric_family accepted = {
        "remora_connections_accepted_total", REM_METRIC_COUNTER, "Client connections accepted."};
    static const struct rem_metric_family rejected = {
        "remora_connections_rejected_total", REM_METRIC_COUNTER,
        "Client connections not accepted, or closed before their first request."};
    static const struct rem_metric_family open = {"remora_connections", REM_METRIC_GAUGE,
                                                  "Client connections by state."};
    static const char *const reasons[REM_REJECT_REASONS] = {
        [REM_REJECT_CONNECTIONS] = "reason=\"no_room\"",
        [REM_REJECT_PROTOCOL] = "reason=\"proxy_protocol\"",
        [REM_REJECT_OTHER] = "reason=\"other\"",
    };
    size_t count = 0;
    const struct listener *all = read_listeners(scrape, &count);

    if (all == NULL)
        return rem_call_fault(scrape->call, REM_ENOMEM, NULL);
    rem_metric_begin(&scrape->text, &accepted);
    for (size_t i = 0; i < count; i++)
        rem_metric_count(&scrape->text, all[i].labels, REM_STR(""), all[i].sum.accepted);
    rem_metric_begin(&scrape->text, &rejected);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < REM_REJECT_REASONS; k++)
            rem_metric_count(&scrape->text, all[i].labels, rem_str_from(reasons[k]),
                             all[i].sum.rejected[k]);
    rem_metric_begin(&scrape->text, &open);
    for (size_t i = 0; i < count; i++) {
        int64_t active = all[i].sum.active, idle = all[i].sum.idle;

        rem_metric_gauge(&scrape->text, all[i].labels, REM_STR("state=\"active\""),
                         active > 0 ? active : 0);
        rem_metric_gauge(&scrape->text, all[i].labels, REM_STR("state=\"idle\""),
                         idle > 0 ? idle : 0);
    }
    return 0;
}

int rem_scrape_http(struct rem_scrape *scrape)
{
    int rc = put_servers(scrape);

    if (rc == 0)
        rc = put_locations(scrape);
    return rc == 0 ? put_listeners(scrape) : rc;
}

/* ---- limits ---- */

static void put_limits(struct rem_scrape *scrape, enum rem_stat_kind kind,
                       const struct rem_metric_family *family)
{
    struct rem_stat *stat = NULL;

    if (count_groups(scrape, kind) == 0)
        return;
    rem_metric_begin(&scrape->text, family);
    while ((stat = rem_stat_next(scrape->api->region->header, stat)) != NULL) {
        struct rem_stat_limit sum;
        struct rem_str labels;

        if (!is_wanted(scrape, stat, kind))
            continue;
        labels = rem_scrape_label(scrape, "zone", rem_stat_name(stat));
        rem_stat_limit_sum(stat, &sum);
        rem_metric_count(&scrape->text, labels, REM_STR("result=\"passed\""), sum.passed);
        rem_metric_count(&scrape->text, labels, REM_STR("result=\"rejected\""), sum.rejected);
        rem_metric_count(&scrape->text, labels, REM_STR("result=\"rejected_dry_run\""),
                         sum.rejected_dry_run);
        if (kind != REM_STAT_LIMIT_REQ)
            continue;
        rem_metric_count(&scrape->text, labels, REM_STR("result=\"delayed\""), sum.delayed);
        rem_metric_count(&scrape->text, labels, REM_STR("result=\"delayed_dry_run\""),
                         sum.delayed_dry_run);
    }
}

int rem_scrape_limits(struct rem_scrape *scrape)
{
    static const struct rem_metric_family requests = {"remora_limit_requests_total",
                                                      REM_METRIC_COUNTER,
                                                      "Requests by what limit_req made of them."};
    static const struct rem_metric_family connections = {
        "remora_limit_connections_total", REM_METRIC_COUNTER,
        "Requests by what limit_conn made of them."};

    put_limits(scrape, REM_STAT_LIMIT_REQ, &requests);
    put_limits(scrape, REM_STAT_LIMIT_CONN, &connections);
    return 0;
}
