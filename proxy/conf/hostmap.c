/* SPDX-License-Identifier: Apache-2.0 */
/* hostmap.c - see hostmap.h. */
#include "proxy/conf/hostmap.h"

void rem_hostmap_init(struct rem_hostmap *map, struct rem_arena *arena)
{
    *map = (struct rem_hostmap){.head_longest = 0};
    rem_strmap_init(&map->exact, arena, true);
    rem_strmap_init(&map->head, arena, true);
    rem_strmap_init(&map->tail, arena, true);
}

static int add_head(struct rem_hostmap *map, struct rem_str key, void *value)
{
    int rc = rem_strmap_add(&map->head, key, value);

    if (rc == 0 && key.n > map->head_longest)
        map->head_longest = key.n;
    return rc;
}

static int add_tail(struct rem_hostmap *map, struct rem_str key, void *value)
{
    int rc = rem_strmap_add(&map->tail, key, value);

    if (rc == 0 && key.n > map->tail_longest)
        map->tail_longest = key.n;
    return rc;
}

/* ".x" is taken only if both of its halves are free. */
static int add_both(struct rem_hostmap *map, struct rem_str key, void *value)
{
    int rc;

    if (rem_strmap_get(&map->exact, key) != NULL || rem_strmap_get(&map->head, key) != NULL)
        return REM_EEXIST;
    rc = rem_strmap_add(&map->exact, key, value);
    return rc != 0 ? rc : add_head(map, key, value);
}

static bool has_empty_label(struct rem_str s)
{
    for (size_t i = 0; i + 1 < s.n; i++) {
        if (s.p[i] == '.' && s.p[i + 1] == '.')
            return true;
    }
    return false;
}

int rem_hostmap_add(struct rem_hostmap *map, struct rem_str name, void *value)
{
    struct rem_str s = name;
    bool head, tail, both;

    both = s.n > 1 && s.p[0] == '.';
    head = s.n > 2 && s.p[0] == '*' && s.p[1] == '.';
    tail = s.n > 2 && s.p[s.n - 1] == '*' && s.p[s.n - 2] == '.';
    if (both)
        s = rem_str_skip(s, 1);
    else if (head)
        s = rem_str_skip(s, 2);
    else if (tail)
        s.n -= 2;
    if (rem_str_chr(s, '*') != NULL || has_empty_label(s) ||
        ((both || head || tail) && (s.n == 0 || s.p[0] == '.')))
        return REM_EINVAL;

    if (both)
        return add_both(map, s, value);
    if (head)
        return add_head(map, s, value);
    if (tail)
        return add_tail(map, s, value);
    return rem_strmap_add(&map->exact, s, value);
}

/* The ends of the host behind its dots, the longest first. */
static void *find_head(const struct rem_hostmap *map, struct rem_str host)
{
    for (size_t i = 1; i + 1 < host.n; i++) {
        struct rem_str rest = rem_str_skip(host, i + 1);
        void *value;

        if (host.p[i] != '.' || rest.n > map->head_longest)
            continue;
        value = rem_strmap_get(&map->head, rest);
        if (value != NULL)
            return value;
    }
    return NULL;
}

/* The beginnings of the host before its dots, the longest first. */
static void *find_tail(const struct rem_hostmap *map, struct rem_str host)
{
    for (size_t i = host.n; i-- > 1;) {
        void *value;

        if (host.p[i] != '.' || i > map->tail_longest || i + 1 == host.n)
            continue;
        value = rem_strmap_get(&map->tail, rem_str_make(host.p, i));
        if (value != NULL)
            return value;
    }
    return NULL;
}

void *rem_hostmap_find(const struct rem_hostmap *map, struct rem_str host)
{
    void *value = rem_strmap_get(&map->exact, host);

    if (value == NULL && map->head_longest != 0)
        value = find_head(map, host);
    if (value == NULL && map->tail_longest != 0)
        value = find_tail(map, host);
    return value;
}
