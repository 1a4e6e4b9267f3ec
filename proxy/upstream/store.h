/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - responses kept as files (proxy_store), for `try_files` or `root` to find the next time.
 *
 * Runs in:    workers; the directives while a configuration is read.
 * Lifecycle:  rem_store_begin (the head is there) -> rem_store_write* -> rem_store_finish (all of
 *             the body has come: the file gets its name); rem_store_fini removes what has none.
 * Ownership:  struct rem_upstream_store lives in the configuration's arena, struct rem_store in the
 *             request's.  A file in the making lies in the location's temporary directory.  */
#ifndef REM_UPSTREAM_STORE_H
#define REM_UPSTREAM_STORE_H

#include "proxy/conf/value.h"

#include <sys/types.h>

struct rem_upstream_exchange;

struct rem_upstream_store {
    struct rem_value *path; /* NULL: where `root` or `alias` would look */
};

struct rem_store;

/* Starts a file for the response if the location keeps such.  Without memory or a file there is
 * none (logged). */
void rem_store_begin(struct rem_upstream_exchange *x);

/* Appends bytes of the body.  A file that cannot be written is given up (logged). */
void rem_store_write(struct rem_upstream_exchange *x, const char *p, size_t n);

/* The body is complete: gives the file its name.  Once; further calls do nothing. */
void rem_store_finish(struct rem_upstream_exchange *x);

/* Removes a file that is not complete. */
void rem_store_fini(struct rem_upstream_exchange *x);

/* Reads "proxy_store" into *at, which is UNSET_PTR, or becomes NULL ("off"); and "user:rw group:r"
 * into *mode, which is -1.  Errors: reported. */
int rem_store_parse(struct rem_conf *cf, struct rem_upstream_store **at) REM_MUST_CHECK;
int rem_store_parse_access(struct rem_conf *cf, int *mode) REM_MUST_CHECK;

#endif
