/* SPDX-License-Identifier: Apache-2.0 */
#include "api/reset.h"

#include <stdlib.h>

/* One object's last reset. */
struct reset_item {
    struct reset_item *next;
    char *path; /* kind, "/" and name */
    size_t path_len;
    size_t size;
    uint64_t values[];
};

struct rem_api_reset {
    struct reset_item *items;
};

static bool is_item(const struct reset_item *item, struct rem_str kind, struct rem_str name)
{
    struct rem_str path = rem_str_make(item->path, item->path_len);

    return path.n == kind.n + 1 + name.n && rem_str_has_prefix(path, kind) &&
           path.p[kind.n] == '/' && rem_str_eq(rem_str_skip(path, kind.n + 1), name);
}

static struct reset_item **find(struct rem_api_reset *r, const char *kind, struct rem_str name)
{
    struct reset_item **at = &r->items;

    while (*at != NULL && !is_item(*at, rem_str_from(kind), name))
        at = &(*at)->next;
    return at;
}

static void item_free(struct reset_item *item)
{
    free(item->path);
    free(item);
}

void rem_reset_free(struct rem_api_reset **resets)
{
    struct rem_api_reset *r = *resets;

    *resets = NULL;
    while (r != NULL && r->items != NULL) {
        struct reset_item *next = r->items->next;
        item_free(r->items);
        r->items = next;
    }
    free(r);
}

const void *rem_reset_find(const struct rem_api *api, const char *kind, struct rem_str name,
                           size_t min, size_t *size)
{
    const struct reset_item *item;

    if (api->resets == NULL)
        return NULL;
    item = *find(api->resets, kind, name);
    if (item == NULL || item->size < min)
        return NULL;
    if (size != NULL)
        *size = item->size;
    return item->values;
}

static struct reset_item *item_new(const char *kind, struct rem_str name, const void *values,
                                   size_t size)
{
    size_t kind_len = strlen(kind);
    struct reset_item *item = calloc(1, sizeof(*item) + size);

    if (item == NULL || (item->path = malloc(kind_len + 1 + name.n)) == NULL) {
        free(item);
        return NULL;
    }
    memcpy(item->path, kind, kind_len);
    item->path[kind_len] = '/';
    if (name.n != 0)
        memcpy(item->path + kind_len + 1, name.p, name.n);
    item->path_len = kind_len + 1 + name.n;
    item->size = size;
    if (size != 0)
        memcpy(item->values, values, size);
    return item;
}

int rem_reset_keep(struct rem_api_call *call, const char *kind, struct rem_str name,
                   const void *values, size_t size)
{
    struct rem_api *api = call->api;
    struct reset_item *item = item_new(kind, name, values, size), **at;

    if (api->resets == NULL)
        api->resets = calloc(1, sizeof(*api->resets));
    if (api->resets == NULL || item == NULL) {
        if (item != NULL)
            item_free(item);
        return rem_call_fault(call, REM_ENOMEM, NULL);
    }
    at = find(api->resets, kind, name);
    if (*at != NULL) {
        item->next = (*at)->next;
        item_free(*at);
    }
    *at = item;
    return 0;
}

int rem_reset_answer(struct rem_api_call *call)
{
    call->response->status = 204;
    return 0;
}

void rem_reset_apply(uint64_t *counters, const uint64_t *base, size_t count)
{
    for (size_t i = 0; base != NULL && i < count; i++)
        counters[i] = rem_reset_less(counters[i], base[i]);
}
