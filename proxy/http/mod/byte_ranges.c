/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/byte_ranges.h"

/* What one element of the list turned out to be. */
enum element { GOOD = 0, NOTHING, MALFORMED };

/* "first-last", "first-" or "-suffix".  Numbers too large to be one are refused as nginx does; RFC
 * 9110 section 14.2 leaves that choice. */
static enum element parse_one(struct rem_str spec, int64_t size, struct rem_byte_range *out)
{
    const char *dash = rem_str_chr(spec, '-');
    struct rem_str left, right;
    uint64_t a = 0, b = 0;

    if (dash == NULL)
        return MALFORMED;
    left = rem_str_trim(rem_str_make(spec.p, (size_t)(dash - spec.p)));
    right = rem_str_trim(rem_str_skip(spec, (size_t)(dash - spec.p) + 1));
    if ((left.n == 0 && right.n == 0) ||
        (left.n != 0 && rem_str_to_u64(left, INT64_MAX - 1, &a) != 0) ||
        (right.n != 0 && rem_str_to_u64(right, INT64_MAX - 1, &b) != 0))
        return MALFORMED;
    if (left.n == 0) {
        if (b == 0)
            return NOTHING;
        *out = (struct rem_byte_range){(int64_t)b < size ? size - (int64_t)b : 0, size};
        return GOOD;
    }
    if ((int64_t)a >= size || (right.n != 0 && b < a))
        return NOTHING;
    *out = (struct rem_byte_range){(int64_t)a,
                                   right.n != 0 && (int64_t)b < size ? (int64_t)b + 1 : size};
    return GOOD;
}

static struct rem_str next_element(struct rem_str *rest)
{
    const char *comma = rem_str_chr(*rest, ',');
    size_t n = comma != NULL ? (size_t)(comma - rest->p) : rest->n;
    struct rem_str element = rem_str_make(rest->p, n);

    *rest = comma != NULL ? rem_str_skip(*rest, n + 1) : (struct rem_str){NULL, 0};
    return rem_str_trim(element);
}

static uint32_t count_elements(struct rem_str list)
{
    uint32_t n = 1;

    for (size_t i = 0; i < list.n; i++)
        n += list.p[i] == ',';
    return n;
}

/* Overlapping parts must not make a large answer of a small body, nor many small ones. */
static bool costs_too_much(const struct rem_byte_ranges *ranges, int64_t size)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < ranges->n; i++) {
        sum += (uint64_t)(ranges->v[i].end - ranges->v[i].first);
        if (sum > (uint64_t)size) /* at once: the sum of more of them could wrap around */
            return true;
    }
    return (uint64_t)ranges->n * REM_BYTE_RANGES_PART + sum >
           (uint64_t)size + REM_BYTE_RANGES_SLACK;
}

int rem_byte_ranges_parse(struct rem_arena *arena, struct rem_str value, int64_t size, uint32_t max,
                          struct rem_byte_ranges *out)
{
    struct rem_str rest;

    if (value.n < 7 || !rem_str_eq_nocase(rem_str_make(value.p, 6), REM_STR("bytes=")) || size == 0)
        return 0;
    rest = rem_str_skip(value, 6);
    out->n = 0;
    out->v = rem_arena_alloc(arena, count_elements(rest) * sizeof(*out->v));
    if (out->v == NULL)
        return REM_ENOMEM;
    while (rest.p != NULL) {
        switch (parse_one(next_element(&rest), size, &out->v[out->n])) {
        case GOOD:
            if (out->n++ == max)
                return 0;
            break;
        case NOTHING:
            break;
        case MALFORMED:
            return 416;
        }
    }
    if (out->n == 0)
        return 416;
    return out->n > 1 && costs_too_much(out, size) ? 0 : 206;
}
