/* SPDX-License-Identifier: Apache-2.0 */
#include "api/count.h"

#include "api/api.h"
#include "api/fault.h"
#include "api/route.h"

#include <stdio.h>

/* relaxed: each counter stands alone, and the agent alone writes them */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* The master makes them when it has taken over a configuration, maybe after our start. */
static struct rem_stat_admin *shared_of(struct rem_api_counts *counts,
                                        const struct rem_shm_header *header)
{
    if (counts->shared == NULL)
        counts->shared = rem_stat_admin(header);
    return counts->shared;
}

/* Of a fixed set, whatever a client sends. */
static const char *method_name(enum rem_method method)
{
    switch (method) {
    case REM_METHOD_GET:
        return "GET";
    case REM_METHOD_HEAD:
        return "HEAD";
    case REM_METHOD_POST:
        return "POST";
    case REM_METHOD_PUT:
        return "PUT";
    case REM_METHOD_PATCH:
        return "PATCH";
    case REM_METHOD_DELETE:
        return "DELETE";
    default:
        return "other";
    }
}

static struct rem_stat_route *find_entry(struct rem_stat_admin *shared,
                                         const struct rem_route *route, enum rem_method method)
{
    char endpoint[REM_ENDPOINT], name[REM_STAT_ROUTE_NAME + REM_ENDPOINT];

    rem_route_endpoint(route, endpoint, sizeof(endpoint));
    (void)snprintf(name, sizeof(name), "%s %s", method_name(method), endpoint);
    return rem_stat_admin_route(shared, name);
}

static struct rem_stat_route *entry_of(struct rem_api_counts *counts, const struct rem_route *route,
                                       enum rem_method method)
{
    uint64_t hash = ((uint64_t)(uintptr_t)route + (uint64_t)method) * UINT64_C(0x9e3779b97f4a7c15);
    struct rem_count_slot *slot = &counts->cache[(hash >> 32) % REM_COUNT_CACHE];

    if (slot->entry == NULL || slot->route != route || slot->method != method)
        *slot = (struct rem_count_slot){route, method, find_entry(counts->shared, route, method)};
    return slot->entry;
}

/* What a request that is not answered with success came to. */
static enum rem_admin_result result_of_fault(int status)
{
    switch (status) {
    case 401:
    case 403:
    case 405:
        return REM_RESULT_DENIED;
    case 412:
        return REM_RESULT_CONFLICT;
    case 507:
        return REM_RESULT_NO_MEMORY;
    default:
        return status >= 500 ? REM_RESULT_FAILED : REM_RESULT_INVALID;
    }
}

/* Of what changes nothing by design (a dry run, a reset of counters) nothing is counted. */
static void count_result(struct rem_stat_admin *shared, const struct rem_api_request *request,
                         const struct rem_api_response *response,
                         const struct rem_api_staged *staged)
{
    enum rem_admin_result result = result_of_fault(response->status);

    if (request->method == REM_METHOD_GET || request->method == REM_METHOD_HEAD)
        return;
    if (response->status < 400 && !staged->is_change)
        return;
    if (response->status < 400)
        result = staged->commit.revision > staged->base ? REM_RESULT_APPLIED : REM_RESULT_UNCHANGED;
    else if (response->code == rem_fault_name(REM_FAULT_OUT_OF_MEMORY))
        result = REM_RESULT_NO_MEMORY;
    add(&shared->results[result], 1);
}

void rem_api_count(struct rem_api_counts *counts, const struct rem_shm_header *header,
                   const struct rem_api_request *request, const struct rem_api_response *response,
                   const struct rem_api_staged *staged, uint64_t ms)
{
    struct rem_stat_admin *shared = shared_of(counts, header);
    unsigned status = (unsigned)response->status;
    struct rem_stat_route *entry;

    if (shared == NULL || status < 100 || status >= 600)
        return;
    count_result(shared, request, response, staged);
    entry = entry_of(counts, response->route, request->method);
    if (entry == NULL)
        return;
    add(&entry->counts.requests, 1);
    add(&entry->counts.responses[status / 100 - 1], 1);
    rem_codes_count(entry->counts.codes, REM_STAT_CODE_LINES, status);
    rem_histogram_count(&entry->counts.duration, ms);
}

void rem_api_count_full(struct rem_api_counts *counts, const struct rem_shm_header *header)
{
    if (shared_of(counts, header) != NULL)
        add(&counts->shared->full, 1);
}

void rem_api_count_log_dropped(struct rem_api_counts *counts, const struct rem_shm_header *header)
{
    if (shared_of(counts, header) != NULL)
        add(&counts->shared->log_dropped, 1);
}

void rem_api_count_save_failure(struct rem_api_counts *counts, const struct rem_shm_header *header)
{
    if (shared_of(counts, header) != NULL)
        add(&counts->shared->save_failures, 1);
}

void rem_api_count_applied(struct rem_api_counts *counts, const struct rem_shm_header *header,
                           uint64_t ms)
{
    if (shared_of(counts, header) != NULL)
        rem_histogram_count(&counts->shared->apply, ms);
}

void rem_api_count_dropped(struct rem_api_counts *counts, const struct rem_shm_header *header,
                           uint64_t series)
{
    if (shared_of(counts, header) != NULL)
        add(&counts->shared->dropped_series, series);
}
