/* SPDX-License-Identifier: Apache-2.0 */
/* Status zones of servers and locations, and zones of limits, as the NGINX Plus API shows them. */
#include "api/plus.h"
#include "proto/shm/region.h"
#include "proto/shm/stat.h"

/* What differs between kinds of zones. */
struct zone_kind {
    enum rem_stat_kind stat;
    const char *path; /* below /api/N */
    enum rem_fault_code missing;
    const char *text; /* of that */
};

static const struct zone_kind servers = {REM_STAT_SERVER, "http/server_zones",
                                         REM_FAULT_SERVER_ZONE_NOT_FOUND, "server zone not found"};
static const struct zone_kind locations = {REM_STAT_LOCATION, "http/location_zones",
                                           REM_FAULT_LOCATION_ZONE_NOT_FOUND,
                                           "location zone not found"};
static const struct zone_kind limit_conns = {REM_STAT_LIMIT_CONN, "http/limit_conns",
                                             REM_FAULT_LIMIT_CONN_NOT_FOUND,
                                             "limit_conn not found"};
static const struct zone_kind limit_reqs = {REM_STAT_LIMIT_REQ, "http/limit_reqs",
                                            REM_FAULT_LIMIT_REQ_NOT_FOUND, "limit_req not found"};

static bool counts_requests(const struct zone_kind *kind)
{
    return kind->stat == REM_STAT_SERVER || kind->stat == REM_STAT_LOCATION;
}

/* The next zone of that kind that the present configuration has. */
static struct rem_stat *next_zone(const struct rem_api *api, const struct zone_kind *kind,
                                  const struct rem_stat *previous)
{
    struct rem_stat *stat = rem_stat_next(api->region->header, previous);

    /* relaxed: the master notes it before it forks the agent of that configuration */
    while (stat != NULL && (stat->kind != (uint32_t)kind->stat ||
                            atomic_load_explicit(&stat->generation, memory_order_relaxed) <
                                api->info.config_generation))
        stat = rem_stat_next(api->region->header, stat);
    return stat;
}

static int find_zone(struct rem_api_call *call, const struct zone_kind *kind, struct rem_stat **out)
{
    struct rem_stat *stat = next_zone(call->api, kind, NULL);

    while (stat != NULL && !rem_str_eq(rem_stat_name(stat), call->params[0]))
        stat = next_zone(call->api, kind, stat);
    *out = stat;
    return stat != NULL ? 0 : rem_fault_set(&call->fault, kind->missing, "%s", kind->text);
}

/* ---- objects ---- */

static void put_http(struct rem_api_call *call, const struct zone_kind *kind, struct rem_stat *stat,
                     struct rem_plus_text *text)
{
    const struct rem_stat_http *base =
        rem_reset_find(call, kind->path, rem_stat_name(stat), sizeof(*base), NULL);
    struct rem_stat_http sum;

    rem_stat_http_sum(stat, &sum);
    if (base != NULL) {
        sum.requests = rem_reset_less(sum.requests, base->requests);
        rem_reset_apply(sum.responses, base->responses, REM_SHM_CLASSES);
        rem_plus_codes_less(&sum.codes, &base->codes);
        sum.discarded = rem_reset_less(sum.discarded, base->discarded);
        sum.received = rem_reset_less(sum.received, base->received);
        sum.sent = rem_reset_less(sum.sent, base->sent);
    }
    if (kind->stat == REM_STAT_SERVER)
        rem_plus_text_count(text, "processing", (uint64_t)rem_json_gauge(sum.processing));
    rem_plus_text_count(text, "requests", sum.requests);
    if (rem_plus_text_member(text, "responses"))
        rem_plus_put_responses(text->out, sum.responses, &sum.codes);
    rem_plus_text_count(text, "discarded", sum.discarded);
    rem_plus_text_count(text, "received", sum.received);
    rem_plus_text_count(text, "sent", sum.sent);
}

static void put_limit(struct rem_api_call *call, const struct zone_kind *kind,
                      struct rem_stat *stat, struct rem_plus_text *text)
{
    const struct rem_stat_limit *base =
        rem_reset_find(call, kind->path, rem_stat_name(stat), sizeof(*base), NULL);
    struct rem_stat_limit sum;

