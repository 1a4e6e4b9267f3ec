/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/split.h"

#include <stdlib.h>

enum { MAGIC = 0x73706c74 };

struct head {
    uint64_t size;
    uint32_t magic;
    uint32_t count;
};

struct item {
    uint32_t end; /* hashes below it, and not in a part before, are in this one */
    uint32_t share;
    uint32_t rest;
    uint32_t value_off, value_len;
};

static const struct item *items_of(const struct head *head)
{
    return (const struct item *)(const void *)(head + 1);
}

static struct rem_str value_of(const struct head *head, const struct item *item)
{
    return rem_str_make((const char *)head + item->value_off, item->value_len);
}

/* What the bytes take.  Errors: REM_EINVAL. */
static int measure(const struct rem_split_part *parts, size_t count, size_t *out)
{
    size_t size = sizeof(struct head) + count * sizeof(struct item);
    uint64_t total = 0;

    if (count > REM_SPLIT_PARTS_MAX)
        return REM_EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].value.n > REM_SPLIT_VALUE_MAX || parts[i].share > REM_SPLIT_WHOLE)
            return REM_EINVAL;
        if (!parts[i].rest)
            total += parts[i].share;
        size += parts[i].value.n;
    }
    *out = size;
    return total <= REM_SPLIT_WHOLE ? 0 : REM_EINVAL;
}

int rem_split_build(const struct rem_split_part *parts, size_t count, struct rem_str *out)
{
    struct head *head;
    struct item *items;
    size_t size, text = sizeof(*head) + count * sizeof(*items);
    uint32_t total = 0, end = 0;
    int rc = measure(parts, count, &size);

    if (rc != 0)
        return rc;
    head = malloc(size);
    if (head == NULL)
        return REM_ENOMEM;
    *head = (struct head){.size = size, .magic = MAGIC, .count = (uint32_t)count};
    items = (struct item *)(void *)(head + 1);
    for (size_t i = 0; i < count; i++) {
        const struct rem_split_part *part = &parts[i];
        uint32_t share = part->rest ? REM_SPLIT_WHOLE - total : part->share;

        total += share;
        end += (uint32_t)((uint64_t)share * UINT32_MAX / REM_SPLIT_WHOLE);
        items[i] = (struct item){
            end, share, part->rest, (uint32_t)text, (uint32_t)part->value.n,
        };
        if (part->value.n != 0)
            memcpy((char *)head + text, part->value.p, part->value.n);
        text += part->value.n;
    }
    *out = rem_str_make((const char *)head, size);
    return 0;
}

bool rem_split_valid(struct rem_str bytes)
{
    const struct head *head = (const struct head *)(const void *)bytes.p;

    return bytes.n >= sizeof(*head) && head->magic == MAGIC && head->size == bytes.n;
}

bool rem_split_sound(struct rem_str bytes)
{
    const struct head *head = (const struct head *)(const void *)bytes.p;
    const struct item *items;

    if (!rem_split_valid(bytes) || head->count > REM_SPLIT_PARTS_MAX ||
        head->count > (bytes.n - sizeof(*head)) / sizeof(*items))
        return false;
    items = items_of(head);
    for (uint32_t i = 0; i < head->count; i++)
        if (items[i].value_off > bytes.n || items[i].value_len > bytes.n - items[i].value_off ||
            items[i].share > REM_SPLIT_WHOLE)
            return false;
    return true;
}

size_t rem_split_count(struct rem_str bytes)
{
    return ((const struct head *)(const void *)bytes.p)->count;
}

void rem_split_at(struct rem_str bytes, size_t index, struct rem_split_part *out)
{
    const struct head *head = (const struct head *)(const void *)bytes.p;
    const struct item *item = items_of(head) + index;

    *out = (struct rem_split_part){value_of(head, item), item->share, item->rest != 0};
}

struct rem_str rem_split_lookup(const void *bytes, uint32_t hash)
{
    const struct head *head = bytes;
    const struct item *items = items_of(head);

    for (uint32_t i = 0; i < head->count; i++)
        if (items[i].rest || hash < items[i].end)
            return value_of(head, items + i);
    return REM_STR("");
}
