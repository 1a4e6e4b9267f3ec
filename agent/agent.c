/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "api/events.h"
#include "api/record.h"

#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- ending ---- */

static void quit(struct rem_agent *agent)
{
    struct timeval tv = {REM_AGENT_QUIT_MS / 1000, (REM_AGENT_QUIT_MS % 1000) * 1000};

    if (agent->quitting)
        return;
    agent->quitting = true;
    rem_checks_stop(&agent->checks);
    rem_outliers_stop(&agent->outliers);
    (void)evtimer_add(agent->deadline, &tv);
    rem_admin_server_quit(&agent->server);
}

static void on_deadline(evutil_socket_t fd, short what, void *data)
{
    struct rem_agent *agent = data;

    (void)fd;
    (void)what;
    agent->stopping = true;
}

static void on_signal(evutil_socket_t number, short what, void *data)
{
    struct rem_agent *agent = data;

    (void)what;
    rem_clock_update(agent->clock);
    if (number == SIGQUIT)
        quit(agent);
    else
        agent->stopping = true;
}

/* ---- the master ---- */

static void reopen_logs(struct rem_agent *agent)
{
    for (struct rem_log_file *file = agent->handover->log_files; file != NULL; file = file->next)
        if (file->path != NULL && rem_log_file_open(file) != 0)
            REM_LOG(agent->log, REM_LOG_EMERG, 0, "open() \"%s\" failed", file->path);
    rem_audit_reopened(&agent->audit);
}

/* The master, or a request on its way there, has brought the end nearer. */
static void note_drain(struct rem_agent *agent, const struct rem_drain *drain)
{
    struct rem_api_info *info = &agent->api.info;
    bool news = info->drain.phase != drain->phase;

    info->drain = *drain;
    info->draining = drain->phase != REM_DRAIN_NONE;
    agent->server.workers_leave = drain->phase == REM_DRAIN_CLOSING;
    if (news)
        rem_api_note(&agent->api, REM_JOURNAL_DRAIN,
                     json_pack("{s:s}", "state", rem_drain_phase_name(drain->phase)));
}

/* POST /v1/drain: what the master is going to say is so from now on. */
static int ask_drain(void *data, uint32_t delay_ms, uint32_t timeout_ms)
{
    struct rem_agent *agent = data;
    struct rem_drain drain = agent->api.info.drain;
    struct rem_msg msg = {.kind = REM_MSG_DRAIN, .delay_ms = delay_ms, .timeout_ms = timeout_ms};

    if (rem_msg_send(agent->handover->master_fd, &msg) != REM_OK)
        return REM_EIO;
    if (rem_drain_announce(&drain, agent->clock->mono_ms, agent->clock->wall_sec, delay_ms,
                           timeout_ms))
        note_drain(agent, &drain);
    return REM_OK;
}

static void obey(struct rem_agent *agent, const struct rem_msg *msg)
{
    struct rem_api_info *info = &agent->api.info;

    switch (msg->kind) {
    case REM_MSG_WORKER_GONE:
        if (msg->result != 0)
            rem_api_note(
                &agent->api, REM_JOURNAL_RESPAWN,
                json_pack("{s:s,s:I}", "process", "worker", "slot", (json_int_t)msg->slot));
        rem_agent_reclaim(agent);
        break;
    case REM_MSG_QUIT:
        quit(agent);
        break;
    case REM_MSG_REOPEN:
        reopen_logs(agent);
        break;
    case REM_MSG_RELOADED:
        info->last_reload_ok = msg->result == 0;
        info->last_reload_sec = msg->sec;
        rem_api_note(&agent->api, REM_JOURNAL_RELOAD,
                     json_pack("{s:b,s:I,s:o}", "ok", msg->result == 0, "generation",
                               rem_json_count(msg->generation), "error",
                               rem_json_text(rem_str_from(msg->text))));
        break;
    case REM_MSG_DRAINING:
        note_drain(agent, &msg->drain);
        break;
    case REM_MSG_WORKERS_UP:
        info->workers_up = true;
        break;
    default: /* kinds that only we send */
        break;
    }
}

static void on_master(evutil_socket_t fd, short what, void *data)
{
    struct rem_agent *agent = data;
    struct rem_msg msg;
    int rc;

    (void)what;
    rem_clock_update(agent->clock);
    while ((rc = rem_msg_recv(fd, &msg)) == 0)
        obey(agent, &msg);
    if (rc == REM_EAGAIN)
        return;
    /* The master is gone, and with it whoever would tell us anything. */
    REM_LOG(agent->log, REM_LOG_ALERT, 0, "agent: the master is gone, ending");
    (void)event_del(agent->master);
    quit(agent);
}

