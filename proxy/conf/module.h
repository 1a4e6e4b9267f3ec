/* SPDX-License-Identifier: Apache-2.0 */
/* module.h - what a module brings: directives, configuration structs, hooks.
 *
 * A module is a static struct.  The caller of rem_conf_load passes all of them, in order; that
 * order is also the order of creation, merging and post-configuration.
 * Not here:   running the directives (conf.h), ready-made setters (set.h), phases and filters
 *             (the kind's own struct behind `hooks`).  */
#ifndef REM_CONF_MODULE_H
#define REM_CONF_MODULE_H

#include "proto/base/str.h"

#include <stdint.h>

struct rem_conf;
struct rem_directive;

/* Where a directive may stand, and (one bit) what block is being read.  Bits from
 * REM_CTX_USER up are free for kinds of blocks to come. */
enum rem_conf_context {
    REM_CTX_MAIN = 1u << 0,
    REM_CTX_EVENTS = 1u << 1,
    REM_CTX_HTTP = 1u << 2,
    REM_CTX_SERVER = 1u << 3,
    REM_CTX_LOCATION = 1u << 4,
    REM_CTX_UPSTREAM = 1u << 5,
    REM_CTX_SERVER_IF = 1u << 6,
    REM_CTX_LOCATION_IF = 1u << 7,
    REM_CTX_LIMIT_EXCEPT = 1u << 8,
    REM_CTX_ADMIN = 1u << 9,
    REM_CTX_FREE = 1u << 10, /* types, map, geo: a function gets every line (no directives) */
    REM_CTX_USER = 1u << 16,
};

/* How many arguments: any of the exact counts given, or one of the others. */
enum rem_conf_args {
    REM_ARGS_0 = 1u << 0,
    REM_ARGS_1 = 1u << 1,
    REM_ARGS_2 = 1u << 2,
    REM_ARGS_3 = 1u << 3,
    REM_ARGS_4 = 1u << 4,
    REM_ARGS_5 = 1u << 5,
    REM_ARGS_6 = 1u << 6,
    REM_ARGS_7 = 1u << 7,
    REM_ARGS_12 = REM_ARGS_1 | REM_ARGS_2,
    REM_ARGS_13 = REM_ARGS_1 | REM_ARGS_3,
    REM_ARGS_23 = REM_ARGS_2 | REM_ARGS_3,
    REM_ARGS_123 = REM_ARGS_12 | REM_ARGS_3,
    REM_ARGS_1234 = REM_ARGS_123 | REM_ARGS_4,
    REM_ARGS_1MORE = 1u << 8,
    REM_ARGS_2MORE = 1u << 9,
    REM_ARGS_ANY = 1u << 10,
    REM_ARGS_FLAG = 1u << 11,  /* exactly one, on or off */
    REM_ARGS_BLOCK = 1u << 12, /* added to the others: ends in { instead of ; */
};

/* Which of a module's configuration structs something belongs to. */
enum rem_conf_level {
    REM_LEVEL_NONE = 0,
    REM_LEVEL_MAIN,
    REM_LEVEL_SERVER,
    REM_LEVEL_LOCATION,
    REM_LEVEL_UPSTREAM, /* contexts only: has server and location structs that are never merged */
};

enum rem_module_kind {
    REM_MODULE_CORE = 0, /* main level: created before the file is read */
    REM_MODULE_HTTP,
    REM_MODULE_STREAM,
};

/* Reads cf->args (args[0] is the directive's name).  Returns 0, or negative after having reported
 * the reason through rem_conf_error or its like. */
typedef int (*rem_directive_fn)(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* A table ends with an entry without name (REM_DIRECTIVE_END). */
struct rem_directive {
    const char *name;
    uint32_t contexts; /* of enum rem_conf_context */
    uint32_t args;     /* of enum rem_conf_args */
    rem_directive_fn set;
    enum rem_conf_level level; /* which struct `set` gets as conf; NONE: it gets NULL */
    size_t offset;             /* of the field in that struct, for the setters of set.h */
    const void *data;          /* enum tables, limits: what the setter says */
};

#define REM_DIRECTIVE_END                                                                          \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* Any function may be NULL.  create_* return NULL without memory and set fields to
 * REM_CONF_UNSET*; merge_* give a child what it leaves unset.  The int ones return 0, or negative
 * after reporting. */
struct rem_module {
    const char *name;
    enum rem_module_kind kind;
    uint32_t index; /* set by rem_conf_load: the place in the list of modules */
    const struct rem_directive *directives;

    int (*preconfigure)(struct rem_conf *cf); /* before the kind's block is read: add variables */
    void *(*create_main)(struct rem_conf *cf);
    int (*init_main)(struct rem_conf *cf, void *conf); /* after the block was read */
    void *(*create_server)(struct rem_conf *cf);
    int (*merge_server)(struct rem_conf *cf, void *parent, void *child);
    void *(*create_location)(struct rem_conf *cf);
    int (*merge_location)(struct rem_conf *cf, void *parent, void *child);

    const void
        *hooks; /* of the kind: phase handlers, filters (a struct that proxy/http declares) */
};

#endif
