/* SPDX-License-Identifier: Apache-2.0 */
#include "api/reset.h"

#include <stdlib.h>

struct reset_server {
    uint32_t id;
    struct rem_shm_totals totals;
};

/* The last reset of one upstream. */
struct reset_upstream {
    struct reset_upstream *next;
    char *name;
    size_t name_len;
    size_t count;
    struct reset_server servers[];
};

struct rem_api_reset {
    struct rem_region_totals processes, connections, requests; /* as of each one's reset */
    struct reset_upstream *upstreams;
};

static uint64_t less(uint64_t n, uint64_t base)
{
    return n > base ? n - base : 0;
}

static void upstream_free(struct reset_upstream *upstream)
{
    free(upstream->name);
    free(upstream);
}

void rem_reset_free(struct rem_api_reset **resets)
{
    struct rem_api_reset *r = *resets;

    *resets = NULL;
    while (r != NULL && r->upstreams != NULL) {
        struct reset_upstream *next = r->upstreams->next;
        upstream_free(r->upstreams);
        r->upstreams = next;
    }
    free(r);
}

void rem_reset_apply_totals(const struct rem_api *api, struct rem_region_totals *totals)
{
    const struct rem_api_reset *r = api->resets;

    if (r == NULL)
        return;
    totals->worker_respawns = less(totals->worker_respawns, r->processes.worker_respawns);
    totals->agent_respawns = less(totals->agent_respawns, r->processes.agent_respawns);
    totals->conn_accepted = less(totals->conn_accepted, r->connections.conn_accepted);
    totals->conn_rejected = less(totals->conn_rejected, r->connections.conn_rejected);
    totals->requests = less(totals->requests, r->requests.requests);
}

static struct reset_upstream **find(struct rem_api_reset *r, struct rem_str name)
{
    struct reset_upstream **at = &r->upstreams;

    while (*at != NULL && !rem_str_eq(rem_str_make((*at)->name, (*at)->name_len), name))
        at = &(*at)->next;
    return at;
}

static void totals_less(struct rem_shm_totals *totals, const struct rem_shm_totals *base)
{
    totals->requests = less(totals->requests, base->requests);
    totals->sent = less(totals->sent, base->sent);
    totals->received = less(totals->received, base->received);
    for (size_t i = 0; i < REM_SHM_CLASSES; i++)
        totals->responses[i] = less(totals->responses[i], base->responses[i]);
    totals->fails = less(totals->fails, base->fails);
    totals->unavail = less(totals->unavail, base->unavail);
    totals->header_ms = less(totals->header_ms, base->header_ms);
    totals->response_ms = less(totals->response_ms, base->response_ms);
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = ((const struct reset_server *)a)->id, y = ((const struct reset_server *)b)->id;

    return (x > y) - (x < y);
}

void rem_reset_apply_upstream(const struct rem_api *api, struct rem_upstream_status *status)
{
    const struct reset_upstream *upstream;

    if (api->resets == NULL)
        return;
    upstream = *find(api->resets, status->spec.name);
    for (size_t i = 0; upstream != NULL && i < status->server_count; i++) {
        struct reset_server key = {.id = status->servers[i].spec.id};
        const struct reset_server *base =
            bsearch(&key, upstream->servers, upstream->count, sizeof(key), by_id);
        if (base != NULL)
            totals_less(&status->servers[i].totals, &base->totals);
    }
}

/* ---- endpoints ---- */

/* What has been reset so far.  NULL without memory, with the fault. */
static struct rem_api_reset *resets(struct rem_api_call *call)
{
    struct rem_api *api = call->api;

    if (api->resets == NULL)
        api->resets = calloc(1, sizeof(*api->resets));
    if (api->resets == NULL)
        (void)rem_call_fault(call, REM_ENOMEM, NULL);
    return api->resets;
}

static int answer_empty(struct rem_api_call *call)
{
    call->response->status = 204;
    return 0;
}

int rem_plus_processes_reset(struct rem_api_call *call)
{
    struct rem_api_reset *r = resets(call);

    if (r == NULL)
        return REM_EINVAL;
    rem_region_totals(call->api->region, &r->processes);
    return answer_empty(call);
}

int rem_plus_connections_reset(struct rem_api_call *call)
{
    struct rem_api_reset *r = resets(call);

    if (r == NULL)
        return REM_EINVAL;
    rem_region_totals(call->api->region, &r->connections);
    return answer_empty(call);
}

int rem_plus_requests_reset(struct rem_api_call *call)
{
    struct rem_api_reset *r = resets(call);

    if (r == NULL)
        return REM_EINVAL;
    rem_region_totals(call->api->region, &r->requests);
    return answer_empty(call);
}

static struct reset_upstream *upstream_new(const struct rem_upstream_status *status)
{
    struct rem_str name = status->spec.name;
    struct reset_upstream *upstream =
        calloc(1, sizeof(*upstream) + status->server_count * sizeof(upstream->servers[0]));

    if (upstream == NULL || (upstream->name = malloc(name.n + 1)) == NULL) {
        free(upstream);
        return NULL;
    }
    memcpy(upstream->name, name.p, name.n);
    upstream->name_len = name.n;
    upstream->count = status->server_count;
    for (size_t i = 0; i < status->server_count; i++)
        upstream->servers[i] =
            (struct reset_server){status->servers[i].spec.id, status->servers[i].totals};
    qsort(upstream->servers, upstream->count, sizeof(upstream->servers[0]), by_id);
    return upstream;
}

int rem_plus_upstream_reset(struct rem_api_call *call)
{
    struct rem_upstream_status status;
    struct rem_upstream_spec spec;
    struct reset_upstream *upstream, **at;
    struct rem_api_reset *r;
    size_t index;
    int rc = rem_call_find(call, call->params[0], &index, &spec);

    if (rc != 0)
        return rc;
    if (spec.flags & REM_UPSTREAM_STATIC)
        return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_STATIC, "upstream is static");
    if ((r = resets(call)) == NULL)
        return REM_EINVAL;
    rc = rem_writer_status(call->api->writer, index, call->api->clock->mono_ms, &call->arena,
                           &status);
    if (rc != 0)
        return rem_call_fault(call, rc, NULL);
    upstream = upstream_new(&status);
    if (upstream == NULL)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    at = find(r, spec.name);
    if (*at != NULL) {
        struct reset_upstream *old = *at;
        upstream->next = old->next;
        upstream_free(old);
    }
    *at = upstream;
    return answer_empty(call);
}