/* ---- starting ---- */

static void log_to_none(int severity, const char *text)
{
    (void)severity;
    (void)text;
}

static int start_events(struct rem_agent *agent)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT};
    struct event_config *config = event_config_new();

    event_set_log_callback(log_to_none);
    if (config == NULL)
        return REM_ENOMEM;
    /* Precise timers: a change is applied within fractions of the millisecond that epoll counts. */
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
    agent->base = event_base_new_with_config(config);
    event_config_free(config);
    if (agent->base == NULL)
        return REM_EIO;
    agent->applied = evtimer_new(agent->base, rem_agent_on_applied, agent);
    agent->reclaim = evtimer_new(agent->base, rem_agent_on_reclaim, agent);
    agent->news = evtimer_new(agent->base, rem_agent_on_news, agent);
    agent->deflate = evtimer_new(agent->base, rem_agent_on_deflate, agent);
    agent->deadline = evtimer_new(agent->base, on_deadline, agent);
    agent->master =
        event_new(agent->base, agent->handover->master_fd, EV_READ | EV_PERSIST, on_master, agent);
    if (agent->applied == NULL || agent->reclaim == NULL || agent->news == NULL ||
        agent->deflate == NULL || agent->deadline == NULL || agent->master == NULL ||
        event_add(agent->master, NULL) != 0)
        return REM_ENOMEM;
    for (size_t i = 0; i < REM_COUNT(numbers); i++) {
        struct sigaction now;
        /* What the master has us ignore (a terminal sends it to the whole group) stays so. */
        if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            continue;
        agent->signals[i] = evsignal_new(agent->base, numbers[i], on_signal, agent);
        if (agent->signals[i] == NULL || event_add(agent->signals[i], NULL) != 0)
            return REM_ENOMEM;
    }
    return 0;
}

