/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/phase.h"

#include "proxy/http/core.h"
#include "proxy/http/delay.h"
#include "proxy/http/http.h"

enum { URI_CHANGES_MAX = 10 };

struct phase_entry;

/* Runs one entry and moves request->phase.  Returns: whether the next entry is to be run now. */
typedef bool (*phase_check_fn)(struct rem_request *request, const struct phase_entry *entry);

struct phase_entry {
    phase_check_fn check;
    rem_phase_fn handler; /* NULL: the checker does all there is to do */
    uint32_t next;        /* the first entry of the following phase */
};

struct rem_phase_engine {
    struct phase_entry *entries;
    uint32_t first[REM_PHASE_COUNT + 1]; /* where each phase begins; the last: where all end */
};

static const struct rem_phase_engine *engine_of(const struct rem_request *request)
{
    return rem_core_main(request)->phases;
}

/* post-read, rewrites, preaccess, precontent. */
static bool check_plain(struct rem_request *request, const struct phase_entry *entry)
{
    int rc = entry->handler(request);

    switch (rc) {
    case REM_HTTP_OK:
        request->phase = entry->next;
        return true;
    case REM_HTTP_DECLINED:
        request->phase++;
        return true;
    case REM_HTTP_AGAIN:
    case REM_HTTP_DONE:
        return false;
    default:
        rem_request_finalize(request, rc);
        return false;
    }
}

static bool check_find_config(struct rem_request *request, const struct phase_entry *entry)
{
    int rc;

    request->content = NULL;
    request->uri_changed = false;
    rc = rem_core_find_config(request);
    if (rc != REM_HTTP_OK) {
        rem_request_finalize(request, rc);
        return false;
    }
    request->phase = entry->next;
    return true;
}

static bool check_post_rewrite(struct rem_request *request, const struct phase_entry *entry)
{
    if (!request->uri_changed) {
        request->phase = entry->next;
        return true;
    }
    if (request->uri_changes++ == URI_CHANGES_MAX) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0,
                   "rewrite or internal redirection cycle while processing \"%.*s\"",
                   REM_STR_ARG(request->uri));
        rem_request_finalize(request, 500);
        return false;
    }
    request->phase = engine_of(request)->first[REM_PHASE_FIND_CONFIG];
    return true;
}

/* Ends the request, after auth_delay if it is for want of a password; comes here a second time
 * then.  Returns false, as a checker does. */
static bool refuse(struct rem_request *request, int status)
{
    int64_t delay = rem_core_location(request)->auth_delay;

    if (status == 401 && delay > 0 && !request->refusal_delayed) {
        REM_LOG_IN(&request->log, REM_LOG_INFO, 0, "delaying unauthorized request");
        request->refusal_delayed = true;
        status = rem_request_delay(request, (uint64_t)delay);
    } else {
        request->refusal_delayed = false;
    }
    rem_request_finalize(request, status);
    return false;
}

static bool check_access(struct rem_request *request, const struct phase_entry *entry)
{
    bool any = rem_core_location(request)->satisfy == REM_SATISFY_ANY;
    int rc;

    if (request->refusal_delayed)
        return refuse(request, 401);
    if (request->parent != NULL) { /* the request that made it has been let in */
        request->phase = entry->next;
        return true;
    }
    rc = entry->handler(request);
    if (rc == REM_HTTP_AGAIN || rc == REM_HTTP_DONE)
        return false;
    if (rc == REM_HTTP_OK && any) {
        request->access_status = 0;
        /* That was good enough: nobody is asked for a password. */
        rem_fields_remove_all(&request->response.fields, REM_FIELD_WWW_AUTHENTICATE);
        request->phase = entry->next;
        return true;
    }
    if (any && (rc == 401 || rc == 403)) {
        if (request->access_status != 401)
            request->access_status = rc;
        rc = REM_HTTP_DECLINED;
    }
    if (rc == REM_HTTP_OK || rc == REM_HTTP_DECLINED) {
        request->phase++;
        return true;
    }
    return refuse(request, rc);
}

static bool check_post_access(struct rem_request *request, const struct phase_entry *entry)
{
    int status = request->access_status;

    if (request->refusal_delayed)
        return refuse(request, 401);
    request->access_status = 0;
    if (status != 0) {
        if (status == 403)
            REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "access forbidden by rule");
        return refuse(request, status);
    }
    request->phase = entry->next;
    return true;
}

/* Nobody has content for the URI. */
static int nothing_found(struct rem_request *request)
{
    struct rem_str path;

    if (request->uri.n == 0 || request->uri.p[request->uri.n - 1] != '/') {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "no handler found");
        return 404;
    }
    if (rem_core_path(request, &path, NULL) == REM_OK)
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "directory index of \"%.*s\" is forbidden",
                   REM_STR_ARG(path));
    return 403;
}

