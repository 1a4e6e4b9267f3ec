/* SPDX-License-Identifier: Apache-2.0 */
/* writer_priv.h - what the files of the registry writer share.
 *
 * Runs in:    the agent.
 * Files:      writer.c attaches and reclaims; change.c, change_server.c and change_table.c collect
 *             changes, change_check.c says what is right, reconcile.c takes over configurations;
 *             commit.c and commit_patch.c turn changes into a plan, plan.c is the publish itself;
 *             image.c and image_patch.c build sets in private memory, index.c finds servers by
 *             address; writer_spec.c and writer_status.c read back.  */
#ifndef REM_SHM_WRITER_PRIV_H
#define REM_SHM_WRITER_PRIV_H

#include "proto/shm/alloc.h"
#include "proto/shm/objects.h"
#include "proto/shm/walk.h"
#include "proto/shm/writer.h"

enum { REM_WRITER_MAGIC = 0x57524954, REM_CHANGE_MAGIC = 0x4348414e };

struct rem_change_item;

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
    struct rem_change *change;     /* the open one */
    uint64_t least_revision;       /* of the next change */
    struct rem_writer_watch watch; /* callbacks NULL: nobody */
    bool orphans;                  /* there may be some in the directory */
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

/* ---- writer_spec.c ---- */

/* A copy of a set, for texts to point into; NULL without memory. */
const struct rem_shm_set *rem_writer_copy_set(struct rem_arena *arena,
                                              const struct rem_shm_set *set);

/* Descriptions whose texts lie in the set: of the upstream without servers, of one server. */
void rem_writer_upstream_head(const struct rem_shm_set *set, struct rem_upstream_spec *out);
void rem_writer_server_spec(const struct rem_shm_set *set, const struct rem_shm_server *server,
                            struct rem_server_spec *out);

/* The whole description, with texts in a copy.  Errors: REM_ENOMEM. */
int rem_writer_set_spec(const struct rem_shm_set *set, struct rem_arena *arena,
                        struct rem_upstream_spec *out) REM_MUST_CHECK;

/* Index of the server with the id, or REM_SHM_NONE. */
uint32_t rem_writer_server_at(const struct rem_shm_set *set, uint32_t id);

/* Index in the published directory, orphans included, or REM_SHM_NONE. */
uint32_t rem_writer_table_index(const struct rem_writer *writer, enum rem_table_kind kind,
                                struct rem_str name);
void rem_writer_read_table(const struct rem_writer *writer, const struct rem_shm_dir_table *entry,
                           struct rem_table *out);

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
    struct rem_shm_dir_table *tables; /* owned; likewise, those with table == 0 are left out */
    uint32_t table_count, table_room;
    bool named_anew;            /* entries came or go: others may have other indices */
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

int rem_plan_add_table(struct rem_plan *plan, const struct rem_shm_dir_table *table) REM_MUST_CHECK;

/* Takes a table out.  Errors: REM_ENOMEM. */
int rem_plan_drop_table(struct rem_plan *plan, uint32_t index) REM_MUST_CHECK;

/* Takes an upstream out: its servers become zombies of nobody.  Errors: REM_ENOMEM. */
int rem_plan_drop_entry(struct rem_plan *plan, uint32_t index) REM_MUST_CHECK;

/* Errors, with nothing published: REM_EFULL, REM_ENOMEM. */
int rem_plan_publish(struct rem_plan *plan) REM_MUST_CHECK;

/* All of that which may fail.  Errors: REM_EFULL, REM_ENOMEM. */
int rem_plan_try(struct rem_plan *plan) REM_MUST_CHECK;

/* ---- commit.c, commit_patch.c ---- */

/* A new server slot for the upstream.  Errors: REM_EFULL, REM_ENOMEM. */
int rem_commit_server_slot(struct rem_plan *plan, const struct rem_upstream_spec *spec,
                           const struct rem_addr *addr, uint64_t *out_off) REM_MUST_CHECK;

/* Puts the finished set into the region and into the plan's directory.
 * Errors: REM_EFULL, REM_ENOMEM. */
int rem_commit_place_set(struct rem_plan *plan, const struct rem_change_item *item, uint32_t entry,
                         struct rem_shm_set *set) REM_MUST_CHECK;

/* Is the new set the published one with a few edits? */
bool rem_commit_can_patch(const struct rem_change_item *item);

