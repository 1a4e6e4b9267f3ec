/* SPDX-License-Identifier: Apache-2.0 */
/* A set made from the published one and a few edits: servers and texts are taken over as bytes. */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

struct patch {
    const struct rem_change_item *item;
    const struct rem_shm_set *base;
    struct rem_turns turns[2];
    uint32_t *marks; /* owned; per server of the base: 1 + its edit, 0: none */
    bool same_turns; /* those of the base */
};

/* Does the edit leave the order alone? */
static bool keeps_turns(const struct rem_shm_set *base, const struct rem_server_edit *edit)
{
    const struct rem_shm_server *server;

    if (edit->at == REM_SHM_NONE || edit->spec.weight == 0)
        return false;
    server = rem_set_server(base, edit->at);
    return server->weight == edit->spec.weight && server->flags == edit->spec.flags;
}

static int build_turns(struct patch *patch)
{
    const struct rem_change_item *item = patch->item;
    struct rem_turn_server *servers;
    uint32_t n = 0;
    int rc;

    servers = malloc(((size_t)patch->base->count + item->edit_count + 1) * sizeof(*servers));
    if (servers == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < patch->base->count; i++) {
        const struct rem_shm_server *server = rem_set_server(patch->base, i);
        struct rem_turn_server turn = {server->weight, server->flags};

        if (patch->marks[i] != 0) {
            const struct rem_server_spec *spec = &item->edits[patch->marks[i] - 1].spec;
            turn = (struct rem_turn_server){spec->weight, spec->flags};
        }
        if (turn.weight != 0)
            servers[n++] = turn;
    }
    for (uint32_t i = 0; i < item->edit_count; i++)
        if (item->edits[i].at == REM_SHM_NONE)
            servers[n++] =
                (struct rem_turn_server){item->edits[i].spec.weight, item->edits[i].spec.flags};
    rc = rem_turns_build(servers, n, patch->turns);
    free(servers);
    return rc;
}

static int prepare(struct patch *patch)
{
    const struct rem_change_item *item = patch->item;

    patch->same_turns = true;
    patch->marks = calloc((size_t)patch->base->count + 1, sizeof(*patch->marks));
    if (patch->marks == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < item->edit_count; i++) {
        patch->same_turns = patch->same_turns && keeps_turns(patch->base, &item->edits[i]);
        if (item->edits[i].at != REM_SHM_NONE)
            patch->marks[item->edits[i].at] = i + 1;
    }
    return patch->same_turns ? REM_OK : build_turns(patch);
}

static uint64_t base_turns_size(const struct rem_shm_schedule *schedule)
{
    return schedule->off != 0 ? schedule->length * sizeof(uint32_t) : 0;
}

static uint64_t patched_size(const struct patch *patch)
{
    const struct rem_shm_set *base = patch->base;
    uint64_t size = sizeof(*base) + patch->item->spec.server_count * sizeof(struct rem_shm_server);

    size += base->size - base->texts_off;
    if (patch->same_turns)
        size += base_turns_size(&base->primary) + base_turns_size(&base->backup);
    else
        size += rem_turns_size(&patch->turns[0]) + rem_turns_size(&patch->turns[1]);
    for (uint32_t i = 0; i < patch->item->edit_count; i++)
        size += rem_image_server_texts(&patch->item->edits[i].spec);
    return (size + REM_SHM_UNIT - 1) / REM_SHM_UNIT * REM_SHM_UNIT;
}

static void move(struct rem_shm_text *text, uint32_t by)
{
    if (text->off != 0)
        text->off += by;
}

static void move_texts(struct rem_shm_server *server, uint32_t by)
{
    move(&server->addr_text, by);
    move(&server->server, by);
    move(&server->name, by);
    move(&server->route, by);
    move(&server->fail_timeout_text, by);
    move(&server->slow_start_text, by);
}

static uint32_t server_texts(const struct rem_shm_server *server)
{
    return server->server.len + (server->name.off != server->server.off ? server->name.len : 0) +
           server->route.len + server->fail_timeout_text.len + server->slow_start_text.len +
           server->addr_text.len;
}