    rem_stat_limit_sum(stat, &sum);
    if (base != NULL) {
        sum.passed = rem_reset_less(sum.passed, base->passed);
        sum.delayed = rem_reset_less(sum.delayed, base->delayed);
        sum.rejected = rem_reset_less(sum.rejected, base->rejected);
        sum.delayed_dry_run = rem_reset_less(sum.delayed_dry_run, base->delayed_dry_run);
        sum.rejected_dry_run = rem_reset_less(sum.rejected_dry_run, base->rejected_dry_run);
    }
    rem_plus_text_count(text, "passed", sum.passed);
    if (kind->stat == REM_STAT_LIMIT_REQ)
        rem_plus_text_count(text, "delayed", sum.delayed);
    rem_plus_text_count(text, "rejected", sum.rejected);
    if (kind->stat == REM_STAT_LIMIT_REQ)
        rem_plus_text_count(text, "delayed_dry_run", sum.delayed_dry_run);
    rem_plus_text_count(text, "rejected_dry_run", sum.rejected_dry_run);
}

static void put_zone(struct rem_api_call *call, const struct zone_kind *kind, struct rem_stat *stat,
                     struct rem_plus_text *text)
{
    rem_plus_text_open(text);
    if (counts_requests(kind))
        put_http(call, kind, stat, text);
    else
        put_limit(call, kind, stat, text);
    rem_plus_text_close(text);
}

/* ---- calls ---- */

static int list_zones(struct rem_api_call *call, const struct zone_kind *kind)
{
    struct rem_stat *stat = NULL;
    struct rem_plus_text text;

    rem_plus_text_begin(&text, call, true);
    while ((stat = next_zone(call->api, kind, stat)) != NULL)
        if (rem_plus_text_entry(&text, rem_stat_name(stat)))
            put_zone(call, kind, stat, &text);
    rem_plus_text_end(&text);
    return 0;
}

static int get_zone(struct rem_api_call *call, const struct zone_kind *kind)
{
    struct rem_plus_text text;
    struct rem_stat *stat;
    int rc = find_zone(call, kind, &stat);

    if (rc != 0)
        return rc;
    rem_plus_text_begin(&text, call, false);
    put_zone(call, kind, stat, &text);
    rem_plus_text_end(&text);
    return 0;
}

static int reset_zone(struct rem_api_call *call, const struct zone_kind *kind)
{
    struct rem_stat *stat;
    int rc = find_zone(call, kind, &stat);

    if (rc != 0)
        return rc;
    if (counts_requests(kind)) {
        struct rem_stat_http sum;
        rem_stat_http_sum(stat, &sum);
        rc = rem_reset_keep(call, kind->path, rem_stat_name(stat), &sum, sizeof(sum));
    } else {
        struct rem_stat_limit sum;
        rem_stat_limit_sum(stat, &sum);
        rc = rem_reset_keep(call, kind->path, rem_stat_name(stat), &sum, sizeof(sum));
    }
    return rc == 0 ? rem_reset_answer(call) : rc;
}

int rem_plus_server_zones(struct rem_api_call *call)
{
    return list_zones(call, &servers);
}

int rem_plus_server_zone(struct rem_api_call *call)
{
    return get_zone(call, &servers);
}

int rem_plus_server_zone_reset(struct rem_api_call *call)
{
    return reset_zone(call, &servers);
}

int rem_plus_location_zones(struct rem_api_call *call)
{
    return list_zones(call, &locations);
}

int rem_plus_location_zone(struct rem_api_call *call)
{
    return get_zone(call, &locations);
}

int rem_plus_location_zone_reset(struct rem_api_call *call)
{
    return reset_zone(call, &locations);
}

int rem_plus_limit_conns(struct rem_api_call *call)
{
    return list_zones(call, &limit_conns);
}

int rem_plus_limit_conn(struct rem_api_call *call)
{
    return get_zone(call, &limit_conns);
}

int rem_plus_limit_conn_reset(struct rem_api_call *call)
{
    return reset_zone(call, &limit_conns);
}

int rem_plus_limit_reqs(struct rem_api_call *call)
{
    return list_zones(call, &limit_reqs);
}

int rem_plus_limit_req(struct rem_api_call *call)
{
    return get_zone(call, &limit_reqs);
}

int rem_plus_limit_req_reset(struct rem_api_call *call)
{
    return reset_zone(call, &limit_reqs);
}

/* There is no cache, hence no zone of one; the map is empty and not absent, as clients give up on
 * a 404. */
int rem_plus_caches(struct rem_api_call *call)
{
    return rem_plus_answer_map(call, json_object());
}

int rem_plus_cache(struct rem_api_call *call)
{
    return rem_fault_set(&call->fault, REM_FAULT_CACHE_NOT_FOUND, "cache not found");
}
