/* SPDX-License-Identifier: Apache-2.0 */
/* names.h - servers that were given by name through the API.
 *
 * How it works: the API keeps them in one table of the registry (REM_TABLE_NAMES), as JSON; the
 *             agent asks for their addresses and publishes a server for each (agent/resolve.h),
 *             which carries 1 + `number` as its parent, as those of the configuration's names do.
 * Lifecycle:  a name lives as long as the block of its upstream stays what it is, reloads and the
 *             agent's death included; with `state` in the block, over changes of it as well.  */
#ifndef REM_API_NAMES_H
#define REM_API_NAMES_H

#include "proto/base/arena.h"
#include "proto/shm/spec.h"

#define REM_NAMES_TABLE REM_STR("names")

enum {
    REM_NAMES_ID = 1 << 30,    /* plus its number: the id that clients see; servers' are below */
    REM_NAMES_FIRST = 1 << 16, /* numbers below are those of names in the configuration */
    REM_NAMES_HASH = 1,        /* the table's config_hash: no configuration changes it */
};

struct rem_name {
    struct rem_str upstream;
    uint64_t config_hash;          /* of the upstream's block, when the name was given */
    uint32_t number;               /* never given again */
    struct rem_server_spec server; /* what each address gets; no address of its own */
};

struct rem_names {
    struct rem_name *items;
    size_t count;
    uint32_t next; /* number */
};

/* Reads a table's bytes (empty: none).  Everything lives in `arena`, with room for one more.
 * Errors: REM_ENOMEM, REM_EPROTO (not such a text; *out is empty and good). */
int rem_names_read(struct rem_str bytes, struct rem_arena *arena,
                   struct rem_names *out) REM_MUST_CHECK;

/* Errors: REM_ENOMEM. */
int rem_names_write(const struct rem_names *names, struct rem_arena *arena,
                    struct rem_str *out) REM_MUST_CHECK;

/* Does the name still belong to the upstream as the configuration (NULL: it has none) knows it? */
bool rem_names_holds(const struct rem_name *name, const struct rem_upstream_spec *conf);

/* What is to be asked for, as of a server in the configuration; borrows from both.
 * Errors: REM_EINVAL (no name), REM_ENOMEM. */
int rem_names_question(const struct rem_name *name, const struct rem_upstream_spec *conf,
                       struct rem_arena *arena, struct rem_resolve_spec *out) REM_MUST_CHECK;

#endif
