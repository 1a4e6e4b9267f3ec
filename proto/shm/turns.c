/* SPDX-License-Identifier: Apache-2.0 */
/* The turns of a set: schedules of those servers that take part. */
#include "proto/shm/schedule.h"
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

static bool takes_part(const struct rem_turn_server *server, uint32_t backup)
{
    return (server->flags & REM_SERVER_BACKUP) == backup &&
           !(server->flags & (REM_SERVER_DOWN | REM_SERVER_DRAIN));
}

/* Turns positions among those that take part into server indices. */
static int map_turns(const struct rem_schedule *schedule, const uint32_t *indices, uint32_t count,
                     struct rem_turns *out)
{
    struct rem_turns turns = {.length = schedule->length, .servers = count};
    bool identity = schedule->turns == NULL;

    for (uint32_t i = 0; i < count && identity; i++)
        identity = indices[i] == i;
    if (!identity) {
        turns.items = malloc(turns.length * sizeof(*turns.items));
        if (turns.items == NULL)
            return REM_ENOMEM;
        for (uint32_t i = 0; i < turns.length; i++)
            turns.items[i] = indices[schedule->turns != NULL ? schedule->turns[i] : i];
    }
    *out = turns;
    return REM_OK;
}

static int make_turns(const struct rem_turn_server *servers, uint32_t server_count, uint32_t backup,
                      struct rem_turns *out)
{
    size_t room = server_count != 0 ? server_count : 1;
    uint32_t *indices = calloc(room * 2, sizeof(*indices)), *weights;
    struct rem_schedule schedule = {0};
    uint32_t count = 0;
    int rc;

    if (indices == NULL)
        return REM_ENOMEM;
    weights = indices + room;
    for (uint32_t i = 0; i < server_count; i++) {
        if (!takes_part(&servers[i], backup))
            continue;
        indices[count] = i;
        weights[count++] = servers[i].weight;
    }
    rc = rem_schedule_build(weights, count, &schedule);
    if (rc == REM_OK)
        rc = map_turns(&schedule, indices, count, out);
    rem_schedule_fini(&schedule);
    free(indices);
    return rc;
}

int rem_turns_build(const struct rem_turn_server *servers, uint32_t count,
                    struct rem_turns turns[2])
{
    int rc = make_turns(servers, count, 0, &turns[0]);

    if (rc == REM_OK)
        rc = make_turns(servers, count, REM_SERVER_BACKUP, &turns[1]);
    if (rc != REM_OK)
        rem_turns_fini(turns);
    return rc;
}

void rem_turns_fini(struct rem_turns turns[2])
{
    free(turns[0].items);
    free(turns[1].items);
    turns[0] = turns[1] = (struct rem_turns){0};
}

uint64_t rem_turns_size(const struct rem_turns *turns)
{
    return turns->items != NULL ? turns->length * sizeof(*turns->items) : 0;
}

uint32_t rem_turns_fill(struct rem_shm_set *set, struct rem_shm_schedule *schedule,
                        const struct rem_turns *turns, uint32_t off)
{
    uint64_t size = rem_turns_size(turns);

    schedule->length = turns->length;
    schedule->servers = turns->servers;
    schedule->off = size != 0 ? off : 0;
    if (size != 0)
        memcpy((char *)set + off, turns->items, size);
    return off + (uint32_t)size;
}