/* Plans such a set.  Errors: REM_EFULL, REM_ENOMEM, REM_ETOOBIG. */
int rem_commit_patch(struct rem_plan *plan, const struct rem_change_item *item,
                     uint32_t entry) REM_MUST_CHECK;

/* ---- turns.c ---- */

/* The turns of primaries or of backups, in server indices. */
struct rem_turns {
    uint32_t *items; /* owned; NULL: turn i is server i */
    uint32_t length;
    uint32_t servers;
};

struct rem_turn_server {
    uint32_t weight, flags;
};

/* Primaries first.  Nothing is owned on failure.  Errors: REM_ENOMEM. */
int rem_turns_build(const struct rem_turn_server *servers, uint32_t count,
                    struct rem_turns turns[2]) REM_MUST_CHECK;
void rem_turns_fini(struct rem_turns turns[2]);

/* Bytes they take in a set. */
uint64_t rem_turns_size(const struct rem_turns *turns);

/* Copies turns to `off`.  Returns the offset behind them. */
uint32_t rem_turns_fill(struct rem_shm_set *set, struct rem_shm_schedule *schedule,
                        const struct rem_turns *turns, uint32_t off);

/* ---- image.c, image_patch.c ---- */

struct rem_image {
    struct rem_shm_set *set;        /* owned, private memory */
    struct rem_shm_server *servers; /* inside it */
};

/* A set complete but for slots, slots' uids and its own.  `spec` is valid.
 * Errors: REM_ENOMEM, REM_ETOOBIG (more than 4 GB). */
int rem_image_build(const struct rem_upstream_spec *spec, uint32_t next_id,
                    struct rem_image *out) REM_MUST_CHECK;
void rem_image_fini(struct rem_image *image);

/* The same from the published set and the item's edits.  Servers that are not edited have their
 * slots already, edited ones that of the server at that place.  Errors: REM_ENOMEM, REM_ETOOBIG. */
int rem_image_patch(const struct rem_change_item *item, struct rem_image *out) REM_MUST_CHECK;

/* Appends texts behind the fixed parts of a set. */
struct rem_texts {
    char *base;
    uint32_t at;
    const struct rem_shm_set *old; /* whose texts were copied; NULL: none */
    uint32_t moved;                /* by so much */
    uint32_t reused;               /* bytes of them that were put again */
};

void rem_image_fill_server(struct rem_shm_server *to, const struct rem_server_spec *from,
                           struct rem_texts *texts);

/* Bytes of text it takes, at most. */
uint64_t rem_image_server_texts(const struct rem_server_spec *server);

/* ---- index.c: which of a list of servers has this address? ---- */

struct rem_addr_index {
    const char *first; /* borrowed; the addresses lie `stride` bytes apart */
    size_t stride;
    struct rem_addr_place {
        uint32_t hash;
        uint32_t first; /* of those with the address; REM_SHM_NONE: the place is free */
        uint32_t left;  /* the first that nobody has claimed; REM_SHM_NONE: there is none */
        uint32_t last;
    } * table; /* owned */
    uint32_t mask;
    uint32_t *next;   /* owned; per address, the next equal one; REM_SHM_NONE: there is none */
    uint8_t *claimed; /* owned; per address */
    bool repeats;     /* some address occurs twice */
};

/* Errors: REM_ENOMEM. */
int rem_addr_index_init(struct rem_addr_index *index, const struct rem_addr *first, size_t stride,
                        uint32_t count) REM_MUST_CHECK;
void rem_addr_index_fini(struct rem_addr_index *index);

/* The first one with this address that nobody has claimed, which is now claimed; REM_SHM_NONE:
 * there is none. */
uint32_t rem_addr_index_claim(struct rem_addr_index *index, const struct rem_addr *addr);

/* ---- change.c ---- */

/* What a change makes of one server, while the list as a whole stays in the base. */
struct rem_server_edit {
    uint32_t at;                 /* in the base; REM_SHM_NONE: added behind it */
    struct rem_server_spec spec; /* weight 0: removed, only the id is set */
};

enum rem_key_kind { REM_KEY_ID = 0, REM_KEY_ADDR, REM_KEY_TEXT, REM_KEYS };

/* What a server is looked for by. */
struct rem_change_key {
    enum rem_key_kind kind;
    uint32_t id;                 /* ADDR: of the one that is not meant; REM_ID_NONE: nobody */
    const struct rem_addr *addr; /* ADDR */
    struct rem_str text;         /* TEXT: what it is shown as */
};

