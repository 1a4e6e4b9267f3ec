/* SPDX-License-Identifier: Apache-2.0 */
/* keyval.h - a key-value zone: what a REM_TABLE_KEYVAL holds, how it is read, and how it is edited.
 *
 * Runs in:    workers look keys up in what a table (table.h) has; the agent edits a copy of it.
 * Lifecycle:  table's bytes -> rem_keyval_edit_init -> add, set, remove ... -> build -> the table's
 *             next bytes.
 * Time:       expiry is by wall clock, in milliseconds, so that it means the same after a restart
 *             of the machine.  A dead entry is not found any more; it goes with the next edit of
 *             its zone, so that nobody has to wake up for it.
 * Cost:       a lookup of a string is one hash and, usually, one comparison; of an address one hash
 *             for each length of network in the zone; of a prefix one binary search.  An edit costs
 *             time and memory in proportion to the zone.  */
#ifndef REM_SHM_KEYVAL_H
#define REM_SHM_KEYVAL_H

#include "proto/base/cidr.h"
#include "proto/base/err.h"
#include "proto/shm/table.h"

enum rem_keyval_type {
    REM_KEYVAL_STRING = 0, /* the key itself */
    REM_KEYVAL_IP,         /* keys are addresses and networks: the narrowest that has the address */
    REM_KEYVAL_PREFIX,     /* the longest key that the text begins with */
    REM_KEYVAL_TYPES
};

enum {
    REM_KEYVAL_KEY_MAX = 4096,
    REM_KEYVAL_VALUE_MAX = 65536,
};
#define REM_KEYVAL_SIZE_MIN ((size_t)8 << 10)
#define REM_KEYVAL_SIZE_MAX ((size_t)1 << 30)

/* What a configuration says about a zone; all borrowed. */
struct rem_keyval_spec {
    struct rem_str name;
    enum rem_keyval_type type;
    size_t size;          /* what the table's bytes may take */
    uint64_t timeout_ms;  /* of entries that are given no time of their own; 0: they stay */
    struct rem_str state; /* the file that keeps it, absolute and NUL-terminated; empty: none */
};

/* "string", "ip", "prefix". */
const char *rem_keyval_type_name(enum rem_keyval_type type);
/* Errors: REM_EINVAL. */
int rem_keyval_type_parse(struct rem_str text, enum rem_keyval_type *out) REM_MUST_CHECK;

/* What a table's config_hash is for a zone: with another type it is another zone. */
uint64_t rem_keyval_config_hash(const struct rem_keyval_spec *spec);

struct rem_keyval_entry {
    struct rem_str key;
    struct rem_str value;
    uint64_t expires_ms; /* wall clock; 0: never */
};

/* ---- reading a table's bytes ---- */

/* Whether `bytes` are a zone of that type, as far as its head tells. */
bool rem_keyval_valid(struct rem_str bytes, enum rem_keyval_type type);

/* Entries, dead ones included, in the order in which they were added. */
size_t rem_keyval_count(struct rem_str bytes);
void rem_keyval_at(struct rem_str bytes, size_t index, struct rem_keyval_entry *out);

/* The entry with that very key (of networks: the same network, however it is written), dead or not.
 * Errors: REM_ENOTFOUND. */
int rem_keyval_find(struct rem_str bytes, struct rem_str key,
                    struct rem_keyval_entry *out) REM_MUST_CHECK;

/* Worker: the value for a text, as the zone's type finds it among the entries that live at `now_ms`
 * (wall clock).  `bytes` must be what rem_keyval_edit_build made.
 * Returns: false if there is none; *out borrows from the bytes. */
bool rem_keyval_lookup(const void *bytes, struct rem_str text, uint64_t now_ms,
                       struct rem_str *out);

/* ---- editing ---- */

struct rem_keyval_slot;

/* A zone that is being edited: what it begins with, and the entries that were touched.  The bytes
 * that it begins with, keys and values are borrowed until build. */
struct rem_keyval_edit {
    enum rem_keyval_type type;
    uint64_t seed[2];
    struct rem_str base;           /* empty: nothing */
    struct rem_keyval_slot *slots; /* owned; of touched entries */
    uint32_t *index;               /* owned; slot or REM_SHM_NONE; `mask` + 1 of them */
    uint32_t mask;
    uint32_t used, room;      /* slots */
    uint32_t count;           /* entries */
    size_t text_size;         /* of their keys and values */
    uint64_t first_expiry_ms; /* of what is left of the base; 0: none */
    size_t max_size; /* build may leave room for more entries, up to that; 0: it leaves none */
};

/* `bytes` may be empty: a new zone.  Entries that are dead at `now_ms` are left out.
 * Errors: REM_ENOMEM. */
int rem_keyval_edit_init(struct rem_keyval_edit *edit, enum rem_keyval_type type,
                         struct rem_str bytes, uint64_t now_ms) REM_MUST_CHECK;
void rem_keyval_edit_fini(struct rem_keyval_edit *edit);

/* The entry with that key.  Errors: REM_ENOTFOUND. */
int rem_keyval_edit_get(const struct rem_keyval_edit *edit, struct rem_str key,
                        struct rem_keyval_entry *out) REM_MUST_CHECK;

/* Adds an entry, or gives the one with that key another value and time.
 * Errors: REM_EINVAL (not a key of this type, or empty), REM_ETOOBIG (key or value), REM_ENOMEM. */
int rem_keyval_edit_put(struct rem_keyval_edit *edit,
                        const struct rem_keyval_entry *entry) REM_MUST_CHECK;

/* Errors: REM_ENOTFOUND. */
int rem_keyval_edit_remove(struct rem_keyval_edit *edit, struct rem_str key) REM_MUST_CHECK;

/* Removes all entries. */
void rem_keyval_edit_clear(struct rem_keyval_edit *edit);

/* How many bytes the zone takes, without any room. */
size_t rem_keyval_edit_size(const struct rem_keyval_edit *edit);

/* The zone as it stands, as a table has it.  *out is the caller's (free) and aligned to 64.
 * Errors: REM_ENOMEM, REM_EFULL (2 GB and more). */
int rem_keyval_edit_build(struct rem_keyval_edit *edit, struct rem_str *out) REM_MUST_CHECK;

#endif
