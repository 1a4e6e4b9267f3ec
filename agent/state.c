/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/state.h"

#include "proto/shm/state_mark.h"

#include <stdio.h>
#include <stdlib.h>

struct rem_state_job {
    const struct rem_states *owner;
    const struct rem_upstream_spec *spec;
    struct rem_persist_file file;
    char subject[REM_UPSTREAM_NAME_MAX + 32];
};

/* ---- text ---- */

/* A word as the configuration's lexer reads it; quoted only when it must be. */
static void add_word(struct rem_sbuf *out, const char *lead, struct rem_str value)
{
    bool plain = true;

    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        plain = plain && (rem_is_digit(c) || (rem_lower(c) >= 'a' && rem_lower(c) <= 'z') ||
                          memchr("-._~:/[]%,@+=!", c, 14) != NULL);
    }
    if (plain) {
        rem_sbuf_addf(out, "%s%.*s", lead, REM_STR_ARG(value));
        return;
    }
    rem_sbuf_addf(out, "\"%s", lead);
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\n' || c == '\r' || c == '\t') {
            rem_sbuf_adds(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
            continue;
        }
        if (c == '"' || c == '\\')
            rem_sbuf_addc(out, '\\');
        rem_sbuf_addc(out, c);
    }
    rem_sbuf_addc(out, '"');
}

static void add_time(struct rem_sbuf *out, const char *name, uint32_t ms)
{
    char text[32];
    size_t n = rem_spec_duration_text(ms, text, sizeof(text));

    rem_sbuf_addf(out, " %s=%.*s", name, (int)n, text);
}

/* What differs from the directive's defaults. */
static void add_params(struct rem_sbuf *out, const struct rem_server_spec *server)
{
    struct rem_server_spec usual;

    rem_server_spec_init(&usual);
    if (server->weight != usual.weight)
        rem_sbuf_addf(out, " weight=%u", server->weight);
    if (server->max_conns != usual.max_conns)
        rem_sbuf_addf(out, " max_conns=%u", server->max_conns);
    if (server->max_fails != usual.max_fails)
        rem_sbuf_addf(out, " max_fails=%u", server->max_fails);
    if (server->fail_timeout_ms != usual.fail_timeout_ms)
        add_time(out, "fail_timeout", server->fail_timeout_ms);
    if (server->slow_start_ms != usual.slow_start_ms)
        add_time(out, "slow_start", server->slow_start_ms);
    if (server->route.n != 0) {
        rem_sbuf_addc(out, ' ');
        add_word(out, "route=", server->route);
    }
    if (server->flags & REM_SERVER_BACKUP)
        rem_sbuf_adds(out, " backup");
    if (server->flags & REM_SERVER_DOWN)
        rem_sbuf_adds(out, " down");
    if (server->flags & REM_SERVER_DRAIN)
        rem_sbuf_adds(out, " drain");
}

void rem_state_text(const struct rem_upstream_spec *spec, const struct rem_upstream_spec *now,
                    struct rem_sbuf *out)
{
    for (size_t i = 0; i < spec->resolve_count; i++) {
        const struct rem_resolve_spec *resolve = &spec->resolves[i];

        rem_sbuf_adds(out, "server ");
        add_word(out, "", resolve->server.name);
        rem_sbuf_adds(out, " resolve");
        if (resolve->service.n != 0) {
            /* "_http._tcp.example.net" of example.net was asked for as "_http._tcp" */
            rem_sbuf_addc(out, ' ');
            add_word(out, "service=",
                     rem_str_make(resolve->service.p, resolve->service.n - resolve->host.n - 1));
        }
        add_params(out, &resolve->server);
        rem_sbuf_adds(out, ";\n");
    }
    for (size_t i = 0; i < now->server_count; i++) {
        const struct rem_server_spec *server = &now->servers[i];
        char addr[REM_ADDR_TEXT];

        if (server->parent != 0)
            continue;
        rem_sbuf_adds(out, "server ");
        add_word(out, "", rem_str_make(addr, rem_addr_text(&server->addr, addr, sizeof(addr))));
        add_params(out, server);
        rem_sbuf_adds(out, ";\n");
    }
    rem_state_mark_add(out);
}

/* ---- files ---- */

/* Is the file one that may be written without being asked: our own, or none?  *hash is that of what
 * it holds. */
static bool is_ours(const char *path, bool *found, uint64_t *hash)
{
    struct rem_sbuf text;
    bool ours;
    int rc;

    rem_sbuf_init(&text);
    rc = rem_state_file_read(path, SIZE_MAX - 1, &text);
    *found = rc == REM_OK;
    ours = rc == REM_OK ? rem_state_mark_ok(rem_sbuf_str(&text)) : rc == REM_ENOTFOUND;
    *hash = rem_hash(text.p, text.n);
    rem_sbuf_fini(&text);
    return ours;
}

/* ---- jobs ---- */

