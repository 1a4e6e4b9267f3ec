/* SPDX-License-Identifier: Apache-2.0 */
/* Probes: /livez, /readyz, /startupz.  That this code runs at all says that the agent's loop turns;
 * the master's death ends the agent, so livez needs no more. */
#include "api/call.h"
#include "proto/wire/uri.h"

struct check {
    const char *name;
    bool ok;
};

/* Text ("ok", or what is wrong), or with ?verbose every check as JSON. */
static int answer(struct rem_api_call *call, const struct check *checks, size_t count)
{
    struct rem_api_response *response = call->response;
    struct rem_str ignored;
    bool ok = true;

    for (size_t i = 0; i < count; i++)
        ok = ok && checks[i].ok;
    response->status = ok ? 200 : 503;
    if (rem_uri_arg(call->request->args, REM_STR("verbose"), &ignored)) {
        json_t *map = json_object();
        for (size_t i = 0; map != NULL && i < count; i++)
            if (json_object_set_new(map, checks[i].name, json_boolean(checks[i].ok)) != 0)
                response->body.failed = true;
        rem_json_answer(response,
                        json_pack("{s:s,s:o}", "status", ok ? "ok" : "failed", "checks", map));
        return 0;
    }
    response->content_type = REM_API_TEXT;
    for (size_t i = 0; !ok && i < count; i++)
        if (!checks[i].ok)
            rem_sbuf_addf(&response->body, "%s: failed\n", checks[i].name);
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

int rem_health_live(struct rem_api_call *call)
{
    const struct check checks[] = {{"agent", true}};

    return answer(call, checks, REM_COUNT(checks));
}

int rem_health_ready(struct rem_api_call *call)
{
    const struct check checks[] = {
        {"workers", workers_online(call)},
        {"not_draining", !call->api->info.draining},
    };

    return answer(call, checks, REM_COUNT(checks));
}

int rem_health_startup(struct rem_api_call *call)
{
    const struct check checks[] = {
        {"registry", rem_writer_epoch(call->api->writer) != 0},
        {"workers", call->api->info.workers_up || workers_online(call)},
    };

    return answer(call, checks, REM_COUNT(checks));
}
