/* SPDX-License-Identifier: Apache-2.0 */
/* Upstreams with their peers' counters, as the NGINX Plus API shows them. */
#include "api/plus.h"
#include "proto/shm/space.h"

#include <stdlib.h>

#define KIND "http/upstreams"

/* What a server had counted at a reset. */
struct reset_server {
    uint32_t id;
    uint32_t code_count, code_first; /* of reset_upstream's codes */
    uint32_t reserved;
    struct rem_shm_totals totals;
    uint64_t checks, check_fails, unhealthy;
    uint64_t downtime_ms;
};

/* What is kept of an upstream: followed by those of its servers that had counted anything, by
 * ascending id, and their codes. */
struct reset_upstream {
    uint64_t overflows;
    uint32_t server_count, code_count;
    struct reset_server servers[];
};

/* The status of a server, with what was counted before the last reset taken off. */
struct peer {
    const struct rem_server_status *status;
    struct rem_shm_totals totals;
    struct rem_codes codes;
    uint64_t checks, check_fails, unhealthy;
    uint64_t downtime_ms;
    struct rem_str service; /* of the name it was found for */
};

/* ---- resets ---- */

static void codes_of(const struct rem_server_status *status, struct rem_codes *out)
{
    out->count = status->code_count < REM_CODES_MAX ? status->code_count : REM_CODES_MAX;
    if (out->count != 0)
        memcpy(out->items, status->codes, out->count * sizeof(out->items[0]));
}

static void totals_less(struct rem_shm_totals *totals, const struct rem_shm_totals *base)
{
    totals->requests = rem_reset_less(totals->requests, base->requests);
    totals->sent = rem_reset_less(totals->sent, base->sent);
    totals->received = rem_reset_less(totals->received, base->received);
    rem_reset_apply(totals->responses, base->responses, REM_SHM_CLASSES);
    totals->fails = rem_reset_less(totals->fails, base->fails);
    totals->unavail = rem_reset_less(totals->unavail, base->unavail);
    totals->header_ms = rem_reset_less(totals->header_ms, base->header_ms);
    totals->response_ms = rem_reset_less(totals->response_ms, base->response_ms);
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = ((const struct reset_server *)a)->id, y = ((const struct reset_server *)b)->id;

    return (x > y) - (x < y);
}

static size_t reset_size(size_t servers, size_t codes)
{
    return sizeof(struct reset_upstream) + servers * sizeof(struct reset_server) +
           codes * sizeof(struct rem_code);
}

static const struct reset_upstream *find_reset(struct rem_api_call *call, struct rem_str name)
{
    size_t size;
    const struct reset_upstream *kept =
        rem_reset_find(call, KIND, name, sizeof(struct reset_upstream), &size);

    return kept != NULL && size == reset_size(kept->server_count, kept->code_count) ? kept : NULL;
}

static const struct reset_server *base_of(const struct reset_upstream *base, uint32_t id)
{
    struct reset_server key = {.id = id};

    if (base == NULL)
        return NULL;
    return bsearch(&key, base->servers, base->server_count, sizeof(key), by_id);
}

static void base_codes(const struct reset_upstream *base, const struct reset_server *server,
                       struct rem_codes *out)
{
    const struct rem_code *all = (const void *)&base->servers[base->server_count];

    out->count = server->code_count;
    memcpy(out->items, all + server->code_first, out->count * sizeof(out->items[0]));
}

static void make_peer(const struct rem_server_status *status, const struct reset_upstream *kept,
                      struct peer *out)
{
    const struct reset_server *base = base_of(kept, status->spec.id);
    struct rem_codes codes;

    *out = (struct peer){
        .status = status,
        .totals = status->totals,
        .checks = status->checks,
        .check_fails = status->check_fails,
        .unhealthy = status->unhealthy,
        .downtime_ms = status->downtime_ms,
    };
    codes_of(status, &out->codes);
    if (base == NULL)
        return;
    totals_less(&out->totals, &base->totals);
    base_codes(kept, base, &codes);
    rem_plus_codes_less(&out->codes, &codes);
    out->checks = rem_reset_less(out->checks, base->checks);
    out->check_fails = rem_reset_less(out->check_fails, base->check_fails);
    out->unhealthy = rem_reset_less(out->unhealthy, base->unhealthy);
    out->downtime_ms = rem_reset_less(out->downtime_ms, base->downtime_ms);
}

/* ---- objects ---- */

/* A wall-clock text of a monotonic time in the past, the same whenever it is asked for: the two
 * clocks are read one after the other, so that their distance seems to vary by a millisecond. */
static void past(struct rem_api *api, uint64_t mono_ms, char out[REM_PLUS_TIME])
{
    const struct rem_clock *clock = api->clock;
    int64_t apart = clock->wall_sec * 1000 + clock->wall_msec - (int64_t)clock->mono_ms, wall;

    if (apart < api->clocks_apart - 2 || apart > api->clocks_apart + 2)
        api->clocks_apart = apart;
    wall = api->clocks_apart + (int64_t)mono_ms;
    rem_plus_time(wall / 1000, (unsigned)(wall % 1000), out);
}

