/* SPDX-License-Identifier: Apache-2.0 */
/* listing.h - what is in a directory, as a page, as XML or as JSON.
 *
 * Runs in:    workers.            Memory: the caller's.
 * Not here:   reading the directory (autoindex.c).  */
#ifndef REM_HTTP_MOD_LISTING_H
#define REM_HTTP_MOD_LISTING_H

#include "proto/wire/put.h"

#include <time.h>

enum rem_listing_type {
    REM_LISTING_DIRECTORY = 0,
    REM_LISTING_FILE,
    REM_LISTING_OTHER, /* a socket, a link to nowhere */
};

enum rem_listing_format {
    REM_LISTING_HTML = 0,
    REM_LISTING_XML,
    REM_LISTING_JSON,
    REM_LISTING_JSONP,
};

struct rem_listing_entry {
    struct rem_str name;
    int64_t size;
    time_t modified;
    enum rem_listing_type type;
};

struct rem_listing {
    struct rem_str uri; /* decoded */
    struct rem_listing_entry *entries;
    size_t n;
    enum rem_listing_format format;
    struct rem_str callback; /* of JSONP; empty: JSON alone */
    /* of pages: */
    bool exact_size; /* else in K, M and G */
    bool local_time; /* else UTC */
    bool utf8;       /* names are aligned by characters, not by bytes */
};

/* Directories first, each by name. */
void rem_listing_sort(struct rem_listing *listing);

/* Room that the text never exceeds. */
size_t rem_listing_size(const struct rem_listing *listing);

void rem_listing_put(const struct rem_listing *listing, struct rem_put *put);

#endif
