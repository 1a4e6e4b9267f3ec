/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/resolve_priv.h"

#include "api/names.h"

#include <event2/event.h>
#include <stdlib.h>

enum {
    AGAIN_MIN_MS = 1000,   /* between two questions, whatever a TTL says */
    EMPTY_MAX_MS = 10000,  /* a name without addresses is asked for again after that */
    UNPUBLISHED_MS = 5000, /* and so is one whose answer found no room */
};

/* ---- servers from answers ---- */

/* SRV records of the best priority are as the directive says; the others are backups. */
static bool target_flags(const struct rem_resolve_job *job, const struct rem_dns_target *target,
                         uint32_t *flags)
{
    bool best = true;

    *flags = job->spec->server.flags;
    for (size_t i = 0; i < job->count; i++)
        best = best && target->priority <= job->targets[i].priority;
    if (best)
        return true;
    if (*flags & REM_SERVER_BACKUP || !rem_balance_has_backups(job->upstream->method))
        return false; /* there is nothing behind backups */
    *flags |= REM_SERVER_BACKUP;
    return true;
}

static uint32_t target_weight(const struct rem_resolve_job *job,
                              const struct rem_dns_target *target)
{
    if (job->spec->service.n == 0)
        return job->spec->server.weight;
    return target->weight != 0 ? target->weight : 1;
}

static struct rem_server_spec server_for(const struct rem_resolve_job *job,
                                         const struct rem_dns_target *target, uint32_t flags)
{
    struct rem_server_spec server = job->spec->server;

    server.id = REM_ID_NONE;
    server.addr = target->addr;
    server.parent = job->parent;
    server.flags = flags;
    server.weight = target_weight(job, target);
    return server;
}

/* The configuration may list an address twice, the API may not: a name that came through it does
 * without an address that another server has, for as long as that is there. */
static bool is_taken(const struct rem_resolve_job *job, const struct rem_upstream_spec *now,
                     const struct rem_addr *addr)
{
    if (job->parent <= REM_NAMES_FIRST)
        return false;
    for (size_t i = 0; i < now->server_count; i++)
        if (now->servers[i].parent != job->parent && rem_addr_eq(&now->servers[i].addr, addr))
            return true;
    return false;
}

/* Of the servers that come from the name, keeps those that are in the answer (as they are, but for
 * what SRV records say), takes out the others, and adds what is new. */
static size_t merge(const struct rem_resolve_job *job, const struct rem_upstream_spec *now,
                    struct rem_server_spec *out, bool *used, bool *changed)
{
    size_t n = 0;

    for (size_t i = 0; i < now->server_count; i++) {
        const struct rem_server_spec *server = &now->servers[i];
        size_t k = 0;

        out[n] = *server;
        if (server->parent != job->parent) {
            n++;
            continue;
        }
        while (k < job->count && (used[k] || !rem_addr_eq(&job->targets[k].addr, &server->addr)))
            k++;
        uint32_t flags;
        if (k == job->count || !target_flags(job, &job->targets[k], &flags)) {
            *changed = true;
            continue;
        }
        used[k] = true;
        if (job->spec->service.n != 0) {
            uint32_t weight = target_weight(job, &job->targets[k]);
            flags = (flags & REM_SERVER_BACKUP) | (server->flags & ~(uint32_t)REM_SERVER_BACKUP);
            *changed = *changed || weight != server->weight || flags != server->flags;
            out[n].weight = weight;
            out[n].flags = flags;
        }
        n++;
    }
    for (size_t k = 0; k < job->count; k++) {
        uint32_t flags;
        if (used[k] || !target_flags(job, &job->targets[k], &flags) ||
            is_taken(job, now, &job->targets[k].addr))
            continue;
        out[n++] = server_for(job, &job->targets[k], flags);
        *changed = true;
    }
    return n;
}

/* ---- publishing ---- */