static uint64_t answered(const struct peer *peer)
{
    uint64_t n = 0;

    for (size_t i = 0; i < REM_SHM_CLASSES; i++)
        n += peer->totals.responses[i];
    return n;
}

static json_t *put_past(json_t *object, const char *key, struct rem_api *api, uint64_t mono_ms)
{
    char text[REM_PLUS_TIME];

    past(api, mono_ms, text);
    return rem_plus_put(object, rem_str_from(key), json_string(text));
}

static json_t *put_count(json_t *object, const char *key, uint64_t n)
{
    return rem_plus_put(object, rem_str_from(key), json_integer(rem_json_count(n)));
}

/* Members that are there only when there is something to say. */
static json_t *put_optional(json_t *object, struct rem_api *api, const struct peer *peer)
{
    const struct rem_server_status *status = peer->status;
    uint64_t n = answered(peer);

    if (peer->service.n != 0)
        object = rem_plus_put(object, REM_STR("service"), rem_json_text(peer->service));
    if (status->down_from_ms != 0)
        object = put_past(object, "downstart", api, status->down_from_ms);
    if (status->selected_ms != 0)
        object = put_past(object, "selected", api, status->selected_ms);
    if (n != 0) {
        object = put_count(object, "header_time", peer->totals.header_ms / n);
        object = put_count(object, "response_time", peer->totals.response_ms / n);
    }
    if (status->spec.max_conns != 0)
        object = put_count(object, "max_conns", status->spec.max_conns);
    return object;
}

/* Without last_passed until a check has ended. */
static json_t *checks_json(const struct peer *peer)
{
    json_t *object =
        json_pack("{s:I,s:I,s:I}", "checks", rem_json_count(peer->checks), "fails",
                  rem_json_count(peer->check_fails), "unhealthy", rem_json_count(peer->unhealthy));

    if (peer->status->last_passed == REM_VERDICT_NONE)
        return object;
    return rem_plus_put(object, REM_STR("last_passed"),
                        json_boolean(peer->status->last_passed == REM_VERDICT_PASSED));
}

/* Clients know no state for servers that stand out and are put aside. */
static struct rem_str state_of(const struct rem_server_status *status)
{
    return rem_str_is(status->state, "ejected") ? REM_STR("unavail") : status->state;
}

static json_t *peer_json(struct rem_api *api, const struct peer *peer)
{
    const struct rem_server_spec *spec = &peer->status->spec;
    const struct rem_shm_totals *totals = &peer->totals;
    struct rem_str name = spec->name.n != 0 ? spec->name : spec->server;
    json_t *object = json_pack(
        "{s:I,s:o,s:o,s:b,s:I,s:o,s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:o,s:I}", "id", (json_int_t)spec->id,
        "server", rem_json_text(spec->server), "name", rem_json_text(name), "backup",
        (spec->flags & REM_SERVER_BACKUP) != 0, "weight", (json_int_t)spec->weight, "state",
        rem_json_text(state_of(peer->status)), "active", rem_plus_gauge(peer->status->active),
        "requests", rem_json_count(totals->requests), "responses",
        rem_plus_responses(totals->responses, &peer->codes), "sent", rem_json_count(totals->sent),
        "received", rem_json_count(totals->received), "fails", rem_json_count(totals->fails),
        "unavail", rem_json_count(totals->unavail), "health_checks", checks_json(peer), "downtime",
        rem_json_count(peer->downtime_ms));

    return put_optional(object, api, peer);
}

static json_t *peers_json(struct rem_api_call *call, const struct rem_upstream_status *status,
                          const struct reset_upstream *base)
{
    struct rem_plus_names names = {.upstream = status->spec.name};
    json_t *peers = json_array();

    for (size_t i = 0; peers != NULL && i < status->server_count; i++) {
        struct peer peer;

        make_peer(&status->servers[i], base, &peer);
        peer.service = rem_plus_service(call, &names, status->servers[i].spec.parent);
        if (json_array_append_new(peers, peer_json(call->api, &peer)) != 0) {
            json_decref(peers);
            peers = NULL;
        }
    }
    return peers;
}

/* `max` of each worker. */
static json_t *queue_json(const struct rem_api *api, const struct rem_upstream_status *status,
                          const struct reset_upstream *base, uint32_t max)
{
    uint64_t overflows = status->overflows[REM_OVERFLOW_QUEUE];

    if (base != NULL)
        overflows = rem_reset_less(overflows, base->overflows);
    return json_pack("{s:I,s:I,s:I}", "size", rem_plus_gauge(status->queued), "max_size",
                     (json_int_t)max * (json_int_t)api->info.workers, "overflows",
                     rem_json_count(overflows));
}

