/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/field.h"

#include "proto/base/err.h"

/* Zero-padded, so that words of eight bytes can be read from any place within a name. */
struct known_name {
    char text[32];
    uint8_t n;
};

static const struct known_name known[REM_FIELD_IDS] = {{"", 0},
#define KNOWN_ROW(id, name) {name, sizeof(name) - 1},
                                                       REM_FIELD_LIST(KNOWN_ROW)
#undef KNOWN_ROW
};

enum { NAME_MIN = 2, NAME_MAX = 25 };

/* first[n] is the id of the first name of n letters; names of a length are neighbours. */
#define FIRST(n, id) [n] = REM_FIELD_##id
static const uint8_t first[NAME_MAX + 2] = {
    FIRST(2, TE),
    FIRST(3, AGE),
    FIRST(4, DATE),
    FIRST(5, ALLOW),
    FIRST(6, ACCEPT),
    FIRST(7, ALT_SVC),
    FIRST(8, IF_MATCH),
    FIRST(9, FORWARDED),
    FIRST(10, CONNECTION),
    FIRST(11, DESTINATION),
    FIRST(12, CONTENT_TYPE),
    FIRST(13, ACCEPT_RANGES),
    FIRST(14, ACCEPT_CHARSET),
    FIRST(15, ACCEPT_ENCODING),
    FIRST(16, CONTENT_ENCODING),
    FIRST(17, IF_MODIFIED_SINCE),
    FIRST(18, PROXY_AUTHENTICATE),
    FIRST(19, CONTENT_DISPOSITION),
    FIRST(20, SEC_WEBSOCKET_ACCEPT),
    FIRST(21, UPGRADE_INSECURE_REQUESTS),
    FIRST(22, UPGRADE_INSECURE_REQUESTS),
    FIRST(23, UPGRADE_INSECURE_REQUESTS),
    FIRST(24, UPGRADE_INSECURE_REQUESTS),
    FIRST(25, UPGRADE_INSECURE_REQUESTS),
    [NAME_MAX + 1] = REM_FIELD_IDS,
};
#undef FIRST

/* Setting bit 5 lowers letters and leaves digits and "-" alone. */
#define LOWER_8 UINT64_C(0x2020202020202020)
#define LOWER_4 UINT32_C(0x20202020)

static inline uint64_t word8(const char *p)
{
    uint64_t word;

    memcpy(&word, p, 8);
    return word;
}

static inline uint32_t word4(const char *p)
{
    uint32_t word;

    memcpy(&word, p, 4);
    return word;
}

/* Compares by words that may overlap: the last one ends where the name does. */
static inline bool same_name(const char *p, const char *lower, size_t n)
{
    if (n >= 8) {
        for (size_t at = 0; at + 8 < n; at += 8)
            if ((word8(p + at) | LOWER_8) != word8(lower + at))
                return false;
        return (word8(p + n - 8) | LOWER_8) == word8(lower + n - 8);
    }
    if (n >= 4)
        return (word4(p) | LOWER_4) == word4(lower) &&
               (word4(p + n - 4) | LOWER_4) == word4(lower + n - 4);
    for (size_t at = 0; at < n; at++)
        if ((p[at] | 0x20) != lower[at])
            return false;
    return true;
}

enum rem_field_id rem_field_id(struct rem_str name)
{
    char last;

    if (name.n < NAME_MIN || name.n > NAME_MAX)
        return REM_FIELD_OTHER;
    last = (char)(name.p[name.n - 1] | 0x20);
    for (unsigned id = first[name.n]; id < first[name.n + 1]; id++)
        if (known[id].text[name.n - 1] == last && same_name(name.p, known[id].text, name.n))
            return (enum rem_field_id)id;
    return REM_FIELD_OTHER;
}

struct rem_str rem_field_name(enum rem_field_id id)
{
    if ((unsigned)id >= REM_FIELD_IDS)
        return REM_STR("");
    return (struct rem_str){known[id].text, known[id].n};
}

bool rem_field_is_hop(enum rem_field_id id)
{
    switch (id) {
    case REM_FIELD_CONNECTION:
    case REM_FIELD_KEEP_ALIVE:
    case REM_FIELD_PROXY_CONNECTION:
    case REM_FIELD_TE:
    case REM_FIELD_TRANSFER_ENCODING:
    case REM_FIELD_UPGRADE:
    case REM_FIELD_HTTP2_SETTINGS:
        return true;
    default:
        return false;
    }
}

/* 24 fields fit a quarter of a 4k block, which is what an arena serves without malloc. */
enum { FIELDS_FIRST = 24 };

int rem_fields_grow(struct rem_fields *fields)
{
    uint32_t cap = fields->cap != 0 ? fields->cap * 2 : FIELDS_FIRST;
    struct rem_field *v;

    if (fields->arena == NULL || cap > UINT32_MAX / 2)
        return REM_ENOMEM;
    v = rem_arena_alloc(fields->arena, cap * sizeof(*v));
    if (v == NULL)
        return REM_ENOMEM;
    if (fields->n != 0)
        memcpy(v, fields->v, fields->n * sizeof(*v));
    fields->v = v;
    fields->cap = cap;
    return REM_OK;
}

int rem_fields_add(struct rem_fields *fields, struct rem_str name, struct rem_str value)
{
    enum rem_field_id id = rem_field_id(name);
    struct rem_field field = {
        .name = name,
        .value = value,
        .id = (uint16_t)id,
        .flags = rem_field_is_hop(id) ? REM_FIELD_HOP : 0,
    };

    return rem_fields_append(fields, &field);
}

static bool is_same(const struct rem_field *field, unsigned id, struct rem_str name)
{
    if (field->id != id)
        return false;
    return id != REM_FIELD_OTHER || rem_str_eq_nocase(field->name, name);
}

struct rem_field *rem_fields_find(const struct rem_fields *fields, enum rem_field_id id)
{
    for (uint32_t i = 0; i < fields->n; i++)
        if (fields->v[i].id == id)
            return &fields->v[i];
    return NULL;
}

struct rem_field *rem_fields_find_name(const struct rem_fields *fields, struct rem_str name)
{
    enum rem_field_id id = rem_field_id(name);

    for (uint32_t i = 0; i < fields->n; i++)
        if (is_same(&fields->v[i], id, name))
            return &fields->v[i];
    return NULL;
}

struct rem_field *rem_fields_next(const struct rem_fields *fields, const struct rem_field *field)
{
    for (uint32_t i = (uint32_t)(field - fields->v) + 1; i < fields->n; i++)
        if (is_same(&fields->v[i], field->id, field->name))
            return &fields->v[i];
    return NULL;
}

void rem_fields_remove(struct rem_fields *fields, struct rem_field *field)
{
    size_t at = (size_t)(field - fields->v);

    REM_CHECK(at < fields->n);
    fields->n--;
    memmove(field, field + 1, (fields->n - at) * sizeof(*field));
}

void rem_fields_remove_all(struct rem_fields *fields, enum rem_field_id id)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < fields->n; i++)
        if (fields->v[i].id != id)
            fields->v[kept++] = fields->v[i];
    fields->n = kept;
}

bool rem_field_list_next(struct rem_str *rest, struct rem_str *item)
{
    while (rest->n != 0) {
        const char *comma = rem_str_chr(*rest, ',');
        size_t n = comma != NULL ? (size_t)(comma - rest->p) : rest->n;
        struct rem_str found = rem_str_trim(rem_str_make(rest->p, n));

        *rest = rem_str_skip(*rest, comma != NULL ? n + 1 : n);
        if (found.n != 0) {
            *item = found;
            return true;
        }
    }
    return false;
}