static void ask_again_in(struct rem_resolve_job *job, uint64_t ms)
{
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};

    job->wait_ms = ms;
    (void)evtimer_add(job->again, &tv);
}

/* Puts the job's answer into the change.  `*touched` is set if that changes anything. */
static int stage(const struct rem_resolve_job *job, struct rem_change *change, bool *touched)
{
    const struct rem_upstream_spec *now;
    struct rem_upstream_spec next;
    struct rem_server_spec *servers;
    struct rem_err err = {0};
    bool *used, changed = false;
    int rc = rem_change_get(change, job->upstream->name, &now);

    if (rc != REM_OK)
        return rc == REM_ENOTFOUND ? REM_OK : rc; /* removed through the API */
    servers = calloc(now->server_count + job->count + 1, sizeof(*servers));
    used = calloc(job->count + 1, sizeof(*used));
    rc = servers != NULL && used != NULL ? REM_OK : REM_ENOMEM;
    if (rc == REM_OK) {
        next = *now;
        next.servers = servers;
        next.server_count = merge(job, now, servers, used, &changed);
    }
    if (rc == REM_OK && changed)
        rc = rem_change_put(change, &next, &err);
    if (rc != REM_OK)
        REM_LOG(job->owner->log, REM_LOG_ERROR, 0,
                "addresses of \"%.*s\" in upstream \"%.*s\" cannot be used: %s",
                REM_STR_ARG(job->spec->host), REM_STR_ARG(job->upstream->name),
                err.text[0] != '\0' ? err.text : rem_err_text(rc));
    *touched = *touched || (rc == REM_OK && changed);
    free(servers);
    free(used);
    return rc;
}

/* What has been staged is published or not: an answer that was not is asked for again, as it may
 * have been one for hours. */
static void settle(struct rem_resolves *resolves, bool published)
{
    for (struct rem_resolve_job *job = resolves->jobs; job != NULL; job = job->next) {
        if (job->answered && (!published || !job->staged) && job->wait_ms > UNPUBLISHED_MS)
            ask_again_in(job, UNPUBLISHED_MS);
        job->answered = false;
    }
    resolves->dirty = false;
}

bool rem_resolves_apply(struct rem_resolves *resolves)
{
    struct rem_change *change;
    struct rem_commit commit;
    struct rem_err err = {0};
    bool touched = false;
    int rc = REM_OK;

    if (REM_LIKELY(!resolves->dirty) || rem_change_new(resolves->writer, &change) != REM_OK)
        return false;
    for (struct rem_resolve_job *job = resolves->jobs; job != NULL; job = job->next)
        if (job->answered)
            job->staged = stage(job, change, &touched) == REM_OK;
    if (touched)
        rc = rem_change_commit(change, REM_REVISION_ANY, &commit, &err);
    if (rc != REM_OK)
        REM_LOG(resolves->log, REM_LOG_ERROR, 0, "resolved addresses were not published: %s",
                err.text);
    rem_change_free(&change);
    settle(resolves, rc == REM_OK);
    return touched && rc == REM_OK;
}

/* ---- asking ---- */

static void take_answer(struct rem_resolve_job *job, const struct rem_dns_target *targets,
                        size_t count)
{
    struct rem_dns_target *copy = malloc((count + 1) * sizeof(*copy));

    if (copy == NULL)
        return; /* the next answer will do */
    if (count != 0)
        memcpy(copy, targets, count * sizeof(*copy));
    free(job->targets);
    job->targets = copy;
    job->count = count;
    job->answered = true;
    job->owner->dirty = true;
}

static void log_failure(struct rem_resolve_job *job, int code)
{
    struct rem_str name = job->spec->service.n != 0 ? job->spec->service : job->spec->host;

    if (code != job->failed)
        REM_LOG(job->owner->log, REM_LOG_ERROR, 0,
                "%.*s could not be resolved (%d: %s) in upstream \"%.*s\"", REM_STR_ARG(name), code,
                rem_dns_code_text(code), REM_STR_ARG(job->upstream->name));
    job->failed = code;
}

