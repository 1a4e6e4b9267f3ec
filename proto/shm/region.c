/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/region.h"

#include "proto/shm/stat.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATS_PART = 16, STATS_MAX = 64 << 20 };

/* Catches a region made by a build whose structs differ though its layout number does not. */
static uint32_t layout_sizes(void)
{
    static const size_t sizes[] = {
        sizeof(struct rem_shm_header),        sizeof(struct rem_shm_worker),
        sizeof(struct rem_shm_line),          sizeof(struct rem_shm_server_slot),
        sizeof(struct rem_shm_set),           sizeof(struct rem_shm_server),
        sizeof(struct rem_shm_dir),           sizeof(struct rem_shm_dir_entry),
        sizeof(struct rem_shm_zombie),        sizeof(struct rem_shm_upstream_slot),
        sizeof(struct rem_shm_upstream_line), sizeof(struct rem_shm_resolver),
        sizeof(struct rem_shm_codes),         sizeof(struct rem_shm_table),
        sizeof(struct rem_shm_dir_table),     sizeof(struct rem_stat),
        sizeof(struct rem_stat_http_line)};
    uint32_t mix = 0;

    for (size_t i = 0; i < REM_COUNT(sizes); i++)
        mix = mix * 31 + (uint32_t)sizes[i];
    return mix;
}

static int map(struct rem_region *region, int fd, size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

    if (at == MAP_FAILED)
        return REM_ENOMEM;
    region->header = at;
    region->size = size;
    region->fd = fd;
    return REM_OK;
}

static uint32_t lines_for(unsigned workers)
{
    uint32_t lines = REM_SHM_LINES_MIN;

    while (lines < 2 * workers && lines < REM_SHM_LINES_MAX)
        lines *= 2;
    return lines;
}

/* Behind the header; only what is used of it costs memory. */
static size_t stats_room(size_t size)
{
    return size / STATS_PART < STATS_MAX ? size / STATS_PART : STATS_MAX;
}

int rem_region_create(struct rem_region *region, size_t size, unsigned workers)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct rem_region made;
    int fd, rc;

    if (size < REM_REGION_MIN || size > SIZE_MAX / 2)
        return REM_EINVAL;
    size = (size + page - 1) / page * page;
    fd = memfd_create("remora", MFD_CLOEXEC);
    if (fd < 0)
        return errno == ENOMEM ? REM_ENOMEM : REM_EIO;
    rc = ftruncate(fd, (off_t)size) == 0 ? map(&made, fd, size) : REM_EIO;
    if (rc != REM_OK) {
        close(fd);
        return rc;
    }
    /* Nobody else knows the region yet, and a new memfd is all zeroes. */
    made.header->magic = REM_SHM_MAGIC;
    made.header->layout = REM_SHM_LAYOUT;
    made.header->header_size = sizeof(*made.header);
    made.header->size = size;
    made.header->lines = made.lines = lines_for(workers);
    made.header->sizes = layout_sizes();
    made.header->stats = sizeof(*made.header);
    made.header->data = (sizeof(*made.header) + stats_room(size) + page - 1) / page * page;
    atomic_init(&made.header->stats_end, made.header->stats);
    atomic_init(&made.header->epoch, 1);
    atomic_init(&made.header->next_uid, 1);
    atomic_init(&made.header->high_water, made.header->data);
    *region = made;
    return REM_OK;
}

static int check_header(const struct rem_shm_header *header, size_t size)
{
    if (header->magic != REM_SHM_MAGIC)
        return REM_EINVAL;
    if (header->layout != REM_SHM_LAYOUT || header->header_size != sizeof(*header) ||
        header->sizes != layout_sizes())
        return REM_EUNSUPPORTED;
    if (header->size != size || header->data < sizeof(*header) || header->data > size ||
        header->lines < REM_SHM_LINES_MIN || header->lines > REM_SHM_LINES_MAX ||
        (header->lines & (header->lines - 1)) != 0 || header->stats != sizeof(*header) ||
        atomic_load_explicit(&header->stats_end, memory_order_relaxed) > header->data)
        return REM_EINVAL;
    return REM_OK;
}

int rem_region_attach(struct rem_region *region, int fd)
{
    struct rem_region made;
    struct stat st;
    int rc;

    if (fstat(fd, &st) != 0)
        return REM_EIO;
    if (st.st_size < (off_t)sizeof(struct rem_shm_header))
        return REM_EINVAL;
    rc = map(&made, fd, (size_t)st.st_size);
    if (rc != REM_OK)
        return rc;
    rc = check_header(made.header, made.size);
    if (rc != REM_OK) {
        munmap(made.header, made.size);
        return rc;
    }
    made.lines = made.header->lines;
    *region = made;
    return REM_OK;
}

