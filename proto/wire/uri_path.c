/* SPDX-License-Identifier: Apache-2.0 */
/* uri_path.c - decoding, normalising and escaping of paths. */
#include "proto/wire/scan.h"
#include "proto/wire/uri.h"

/* Whether a segment that starts at `at` is "." or "..". */
static bool is_dots(struct rem_str path, size_t at)
{
    size_t n = 0;

    while (at + n < path.n && path.p[at + n] == '.' && n < 3)
        n++;
    return (n == 1 || n == 2) && (at + n == path.n || path.p[at + n] == '/');
}

static bool is_normal(struct rem_str path, bool merge_slashes)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '%' || path.p[i] == '\0')
            return false;
        if (path.p[i] != '/' || i + 1 == path.n)
            continue;
        if (path.p[i + 1] == '/' && merge_slashes)
            return false;
        if (path.p[i + 1] == '.' && is_dots(path, i + 1))
            return false;
    }
    return true;
}

/* A path as it is built: `n` bytes, of which the last segment starts at `segment`. */
struct building {
    char *p;
    size_t n;
    size_t segment;
};

/* Resolves the last segment if it is "." or "..".  Returns: false where it leads above the root. */
static bool resolve(struct building *b)
{
    size_t size = b->n - b->segment;

    if (size == 1 && b->p[b->segment] == '.') {
        b->n = b->segment;
        return true;
    }
    if (size != 2 || b->p[b->segment] != '.' || b->p[b->segment + 1] != '.')
        return true;
    if (b->segment == 1)
        return false;
    b->segment--; /* onto the slash, then back to the one before it */
    while (b->p[b->segment - 1] != '/')
        b->segment--;
    b->n = b->segment;
    return true;
}

static bool add_byte(struct building *b, char c, bool merge_slashes)
{
    if (c != '/') {
        b->p[b->n++] = c;
        return true;
    }
    size_t before = b->n;
    if (!resolve(b))
        return false;
    if (b->n != before || (b->n == b->segment && merge_slashes))
        return true; /* what was left ends in a slash already */
    b->p[b->n++] = '/';
    b->segment = b->n;
    return true;
}

/* The byte of the escape at `at`; -1 where it is none. */
static int unescape_at(struct rem_str s, size_t at)
{
    int high, low;

    if (s.n - at < 3)
        return -1;
    high = rem_hex_value(s.p[at + 1]);
    low = rem_hex_value(s.p[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

int rem_uri_normalize(struct rem_str path, bool merge_slashes, struct rem_arena *arena,
                      struct rem_str *out)
{
    struct building b = {.n = 1, .segment = 1};

    if (path.n == 0 || path.p[0] != '/')
        return REM_EINVAL;
    if (REM_LIKELY(is_normal(path, merge_slashes))) {
        *out = path;
        return REM_OK;
    }
    b.p = rem_arena_alloc(arena, path.n);
    if (b.p == NULL)
        return REM_ENOMEM;
    b.p[0] = '/';
    for (size_t i = 1; i < path.n; i++) {
        char c = path.p[i];

        if (c == '%') {
            int byte = unescape_at(path, i);

            if (byte <= 0)
                return REM_EINVAL;
            c = (char)byte;
            i += 2;
        }
        if (c == '\0' || !add_byte(&b, c, merge_slashes))
            return REM_EINVAL;
    }
    if (!resolve(&b))
        return REM_EINVAL;
    *out = rem_str_make(b.p, b.n);
    return REM_OK;
}

/* For paths: the bytes that nginx escapes when it sends a changed path upstream. */
static bool must_escape(unsigned char c, enum rem_uri_escape_set set)
{
    switch (set) {
    case REM_URI_ESCAPE_ARGS:
        return c <= 0x20 || c == 0x7f;
    case REM_URI_ESCAPE_COMPONENT:
        return !(rem_scan_is((char)c, REM_SCAN_NAME) || c == '.' || c == '_' || c == '~');
    default:
        return c <= 0x20 || c >= 0x7f || strchr("\"#%<>?\\^`{|}", c) != NULL;
    }
}

size_t rem_uri_escape_size(struct rem_str s, enum rem_uri_escape_set set)
{
    size_t size = s.n;

    for (size_t i = 0; i < s.n; i++)
        if (must_escape((unsigned char)s.p[i], set))
            size += 2;
    return size;
}

char *rem_uri_escape_to(char *at, struct rem_str s, enum rem_uri_escape_set set)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (!must_escape(c, set)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return at;
}

int rem_uri_escape(struct rem_str s, enum rem_uri_escape_set set, struct rem_arena *arena,
                   struct rem_str *out)
{
    size_t size = rem_uri_escape_size(s, set);
    char *p;

    if (size == s.n) {
        *out = s;
        return REM_OK;
    }
    p = rem_arena_alloc(arena, size);
    if (p == NULL)
        return REM_ENOMEM;
    rem_uri_escape_to(p, s, set);
    *out = rem_str_make(p, size);
    return REM_OK;
}

int rem_uri_unescape(struct rem_str s, struct rem_arena *arena, struct rem_str *out)
{
    size_t n = 0;
    char *p;

    if (rem_str_chr(s, '%') == NULL) {
        *out = s;
        return REM_OK;
    }
    p = rem_arena_alloc(arena, s.n);
    if (p == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < s.n; i++) {
        int byte = s.p[i] == '%' ? unescape_at(s, i) : -1;

        p[n++] = byte >= 0 ? (char)byte : s.p[i];
        i += byte >= 0 ? 2 : 0;
    }
    *out = rem_str_make(p, n);
    return REM_OK;
}
