/* SPDX-License-Identifier: Apache-2.0 */
/* geo_table.c - see geo.h. */
#include "proxy/http/mod/geo.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* ---- numbers ---- */

static int compare(struct rem_geo_point a, struct rem_geo_point b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return a.low < b.low ? -1 : a.low > b.low;
}

/* Returns: whether there is a next one. */
static bool increment(struct rem_geo_point *p)
{
    if (++p->low != 0)
        return true;
    return ++p->high != 0;
}

static uint64_t read_be(const unsigned char *p, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

bool rem_geo_point_of(const struct rem_addr *addr, struct rem_geo_point *out)
{
    const unsigned char *p;

    *out = (struct rem_geo_point){0, UINT32_MAX};
    if (rem_addr_family(addr) == AF_INET) {
        out->low = ntohl(addr->u.in.sin_addr.s_addr);
        return false;
    }
    if (rem_addr_family(addr) != AF_INET6)
        return false;
    p = addr->u.in6.sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&addr->u.in6.sin6_addr)) {
        out->low = read_be(p + 12, 4);
        return false;
    }
    *out = (struct rem_geo_point){read_be(p, 8), read_be(p + 8, 8)};
    return true;
}

/* ---- texts ---- */

/* A bare address.  Errors: REM_EINVAL. */
static int parse_point(struct rem_str text, struct rem_geo_point *out, bool *is_v6)
{
    unsigned char bytes[16];
    char z[INET6_ADDRSTRLEN];

    if (text.n == 0 || text.n >= sizeof(z))
        return REM_EINVAL;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    *is_v6 = rem_str_chr(text, ':') != NULL;
    if (inet_pton(*is_v6 ? AF_INET6 : AF_INET, z, bytes) != 1)
        return REM_EINVAL;
    *out = *is_v6 ? (struct rem_geo_point){read_be(bytes, 8), read_be(bytes + 8, 8)}
                  : (struct rem_geo_point){0, read_be(bytes, 4)};
    return 0;
}

