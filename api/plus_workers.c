/* SPDX-License-Identifier: Apache-2.0 */
/* Worker processes, as the NGINX Plus API shows them.  A worker's id is its slot: a worker that
 * takes a dead one's place goes on with its counters, as the totals must not go back. */
#include "api/plus.h"
#include "proto/shm/region.h"

#define KIND "workers"

enum { ACCEPTED = 0, DROPPED, REQUESTS, COUNTERS };

/* relaxed: counters stand alone */
static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static int64_t load_gauge(const _Atomic int64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void read_counters(const struct rem_shm_worker *worker, uint64_t counters[COUNTERS])
{
    counters[ACCEPTED] = load(&worker->conn_accepted);
    counters[DROPPED] = load(&worker->conn_rejected);
    counters[REQUESTS] = load(&worker->requests);
}

/* A slot's number as the name of what is kept for it. */
static struct rem_str slot_name(struct rem_api_call *call, unsigned slot)
{
    return rem_arena_printf(&call->arena, "%u", slot);
}

static json_t *worker_json(struct rem_api_call *call, const struct rem_worker_status *status)
{
    const struct rem_shm_worker *worker = rem_region_worker(call->api->region, status->slot);
    int64_t active = load_gauge(&worker->conn_active), idle = load_gauge(&worker->conn_waiting);
    struct rem_str name = slot_name(call, status->slot);
    uint64_t counters[COUNTERS];

    read_counters(worker, counters);
    if (name.p != NULL)
        rem_reset_apply(counters, rem_reset_find(call, KIND, name, sizeof(counters), NULL),
                        COUNTERS);
    return json_pack("{s:I,s:I,s:{s:I,s:I,s:I,s:I},s:{s:{s:I,s:I}}}", "id",
                     (json_int_t)status->slot, "pid", (json_int_t)status->pid, "connections",
                     "accepted", rem_json_count(counters[ACCEPTED]), "dropped",
                     rem_json_count(counters[DROPPED]), "active", rem_json_gauge(active - idle),
                     "idle", rem_json_gauge(idle), "http", "requests", "total",
                     rem_json_count(counters[REQUESTS]), "current",
                     rem_json_gauge(load_gauge(&worker->requests_current)));
}

/* The live worker that the path means. */
static int find_worker(struct rem_api_call *call, struct rem_worker_status *out)
{
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t n = rem_region_workers(call->api->region, workers);
    uint64_t id;

    if (rem_str_to_u64(call->params[0], REM_SHM_WORKERS, &id) == 0) {
        for (size_t i = 0; i < n; i++) {
            if (workers[i].slot == id) {
                *out = workers[i];
                return 0;
            }
        }
    }
    return rem_fault_set(&call->fault, REM_FAULT_WORKER_NOT_FOUND, "worker not found");
}

static int keep(struct rem_api_call *call, unsigned slot)
{
    struct rem_str name = slot_name(call, slot);
    uint64_t counters[COUNTERS];

    if (name.p == NULL)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    read_counters(rem_region_worker(call->api->region, slot), counters);
    return rem_reset_keep(call, KIND, name, counters, sizeof(counters));
}

int rem_plus_workers(struct rem_api_call *call)
{
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t n = rem_region_workers(call->api->region, workers);
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < n; i++) {
        if (json_array_append_new(list, worker_json(call, &workers[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return rem_plus_answer_list(call, list);
}

int rem_plus_workers_reset(struct rem_api_call *call)
{
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t n = rem_region_workers(call->api->region, workers);

    for (size_t i = 0; i < n; i++)
        if (keep(call, workers[i].slot) != 0)
            return REM_EINVAL;
    return rem_reset_answer(call);
}

int rem_plus_worker(struct rem_api_call *call)
{
    struct rem_worker_status worker;
    int rc = find_worker(call, &worker);

    return rc == 0 ? rem_plus_answer_object(call, worker_json(call, &worker)) : rc;
}

int rem_plus_worker_reset(struct rem_api_call *call)
{
    struct rem_worker_status worker;
    int rc = find_worker(call, &worker);

    if (rc == 0)
        rc = keep(call, worker.slot);
    return rc == 0 ? rem_reset_answer(call) : rc;
}
