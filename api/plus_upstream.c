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

static void put_past(struct rem_sbuf *out, struct rem_str key, struct rem_api *api,
                     uint64_t mono_ms)
{
    char text[REM_PLUS_TIME];

    past(api, mono_ms, text);
    rem_json_put_text(out, key, rem_str_from(text));
}

/* Members that are there only when there is something to say. */
static void put_optional(struct rem_sbuf *out, struct rem_api *api, const struct peer *peer)
{
    const struct rem_server_status *status = peer->status;
    uint64_t n = answered(peer);

    if (peer->service.n != 0)
        rem_json_put_text(out, REM_JSON_KEY("service"), peer->service);
    if (status->down_from_ms != 0)
        put_past(out, REM_JSON_KEY("downstart"), api, status->down_from_ms);
    if (status->selected_ms != 0)
        put_past(out, REM_JSON_KEY("selected"), api, status->selected_ms);
    if (n != 0) {
        rem_json_put_count(out, REM_JSON_KEY("header_time"), peer->totals.header_ms / n);
        rem_json_put_count(out, REM_JSON_KEY("response_time"), peer->totals.response_ms / n);
    }
    if (status->spec.max_conns != 0)
        rem_json_put_count(out, REM_JSON_KEY("max_conns"), status->spec.max_conns);
}

/* Without last_passed until a check has ended. */
static void put_checks(struct rem_sbuf *out, const struct peer *peer)
{
    uint32_t last = peer->status->last_passed;

    rem_json_put_checks(out, peer->checks, peer->check_fails, peer->unhealthy);
    if (last != REM_VERDICT_NONE)
        rem_json_put_flag(out, REM_JSON_KEY("last_passed"), last == REM_VERDICT_PASSED);
    rem_sbuf_addc(out, '}');
}

/* Clients know no state for servers that stand out and are put aside. */
static struct rem_str state_of(const struct rem_server_status *status)
{
    return rem_str_is(status->state, "ejected") ? REM_STR("unavail") : status->state;
}

static void put_peer(struct rem_sbuf *out, struct rem_api *api, const struct peer *peer)
{
    const struct rem_server_spec *spec = &peer->status->spec;
    const struct rem_shm_totals *totals = &peer->totals;
    struct rem_str name = spec->name.n != 0 ? spec->name : spec->server;

    rem_json_put_count(out, REM_STR("{\"id\":"), spec->id);
    rem_json_put_text(out, REM_JSON_KEY("server"), spec->server);
    rem_json_put_text(out, REM_JSON_KEY("name"), name);
    rem_json_put_flag(out, REM_JSON_KEY("backup"), spec->flags & REM_SERVER_BACKUP);
    rem_json_put_count(out, REM_JSON_KEY("weight"), spec->weight);
    rem_json_put_text(out, REM_JSON_KEY("state"), state_of(peer->status));
    rem_json_put_gauge(out, REM_JSON_KEY("active"), peer->status->active);
    rem_json_put_count(out, REM_JSON_KEY("requests"), totals->requests);
    rem_sbuf_add(out, REM_JSON_KEY("responses"));
    rem_plus_put_responses(out, totals->responses, &peer->codes);
    rem_json_put_count(out, REM_JSON_KEY("sent"), totals->sent);
    rem_json_put_count(out, REM_JSON_KEY("received"), totals->received);
    rem_json_put_count(out, REM_JSON_KEY("fails"), totals->fails);
    rem_json_put_count(out, REM_JSON_KEY("unavail"), totals->unavail);
    put_checks(out, peer);
    rem_json_put_count(out, REM_JSON_KEY("downtime"), peer->downtime_ms);
    put_optional(out, api, peer);
    rem_sbuf_addc(out, '}');
}

static void put_peers(struct rem_sbuf *out, struct rem_api_call *call, struct rem_writer_walk *walk,
                      const struct reset_upstream *base)
{
    struct rem_plus_names names = {.upstream = walk->status.spec.name};
    struct rem_server_status server;

    rem_sbuf_addc(out, '[');
    while (rem_writer_walk_next(walk, &server)) {
        struct peer peer;

        make_peer(&server, base, &peer);
        peer.service = rem_plus_service(call, &names, server.spec.parent);
        rem_json_put_comma(out);
        put_peer(out, call->api, &peer);
    }
    rem_sbuf_addc(out, ']');
}

/* `max` of each worker. */
static void put_queue(struct rem_sbuf *out, const struct rem_api *api,
                      const struct rem_upstream_status *status, const struct reset_upstream *base,
                      uint32_t max)
{
    uint64_t overflows = status->overflows[REM_OVERFLOW_QUEUE];

    if (base != NULL)
        overflows = rem_reset_less(overflows, base->overflows);
    rem_json_put_gauge(out, REM_STR("{\"size\":"), status->queued);
    rem_json_put_count(out, REM_JSON_KEY("max_size"), (uint64_t)max * api->info.workers);
    rem_json_put_count(out, REM_JSON_KEY("overflows"), overflows);
    rem_sbuf_addc(out, '}');
}

/* One upstream by its index in the writer's directory. */
static void put_upstream(struct rem_api_call *call, size_t index, struct rem_plus_text *text)
{
    const struct rem_api *api = call->api;
    struct rem_writer_walk walk;
    const struct rem_upstream_status *status = &walk.status;
    const struct rem_upstream_spec *conf;
    const struct reset_upstream *base;

    rem_writer_walk_start(&walk, api->writer, index, api->clock->mono_ms);
    base = find_reset(call, status->spec.name);
    conf = rem_api_conf(call->api, status->spec.name);
    rem_plus_text_open(text);
    if (rem_plus_text_member(text, "peers"))
        put_peers(text->out, call, &walk, base);
    rem_plus_text_count(text, "keepalive", (uint64_t)rem_json_gauge(status->idle));
    rem_plus_text_count(text, "zombies", status->zombies);
    if (rem_plus_text_member(text, "zone"))
        rem_json_put(text->out, status->spec.zone);
    if (conf != NULL && conf->queue != 0 && rem_plus_text_member(text, "queue"))
        put_queue(text->out, api, status, base, conf->queue);
    rem_plus_text_close(text);
}

/* ---- calls ---- */

int rem_plus_upstreams(struct rem_api_call *call)
{
    size_t count = rem_writer_count(call->api->writer);
    struct rem_plus_text text;

    rem_plus_text_begin(&text, call, true);
    for (size_t i = 0; i < count; i++) {
        struct rem_space_upstream upstream;

        rem_space_upstream(call->api->writer, i, &upstream);
        if (rem_call_flags_are_shown(upstream.flags) && !(upstream.flags & REM_UPSTREAM_STATIC) &&
            rem_plus_text_entry(&text, upstream.name))
            put_upstream(call, i, &text);
    }
    rem_plus_text_end(&text);
    return 0;
}

/* The upstream of the path, which must have a zone. */
static int find_upstream(struct rem_api_call *call, size_t *index)
{
    uint32_t flags;
    int rc = rem_call_find(call, call->params[0], index, &flags);

    if (rc == 0 && flags & REM_UPSTREAM_STATIC)
        rc = rem_fault_set(&call->fault, REM_FAULT_UPSTREAM_STATIC, "upstream is static");
    return rc;
}

int rem_plus_upstream(struct rem_api_call *call)
{
    struct rem_plus_text text;
    size_t index;
    int rc = find_upstream(call, &index);

    if (rc != 0)
        return rc;
    rem_plus_text_begin(&text, call, false);
    put_upstream(call, index, &text);
    rem_plus_text_end(&text);
    return 0;
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
