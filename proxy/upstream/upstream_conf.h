/* SPDX-License-Identifier: Apache-2.0 */
/* upstream_conf.h - upstreams as the configuration has them: `upstream` blocks and addresses named
 * by proxy_pass.
 *
 * Runs in:    the master, while a configuration is read; workers only read names.
 * Lifecycle:  a name is asked for (proxy_pass) or defined (upstream block), in any order; when the
 *             http block has been read, names without a block are resolved as hosts, and all become
 *             specs in struct rem_setup for the registry.  */
#ifndef REM_UPSTREAM_UPSTREAM_CONF_H
#define REM_UPSTREAM_UPSTREAM_CONF_H

#include "proto/shm/spec.h"
#include "proxy/conf/array.h"
#include "proxy/conf/conf.h"

/* One name.  Lives in the configuration's arena. */
struct rem_upstream {
    struct rem_str name; /* what the registry knows it by: "backend", "127.0.0.1:8080" */
    struct rem_str host; /* "backend", "127.0.0.1"; "unix:/path" */
    uint16_t port;       /* as given with proxy_pass; 0: none was */
    uint16_t default_port;
    bool defined;   /* by an upstream block */
    uint32_t index; /* in the order of first mention */
    struct rem_conf_pos pos;
    struct rem_upstream_spec spec;
    struct rem_upstream *next;
};

/* Takes note that `host` (a name of an upstream, or an address without a port) is wanted.
 * Errors: reported. */
int rem_upstream_conf_want(struct rem_conf *cf, struct rem_str host, uint16_t port,
                           uint16_t default_port, struct rem_upstream **out) REM_MUST_CHECK;

/* The upstream that variables gave: a block's name, or an address that proxy_pass names
 * elsewhere; NULL: none.  For workers. */
const struct rem_upstream *rem_upstream_conf_find(void **main_conf, struct rem_str name);

/* server_conf.c: the `server` directive of an upstream block; a name with several addresses
 * makes as many servers. */
int rem_upstream_server_set(struct rem_conf *cf, struct rem_array *servers) REM_MUST_CHECK;

#endif
