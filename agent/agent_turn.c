/* SPDX-License-Identifier: Apache-2.0 */
/* What a turn of the agent does with requests: stage, publish once, save, wait for the workers. */
#include "agent/agent.h"

#include "api/events.h"
#include "api/record.h"

#include <event2/event.h>
#include <malloc.h>
#include <stdlib.h>

static struct rem_admin_call *call_at(struct rem_list *node)
{
    return REM_LIST_ENTRY(node, struct rem_admin_call, node);
}

/* Takes a list's elements over to a list of our own, as answering one may put others on the
 * first again. */
static void take(struct rem_list *from, struct rem_list *to)
{
    rem_list_init(to);
    while (!rem_list_empty(from)) {
        struct rem_list *node = from->next;
        rem_list_remove(node);
        rem_list_append(to, node);
    }
}

static void arm_ms(struct event *timer, uint32_t ms)
{
    struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};

    (void)evtimer_add(timer, &tv);
}

/* ---- requests ---- */

/* In the audit log: the client did not wait for the answer. */
enum { STATUS_CLIENT_GONE = 499 };

/* Before and after are those of the publish that a change was part of. */
static void audit(struct rem_agent *agent, struct rem_admin_call *call, int status)
{
    uint64_t now = rem_writer_revision(agent->writer);
    uint64_t before = call->staged.is_change ? call->staged.base : now;
    uint64_t after = call->staged.commit.revision != 0 ? call->staged.commit.revision : before;

    rem_audit_note(&agent->audit, &call->request, &call->response, status, before, after);
}

/* A change that waits has those that came later wait behind it, or one that its own client sent
 * later would be in effect before it. */
static bool must_wait(const struct rem_agent *agent, const struct rem_admin_call *call)
{
    return agent->held && call->request.method != REM_METHOD_GET &&
           call->request.method != REM_METHOD_HEAD;
}

static void handle(struct rem_agent *agent, struct rem_admin_call *call)
{
    enum rem_api_outcome outcome;

    if (must_wait(agent, call)) {
        rem_list_append(&agent->deferred, &call->node);
        return;
    }
    agent->api.streams = agent->server.stream_count;
    outcome = rem_api_handle(&agent->api, &call->request, &call->response, &call->staged);
    if (call->request.body.n > REM_AGENT_LARGE || call->response.body.n > REM_AGENT_LARGE)
        agent->swollen = true;
    switch (outcome) {
    case REM_API_DONE:
        rem_admin_call_reply(call);
        break;
    case REM_API_STAGED:
        rem_list_append(&agent->staged, &call->node);
        break;
    case REM_API_FLUSH:
        agent->held = true;
        rem_list_append(&agent->deferred, &call->node);
        break;
    }
}

/* An answer given at the turn's end may bring its connection's next request at once.  That waits,
 * or its change would get among those that are just being published. */
void rem_agent_on_call(void *data, struct rem_admin_call *call)
{
    struct rem_agent *agent = data;

    if (agent->turn_ends)
        rem_list_append(&agent->deferred, &call->node);
    else
        handle(agent, call);
}

bool rem_agent_on_stream(void *data, struct rem_admin_call *call)
{
    const struct rem_agent *agent = data;

    rem_events_fill(&agent->api, &call->response);
    return true;
}

/* What is staged is published all the same. */
void rem_agent_on_abandon(void *data, struct rem_admin_call *call)
{
    struct rem_agent *agent = data;

    if (call->staged.is_change)
        audit(agent, call, STATUS_CLIENT_GONE);
    rem_list_remove(&call->node);
    rem_api_forget(&call->staged);
}

void rem_agent_on_answer(void *data, struct rem_admin_call *call)
{
    struct rem_agent *agent = data;
    uint64_t now = rem_mono_ms();

    audit(agent, call, call->response.status);
    rem_api_count(&agent->api.counts, agent->handover->region->header, &call->request,
                  &call->response, &call->staged, now > call->since_ms ? now - call->since_ms : 0);
}

void rem_agent_on_error(void *data, const struct rem_api_request *request, int status,
                        struct rem_api_response *response)
{
    struct rem_agent *agent = data;
    uint64_t now = rem_writer_revision(agent->writer);

    rem_api_refuse(request, status, response);
    if (status != 500) /* with that, a call that was audited already got no memory for its answer */
        rem_audit_note(&agent->audit, request, response, status, now, now);
}

/* ---- publishing ---- */

static void settle_failed(struct rem_admin_call *call, int error)
{
    rem_api_finish_failed(&call->staged, &call->request, error, &call->response);
    rem_admin_call_reply(call);
}

/* The call's change is published, and saved if that is asked for: answers, or has it wait for the
 * workers. */
