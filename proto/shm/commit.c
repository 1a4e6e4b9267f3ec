/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/writer_priv.h"

#include <stdlib.h>

/* The servers an upstream has had: first those of its set, then its zombies. */
struct past {
    struct rem_addr *addrs; /* owned */
    uint64_t *slots;        /* owned; offsets */
    uint32_t *zombies;      /* owned; index in the plan, REM_SHM_NONE for servers of the set */
    uint32_t count;
    struct rem_addr_index index;
};

static void past_fini(struct past *past)
{
    rem_addr_index_fini(&past->index);
    free(past->addrs);
    free(past->slots);
    free(past->zombies);
}

static int past_init(struct past *past, const struct rem_plan *plan, uint32_t entry)
{
    const struct rem_region *region = &plan->writer->region;
    const struct rem_shm_set *set =
        entry != REM_SHM_NONE ? rem_region_at(region, plan->entries[entry].set) : NULL;
    size_t room = (set != NULL ? set->count : 0) + (size_t)plan->zombie_count + 1;

    *past = (struct past){.addrs = malloc(room * sizeof(*past->addrs)),
                          .slots = malloc(room * sizeof(*past->slots)),
                          .zombies = malloc(room * sizeof(*past->zombies))};
    if (past->addrs == NULL || past->slots == NULL || past->zombies == NULL) {
        past_fini(past);
        return REM_ENOMEM;
    }
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        const struct rem_shm_server *server = rem_set_server(set, i);
        rem_set_addr(set, server, &past->addrs[past->count]);
        past->zombies[past->count] = REM_SHM_NONE;
        past->slots[past->count++] = server->slot;
    }
    for (uint32_t i = 0; set != NULL && i < plan->zombie_count; i++) {
        const struct rem_shm_zombie *zombie = &plan->zombies[i];
        if (zombie->slot == 0 || zombie->upstream != entry)
            continue;
        const struct rem_shm_server_slot *slot = rem_region_at(region, zombie->slot);
        if (rem_addr_parse(rem_str_make(slot->name, slot->name_len), 0,
                           &past->addrs[past->count]) != REM_OK)
            continue;
        past->zombies[past->count] = i;
        past->slots[past->count++] = zombie->slot;
    }
    int rc = rem_addr_index_init(&past->index, past->addrs, sizeof(*past->addrs), past->count);
    if (rc != REM_OK)
        past_fini(past);
    return rc;
}

int rem_commit_server_slot(struct rem_plan *plan, const struct rem_upstream_spec *spec,
                           const struct rem_addr *addr, uint64_t *out_off)
{
    struct rem_shm_server_slot slot = {0};
    uint64_t size = rem_object_server_slot_size(&plan->writer->region);
    int rc = rem_plan_take(plan, size, out_off);

    if (rc != REM_OK)
        return rc;
    slot.uid = rem_plan_uid(plan);
    if (spec->flags & REM_UPSTREAM_MANDATORY)
        atomic_init(&slot.health, REM_HEALTH_CHECKING);
    slot.name_len = (uint32_t)rem_addr_text(addr, slot.name, sizeof(slot.name));
    rem_plan_write(plan, *out_off, &slot, sizeof(slot));
    rem_plan_write(plan, *out_off + sizeof(slot), NULL, size - sizeof(slot));
    return REM_OK;
}

/* Gives every server of the new set its slot: the one it has, the one it had, or a new one. */
static int give_slots(struct rem_plan *plan, const struct rem_upstream_spec *spec,
                      struct rem_image *image, struct past *past)
{
    for (uint32_t i = 0; i < spec->server_count; i++) {
        struct rem_shm_server *server = &image->servers[i];
        uint32_t known = rem_addr_index_claim(&past->index, &spec->servers[i].addr);

        if (known == REM_SHM_NONE) {
            int rc = rem_commit_server_slot(plan, spec, &spec->servers[i].addr, &server->slot);
            if (rc != REM_OK)
                return rc;
        } else {
            server->slot = past->slots[known];
            if (past->zombies[known] != REM_SHM_NONE)
                plan->zombies[past->zombies[known]].slot = 0; /* it lives again */
        }
        server->uid = rem_object_server_slot(&plan->writer->region, server->slot)->uid;
    }
    return REM_OK;
}

static int leave_behind(struct rem_plan *plan, const struct past *past, uint32_t entry)
{
    for (uint32_t i = 0; i < past->count; i++) {
        if (past->index.claimed[i] || past->zombies[i] != REM_SHM_NONE)
            continue;
        int rc = rem_plan_add_zombie(plan, past->slots[i], entry);
        if (rc != REM_OK)
            return rc;
    }
    return REM_OK;
}