/* The master may have blocked signals around the fork, and has handlers that mean nothing here. */
static void start_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};
    sigset_t none;

    for (size_t i = 0; i < REM_COUNT(ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void fill_info(struct rem_agent *agent)
{
    const struct rem_handover *handover = agent->handover;

    agent->api.info = (struct rem_api_info){
        .version = handover->version,
        .build = handover->build != NULL ? handover->build : "",
        .config_generation = handover->config_generation,
        .started_sec = handover->started_sec,
        .loaded_sec = handover->loaded_sec,
        .last_reload_ok = handover->last_reload_ok,
        .last_reload_sec = handover->last_reload_sec,
        .master_pid = handover->master_pid,
        .workers = handover->workers,
        .zones = handover->zones,
        .draining = handover->drain.phase != REM_DRAIN_NONE,
        .drain = handover->drain,
    };
    agent->api.spec = handover->admin;
    agent->api.drain = ask_drain;
    agent->api.drain_data = agent;
}

static int start_server(struct rem_agent *agent, struct rem_err *err)
{
    const struct rem_handover *handover = agent->handover;
    const struct rem_admin_handler handler = {
        .on_call = rem_agent_on_call,
        .on_stream = rem_agent_on_stream,
        .on_abandon = rem_agent_on_abandon,
        .on_answer = rem_agent_on_answer,
        .on_error = rem_agent_on_error,
        .data = agent,
    };
    const struct rem_admin_spec *spec = handover->admin != NULL ? handover->admin : &agent->no_spec;
    int rc;

    rem_admin_spec_init(&agent->no_spec);
    rem_audit_init(&agent->audit, spec, agent->log, agent->clock);
    agent->audit.counts = &agent->api.counts;
    agent->audit.header = handover->region->header;
    rc = rem_admin_auth_init(&agent->auth, spec, agent->log, agent->clock);
    if (rc == 0) {
        rem_admin_server_start(&agent->server, agent->base, agent->log, agent->clock, &handler,
                               &agent->auth);
        agent->server.workers_leave = handover->drain.phase == REM_DRAIN_CLOSING;
        rc = rem_admin_server_listen(&agent->server, handover->listeners, handover->listener_count,
                                     handover->inlet);
    }
    return rc == 0 ? 0 : rem_err_set(err, rc, "cannot serve the admin API: %s", rem_err_text(rc));
}

static int start_journal(struct rem_agent *agent, struct rem_err *err)
{
    const struct rem_handover *handover = agent->handover;
    const struct rem_shm_header *header = handover->region->header;
    /* relaxed: the master counts before it forks */
    uint64_t respawns = atomic_load_explicit(&header->agent_respawns, memory_order_relaxed);
    struct rem_journal *journal = handover->journal;

    if (journal == NULL) {
        journal = &agent->journal;
        if (rem_journal_create(journal, agent->clock->wall_sec) != REM_OK)
            return rem_err_set(err, REM_EIO, "cannot make a journal");
    }
    rem_journal_recover(journal, rem_writer_revision(agent->writer), handover->history);
    agent->api.journal = journal;
    if (rem_journal_mark(journal, REM_JOURNAL_MARK_AGENT_RESPAWNS) != respawns)
        rem_api_note(&agent->api, REM_JOURNAL_RESPAWN, json_pack("{s:s}", "process", "agent"));
    rem_journal_set_mark(journal, REM_JOURNAL_MARK_AGENT_RESPAWNS, respawns);
    return REM_OK;
}

/* From here on all that is published is written down. */
static int start_api(struct rem_agent *agent, struct rem_err *err)
{
    const struct rem_handover *handover = agent->handover;
    struct rem_api *api = &agent->api;
    char what[48];
    int n = snprintf(what, sizeof(what), "generation %llu",
                     (unsigned long long)handover->config_generation);
    int rc;

    rem_api_init(api, handover->region, agent->writer, agent->clock, handover->write);
    api->configured = handover->upstreams;
    api->configured_count = handover->upstream_count;
    api->keyvals = handover->keyvals;
    api->keyval_count = handover->keyval_count;
    api->explain = rem_store_explain;
    api->explain_data = &agent->store;
    if (handover->max_series != 0)
        api->max_series = handover->max_series;
    if (handover->max_upstream_series != 0)
        api->max_upstream_series = handover->max_upstream_series;
    if (handover->history != 0)
        api->history = handover->history;
    fill_info(agent);
    rc = start_journal(agent, err);
    if (rc != 0)
        return rc;
    rem_record_start(api);
    rem_record_cause(api, REM_STR("configuration"), REM_STR(""), rem_str_make(what, (size_t)n));
    return 0;
}

/* Health as /v1/events tells it. */
static void on_health(void *data, const struct rem_check_change *change)
{
    struct rem_agent *agent = data;
    const char *state = change->to == REM_HEALTH_DOWN ? "unhealthy" : "up";

    rem_api_note(&agent->api, REM_JOURNAL_HEALTH,
                 json_pack("{s:o,s:I,s:o,s:s,s:o,s:s}", "upstream", rem_json_text(change->upstream),
                           "id", (json_int_t)change->id, "server", rem_json_text(change->server),
                           "state", state, "check", rem_json_text(change->check), "reason",
                           change->reason));
}

static int start_checks(struct rem_agent *agent, struct rem_err *err)
{
    int rc;

    agent->checks = (struct rem_checks){
        .writer = agent->writer, .clock = agent->clock, .on_change = on_health, .data = agent};
    rc = rem_checks_start(&agent->checks, agent->base, agent->handover->checks,
                          agent->handover->check_count, agent->reloaded);
    return rc == 0 ? 0 : rem_err_set(err, rc, "cannot check servers: %s", rem_err_text(rc));
}

static void on_outlier(void *data, const struct rem_outlier_news *news)
{
    struct rem_agent *agent = data;

    rem_api_note(&agent->api, REM_JOURNAL_EJECT,
                 json_pack("{s:o,s:o,s:b,s:s,s:I}", "upstream", rem_json_text(news->upstream),
                           "server", rem_json_text(news->server), "ejected", (int)news->ejected,
                           "reason", news->by_rate ? "success rate" : "consecutive failures",
                           "for_ms", (json_int_t)news->until_ms));
}

static int start_outliers(struct rem_agent *agent, struct rem_err *err)
{
    int rc;

    agent->outliers = (struct rem_outliers){.writer = agent->writer,
                                            .log = agent->log,
                                            .clock = agent->clock,
                                            .on_news = on_outlier,
                                            .data = agent};
    rc = rem_outliers_start(&agent->outliers, agent->base);
    return rc == 0 ? 0 : rem_err_set(err, rc, "cannot watch servers: %s", rem_err_text(rc));
}

static int start(struct rem_agent *agent, struct rem_err *err)
{
    int rc = rem_agent_registry_open(agent, err);

    if (rc == 0)
        rc = start_api(agent, err);
    if (rc == 0) {
        rc = rem_agent_registry_fill(agent, err);
        rem_record_forget(&agent->api);
    }
    if (rc != 0)
        return rc;
    rc = start_events(agent);
    if (rc != 0)
        return rem_err_set(err, rc, "cannot start the event loop: %s", rem_err_text(rc));
    rc = start_server(agent, err);
    if (rc != 0)
        return rc;
    agent->resolves = (struct rem_resolves){.writer = agent->writer,
                                            .log = agent->log,
                                            .clock = agent->clock,
                                            .header = agent->handover->region->header};
    rc = rem_resolves_start(&agent->resolves, agent->base, agent->handover->upstreams,
                            agent->handover->upstream_count);
    if (rc != 0)
        return rem_err_set(err, rc, "cannot resolve names: %s", rem_err_text(rc));
    agent->states =
        (struct rem_states){.writer = agent->writer, .log = agent->log, .persist = &agent->persist};
    rc = rem_states_start(&agent->states, agent->handover->upstreams,
                          agent->handover->upstream_count);
    if (rc == 0)
        rc = rem_keyval_states_start(&agent->keyvals, agent->handover->keyvals,
                                     agent->handover->keyval_count);
    if (rc != 0)
        return rem_err_set(err, rc, "cannot keep state files: %s", rem_err_text(rc));
    rem_store_start(&agent->store);
    rem_persist_run(&agent->persist); /* before anybody is told that we are ready */
    agent->persist.base = agent->base;
    rem_agent_reclaim(agent);
    rc = start_checks(agent, err);
    return rc == 0 ? start_outliers(agent, err) : rc;
}

static void end(struct rem_agent *agent)
{
    struct event *events[] = {agent->applied,    agent->reclaim,    agent->news,
                              agent->deflate,    agent->deadline,   agent->master,
                              agent->signals[0], agent->signals[1], agent->signals[2]};

    rem_checks_stop(&agent->checks);
    rem_outliers_stop(&agent->outliers);
    rem_resolves_stop(&agent->resolves);
    rem_store_close(&agent->store);
    rem_persist_drain(&agent->persist);
    rem_persist_stop(&agent->persist);
    rem_states_stop(&agent->states);
    rem_keyval_states_stop(&agent->keyvals);
    rem_store_stop(&agent->store);
    if (agent->server.base != NULL)
        rem_admin_server_stop(&agent->server);
    rem_admin_auth_fini(&agent->auth);
    for (size_t i = 0; i < REM_COUNT(events); i++)
        if (events[i] != NULL)
            event_free(events[i]);
    if (agent->base != NULL)
        event_base_free(agent->base);
    rem_api_fini(&agent->api);
    rem_writer_free(&agent->writer);
    free(agent->tables);
    rem_journal_close(&agent->journal);
}

/* ---- running ---- */

static void tell(struct rem_agent *agent, enum rem_msg_kind kind, const char *text)
{
    struct rem_msg msg = {.kind = kind};

    (void)snprintf(msg.text, sizeof(msg.text), "%s", text);
    if (rem_msg_send(agent->handover->master_fd, &msg) != 0)
        REM_LOG(agent->log, REM_LOG_ALERT, 0, "agent: the master does not listen");
}

static void serve(struct rem_agent *agent)
{
    while (!agent->stopping) {
        bool more = agent->api.change != NULL || !rem_list_empty(&agent->deferred);
        if (event_base_loop(agent->base, EVLOOP_ONCE | (more ? EVLOOP_NONBLOCK : 0)) < 0) {
            REM_LOG(agent->log, REM_LOG_ALERT, 0, "agent: the event loop failed");
            return;
        }
        rem_agent_turn_end(agent);
        if (agent->quitting && agent->server.connection_count == 0)
            agent->stopping = true;
    }
}

int rem_agent_run(const struct rem_handover *handover)
{
    struct rem_agent agent = {.handover = handover, .log = handover->log, .clock = handover->clock};
    struct rem_err err = {0};
    int rc;

    rem_list_init(&agent.staged);
    rem_list_init(&agent.deferred);
    rem_list_init(&agent.waiting);
    rem_persist_init(&agent.persist, agent.log);
    agent.persist.on_saved = rem_agent_on_saved;
    agent.persist.data = &agent;
    rem_clock_update(agent.clock);
    /* Large blocks are the system's own, and go back to it when they are freed. */
    (void)mallopt(M_MMAP_THRESHOLD, REM_AGENT_LARGE);
    start_signals();
    rc = start(&agent, &err);
    if (rc == 0) {
        tell(&agent, REM_MSG_READY, "");
        serve(&agent);
    } else {
        tell(&agent, REM_MSG_FAILED, err.text[0] != '\0' ? err.text : rem_err_text(rc));
    }
    end(&agent);
    return rc == 0 ? 0 : 1;
}