static void settle(struct rem_agent *agent, struct rem_admin_call *call)
{
    if (rem_api_waits(&call->staged)) {
        rem_list_append(&agent->waiting, &call->node);
        return;
    }
    rem_admin_call_reply(call);
}

/* Calls of one publish, while it is being saved. */
struct saving {
    struct rem_save save;
    struct rem_list calls;
    struct rem_commit commit;
};

/* Publishes what is staged; `calls` (emptied then) are those it is for.  One that cannot be saved
 * is in effect, but not acknowledged.  Errors: those of rem_api_publish. */
static int publish_for(struct rem_agent *agent, struct rem_list *calls)
{
    struct saving *saving = calloc(1, sizeof(*saving));
    int rc = REM_ENOMEM;

    if (saving != NULL) {
        rem_states_note(&agent->states, agent->api.change);
        rem_store_note(&agent->store);
        rem_keyval_states_note(&agent->keyvals, agent->api.change);
        rc = rem_persist_prepare(&agent->persist, &saving->save);
    }
    if (rc != 0)
        agent->api.spoiled = true;
    rc = rem_api_publish(&agent->api, saving != NULL ? &saving->commit : &(struct rem_commit){0});
    if (rc != 0) {
        if (saving != NULL)
            rem_persist_cancel(&saving->save);
        free(saving);
        return rc;
    }
    rem_list_init(&saving->calls);
    while (!rem_list_empty(calls)) {
        struct rem_list *node = calls->next;
        rem_list_remove(node);
        call_at(node)->due_ms = agent->clock->mono_ms + REM_AGENT_APPLIED_MS;
        rem_list_append(&saving->calls, node);
        saving->save.calls++;
    }
    rem_persist_queue(&agent->persist, &saving->save);
    if (!rem_persist_needed(&saving->save))
        rem_agent_on_saved(agent, &saving->save, 0);
    return 0;
}

void rem_agent_on_saved(void *data, struct rem_save *save, int rc)
{
    struct rem_agent *agent = data;
    struct saving *saving = REM_LIST_ENTRY(save, struct saving, save);

    while (!rem_list_empty(&saving->calls)) {
        struct rem_list *node = saving->calls.next;
        rem_list_remove(node);
        call_at(node)->staged.commit = saving->commit;
        if (rc == 0)
            settle(agent, call_at(node));
        else
            settle_failed(call_at(node), rc);
    }
    if (rc != 0)
        rem_api_count_save_failure(&agent->api.counts, agent->handover->region->header);
    free(saving);
}

/* The common publish failed, so nothing of it has happened: tries each change on its own, as only
 * one of them may be the one that does not fit. */
static void publish_singly(struct rem_agent *agent, struct rem_list *calls)
{
    while (!rem_list_empty(calls)) {
        struct rem_list one, *node = calls->next;
        struct rem_admin_call *call = call_at(node);
        int rc;

        rem_list_remove(node);
        rem_api_forget(&call->staged);
        rem_api_response_reset(&call->response);
        if (rem_api_handle(&agent->api, &call->request, &call->response, &call->staged) !=
            REM_API_STAGED) {
            rem_admin_call_reply(call);
            continue;
        }
        rem_list_init(&one);
        rem_list_append(&one, node);
        rc = publish_for(agent, &one);
        if (rc == 0)
            continue;
        rem_list_remove(node);
        settle_failed(call, rc);
    }
}

static void publish(struct rem_agent *agent)
{
    struct rem_list calls;
    int rc;

    if (agent->api.change == NULL)
        return;
    agent->applied_tries = 0;
    take(&agent->staged, &calls);
    rc = publish_for(agent, &calls);
    if (rc != 0 && calls.next != calls.prev) {
        publish_singly(agent, &calls);
    } else if (!rem_list_empty(&calls)) {
        struct rem_list *node = calls.next;
        rem_list_remove(node);
        settle_failed(call_at(node), rc);
    }
    if (rc != 0)
        REM_LOG(agent->log, REM_LOG_ERROR, 0, "admin: a change was not published: %s",
                rem_err_text(rc));
    rem_agent_reclaim(agent);
}

/* ---- waiting for workers ---- */

/* Most turns of a worker are short: microseconds count where a client waits for each change. */
static suseconds_t applied_delay(unsigned tries)
{
    suseconds_t us = REM_AGENT_APPLIED_FIRST_US;

    if (tries >= REM_AGENT_APPLIED_TRIES)
        return REM_AGENT_APPLIED_REST_US;
    while (tries-- > 0 && us < REM_AGENT_APPLIED_POLL_US)
        us *= 2;
    return us;
}

