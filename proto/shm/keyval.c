/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/keyval_priv.h"

enum { MAPPED_BITS = 96 };

static const char *const type_names[REM_KEYVAL_TYPES] = {"string", "ip", "prefix"};

const char *rem_keyval_type_name(enum rem_keyval_type type)
{
    return type_names[type];
}

int rem_keyval_type_parse(struct rem_str text, enum rem_keyval_type *out)
{
    for (int i = 0; i < REM_KEYVAL_TYPES; i++)
        if (rem_str_is(text, type_names[i])) {
            *out = (enum rem_keyval_type)i;
            return 0;
        }
    return REM_EINVAL;
}

uint64_t rem_keyval_config_hash(const struct rem_keyval_spec *spec)
{
    const char *type = type_names[spec->type];

    return rem_hash(type, strlen(type)) | 1;
}

/* ---- keys ---- */

int rem_keyval_net_parse(struct rem_str text, struct rem_keyval_net *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct rem_keyval_net net = {0};
    struct rem_cidr cidr;

    if (rem_cidr_parse(text, &cidr, NULL) != 0 || cidr.family == AF_UNIX)
        return REM_EINVAL;
    net.family = cidr.family == AF_INET ? 4 : 6;
    net.bits = cidr.bits;
    if (net.family == 6 && cidr.bits >= MAPPED_BITS &&
        memcmp(cidr.bytes, mapped, sizeof(mapped)) == 0) {
        net.family = 4;
        net.bits = (uint8_t)(cidr.bits - MAPPED_BITS);
        memcpy(net.bytes, cidr.bytes + sizeof(mapped), 4);
    } else {
        memcpy(net.bytes, cidr.bytes, net.family == 4 ? 4 : 16);
    }
    *out = net;
    return 0;
}

/* The network of the first `bits` bits; there are no more in `net`. */
static void shorten(struct rem_keyval_net *net, unsigned bits)
{
    size_t whole = bits / 8;

    net->bits = (uint8_t)bits;
    if (bits % 8 != 0) {
        net->bytes[whole] &= (uint8_t)(0xff << (8 - bits % 8));
        whole++;
    }
    memset(net->bytes + whole, 0, sizeof(net->bytes) - whole);
}

/* ---- the bytes ---- */

bool rem_keyval_valid(struct rem_str bytes, enum rem_keyval_type type)
{
    const struct rem_keyval_head *head = rem_keyval_head_of(bytes);

    return bytes.n >= sizeof(*head) && head->magic == REM_KEYVAL_MAGIC && head->size == bytes.n &&
           head->type == (uint32_t)type;
}

size_t rem_keyval_count(struct rem_str bytes)
{
    return bytes.n != 0 ? rem_keyval_head_of(bytes)->count : 0;
}

void rem_keyval_at(struct rem_str bytes, size_t index, struct rem_keyval_entry *out)
{
    const struct rem_keyval_head *head = rem_keyval_head_of(bytes);
    const struct rem_keyval_item *item = rem_keyval_items(head) + index;

    out->key = rem_keyval_text(head, item->key_off, item->key_len);
    out->value = rem_keyval_text(head, item->value_off, item->value_len);
    out->expires_ms = item->expires_ms;
}

static const uint32_t *index_of(const struct rem_keyval_head *head)
{
    return (const uint32_t *)(const void *)((const char *)head + head->index_off);
}

uint32_t rem_keyval_find_id(const struct rem_keyval_head *head, const struct rem_keyval_id *id)
{
    const struct rem_keyval_item *items = rem_keyval_items(head);
    const uint32_t *index = index_of(head);

    for (uint32_t i = (uint32_t)id->hash & head->mask;; i = (i + 1) & head->mask) {
        const struct rem_keyval_item *item = items + index[i];

        if (index[i] == REM_KEYVAL_NONE)
            return REM_KEYVAL_NONE;
        if (item->hash != id->hash)
            continue;
        if (head->type == REM_KEYVAL_IP
                ? rem_keyval_net_eq(&rem_keyval_nets(head)[index[i]], &id->net)
                : rem_str_eq(rem_keyval_text(head, item->key_off, item->key_len), id->key))
            return index[i];
    }
}

static uint32_t find_key(const struct rem_keyval_head *head, struct rem_str key)
{
    const struct rem_keyval_id id = {.hash = rem_siphash(head->seed, key.p, key.n), .key = key};

    return rem_keyval_find_id(head, &id);
}

