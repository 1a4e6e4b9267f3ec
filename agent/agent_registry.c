/* SPDX-License-Identifier: Apache-2.0 */
/* agent_registry.c - how an agent begins: it takes the registry over, and has it say what the
 * configuration says and what was kept of earlier changes (declared in agent.h).  */
#include "agent/agent.h"
#include "api/names.h"

#include <stdlib.h>
#include <time.h>

/* What an earlier agent left unreachable is free once no worker is in a turn that began before: a
 * moment's wait lets it be used again, or the region would grow with every restart. */
static void reclaim_at_first(struct rem_writer *writer)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (int tries = 0; tries < 20 && rem_writer_reclaim(writer); tries++)
        nanosleep(&pause, NULL);
}

int rem_agent_registry_open(struct rem_agent *agent, struct rem_err *err)
{
    int rc = rem_region_lock_writer(agent->handover->region);

    if (rc != 0)
        return rem_err_set(err, rc, "cannot lock the registry");
    rc = rem_writer_new(agent->handover->region, &agent->writer, err);
    if (rc != 0)
        return rc;
    reclaim_at_first(agent->writer);
    return 0;
}

/* What is running of an upstream goes into its new block, as far as that has room for it. */
static int inherit(const struct rem_writer *writer, struct rem_arena *arena,
                   struct rem_upstream_spec *spec)
{
    struct rem_upstream_spec old;
    size_t index;
    int rc;

    if (rem_writer_find(writer, spec->name, &index) != REM_OK)
        return REM_OK;
    rc = rem_writer_spec(writer, index, arena, &old);
    if (rc == REM_OK && spec->state.n != 0)
        rc = rem_state_inherit(arena, &old, spec);
    if (rc == REM_OK && spec->resolve_count != 0)
        rc = rem_resolve_inherit(arena, &old, spec);
    return rc;
}

static int inherit_upstreams(const struct rem_writer *writer, struct rem_arena *arena,
                             const struct rem_registry_conf *conf,
                             const struct rem_upstream_spec **out)
{
    struct rem_upstream_spec *copy =
        rem_arena_alloc(arena, (conf->upstream_count + 1) * sizeof(*copy));
    int rc = copy != NULL ? REM_OK : REM_ENOMEM;

    for (size_t i = 0; rc == REM_OK && i < conf->upstream_count; i++) {
        copy[i] = conf->upstreams[i];
        if (copy[i].state.n != 0 || copy[i].resolve_count != 0)
            rc = inherit(writer, arena, &copy[i]);
    }
    *out = copy;
    return rc;
}

/* Has the registry say what the configuration says, and what was kept of earlier changes. */
static int reconcile(struct rem_agent *agent, const struct rem_registry_conf *conf,
                     struct rem_err *err)
{
    struct rem_registry_conf merged = *conf;
    struct rem_arena arena;
    int rc;

    rem_arena_init(&arena, NULL);
    rc = inherit_upstreams(agent->writer, &arena, conf, &merged.upstreams);
    if (rc == 0)
        rc = rem_keyval_states_inherit(&agent->keyvals, &arena, agent->handover->keyvals,
                                       agent->handover->keyval_count, conf->tables,
                                       conf->table_count, &merged.tables);
    if (rc != 0)
        (void)rem_err_set(err, rc, "cannot take over servers: %s", rem_err_text(rc));
    else
        rc = rem_writer_reconcile(agent->writer, &merged, err);
    rem_arena_reset(&arena);
    return rc;
}

/* The table of servers that are given by name through the API belongs to every configuration that
 * has somebody to ask.  Returns false without memory. */
static bool declare_names(struct rem_agent *agent, struct rem_registry_conf *conf)
{
    const struct rem_table_spec names = {
        .kind = REM_TABLE_NAMES, .name = REM_NAMES_TABLE, .config_hash = REM_NAMES_HASH};
    size_t i = 0;

    while (i < conf->upstream_count && conf->upstreams[i].resolver == NULL)
        i++;
    if (i == conf->upstream_count)
        return true;
    agent->tables = calloc(conf->table_count + 1, sizeof(*agent->tables));
    if (agent->tables == NULL)
        return false;
    if (conf->table_count != 0)
        memcpy(agent->tables, conf->tables, conf->table_count * sizeof(*agent->tables));
    agent->tables[conf->table_count++] = names;
    conf->tables = agent->tables;
    return true;
}

int rem_agent_registry_fill(struct rem_agent *agent, struct rem_err *err)
{
    const struct rem_handover *handover = agent->handover;
    struct rem_registry_conf conf = {.upstreams = handover->upstreams,
                                     .upstream_count = handover->upstream_count,
                                     .tables = handover->tables,
                                     .table_count = handover->table_count,
                                     .generation = handover->config_generation};
    int rc;

    agent->reloaded = rem_health_is_reload(agent->writer, handover->config_generation);
    agent->store = (struct rem_store){.writer = agent->writer,
                                      .log = agent->log,
                                      .clock = agent->clock,
                                      .persist = &agent->persist,
                                      .keyvals = handover->keyvals,
                                      .keyval_count = handover->keyval_count};
    agent->keyvals = (struct rem_keyval_states){.writer = agent->writer,
                                                .log = agent->log,
                                                .clock = agent->clock,
                                                .persist = &agent->persist};
    if (!declare_names(agent, &conf))
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    rc = rem_store_merge(&agent->store, handover->state_path, &conf, err);
    if (rc != 0)
        return err->text[0] != '\0' ? rc : rem_err_set(err, rc, "cannot read the state file");
    rc = reconcile(agent, &conf, err);
    if (rc != 0 && rc != REM_ENOMEM && agent->store.merged) {
        rem_store_unmerge(&agent->store, &conf, err->text);
        rc = reconcile(agent, &conf, err);
    }
    return rc;
}