void rem_region_close(struct rem_region *region)
{
    munmap(region->header, region->size);
    close(region->fd);
    memset(region, 0, sizeof(*region));
    region->fd = -1;
}

/* Which byte of the region stands for what. */
enum { LOCK_WRITER = 0, LOCK_STATS };

static int set_lock(const struct rem_region *region, short type, off_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    while (fcntl(region->fd, F_SETLKW, &lock) != 0)
        if (errno != EINTR)
            return REM_EIO;
    return REM_OK;
}

int rem_region_lock_writer(const struct rem_region *region)
{
    return set_lock(region, F_WRLCK, LOCK_WRITER);
}

int rem_region_lock_stats(const struct rem_region *region)
{
    return set_lock(region, F_WRLCK, LOCK_STATS);
}

void rem_region_unlock_stats(const struct rem_region *region)
{
    (void)set_lock(region, F_UNLCK, LOCK_STATS);
}

/* ---- worker slots ---- */

/* What lies on a line besides free slots, as bits 1 << state. */
static unsigned line_states(const struct rem_region *region, unsigned line)
{
    unsigned states = 0;

    for (unsigned slot = line; slot < REM_SHM_WORKERS; slot += region->lines)
        /* seq_cst: after our own store of LIVE; the agent stores CLEANING and then looks for LIVE.
         * One of the two sees the other. */
        states |= 1u << atomic_load(&region->header->workers[slot].state);
    return states;
}

static void zero_gauges(struct rem_shm_worker *worker)
{
    /* relaxed: the slot has no worker at this moment */
    atomic_store_explicit(&worker->conn_active, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->conn_reading, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->conn_writing, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->conn_waiting, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->requests_current, 0, memory_order_relaxed);
}

/* Takes a slot in state `from` on a line with none of the `unwanted` states. */
static bool claim_on(struct rem_region *region, uint32_t from, unsigned unwanted,
                     unsigned *out_slot)
{
    for (unsigned slot = 0; slot < REM_SHM_WORKERS; slot++) {
        struct rem_shm_worker *worker = &region->header->workers[slot];
        unsigned line = slot & (region->lines - 1);
        uint32_t expected = from;

        /* seq_cst throughout, see line_states; the agent may just now begin to clean a dead one */
        if (line_states(region, line) & unwanted ||
            !atomic_compare_exchange_strong(&worker->state, &expected, REM_WORKER_LIVE))
            continue;
        if (!(line_states(region, line) & 1u << REM_WORKER_CLEANING)) {
            *out_slot = slot;
            return true;
        }
        atomic_store(&worker->state, from);
    }
    return false;
}

int rem_region_claim_worker(struct rem_region *region, uint64_t config_generation, uint64_t now_ms,
                            unsigned *out_slot)
{
    const unsigned live = 1u << REM_WORKER_LIVE, dead = 1u << REM_WORKER_DEAD;
    const unsigned cleaning = 1u << REM_WORKER_CLEANING;
    struct rem_shm_worker *worker;
    unsigned slot;

    /* Best a line of one's own; next one shared with the living; then one that the agent has not
     * cleaned after a death, be it away or the line alive: it waits until the whole line is dead.
     * Last the slot of such a dead worker itself, as its line stays to be cleaned either way. */
    if (!claim_on(region, REM_WORKER_FREE, live | dead | cleaning, &slot) &&
        !claim_on(region, REM_WORKER_FREE, dead | cleaning, &slot) &&
        !claim_on(region, REM_WORKER_FREE, cleaning, &slot) &&
        !claim_on(region, REM_WORKER_DEAD, cleaning, &slot))
        return REM_EFULL;
    worker = &region->header->workers[slot];
    zero_gauges(worker);
    /* relaxed: the worker is forked after this; the agent only shows these */
    atomic_store_explicit(&worker->seen, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->pid, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->config_generation, config_generation, memory_order_relaxed);
    atomic_store_explicit(&worker->started_ms, now_ms, memory_order_relaxed);
    atomic_fetch_add_explicit(&worker->incarnation, 1, memory_order_relaxed);
    *out_slot = slot;
    return REM_OK;
}

void rem_region_set_worker_pid(struct rem_region *region, unsigned slot, pid_t pid)
{
    /* relaxed: shown only */
    atomic_store_explicit(&region->header->workers[slot].pid, pid, memory_order_relaxed);
}

