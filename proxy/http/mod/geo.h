/* SPDX-License-Identifier: Apache-2.0 */
/* geo.h - networks and ranges of addresses to texts.
 *
 * Lifecycle:  entries are collected while a block is read, then rem_geo_table_build arranges them
 *             as ranges that do not overlap; the narrowest entry that holds an address wins.
 * Cost:       a lookup is one binary search.  */
#ifndef REM_HTTP_MOD_GEO_H
#define REM_HTTP_MOD_GEO_H

#include "proto/base/addr.h"
#include "proxy/conf/array.h"
#include "proxy/conf/conf.h"
#include "proxy/conf/strmap.h"

/* An address as a number; of IPv4 only `low` counts. */
struct rem_geo_point {
    uint64_t high;
    uint64_t low;
};

struct rem_geo_entry {
    struct rem_geo_point first;
    struct rem_geo_point last;
    struct rem_str text; /* as written: for messages */
    struct rem_str value;
    struct rem_conf_pos pos;
    bool deleted;
};

/* Addresses from `first` on, up to the next range. */
struct rem_geo_range {
    struct rem_geo_point first;
    const struct rem_geo_entry *entry; /* NULL: none */
};

/* One family. */
struct rem_geo_table {
    struct rem_array entries; /* of struct rem_geo_entry *, in the order of the file */
    struct rem_strmap known;  /* first and last as bytes -> entry */
    struct rem_geo_range *ranges;
    uint32_t n_ranges;
};

void rem_geo_table_init(struct rem_geo_table *table, struct rem_arena *arena);

/* The entry of exactly that range, or NULL. */
struct rem_geo_entry *rem_geo_table_get(const struct rem_geo_table *table,
                                        const struct rem_geo_entry *range);

/* Adds a copy of an entry whose range is not in the table.  Errors: REM_ENOMEM. */
int rem_geo_table_add(struct rem_geo_table *table, struct rem_arena *arena,
                      const struct rem_geo_entry *entry) REM_MUST_CHECK;

/* Errors: REM_EEXIST (entries overlap in part: *later and *earlier, in the order of the file),
 * REM_ENOMEM. */
int rem_geo_table_build(struct rem_geo_table *table, struct rem_arena *arena,
                        const struct rem_geo_entry **later,
                        const struct rem_geo_entry **earlier) REM_MUST_CHECK;

/* The narrowest entry that holds the address, or NULL. */
const struct rem_geo_entry *rem_geo_table_find(const struct rem_geo_table *table,
                                               struct rem_geo_point point);

/* ---- addresses ---- */

/* A network "1.2.3.0/24", "2001:db8::/32", or one address.  *masked: address bits behind the
 * prefix were set (they are cleared).  Errors: REM_EINVAL. */
int rem_geo_parse_network(struct rem_str text, struct rem_geo_entry *out, bool *is_v6,
                          bool *masked) REM_MUST_CHECK;

/* "1.2.3.4-1.2.3.8".  Errors: REM_EINVAL. */
int rem_geo_parse_range(struct rem_str text, struct rem_geo_entry *out) REM_MUST_CHECK;

/* The number of an address.  What is neither IPv4 nor IPv6 is 255.255.255.255; IPv4 in IPv6 is
 * IPv4.  Returns: whether it is IPv6. */
bool rem_geo_point_of(const struct rem_addr *addr, struct rem_geo_point *out);

#endif
