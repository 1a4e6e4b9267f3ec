/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/accept.h"

#include "proto/shm/stat.h"
#include "proxy/net/setup.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

/* How a worker accepts.  Events are level-triggered: all workers hear of a waiting connection, and
 * an idle one takes it.  A closing worker's descriptors go a turn after its events, when epoll has
 * forgotten them: the sockets live on in the master, and an epoll set would go on reporting a
 * socket that was closed here first. */
enum accept_state {
    ACCEPT_RUNNING = 0, /* the events are armed */
    ACCEPT_YIELDING,    /* off for YIELD_MS, in favour of a worker with fewer clients */
    ACCEPT_PAUSED,      /* off until something is released, at the latest for RETRY_MS */
    ACCEPT_CLOSING,     /* off for good: draining */
};

enum { RETRY_MS = 100, YIELD_MS = 5, CHURN_MS = 100, CLOSE_MS = 20, PER_TURN = 64, RECLAIM = 16 };

struct rem_accept {
    struct rem_worker *worker;
    struct rem_listener *listener;
    int *fd;     /* the listener's */
    bool shared; /* other workers accept from it too */
    struct event *event;
};

struct rem_listener_set {
    struct rem_worker *worker;
    enum accept_state state;
    struct rem_timer timer; /* YIELDING, PAUSED: when to try again; CLOSING: when to close */
    bool patient;           /* has yielded for the connection that waits now */
    size_t count;
    struct rem_accept each[];
};

/* A connection was taken (`accepted`), or none could be. */
static void count(const struct rem_accept *one, bool accepted)
{
    struct rem_shm_worker *counters = one->worker->counters;
    const struct rem_stat_spec *stat = one->listener->stat;
    struct rem_stat_listener_line *line = stat != NULL ? stat->line : NULL;

    rem_count(accepted ? &counters->conn_accepted : &counters->conn_rejected, 1);
    if (accepted)
        rem_count(&counters->conn_handled, 1);
    if (line != NULL)
        /* relaxed: each counter stands alone */
        atomic_fetch_add_explicit(accepted ? &line->accepted
                                           : &line->rejected[REM_REJECT_CONNECTIONS],
                                  1, memory_order_relaxed);
}

/* True once a second. */
static bool may_complain(struct rem_worker *worker)
{
    int64_t now = worker->loop.clock.wall_sec;

    if (worker->limit_logged_sec == now)
        return false;
    worker->limit_logged_sec = now;
    return true;
}

void rem_accept_complain_limit(struct rem_worker *worker)
{
    if (may_complain(worker))
        REM_LOG(worker->loop.log, REM_LOG_ALERT, 0, "%u worker_connections are not enough",
                worker->connection_limit);
}

/* Stops accepting for `ms`. */
static void rest(struct rem_listener_set *set, enum accept_state state, uint64_t ms)
{
    if (set->state == ACCEPT_RUNNING)
        for (size_t i = 0; i < set->count; i++)
            event_del(set->each[i].event);
    set->state = state;
    rem_timer_set(&set->worker->loop.timers, &set->timer, ms);
}

static void resume(struct rem_listener_set *set)
{
    set->state = ACCEPT_RUNNING;
    rem_timer_cancel(&set->worker->loop.timers, &set->timer);
    for (size_t i = 0; i < set->count; i++)
        if (event_add(set->each[i].event, NULL) != 0) {
            rest(set, ACCEPT_PAUSED, RETRY_MS); /* out of memory: tried again later */
            return;
        }
}

void rem_accept_room(struct rem_worker *worker)
{
    struct rem_listener_set *set = worker->accepting;

    if (set != NULL && set->state == ACCEPT_PAUSED &&
        worker->connections < worker->connection_limit)
        resume(set);
}

/* Where connections come and go, they share themselves out; yielding would only leave workers idle.
 */
static bool are_short_lived(struct rem_worker *worker, int64_t clients)
{
    uint64_t now = worker->loop.clock.mono_ms;
    uint64_t passed = now - worker->churn_from_ms;

    if (passed >= CHURN_MS) {
        worker->churn_before = passed < 2 * (uint64_t)CHURN_MS ? worker->churn : 0;
        worker->churn = 0;
        worker->churn_from_ms = now;
    }
    return (int64_t)worker->churn + worker->churn_before >= 4 * clients;
}

