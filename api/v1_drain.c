/* SPDX-License-Identifier: Apache-2.0 */
/* The way out: POST /v1/drain, POST /v1/shutdown, and how far it has come. */
#include "api/call.h"
#include "api/server_json.h"
#include "proto/wire/uri.h"

/* How many milliseconds `at_ms` is away; null for "never". */
static json_t *left(const struct rem_api *api, uint64_t at_ms)
{
    uint64_t now = api->clock->mono_ms;

    if (at_ms == 0)
        return json_null();
    return json_integer(at_ms > now ? rem_json_count(at_ms - now) : 0);
}

static json_t *started(const struct rem_drain *drain)
{
    char text[REM_PLUS_TIME];

    if (drain->phase == REM_DRAIN_NONE)
        return json_null();
    rem_plus_time(drain->started_sec, 0, text);
    return json_string(text);
}

static json_int_t gauge(int64_t value)
{
    return value > 0 ? value : 0;
}

static json_t *progress(const struct rem_api *api)
{
    const struct rem_drain *drain = &api->info.drain;
    struct rem_region_totals t;

    rem_region_totals(api->region, &t);
    return json_pack("{s:b,s:s,s:o,s:o,s:o,s:{s:I,s:I},s:I,s:i}", "draining",
                     (int)(drain->phase != REM_DRAIN_NONE), "phase",
                     rem_drain_phase_name(drain->phase), "started", started(drain), "closing_in_ms",
                     left(api, drain->close_at_ms), "deadline_in_ms", left(api, drain->deadline_ms),
                     "connections", "active", gauge(t.conn_active), "idle", gauge(t.conn_waiting),
                     "requests", gauge(t.requests_current), "workers", (int)t.workers_live);
}

int rem_v1_drain(struct rem_api_call *call)
{
    return rem_call_answer(call, 200, progress(call->api));
}

/* "?name=30s".  Errors: REM_EINVAL with the fault. */
static int take_time(struct rem_api_call *call, const char *name, uint32_t *out_ms)
{
    struct rem_str text;

    if (!rem_uri_arg(call->request->args, rem_str_from(name), &text))
        return 0;
    if (rem_server_json_time(text, out_ms) != 0)
        return rem_fault_set(&call->fault, REM_FAULT_BAD_REQUEST, "\"%s\" is no time, as in 30s",
                             name);
    return 0;
}

/* Errors: REM_EINVAL with the fault. */
static int check_body(struct rem_api_call *call)
{
    if (call->request->body.n == 0)
        return 0;
    return rem_fault_set(&call->fault, REM_FAULT_BAD_REQUEST, "no body is expected");
}

static int begin(struct rem_api_call *call, uint32_t delay_ms, uint32_t timeout_ms)
{
    struct rem_api *api = call->api;

    if (api->drain == NULL || api->drain(api->drain_data, delay_ms, timeout_ms) != REM_OK)
        return rem_fault_set(&call->fault, REM_FAULT_INTERNAL, "the master does not listen");
    return rem_call_answer(call, 202, progress(api));
}

int rem_v1_drain_post(struct rem_api_call *call)
{
    const struct rem_admin_spec *spec = call->api->spec;
    uint32_t delay_ms = spec != NULL ? spec->drain_delay_ms : REM_ADMIN_DRAIN_DELAY_MS;
    uint32_t timeout_ms = spec != NULL ? spec->drain_timeout_ms : REM_ADMIN_DRAIN_TIMEOUT_MS;
    int rc = check_body(call);

    if (rc == 0)
        rc = take_time(call, "timeout", &timeout_ms);
    if (rc == 0)
        rc = take_time(call, "delay", &delay_ms);
    return rc == 0 ? begin(call, delay_ms, timeout_ms) : rc;
}

/* For jobs, whose pods end when all containers have: nobody waits for anything to be told. */
int rem_v1_shutdown(struct rem_api_call *call)
{
    const struct rem_admin_spec *spec = call->api->spec;
    uint32_t timeout_ms = spec != NULL ? spec->drain_timeout_ms : REM_ADMIN_DRAIN_TIMEOUT_MS;
    int rc = check_body(call);

    if (rc == 0)
        rc = take_time(call, "timeout", &timeout_ms);
    return rc == 0 ? begin(call, 0, timeout_ms) : rc;
}
