/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/dns/dns.h"
#include "proxy/process/master.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { AGENT_TRIES = 5 };

/* The directory of an admin socket is made when it is missing: /run is empty after a boot. */
static void make_socket_dirs(struct rem_list *listeners)
{
    REM_LIST_EACH(node, listeners) {
        const struct rem_addr *addr = &REM_LIST_ENTRY(node, struct rem_listener, node)->addr;
        char path[sizeof(addr->u.un.sun_path) + 1];
        char *slash;

        if (rem_addr_family(addr) != AF_UNIX || addr->u.un.sun_path[0] != '/')
            continue;
        snprintf(path, sizeof(path), "%s", addr->u.un.sun_path);
        slash = strrchr(path, '/');
        if (slash == path)
            continue;
        *slash = '\0';
        (void)mkdir(path, 0755); /* that it could not be made is told by bind() */
    }
}

/* Once made it stays, and is served: workers of former configurations may go on using it. */
static int open_inlet(struct rem_master *m, struct rem_generation *gen, struct rem_err *err)
{
    if (!rem_inlet_is_open(&m->inlet) && !gen->setup.wants_inlet)
        return REM_OK;
    if (!rem_inlet_is_open(&m->inlet) && rem_inlet_open(&m->inlet) != REM_OK)
        return rem_err_set(err, REM_EIO, "could not make the socket for \"api\" (%d: %s)", errno,
                           strerror(errno));
    gen->setup.inlet = &m->inlet;
    return REM_OK;
}

int rem_reload_open(struct rem_master *m, struct rem_generation *gen, struct rem_generation *old,
                    struct rem_err *err)
{
    struct rem_list *http = old != NULL ? &old->setup.listeners : &m->inherited_listeners;
    struct rem_list *admin = old != NULL ? &old->setup.admin_listeners : &m->inherited_listeners;
    int rc = rem_zones_open(gen->setup.zones, old != NULL ? old->setup.zones : NULL, err);

    if (rc == REM_OK)
        rc = open_inlet(m, gen, err);
    if (rc == REM_OK)
        rc = rem_listeners_open(&gen->setup.listeners, http, gen->setup.worker_processes, err);
    if (rc != REM_OK)
        return rc;
    make_socket_dirs(&gen->setup.admin_listeners);
    rc = rem_listeners_open(&gen->setup.admin_listeners, admin, 1, err);
    if (rc != REM_OK)
        rem_listeners_close(&gen->setup.listeners, http);
    return rc;
}

void rem_reload_open_stats(struct rem_master *m, struct rem_generation *gen)
{
    struct rem_reporter to = {.log = gen->setup.log};
    struct rem_err err = {0};
    struct rem_stat *stat;

    /* To serve without counting is better than not to serve. */
    if (rem_region_lock_stats(&m->region) != REM_OK) {
        rem_report(&to, REM_LOG_WARN, errno, "cannot lock the statistics, nothing is counted");
        return;
    }
    if (rem_stats_open(gen->setup.stats, m->region.header, gen->number, &err) != REM_OK)
        rem_report(&to, REM_LOG_WARN, 0, "%s", err.text);
    /* A status zone is shown from the start, whether or not anything was asked. */
    for (const struct rem_dns_spec *spec = gen->setup.resolvers; spec != NULL; spec = spec->next)
        if (spec->status_zone.n != 0 &&
            rem_region_resolver(m->region.header, spec->status_zone) == NULL)
            rem_report(&to, REM_LOG_WARN, 0, "no room for the status zone \"%.*s\"",
                       REM_STR_ARG(spec->status_zone));
    if (gen->setup.admin && rem_stat_open(m->region.header, REM_STAT_ADMIN, REM_STR("admin"),
                                          gen->number, &stat) != REM_OK)
        rem_report(&to, REM_LOG_WARN, 0, "no room in shared memory for the agent's statistics");
    rem_region_unlock_stats(&m->region);
}

void rem_master_tell_reload(struct rem_master *m, int result, const char *error)
{
    struct rem_shm_header *header = m->region.header;
    struct rem_msg msg = {.kind = REM_MSG_RELOADED, .result = result};

    m->reload_result = result;
    m->reload_sec = time(NULL);
    /* relaxed: these stand alone, and only the master writes them */
    rem_count(result == REM_OK ? &header->reloads : &header->reloads_failed, 1);
    if (result == REM_OK)
        atomic_store_explicit(&header->reloaded_sec, m->reload_sec, memory_order_relaxed);
    snprintf(msg.text, sizeof(msg.text), "%s", error);
    msg.generation = m->gen->number;
    msg.sec = m->reload_sec;
    rem_agent_tell(m, &msg);
}

/* One that was killed before it said anything says nothing against the configuration. */
static int start_agent(struct rem_master *m)
{
    int rc = REM_EIO;

    for (int i = 0; i < AGENT_TRIES && rc == REM_EIO && !m->signals.stop; i++) {
        rc = rem_agent_start(m);
        if (rc == REM_OK)
            rc = rem_agent_wait(m);
        if (rc == REM_EIO && m->agent_error[0] != '\0')
            break;
        if (rc == REM_EIO)
            rem_agent_stop(m);
    }
    return rc;
}

/* The agent of the new configuration takes over the registry; if it cannot, the former one's
 * successor does. */