/* What the file should say.  Errors: REM_ENOTFOUND (no such upstream), REM_ENOMEM. */
static int make_text(void *data, struct rem_sbuf *out)
{
    const struct rem_state_job *job = data;
    const struct rem_writer *writer = job->owner->writer;
    struct rem_upstream_spec now;
    struct rem_arena arena;
    size_t index;
    int rc = rem_writer_find(writer, job->spec->name, &index);

    if (rc != REM_OK)
        return rc;
    rem_arena_init(&arena, NULL);
    rc = rem_writer_spec(writer, index, &arena, &now);
    if (rc == REM_OK)
        rem_state_text(job->spec, &now, out);
    rem_arena_reset(&arena);
    return rc;
}

void rem_states_note(struct rem_states *states, const struct rem_change *change)
{
    for (size_t i = 0; i < states->job_count; i++)
        if (change != NULL && rem_change_names(change, states->jobs[i].spec->name))
            rem_persist_note(states->persist, &states->jobs[i].file);
}

/* ---- beginning and end ---- */

static void start_job(struct rem_states *states, struct rem_state_job *job,
                      const struct rem_upstream_spec *spec)
{
    int n;

    *job = (struct rem_state_job){.owner = states, .spec = spec};
    n = snprintf(job->subject, sizeof(job->subject), "the servers of upstream \"%.*s\"",
                 REM_STR_ARG(spec->name));
    job->file = (struct rem_persist_file){.path = spec->state.p,
                                          .subject = rem_str_make(job->subject, (size_t)n),
                                          .make = make_text,
                                          .data = job,
                                          .aside = (spec->state_flags & REM_STATE_BROKEN) != 0};
    if (job->file.aside)
        REM_LOG(states->log, REM_LOG_ERROR, 0,
                "state file \"%s\" of upstream \"%.*s\" is broken; it is kept as "
                "\"%s.broken\" when it is written again",
                spec->state.p, REM_STR_ARG(spec->name), spec->state.p);
    rem_persist_add(states->persist, &job->file);
    if (is_ours(spec->state.p, &job->file.known, &job->file.hash))
        rem_persist_want(states->persist, &job->file); /* the next change tries again */
    else
        job->file.known = false;
}

int rem_states_start(struct rem_states *states, const struct rem_upstream_spec *specs, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += specs[i].state.n != 0;
    if (n == 0)
        return REM_OK;
    states->jobs = calloc(n, sizeof(*states->jobs));
    if (states->jobs == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (specs[i].state.n != 0)
            start_job(states, &states->jobs[states->job_count++], &specs[i]);
    return REM_OK;
}

void rem_states_stop(struct rem_states *states)
{
    free(states->jobs);
    states->jobs = NULL;
    states->job_count = 0;
}

/* ---- what a changed configuration begins with ---- */

/* The servers of the old set that the new block can have. */
static int take_servers(struct rem_arena *arena, const struct rem_upstream_spec *old,
                        struct rem_upstream_spec *spec)
{
    size_t n = 0;

    spec->servers = rem_arena_alloc(arena, (old->server_count + 1) * sizeof(*spec->servers));
    if (spec->servers == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < old->server_count; i++) {
        const struct rem_server_spec *server = &old->servers[i];

        if (server->parent != 0 ||
            (server->flags & REM_SERVER_BACKUP && !rem_balance_has_backups(spec->method)))
            continue;
        spec->servers[n] = *server;
        if (!rem_balance_has_slow_start(spec->method))
            spec->servers[n].slow_start_ms = 0;
        n++;
    }
    spec->server_count = n;
    return REM_OK;
}

/* Has somebody edited the file since the agent wrote it last?  The master's word may be older than
 * a change, so that it is not enough. */
static bool is_edited(const struct rem_upstream_spec *spec)
{
    uint64_t hash;
    bool found;

    return spec->state_flags & REM_STATE_EDITED && !is_ours(spec->state.p, &found, &hash);
}

/* Does the block say the same of the servers as what is running? */
static bool same_servers(const struct rem_upstream_spec *spec, const struct rem_upstream_spec *old)
{
    struct rem_sbuf a, b;
    bool same;

    rem_sbuf_init(&a);
    rem_sbuf_init(&b);
    rem_state_text(spec, spec, &a);
    rem_state_text(spec, old, &b);
    same = !a.failed && !b.failed && rem_str_eq(rem_sbuf_str(&a), rem_sbuf_str(&b));
    rem_sbuf_fini(&a);
    rem_sbuf_fini(&b);
    return same;
}

int rem_state_inherit(struct rem_arena *arena, const struct rem_upstream_spec *old,
                      struct rem_upstream_spec *spec)
{
    bool changed = old->config_hash != spec->config_hash;

    if (!(old->flags & REM_UPSTREAM_STATE) || old->flags & REM_UPSTREAM_ORPHAN)
        return REM_OK;
    if (!is_edited(spec))
        return changed ? take_servers(arena, old, spec) : REM_OK;
    /* The text that was edited once and replaced by changes since may be put back. */
    if (!changed && !same_servers(spec, old))
        spec->config_hash ^= 1;
    return REM_OK;
}