/* Does another worker of this configuration hold clearly fewer clients?  All hear of a waiting
 * connection, and whoever is awake already would win each time: a few long-lived clients could all
 * end up with one worker. */
static bool should_yield(struct rem_worker *worker)
{
    const struct rem_shm_header *header = worker->reader.header;
    int64_t mine = rem_accept_clients(worker);
    int seen = 1;

    if (mine < 2 || worker->setup->worker_processes < 2 || are_short_lived(worker, mine))
        return false;
    for (int i = 0; i < REM_SHM_WORKERS && seen < worker->setup->worker_processes; i++) {
        const struct rem_shm_worker *other = &header->workers[i];

        /* A stale answer does no harm: the worst is a connection accepted a little later. */
        if (i == worker->slot ||
            atomic_load_explicit(&other->state, memory_order_relaxed) != REM_WORKER_LIVE ||
            atomic_load_explicit(&other->config_generation, memory_order_relaxed) !=
                worker->generation)
            continue;
        seen++;
        if (atomic_load_explicit(&other->conn_active, memory_order_relaxed) + 1 + mine / 8 < mine)
            return true;
    }
    return false;
}

/* Is there room for one more?  Idle clients give way first, if http can name some. */
static bool has_room(struct rem_worker *worker)
{
    if (worker->connections < worker->connection_limit)
        return true;
    if (worker->setup->worker_reclaim == NULL ||
        worker->setup->worker_reclaim(worker, RECLAIM) == 0)
        return false;
    if (may_complain(worker))
        REM_LOG(worker->loop.log, REM_LOG_WARN, 0,
                "%u worker_connections are not enough, closing idle ones",
                worker->connection_limit);
    return worker->connections < worker->connection_limit;
}

/* What a failed accept4() means.  Returns whether to go on accepting. */
static bool on_failure(struct rem_accept *one, int sys)
{
    struct rem_worker *worker = one->worker;

    switch (sys) {
    case EINTR:
    case ECONNABORTED: /* the client has left the queue */
    case EPROTO:
        return true;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        count(one, false);
        if (may_complain(worker))
            REM_LOG(worker->loop.log, REM_LOG_CRIT, sys, "accept4() failed");
        if (worker->setup->worker_reclaim == NULL ||
            worker->setup->worker_reclaim(worker, RECLAIM) == 0)
            rest(worker->accepting, ACCEPT_PAUSED, RETRY_MS);
        return false;
    default:
        if (may_complain(worker))
            REM_LOG(worker->loop.log, REM_LOG_ERROR, sys, "accept4() failed");
        return false;
    }
}

/* Accepts one.  Returns whether there may be more. */
static bool accept_one(struct rem_accept *one)
{
    struct rem_worker *worker = one->worker;
    union rem_addr_any any;
    struct rem_addr peer;
    socklen_t len = sizeof(any);
    int client;

    if (!has_room(worker)) {
        count(one, false);
        rem_accept_complain_limit(worker);
        rest(worker->accepting, ACCEPT_PAUSED, RETRY_MS);
        return false;
    }
    client = accept4(*one->fd, &any.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return false;
        return on_failure(one, errno);
    }
    worker->connections++;
    count(one, true);
    rem_addr_from(&any.sa, len, &peer);
    one->listener->on_accept(worker, one->listener, client, &peer);
    return true;
}

static void on_waiting(evutil_socket_t fd, short what, void *data)
{
    struct rem_accept *one = data;
    struct rem_listener_set *set = one->worker->accepting;
    int left = one->worker->setup->multi_accept ? PER_TURN : 1;

    (void)fd;
    (void)what;
    rem_loop_enter(&one->worker->loop);
    if (one->shared && !set->patient && should_yield(one->worker)) {
        set->patient = true;
        rest(set, ACCEPT_YIELDING, YIELD_MS);
        return;
    }
    set->patient = false;
    while (left-- > 0 && set->state == ACCEPT_RUNNING && accept_one(one))
        continue;
}

static void free_set(struct rem_listener_set *set)
{
    rem_timer_cancel(&set->worker->loop.timers, &set->timer);
    for (size_t i = 0; i < set->count; i++)
        if (set->each[i].event != NULL)
            event_free(set->each[i].event);
    set->worker->accepting = NULL;
    free(set);
}

