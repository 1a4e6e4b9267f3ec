/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/worker.h"

#include "proxy/net/accept.h"
#include "proxy/net/resolver.h"
#include "proxy/net/setup.h"

#include <malloc.h>

/* Idle blocks kept: enough for a few hundred requests at once, and no hoard after a peak. */
enum { KEEP_SMALL = 1024, KEEP_LARGE = 512 };

enum {
    TRIM_BYTES = 4 << 20, /* freed: what makes looking for whole pages worth its time */
    TRIM_MS = 2000,       /* without more of that: the peak is over */
};

/* What is freed after a peak lies between blocks that are kept, where malloc leaves it; a sidecar's
 * memory is tight, so it goes back to the system.  While load goes up and down, nothing happens. */
static void on_trim(struct rem_timer *timer)
{
    struct rem_worker *worker = REM_CONTAINER(timer, struct rem_worker, trim);

    worker->given_back = 0;
    worker->given_back_seen = 0;
    (void)malloc_trim(0);
}

static void watch_heap(struct rem_worker *worker)
{
    if (worker->given_back == worker->given_back_seen)
        return;
    worker->given_back_seen = worker->given_back;
    if (worker->given_back >= TRIM_BYTES)
        rem_timer_set(&worker->loop.timers, &worker->trim, TRIM_MS);
}

static void on_turn_end(void *data)
{
    struct rem_worker *worker = data;
    int64_t clients = rem_accept_clients(worker);

    rem_reader_quiesce(&worker->reader);
    watch_heap(worker);
    /* relaxed: written here alone; other workers compare themselves with it when they accept */
    if (atomic_load_explicit(&worker->counters->conn_active, memory_order_relaxed) != clients)
        atomic_store_explicit(&worker->counters->conn_active, clients, memory_order_relaxed);
}

/* The last connection of a draining worker has gone, or its listeners have, which may have brought
 * more until then; one that was opened since keeps it running. */
static void on_idle(struct rem_post *post)
{
    struct rem_worker *worker = REM_CONTAINER(post, struct rem_worker, idle);

    if (worker->draining && worker->connections == 0 && worker->accepting == NULL)
        rem_loop_stop(&worker->loop);
}

static void on_shutdown_timeout(struct rem_timer *timer)
{
    struct rem_worker *worker = REM_CONTAINER(timer, struct rem_worker, shutdown);

    REM_LOG(worker->loop.log, REM_LOG_NOTICE, 0,
            "worker_shutdown_timeout: closing %u open connections", worker->connections);
    worker->exiting = true;
    rem_loop_stop(&worker->loop);
}

int rem_worker_init(struct rem_worker *worker)
{
    int rc = rem_loop_init(&worker->loop, worker->setup->log);

    if (rc != REM_OK)
        return rc;
    worker->loop.on_turn_end = on_turn_end;
    worker->loop.turn_data = worker;
    worker->connection_limit = worker->setup->worker_connections;
    worker->log_files = worker->setup->log_files;
    rem_block_pool_init(&worker->small, REM_BLOCK_SMALL, KEEP_SMALL);
    rem_block_pool_init(&worker->large, REM_BLOCK_LARGE, KEEP_LARGE);
    worker->small.given_back = &worker->given_back;
    worker->large.given_back = &worker->given_back;
    rem_timer_init(&worker->trim, on_trim);
    rem_list_init(&worker->clients);
    rem_timer_init(&worker->shutdown, on_shutdown_timeout);
    rem_post_init(&worker->idle, on_idle);
    return REM_OK;
}

void rem_worker_fini(struct rem_worker *worker)
{
    rem_accept_fini(worker);
    rem_timer_cancel(&worker->loop.timers, &worker->shutdown);
    rem_timer_cancel(&worker->loop.timers, &worker->trim);
    rem_post_cancel(&worker->idle);
    rem_resolvers_free(worker);
    rem_loop_fini(&worker->loop);
    rem_block_pool_fini(&worker->small);
    rem_block_pool_fini(&worker->large);
}

int rem_worker_acquire(struct rem_worker *worker)
{
    if (worker->connections >= worker->connection_limit) {
        rem_accept_complain_limit(worker);
        return REM_EBUSY;
    }
    worker->connections++;
    return REM_OK;
}

void rem_worker_released(struct rem_worker *worker)
{
    REM_CHECK(worker->connections > 0);
    worker->connections--;
    worker->churn++;
    if (worker->draining) {
        if (worker->connections == 0)
            rem_loop_post(&worker->loop, &worker->idle);
        return;
    }
    rem_accept_room(worker);
}

void rem_worker_drain(struct rem_worker *worker)
{
    if (worker->draining)
        return;
    worker->draining = true;
    rem_listeners_disable(worker);
    if (worker->setup->worker_drain != NULL)
        worker->setup->worker_drain(worker);
    if (worker->setup->worker_shutdown_timeout_ms > 0)
        rem_timer_set(&worker->loop.timers, &worker->shutdown,
                      (uint64_t)worker->setup->worker_shutdown_timeout_ms);
    rem_loop_post(&worker->loop, &worker->idle);
}
