/* SPDX-License-Identifier: Apache-2.0 */
/* Names that came through the API: a job for each. */
#include "agent/resolve_priv.h"

#include "api/names.h"

static const struct rem_upstream_spec *conf_of(const struct rem_resolves *resolves,
                                               struct rem_str upstream)
{
    for (size_t i = 0; i < resolves->spec_count; i++)
        if (rem_str_eq(resolves->specs[i].name, upstream))
            return &resolves->specs[i];
    return NULL;
}

static struct rem_resolve_job *job_of(const struct rem_resolves *resolves,
                                      const struct rem_name *name)
{
    struct rem_resolve_job *job = resolves->jobs;

    while (job != NULL &&
           (job->parent != name->number + 1 || !rem_str_eq(job->upstream->name, name->upstream)))
        job = job->next;
    return job;
}

/* What is asked for and what servers get, in memory of its own.  NULL without memory. */
static struct rem_resolve_spec *
question(const struct rem_name *name, const struct rem_upstream_spec *conf, struct rem_arena *arena)
{
    struct rem_resolve_spec *spec = rem_arena_alloc(arena, sizeof(*spec));
    struct rem_name copy = *name;

    if (spec == NULL || rem_server_spec_copy(arena, &name->server, &copy.server) != REM_OK ||
        rem_names_question(&copy, conf, arena, spec) != REM_OK)
        return NULL;
    return spec;
}

/* Gives a name its job, or the job what the name is now. */
static void take_name(struct rem_resolves *resolves, const struct rem_name *name)
{
    const struct rem_upstream_spec *conf = conf_of(resolves, name->upstream);
    struct rem_resolve_job *job;
    struct rem_resolve_spec *spec;
    struct rem_arena arena;

    if (!rem_names_holds(name, conf))
        return;
    job = job_of(resolves, name);
    rem_arena_init(&arena, NULL);
    spec = question(name, conf, &arena);
    if (spec == NULL || (job == NULL && rem_resolve_job_start(resolves, conf, spec,
                                                              name->number + 1, &job) != REM_OK)) {
        REM_LOG(resolves->log, REM_LOG_ERROR, 0, "%.*s in upstream \"%.*s\" is not asked for",
                REM_STR_ARG(name->server.server), REM_STR_ARG(name->upstream));
        if (job != NULL)
            job->seen = true; /* as it was */
        rem_arena_reset(&arena);
        return;
    }
    rem_arena_reset(&job->arena);
    job->arena = arena;
    job->spec = spec;
    job->seen = true;
}

void rem_resolves_look(struct rem_resolves *resolves)
{
    struct rem_resolve_job **at;
    struct rem_names names;
    struct rem_table table;
    struct rem_arena arena;
    int rc = rem_writer_table(resolves->writer, REM_TABLE_NAMES, REM_NAMES_TABLE, &table);

    rem_arena_init(&arena, NULL);
    rc = rem_names_read(rc == REM_OK ? table.bytes : REM_STR(""), &arena, &names);
    if (rc != REM_OK)
        REM_LOG(resolves->log, REM_LOG_ERROR, 0,
                "names of servers that came through the API cannot be read: %s", rem_err_text(rc));
    for (struct rem_resolve_job *job = resolves->jobs; job != NULL; job = job->next)
        job->seen = job->parent <= REM_NAMES_FIRST;
    for (size_t i = 0; i < names.count; i++)
        take_name(resolves, &names.items[i]);
    for (at = &resolves->jobs; *at != NULL;) {
        if ((*at)->seen)
            at = &(*at)->next;
        else
            rem_resolve_job_end(at);
    }
    rem_arena_reset(&arena);
}