/* One upstream by its index in the writer's directory.  NULL without memory. */
static json_t *upstream_json(struct rem_api_call *call, size_t index)
{
    const struct rem_api *api = call->api;
    const struct rem_upstream_spec *conf;
    const struct reset_upstream *base;
    struct rem_upstream_status status;
    json_t *object;

    if (rem_writer_status(api->writer, index, api->clock->mono_ms, &call->arena, &status) != 0)
        return NULL;
    base = find_reset(call, status.spec.name);
    object = json_pack("{s:o,s:I,s:I,s:o}", "peers", peers_json(call, &status, base), "keepalive",
                       rem_plus_gauge(status.idle), "zombies", rem_json_count(status.zombies),
                       "zone", rem_json_text(status.spec.zone));
    conf = rem_api_conf(call->api, status.spec.name);
    if (conf != NULL && conf->queue != 0)
        object =
            rem_plus_put(object, REM_STR("queue"), queue_json(api, &status, base, conf->queue));
    return object;
}

/* ---- calls ---- */

int rem_plus_upstreams(struct rem_api_call *call)
{
    size_t count = rem_writer_count(call->api->writer);
    json_t *map = json_object();

    for (size_t i = 0; map != NULL && i < count; i++) {
        struct rem_space_upstream upstream;

        rem_space_upstream(call->api->writer, i, &upstream);
        if (rem_call_flags_are_shown(upstream.flags) && !(upstream.flags & REM_UPSTREAM_STATIC))
            map = rem_plus_put(map, upstream.name, upstream_json(call, i));
    }
    return rem_plus_answer_map(call, map);
}

/* The upstream of the path, which must have a zone. */
static int find_upstream(struct rem_api_call *call, size_t *index)
{
    struct rem_upstream_spec spec;
    int rc = rem_call_find(call, call->params[0], index, &spec);

    if (rc == 0 && spec.flags & REM_UPSTREAM_STATIC)
        rc = rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_STATIC, "upstream is static");
    return rc;
}

int rem_plus_upstream(struct rem_api_call *call)
{
    size_t index;
    int rc = find_upstream(call, &index);

    return rc == 0 ? rem_plus_answer_object(call, upstream_json(call, index)) : rc;
}

/* Has it counted anything at all?  Most servers of a large set may not have. */
static bool has_counted(const struct rem_server_status *status)
{
    const struct rem_shm_totals *totals = &status->totals;

    return (totals->requests | totals->fails | totals->unavail | totals->sent | totals->received |
            status->checks | status->downtime_ms) != 0;
}

static void keep_server(const struct rem_server_status *status, struct reset_server *out)
{
    *out = (struct reset_server){
        .id = status->spec.id,
        .totals = status->totals,
        .checks = status->checks,
        .check_fails = status->check_fails,
        .unhealthy = status->unhealthy,
        .downtime_ms = status->downtime_ms,
    };
}

/* What is to be kept of an upstream.  NULL without memory. */
static struct reset_upstream *make_reset(struct rem_api_call *call,
                                         const struct rem_upstream_status *status, size_t *size)
{
    uint32_t servers = 0, codes = 0;
    struct reset_upstream *kept;
    struct rem_code *items;

    for (size_t i = 0; i < status->server_count; i++) {
        servers += has_counted(&status->servers[i]);
        codes += (uint32_t)status->servers[i].code_count;
    }
    *size = reset_size(servers, codes);
    kept = rem_arena_zalloc(&call->arena, *size);
    if (kept == NULL)
        return NULL;
    items = (void *)&kept->servers[servers];
    kept->overflows = status->overflows[REM_OVERFLOW_QUEUE];
    kept->code_count = codes;
    codes = 0;
    for (size_t i = 0; i < status->server_count; i++) {
        const struct rem_server_status *server = &status->servers[i];
        struct reset_server *out = &kept->servers[kept->server_count];
        struct rem_codes own;

        if (!has_counted(server))
            continue;
        codes_of(server, &own);
        keep_server(server, out);
        out->code_first = codes;
        out->code_count = (uint32_t)own.count;
        memcpy(items + codes, own.items, own.count * sizeof(*items));
        codes += out->code_count;
        kept->server_count++;
    }
    qsort(kept->servers, kept->server_count, sizeof(kept->servers[0]), by_id);
    return kept;
}

int rem_plus_upstream_reset(struct rem_api_call *call)
{
    struct rem_upstream_status status;
    struct reset_upstream *kept;
    size_t index, size;
    int rc = find_upstream(call, &index);

    if (rc != 0)
        return rc;
    rc = rem_writer_status(call->api->writer, index, call->api->clock->mono_ms, &call->arena,
                           &status);
    kept = rc == 0 ? make_reset(call, &status, &size) : NULL;
    if (kept == NULL)
        return rem_call_fault(call, REM_ENOMEM, NULL);
    rc = rem_reset_keep(call, KIND, status.spec.name, kept, size);
    return rc == 0 ? rem_reset_answer(call) : rc;
}