static int new_upstream_slot(struct rem_plan *plan, struct rem_shm_set *set)
{
    struct rem_shm_upstream_slot slot = {0};
    uint64_t size = rem_object_upstream_slot_size(&plan->writer->region);
    int rc = rem_plan_take(plan, size, &set->upstream_slot);

    if (rc != REM_OK)
        return rc;
    slot.uid = set->upstream_uid = rem_plan_uid(plan);
    rem_plan_write(plan, set->upstream_slot, &slot, sizeof(slot));
    rem_plan_write(plan, set->upstream_slot + sizeof(slot), NULL, size - sizeof(slot));
    return REM_OK;
}

int rem_commit_place_set(struct rem_plan *plan, const struct rem_change_item *item, uint32_t entry,
                         struct rem_shm_set *set)
{
    struct rem_shm_dir_entry added = {.name_hash = item->name_hash};
    const struct rem_shm_set *old;
    uint64_t off;
    int rc = REM_OK;

    if (entry == REM_SHM_NONE) {
        rc = new_upstream_slot(plan, set);
    } else {
        old = rem_region_at(&plan->writer->region, plan->entries[entry].set);
        set->upstream_slot = old->upstream_slot;
        set->upstream_uid = old->upstream_uid;
        rc = rem_plan_retire(plan, plan->entries[entry].set, old->size);
    }
    if (rc == REM_OK)
        rc = rem_plan_take(plan, set->size, &off);
    if (rc != REM_OK)
        return rc;
    set->uid = rem_plan_uid(plan);
    rem_plan_write(plan, off, set, set->size);
    added.set = off;
    if (entry == REM_SHM_NONE)
        return rem_plan_add_entry(plan, &added);
    plan->entries[entry].set = off;
    return REM_OK;
}

static int plan_item(struct rem_plan *plan, struct rem_change *change, struct rem_change_item *item,
                     uint32_t entry)
{
    struct rem_image image = {0};
    struct past past;
    int rc;

    if (!item->exists)
        return entry != REM_SHM_NONE ? rem_plan_drop_entry(plan, entry) : REM_OK;
    rc = rem_change_fill(change, item);
    if (rc == REM_OK)
        rc = past_init(&past, plan, entry);
    if (rc != REM_OK)
        return rc;
    rc = rem_image_build(&item->spec, item->next_id, &image);
    if (rc == REM_OK)
        rc = give_slots(plan, &item->spec, &image, &past);
    if (rc == REM_OK)
        rc = leave_behind(plan, &past, entry);
    if (rc == REM_OK)
        rc = rem_commit_place_set(plan, item, entry, image.set);
    rem_image_fini(&image);
    past_fini(&past);
    return rc;
}

/* Head and name are made here; the bytes, which may be many, go to their place at once. */
static int place_table(struct rem_plan *plan, const struct rem_table *from, uint64_t *out_off)
{
    union {
        struct rem_shm_table table;
        char bytes[sizeof(struct rem_shm_table) + REM_TABLE_NAME_MAX + REM_SHM_UNIT];
    } head = {.bytes = {0}};
    uint64_t bytes_off = (sizeof(struct rem_shm_table) + from->name.n + REM_SHM_UNIT - 1) /
                         REM_SHM_UNIT * REM_SHM_UNIT;
    uint64_t end = bytes_off + from->bytes.n;
    uint64_t size = (end + REM_SHM_UNIT - 1) / REM_SHM_UNIT * REM_SHM_UNIT;
    int rc = rem_plan_take(plan, size, out_off);

    if (rc != REM_OK)
        return rc;
    head.table = (struct rem_shm_table){
        .size = size,
        .uid = rem_plan_uid(plan),
        .kind = (uint32_t)from->kind,
        .name_len = (uint32_t)from->name.n,
        .bytes_off = bytes_off,
        .bytes_len = from->bytes.n,
    };
    memcpy(head.bytes + sizeof(head.table), from->name.p, from->name.n);
    rem_plan_write(plan, *out_off, &head, bytes_off);
    if (from->bytes.n != 0)
        rem_plan_write(plan, *out_off + bytes_off, from->bytes.p, from->bytes.n);
    if (end != size)
        rem_plan_write(plan, *out_off + end, NULL, size - end);
    return REM_OK;
}