static int switch_agent(struct rem_master *m, struct rem_generation *next, struct rem_err *err)
{
    struct rem_generation *old = m->gen;
    int rc;

    rem_agent_stop(m);
    m->gen = next;
    rc = start_agent(m);
    if (rc == REM_OK)
        return REM_OK;
    if (rc == REM_ETIMEOUT)
        rem_err_set(err, rc, "the agent was not ready in time");
    else
        rem_err_set(err, rc, "the agent failed: %s",
                    m->agent_error[0] != '\0' ? m->agent_error : "see above");
    rem_agent_stop(m);
    m->gen = old;
    if (rem_agent_start(m) == REM_OK)
        (void)!rem_agent_wait(m);
    else
        m->agent_respawn.at_ms = rem_mono_ms();
    rem_children_replace_missing(m);
    return rc;
}

/* Later than any that a worker may run, those of a binary that was given up included. */
static uint64_t next_number(const struct rem_master *m)
{
    /* relaxed: written by masters alone, one at a time */
    uint64_t known =
        atomic_load_explicit(&m->region.header->config_generation, memory_order_relaxed);

    return (known > m->gen->number ? known : m->gen->number) + 1;
}

/* Old workers that cannot finish (tunnels) keep their slots.  Better no reload than one that sends
 * the serving workers away and has no slots for others. */
static int check_room(const struct rem_master *m, const struct rem_generation *next,
                      struct rem_err *err)
{
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t live = rem_region_workers(&m->region, workers);

    if (live + (size_t)next->setup.worker_processes <= REM_SHM_WORKERS)
        return REM_OK;
    return rem_err_set(err, REM_EFULL,
                       "%zu worker processes are still alive, there is no room for %d more: see "
                       "\"worker_shutdown_timeout\"",
                       live, next->setup.worker_processes);
}

/* A file that is just being written is often empty, and that says: close everything. */
static int check_listeners(const struct rem_master *m, const struct rem_generation *next,
                           struct rem_err *err)
{
    if (!rem_list_empty(&next->setup.listeners) || rem_list_empty(&m->gen->setup.listeners))
        return REM_OK;
    return rem_err_set(err, REM_EINVAL,
                       "the configuration in %s has no \"listen\" any more, it is not taken over",
                       m->options->conf);
}

/* Everything that can fail, in an order in which it can be undone. */
static int prepare(struct rem_master *m, const struct rem_reporter *to, struct rem_generation **out,
                   struct rem_err *err)
{
    struct rem_generation *next;
    int rc = rem_generation_load(m->options, to, &next);

    if (rc != REM_OK) {
        rem_err_set(err, rc, "the configuration is invalid, see the error log");
        return rc;
    }
    next->number = next_number(m);
    rc = check_listeners(m, next, err);
    if (rc == REM_OK)
        rc = check_room(m, next, err);
    if (rc != REM_OK) {
        rem_report(to, REM_LOG_EMERG, 0, "%s", err->text);
        goto fail;
    }
    rc = rem_generation_prepare(next, to);
    if (rc != REM_OK) {
        rem_err_set(err, rc,
                    "a file or directory of the configuration cannot be used, see the "
                    "error log");
        goto fail;
    }
    rc = rem_reload_open(m, next, m->gen, err);
    if (rc != REM_OK) {
        rem_report(to, REM_LOG_EMERG, 0, "%s", err->text);
        goto fail;
    }
    rc = switch_agent(m, next, err);
    if (rc != REM_OK) {
        if (!m->signals.stop) /* else it was given up, which is no failure */
            rem_report(to, REM_LOG_EMERG, 0, "%s", err->text);
        rem_listeners_close(&next->setup.listeners, &m->gen->setup.listeners);
        rem_listeners_close(&next->setup.admin_listeners, &m->gen->setup.admin_listeners);
        goto fail;
    }
    rem_reload_open_stats(m, next);
    *out = next;
    return REM_OK;

fail:
    rem_generation_free(next);
    return rc;
}

static void move_pidfile(struct rem_master *m)
{
    const char *path = m->gen->setup.pid_path.p;

    if (strcmp(path, m->pid_path) == 0)
        return;
    if (rem_pidfile_write(path, m->pid) != REM_OK) {
        REM_LOG(rem_master_log(m), REM_LOG_EMERG, errno, "open() \"%s\" failed", path);
        return;
    }
    unlink(m->pid_path);
    snprintf(m->pid_path, sizeof(m->pid_path), "%s", path);
}

void rem_reload(struct rem_master *m)
{
    struct rem_reporter to = {.log = rem_master_log(m)};
    struct rem_generation *old = m->gen;
    struct rem_generation *next;
    struct rem_err err = {0};
    int rc;

    REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "reconfiguring");
    if (m->new_binary != 0) {
        /* The next binary's agent owns the registry; what HUP then means is: take over again. */
        rem_children_start_workers(m);
        return;
    }
    rc = prepare(m, &to, &next, &err);
    if (rc != REM_OK) {
        if (!m->signals.stop)
            rem_master_tell_reload(m, rc, err.text);
        return;
    }

    /* No return from here on: m->gen is `next`, and its agent serves. */
    if (next->setup.shared_memory != old->setup.shared_memory)
        REM_LOG(rem_master_log(m), REM_LOG_WARN, 0,
                "\"shared_memory\" keeps its size until the next start");
    rem_listeners_close(&old->setup.listeners, &next->setup.listeners);
    rem_listeners_close(&old->setup.admin_listeners, &next->setup.admin_listeners);
    atomic_store_explicit(&m->region.header->config_generation, next->number, memory_order_relaxed);
    move_pidfile(m);
    rem_master_tell_reload(m, REM_OK, "");
    REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "start worker processes");
    rem_children_start_workers(m);
    rem_children_retire(m);
    rem_generation_free(old);
}