static bool check_content(struct rem_request *request, const struct phase_entry *entry)
{
    int rc;

    if (request->content != NULL) {
        rem_request_finalize(request, request->content(request));
        return false;
    }
    rc = entry->handler != NULL ? entry->handler(request) : nothing_found(request);
    if (rc == REM_HTTP_DECLINED) {
        request->phase++;
        return true;
    }
    rem_request_finalize(request, rc);
    return false;
}

/* How a phase is checked, and whether it has an entry of its own (`fixed`): before the handlers'
 * entries for access' sake there is none; the content phase's comes last and finds nothing. */
static const struct phase_kind {
    phase_check_fn check;
    bool fixed;
} kinds[REM_PHASE_COUNT] = {
    [REM_PHASE_POST_READ] = {check_plain, false},
    [REM_PHASE_SERVER_REWRITE] = {check_plain, false},
    [REM_PHASE_FIND_CONFIG] = {check_find_config, true},
    [REM_PHASE_REWRITE] = {check_plain, false},
    [REM_PHASE_POST_REWRITE] = {check_post_rewrite, true},
    [REM_PHASE_PREACCESS] = {check_plain, false},
    [REM_PHASE_ACCESS] = {check_access, false},
    [REM_PHASE_POST_ACCESS] = {check_post_access, true},
    [REM_PHASE_PRECONTENT] = {check_plain, false},
    [REM_PHASE_CONTENT] = {check_content, true},
    [REM_PHASE_LOG] = {NULL, false},
};

static uint32_t entry_count(const struct rem_http_setup *setup, int phase)
{
    return setup->handlers[phase].n + (kinds[phase].fixed ? 1 : 0);
}

int rem_phase_compile(struct rem_http_setup *setup, const struct rem_phase_engine **out)
{
    struct rem_phase_engine *engine = rem_arena_zalloc(setup->arena, sizeof(*engine));
    struct phase_entry *at;

    if (engine == NULL)
        return REM_ENOMEM;
    for (int phase = 0; phase < REM_PHASE_COUNT; phase++)
        engine->first[phase + 1] = engine->first[phase] + entry_count(setup, phase);
    at = rem_arena_zalloc(setup->arena, engine->first[REM_PHASE_COUNT] * sizeof(*at));
    if (at == NULL)
        return REM_ENOMEM;
    engine->entries = at;
    for (int phase = 0; phase < REM_PHASE_COUNT; phase++) {
        const struct rem_http_handler_list *list = &setup->handlers[phase];

        for (uint32_t i = 0; i < entry_count(setup, phase); i++)
            *at++ = (struct phase_entry){kinds[phase].check, i < list->n ? list->v[i] : NULL,
                                         engine->first[phase + 1]};
    }
    *out = engine;
    return REM_OK;
}

int rem_http_add_handler(struct rem_http_setup *setup, enum rem_phase phase, rem_phase_fn handler)
{
    struct rem_http_handler_list *list = &setup->handlers[phase];
    rem_phase_fn *v;

    REM_CHECK(phase >= REM_PHASE_POST_READ && phase < REM_PHASE_COUNT);
    /* What find-config, post-rewrite and post-access do is fixed. */
    REM_CHECK(!kinds[phase].fixed || phase == REM_PHASE_CONTENT);
    v = rem_arena_alloc(setup->arena, (list->n + 1) * sizeof(*v));
    if (v == NULL)
        return REM_ENOMEM;
    if (list->n != 0)
        memcpy(v, list->v, list->n * sizeof(*v));
    v[list->n] = handler;
    list->v = v;
    list->n++;
    return REM_OK;
}

void rem_phase_enter(struct rem_request *request, enum rem_phase phase)
{
    request->phase = engine_of(request)->first[phase];
}

void rem_phase_run(struct rem_request *request)
{
    const struct rem_phase_engine *engine = engine_of(request);
    const struct phase_entry *entry;

    REM_CHECK_OBJ(request, REM_REQUEST_MAGIC);
    do {
        REM_CHECK(request->phase < engine->first[REM_PHASE_LOG]);
        entry = &engine->entries[request->phase];
    } while (entry->check(request, entry));
}

void rem_phase_log(struct rem_request *request)
{
    const struct rem_phase_engine *engine = engine_of(request);

    for (uint32_t i = engine->first[REM_PHASE_LOG]; i < engine->first[REM_PHASE_COUNT]; i++)
        engine->entries[i].handler(request);
}
