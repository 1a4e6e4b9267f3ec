/* SPDX-License-Identifier: Apache-2.0 */
/* core_listen.h - the listen directive, and listeners made of all its uses.
 *
 * Runs in:    the master, while a configuration is read.
 * Sockets:    addresses of one port share the socket of that port's wildcard address, if there is
 *             one and they ask for no options of their own; else each has its own.  */
#ifndef REM_HTTP_CORE_LISTEN_H
#define REM_HTTP_CORE_LISTEN_H

#include "proxy/http/core.h"
#include "proxy/http/core_names.h"

/* An address while the configuration is read. */
struct rem_http_listen {
    struct rem_http_address address; /* what workers will see */
    struct rem_listen_options options;
    bool options_set; /* some listen directive gave socket options */
    bool default_set; /* some server is default_server */
    struct rem_str as_given;
    struct rem_array servers; /* of struct rem_http_server_conf *, in the order of the file */
};

struct rem_http_listens {
    struct rem_array list;        /* of struct rem_http_listen * */
    struct rem_strmap by_address; /* the address as text -> struct rem_http_listen * */
};

/* Returns NULL without memory. */
struct rem_http_listens *rem_http_listens_new(struct rem_arena *arena) REM_MUST_CHECK;

/* The directive: `listen ADDRESS [PARAMETER ...]`; conf is the server's. */
int rem_http_listen_set(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* A server without listen directives: *:80. */
int rem_http_listen_default(struct rem_conf *cf,
                            struct rem_http_server_conf *server) REM_MUST_CHECK;

/* After merging: gives each address its servers by name and adds the listeners to the setup.
 * `on_accept` becomes theirs. */
int rem_http_listens_finish(struct rem_conf *cf, struct rem_http_listens *listens,
                            void (*on_accept)(struct rem_worker *worker,
                                              struct rem_listener *listener, int fd,
                                              const struct rem_addr *peer)) REM_MUST_CHECK;

#endif
