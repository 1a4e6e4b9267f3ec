/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/keyval_priv.h"

#include <stdlib.h>
#include <sys/random.h>

enum { INDEX_MIN = 8, ROOM_MIN = 16 };

/* An entry of a zone that is being edited. */
struct rem_keyval_slot {
    uint64_t hash;
    uint64_t expires_ms;
    struct rem_str key, value;
    struct rem_keyval_net net; /* type ip */
    bool removed;
};

/* What identifies an entry. */
struct identity {
    uint64_t hash;
    struct rem_str key;
    struct rem_keyval_net net;
};

/* ---- the index ---- */

/* A power of two, at least twice what it is for. */
static uint32_t index_size(uint32_t count)
{
    uint32_t size = INDEX_MIN;

    while (size / 2 < count)
        size *= 2;
    return size;
}

static void index_add(uint32_t *index, uint32_t mask, uint64_t hash, uint32_t at)
{
    uint32_t i = (uint32_t)hash & mask;

    while (index[i] != REM_KEYVAL_NONE)
        i = (i + 1) & mask;
    index[i] = at;
}

/* Room for `count` slots, and an index that is at most half full with them.  Errors: REM_ENOMEM. */
static int edit_reserve(struct rem_keyval_edit *edit, uint32_t count)
{
    uint32_t size = index_size(count);
    struct rem_keyval_slot *slots;
    uint32_t *index;

    if (count > edit->room) {
        uint32_t room = count > 2 * edit->room ? count : 2 * edit->room;

        slots = reallocarray(edit->slots, room, sizeof(*slots));
        if (slots == NULL)
            return REM_ENOMEM;
        edit->slots = slots;
        edit->room = room;
    }
    if (edit->index != NULL && size <= edit->mask + 1)
        return 0;
    index = malloc(size * sizeof(*index));
    if (index == NULL)
        return REM_ENOMEM;
    memset(index, 0xff, size * sizeof(*index));
    for (uint32_t i = 0; i < edit->used; i++)
        index_add(index, size - 1, edit->slots[i].hash, i);
    free(edit->index);
    edit->index = index;
    edit->mask = size - 1;
    return 0;
}

/* Errors: REM_EINVAL (not a key of this type). */
static int identify(const struct rem_keyval_edit *edit, struct rem_str key, struct identity *out)
{
    *out = (struct identity){.key = key};
    if (key.n == 0)
        return REM_EINVAL;
    if (edit->type != REM_KEYVAL_IP) {
        out->hash = rem_siphash(edit->seed, key.p, key.n);
        return 0;
    }
    if (rem_keyval_net_parse(key, &out->net) != 0)
        return REM_EINVAL;
    out->hash = rem_keyval_net_hash(edit->seed, &out->net);
    return 0;
}

static struct rem_keyval_slot *find_slot(const struct rem_keyval_edit *edit,
                                         const struct identity *id)
{
    for (uint32_t i = (uint32_t)id->hash & edit->mask; edit->index[i] != REM_KEYVAL_NONE;
         i = (i + 1) & edit->mask) {
        struct rem_keyval_slot *slot = edit->slots + edit->index[i];

        if (slot->hash != id->hash || slot->removed)
            continue;
        if (edit->type == REM_KEYVAL_IP ? rem_keyval_net_eq(&slot->net, &id->net)
                                        : rem_str_eq(slot->key, id->key))
            return slot;
    }
    return NULL;
}

/* ---- editing ---- */

static void add_slot(struct rem_keyval_edit *edit, const struct identity *id,
                     const struct rem_keyval_entry *entry)
{
    edit->slots[edit->used] = (struct rem_keyval_slot){
        .hash = id->hash,
        .expires_ms = entry->expires_ms,
        .key = entry->key,
        .value = entry->value,
        .net = id->net,
    };
    index_add(edit->index, edit->mask, id->hash, edit->used++);
    edit->count++;
    edit->text_size += entry->key.n + entry->value.n;
}

/* Takes the living entries over; their hashes are those of the same seed. */
static void take_over(struct rem_keyval_edit *edit, struct rem_str bytes, uint64_t now_ms)
{
    const struct rem_keyval_head *head = (const void *)bytes.p;
    const struct rem_keyval_net *nets =
        (const struct rem_keyval_net *)(const void *)(bytes.p + head->nets_off);

    for (uint32_t i = 0; i < head->count; i++) {
        struct identity id = {.hash = rem_keyval_items(head)[i].hash};
        struct rem_keyval_entry entry;

        rem_keyval_at(bytes, i, &entry);
        if (entry.expires_ms != 0 && entry.expires_ms <= now_ms)
            continue;
        if (edit->type == REM_KEYVAL_IP)
            id.net = nets[i];
        add_slot(edit, &id, &entry);
    }
}