static uint32_t find_net(const struct rem_keyval_head *head, const struct rem_keyval_net *net)
{
    const struct rem_keyval_id id = {.hash = rem_keyval_net_hash(head->seed, net), .net = *net};

    return rem_keyval_find_id(head, &id);
}

int rem_keyval_find(struct rem_str bytes, struct rem_str key, struct rem_keyval_entry *out)
{
    const struct rem_keyval_head *head = rem_keyval_head_of(bytes);
    struct rem_keyval_net net;
    uint32_t at = REM_KEYVAL_NONE;

    if (bytes.n == 0)
        return REM_ENOTFOUND;
    if (head->type != REM_KEYVAL_IP)
        at = find_key(head, key);
    else if (rem_keyval_net_parse(key, &net) == 0)
        at = find_net(head, &net);
    if (at == REM_KEYVAL_NONE)
        return REM_ENOTFOUND;
    rem_keyval_at(bytes, at, out);
    return 0;
}

/* ---- looking up ---- */

static bool lives(const struct rem_keyval_item *item, uint64_t now_ms)
{
    return item->expires_ms == 0 || now_ms < item->expires_ms;
}

/* Whether there are networks of that length. */
static bool has_bits(const struct rem_keyval_head *head, uint8_t family, unsigned bits)
{
    uint64_t word = family == 4 ? head->v4_bits : head->v6_bits[bits / 64];

    return (word >> (bits % 64) & 1) != 0;
}

/* A network inside of which the text's address is, the narrowest that lives. */
static uint32_t lookup_net(const struct rem_keyval_head *head, struct rem_str text, uint64_t now_ms)
{
    struct rem_keyval_net net;

    if (rem_keyval_net_parse(text, &net) != 0)
        return REM_KEYVAL_NONE;
    for (int bits = net.bits; bits >= 0; bits--) {
        uint32_t at;

        if (!has_bits(head, net.family, (unsigned)bits))
            continue;
        shorten(&net, (unsigned)bits);
        at = find_net(head, &net);
        if (at != REM_KEYVAL_NONE && lives(rem_keyval_items(head) + at, now_ms))
            return at;
    }
    return REM_KEYVAL_NONE;
}

static struct rem_str key_in_order(const struct rem_keyval_head *head,
                                   const struct rem_keyval_order *order)
{
    const struct rem_keyval_item *item = rem_keyval_items(head) + order->item;

    return rem_keyval_text(head, item->key_off, item->key_len);
}

/* As memcmp goes, the shorter first. */
static int compare(struct rem_str a, struct rem_str b)
{
    int difference = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

    return difference != 0 ? difference : (a.n > b.n) - (a.n < b.n);
}

/* The longest key that lives and that the text begins with.  It stands before the text in the
 * order, and all keys between the two begin with it, so it is an ancestor of the last of them. */
static uint32_t lookup_prefix(const struct rem_keyval_head *head, struct rem_str text,
                              uint64_t now_ms)
{
    const struct rem_keyval_order *order =
        (const struct rem_keyval_order *)(const void *)((const char *)head + head->order_off);
    uint32_t low = 0, high = head->count;

    while (low < high) { /* keys before `low` are not behind the text, those from `high` on are */
        uint32_t middle = low + (high - low) / 2;

        if (compare(key_in_order(head, order + middle), text) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (uint32_t at = low == 0 ? REM_KEYVAL_NONE : low - 1; at != REM_KEYVAL_NONE;
         at = order[at].parent) {
        if (rem_str_has_prefix(text, key_in_order(head, order + at)) &&
            lives(rem_keyval_items(head) + order[at].item, now_ms))
            return order[at].item;
    }
    return REM_KEYVAL_NONE;
}

bool rem_keyval_lookup(const void *bytes, struct rem_str text, uint64_t now_ms, struct rem_str *out)
{
    const struct rem_keyval_head *head = bytes;
    const struct rem_keyval_item *item;
    uint32_t at;

    if (head->count == 0 || text.n == 0)
        return false;
    switch (head->type) {
    case REM_KEYVAL_IP:
        at = lookup_net(head, text, now_ms);
        break;
    case REM_KEYVAL_PREFIX:
        at = lookup_prefix(head, text, now_ms);
        break;
    default:
        at = find_key(head, text);
    }
    if (at == REM_KEYVAL_NONE)
        return false;
    item = rem_keyval_items(head) + at;
    *out = rem_keyval_text(head, item->value_off, item->value_len);
    return lives(item, now_ms);
}
