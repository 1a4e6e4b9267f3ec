/* SPDX-License-Identifier: Apache-2.0 */
/* writer_priv.h - what the files of the registry writer share.
 *
 * Runs in:    the agent.
 * Files:      writer.c attaches and reclaims, change.c collects changes, commit.c turns them into a
 *             plan, plan.c is the
 *             publish itself, image.c builds sets in private memory, index.c finds servers by
 *             address, writer_status.c reads back.  */
#ifndef REM_SHM_WRITER_PRIV_H
#define REM_SHM_WRITER_PRIV_H

#include "proto/shm/alloc.h"
#include "proto/shm/objects.h"
#include "proto/shm/walk.h"
#include "proto/shm/writer.h"

enum { REM_WRITER_MAGIC = 0x57524954, REM_CHANGE_MAGIC = 0x4348414e };

/* A block that nothing published reaches any more; free once all workers have passed `epoch`. */
struct rem_retired {
    uint64_t off, size, epoch;
};

struct rem_writer {
    uint32_t magic;
    bool poison;
    struct rem_region region; /* borrowed mapping */
    struct rem_alloc alloc;
    const struct rem_shm_dir *dir; /* published; NULL: none yet */
    struct rem_retired *retired;   /* owned; epochs ascend */
    size_t retired_count, retired_room;
    uint64_t retired_bytes;
    struct rem_change *change; /* the open one */
    rem_writer_step_fn step;
    void *step_data;
};

/* Stands before every store to the region. */
static inline void rem_writer_step(const struct rem_writer *writer)
{
    if (REM_UNLIKELY(writer->step != NULL))
        writer->step(writer->step_data);
}

/* The lowest epoch that a live worker is still in; UINT64_MAX: all are offline. */
uint64_t rem_writer_oldest_reader(const struct rem_writer *writer);

/* Requests that hold a pin, over all lines (acquire, see layout.h). */
int64_t rem_writer_slot_active(const struct rem_writer *writer, struct rem_shm_server_slot *slot);

/* Adds a slot's counters, over all lines. */
void rem_writer_slot_totals(const struct rem_writer *writer, struct rem_shm_server_slot *slot,
                            struct rem_shm_totals *totals);
void rem_writer_totals_add(struct rem_shm_totals *totals, const struct rem_shm_totals *more);

/* ---- plan.c ---- */

struct rem_extents {
    struct rem_extent *items; /* owned */
    size_t count, room;
};

/* The next directory in the making.  Entries with set == 0 and zombies with slot == 0 are left out
 * of it. */
struct rem_plan {
    struct rem_writer *writer;
    struct rem_shm_dir_entry *entries; /* owned; begins with the published ones, same indices */
    uint32_t entry_count, entry_room;
    struct rem_shm_zombie *zombies; /* owned; likewise */
    uint32_t zombie_count, zombie_room;
    struct rem_extents taken;   /* given back when the plan is dropped */
    struct rem_extents retired; /* unreachable once it is published */
    uint64_t epoch;             /* it will be published with */
    uint64_t revision;
    uint64_t config_generation;
    bool published;
};

/* Errors: REM_ENOMEM. */
int rem_plan_init(struct rem_plan *plan, struct rem_writer *writer) REM_MUST_CHECK;
void rem_plan_fini(struct rem_plan *plan);

/* Space in the region.  Errors: REM_EFULL, REM_ENOMEM. */
int rem_plan_take(struct rem_plan *plan, uint64_t size, uint64_t *out_off) REM_MUST_CHECK;

/* Stores into space that was taken; `image` NULL: zeroes. */
void rem_plan_write(struct rem_plan *plan, uint64_t off, const void *image, uint64_t size);

/* An identity never used before. */
uint64_t rem_plan_uid(struct rem_plan *plan);

/* Errors: REM_ENOMEM. */
int rem_plan_retire(struct rem_plan *plan, uint64_t off, uint64_t size) REM_MUST_CHECK;
int rem_plan_add_entry(struct rem_plan *plan, const struct rem_shm_dir_entry *entry) REM_MUST_CHECK;
int rem_plan_add_zombie(struct rem_plan *plan, uint64_t slot, uint32_t upstream) REM_MUST_CHECK;

/* Takes an upstream out: its servers become zombies of nobody.  Errors: REM_ENOMEM. */
int rem_plan_drop_entry(struct rem_plan *plan, uint32_t index) REM_MUST_CHECK;

/* Errors, with nothing published: REM_EFULL, REM_ENOMEM. */
int rem_plan_publish(struct rem_plan *plan) REM_MUST_CHECK;

/* ---- image.c ---- */

struct rem_image {
    struct rem_shm_set *set;        /* owned, private memory */
    struct rem_shm_server *servers; /* inside it */
};

/* A set complete but for slots, slots' uids and its own.  `spec` is valid.
 * Errors: REM_ENOMEM, REM_ETOOBIG (more than 4 GB). */
int rem_image_build(const struct rem_upstream_spec *spec, uint32_t next_id,
                    struct rem_image *out) REM_MUST_CHECK;
void rem_image_fini(struct rem_image *image);

/* ---- index.c: which of a list of servers has this address? ---- */

struct rem_addr_index {
    const struct rem_addr *addrs; /* borrowed */
    uint32_t *table;              /* owned */
    uint32_t mask;
    uint8_t *claimed; /* owned; per address */
};

/* Errors: REM_ENOMEM. */
int rem_addr_index_init(struct rem_addr_index *index, const struct rem_addr *addrs,
                        uint32_t count) REM_MUST_CHECK;
void rem_addr_index_fini(struct rem_addr_index *index);

/* The first one with this address that nobody has claimed, which is now claimed; REM_SHM_NONE:
 * there is none. */
uint32_t rem_addr_index_claim(struct rem_addr_index *index, const struct rem_addr *addr);

/* ---- change.c ---- */

struct rem_change_item {
    struct rem_upstream_spec spec; /* in the change's arena */
    uint64_t name_hash;
    uint32_t next_id;
    bool exists;  /* as the change leaves it */
    bool touched; /* differs from what is published */
};

struct rem_change {
    uint32_t magic;
    bool done;
    struct rem_writer *writer;
    struct rem_arena arena;
    struct rem_change_item *items; /* owned */
    size_t count, room;
    uint64_t config_generation;
};

#endif