static void on_answer(void *data, int code, const struct rem_dns_answer *answer)
{
    struct rem_resolve_job *job = data;
    uint64_t again = job->spec->timeout_ms;

    job->query = NULL;
    if (code == REM_DNS_OK) {
        again = answer->ttl_ms;
        job->failed = REM_DNS_OK;
        take_answer(job, answer->targets, answer->count);
    } else {
        log_failure(job, code);
    }
    if (code == REM_DNS_NXDOMAIN) {
        take_answer(job, NULL, 0);
        if (job->spec->resolver->valid_ms >= 0)
            again = (uint64_t)job->spec->resolver->valid_ms;
        else if (again > EMPTY_MAX_MS)
            again = EMPTY_MAX_MS;
    }
    ask_again_in(job, again > AGAIN_MIN_MS ? again : AGAIN_MIN_MS);
}

static void ask(struct rem_resolve_job *job)
{
    const struct rem_dns_question question = {
        .name = job->spec->service.n != 0 ? job->spec->service : job->spec->host,
        .port = job->spec->port,
        .timeout_ms = job->spec->timeout_ms,
        .flags = REM_DNS_FRESH,
        .done = on_answer,
        .data = job,
    };
    int rc = job->spec->service.n != 0 ? rem_dns_service(job->dns, &question, &job->query)
                                       : rem_dns_addrs(job->dns, &question, &job->query);

    if (rc == REM_EINVAL)
        log_failure(job, REM_DNS_FORMERR); /* and never asked for again: it will not change */
    else if (rc != REM_OK)
        ask_again_in(job, AGAIN_MIN_MS);
}

static void on_again(evutil_socket_t fd, short what, void *data)
{
    struct rem_resolve_job *job = data;

    (void)fd;
    (void)what;
    rem_clock_update(job->owner->clock);
    ask(job);
}

/* ---- beginning and end ---- */

static int loop_for(struct rem_resolves *resolves, const struct rem_dns_spec *spec,
                    struct rem_dns **out)
{
    struct rem_dns_loop **grown, *loop;
    int rc;

    for (size_t i = 0; i < resolves->loop_count; i++) {
        if (resolves->loops[i]->spec == spec) {
            *out = resolves->loops[i]->dns;
            return REM_OK;
        }
    }
    grown = realloc(resolves->loops, (resolves->loop_count + 1) * sizeof(struct rem_dns_loop *));
    if (grown == NULL)
        return REM_ENOMEM;
    resolves->loops = grown;
    loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return REM_ENOMEM;
    rc = rem_dns_loop_init(loop, resolves->base, resolves->clock, resolves->header, spec);
    if (rc != REM_OK) {
        free(loop);
        return rc;
    }
    resolves->loops[resolves->loop_count++] = loop;
    *out = loop->dns;
    return REM_OK;
}

int rem_resolve_job_start(struct rem_resolves *resolves, const struct rem_upstream_spec *upstream,
                          const struct rem_resolve_spec *spec, uint32_t parent,
                          struct rem_resolve_job **out)
{
    struct rem_resolve_job *job = calloc(1, sizeof(*job));
    const struct timeval now = {0, 0};
    int rc;

    if (job == NULL)
        return REM_ENOMEM;
    *job = (struct rem_resolve_job){
        .owner = resolves, .upstream = upstream, .spec = spec, .parent = parent};
    rem_arena_init(&job->arena, NULL);
    rc = loop_for(resolves, spec->resolver, &job->dns);
    if (rc == REM_OK) {
        job->again = evtimer_new(resolves->base, on_again, job);
        rc = job->again != NULL && evtimer_add(job->again, &now) == 0 ? REM_OK : REM_ENOMEM;
    }
    job->next = resolves->jobs;
    resolves->jobs = job;
    if (rc != REM_OK) {
        rem_resolve_job_end(&resolves->jobs);
        return rc;
    }
    if (out != NULL)
        *out = job;
    return REM_OK;
}

