/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - which servers are checked, and what the results make of them. */
#include "agent/check_priv.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { RANDOM_SEED = 88172645 };

/* ---- logs ---- */

/* ", health check "x" of peer 127.0.0.1:80 in upstream "u"", as people look for it. */
static void log_line(const struct rem_check *check, enum rem_log_level level, int sys_errno,
                     const char *what, const char *doing)
{
    const struct rem_check_spec *spec = check->spec;
    const struct rem_shm_server_slot *slot = check->target->slot;
    struct rem_str name = rem_check_name(spec);
    char port[sizeof(", port 65535")] = "", error[160] = "";

    if (spec->log->level < level)
        return;
    if (spec->port != 0)
        (void)snprintf(port, sizeof(port), ", port %u", spec->port);
    if (sys_errno != 0) {
        char text[128];
        (void)snprintf(error, sizeof(error), " (%d: %s)", sys_errno,
                       strerror_r(sys_errno, text, sizeof(text)));
    }
    rem_log_write(spec->log, level, 0,
                  "%s%s while %s, health check \"%.*s\" of peer %.*s in upstream \"%.*s\"%s", what,
                  error, doing, REM_STR_ARG(name), (int)slot->name_len, slot->name,
                  REM_STR_ARG(spec->upstream), port);
}

void rem_check_log_failure(const struct rem_check *check, int sys_errno, const char *what,
                           const char *doing)
{
    bool first = check->row == 0 || check->passed;

    log_line(check, first ? REM_LOG_ERROR : REM_LOG_INFO, sys_errno, what, doing);
}

/* ---- states ---- */

/* A server is as well as the worst of its checks has it. */
static enum rem_shm_health health_of(const struct rem_check_target *target)
{
    uint8_t worst = REM_HEALTH_UP;

    for (size_t i = 0; i < target->upstream->spec_count; i++)
        if (target->checks[i].state > worst)
            worst = target->checks[i].state;
    return (enum rem_shm_health)worst;
}

static void change_health(const struct rem_check *check, const char *doing)
{
    const struct rem_check_target *target = check->target;
    struct rem_checks *checks = target->upstream->owner;
    enum rem_shm_health to = health_of(target);
    const struct rem_check_change change = {
        .upstream = target->upstream->name,
        .server = {target->slot->name, target->slot->name_len},
        .id = target->server->id,
        .check = rem_check_name(check->spec),
        .to = to,
        .reason = doing,
    };

    if (rem_health_move(checks->writer, target->slot, to, checks->clock->mono_ms) &&
        to != REM_HEALTH_CHECKING && checks->on_change != NULL)
        checks->on_change(checks->data, &change);
}

/* The state after a result; the result has been counted. */
static uint8_t next_state(const struct rem_check *check)
{
    if (!check->passed)
        return check->row >= check->spec->fails ? REM_HEALTH_DOWN : check->state;
    /* One that has never passed need not do so several times. */
    if (check->state == REM_HEALTH_DOWN && check->row < check->spec->passes)
        return REM_HEALTH_DOWN;
    return REM_HEALTH_UP;
}

void rem_check_verdict(struct rem_check *check, bool passed, const char *doing)
{
    const struct rem_clock *clock = check->target->upstream->owner->clock;
    uint8_t state;

    rem_health_count(check->target->slot, passed,
                     (uint64_t)clock->wall_sec * 1000 + clock->wall_msec);
    if (check->row == 0 || check->passed != passed)
        check->row = 0;
    check->passed = passed;
    if (check->row < UINT32_MAX)
        check->row++;
    state = next_state(check);
    if (state == check->state)
        return;
    check->state = state;
    if (state == REM_HEALTH_DOWN)
        log_line(check, REM_LOG_WARN, 0, "peer is unhealthy", doing);
    else
        log_line(check, REM_LOG_NOTICE, 0, "peer is healthy", doing);
    change_health(check, doing);
}

/* ---- servers ---- */

static bool is_checked(const struct rem_shm_server *server)
{
    return (server->flags & REM_SERVER_DOWN) == 0;
}

/* What is left of an interval since the server was checked last, maybe by an agent before this one.
 */