/* The low `n` bits set, n at most 64. */
static uint64_t low_bits(unsigned n)
{
    return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

int rem_geo_parse_network(struct rem_str text, struct rem_geo_entry *out, bool *is_v6, bool *masked)
{
    const char *slash = rem_str_chr(text, '/');
    struct rem_str address = text;
    struct rem_geo_point mask; /* the bits of hosts */
    uint64_t prefix;
    unsigned width, hosts;

    if (slash != NULL)
        address.n = (size_t)(slash - text.p);
    if (parse_point(address, &out->first, is_v6) != 0)
        return REM_EINVAL;
    width = *is_v6 ? 128 : 32;
    prefix = width;
    if (slash != NULL && rem_str_to_u64(rem_str_skip(text, address.n + 1), width, &prefix) != 0)
        return REM_EINVAL;
    hosts = width - (unsigned)prefix;
    mask.low = low_bits(hosts);
    mask.high = hosts > 64 ? low_bits(hosts - 64) : 0;
    *masked = (out->first.low & mask.low) != 0 || (out->first.high & mask.high) != 0;
    out->first.low &= ~mask.low;
    out->first.high &= ~mask.high;
    out->last = (struct rem_geo_point){out->first.high | mask.high, out->first.low | mask.low};
    return 0;
}

int rem_geo_parse_range(struct rem_str text, struct rem_geo_entry *out)
{
    const char *dash = rem_str_chr(text, '-');
    bool first_v6, last_v6;

    if (dash == NULL)
        return REM_EINVAL;
    if (parse_point(rem_str_make(text.p, (size_t)(dash - text.p)), &out->first, &first_v6) != 0 ||
        parse_point(rem_str_skip(text, (size_t)(dash - text.p) + 1), &out->last, &last_v6) != 0)
        return REM_EINVAL;
    if (first_v6 || last_v6 || compare(out->first, out->last) > 0)
        return REM_EINVAL;
    return 0;
}

/* ---- tables ---- */

void rem_geo_table_init(struct rem_geo_table *table, struct rem_arena *arena)
{
    *table = (struct rem_geo_table){.ranges = NULL};
    rem_array_init(&table->entries, sizeof(struct rem_geo_entry *));
    rem_strmap_init(&table->known, arena, false);
}

/* First and last, side by side in the struct, are the key. */
static struct rem_str key_of(const struct rem_geo_entry *entry)
{
    _Static_assert(offsetof(struct rem_geo_entry, last) == sizeof(struct rem_geo_point),
                   "nothing between the two");
    return rem_str_make((const char *)entry, 2 * sizeof(struct rem_geo_point));
}

struct rem_geo_entry *rem_geo_table_get(const struct rem_geo_table *table,
                                        const struct rem_geo_entry *range)
{
    return rem_strmap_get(&table->known, key_of(range));
}

int rem_geo_table_add(struct rem_geo_table *table, struct rem_arena *arena,
                      const struct rem_geo_entry *entry)
{
    struct rem_geo_entry *copy = rem_arena_alloc(arena, sizeof(*copy));
    struct rem_geo_entry **slot = rem_array_push(arena, &table->entries);

    if (copy == NULL || slot == NULL)
        return REM_ENOMEM;
    *copy = *entry;
    *slot = copy;
    return rem_strmap_add(&table->known, key_of(copy), copy);
}

/* By their beginning; what holds another comes before it. */
static int compare_entries(const void *a, const void *b)
{
    const struct rem_geo_entry *const *ea = a, *const *eb = b;
    int order = compare((*ea)->first, (*eb)->first);

    return order != 0 ? order : compare((*eb)->last, (*ea)->last);
}

/* What the building walks through: the entries around the current place, outermost first. */
struct sweep {
    struct rem_geo_table *table;
    const struct rem_geo_entry **around;
    uint32_t depth;
};

/* From `at` on the innermost entry around holds; a range that begins at the same place has nothing
 * in it. */
static void begin_range(struct sweep *s, struct rem_geo_point at)
{
    struct rem_geo_table *table = s->table;
    const struct rem_geo_entry *entry = s->depth != 0 ? s->around[s->depth - 1] : NULL;

    if (table->n_ranges != 0 && compare(table->ranges[table->n_ranges - 1].first, at) == 0)
        table->n_ranges--;
    table->ranges[table->n_ranges++] = (struct rem_geo_range){at, entry};
}

/* Leaves the innermost entries that end before `next` (NULL: all). */
static void leave(struct sweep *s, const struct rem_geo_point *next)
{
    while (s->depth != 0) {
        struct rem_geo_point end = s->around[s->depth - 1]->last;

        if (next != NULL && compare(end, *next) >= 0)
            return;
        s->depth--;
        if (increment(&end))
            begin_range(s, end);
    }
}

static bool is_before(const struct rem_geo_entry *a, const struct rem_geo_entry *b)
{
    return a->pos.line < b->pos.line;
}

int rem_geo_table_build(struct rem_geo_table *table, struct rem_arena *arena,
                        const struct rem_geo_entry **later, const struct rem_geo_entry **earlier)
{
    uint32_t n = table->entries.n;
    struct rem_geo_entry **entries = REM_ARRAY_OF(&table->entries, struct rem_geo_entry *);
    struct sweep s = {.table = table};

    s.around = rem_arena_alloc(arena, n * sizeof(struct rem_geo_entry *));
    table->ranges = rem_arena_alloc(arena, (2 * (size_t)n + 1) * sizeof(*table->ranges));
    if (s.around == NULL || table->ranges == NULL)
        return REM_ENOMEM;
    if (n != 0)
        qsort(entries, n, sizeof(struct rem_geo_entry *), compare_entries);
    for (uint32_t i = 0; i < n; i++) {
        const struct rem_geo_entry *entry = entries[i], *outer;

        if (entry->deleted)
            continue;
        leave(&s, &entry->first);
        outer = s.depth != 0 ? s.around[s.depth - 1] : NULL;
        if (outer != NULL && compare(outer->last, entry->last) < 0) {
            *later = is_before(entry, outer) ? outer : entry;
            *earlier = *later == entry ? outer : entry;
            return REM_EEXIST;
        }
        s.around[s.depth++] = entry;
        begin_range(&s, entry->first);
    }
    leave(&s, NULL);
    return 0;
}

const struct rem_geo_entry *rem_geo_table_find(const struct rem_geo_table *table,
                                               struct rem_geo_point point)
{
    uint32_t low = 0, high = table->n_ranges;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare(table->ranges[middle].first, point) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low != 0 ? table->ranges[low - 1].entry : NULL;
}