int rem_keyval_edit_init(struct rem_keyval_edit *edit, enum rem_keyval_type type,
                         struct rem_str bytes, uint64_t now_ms)
{
    const struct rem_keyval_head *head = (const void *)bytes.p;
    size_t count = rem_keyval_count(bytes);

    *edit = (struct rem_keyval_edit){.type = type};
    if (bytes.n != 0)
        memcpy(edit->seed, head->seed, sizeof(edit->seed));
    else
        (void)!getrandom(edit->seed, sizeof(edit->seed), 0);
    if (edit_reserve(edit, (uint32_t)count + ROOM_MIN) != 0) {
        rem_keyval_edit_fini(edit);
        return REM_ENOMEM;
    }
    if (count != 0)
        take_over(edit, bytes, now_ms);
    return 0;
}

void rem_keyval_edit_fini(struct rem_keyval_edit *edit)
{
    free(edit->slots);
    free(edit->index);
    edit->slots = NULL;
    edit->index = NULL;
}

int rem_keyval_edit_get(const struct rem_keyval_edit *edit, struct rem_str key,
                        struct rem_keyval_entry *out)
{
    const struct rem_keyval_slot *slot = NULL;
    struct identity id;

    if (identify(edit, key, &id) == 0)
        slot = find_slot(edit, &id);
    if (slot == NULL)
        return REM_ENOTFOUND;
    *out = (struct rem_keyval_entry){slot->key, slot->value, slot->expires_ms};
    return 0;
}

int rem_keyval_edit_put(struct rem_keyval_edit *edit, const struct rem_keyval_entry *entry)
{
    struct rem_keyval_slot *slot;
    struct identity id;

    if (identify(edit, entry->key, &id) != 0)
        return REM_EINVAL;
    if (entry->key.n > REM_KEYVAL_KEY_MAX || entry->value.n > REM_KEYVAL_VALUE_MAX)
        return REM_ETOOBIG;
    slot = find_slot(edit, &id);
    if (slot != NULL) {
        edit->text_size += entry->value.n;
        edit->text_size -= slot->value.n;
        slot->value = entry->value;
        slot->expires_ms = entry->expires_ms;
        return 0;
    }
    if (edit->used == UINT32_MAX / 4 || edit_reserve(edit, edit->used + 1) != 0)
        return REM_ENOMEM;
    add_slot(edit, &id, entry);
    return 0;
}

static void remove_slot(struct rem_keyval_edit *edit, struct rem_keyval_slot *slot)
{
    slot->removed = true; /* it stays in the index, where others may lie behind it */
    edit->count--;
    edit->text_size -= slot->key.n + slot->value.n;
}

int rem_keyval_edit_remove(struct rem_keyval_edit *edit, struct rem_str key)
{
    struct rem_keyval_slot *slot = NULL;
    struct identity id;

    if (identify(edit, key, &id) == 0)
        slot = find_slot(edit, &id);
    if (slot == NULL)
        return REM_ENOTFOUND;
    remove_slot(edit, slot);
    return 0;
}

void rem_keyval_edit_clear(struct rem_keyval_edit *edit)
{
    for (uint32_t i = 0; i < edit->used; i++)
        if (!edit->slots[i].removed)
            remove_slot(edit, edit->slots + i);
}

/* ---- building ---- */

/* Where the parts of the bytes begin. */
struct parts {
    size_t index, nets, order, texts, size;
};

static struct parts lay_out(const struct rem_keyval_edit *edit)
{
    struct parts parts;

    parts.index =
        sizeof(struct rem_keyval_head) + (size_t)edit->count * sizeof(struct rem_keyval_item);
    parts.order = parts.index + (size_t)index_size(edit->count) * sizeof(uint32_t);
    parts.nets = parts.order;
    if (edit->type == REM_KEYVAL_PREFIX)
        parts.nets += (size_t)edit->count * sizeof(struct rem_keyval_order);
    parts.texts = parts.nets;
    if (edit->type == REM_KEYVAL_IP)
        parts.texts += (size_t)edit->count * sizeof(struct rem_keyval_net);
    parts.size = parts.texts + edit->text_size;
    return parts;
}

size_t rem_keyval_edit_size(const struct rem_keyval_edit *edit)
{
    return lay_out(edit).size;
}

