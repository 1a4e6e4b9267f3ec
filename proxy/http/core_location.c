/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/core_location.h"

#include <stdlib.h>

static struct rem_http_location_conf *nested_at(const struct rem_array *nested, uint32_t i)
{
    return REM_ARRAY_OF(nested, struct rem_http_location_conf *)[i];
}

static int duplicate(struct rem_conf *cf, const struct rem_http_location_conf *location)
{
    return rem_conf_error_at(cf, location->pos, "duplicate location \"%.*s\"",
                             REM_STR_ARG(location->name));
}

static int add_exact(struct rem_conf *cf, struct rem_http_locations *all,
                     struct rem_http_location_conf *location)
{
    int rc = rem_strmap_add(&all->exact, location->name, location);

    if (rc == REM_EEXIST)
        return duplicate(cf, location);
    return rc != 0 ? rem_conf_nomem(cf) : 0;
}

static int add_slash(struct rem_conf *cf, struct rem_http_locations *all,
                     struct rem_http_location_conf *location)
{
    struct rem_str name = location->name;

    if (!location->auto_redirect || name.n < 2 || name.p[name.n - 1] != '/')
        return 0;
    name.n--;
    return rem_strmap_set(&all->slash, name, location) != 0 ? rem_conf_nomem(cf) : 0;
}

static int compare_prefixes(const void *a, const void *b)
{
    const struct rem_http_prefix *pa = a, *pb = b;
    size_t n = pa->name.n < pb->name.n ? pa->name.n : pb->name.n;
    int order = n != 0 ? memcmp(pa->name.p, pb->name.p, n) : 0;

    if (order != 0)
        return order;
    return pa->name.n < pb->name.n ? -1 : pa->name.n > pb->name.n;
}

/* Sorted, whatever starts with a name follows it directly, so the parent of an entry is the one
 * before it or one of that one's parents. */
static int link_prefixes(struct rem_conf *cf, struct rem_http_locations *all)
{
    if (all->n_prefixes != 0)
        qsort(all->prefixes, all->n_prefixes, sizeof(*all->prefixes), compare_prefixes);
    for (uint32_t i = 0; i < all->n_prefixes; i++) {
        struct rem_http_prefix *entry = &all->prefixes[i];
        uint32_t parent = i != 0 ? i - 1 : REM_LOCATION_NO_PARENT;

        if (i != 0 && rem_str_eq(all->prefixes[i - 1].name, entry->name)) {
            uint32_t a = all->prefixes[i - 1].location->pos.line, b = entry->location->pos.line;
            return duplicate(cf, a > b ? all->prefixes[i - 1].location : entry->location);
        }
        while (parent != REM_LOCATION_NO_PARENT &&
               !rem_str_has_prefix(entry->name, all->prefixes[parent].name))
            parent = all->prefixes[parent].parent;
        entry->parent = parent;
    }
    return 0;
}

static int build_level(struct rem_conf *cf, struct rem_http_location_conf *parent)
{
    const struct rem_array *nested = parent->nested;
    struct rem_http_locations *all = rem_arena_zalloc(cf->arena, sizeof(*all));

    if (all == NULL)
        return rem_conf_nomem(cf);
    rem_strmap_init(&all->exact, cf->arena, false);
    rem_strmap_init(&all->slash, cf->arena, false);
    all->prefixes = rem_arena_alloc(cf->arena, nested->n * sizeof(*all->prefixes));
    all->regexes = rem_arena_alloc(cf->arena, nested->n * sizeof(*all->regexes));
    if (all->prefixes == NULL || all->regexes == NULL)
        return rem_conf_nomem(cf);

    for (uint32_t i = 0; i < nested->n; i++) {
        struct rem_http_location_conf *location = nested_at(nested, i);
        int rc = 0;

        if (location->named)
            continue;
        if (location->regex != NULL) {
            all->regexes[all->n_regexes++] = location;
            continue;
        }
        if (location->exact)
            rc = add_exact(cf, all, location);
        else
            all->prefixes[all->n_prefixes++] =
                (struct rem_http_prefix){.name = location->name, .location = location};
        if (rc == 0)
            rc = add_slash(cf, all, location);
        if (rc != 0)
            return rc;
    }
    parent->locations = all;
    return link_prefixes(cf, all);
}

int rem_http_locations_build(struct rem_conf *cf, struct rem_http_location_conf *parent)
{
    int rc;

    if (parent->nested == NULL)
        return 0;
    rc = build_level(cf, parent);
    for (uint32_t i = 0; rc == 0 && i < parent->nested->n; i++)
        rc = rem_http_locations_build(cf, nested_at(parent->nested, i));
    return rc;
}

/* All prefixes of `uri` sort before it, and all that sorts between one of them and `uri` starts
 * with it: the longest is the last entry not behind `uri`, or one of that one's parents. */
static const struct rem_http_prefix *find_prefix(const struct rem_http_locations *all,
                                                 struct rem_str uri)
{
    const struct rem_http_prefix wanted = {.name = uri};
    uint32_t low = 0, high = all->n_prefixes, i;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare_prefixes(&all->prefixes[middle], &wanted) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    i = low != 0 ? low - 1 : REM_LOCATION_NO_PARENT;
    while (i != REM_LOCATION_NO_PARENT && !rem_str_has_prefix(uri, all->prefixes[i].name))
        i = all->prefixes[i].parent;
    return i != REM_LOCATION_NO_PARENT ? &all->prefixes[i] : NULL;
}

/* What a level has said: look on in the level above, or take *out. */
enum { UNDECIDED = 100 };

static int find_level(const struct rem_http_locations *all, struct rem_str uri,
                      struct rem_eval *eval, const struct rem_http_location_conf **out);

static int find_regex(const struct rem_http_locations *all, struct rem_str uri,
                      struct rem_eval *eval, const struct rem_http_location_conf **out)
{
    for (uint32_t i = 0; i < all->n_regexes; i++) {
        int rc = rem_capture_match(all->regexes[i]->regex, eval, uri);

        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        *out = all->regexes[i];
        if ((*out)->locations != NULL)
            rc = find_level((*out)->locations, uri, eval, out);
        return rc < 0 ? rc : REM_CORE_FOUND;
    }
    return UNDECIDED;
}

static int find_level(const struct rem_http_locations *all, struct rem_str uri,
                      struct rem_eval *eval, const struct rem_http_location_conf **out)
{
    const struct rem_http_location_conf *exact = rem_strmap_get(&all->exact, uri);
    const struct rem_http_location_conf *slash;
    const struct rem_http_prefix *prefix;
    bool noregex = false;

    if (exact != NULL) {
        *out = exact;
        return REM_CORE_FOUND;
    }
    prefix = find_prefix(all, uri);
    slash = rem_strmap_get(&all->slash, uri);
    if (slash != NULL && (prefix == NULL || prefix->name.n != uri.n)) {
        *out = slash;
        return REM_CORE_REDIRECT;
    }
    if (prefix != NULL) {
        *out = prefix->location;
        noregex = prefix->location->noregex;
        if (prefix->location->locations != NULL) {
            int rc = find_level(prefix->location->locations, uri, eval, out);

            if (rc != UNDECIDED)
                return rc;
        }
    }
    return noregex ? UNDECIDED : find_regex(all, uri, eval, out);
}

int rem_http_locations_find(const struct rem_http_locations *locations, struct rem_str uri,
                            struct rem_eval *eval, const struct rem_http_location_conf **out)
{
    int rc = find_level(locations, uri, eval, out);

    return rc == UNDECIDED ? REM_CORE_FOUND : rc;
}
