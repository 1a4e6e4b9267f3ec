/* SPDX-License-Identifier: Apache-2.0 */
/* core_location.h - the locations of one block, arranged for lookup.
 *
 * Order:      exact; then the longest prefix, and what is nested in it; then, unless that prefix is
 *             "^~", the regexes in the order of the file, and what is nested in the first that
 *             matches.
 * Cost:       one hash lookup, one binary search, and the regexes.  */
#ifndef REM_HTTP_CORE_LOCATION_H
#define REM_HTTP_CORE_LOCATION_H

#include "proxy/http/core.h"

enum { REM_LOCATION_NO_PARENT = UINT32_MAX };

struct rem_http_prefix {
    struct rem_str name;
    const struct rem_http_location_conf *location;
    uint32_t parent; /* the longest other prefix that this one starts with */
};

struct rem_http_locations {
    struct rem_strmap exact;
    struct rem_strmap slash;          /* "/x" for the locations "/x/" that have auto_redirect */
    struct rem_http_prefix *prefixes; /* sorted by their bytes */
    uint32_t n_prefixes;
    const struct rem_http_location_conf **regexes; /* in the order of the file */
    uint32_t n_regexes;
};

/* Arranges the locations in `parent` and, level by level, those in them.  Named ones are not for
 * lookup by URI and stay out.  Reports duplicates. */
int rem_http_locations_build(struct rem_conf *cf,
                             struct rem_http_location_conf *parent) REM_MUST_CHECK;

/* *out becomes the location that fits best; it stays as it is if none does.
 * Returns: enum rem_core_found, or negative (REM_ENOMEM, REM_ETOOBIG: a regex's match limit). */
int rem_http_locations_find(const struct rem_http_locations *locations, struct rem_str uri,
                            struct rem_eval *eval,
                            const struct rem_http_location_conf **out) REM_MUST_CHECK;

#endif
