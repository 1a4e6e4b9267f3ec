/* SPDX-License-Identifier: Apache-2.0 */
/* Planning a set that is the published one with a few edits: who is not edited keeps its slot
 * without being looked for. */
#include "proto/shm/extras.h"
#include "proto/shm/writer_priv.h"

enum { DEAD_TEXTS = 4096 }; /* not worth a new set */

bool rem_commit_can_patch(const struct rem_change_item *item)
{
    const struct rem_shm_set *base = item->base;

    return item->exists && !item->full && item->edit_count != 0 &&
           !(base->flags & REM_UPSTREAM_ORPHAN) && base->flags == item->spec.flags &&
           !rem_extras_wanted(&item->spec) &&
           base->texts_dead <= DEAD_TEXTS + (base->size - base->texts_off) / 2;
}

/* A zombie of the upstream with this address lives again, or a new slot is made. */
static int give_slot(struct rem_plan *plan, const struct rem_change_item *item, uint32_t entry,
                     const struct rem_addr *addr, uint64_t *out_off)
{
    const struct rem_region *region = &plan->writer->region;
    char text[REM_ADDR_TEXT];
    struct rem_str name;

    if (plan->zombie_count != 0)
        name = rem_str_make(text, rem_addr_text(addr, text, sizeof(text)));
    for (uint32_t i = 0; i < plan->zombie_count; i++) {
        struct rem_shm_zombie *zombie = &plan->zombies[i];
        const struct rem_shm_server_slot *slot;

        if (zombie->slot == 0 || zombie->upstream != entry)
            continue;
        slot = rem_object_server_slot(region, zombie->slot);
        if (!rem_str_eq(rem_str_make(slot->name, slot->name_len), name))
            continue;
        *out_off = zombie->slot;
        zombie->slot = 0;
        return REM_OK;
    }
    return rem_commit_server_slot(plan, &item->spec, addr, out_off);
}

/* Has the edited server another address than it had? */
static bool moved(const struct rem_shm_set *base, const struct rem_server_edit *edit)
{
    struct rem_addr addr;

    rem_set_addr(base, rem_set_server(base, edit->at), &addr);
    return !rem_addr_eq(&addr, &edit->spec.addr);
}

/* First those that go, so that who comes with their address takes their place. */
static int leave(struct rem_plan *plan, const struct rem_change_item *item, uint32_t entry)
{
    int rc = REM_OK;

    for (uint32_t i = 0; i < item->edit_count && rc == REM_OK; i++) {
        const struct rem_server_edit *edit = &item->edits[i];

        if (edit->at != REM_SHM_NONE && (edit->spec.weight == 0 || moved(item->base, edit)))
            rc = rem_plan_add_zombie(plan, rem_set_server(item->base, edit->at)->slot, entry);
    }
    return rc;
}

static int give_slots(struct rem_plan *plan, const struct rem_change_item *item, uint32_t entry,
                      struct rem_image *image)
{
    int rc = REM_OK;

    for (uint32_t i = 0; i < item->edit_count && rc == REM_OK; i++) {
        const struct rem_server_edit *edit = &item->edits[i];
        struct rem_shm_server *server;
        uint32_t at;

        if (edit->spec.weight == 0 || (edit->at != REM_SHM_NONE && !moved(item->base, edit)))
            continue;
        at = rem_writer_server_at(image->set, edit->spec.id);
        REM_CHECK(at != REM_SHM_NONE);
        server = &image->servers[at];
        rc = give_slot(plan, item, entry, &edit->spec.addr, &server->slot);
        if (rc == REM_OK)
            server->uid = rem_object_server_slot(&plan->writer->region, server->slot)->uid;
    }
    return rc;
}

int rem_commit_patch(struct rem_plan *plan, const struct rem_change_item *item, uint32_t entry)
{
    struct rem_image image = {0};
    int rc;

    REM_CHECK(entry != REM_SHM_NONE &&
              rem_region_at(&plan->writer->region, plan->entries[entry].set) == item->base);
    rc = rem_image_patch(item, &image);
    if (rc == REM_OK)
        rc = leave(plan, item, entry);
    if (rc == REM_OK)
        rc = give_slots(plan, item, entry, &image);
    if (rc == REM_OK)
        rc = rem_commit_place_set(plan, item, entry, image.set);
    rem_image_fini(&image);
    return rc;
}
