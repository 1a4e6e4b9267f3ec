/* SPDX-License-Identifier: Apache-2.0 */
/* Upstreams with their peers' counters, as the NGINX Plus API shows them. */
#include "api/call.h"
#include "api/reset.h"

/* A wall-clock text of a monotonic time in the past. */
static void past(const struct rem_clock *clock, uint64_t mono_ms, char out[REM_PLUS_TIME])
{
    uint64_t ago = clock->mono_ms > mono_ms ? clock->mono_ms - mono_ms : 0;
    int64_t wall = clock->wall_sec * 1000 + clock->wall_msec - (int64_t)ago;

    rem_plus_time(wall / 1000, (unsigned)(wall % 1000), out);
}

static json_t *responses_json(const struct rem_shm_totals *totals)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < REM_SHM_CLASSES; i++)
        sum += totals->responses[i];
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:{},s:I}", "1xx", rem_json_count(totals->responses[0]),
                     "2xx", rem_json_count(totals->responses[1]), "3xx",
                     rem_json_count(totals->responses[2]), "4xx",
                     rem_json_count(totals->responses[3]), "5xx",
                     rem_json_count(totals->responses[4]), "codes", "total", rem_json_count(sum));
}

/* Members that are there only when there is something to say.  Returns false without memory. */
static bool add_optional(json_t *peer, const struct rem_clock *clock,
                         const struct rem_server_status *server)
{
    uint64_t answered = 0;
    char text[REM_PLUS_TIME];
    int rc = 0;

    for (size_t i = 0; i < REM_SHM_CLASSES; i++)
        answered += server->totals.responses[i];
    if (server->down_from_ms != 0) {
        past(clock, server->down_from_ms, text);
        rc |= json_object_set_new(peer, "downstart", json_string(text));
    }
    if (server->selected_ms != 0) {
        past(clock, server->selected_ms, text);
        rc |= json_object_set_new(peer, "selected", json_string(text));
    }
    if (answered != 0) {
        rc |= json_object_set_new(
            peer, "header_time", json_integer(rem_json_count(server->totals.header_ms / answered)));
        rc |= json_object_set_new(
            peer, "response_time",
            json_integer(rem_json_count(server->totals.response_ms / answered)));
    }
    if (server->spec.max_conns != 0)
        rc |= json_object_set_new(peer, "max_conns", json_integer(server->spec.max_conns));
    return rc == 0;
}

static json_t *peer_json(const struct rem_clock *clock, const struct rem_server_status *server)
{
    const struct rem_server_spec *spec = &server->spec;
    const struct rem_shm_totals *totals = &server->totals;
    struct rem_str name = spec->name.n != 0 ? spec->name : spec->server;
    uint64_t downtime = server->downtime_ms;
    json_t *peer;

    if (server->down_from_ms != 0 && clock->mono_ms > server->down_from_ms)
        downtime += clock->mono_ms - server->down_from_ms;
    peer = json_pack("{s:I,s:o,s:o,s:b,s:I,s:o,s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:{s:i,s:i,s:i},s:I}",
                     "id", (json_int_t)spec->id, "server", rem_json_text(spec->server), "name",
                     rem_json_text(name), "backup", (spec->flags & REM_SERVER_BACKUP) != 0,
                     "weight", (json_int_t)spec->weight, "state", rem_json_text(server->state),
                     "active", (json_int_t)(server->active > 0 ? server->active : 0), "requests",
                     rem_json_count(totals->requests), "responses", responses_json(totals), "sent",
                     rem_json_count(totals->sent), "received", rem_json_count(totals->received),
                     "fails", rem_json_count(totals->fails), "unavail",
                     rem_json_count(totals->unavail), "health_checks", "checks", 0, "fails", 0,
                     "unhealthy", 0, "downtime", rem_json_count(downtime));
    if (peer != NULL && !add_optional(peer, clock, server)) {
        json_decref(peer);
        return NULL;
    }
    return peer;
}

static json_t *upstream_json(const struct rem_clock *clock,
                             const struct rem_upstream_status *status)
{
    json_t *peers = json_array();

    for (size_t i = 0; peers != NULL && i < status->server_count; i++) {
        if (json_array_append_new(peers, peer_json(clock, &status->servers[i])) != 0) {
            json_decref(peers);
            return NULL;
        }
    }
    return json_pack("{s:o,s:I,s:I,s:o}", "peers", peers, "keepalive",
                     (json_int_t)(status->idle > 0 ? status->idle : 0), "zombies",
                     rem_json_count(status->zombies), "zone", rem_json_text(status->spec.zone));
}

/* One upstream by its index in the writer's directory.  NULL without memory. */
static json_t *status_json(struct rem_api_call *call, size_t index)
{
    const struct rem_api *api = call->api;
    struct rem_upstream_status status;

    if (rem_writer_status(api->writer, index, api->clock->mono_ms, &call->arena, &status) != 0)
        return NULL;
    rem_reset_apply_upstream(api, &status);
    return upstream_json(api->clock, &status);
}

int rem_plus_upstreams(struct rem_api_call *call)
{
    size_t count = rem_writer_count(call->api->writer);
    json_t *map = json_object();

    for (size_t i = 0; map != NULL && i < count; i++) {
        struct rem_upstream_spec spec;
        struct rem_str key;
        json_t *name = NULL;
        int rc = rem_writer_spec(call->api->writer, i, &call->arena, &spec);
        if (rc == 0 && (!rem_call_is_shown(&spec) || (spec.flags & REM_UPSTREAM_STATIC)))
            continue;
        if (rc == 0)
            name = rem_json_text(spec.name);
        key = rem_json_str(name);
        if (name == NULL || json_object_setn_new(map, key.p, key.n, status_json(call, i)) != 0) {
            json_decref(map);
            map = NULL;
        }
        json_decref(name);
    }
    return rem_plus_answer_map(call, map);
}

int rem_plus_upstream(struct rem_api_call *call)
{
    struct rem_upstream_spec spec;
    size_t index;
    int rc = rem_call_find(call, call->params[0], &index, &spec);

    if (rc != 0)
        return rc;
    if (spec.flags & REM_UPSTREAM_STATIC)
        return rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_STATIC, "upstream is static");
    return rem_plus_answer_object(call, status_json(call, index));
}