static int plan_table(struct rem_plan *plan, const struct rem_change_table_item *item)
{
    struct rem_shm_dir_table entry = {
        .name_hash = rem_table_hash(item->now.kind, item->now.name),
        .config_hash = item->now.config_hash,
        .kind = (uint32_t)item->now.kind,
        .flags = item->flags,
    };
    uint32_t at = rem_writer_table_index(plan->writer, item->now.kind, item->now.name);
    int rc = REM_OK;

    if (item->exists && item->now.uid != 0 && at != REM_SHM_NONE) { /* the bytes stay */
        entry.table = plan->tables[at].table;
        plan->tables[at] = entry;
        return REM_OK;
    }
    if (at != REM_SHM_NONE)
        rc = rem_plan_drop_table(plan, at);
    if (rc == REM_OK && item->exists)
        rc = place_table(plan, &item->now, &entry.table);
    return rc == REM_OK && item->exists ? rem_plan_add_table(plan, &entry) : rc;
}

static int plan_items(struct rem_plan *plan, struct rem_change *change)
{
    for (size_t i = 0; i < change->count; i++) {
        struct rem_change_item *item = &change->items[i];
        size_t index;
        int rc;

        if (!item->touched)
            continue;
        if (rem_writer_find(change->writer, item->spec.name, &index) != REM_OK)
            index = REM_SHM_NONE;
        if (rem_commit_can_patch(item))
            rc = rem_commit_patch(plan, item, (uint32_t)index);
        else
            rc = plan_item(plan, change, item, (uint32_t)index);
        if (rc != REM_OK)
            return rc;
    }
    for (size_t i = 0; i < change->table_count; i++) {
        int rc = change->tables[i].touched ? plan_table(plan, &change->tables[i]) : REM_OK;
        if (rc != REM_OK)
            return rc;
    }
    return REM_OK;
}

/* Does the change say anything, and anything that is part of the configuration users see? */
static bool any_touched(const struct rem_change *change, bool *shown)
{
    bool any = false;

    *shown = false;
    for (size_t i = 0; i < change->count; i++)
        *shown = *shown || change->items[i].touched;
    for (size_t i = 0; i < change->table_count; i++) {
        any = any || change->tables[i].touched;
        *shown =
            *shown || (change->tables[i].touched && rem_table_is_said(change->tables[i].now.kind));
    }
    return any || *shown;
}

static uint64_t next_revision(const struct rem_writer *writer)
{
    uint64_t next = rem_writer_revision(writer) + 1;

    return next > writer->least_revision ? next : writer->least_revision;
}

/* `publish`: or only find out whether it could be done. */
static int plan_and_publish(struct rem_change *change, bool publish)
{
    const struct rem_shm_dir *dir = change->writer->dir;
    bool shown, touched = any_touched(change, &shown);
    struct rem_plan plan;
    int rc;

    if (!touched && dir != NULL && dir->config_generation == change->config_generation)
        return REM_OK;
    rc = rem_plan_init(&plan, change->writer);
    if (rc != REM_OK)
        return rc;
    if (shown || dir == NULL)
        plan.revision = next_revision(change->writer);
    plan.config_generation = change->config_generation;
    rc = plan_items(&plan, change);
    if (rc == REM_OK)
        rc = publish ? rem_plan_publish(&plan) : rem_plan_try(&plan);
    rem_plan_fini(&plan);
    return rc;
}

int rem_change_try(struct rem_change *change)
{
    REM_CHECK_OBJ(change, REM_CHANGE_MAGIC);
    REM_CHECK(!change->done);
    return plan_and_publish(change, false);
}

int rem_change_commit(struct rem_change *change, uint64_t expected, struct rem_commit *out,
                      struct rem_err *err)
{
    struct rem_writer *writer = change->writer;
    uint64_t revision = rem_writer_revision(writer);
    bool shown, watched;
    int rc;

    REM_CHECK_OBJ(change, REM_CHANGE_MAGIC);
    REM_CHECK(!change->done);
    if (expected != REM_REVISION_ANY && expected != revision)
        return rem_err_set(err, REM_ECONFLICT, "the revision is %llu, not %llu",
                           (unsigned long long)revision, (unsigned long long)expected);
    (void)any_touched(change, &shown);
    watched = (shown || writer->dir == NULL) && writer->watch.before != NULL;
    if (watched)
        writer->watch.before(writer->watch.data, change, next_revision(writer));
    rc = plan_and_publish(change, true);
    if (watched)
        writer->watch.after(writer->watch.data, rc == REM_OK);
    if (rc != REM_OK)
        return rem_err_set(err, rc, "%s", rem_err_text(rc));
    change->done = true;
    *out = (struct rem_commit){rem_writer_revision(writer), rem_writer_epoch(writer)};
    return REM_OK;
}