/* A draining worker must not keep a socket alive that the master may close for good; without a
 * master, clients are to learn that nobody accepts any more. */
static void close_all(struct rem_listener_set *set)
{
    struct rem_worker *worker = set->worker;

    REM_LIST_EACH(node, &worker->setup->listeners) {
        struct rem_listener *l = REM_LIST_ENTRY(node, struct rem_listener, node);

        for (int i = 0; i < l->fd_count; i++) {
            if (l->fds[i] >= 0)
                close(l->fds[i]);
            l->fds[i] = -1;
        }
    }
    free_set(set);
    rem_loop_post(&worker->loop, &worker->idle);
}

/* Does a worker of a later configuration live, for which what waits is meant? */
static bool has_successor(const struct rem_worker *worker)
{
    const struct rem_shm_header *header = worker->reader.header;

    for (int i = 0; i < REM_SHM_WORKERS; i++) {
        const struct rem_shm_worker *other = &header->workers[i];

        /* relaxed: a stale answer costs a connection at the most */
        if (atomic_load_explicit(&other->state, memory_order_relaxed) == REM_WORKER_LIVE &&
            atomic_load_explicit(&other->config_generation, memory_order_relaxed) >
                worker->generation)
            return true;
    }
    return false;
}

static void accept_waiting(struct rem_listener_set *set)
{
    const unsigned state = set->state;

    for (size_t i = 0; i < set->count; i++)
        for (int left = PER_TURN; left > 0 && set->state == state; left--)
            if (!accept_one(&set->each[i]))
                break;
}

static void on_timer(struct rem_timer *timer)
{
    struct rem_listener_set *set = REM_CONTAINER(timer, struct rem_listener_set, timer);

    if (set->state != ACCEPT_CLOSING) {
        resume(set);
        return;
    }
    /* Those that have come since nobody accepts any more would be reset. */
    if (!has_successor(set->worker))
        accept_waiting(set);
    close_all(set);
}

/* Sockets of other workers: connections go on coming in by them for as long as anybody holds them,
 * so that their owner could not end without losing some. */
static void close_others(struct rem_listener *listener, int index)
{
    for (int i = 0; i < listener->fd_count; i++)
        if (i != index && listener->fds[i] >= 0) {
            close(listener->fds[i]);
            listener->fds[i] = -1;
        }
}

static int enable_one(struct rem_listener_set *set, struct rem_listener *listener)
{
    struct rem_worker *worker = set->worker;
    struct rem_accept *one = &set->each[set->count];
    bool own = listener->fd_count > 1; /* a socket that no other worker accepts from */
    int index = own ? worker->index % listener->fd_count : 0;

    if (worker->setup->master_process)
        close_others(listener, index);
    *one = (struct rem_accept){worker, listener, &listener->fds[index], !own, NULL};
    one->event = event_new(worker->loop.base, *one->fd, EV_READ | EV_PERSIST, on_waiting, one);
    if (one->event == NULL)
        return REM_ENOMEM;
    set->count++;
    return event_add(one->event, NULL) == 0 ? REM_OK : REM_EIO;
}

int rem_listeners_enable(struct rem_list *listeners, struct rem_worker *worker)
{
    struct rem_listener_set *set;
    size_t n = 0;

    REM_LIST_EACH(node, listeners)
        n++;
    set = calloc(1, sizeof(*set) + n * sizeof(set->each[0]));
    if (set == NULL)
        return REM_ENOMEM;
    set->worker = worker;
    rem_timer_init(&set->timer, on_timer);
    worker->accepting = set;
    REM_LIST_EACH(at, listeners) {
        int rc = enable_one(set, REM_LIST_ENTRY(at, struct rem_listener, node));

        if (rc != REM_OK) {
            free_set(set);
            return rc;
        }
    }
    return REM_OK;
}

void rem_listeners_disable(struct rem_worker *worker)
{
    struct rem_listener_set *set = worker->accepting;

    if (set == NULL || set->state == ACCEPT_CLOSING)
        return;
    /* What waits is served rather than reset, should this be the last to hold the socket. */
    if (set->state <= ACCEPT_YIELDING)
        accept_waiting(set);
    rest(set, ACCEPT_CLOSING, CLOSE_MS);
}

void rem_accept_fini(struct rem_worker *worker)
{
    if (worker->accepting != NULL)
        free_set(worker->accepting);
}