static void answer_applied(struct rem_agent *agent)
{
    struct rem_list calls;

    take(&agent->waiting, &calls);
    REM_LIST_EACH(node, &calls) {
        struct rem_admin_call *call = call_at(node);
        bool applied = rem_writer_applied(agent->writer, call->staged.commit.epoch);
        rem_list_remove(node);
        if (!applied && agent->clock->mono_ms < call->due_ms) {
            rem_list_append(&agent->waiting, node);
            continue;
        }
        if (applied)
            rem_api_count_applied(&agent->api.counts, agent->handover->region->header,
                                  agent->clock->mono_ms + REM_AGENT_APPLIED_MS - call->due_ms);
        rem_api_finish(&call->staged, applied, &call->response);
        rem_admin_call_reply(call);
    }
    if (!rem_list_empty(&agent->waiting) && !evtimer_pending(agent->applied, NULL)) {
        const struct timeval tv = {0, applied_delay(agent->applied_tries++)};
        (void)evtimer_add(agent->applied, &tv);
    }
}

void rem_agent_on_applied(int fd, short what, void *data)
{
    struct rem_agent *agent = data;

    (void)fd;
    (void)what;
    rem_clock_update(agent->clock); /* the turn's end does the rest */
}

/* ---- housekeeping ---- */

/* Tries once; each failure doubles the delay, so that a server held for hours by a tunnel costs
 * one wake-up a second. */
static void reclaim_once(struct rem_agent *agent)
{
    if (!rem_writer_reclaim(agent->writer)) {
        agent->reclaim_ms = 0;
        (void)evtimer_del(agent->reclaim);
        return;
    }
    arm_ms(agent->reclaim, agent->reclaim_ms);
    agent->reclaim_ms *= 2;
    if (agent->reclaim_ms > REM_AGENT_RECLAIM_MAX_MS)
        agent->reclaim_ms = REM_AGENT_RECLAIM_MAX_MS;
}

void rem_agent_reclaim(struct rem_agent *agent)
{
    agent->reclaim_ms = REM_AGENT_RECLAIM_MIN_MS;
    reclaim_once(agent);
}

void rem_agent_on_reclaim(int fd, short what, void *data)
{
    struct rem_agent *agent = data;

    (void)fd;
    (void)what;
    rem_clock_update(agent->clock);
    reclaim_once(agent);
}

/* Under load streams are told of many events at once, lest each change cost a write for each. */
static void tell_streams(struct rem_agent *agent)
{
    uint64_t latest = rem_journal_sequence(agent->api.journal), now = agent->clock->mono_ms;

    if (agent->server.stream_count == 0 || latest == agent->told)
        return;
    if (now < agent->told_ms + REM_AGENT_NEWS_MS) {
        if (!evtimer_pending(agent->news, NULL))
            arm_ms(agent->news, REM_AGENT_NEWS_MS);
        return;
    }
    agent->told = latest;
    agent->told_ms = now;
    rem_admin_server_poke(&agent->server);
}

void rem_agent_on_news(int fd, short what, void *data)
{
    rem_agent_on_applied(fd, what, data);
}

/* Gives memory back to the system some time after a large set has passed through, as a sidecar's
 * limit is tight and the next such set may never come. */
static void deflate(struct rem_agent *agent)
{
    if (!agent->swollen)
        return;
    agent->swollen = false;
    if (!evtimer_pending(agent->deflate, NULL))
        arm_ms(agent->deflate, REM_AGENT_DEFLATE_MS);
}

void rem_agent_on_deflate(int fd, short what, void *data)
{
    struct rem_agent *agent = data;

    (void)fd;
    (void)what;
    rem_clock_update(agent->clock);
    (void)malloc_trim(0);
}

/* ---- the turn ---- */

void rem_agent_turn_end(struct rem_agent *agent)
{
    struct rem_list calls;

    agent->turn_ends = true;
    publish(agent);
    rem_store_turn(&agent->store);
    rem_persist_run(&agent->persist);
    if (agent->api.names) {
        agent->api.names = false;
        rem_resolves_look(&agent->resolves);
    }
    if (agent->resolves.dirty)
        rem_record_cause(&agent->api, REM_STR("resolver"), REM_STR(""),
                         REM_STR("addresses of names"));
    if (rem_resolves_apply(&agent->resolves))
        rem_agent_reclaim(agent);
    rem_record_forget(&agent->api);
    rem_checks_sync(&agent->checks);
    rem_outliers_sync(&agent->outliers);
    take(&agent->deferred, &calls);
    agent->held = false;
    REM_LIST_EACH(node, &calls) {
        rem_list_remove(node);
        handle(agent, call_at(node));
    }
    answer_applied(agent);
    agent->turn_ends = false;
    tell_streams(agent);
    deflate(agent);
}
