/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - connections to servers, idle and not, and a worker's state of upstreams. */
#include "proxy/upstream/pool.h"

#include "proxy/net/setup.h"
#include "proxy/upstream/bind.h"
#include "proxy/upstream/limits.h"
#include "proxy/upstream/queue.h"
#include "proxy/upstream/upstream_conf.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum { REM_POOL_BUCKETS = 64, REM_POOL_CONNS_KEPT = 256, REM_POOL_BLOCKS_KEPT = 32 };

static void on_idle_event(struct rem_conn *conn);
static void on_idle_timer(struct rem_timer *timer);
static void on_free(struct rem_post *post);

/* ---- the table of idle connections ---- */

static struct rem_list *pool_bucket(struct rem_upstream_worker *upstreams, uint64_t key)
{
    /* uids are handed out in sequence, so the multiplication spreads them. */
    return &upstreams->buckets[(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
                               (upstreams->bucket_count - 1)];
}

static struct rem_upstream_conn *pool_leader(struct rem_upstream_worker *upstreams, uint64_t key)
{
    struct rem_list *bucket = pool_bucket(upstreams, key);

    REM_LIST_EACH(node, bucket) {
        struct rem_upstream_conn *uc = REM_LIST_ENTRY(node, struct rem_upstream_conn, chain);
        if (uc->key == key)
            return uc;
    }
    return NULL;
}

/* Doubles the table; without memory the chains just get longer. */
static void pool_grow(struct rem_upstream_worker *upstreams)
{
    struct rem_list *old = upstreams->buckets;
    uint32_t count = upstreams->bucket_count;
    struct rem_list *fresh = malloc(sizeof(*fresh) * count * 2);

    if (fresh == NULL)
        return;
    upstreams->buckets = fresh;
    upstreams->bucket_count = count * 2;
    for (uint32_t i = 0; i < count * 2; i++)
        rem_list_init(&fresh[i]);
    for (uint32_t i = 0; i < count; i++) {
        REM_LIST_EACH(node, &old[i]) {
            struct rem_upstream_conn *uc = REM_LIST_ENTRY(node, struct rem_upstream_conn, chain);
            rem_list_remove(node);
            rem_list_append(pool_bucket(upstreams, uc->key), node);
        }
    }
    free(old);
}

static void pool_link(struct rem_upstream_conn *uc)
{
    struct rem_upstream_worker *upstreams = uc->owner;
    struct rem_upstream_conn *leader = pool_leader(upstreams, uc->key);

    if (leader == NULL) {
        uc->leader = true;
        rem_list_append(pool_bucket(upstreams, uc->key), &uc->chain);
    } else {
        rem_list_append(&leader->siblings, &uc->siblings);
    }
    rem_list_append(&uc->group->idle, &uc->lru);
    uc->group->idle_count++;
    if (++upstreams->idle_count > upstreams->bucket_count)
        pool_grow(upstreams);
}

/* The registry's gauge. */
static void pool_count_idle(struct rem_upstream_conn *uc, int n)
{
    rem_upstream_count_idle(&uc->owner->worker->reader, &uc->group->ref, uc->idle_uid, n);
}

static void pool_unlink(struct rem_upstream_conn *uc)
{
    struct rem_upstream_worker *upstreams = uc->owner;

    if (uc->leader) {
        rem_list_remove(&uc->chain);
        uc->leader = false;
        if (!rem_list_empty(&uc->siblings)) {
            struct rem_upstream_conn *heir =
                REM_LIST_ENTRY(uc->siblings.next, struct rem_upstream_conn, siblings);
            heir->leader = true;
            rem_list_append(pool_bucket(upstreams, uc->key), &heir->chain);
        }
    }
    rem_list_remove(&uc->siblings);
    rem_list_remove(&uc->lru);
    uc->group->idle_count--;
    upstreams->idle_count--;
    pool_count_idle(uc, -1);
}

/* ---- closing ---- */

static void conn_destroy(struct rem_upstream_conn *uc)
{
    if (uc->closed)
        return;
    uc->closed = true;
    uc->exchange = NULL;
    rem_limits_closed(uc);
    rem_conn_close(&uc->conn);
    rem_worker_released(uc->owner->worker);
    rem_loop_defer(&uc->owner->worker->loop, &uc->free);
}

static void on_free(struct rem_post *post)
{
    struct rem_upstream_conn *uc = REM_CONTAINER(post, struct rem_upstream_conn, free);
    struct rem_upstream_worker *upstreams = uc->owner;

    uc->magic = 0;
    rem_block_put(&upstreams->conns, uc);
}

void rem_pool_close(struct rem_upstream_conn **conn)
{
    struct rem_upstream_conn *uc = *conn;

    *conn = NULL;
    if (uc == NULL)
        return;
    REM_CHECK_OBJ(uc, REM_UPSTREAM_CONN_MAGIC);
    conn_destroy(uc);
}

static void idle_drop(struct rem_upstream_conn *uc)
{
    pool_unlink(uc);
    conn_destroy(uc);
}

bool rem_pool_evict(struct rem_upstream_group *group)
{
    if (rem_list_empty(&group->idle))
        return false;
    idle_drop(REM_LIST_ENTRY(group->idle.next, struct rem_upstream_conn, lru));
    return true;
}

uint32_t rem_pool_reclaim(struct rem_upstream_worker *upstreams, uint32_t n)
{
    uint32_t closed = 0;

    /* Whose they are makes no difference, so that nobody has to keep them in order for this. */
    for (uint32_t i = 0; i < upstreams->bucket_count && closed < n; i++) {
        const struct rem_list *bucket =
            &upstreams->buckets[upstreams->reclaim_at++ & (upstreams->bucket_count - 1)];

        for (; closed < n && !rem_list_empty(bucket); closed++)
            idle_drop(REM_LIST_ENTRY(bucket->next, struct rem_upstream_conn, chain));
        if (upstreams->idle_count == 0)
            break;
    }
    return closed;
}

uint32_t rem_upstream_worker_reclaim(struct rem_worker *worker, uint32_t n)
{
    return worker->upstreams != NULL ? rem_pool_reclaim(worker->upstreams, n) : 0;
}

static void on_idle_event(struct rem_conn *conn)
{
    struct rem_upstream_conn *uc = REM_CONTAINER(conn, struct rem_upstream_conn, conn);

    /* Bytes nobody asked for are as bad as an end: the next answer would not be ours. */
    if (conn->readable || conn->hangup || conn->error)
        idle_drop(uc);
}

static void on_idle_timer(struct rem_timer *timer)
{
    struct rem_conn *conn = REM_CONTAINER(timer, struct rem_conn, timer);

    idle_drop(REM_CONTAINER(conn, struct rem_upstream_conn, conn));
}

/* ---- opening ---- */

/* Closes it, leaving errno.  Returns: `rc`. */
static int socket_drop(int fd, int rc)
{
    int saved = errno;

    close(fd);
    errno = saved;
    return rc;
}

/* An idle connection gives its descriptor, should these have run out. */
static int make_socket(struct rem_upstream_worker *upstreams, int family)
{
    const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(family, type, 0);

    if (fd < 0 && errno == EMFILE && rem_pool_reclaim(upstreams, 1) != 0)
        fd = socket(family, type, 0);
    return fd;
}

/* Returns: REM_OK, REM_EIO, REM_EACCES or REM_EFULL. */
static int conn_socket(struct rem_upstream_worker *upstreams, const struct rem_addr *addr,
                       const struct rem_upstream_local *local, bool keepalive, int *out,
                       bool *connected)
{
    int fd = make_socket(upstreams, rem_addr_family(addr));

    if (fd < 0)
        return REM_EFULL;
    if (local != NULL && rem_bind_socket(fd, local) != 0)
        return socket_drop(fd, REM_EACCES);
    if (rem_addr_family(addr) != AF_UNIX) {
        int on = 1;
        /* A head and a body that leave in two writes must not wait for an acknowledgement. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (keepalive)
            (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    *connected = connect(fd, &addr->u.sa, addr->len) == 0;
    if (!*connected && errno != EINPROGRESS)
        return socket_drop(fd, REM_EIO);
    *out = fd;
    return 0;
}

static void conn_init(struct rem_upstream_conn *uc, struct rem_upstream_worker *upstreams,
                      uint64_t key)
{
    memset(uc, 0, sizeof(*uc));
    uc->magic = REM_UPSTREAM_CONN_MAGIC;
    uc->owner = upstreams;
    uc->key = key;
    uc->opened_ms = upstreams->worker->loop.clock.mono_ms;
    uc->conn.number = ++upstreams->worker->next_number;
    rem_list_init(&uc->lru);
    rem_list_init(&uc->chain);
    rem_list_init(&uc->siblings);
    rem_post_init(&uc->free, on_free);
    rem_timer_init(&uc->conn.timer, rem_upstream_on_timer);
}

int rem_pool_open(struct rem_upstream_worker *upstreams, const struct rem_addr *addr,
                  const struct rem_upstream_local *local, uint64_t key, bool keepalive,
                  struct rem_upstream_conn **out)
{
    struct rem_worker *worker = upstreams->worker;
    struct rem_upstream_conn *uc;
    int fd = -1, rc;

    if (REM_UNLIKELY(worker->connections >= worker->connection_limit))
        (void)rem_pool_reclaim(upstreams, 1);
    rc = rem_worker_acquire(worker);
    if (rc != 0)
        return rc;
    uc = rem_block_get(&upstreams->conns);
    if (uc == NULL) {
        rem_worker_released(worker);
        return REM_ENOMEM;
    }
    conn_init(uc, upstreams, key);
    rc = conn_socket(upstreams, addr, local, keepalive, &fd, &uc->connected);
    if (rc == 0)
        rc = rem_conn_open(&uc->conn, &worker->loop, fd, uc->connected, rem_upstream_on_conn);
    if (rc != 0) {
        int saved = errno;
        rem_block_put(&upstreams->conns, uc);
        rem_worker_released(worker);
        errno = saved;
        return rc;
    }
    uc->conn.nodelay_set = true;
    *out = uc;
    return 0;
}

/* ---- idle connections ---- */

struct rem_upstream_conn *rem_pool_get(struct rem_upstream_worker *upstreams, uint64_t key)
{
    for (;;) {
        struct rem_upstream_conn *uc = pool_leader(upstreams, key);

        if (uc == NULL)
            return NULL;
        /* The youngest: it is the least likely to be closed just now. */
        if (!rem_list_empty(&uc->siblings))
            uc = REM_LIST_ENTRY(uc->siblings.prev, struct rem_upstream_conn, siblings);
        if (uc->conn.readable || uc->conn.hangup || uc->conn.error) {
            idle_drop(uc);
            continue;
        }
        pool_unlink(uc);
        uc->group = NULL;
        uc->reused = true;
        uc->conn.on_event = rem_upstream_on_conn;
        uc->conn.timer.fire = rem_upstream_on_timer;
        return uc;
    }
}

void rem_pool_prefetch(struct rem_upstream_worker *upstreams, uint64_t next, uint64_t later)
{
    const struct rem_list *bucket = pool_bucket(upstreams, next);
    const char *uc = (const char *)REM_LIST_ENTRY(bucket->next, struct rem_upstream_conn, chain);

    if (later != 0)
        __builtin_prefetch(pool_bucket(upstreams, later));
    if (next == 0 || rem_list_empty(bucket))
        return;
    for (size_t at = 0; at < sizeof(struct rem_upstream_conn); at += REM_CACHE_LINE)
        __builtin_prefetch(uc + at, 1);
}

/* Whether nothing more can be waiting on the socket.  When the last read filled its room exactly,
 * nobody knows, and no event would come for bytes that are there already: ask. */
static bool conn_is_quiet(struct rem_upstream_conn *uc)
{
    char byte;

    if (uc->conn.readable && rem_conn_recv(&uc->conn, &byte, 1) != REM_EAGAIN)
        return false;
    return !uc->conn.hangup && !uc->conn.error;
}

void rem_pool_put(struct rem_upstream_conn **conn, struct rem_upstream_group *group,
                  const struct rem_keepalive_spec *limits, uint64_t upstream_uid)
{
    struct rem_upstream_conn *uc = *conn;
    struct rem_worker *worker = uc->owner->worker;
    uint64_t now = worker->loop.clock.mono_ms;

    REM_CHECK_OBJ(uc, REM_UPSTREAM_CONN_MAGIC);
    *conn = NULL;
    uc->exchange = NULL;
    if (limits->connections == 0 || worker->draining || uc->requests >= limits->requests ||
        (limits->time_ms != 0 && now - uc->opened_ms >= limits->time_ms) ||
        limits->timeout_ms == 0 || !rem_limits_may_idle(group) || !conn_is_quiet(uc)) {
        conn_destroy(uc);
        return;
    }
    while (group->idle_count >= limits->connections)
        idle_drop(REM_LIST_ENTRY(group->idle.next, struct rem_upstream_conn, lru));
    uc->group = group;
    uc->idle_uid = upstream_uid;
    uc->conn.on_event = on_idle_event;
    uc->conn.timer.fire = on_idle_timer;
    pool_link(uc);
    pool_count_idle(uc, 1);
    rem_timer_set(&worker->loop.timers, &uc->conn.timer, limits->timeout_ms);
}

/* ---- groups ---- */

static void group_init(struct rem_upstream_group *group, struct rem_upstream_worker *upstreams,
                       struct rem_str name)
{
    rem_upstream_ref_init(&group->ref, name);
    rem_list_init(&group->idle);
    group->owner = upstreams;
    rem_queue_init(group);
}

struct rem_upstream_group *rem_pool_group(struct rem_upstream_worker *upstreams,
                                          const struct rem_upstream *upstream)
{
    struct rem_upstream_group *group;

    if (REM_UNLIKELY(upstream->index >= upstreams->configured_count)) {
        uint32_t count = upstream->index + 16;
        struct rem_upstream_group **grown =
            realloc(upstreams->configured, count * sizeof(struct rem_upstream_group *));
        if (grown == NULL)
            return NULL;
        for (uint32_t i = upstreams->configured_count; i < count; i++)
            grown[i] = NULL;
        upstreams->configured = grown;
        upstreams->configured_count = count;
    }
    group = upstreams->configured[upstream->index];
    if (REM_LIKELY(group != NULL))
        return group;
    group = calloc(1, sizeof(*group));
    if (group == NULL)
        return NULL;
    group_init(group, upstreams, upstream->name);
    group->conf = upstream;
    upstreams->configured[upstream->index] = group;
    return group;
}

struct rem_upstream_group *rem_pool_group_named(struct rem_upstream_worker *upstreams,
                                                struct rem_str name)
{
    struct rem_upstream_group **at =
        &upstreams->named[rem_hash(name.p, name.n) & (REM_POOL_NAMES - 1)];
    struct rem_upstream_group *group;
    struct rem_upstream_ref probe;
    bool known;

    for (group = *at; group != NULL; group = group->next) {
        if (rem_str_eq(group->ref.name, name))
            return group;
    }
    /* Names may come from clients: only those the registry knows are worth remembering. */
    rem_upstream_ref_init(&probe, name);
    known = rem_reader_find(&upstreams->worker->reader, &probe) != NULL;
    rem_upstream_ref_fini(&probe);
    if (!known || (group = calloc(1, sizeof(*group))) == NULL)
        return NULL;
    group->name = malloc(name.n + 1);
    if (group->name == NULL) {
        free(group);
        return NULL;
    }
    memcpy(group->name, name.p, name.n);
    group_init(group, upstreams, rem_str_make(group->name, name.n));
    group->next = *at;
    *at = group;
    return group;
}

static void drop_idle(struct rem_upstream_group *group)
{
    while (!rem_list_empty(&group->idle))
        idle_drop(REM_LIST_ENTRY(group->idle.next, struct rem_upstream_conn, lru));
}

static void group_free(struct rem_upstream_group *group)
{
    rem_queue_fini(group);
    rem_upstream_ref_fini(&group->ref);
    free(group->name);
    free(group);
}

/* ---- the worker ---- */

int rem_upstream_worker_init(struct rem_worker *worker)
{
    struct rem_upstream_worker *upstreams = calloc(1, sizeof(*upstreams));

    if (upstreams == NULL)
        return REM_ENOMEM;
    upstreams->buckets = malloc(sizeof(*upstreams->buckets) * REM_POOL_BUCKETS);
    if (upstreams->buckets == NULL) {
        free(upstreams);
        return REM_ENOMEM;
    }
    upstreams->worker = worker;
    upstreams->bucket_count = REM_POOL_BUCKETS;
    for (uint32_t i = 0; i < REM_POOL_BUCKETS; i++)
        rem_list_init(&upstreams->buckets[i]);
    rem_block_pool_init(&upstreams->blocks, REM_RELAY_BIG, REM_POOL_BLOCKS_KEPT);
    rem_block_pool_init(&upstreams->conns, sizeof(struct rem_upstream_conn), REM_POOL_CONNS_KEPT);
    upstreams->blocks.given_back = &worker->given_back;
    upstreams->conns.given_back = &worker->given_back;
    worker->upstreams = upstreams;
    return 0;
}

void rem_upstream_worker_drain(struct rem_worker *worker)
{
    struct rem_upstream_worker *upstreams = worker->upstreams;

    if (upstreams == NULL)
        return;
    for (uint32_t i = 0; i < upstreams->configured_count; i++) {
        if (upstreams->configured[i] != NULL)
            drop_idle(upstreams->configured[i]);
    }
    for (uint32_t i = 0; i < REM_POOL_NAMES; i++) {
        for (struct rem_upstream_group *g = upstreams->named[i]; g != NULL; g = g->next)
            drop_idle(g);
    }
}

void rem_upstream_worker_fini(struct rem_worker *worker)
{
    struct rem_upstream_worker *upstreams = worker->upstreams;

    if (upstreams == NULL)
        return;
    rem_upstream_worker_drain(worker);
    /* What was closed just now is freed with the pool, not at the end of a turn that never ends. */
    REM_LIST_EACH(node, &worker->loop.deferred) {
        struct rem_post *post = REM_LIST_ENTRY(node, struct rem_post, node);
        if (post->run == on_free) {
            rem_list_remove(node);
            on_free(post);
        }
    }
    for (uint32_t i = 0; i < upstreams->configured_count; i++) {
        if (upstreams->configured[i] != NULL)
            group_free(upstreams->configured[i]);
    }
    for (uint32_t i = 0; i < REM_POOL_NAMES; i++) {
        for (struct rem_upstream_group *g = upstreams->named[i], *next; g != NULL; g = next) {
            next = g->next;
            group_free(g);
        }
    }
    rem_block_pool_fini(&upstreams->blocks);
    rem_block_pool_fini(&upstreams->conns);
    free(upstreams->configured);
    free(upstreams->buckets);
    free(upstreams);
    worker->upstreams = NULL;
}
