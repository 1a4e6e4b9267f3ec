/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/extras.h"
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

/* Where the text already lies, or behind the others. */
static struct rem_shm_text put_text(struct rem_texts *texts, struct rem_str s)
{
    uintptr_t first = (uintptr_t)texts->old, at = (uintptr_t)s.p;
    struct rem_shm_text text = {texts->at, (uint32_t)s.n};

    if (texts->old != NULL && s.n != 0 && at >= first + texts->old->texts_off &&
        at < first + texts->old->size) {
        texts->reused += text.len;
        text.off = (uint32_t)(at - first) + texts->moved;
        return text;
    }
    if (s.n != 0)
        memcpy(texts->base + texts->at, s.p, s.n);
    texts->at += (uint32_t)s.n;
    return text;
}

void rem_image_fill_server(struct rem_shm_server *to, const struct rem_server_spec *from,
                           struct rem_texts *texts)
{
    char text[REM_ADDR_TEXT];

    to->id = from->id;
    to->max_conns = from->max_conns;
    to->max_fails = from->max_fails;
    to->fail_timeout_ms = from->fail_timeout_ms;
    to->slow_start_ms = from->slow_start_ms;
    to->weight = from->weight;
    to->flags = from->flags;
    to->parent = from->parent;
    to->addr_len = (uint16_t)from->addr.len;
    to->addr_inline = from->addr.len <= REM_SHM_SOCKADDR;
    if (to->addr_inline)
        memcpy(to->addr, &from->addr.u, from->addr.len);
    else
        to->addr_text = put_text(texts, rem_str_make((const char *)&from->addr.u, from->addr.len));
    if (from->server.n != 0)
        to->server = put_text(texts, from->server);
    else
        to->server =
            put_text(texts, rem_str_make(text, rem_addr_text(&from->addr, text, sizeof(text))));
    to->name = from->name.n != 0 && !rem_str_eq(from->name, from->server)
                   ? put_text(texts, from->name)
                   : to->server;
    to->route = put_text(texts, from->route);
    to->fail_timeout_text = put_text(texts, from->fail_timeout_text);
    to->slow_start_text = put_text(texts, from->slow_start_text);
}

uint64_t rem_image_server_texts(const struct rem_server_spec *server)
{
    return (server->server.n != 0 ? server->server.n : REM_ADDR_TEXT) + server->name.n +
           server->route.n + server->fail_timeout_text.n + server->slow_start_text.n +
           (server->addr.len > REM_SHM_SOCKADDR ? server->addr.len : 0);
}

static uint64_t texts_size(const struct rem_upstream_spec *spec)
{
    uint64_t size = spec->name.n + spec->zone.n;

    for (size_t i = 0; i < spec->server_count; i++)
        size += rem_image_server_texts(&spec->servers[i]);
    return size;
}

static bool is_limited(const struct rem_limits_spec *limits)
{
    static const struct rem_limits_spec none = {0};

    return memcmp(limits, &none, sizeof(none)) != 0;
}

static void fill_set(struct rem_shm_set *set, const struct rem_upstream_spec *spec,
                     const struct rem_turns turns[2], const struct rem_extras *extras)
{
    struct rem_texts texts = {.base = (char *)set};
    struct rem_shm_server *servers;

    set->count = (uint32_t)spec->server_count;
    set->servers_off = sizeof(*set);
    set->set_flags = spec->server_count == 1 ? REM_SET_SINGLE : 0;
    if (spec->method == REM_BALANCE_LEAST_TIME || spec->method_flags & REM_METHOD_BY_TIME)
        set->set_flags |= REM_SET_TIMED;
    if (is_limited(&spec->limits))
        set->set_flags |= REM_SET_LIMITED;
    if (spec->outlier.interval_ms != 0)
        set->set_flags |= REM_SET_OUTLIER;
    set->flags = spec->flags;
    set->method = spec->method;
    set->method_flags = spec->method_flags;
    set->sticky = spec->sticky;
    set->limits = spec->limits;
    set->outlier = spec->outlier;
    set->config_hash = spec->config_hash;
    set->zone_size = spec->zone_size;
    set->keepalive_connections = spec->keepalive.connections;
    set->keepalive_requests = spec->keepalive.requests;
    set->keepalive_timeout_ms = spec->keepalive.timeout_ms;
    set->keepalive_time_ms = spec->keepalive.time_ms;
    texts.at = set->servers_off + set->count * (uint32_t)sizeof(*servers);
    texts.at = rem_turns_fill(set, &set->primary, &turns[0], texts.at);
    texts.at = rem_turns_fill(set, &set->backup, &turns[1], texts.at);
    texts.at = rem_extras_fill(extras, set, texts.at);
    set->texts_off = texts.at;
    set->name = put_text(&texts, spec->name);
    set->zone = put_text(&texts, spec->zone);
    servers = (void *)((char *)set + set->servers_off);
    for (size_t i = 0; i < spec->server_count; i++)
        rem_image_fill_server(&servers[i], &spec->servers[i], &texts);
    REM_CHECK(texts.at <= set->size);
    set->size = texts.at;
}

static int build(const struct rem_upstream_spec *spec, const struct rem_turns turns[2],
                 const struct rem_extras *extras, struct rem_image *out)
{
    uint64_t size = sizeof(struct rem_shm_set) +
                    spec->server_count * sizeof(struct rem_shm_server) + rem_turns_size(&turns[0]) +
                    rem_turns_size(&turns[1]) + texts_size(spec) +
                    rem_extras_size(extras, (uint32_t)spec->server_count);
    struct rem_shm_set *set;

    if (size > UINT32_MAX - REM_SHM_UNIT)
        return REM_ETOOBIG;
    size = (size + REM_SHM_UNIT - 1) / REM_SHM_UNIT * REM_SHM_UNIT;
    set = aligned_alloc(REM_SHM_UNIT, size);
    if (set == NULL)
        return REM_ENOMEM;
    memset(set, 0, size);
    set->size = size;
    fill_set(set, spec, turns, extras);
    out->set = set;
    out->servers = (void *)((char *)set + set->servers_off);
    return REM_OK;
}

static int build_turns(const struct rem_upstream_spec *spec, struct rem_turns turns[2])
{
    struct rem_turn_server *servers = malloc((spec->server_count + 1) * sizeof(*servers));
    uint32_t count = (uint32_t)spec->server_count;
    int rc;

    if (servers == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        servers[i] = (struct rem_turn_server){spec->servers[i].weight, spec->servers[i].flags};
    rc = rem_turns_build(servers, count, turns);
    free(servers);
    return rc;
}

int rem_image_build(const struct rem_upstream_spec *spec, uint32_t next_id, struct rem_image *out)
{
    struct rem_turns turns[2] = {{0}};
    struct rem_extras extras = {0};
    int rc = build_turns(spec, turns);

    if (rc == REM_OK)
        rc = rem_extras_build(spec, &extras);
    if (rc == REM_OK)
        rc = build(spec, turns, &extras, out);
    if (rc == REM_OK)
        out->set->next_id = next_id;
    rem_turns_fini(turns);
    rem_extras_fini(&extras);
    return rc;
}

void rem_image_fini(struct rem_image *image)
{
    free(image->set);
    *image = (struct rem_image){0};
}