static uint32_t put_text(char *base, size_t *at, struct rem_str text)
{
    size_t off = *at;

    if (text.n != 0)
        memcpy(base + off, text.p, text.n);
    *at += text.n;
    return (uint32_t)off;
}

static void note_bits(struct rem_keyval_head *head, const struct rem_keyval_net *net)
{
    uint64_t bit = (uint64_t)1 << (net->bits % 64);

    if (net->family == 4)
        head->v4_bits |= bit;
    else
        head->v6_bits[net->bits / 64] |= bit;
}

static void put_entries(const struct rem_keyval_edit *edit, struct rem_keyval_head *head,
                        const struct parts *parts)
{
    char *base = (char *)head;
    struct rem_keyval_item *items = (struct rem_keyval_item *)(void *)(head + 1);
    struct rem_keyval_net *nets = (struct rem_keyval_net *)(void *)(base + parts->nets);
    uint32_t *index = (uint32_t *)(void *)(base + parts->index);
    size_t text = parts->texts;
    uint32_t n = 0;

    memset(index, 0xff, (size_t)(head->mask + 1) * sizeof(*index));
    for (uint32_t i = 0; i < edit->used; i++) {
        const struct rem_keyval_slot *slot = edit->slots + i;

        if (slot->removed)
            continue;
        items[n] = (struct rem_keyval_item){
            .hash = slot->hash,
            .expires_ms = slot->expires_ms,
            .key_len = (uint32_t)slot->key.n,
            .value_len = (uint32_t)slot->value.n,
        };
        items[n].key_off = put_text(base, &text, slot->key);
        items[n].value_off = put_text(base, &text, slot->value);
        if (edit->type == REM_KEYVAL_IP) {
            nets[n] = slot->net;
            note_bits(head, &slot->net);
        }
        index_add(index, head->mask, slot->hash, n++);
    }
}

static int compare_items(const void *a, const void *b, void *data)
{
    const struct rem_keyval_head *head = data;
    const struct rem_keyval_order *x = a, *y = b;
    const struct rem_keyval_item *p = rem_keyval_items(head) + x->item;
    const struct rem_keyval_item *q = rem_keyval_items(head) + y->item;
    uint32_t n = p->key_len < q->key_len ? p->key_len : q->key_len;
    int difference = memcmp((const char *)head + p->key_off, (const char *)head + q->key_off, n);

    return difference != 0 ? difference : (p->key_len > q->key_len) - (p->key_len < q->key_len);
}

/* Sorts the keys.  The keys that one begins with stand before it, so its parent is the one before
 * it, or one of that one's ancestors. */
static void put_order(struct rem_keyval_head *head)
{
    struct rem_keyval_order *order =
        (struct rem_keyval_order *)(void *)((char *)head + head->order_off);
    const struct rem_keyval_item *items = rem_keyval_items(head);

    for (uint32_t i = 0; i < head->count; i++)
        order[i] = (struct rem_keyval_order){.item = i};
    qsort_r(order, head->count, sizeof(*order), compare_items, head);
    for (uint32_t i = 0; i < head->count; i++) {
        const struct rem_keyval_item *own = items + order[i].item;
        uint32_t at = i == 0 ? REM_KEYVAL_NONE : i - 1;

        while (at != REM_KEYVAL_NONE) {
            const struct rem_keyval_item *other = items + order[at].item;

            if (other->key_len <= own->key_len &&
                memcmp((const char *)head + other->key_off, (const char *)head + own->key_off,
                       other->key_len) == 0)
                break;
            at = order[at].parent;
        }
        order[i].parent = at;
    }
}

int rem_keyval_edit_build(struct rem_keyval_edit *edit, struct rem_str *out)
{
    struct parts parts = lay_out(edit);
    struct rem_keyval_head *head;

    if (parts.size > INT32_MAX)
        return REM_EFULL;
    head = malloc(parts.size);
    if (head == NULL)
        return REM_ENOMEM;
    *head = (struct rem_keyval_head){
        .size = parts.size,
        .magic = REM_KEYVAL_MAGIC,
        .type = edit->type,
        .seed = {edit->seed[0], edit->seed[1]},
        .count = edit->count,
        .mask = index_size(edit->count) - 1,
        .index_off = (uint32_t)parts.index,
        .nets_off = (uint32_t)parts.nets,
        .order_off = (uint32_t)parts.order,
    };
    put_entries(edit, head, &parts);
    if (edit->type == REM_KEYVAL_PREFIX)
        put_order(head);
    *out = rem_str_make((char *)head, parts.size);
    return 0;
}
