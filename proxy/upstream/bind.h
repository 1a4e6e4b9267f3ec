/* SPDX-License-Identifier: Apache-2.0 */
/* bind.h - the local address that connections to servers come from (proxy_bind).
 *
 * Runs in:    the directive while a configuration is read, the rest in workers.
 * Ownership:  struct rem_upstream_bind lives in the configuration's arena.  */
#ifndef REM_UPSTREAM_BIND_H
#define REM_UPSTREAM_BIND_H

#include "proxy/conf/value.h"
#include "proxy/http/request.h"

struct rem_upstream_bind {
    struct rem_value value;
    struct rem_addr addr; /* without variables; len 0: "off" */
    bool transparent;     /* an address that need not be the machine's own */
    uint32_t number;      /* tells directives apart, from 1 */
};

/* Where a connection is to come from. */
struct rem_upstream_local {
    struct rem_addr addr; /* len 0: wherever the kernel likes */
    bool transparent;
};

/* Reads the directive into *at, which is UNSET_PTR, or becomes NULL ("off").  Errors: reported. */
int rem_bind_parse(struct rem_conf *cf, uint32_t number,
                   struct rem_upstream_bind **at) REM_MUST_CHECK;

/* The address for this request; one that is none is logged and means none.
 * Errors: REM_ENOMEM, REM_EINVAL (variables). */
int rem_bind_eval(struct rem_request *request, const struct rem_upstream_bind *bind,
                  struct rem_upstream_local *out) REM_MUST_CHECK;

/* Binds a socket that is not connected.  Errors: REM_EIO (errno). */
int rem_bind_socket(int fd, const struct rem_upstream_local *local) REM_MUST_CHECK;

/* Connections of different origin must not be taken for each other: what the pool is to know this
 * one by.  Returns: 0 where it cannot be told in advance, and must not be kept. */
uint64_t rem_bind_key(const struct rem_upstream_bind *bind, uint64_t key);

#endif
