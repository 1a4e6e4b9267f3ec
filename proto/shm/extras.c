/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/extras.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* ---- shares ---- */

static int build_shares(const struct rem_upstream_spec *spec, struct rem_extras *extras)
{
    uint64_t sum = 0;
    bool equal = true;

    for (size_t i = 0; i < spec->server_count; i++) {
        equal = equal && spec->servers[i].weight == 1;
        sum += spec->servers[i].weight;
    }
    if (sum > UINT32_MAX)
        return REM_ETOOBIG;
    extras->share_sum = (uint32_t)sum;
    if (equal)
        return REM_OK;
    extras->shares = malloc(spec->server_count * sizeof(*extras->shares));
    if (extras->shares == NULL)
        return REM_ENOMEM;
    for (size_t i = 0, end = 0; i < spec->server_count; i++) {
        end += spec->servers[i].weight;
        extras->shares[i] = (uint32_t)end;
    }
    return REM_OK;
}

/* ---- the ring ---- */

static uint32_t crc(uint32_t from, const void *data, size_t n)
{
    return (uint32_t)crc32(from, data, (uInt)n);
}

/* The name as host and port; a port is digits behind the last colon. */
static uint32_t crc_of_name(struct rem_str name)
{
    const struct rem_str path = REM_STR("unix:");
    size_t digits = 0, host = name.n;

    if (rem_str_has_prefix(name, path)) {
        name = rem_str_skip(name, path.n);
        return crc(crc(0, name.p, name.n), "", 1);
    }
    while (digits < name.n && rem_is_digit(name.p[name.n - 1 - digits]))
        digits++;
    if (digits < name.n && name.p[name.n - 1 - digits] == ':')
        host = name.n - 1 - digits;
    else
        digits = 0;
    return crc(crc(crc(0, name.p, host), "", 1), name.p + name.n - digits, digits);
}

/* The points of one server: each is hashed from the one before it. */
static uint32_t add_points(struct rem_shm_point *points, struct rem_str name, uint32_t server,
                           uint32_t count)
{
    uint32_t base = crc_of_name(name), hash = 0;

    for (uint32_t i = 0; i < count; i++) {
        const unsigned char bytes[4] = {
            (unsigned char)hash,
            (unsigned char)(hash >> 8),
            (unsigned char)(hash >> 16),
            (unsigned char)(hash >> 24),
        };
        hash = crc(base, bytes, sizeof(bytes));
        points[i] = (struct rem_shm_point){hash, server};
    }
    return count;
}

/* Orders by hash, equal ones as they stand: one pass per byte of the hash. */
static void sort_points(struct rem_shm_point *points, struct rem_shm_point *spare, uint32_t n)
{
    for (unsigned shift = 0; shift < 32; shift += 8) {
        uint32_t starts[257] = {0};
        struct rem_shm_point *sorted = spare;

        for (uint32_t i = 0; i < n; i++)
            starts[(points[i].hash >> shift & 0xff) + 1]++;
        for (unsigned i = 1; i < 257; i++)
            starts[i] += starts[i - 1];
        for (uint32_t i = 0; i < n; i++)
            sorted[starts[points[i].hash >> shift & 0xff]++] = points[i];
        spare = points;
        points = sorted;
    }
}

static struct rem_str name_of(const struct rem_server_spec *server, char *buf, size_t size)
{
    if (server->name.n != 0)
        return server->name;
    if (server->server.n != 0)
        return server->server;
    return rem_str_make(buf, rem_addr_text(&server->addr, buf, size));
}

static int build_ring(const struct rem_upstream_spec *spec, struct rem_extras *extras)
{
    uint64_t wanted = (uint64_t)extras->share_sum * REM_RING_POINTS;
    struct rem_shm_point *points, *spare;
    struct rem_str last = {NULL, 0};
    uint32_t first = 0, n = 0, kept = 0;
    char text[2][REM_ADDR_TEXT];

    if (wanted > REM_RING_MAX)
        wanted = REM_RING_MAX;
    points = malloc((wanted + spec->server_count + 1) * sizeof(*points));
    spare = malloc((wanted + spec->server_count + 1) * sizeof(*points));
    if (points == NULL || spare == NULL) {
        free(points);
        free(spare);
        return REM_ENOMEM;
    }
    for (uint32_t i = 0; i < spec->server_count; i++) {
        struct rem_str name = name_of(&spec->servers[i], text[i & 1], sizeof(text[0]));
        uint64_t count = spec->servers[i].weight * wanted / extras->share_sum;

        /* Addresses of one name share their points: the ring leads to the first of them. */
        if (i == 0 || !rem_str_eq(name, last))
            first = i;
        last = name;
        n += add_points(points + n, name, first, count != 0 ? (uint32_t)count : 1);
    }
    sort_points(points, spare, n);
    free(spare);
    for (uint32_t i = 0; i < n; i++)
        if (kept == 0 || points[kept - 1].hash != points[i].hash)
            points[kept++] = points[i];
    extras->ring = points;
    extras->ring_length = kept;
    return REM_OK;
}

/* ---- routes ---- */

