/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory as the NGINX Plus API shows it: the registry's region, what each upstream's zone
 * takes of it, and the zones that workers write.
 *
 * Slots:  the region and key-value zones are counted in units; an upstream's zone holds one slot
 * for each server; a zone of workers is made of chunks.  Each has one size, which names the only
 *         slot. */
#include "api/plus.h"
#include "proto/shm/keyval.h"
#include "proto/shm/space.h"
#include "proto/shm/zone.h"
#include "proto/shm/zone_layout.h"

#include <stdio.h>
#include <stdlib.h>

#define KIND "slabs"

/* The region itself.  Of equal names the last counts: region, zone of workers, key-value zone, zone
 * of upstreams. */
#define REGION "remora"

enum { PAGE = 4096 };

enum { REQS = 0, FAILS, COUNTERS };

struct slab {
    uint64_t used, free; /* bytes */
    uint64_t slot;       /* bytes */
    uint64_t slots_used, slots_free;
    uint64_t counters[COUNTERS];
};

static uint64_t pages(uint64_t bytes)
{
    return (bytes + PAGE - 1) / PAGE;
}

static void region_slab(const struct rem_api *api, struct slab *out)
{
    struct rem_space space;

    rem_space_region(api->writer, &space);
    *out = (struct slab){
        .used = space.used,
        .free = space.free,
        .slot = REM_SHM_UNIT,
        .slots_used = space.used / REM_SHM_UNIT,
        .slots_free = space.free / REM_SHM_UNIT,
        .counters = {space.requests, space.failures},
    };
}

/* Adds an upstream to the slab of its zone, which begins all zero. */
static void add_upstream(const struct rem_space_upstream *upstream, struct slab *slab)
{
    slab->used += upstream->bytes;
    slab->slot = upstream->slot;
    slab->slots_used += upstream->slots;
    slab->counters[REQS] += upstream->slots_ever;
}

/* What an upstream may grow to is what is left of the region. */
static void finish_upstreams(const struct rem_api *api, struct slab *slab)
{
    struct rem_space space;

    rem_space_region(api->writer, &space);
    slab->free = space.free;
}

/* All upstreams of that zone together.  Returns false if there are none. */
static bool upstream_slab(const struct rem_api *api, struct rem_str name, struct slab *out)
{
    *out = (struct slab){0};
    for (size_t i = 0; i < rem_writer_count(api->writer); i++) {
        struct rem_space_upstream upstream;

        rem_space_upstream(api->writer, i, &upstream);
        if (rem_str_eq(upstream.zone, name) && rem_call_flags_are_shown(upstream.flags))
            add_upstream(&upstream, out);
    }
    finish_upstreams(api, out);
    return out->slot != 0;
}

static void zone_slab(const struct rem_zone *zone, struct slab *out)
{
    struct rem_zone_stats stats;

    rem_zone_peek(zone, &stats);
    *out = (struct slab){
        .used = stats.size - (stats.chunks - stats.used) * REM_ZONE_CHUNK,
        .free = (stats.chunks - stats.used) * REM_ZONE_CHUNK,
        .slot = REM_ZONE_CHUNK,
        .slots_used = stats.used,
        .slots_free = stats.chunks - stats.used,
        .counters = {stats.asked, stats.refused},
    };
}

/* A key-value zone is one block of the region, made anew with every change; in units, each of which
 * was asked for at least once. */
static void keyval_slab(const struct rem_api *api, const struct rem_keyval_spec *spec,
                        struct slab *out)
{
    struct rem_table table;
    uint64_t used = 0;

    if (rem_writer_table(api->writer, REM_TABLE_KEYVAL, spec->name, &table) == 0)
        used = table.bytes.n < spec->size ? table.bytes.n : spec->size;
    *out = (struct slab){
        .used = used,
        .free = spec->size - used,
        .slot = REM_SHM_UNIT,
        .slots_used = (used + REM_SHM_UNIT - 1) / REM_SHM_UNIT,
        .slots_free = (spec->size - used) / REM_SHM_UNIT,
    };
    out->counters[REQS] = out->slots_used;
}

