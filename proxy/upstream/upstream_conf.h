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

struct rem_sticky_conf;
struct rem_value;

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

    /* What requests need beside the registry. */
    const struct rem_value *hash_key; /* of `hash`; NULL: none */
    struct rem_sticky_conf *sticky;   /* NULL: none */
    uint32_t queue;                   /* requests that may wait for a server, per worker */
    uint64_t queue_timeout_ms;
};

/* An `upstream` block while it is read: the upstream module's struct at server level. */
struct rem_upstream_block {
    struct rem_upstream *upstream;
    struct rem_array servers;      /* of struct rem_server_spec */
    struct rem_array resolves;     /* of struct rem_resolve_spec */
    struct rem_conf_pos state_pos; /* of the `state` directive */
    struct rem_conf_ctx *ctx;
    struct rem_upstream_block *next;
    uint64_t hash;
    bool method_set;
    bool keepalive_set, requests_set, time_set, timeout_set;
};

/* Another directive of the block: what it says decides whether a reload finds the block changed. */
void rem_upstream_block_hash(const struct rem_conf *cf, struct rem_upstream_block *block);

/* Takes note that `host` (a name of an upstream, or an address without a port) is wanted.
 * Errors: reported. */
int rem_upstream_conf_want(struct rem_conf *cf, struct rem_str host, uint16_t port,
                           uint16_t default_port, struct rem_upstream **out) REM_MUST_CHECK;

/* The upstream that variables gave: a block's name, or an address that proxy_pass names
 * elsewhere; NULL: none.  For workers. */
const struct rem_upstream *rem_upstream_conf_find(void **main_conf, struct rem_str name);

/* server_conf.c: the `server` directive of an upstream block; a name with several addresses
 * makes as many servers, one with `resolve` a question for the agent. */
int rem_upstream_server_set(struct rem_conf *cf, struct rem_upstream_block *block) REM_MUST_CHECK;

/* Says so when two servers of an upstream have the same address: balancing does not mind, but
 * exporters that know servers by it put out one series twice. */
int rem_upstream_servers_warn(struct rem_conf *cf,
                              const struct rem_upstream_spec *spec) REM_MUST_CHECK;

/* Does what the server says go with the block's method?  Errors: reported. */
int rem_upstream_server_check(struct rem_conf *cf, uint32_t method,
                              const struct rem_server_spec *server) REM_MUST_CHECK;

/* state_conf.c: the `state` directive. */
int rem_upstream_state_set(struct rem_conf *cf, struct rem_upstream_block *block) REM_MUST_CHECK;

/* Reads the block's servers from its state file, if it has one; when the http block has been read.
 * What is wrong in the file is told, and no error. */
int rem_upstream_state_read(struct rem_conf *cf, struct rem_upstream_block *block) REM_MUST_CHECK;

#endif