void rem_region_worker_gone(struct rem_region *region, unsigned slot)
{
    struct rem_shm_worker *worker = &region->header->workers[slot];

    if (atomic_load(&worker->state) != REM_WORKER_LIVE)
        return;
    zero_gauges(worker);
    /* release: the process is gone, so are its reads; pairs with the writer's acquire of seen */
    atomic_store_explicit(&worker->seen, 0, memory_order_release);
    /* seq_cst: pairs with the agent's look at the line, see line_states */
    atomic_store(&worker->state, REM_WORKER_DEAD);
}

/* ---- sums; every load relaxed, each number stands alone ---- */

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

static void add_worker(const struct rem_shm_worker *worker, struct rem_region_totals *out)
{
    out->conn_accepted += LOAD(worker->conn_accepted);
    out->conn_handled += LOAD(worker->conn_handled);
    out->conn_rejected += LOAD(worker->conn_rejected);
    out->conn_active += LOAD(worker->conn_active);
    out->conn_reading += LOAD(worker->conn_reading);
    out->conn_writing += LOAD(worker->conn_writing);
    out->conn_waiting += LOAD(worker->conn_waiting);
    out->requests_current += LOAD(worker->requests_current);
    out->requests += LOAD(worker->requests);
    for (unsigned i = 0; i < REM_SHM_CLASSES; i++)
        out->responses[i] += LOAD(worker->responses[i]);
    out->received += LOAD(worker->received);
    out->sent += LOAD(worker->sent);
}

void rem_region_totals(const struct rem_region *region, struct rem_region_totals *out)
{
    const struct rem_shm_header *header = region->header;
    struct rem_region_totals totals = {0};

    for (unsigned slot = 0; slot < REM_SHM_WORKERS; slot++) {
        add_worker(&header->workers[slot], &totals);
        totals.workers_live += rem_region_worker_live(region, slot);
    }
    totals.worker_respawns = LOAD(header->worker_respawns);
    totals.agent_respawns = LOAD(header->agent_respawns);
    totals.reloads = LOAD(header->reloads);
    totals.reloads_failed = LOAD(header->reloads_failed);
    totals.config_generation = LOAD(header->config_generation);
    totals.started_sec = LOAD(header->started_sec);
    totals.reloaded_sec = LOAD(header->reloaded_sec);
    *out = totals;
}

uint64_t rem_region_revision(const struct rem_region *region)
{
    /* acquire: pairs with the writer's release of the root */
    uint64_t root = atomic_load_explicit(&region->header->root, memory_order_acquire);
    const struct rem_shm_dir *dir = rem_region_at(region, root);

    return root != 0 ? dir->revision : 0;
}

size_t rem_region_workers(const struct rem_region *region, struct rem_worker_status *out)
{
    uint64_t published = rem_region_revision(region);
    size_t count = 0;

    for (unsigned slot = 0; slot < REM_SHM_WORKERS; slot++) {
        const struct rem_shm_worker *worker = &region->header->workers[slot];

        if (!rem_region_worker_live(region, slot))
            continue;
        struct rem_worker_status *status = &out[count++];
        status->slot = slot;
        status->pid = LOAD(worker->pid);
        status->config_generation = LOAD(worker->config_generation);
        status->started_ms = LOAD(worker->started_ms);
        status->requests = LOAD(worker->requests);
        status->seen = LOAD(worker->seen);
        /* Offline it has nothing of its own: its next turn begins with the newest. */
        status->revision = status->seen == 0 ? published : LOAD(worker->revision);
    }
    return count;
}

/* ---- resolvers ---- */

struct rem_shm_resolver *rem_region_resolver(struct rem_shm_header *header, struct rem_str name)
{
    if (name.n == 0 || name.n > REM_SHM_RESOLVER_NAME)
        return NULL;
    for (size_t i = 0; i < REM_SHM_RESOLVERS; i++) {
        struct rem_shm_resolver *resolver = &header->resolvers[i];
        uint32_t state = atomic_load_explicit(&resolver->state, memory_order_acquire);

        if (state == REM_RESOLVER_USED &&
            rem_str_eq(rem_str_make(resolver->name, resolver->name_len), name))
            return resolver;
        /* acquire: nobody else writes the name from here on */
        if (state != REM_RESOLVER_FREE ||
            !atomic_compare_exchange_strong_explicit(&resolver->state, &state, REM_RESOLVER_NAMING,
                                                     memory_order_acquire, memory_order_relaxed))
            continue;
        memcpy(resolver->name, name.p, name.n);
        resolver->name_len = (uint32_t)name.n;
        atomic_store_explicit(&resolver->state, REM_RESOLVER_USED, memory_order_release);
        return resolver;
    }
    return NULL;
}