static int digest(const struct rem_server_spec *server, char out[REM_STICKY_ID])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char md[EVP_MAX_MD_SIZE];
    char text[REM_ADDR_TEXT];
    size_t n = rem_addr_text(&server->addr, text, sizeof(text));
    unsigned size;

    if (EVP_Digest(text, n, md, &size, EVP_md5(), NULL) != 1)
        return REM_ENOMEM;
    for (unsigned i = 0; i < REM_STICKY_ID / 2; i++) {
        out[i * 2] = hex[md[i] >> 4];
        out[i * 2 + 1] = hex[md[i] & 15];
    }
    return REM_OK;
}

static int build_routes(const struct rem_upstream_spec *spec, struct rem_extras *extras)
{
    uint32_t size = 4;

    while (size < spec->server_count * 2)
        size *= 2;
    extras->routes = malloc(size * sizeof(*extras->routes));
    if (extras->routes == NULL)
        return REM_ENOMEM;
    memset(extras->routes, 0xff, size * sizeof(*extras->routes));
    extras->routes_mask = size - 1;
    if (spec->sticky == REM_STICKY_ANYWAY) {
        extras->sticky_ids = calloc(spec->server_count + 1, REM_STICKY_ID);
        if (extras->sticky_ids == NULL)
            return REM_ENOMEM;
    }
    for (uint32_t i = 0; i < spec->server_count; i++) {
        struct rem_str id = spec->servers[i].route;
        uint32_t at;
        int rc;

        if (id.n == 0 && extras->sticky_ids == NULL)
            continue;
        if (id.n == 0) {
            id = rem_str_make(extras->sticky_ids + (size_t)i * REM_STICKY_ID, REM_STICKY_ID);
            rc = digest(&spec->servers[i], extras->sticky_ids + (size_t)i * REM_STICKY_ID);
            if (rc != REM_OK)
                return rc;
        }
        at = (uint32_t)rem_hash(id.p, id.n) & extras->routes_mask;
        while (extras->routes[at] != REM_SHM_NONE)
            at = (at + 1) & extras->routes_mask;
        extras->routes[at] = i;
    }
    return REM_OK;
}

/* ---- all ---- */

bool rem_extras_wanted(const struct rem_upstream_spec *spec)
{
    return spec->sticky != REM_STICKY_NONE || spec->method == REM_BALANCE_IP_HASH ||
           spec->method == REM_BALANCE_HASH || spec->method == REM_BALANCE_HASH_CONSISTENT;
}

int rem_extras_build(const struct rem_upstream_spec *spec, struct rem_extras *out)
{
    struct rem_extras extras = {0};
    int rc = REM_OK;

    *out = extras;
    if (spec->method == REM_BALANCE_IP_HASH || spec->method == REM_BALANCE_HASH ||
        spec->method == REM_BALANCE_HASH_CONSISTENT)
        rc = build_shares(spec, &extras);
    if (rc == REM_OK && spec->method == REM_BALANCE_HASH_CONSISTENT && spec->server_count != 0)
        rc = build_ring(spec, &extras);
    if (rc == REM_OK && spec->sticky != REM_STICKY_NONE)
        rc = build_routes(spec, &extras);
    if (rc == REM_OK)
        *out = extras;
    else
        rem_extras_fini(&extras);
    return rc;
}

void rem_extras_fini(struct rem_extras *extras)
{
    free(extras->shares);
    free(extras->ring);
    free(extras->routes);
    free(extras->sticky_ids);
    *extras = (struct rem_extras){0};
}

uint64_t rem_extras_size(const struct rem_extras *extras, uint32_t count)
{
    uint64_t size = 8; /* to begin at a multiple of 8 */

    size += (uint64_t)extras->ring_length * sizeof(*extras->ring);
    size += extras->shares != NULL ? (uint64_t)count * sizeof(*extras->shares) : 0;
    size += extras->routes != NULL ? ((uint64_t)extras->routes_mask + 1) * sizeof(uint32_t) : 0;
    size += extras->sticky_ids != NULL ? (uint64_t)count * REM_STICKY_ID : 0;
    return size;
}

static void put(struct rem_shm_set *set, uint32_t *off, uint32_t *at, const void *data, size_t size)
{
    if (data == NULL || size == 0)
        return;
    memcpy((char *)set + *at, data, size);
    *off = *at;
    *at += (uint32_t)size;
}

uint32_t rem_extras_fill(const struct rem_extras *extras, struct rem_shm_set *set, uint32_t off)
{
    uint32_t at = (off + 7) / 8 * 8;

    set->shares = extras->share_sum;
    set->ring_length = extras->ring_length;
    set->routes_mask = extras->routes_mask;
    put(set, &set->ring_off, &at, extras->ring, extras->ring_length * sizeof(*extras->ring));
    put(set, &set->shares_off, &at, extras->shares, set->count * sizeof(*extras->shares));
    put(set, &set->routes_off, &at, extras->routes,
        ((size_t)extras->routes_mask + 1) * sizeof(*extras->routes));
    put(set, &set->sticky_ids_off, &at, extras->sticky_ids, (size_t)set->count * REM_STICKY_ID);
    return at;
}
