/* SPDX-License-Identifier: Apache-2.0 */
/* keyval_build.c - the bytes of an edited zone.
 *
 * Usually an edit touches few entries of many: the bytes are copied then, and changed in place,
 * what has new texts getting them behind the others.  When there is no room left, when garbage has
 * become much, or where keys are in an order, all is laid out anew.  */
#include "proto/shm/keyval_priv.h"

#include <stdlib.h>

enum { ALIGN = 64, GARBAGE_MIN = 1024 };

/* Where the parts of the bytes begin. */
struct parts {
    uint32_t room; /* entries */
    size_t index, order, nets, texts, size;
};

static struct parts lay_out(const struct rem_keyval_edit *edit, uint32_t room)
{
    struct parts parts = {.room = room};

    parts.index = sizeof(struct rem_keyval_head) + (size_t)room * sizeof(struct rem_keyval_item);
    parts.order = parts.index + (size_t)rem_keyval_index_size(room) * sizeof(uint32_t);
    parts.nets = parts.order;
    if (edit->type == REM_KEYVAL_PREFIX)
        parts.nets += (size_t)room * sizeof(struct rem_keyval_order);
    parts.texts = parts.nets;
    if (edit->type == REM_KEYVAL_IP)
        parts.texts += (size_t)room * sizeof(struct rem_keyval_net);
    parts.size = parts.texts + edit->text_size;
    return parts;
}

size_t rem_keyval_edit_size(const struct rem_keyval_edit *edit)
{
    return lay_out(edit, edit->count).size;
}

static struct rem_keyval_head *make(size_t size)
{
    return aligned_alloc(ALIGN, (size + ALIGN - 1) / ALIGN * ALIGN);
}

/* ---- parts of bytes that are being made ---- */

static struct rem_keyval_item *items_of(struct rem_keyval_head *head)
{
    return (struct rem_keyval_item *)(void *)(head + 1);
}

static uint32_t *index_of(struct rem_keyval_head *head)
{
    return (uint32_t *)(void *)((char *)head + head->index_off);
}

static struct rem_keyval_net *nets_of(struct rem_keyval_head *head)
{
    return (struct rem_keyval_net *)(void *)((char *)head + head->nets_off);
}

static uint32_t put_text(struct rem_keyval_head *head, struct rem_str text)
{
    size_t off = head->size;

    if (text.n != 0)
        memcpy((char *)head + off, text.p, text.n);
    head->size += text.n;
    return (uint32_t)off;
}

static void note_expiry(struct rem_keyval_head *head, uint64_t ms)
{
    if (ms != 0 && (head->first_expiry_ms == 0 || ms < head->first_expiry_ms))
        head->first_expiry_ms = ms;
}

/* Appends an entry; there is room for it. */
static void append(struct rem_keyval_head *head, const struct rem_keyval_slot *slot)
{
    struct rem_keyval_item *item = items_of(head) + head->count;

    item->hash = slot->hash;
    item->expires_ms = slot->expires_ms;
    item->key_len = (uint32_t)slot->key.n;
    item->value_len = (uint32_t)slot->value.n;
    item->key_off = put_text(head, slot->key);
    item->value_off = put_text(head, slot->value);
    note_expiry(head, slot->expires_ms);
    if (head->type == REM_KEYVAL_IP) {
        uint64_t bit = (uint64_t)1 << (slot->net.bits % 64);

        nets_of(head)[head->count] = slot->net;
        if (slot->net.family == 4)
            head->v4_bits |= bit;
        else
            head->v6_bits[slot->net.bits / 64] |= bit;
    }
    rem_keyval_index_add(index_of(head), head->mask, slot->hash, head->count++);
}

/* ---- all anew ---- */

/* What stands where entries of the base were: their slots, by number + 1; 0: untouched. */
static uint32_t *touched_of(const struct rem_keyval_edit *edit)
{
    uint32_t *touched = calloc(rem_keyval_head_of(edit->base)->count + (size_t)1, sizeof(*touched));

    for (uint32_t i = 0; touched != NULL && i < edit->used; i++)
        if (edit->slots[i].item != REM_KEYVAL_NONE)
            touched[edit->slots[i].item] = i + 1;
    return touched;
}

