/* SPDX-License-Identifier: Apache-2.0 */
/* state_conf.c - the `state` directive: servers from a file that the agent writes.
 *
 * Failure:    a file that is missing is an empty one.  Of one that is damaged, the lines that can
 *             be read count: serving what is known is better than serving nobody.  */
#include "proto/shm/state_mark.h"
#include "proxy/conf/set.h"
#include "proxy/http/mod/resolver.h"
#include "proxy/net/setup.h"
#include "proxy/upstream/upstream_conf.h"

#include <errno.h>

enum { STATE_FILE_MAX = 256 << 20 };

int rem_upstream_state_set(struct rem_conf *cf, struct rem_upstream_block *block)
{
    struct rem_upstream_spec *spec = &block->upstream->spec;
    int rc;

    if (spec->state.n != 0)
        return rem_conf_duplicate(cf);
    if (cf->args[1].n == 0 || cf->args[1].p[cf->args[1].n - 1] == '/')
        return rem_conf_invalid_arg(cf, cf->args[1]);
    if (block->servers.n != 0 || block->resolves.n != 0)
        return rem_conf_error(cf, "\"state\" directive is not allowed in a block with \"server\"");
    rc = rem_setup_add_state_file(cf, cf->args[1], &spec->state);
    if (rc != 0)
        return rc;
    spec->flags |= REM_UPSTREAM_STATE;
    block->state_pos = rem_conf_here(cf);
    return 0;
}

/* What only the whole block tells about the servers that a line has added. */
static int check_line(struct rem_conf *cf, const struct rem_upstream_block *block, uint32_t servers,
                      uint32_t resolves)
{
    uint32_t method = block->upstream->spec.method;
    int rc = 0;

    for (uint32_t i = servers; rc == 0 && i < block->servers.n; i++)
        rc = rem_upstream_server_check(cf, method,
                                       &REM_ARRAY_OF(&block->servers, struct rem_server_spec)[i]);
    for (uint32_t i = resolves; rc == 0 && i < block->resolves.n; i++)
        rc = rem_upstream_server_check(
            cf, method, &REM_ARRAY_OF(&block->resolves, struct rem_resolve_spec)[i].server);
    if (rc == 0 && block->resolves.n > resolves &&
        rem_resolver_conf_of(cf, block->ctx).spec == NULL)
        rc = rem_conf_error(cf, "no resolver defined to resolve names at run time");
    if (rc == 0 && block->servers.n + block->resolves.n > REM_UPSTREAM_SERVERS_MAX)
        rc = rem_conf_error(cf, "too many servers");
    return rc;
}

static int on_line(struct rem_conf *cf, void *data)
{
    struct rem_upstream_block *block = data;
    uint32_t servers = block->servers.n, resolves = block->resolves.n;
    int rc;

    if (!rem_str_is(cf->args[0], "server"))
        return rem_conf_error(cf, "unknown directive \"%s\"", cf->args[0].p);
    if (cf->n_args < 2)
        return rem_conf_error(cf, "invalid number of arguments in \"%s\" directive", cf->args[0].p);
    rc = rem_upstream_server_set(cf, block);
    if (rc == 0)
        rc = check_line(cf, block, servers, resolves);
    if (rc != 0) {
        block->servers.n = servers;
        block->resolves.n = resolves;
    }
    return rc;
}

/* Says what is wrong, where; the agent has it in the error log too.  Nothing is refused for it. */
static void tell_broken(struct rem_conf *cf, struct rem_upstream_block *block, const char *why)
{
    struct rem_upstream *upstream = block->upstream;

    upstream->spec.state_flags |= REM_STATE_BROKEN;
    rem_conf_warn_at(cf, block->state_pos,
                     "state file \"%s\" of upstream \"%.*s\" is broken: %s; a start uses what can "
                     "be read of it (%zu servers), a reload what is running",
                     upstream->spec.state.p, REM_STR_ARG(upstream->name), why,
                     (size_t)block->servers.n + block->resolves.n);
}

static int parse(struct rem_conf *cf, struct rem_upstream_block *block, struct rem_str bytes)
{
    struct rem_upstream_spec *spec = &block->upstream->spec;
    struct rem_str copy = rem_arena_dup(cf->arena, bytes); /* words may point into it */
    struct rem_err err;
    int rc;

    if (copy.p == NULL)
        return rem_conf_nomem(cf);
    rc = rem_conf_text_lines(cf, spec->state, copy, on_line, block, &err);
    if (rc == REM_ENOMEM)
        return rem_conf_nomem(cf);
    if (rc != 0) {
        tell_broken(cf, block, err.text);
    } else if (!rem_state_mark_ok(copy)) {
        /* What somebody has written replaces what is running, as any change of the block does. */
        spec->state_flags |= REM_STATE_EDITED;
        spec->config_hash = spec->config_hash * 31 + rem_hash(copy.p, copy.n);
    }
    spec->servers = REM_ARRAY_OF(&block->servers, struct rem_server_spec);
    spec->server_count = block->servers.n;
    return 0;
}

int rem_upstream_state_read(struct rem_conf *cf, struct rem_upstream_block *block)
{
    struct rem_sbuf text;
    int rc;

    rem_sbuf_init(&text);
    rc = rem_state_file_read(block->upstream->spec.state.p, STATE_FILE_MAX, &text);
    if (rc == REM_OK) {
        rc = parse(cf, block, rem_sbuf_str(&text));
    } else if (rc == REM_ENOMEM) {
        rc = rem_conf_nomem(cf);
    } else {
        char reason[128];
        if (rc != REM_ENOTFOUND)
            tell_broken(cf, block,
                        rc == REM_EIO ? strerror_r(errno, reason, sizeof(reason))
                                      : rem_err_text(rc));
        rc = 0;
    }
    rem_sbuf_fini(&text);
    return rc;
}