static bool find_slab(const struct rem_api *api, struct rem_str name, struct slab *out)
{
    if (name.n != 0 && upstream_slab(api, name, out))
        return true;
    for (size_t i = 0; i < api->keyval_count; i++) {
        if (rem_str_eq(api->keyvals[i].name, name)) {
            keyval_slab(api, &api->keyvals[i], out);
            return true;
        }
    }
    for (const struct rem_zone *zone = api->info.zones; zone != NULL; zone = zone->next) {
        if (rem_str_eq(zone->name, name)) {
            zone_slab(zone, out);
            return true;
        }
    }
    if (!rem_str_is(name, REGION))
        return false;
    region_slab(api, out);
    return true;
}

static json_t *slab_json(struct rem_api_call *call, struct rem_str name, struct slab *slab)
{
    uint64_t used = pages(slab->used), all = pages(slab->used + slab->free);
    char slot[24];

    rem_reset_apply(slab->counters, rem_reset_find(call, KIND, name, sizeof(slab->counters), NULL),
                    COUNTERS);
    (void)snprintf(slot, sizeof(slot), "%llu", (unsigned long long)slab->slot);
    return json_pack("{s:{s:I,s:I},s:{s:{s:I,s:I,s:I,s:I}}}", "pages", "used", rem_json_count(used),
                     "free", rem_json_count(all - used), "slots", slot, "used",
                     rem_json_count(slab->slots_used), "free", rem_json_count(slab->slots_free),
                     "reqs", rem_json_count(slab->counters[REQS]), "fails",
                     rem_json_count(slab->counters[FAILS]));
}

/* ---- all of them ---- */

static int by_zone(const void *a, const void *b)
{
    return rem_str_cmp(((const struct rem_space_upstream *)a)->zone,
                       ((const struct rem_space_upstream *)b)->zone);
}

/* The zones of upstreams.  Sorted first, as many may share one. */
static json_t *put_upstreams(struct rem_api_call *call, json_t *map)
{
    const struct rem_api *api = call->api;
    size_t all = rem_writer_count(api->writer), n = 0;
    struct rem_space_upstream *upstreams =
        rem_arena_alloc(&call->arena, (all + 1) * sizeof(*upstreams));

    if (upstreams == NULL) {
        json_decref(map);
        return NULL;
    }
    for (size_t i = 0; i < all; i++) {
        rem_space_upstream(api->writer, i, &upstreams[n]);
        n += upstreams[n].zone.n != 0 && rem_call_flags_are_shown(upstreams[n].flags);
    }
    qsort(upstreams, n, sizeof(*upstreams), by_zone);
    for (size_t i = 0; i < n;) {
        struct rem_str name = upstreams[i].zone;
        struct slab slab = {0};

        for (; i < n && rem_str_eq(upstreams[i].zone, name); i++)
            add_upstream(&upstreams[i], &slab);
        finish_upstreams(api, &slab);
        map = rem_plus_put(map, name, slab_json(call, name, &slab));
    }
    return map;
}

int rem_plus_slabs(struct rem_api_call *call)
{
    const struct rem_api *api = call->api;
    struct slab slab;
    json_t *map = json_object();

    region_slab(api, &slab);
    map = rem_plus_put(map, REM_STR(REGION), slab_json(call, REM_STR(REGION), &slab));
    for (const struct rem_zone *zone = api->info.zones; zone != NULL; zone = zone->next) {
        zone_slab(zone, &slab);
        map = rem_plus_put(map, zone->name, slab_json(call, zone->name, &slab));
    }
    for (size_t i = 0; i < api->keyval_count; i++) {
        keyval_slab(api, &api->keyvals[i], &slab);
        map = rem_plus_put(map, api->keyvals[i].name, slab_json(call, api->keyvals[i].name, &slab));
    }
    return rem_plus_answer_map(call, put_upstreams(call, map));
}

static int missing(struct rem_api_call *call)
{
    return rem_fault_set(&call->fault, REM_FAULT_SLAB_NOT_FOUND, "slab not found");
}

int rem_plus_slab(struct rem_api_call *call)
{
    struct slab slab;

    if (!find_slab(call->api, call->params[0], &slab))
        return missing(call);
    return rem_plus_answer_object(call, slab_json(call, call->params[0], &slab));
}

int rem_plus_slab_reset(struct rem_api_call *call)
{
    struct slab slab;

    if (!find_slab(call->api, call->params[0], &slab))
        return missing(call);
    if (rem_reset_keep(call, KIND, call->params[0], slab.counters, sizeof(slab.counters)) != 0)
        return REM_EINVAL;
    return rem_reset_answer(call);
}
