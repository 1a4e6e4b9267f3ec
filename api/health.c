/* SPDX-License-Identifier: Apache-2.0 */
/* Probes: /livez, /readyz, /startupz.  That this code runs at all says that the agent's loop turns;
 * the master's death ends the agent, so livez needs no more. */
#include "api/call.h"
#include "proto/wire/uri.h"

enum { CHECKS_MAX = 32 };

/* What a probe looks at, with the outcome. */
struct checks {
    size_t n;
    struct check {
        const char *name;
        struct rem_str upstream; /* .p NULL: the check is not about one */
        bool ok;
    } each[CHECKS_MAX];
};

static void add(struct checks *checks, const char *name, struct rem_str upstream, bool ok)
{
    checks->each[checks->n++] = (struct check){name, upstream, ok};
}

static void add_plain(struct checks *checks, const char *name, bool ok)
{
    add(checks, name, (struct rem_str){NULL, 0}, ok);
}

/* "workers", "upstream app" */
static void put_name(struct rem_sbuf *out, const struct check *check)
{
    rem_sbuf_adds(out, check->name);
    if (check->upstream.p == NULL)
        return;
    rem_sbuf_addc(out, ' ');
    for (size_t i = 0; i < check->upstream.n; i++) {
        unsigned char c = (unsigned char)check->upstream.p[i];

        rem_sbuf_addc(out, c > 0x20 && c < 0x7f ? (char)c : '?');
    }
}

static json_t *checks_json(const struct checks *checks)
{
    json_t *map = json_object();

    for (size_t i = 0; map != NULL && i < checks->n; i++) {
        struct rem_sbuf name;

        rem_sbuf_init(&name);
        put_name(&name, &checks->each[i]);
        rem_sbuf_addc(&name, '\0');
        if (name.failed ||
            json_object_set_new(map, name.p, json_boolean(checks->each[i].ok)) != 0) {
            json_decref(map);
            map = NULL;
        }
        rem_sbuf_fini(&name);
    }
    return map;
}

/* Text ("ok", or what is wrong), or with ?verbose every check as JSON. */
static int answer(struct rem_api_call *call, const struct checks *checks)
{
    struct rem_api_response *response = call->response;
    struct rem_str ignored;
    bool ok = true;

    for (size_t i = 0; i < checks->n; i++)
        ok = ok && checks->each[i].ok;
    response->status = ok ? 200 : 503;
    if (rem_uri_arg(call->request->args, REM_STR("verbose"), &ignored)) {
        rem_json_answer(response, json_pack("{s:s,s:o}", "status", ok ? "ok" : "failed", "checks",
                                            checks_json(checks)));
        return 0;
    }
    response->content_type = REM_API_TEXT;
    for (size_t i = 0; i < checks->n; i++)
        if (!checks->each[i].ok) {
            put_name(&response->body, &checks->each[i]);
            rem_sbuf_adds(&response->body, ": failed\n");
        }
    if (ok)
        rem_sbuf_adds(&response->body, "ok\n");
    return 0;
}

static bool workers_online(const struct rem_api_call *call)
{
    struct rem_region_totals totals;

    rem_region_totals(call->api->region, &totals);
    return totals.workers_live != 0;
}

/* Whether an upstream is there and has a server that would be chosen now. */
static bool has_live_server(struct rem_api_call *call, struct rem_str name)
{
    const struct rem_api *api = call->api;
    struct rem_writer_walk walk;
    struct rem_server_status server;
    size_t index;

    if (rem_writer_find(api->writer, name, &index) != 0)
        return false;
    rem_writer_walk_start(&walk, api->writer, index, api->clock->mono_ms);
    while (rem_writer_walk_next(&walk, &server))
        if (rem_str_is(server.state, "up"))
            return true;
    return false;
}

/* "?upstream=NAME", as often as it is there.  Errors: REM_EINVAL with the fault. */
static int add_upstreams(struct rem_api_call *call, struct checks *checks)
{
    struct rem_str rest = call->request->args;
    struct rem_str key = REM_STR("upstream=");

    while (rest.n != 0) {
        const char *end = rem_str_chr(rest, '&');
        struct rem_str arg = rem_str_make(rest.p, end != NULL ? (size_t)(end - rest.p) : rest.n);
        struct rem_str name;

        rest = rem_str_skip(rest, arg.n + (end != NULL));
        if (!rem_str_has_prefix(arg, key))
            continue;
        if (checks->n == CHECKS_MAX)
            return rem_fault_set(&call->fault, REM_FAULT_BAD_REQUEST, "too many upstreams");
        if (rem_uri_unescape(rem_str_skip(arg, key.n), &call->arena, &name) != 0)
            return rem_call_fault(call, REM_ENOMEM, NULL);
        add(checks, "upstream", name.p != NULL ? name : REM_STR(""), has_live_server(call, name));
    }
    return 0;
}

int rem_health_live(struct rem_api_call *call)
{
    struct checks checks = {.n = 0};

    add_plain(&checks, "agent", true);
    return answer(call, &checks);
}

int rem_health_ready(struct rem_api_call *call)
{
    struct checks checks = {.n = 0};
    int rc;

    add_plain(&checks, "workers", workers_online(call));
    add_plain(&checks, "not_draining", !call->api->info.draining);
    rc = add_upstreams(call, &checks);
    return rc == 0 ? answer(call, &checks) : rc;
}

/* `ready_when`: a pod must not wait for ever for what may never come, so each has a time. */
static void add_ready(struct rem_api_call *call, struct checks *checks)
{
    const struct rem_api *api = call->api;
    const struct rem_admin_ready *ready = api->spec != NULL ? api->spec->ready : NULL;
    uint64_t waited = api->clock->mono_ms - api->made_ms;

    for (; ready != NULL && checks->n < CHECKS_MAX; ready = ready->next)
        add(checks, "upstream", ready->upstream,
            api->started || waited >= ready->timeout_ms || has_live_server(call, ready->upstream));
}

int rem_health_startup(struct rem_api_call *call)
{
    struct rem_api *api = call->api;
    struct checks checks = {.n = 0};
    bool ok = true;

    add_plain(&checks, "registry", rem_writer_epoch(api->writer) != 0);
    add_plain(&checks, "workers", api->info.workers_up || workers_online(call));
    add_ready(call, &checks);
    for (size_t i = 0; i < checks.n; i++)
        ok = ok && checks.each[i].ok;
    api->started = api->started || ok;
    return answer(call, &checks);
}