static uint64_t rest_of_interval(const struct rem_check *check)
{
    const struct rem_clock *clock = check->target->upstream->owner->clock;
    uint64_t now = (uint64_t)clock->wall_sec * 1000 + clock->wall_msec;
    uint64_t last = rem_health_checked(check->target->slot), interval = check->spec->interval_ms;

    if (last > now) /* the clock was set back */
        return interval;
    return now - last < interval ? interval - (now - last) : 0;
}

/* When a server's check is first due.  One that nothing is known of, at once; else it takes a place
 * in the interval, or where that would be too late (agents may follow each other quickly), it is
 * checked before. */
static void start_check(struct rem_checks_io *io, struct rem_check *check, bool at_once)
{
    uint64_t now = io->owner->clock->mono_ms, due;

    check->turn_ms = now + rem_check_phase(io, check->spec->interval_ms);
    due = now + (at_once ? 0 : rest_of_interval(check));
    rem_check_wait(io, check, due < check->turn_ms ? due : check->turn_ms);
}

/* How a check sees a server that it does not know yet. */
static uint8_t first_state(const struct rem_checks *checks, const struct rem_check_spec *spec,
                           enum rem_shm_health health)
{
    if (health == REM_HEALTH_DOWN)
        return REM_HEALTH_DOWN; /* which check found it is forgotten: each must pass */
    if (!spec->mandatory)
        return REM_HEALTH_UP;
    if (health == REM_HEALTH_CHECKING || (checks->reloaded && !spec->persistent))
        return REM_HEALTH_CHECKING;
    return REM_HEALTH_UP;
}

static struct rem_check_target *target_new(struct rem_check_upstream *upstream,
                                           const struct rem_shm_server *server)
{
    struct rem_checks *checks = upstream->owner;
    size_t n = upstream->spec_count;
    struct rem_check_target *target = calloc(1, sizeof(*target) + n * sizeof(target->checks[0]));
    bool known;

    if (target == NULL)
        return NULL;
    target->upstream = upstream;
    target->uid = server->uid;
    target->server = server;
    target->slot = rem_health_slot(checks->writer, server);
    known = rem_health_known(target->slot);
    for (size_t i = 0; i < n; i++) {
        struct rem_check *check = &target->checks[i];

        check->target = target;
        check->spec = upstream->specs[i];
        check->at = REM_CHECK_NOWHERE;
        check->state = first_state(checks, check->spec, rem_health_get(target->slot));
        if (is_checked(server))
            start_check(checks->io, check, !known || check->state == REM_HEALTH_CHECKING);
    }
    (void)rem_health_move(checks->writer, target->slot, health_of(target), checks->clock->mono_ms);
    return target;
}

static void target_pause(struct rem_check_target *target)
{
    struct rem_checks_io *io = target->upstream->owner->io;

    for (size_t i = 0; i < target->upstream->spec_count; i++) {
        struct rem_check *check = &target->checks[i];

        rem_check_unwait(io, check);
        check->running = false;
        rem_check_close(io, check);
    }
}

static void target_free(struct rem_check_target *target)
{
    target_pause(target);
    free(target);
}

/* The server as the new set has it: one that is down is not asked. */
static void target_update(struct rem_check_target *target, const struct rem_shm_server *server,
                          bool was_checked)
{
    struct rem_checks_io *io = target->upstream->owner->io;

    target->server = server;
    if (was_checked == is_checked(server))
        return;
    if (was_checked)
        target_pause(target);
    else
        for (size_t i = 0; i < target->upstream->spec_count; i++)
            start_check(io, &target->checks[i], true);
}

/* ---- keeping in step with the registry ---- */

/* The targets of a former set, to be found by their servers. */
struct past {
    struct rem_check_target **targets;
    size_t count;
    size_t at;       /* those before it have been looked at in order */
    uint32_t *table; /* by uid: index + 1; NULL: not needed so far */
    size_t mask;
};

static int past_index(struct past *past)
{
    size_t size = 16;

    while (size < past->count * 2)
        size *= 2;
    past->table = calloc(size, sizeof(*past->table));
    if (past->table == NULL)
        return REM_ENOMEM;
    past->mask = size - 1;
    for (size_t i = 0; i < past->count; i++) {
        size_t at;

        if (past->targets[i] == NULL)
            continue;
        at = past->targets[i]->uid * UINT64_C(0x9e3779b97f4a7c15) >> 20 & past->mask;
        while (past->table[at] != 0)
            at = (at + 1) & past->mask;
        past->table[at] = (uint32_t)i + 1;
    }
    return REM_OK;
}