/* Copies the base's schedule to `off`.  Returns the offset behind it. */
static uint32_t copy_turns(const struct rem_shm_set *base, struct rem_shm_set *set,
                           struct rem_shm_schedule *schedule, uint32_t off)
{
    uint64_t size = base_turns_size(schedule);

    if (size == 0)
        return off;
    memcpy((char *)set + off, (const char *)base + schedule->off, size);
    schedule->off = off;
    return off + (uint32_t)size;
}

/* The servers, with their slots as far as they have any. */
static void fill_servers(const struct patch *patch, struct rem_shm_server *to,
                         struct rem_texts *texts, uint32_t *dead)
{
    const struct rem_change_item *item = patch->item;

    for (uint32_t i = 0; i < patch->base->count; i++) {
        const struct rem_shm_server *from = rem_set_server(patch->base, i);
        uint32_t mark = patch->marks[i];

        if (mark == 0) {
            *to = *from;
            move_texts(to++, texts->moved);
            continue;
        }
        *dead += server_texts(from);
        if (item->edits[mark - 1].spec.weight == 0)
            continue;
        to->slot = from->slot;
        to->uid = from->uid;
        rem_image_fill_server(to++, &item->edits[mark - 1].spec, texts);
    }
    for (uint32_t i = 0; i < item->edit_count; i++)
        if (item->edits[i].at == REM_SHM_NONE)
            rem_image_fill_server(to++, &item->edits[i].spec, texts);
}

static void fill(const struct patch *patch, struct rem_shm_set *set)
{
    const struct rem_shm_set *base = patch->base;
    struct rem_texts texts = {.base = (char *)set, .old = base};
    uint64_t size = set->size;
    uint32_t dead = base->texts_dead, at;

    *set = *base;
    set->count = (uint32_t)patch->item->spec.server_count;
    set->set_flags = (base->set_flags & ~(uint32_t)REM_SET_SINGLE) |
                     (set->count == 1 ? (uint32_t)REM_SET_SINGLE : 0);
    set->next_id = patch->item->next_id;
    at = set->servers_off + set->count * (uint32_t)sizeof(struct rem_shm_server);
    if (patch->same_turns) {
        at = copy_turns(base, set, &set->primary, at);
        at = copy_turns(base, set, &set->backup, at);
    } else {
        at = rem_turns_fill(set, &set->primary, &patch->turns[0], at);
        at = rem_turns_fill(set, &set->backup, &patch->turns[1], at);
    }
    set->texts_off = at;
    memcpy((char *)set + at, (const char *)base + base->texts_off, base->size - base->texts_off);
    texts.at = at + (uint32_t)(base->size - base->texts_off);
    texts.moved = at - base->texts_off;
    move(&set->name, texts.moved);
    move(&set->zone, texts.moved);
    fill_servers(patch, (void *)((char *)set + set->servers_off), &texts, &dead);
    set->texts_dead = dead > texts.reused ? dead - texts.reused : 0;
    REM_CHECK(texts.at <= size);
    set->size = texts.at;
}

int rem_image_patch(const struct rem_change_item *item, struct rem_image *out)
{
    struct patch patch = {.item = item, .base = item->base};
    struct rem_shm_set *set = NULL;
    uint64_t size;
    int rc = prepare(&patch);

    if (rc == REM_OK) {
        size = patched_size(&patch);
        rc = size <= UINT32_MAX - REM_SHM_UNIT ? REM_OK : REM_ETOOBIG;
    }
    if (rc == REM_OK) {
        set = aligned_alloc(REM_SHM_UNIT, size);
        rc = set != NULL ? REM_OK : REM_ENOMEM;
    }
    if (rc == REM_OK) {
        memset((char *)set + sizeof(*set), 0,
               item->spec.server_count * sizeof(struct rem_shm_server));
        set->size = size;
        fill(&patch, set);
        out->set = set;
        out->servers = (void *)((char *)set + set->servers_off);
    }
    rem_turns_fini(patch.turns);
    free(patch.marks);
    return rc;
}