void rem_resolve_job_end(struct rem_resolve_job **at)
{
    struct rem_resolve_job *job = *at;

    *at = job->next;
    rem_dns_cancel(&job->query);
    if (job->again != NULL)
        event_free(job->again);
    free(job->targets);
    rem_arena_reset(&job->arena);
    free(job);
}

int rem_resolves_start(struct rem_resolves *resolves, struct event_base *base,
                       const struct rem_upstream_spec *specs, size_t count)
{
    resolves->base = base;
    resolves->specs = specs;
    resolves->spec_count = count;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < specs[i].resolve_count; k++) {
            int rc = rem_resolve_job_start(resolves, &specs[i], &specs[i].resolves[k],
                                           (uint32_t)k + 1, NULL);
            if (rc != REM_OK)
                return rc;
        }
    }
    rem_resolves_look(resolves);
    return REM_OK;
}

void rem_resolves_stop(struct rem_resolves *resolves)
{
    while (resolves->jobs != NULL)
        rem_resolve_job_end(&resolves->jobs);
    for (size_t i = 0; i < resolves->loop_count; i++) {
        rem_dns_loop_fini(resolves->loops[i]);
        free(resolves->loops[i]);
    }
    free(resolves->loops);
    resolves->loops = NULL;
    resolves->loop_count = 0;
}

/* ---- what a changed configuration begins with ---- */

/* The host in a server's name: "example.net" of "example.net:8080". */
static struct rem_str host_of(struct rem_str name)
{
    struct rem_addr_parts parts;

    return rem_addr_split(name, &parts) == 0 ? parts.host : name;
}

static void inherit_server(const struct rem_resolve_spec *resolve, uint32_t parent,
                           const struct rem_server_spec *old, struct rem_server_spec *out)
{
    *out = resolve->server;
    out->id = REM_ID_NONE;
    out->addr = old->addr;
    out->parent = parent;
    if (resolve->service.n == 0) {
        rem_addr_set_port(&out->addr, resolve->port);
    } else {
        out->weight = old->weight;
        out->flags |= old->flags & REM_SERVER_BACKUP;
    }
}

/* Appends what the old servers know of the names; each of them serves one name. */
static int append_known(struct rem_arena *arena, const struct rem_upstream_spec *old,
                        struct rem_upstream_spec *spec)
{
    size_t room = spec->server_count + old->server_count * spec->resolve_count + 1;
    struct rem_server_spec *servers = rem_arena_alloc(arena, room * sizeof(*servers));
    size_t n = spec->server_count;

    if (servers == NULL)
        return REM_ENOMEM;
    if (n != 0)
        memcpy(servers, spec->servers, n * sizeof(*servers));
    for (size_t k = 0; k < spec->resolve_count; k++) {
        const struct rem_resolve_spec *resolve = &spec->resolves[k];
        for (size_t i = 0; i < old->server_count; i++) {
            const struct rem_server_spec *server = &old->servers[i];
            if (server->parent == 0 || !rem_str_eq_nocase(host_of(server->name), resolve->host))
                continue;
            /* Without a service it had no port from an SRV record, which is needed here. */
            if (resolve->service.n != 0 && !rem_str_eq_nocase(server->name, resolve->host))
                continue;
            inherit_server(resolve, (uint32_t)k + 1, server, &servers[n++]);
        }
    }
    spec->servers = servers;
    spec->server_count = n;
    return REM_OK;
}

int rem_resolve_inherit(struct rem_arena *arena, const struct rem_upstream_spec *old,
                        struct rem_upstream_spec *spec)
{
    return old->config_hash != spec->config_hash ? append_known(arena, old, spec) : REM_OK;
}
