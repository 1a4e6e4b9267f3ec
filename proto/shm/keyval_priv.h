/* SPDX-License-Identifier: Apache-2.0 */
/* keyval_priv.h - a zone's bytes from the inside.
 *
 * Layout:     head, entries, index, order (type prefix), networks (type ip), texts.
 *             All offsets are from the head.  The bytes are immutable once published.
 *             Whoever changes this raises REM_SHM_LAYOUT, as binaries share it.
 * Room:       there is some left for entries, and texts may hold garbage, so that an edit of a few
 *             entries is a copy of the bytes and little more.
 * Files:      keyval.c reads, keyval_edit.c edits, keyval_build.c makes the bytes.  */
#ifndef REM_SHM_KEYVAL_PRIV_H
#define REM_SHM_KEYVAL_PRIV_H

#include "proto/base/siphash.h"
#include "proto/shm/keyval.h"

enum { REM_KEYVAL_MAGIC = 0x6b766132 };

#define REM_KEYVAL_NONE UINT32_MAX

/* A network, as it is hashed: 4 or 6, and bits behind `bits` are zero. */
struct rem_keyval_net {
    uint8_t family;
    uint8_t bits;
    uint8_t bytes[16];
};

struct rem_keyval_head {
    uint64_t size;
    uint32_t magic;
    uint32_t type;
    uint64_t seed[2];
    uint32_t count;
    uint32_t mask;      /* of the index: a power of two above 2 * count, less 1 */
    uint32_t index_off; /* uint32_t[mask + 1]: entry or REM_KEYVAL_NONE */
    uint32_t nets_off;  /* struct rem_keyval_net[room] */
    uint32_t order_off; /* struct rem_keyval_order[count] */
    uint32_t texts_off;
    uint32_t room;            /* entries there is room for */
    uint32_t garbage;         /* bytes of texts that nothing names any more */
    uint64_t first_expiry_ms; /* no entry dies before; 0: none does */
    uint64_t v4_bits;         /* bit i: there may be networks of i bits */
    uint64_t v6_bits[3];      /* bits 0..128 */
};

struct rem_keyval_item {
    uint64_t hash;
    uint64_t expires_ms;
    uint32_t key_off, key_len;
    uint32_t value_off, value_len;
};

/* Entries by their keys' bytes. */
struct rem_keyval_order {
    uint32_t item;
    uint32_t parent; /* where in the order the longest other key is that this one begins with */
};

_Static_assert(sizeof(struct rem_keyval_net) == 18, "layout");
_Static_assert(sizeof(struct rem_keyval_head) == 104, "layout");
_Static_assert(sizeof(struct rem_keyval_item) == 32, "layout");

static inline const struct rem_keyval_item *rem_keyval_items(const struct rem_keyval_head *head)
{
    return (const struct rem_keyval_item *)(const void *)(head + 1);
}

static inline struct rem_str rem_keyval_text(const struct rem_keyval_head *head, uint32_t off,
                                             uint32_t len)
{
    return rem_str_make((const char *)head + off, len);
}

/* A key of a zone of addresses; IPv4 mapped into IPv6 is IPv4.  Errors: REM_EINVAL. */
int rem_keyval_net_parse(struct rem_str text, struct rem_keyval_net *out) REM_MUST_CHECK;

static inline uint64_t rem_keyval_net_hash(const uint64_t seed[2], const struct rem_keyval_net *net)
{
    return rem_siphash(seed, net, sizeof(*net));
}

static inline bool rem_keyval_net_eq(const struct rem_keyval_net *a, const struct rem_keyval_net *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* What identifies an entry. */
struct rem_keyval_id {
    uint64_t hash;
    struct rem_str key;
    struct rem_keyval_net net; /* type ip */
};

/* The entry of that identity, or REM_KEYVAL_NONE. */
uint32_t rem_keyval_find_id(const struct rem_keyval_head *head, const struct rem_keyval_id *id);

/* An entry that was touched by an edit. */
struct rem_keyval_slot {
    uint64_t hash;
    uint64_t expires_ms;
    struct rem_str key, value;
    struct rem_keyval_net net;
    uint32_t item; /* of the base; REM_KEYVAL_NONE: new */
    bool removed;
};

/* A power of two, more than twice what it is for. */
uint32_t rem_keyval_index_size(uint32_t count);
void rem_keyval_index_add(uint32_t *index, uint32_t mask, uint64_t hash, uint32_t at);

static inline const struct rem_keyval_head *rem_keyval_head_of(struct rem_str bytes)
{
    return (const struct rem_keyval_head *)(const void *)bytes.p;
}

static inline const struct rem_keyval_net *rem_keyval_nets(const struct rem_keyval_head *head)
{
    return (const struct rem_keyval_net *)(const void *)((const char *)head + head->nets_off);
}

#endif