/* The base's entries in their order, as the edit leaves them.  Errors: REM_ENOMEM. */
static int append_base(const struct rem_keyval_edit *edit, struct rem_keyval_head *head)
{
    const struct rem_keyval_head *base = rem_keyval_head_of(edit->base);
    uint32_t *touched = touched_of(edit);

    if (touched == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < base->count; i++) {
        struct rem_keyval_slot slot = {.hash = rem_keyval_items(base)[i].hash};
        struct rem_keyval_entry entry;

        if (touched[i] != 0) {
            if (!edit->slots[touched[i] - 1].removed)
                append(head, &edit->slots[touched[i] - 1]);
            continue;
        }
        rem_keyval_at(edit->base, i, &entry);
        slot.key = entry.key;
        slot.value = entry.value;
        slot.expires_ms = entry.expires_ms;
        if (base->type == REM_KEYVAL_IP)
            slot.net = rem_keyval_nets(base)[i];
        append(head, &slot);
    }
    free(touched);
    return 0;
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

static int build_anew(const struct rem_keyval_edit *edit, struct rem_keyval_head **out)
{
    struct parts parts = lay_out(edit, edit->count + edit->count / 8 + 4);
    struct rem_keyval_head *head;
    int rc = 0;

    if (parts.size > edit->max_size)
        parts = lay_out(edit, edit->count);
    if (parts.size > INT32_MAX)
        return REM_EFULL;
    head = make(parts.size);
    if (head == NULL)
        return REM_ENOMEM;
    memset(head, 0, parts.texts);
    *head = (struct rem_keyval_head){
        .size = parts.texts,
        .magic = REM_KEYVAL_MAGIC,
        .type = edit->type,
        .seed = {edit->seed[0], edit->seed[1]},
        .mask = rem_keyval_index_size(parts.room) - 1,
        .index_off = (uint32_t)parts.index,
        .nets_off = (uint32_t)parts.nets,
        .order_off = (uint32_t)parts.order,
        .texts_off = (uint32_t)parts.texts,
        .room = parts.room,
    };
    memset(index_of(head), 0xff, (size_t)(head->mask + 1) * sizeof(uint32_t));
    if (edit->base.n != 0)
        rc = append_base(edit, head);
    for (uint32_t i = 0; rc == 0 && i < edit->used; i++)
        if (edit->slots[i].item == REM_KEYVAL_NONE && !edit->slots[i].removed)
            append(head, &edit->slots[i]);
    if (rc != 0) {
        free(head);
        return rc;
    }
    if (edit->type == REM_KEYVAL_PREFIX)
        put_order(head);
    *out = head;
    return 0;
}

/* ---- a copy, changed in place ---- */

/* Where in the index an entry is named. */
static uint32_t place_of(struct rem_keyval_head *head, uint32_t item)
{
    const uint32_t *index = index_of(head);
    uint32_t i = (uint32_t)items_of(head)[item].hash & head->mask;

    while (index[i] != item)
        i = (i + 1) & head->mask;
    return i;
}

/* Takes an entry out of the index; those behind it that would not be found any more move up. */
static void unname(struct rem_keyval_head *head, uint32_t item)
{
    const struct rem_keyval_item *items = items_of(head);
    uint32_t *index = index_of(head);
    uint32_t hole = place_of(head, item);

    for (uint32_t i = (hole + 1) & head->mask; index[i] != REM_KEYVAL_NONE;
         i = (i + 1) & head->mask) {
        uint32_t home = (uint32_t)items[index[i]].hash & head->mask;

        /* It may stand in the hole if that is not before its home, going round. */
        if (((i - home) & head->mask) >= ((i - hole) & head->mask)) {
            index[hole] = index[i];
            hole = i;
        }
    }
    index[hole] = REM_KEYVAL_NONE;
}

/* The last entry takes the place of one that goes. */
static void take_out(struct rem_keyval_head *head, uint32_t item)
{
    struct rem_keyval_item *items = items_of(head);
    uint32_t last = head->count - 1;

    head->garbage += items[item].key_len + items[item].value_len;
    unname(head, item);
    if (item != last) {
        index_of(head)[place_of(head, last)] = item;
        items[item] = items[last];
        if (head->type == REM_KEYVAL_IP)
            nets_of(head)[item] = nets_of(head)[last];
    }
    head->count--;
}

static void change(struct rem_keyval_head *head, const struct rem_keyval_slot *slot)
{
    struct rem_keyval_item *item = items_of(head) + slot->item;

    head->garbage += item->key_len + item->value_len;
    item->key_len = (uint32_t)slot->key.n;
    item->value_len = (uint32_t)slot->value.n;
    item->key_off = put_text(head, slot->key);
    item->value_off = put_text(head, slot->value);
    item->expires_ms = slot->expires_ms;
    note_expiry(head, slot->expires_ms);
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (y > x) - (y < x);
}

/* Removes from the end on, so that what moves is never something that is to be removed. */
static int remove_all(const struct rem_keyval_edit *edit, struct rem_keyval_head *head, uint32_t n)
{
    uint32_t *items = malloc((n + (size_t)1) * sizeof(*items));

    if (items == NULL)
        return REM_ENOMEM;
    n = 0;
    for (uint32_t i = 0; i < edit->used; i++)
        if (edit->slots[i].removed && edit->slots[i].item != REM_KEYVAL_NONE)
            items[n++] = edit->slots[i].item;
    qsort(items, n, sizeof(*items), compare_numbers);
    for (uint32_t i = 0; i < n; i++)
        take_out(head, items[i]);
    free(items);
    return 0;
}

/* What the edit does to the base. */
struct work {
    uint32_t added, changed, removed;
    size_t texts;   /* bytes to append */
    size_t garbage; /* that become garbage */
};

static struct work measure(const struct rem_keyval_edit *edit)
{
    const struct rem_keyval_item *items = rem_keyval_items(rem_keyval_head_of(edit->base));
    struct work work = {0};

    for (uint32_t i = 0; i < edit->used; i++) {
        const struct rem_keyval_slot *slot = edit->slots + i;

        if (slot->item != REM_KEYVAL_NONE)
            work.garbage += items[slot->item].key_len + items[slot->item].value_len;
        if (!slot->removed)
            work.texts += slot->key.n + slot->value.n;
        if (slot->removed)
            work.removed += slot->item != REM_KEYVAL_NONE;
        else if (slot->item != REM_KEYVAL_NONE)
            work.changed++;
        else
            work.added++;
    }
    return work;
}

/* Is a copy of the base a good beginning? */
static bool can_copy(const struct rem_keyval_edit *edit, const struct work *work)
{
    const struct rem_keyval_head *base = rem_keyval_head_of(edit->base);
    size_t garbage;

    if (edit->base.n == 0 || edit->base.n + work->texts > edit->max_size)
        return false;
    if (edit->type == REM_KEYVAL_PREFIX && (work->added != 0 || work->removed != 0))
        return false;
    garbage = base->garbage + work->garbage;
    return base->count + work->added <= base->room && edit->used <= base->count / 8 + 1 &&
           garbage <= edit->text_size / 4 + GARBAGE_MIN;
}

static int build_copy(const struct rem_keyval_edit *edit, const struct work *work,
                      struct rem_keyval_head **out)
{
    struct rem_keyval_head *head = make(edit->base.n + work->texts);

    if (head == NULL)
        return REM_ENOMEM;
    memcpy(head, edit->base.p, edit->base.n);
    head->first_expiry_ms = edit->first_expiry_ms;
    for (uint32_t i = 0; i < edit->used; i++)
        if (!edit->slots[i].removed && edit->slots[i].item != REM_KEYVAL_NONE)
            change(head, &edit->slots[i]);
    if (work->removed != 0 && remove_all(edit, head, work->removed) != 0) {
        free(head);
        return REM_ENOMEM;
    }
    for (uint32_t i = 0; i < edit->used; i++)
        if (!edit->slots[i].removed && edit->slots[i].item == REM_KEYVAL_NONE)
            append(head, &edit->slots[i]);
    *out = head;
    return 0;
}

int rem_keyval_edit_build(struct rem_keyval_edit *edit, struct rem_str *out)
{
    struct rem_keyval_head *head = NULL;
    struct work work = {0};
    int rc;

    if (edit->base.n != 0)
        work = measure(edit);
    rc = can_copy(edit, &work) ? build_copy(edit, &work, &head) : build_anew(edit, &head);
    if (rc == 0)
        *out = rem_str_make((char *)head, head->size);
    return rc;
}