struct rem_change_keys {
    uint32_t *tables[REM_KEYS]; /* owned; by hash, 1 + a server's place, 0: none; NULL: not made */
    uint32_t mask, used;
};

struct rem_change_item {
    struct rem_upstream_spec spec;  /* texts in the change's arena, or in the base */
    const struct rem_shm_set *base; /* what is published; NULL: there is none */
    uint64_t name_hash;
    uint32_t next_id;
    bool exists;  /* as the change leaves it */
    bool touched; /* differs from what is published */
    bool full;    /* spec.servers is the list; else it is the base with the edits */
    bool whole;   /* was put or removed as a whole */
    struct rem_server_edit *edits; /* in the arena; at most one per server */
    uint32_t edit_count;
    uint32_t *ids; /* in the arena; of all servers that were edited */
    size_t id_count;
    size_t room;  /* of spec.servers; 0: it is not to be appended to */
    size_t holes; /* servers in the list that were removed, which spec.server_count is without */
    struct rem_change_keys keys; /* of a full item */
};

struct rem_change_table_item {
    struct rem_table now; /* its name is in the change's arena */
    struct rem_table before;
    void *owned;    /* new bytes, aligned; NULL: none yet */
    uint32_t flags; /* enum rem_shm_table_flag */
    bool existed, exists, touched;
};

struct rem_change {
    uint32_t magic;
    bool done;
    struct rem_writer *writer;
    struct rem_arena arena;
    struct rem_change_item *items; /* owned */
    size_t count, room;
    uint32_t *by_name; /* owned; 2 * room places, by hash: 1 + an item's number, 0: none */
    struct rem_change_table_item *tables; /* owned */
    size_t table_count, table_room;
    uint64_t config_generation;
};

/* The upstream's item, made from what is published when it is not there yet; good until the next
 * one is asked for.  Errors: REM_ENOMEM. */
int rem_change_item(struct rem_change *change, struct rem_str name,
                    struct rem_change_item **out) REM_MUST_CHECK;

/* Makes the list of servers out of base and edits; it has no holes then.  Errors: REM_ENOMEM. */
int rem_change_fill(struct rem_change *change, struct rem_change_item *item) REM_MUST_CHECK;

/* ---- change_keys.c: of a full item ---- */

/* The first server with that key.  Errors: REM_ENOTFOUND, REM_ENOMEM. */
int rem_change_keys_find(struct rem_change_item *item, const struct rem_change_key *key,
                         uint32_t *out) REM_MUST_CHECK;

/* The server at that place is another one, or has another key. */
void rem_change_keys_note(struct rem_change_item *item, size_t place);

/* The list is another one. */
void rem_change_keys_drop(struct rem_change_item *item);

/* Takes the holes out of the list. */
void rem_change_compact(struct rem_change_item *item);

/* ---- change_table.c ---- */

/* As rem_change_item, for a table. */
int rem_change_table_item(struct rem_change *change, enum rem_table_kind kind, struct rem_str name,
                          struct rem_change_table_item **out) REM_MUST_CHECK;

/* ---- change_check.c ---- */

/* Errors: REM_EINVAL, REM_EUNSUPPORTED, with the reason. */
int rem_change_check_server(const struct rem_server_spec *server,
                            struct rem_err *err) REM_MUST_CHECK;
int rem_change_check_spec(const struct rem_upstream_spec *spec, struct rem_err *err) REM_MUST_CHECK;

/* Does any address occur twice?  One that already does in `now` (the configuration may list it so)
 * may go on doing so, but not more often.  Errors: REM_EEXIST, REM_ENOMEM. */
int rem_change_check_addrs(const struct rem_upstream_spec *spec,
                           const struct rem_upstream_spec *now, struct rem_err *err) REM_MUST_CHECK;

/* Gives servers without an id that of the server of the (full) item with the same address, or the
 * next one.  Errors: REM_EEXIST, REM_ENOMEM. */
int rem_change_assign_ids(const struct rem_change_item *item, struct rem_upstream_spec *spec,
                          uint32_t *next_id, struct rem_err *err) REM_MUST_CHECK;

/* A server that was found by its name stays so when its address is given again: else the next
 * answer for the name would bring it a second time.  Errors: REM_ENOMEM. */
int rem_change_keep_parents(struct rem_change *change, const struct rem_upstream_spec *now,
                            struct rem_upstream_spec *spec) REM_MUST_CHECK;

#endif