/* Takes a server's target out of the past.  Mostly the order is the same, or one is missing. */
static int past_take(struct past *past, uint64_t uid, struct rem_check_target **out)
{
    *out = NULL;
    while (past->at < past->count && past->targets[past->at] == NULL)
        past->at++;
    if (past->at < past->count && past->targets[past->at]->uid == uid) {
        *out = past->targets[past->at];
        past->targets[past->at++] = NULL;
        return REM_OK;
    }
    if (past->table == NULL && past_index(past) != REM_OK)
        return REM_ENOMEM;
    for (size_t at = uid * UINT64_C(0x9e3779b97f4a7c15) >> 20 & past->mask; past->table[at] != 0;
         at = (at + 1) & past->mask) {
        size_t i = past->table[at] - 1;

        if (past->targets[i] == NULL || past->targets[i]->uid != uid)
            continue;
        *out = past->targets[i];
        past->targets[i] = NULL;
        return REM_OK;
    }
    return REM_OK;
}

static bool was_checked(const struct rem_check_target *target)
{
    for (size_t i = 0; i < target->upstream->spec_count; i++)
        if (target->checks[i].running || target->checks[i].at != REM_CHECK_NOWHERE)
            return true;
    return false;
}

/* Descriptors for as many connections as there may be. */
static void raise_limit(struct rem_checks_io *io, size_t wanted)
{
    struct rlimit limit;
    rlim_t need = wanted + REM_CHECK_FDS_SPARE;

    if (wanted <= io->open_max || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur < need && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    io->open_max = limit.rlim_cur > REM_CHECK_FDS_SPARE + REM_CHECK_OPEN_MIN
                       ? (size_t)(limit.rlim_cur - REM_CHECK_FDS_SPARE)
                       : REM_CHECK_OPEN_MIN;
    if (io->open_max > REM_CHECK_OPEN_MAX)
        io->open_max = REM_CHECK_OPEN_MAX;
}

/* Brings the targets in line with the set.  Without memory what cannot be checked is not. */
static void update(struct rem_check_upstream *upstream, const struct rem_shm_set *set)
{
    struct rem_checks_io *io = upstream->owner->io;
    struct past past = {.targets = upstream->targets, .count = upstream->target_count};
    size_t room = set != NULL ? set->count : 0;
    struct rem_check_target **now = calloc(room + 1, sizeof(struct rem_check_target *));
    size_t n = 0;

    upstream->set = set;
    upstream->set_uid = set != NULL ? set->uid : 0;
    /* Old and new ones are there at the same time. */
    if (now == NULL || rem_check_reserve(io, io->checks + room * upstream->spec_count) != REM_OK)
        room = 0;
    raise_limit(io, io->checks + room * upstream->spec_count);
    io->checks -= past.count * upstream->spec_count;
    for (uint32_t i = 0; i < room; i++) {
        const struct rem_shm_server *server = rem_set_server(set, i);
        struct rem_check_target *target;

        if (past_take(&past, server->uid, &target) != REM_OK)
            break;
        if (target != NULL)
            target_update(target, server, was_checked(target));
        else
            target = target_new(upstream, server);
        if (target != NULL)
            now[n++] = target;
    }
    for (size_t i = 0; i < past.count; i++)
        if (past.targets[i] != NULL)
            target_free(past.targets[i]);
    free(past.table);
    free(past.targets);
    upstream->targets = now;
    upstream->target_count = n;
    io->checks += n * upstream->spec_count;
}

void rem_checks_sync(struct rem_checks *checks)
{
    if (checks->io == NULL || checks->epoch == rem_writer_epoch(checks->writer))
        return;
    checks->epoch = rem_writer_epoch(checks->writer);
    for (size_t i = 0; i < checks->upstream_count; i++) {
        struct rem_check_upstream *upstream = &checks->upstreams[i];
        const struct rem_shm_set *set = rem_health_set(checks->writer, upstream->name);

        if (set != upstream->set || (set != NULL && set->uid != upstream->set_uid))
            update(upstream, set);
    }
    rem_check_arm(checks->io);
}

/* ---- beginning and end ---- */

static void forget_unchecked(void *data, const struct rem_shm_set *set)
{
    const struct rem_checks *checks = data;
    struct rem_str name = rem_set_text(set, set->name);

    for (size_t i = 0; i < checks->upstream_count; i++)
        if (rem_str_eq(checks->upstreams[i].name, name))
            return;
    rem_health_forget(checks->writer, set, checks->clock->mono_ms);
}

static struct rem_check_upstream *upstream_named(struct rem_checks *checks, struct rem_str name)
{
    for (size_t i = 0; i < checks->upstream_count; i++)
        if (rem_str_eq(checks->upstreams[i].name, name))
            return &checks->upstreams[i];
    checks->upstreams[checks->upstream_count] =
        (struct rem_check_upstream){.owner = checks, .name = name};
    return &checks->upstreams[checks->upstream_count++];
}

static int add_spec(struct rem_checks *checks, const struct rem_check_spec *spec)
{
    struct rem_check_upstream *upstream = upstream_named(checks, spec->upstream);
    const struct rem_check_spec **grown =
        reallocarray(upstream->specs, upstream->spec_count + 1, sizeof(*grown));

    if (grown == NULL)
        return REM_ENOMEM;
    grown[upstream->spec_count++] = spec;
    upstream->specs = grown;
    return REM_OK;
}

static int start_io(struct rem_checks *checks, struct event_base *base)
{
    struct rem_checks_io *io = calloc(1, sizeof(*io));

    if (io == NULL)
        return REM_ENOMEM;
    checks->io = io;
    io->owner = checks;
    io->random = RANDOM_SEED + checks->clock->mono_ms;
    rem_list_init(&io->idle);
    rem_block_pool_init(&io->pool, REM_CHECK_HOLD, 4);
    rem_arena_init(&io->arena, &io->pool);
    io->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (io->epoll < 0)
        return REM_EIO;
    raise_limit(io, REM_CHECK_OPEN_MIN);
    io->timer = evtimer_new(base, rem_check_on_timer, io);
    io->ready = event_new(base, io->epoll, EV_READ | EV_PERSIST, rem_check_on_ready, io);
    if (io->timer == NULL || io->ready == NULL || event_add(io->ready, NULL) != 0)
        return REM_ENOMEM;
    return REM_OK;
}

int rem_checks_start(struct rem_checks *checks, struct event_base *base,
                     const struct rem_check_spec *specs, size_t count, bool reloaded)
{
    int rc = REM_OK;

    checks->reloaded = reloaded;
    checks->upstreams = calloc(count + 1, sizeof(*checks->upstreams));
    if (checks->upstreams == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; rc == REM_OK && i < count; i++)
        rc = add_spec(checks, &specs[i]);
    if (rc == REM_OK)
        rem_health_each(checks->writer, forget_unchecked, checks);
    if (rc == REM_OK && count != 0)
        rc = start_io(checks, base);
    if (rc != REM_OK)
        return rc;
    rem_checks_sync(checks);
    checks->reloaded = false; /* servers that come later are new ones */
    return REM_OK;
}

static void stop_io(struct rem_checks_io *io)
{
    rem_check_conns_free(io);
    if (io->timer != NULL)
        event_free(io->timer);
    if (io->ready != NULL)
        event_free(io->ready);
    if (io->epoll >= 0)
        (void)close(io->epoll);
    rem_arena_reset(&io->arena);
    rem_block_pool_fini(&io->pool);
    free(io->starts.v);
    free(io->deadlines.v);
    free(io);
}

void rem_checks_stop(struct rem_checks *checks)
{
    for (size_t i = 0; i < checks->upstream_count; i++) {
        struct rem_check_upstream *upstream = &checks->upstreams[i];

        for (size_t k = 0; k < upstream->target_count; k++)
            target_free(upstream->targets[k]);
        free(upstream->targets);
        free(upstream->specs);
    }
    free(checks->upstreams);
    if (checks->io != NULL)
        stop_io(checks->io);
    checks->io = NULL;
    checks->upstreams = NULL;
    checks->upstream_count = 0;
}
