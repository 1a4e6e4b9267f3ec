/* SPDX-License-Identifier: Apache-2.0 */
/* upstream_conf.c - the `upstream` block, and names that stand for upstreams. */
#include "proxy/upstream/upstream_conf.h"

#include "proxy/conf/merge.h"
#include "proxy/conf/set.h"
#include "proxy/conf/strmap.h"
#include "proxy/http/http.h"
#include "proxy/http/mod/resolver.h"
#include "proxy/net/setup.h"
#include "proxy/upstream/proxy.h"

/* What a reload compares to see whether a block has changed; raise it with the meaning of
 * anything in the block. */
#define REM_UPSTREAM_HASH_SEED UINT64_C(1)

enum { REM_ZONE_MIN = 32768 };

struct upstream_main {
    struct rem_upstream *first;
    struct rem_upstream **tail;
    uint32_t count;
    struct rem_strmap names; /* -> struct rem_upstream */
    struct rem_upstream_block *blocks;
};

static int upstream_block(struct rem_conf *cf, const struct rem_directive *d, void *conf);
static int upstream_server(struct rem_conf *cf, const struct rem_directive *d, void *conf);
static int upstream_zone(struct rem_conf *cf, const struct rem_directive *d, void *conf);
static int upstream_state(struct rem_conf *cf, const struct rem_directive *d, void *conf);
static int upstream_keepalive(struct rem_conf *cf, const struct rem_directive *d, void *conf);

/* Which field of the keep-alive settings a directive fills. */
static const struct keepalive_field {
    size_t offset, set;
    bool is_time;
} keepalive_connections = {offsetof(struct rem_keepalive_spec, connections),
                           offsetof(struct rem_upstream_block, keepalive_set), false},
  keepalive_requests = {offsetof(struct rem_keepalive_spec, requests),
                        offsetof(struct rem_upstream_block, requests_set), false},
  keepalive_time = {offsetof(struct rem_keepalive_spec, time_ms),
                    offsetof(struct rem_upstream_block, time_set), true},
  keepalive_timeout = {offsetof(struct rem_keepalive_spec, timeout_ms),
                       offsetof(struct rem_upstream_block, timeout_set), true};

static const struct rem_directive directives[] = {
    {.name = "upstream",
     .contexts = REM_CTX_HTTP,
     .args = REM_ARGS_1 | REM_ARGS_BLOCK,
     .set = upstream_block,
     .level = REM_LEVEL_MAIN},
    {.name = "server",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_1MORE,
     .set = upstream_server,
     .level = REM_LEVEL_SERVER},
    {.name = "zone",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_12,
     .set = upstream_zone,
     .level = REM_LEVEL_SERVER},
    {.name = "state",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_1,
     .set = upstream_state,
     .level = REM_LEVEL_SERVER},
    {.name = "keepalive",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_1,
     .set = upstream_keepalive,
     .level = REM_LEVEL_SERVER,
     .data = &keepalive_connections},
    {.name = "keepalive_requests",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_1,
     .set = upstream_keepalive,
     .level = REM_LEVEL_SERVER,
     .data = &keepalive_requests},
    {.name = "keepalive_time",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_1,
     .set = upstream_keepalive,
     .level = REM_LEVEL_SERVER,
     .data = &keepalive_time},
    {.name = "keepalive_timeout",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_1,
     .set = upstream_keepalive,
     .level = REM_LEVEL_SERVER,
     .data = &keepalive_timeout},
    REM_DIRECTIVE_END,
};

/* ---- names ---- */

static struct upstream_main *main_of(const struct rem_conf *cf)
{
    return rem_conf_main(cf, &rem_upstream_module);
}

static void spec_defaults(struct rem_upstream *upstream)
{
    upstream->spec.name = upstream->name;
    upstream->spec.flags = REM_UPSTREAM_STATIC;
    upstream->spec.method = REM_BALANCE_ROUND_ROBIN;
    upstream->spec.keepalive = (struct rem_keepalive_spec){
        .connections = 32,
        .requests = 1000,
        .timeout_ms = 60000,
        .time_ms = 3600000,
    };
}

/* The upstream of that name, made when new. */
static struct rem_upstream *upstream_named(struct rem_conf *cf, struct rem_str name)
{
    struct upstream_main *all = main_of(cf);
    struct rem_upstream *upstream = rem_strmap_get(&all->names, name);

    if (upstream != NULL)
        return upstream;
    upstream = rem_arena_zalloc(cf->arena, sizeof(*upstream));
    if (upstream == NULL)
        return NULL;
    upstream->name = name;
    upstream->host = name;
    upstream->pos = rem_conf_here(cf);
    upstream->index = all->count;
    spec_defaults(upstream);
    if (rem_strmap_add(&all->names, name, upstream) != 0)
        return NULL;
    all->count++;
    *all->tail = upstream;
    all->tail = &upstream->next;
    return upstream;
}

int rem_upstream_conf_want(struct rem_conf *cf, struct rem_str host, uint16_t port,
                           uint16_t default_port, struct rem_upstream **out)
{
    struct rem_str name = rem_arena_dup(cf->arena, host);
    struct rem_upstream *upstream;

    if (port != 0)
        name = rem_arena_printf(cf->arena, "%.*s:%u", REM_STR_ARG(host), (unsigned)port);
    upstream = name.p != NULL ? upstream_named(cf, name) : NULL;
    if (upstream == NULL)
        return rem_conf_nomem(cf);
    if (!upstream->defined && upstream->default_port == 0) {
        upstream->host = rem_str_make(name.p, host.n);
        upstream->port = port;
        upstream->default_port = default_port;
    }
    *out = upstream;
    return 0;
}

const struct rem_upstream *rem_upstream_conf_find(void **main_conf, struct rem_str name)
{
    const struct upstream_main *all = main_conf[rem_upstream_module.index];

    return rem_strmap_get(&all->names, name);
}

/* ---- the block ---- */

void rem_upstream_block_hash(const struct rem_conf *cf, struct rem_upstream_block *block)
{
    for (size_t i = 0; i < cf->n_args; i++) {
        uint64_t part[2] = {block->hash, rem_hash(cf->args[i].p, cf->args[i].n)};
        block->hash = rem_hash(part, sizeof(part)) + i + 1;
    }
}

int rem_upstream_server_check(struct rem_conf *cf, uint32_t method,
                              const struct rem_server_spec *server)
{
    const char *param = NULL;

    if (server->flags & REM_SERVER_BACKUP && !rem_balance_has_backups(method))
        param = "backup";
    if (server->slow_start_ms != 0 && !rem_balance_has_slow_start(method))
        param = "slow_start";
    if (param == NULL)
        return 0;
    return rem_conf_error(cf, "balancing method does not support parameter \"%s\"", param);
}

/* What only the whole block tells. */
static int block_check(struct rem_conf *cf, const struct rem_upstream_block *block)
{
    const struct rem_upstream_spec *spec = &block->upstream->spec;

    const struct rem_resolve_spec *resolves =
        REM_ARRAY_OF(&block->resolves, struct rem_resolve_spec);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < spec->server_count; i++)
        rc = rem_upstream_server_check(cf, spec->method, &spec->servers[i]);
    for (size_t i = 0; rc == 0 && i < block->resolves.n; i++)
        rc = rem_upstream_server_check(cf, spec->method, &resolves[i].server);
    if (rc == 0 && !(spec->flags & REM_UPSTREAM_STATIC))
        rc = rem_upstream_servers_warn(cf, spec);
    return rc;
}

static int upstream_block(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_upstream *upstream = upstream_named(cf, cf->args[1]);
    struct rem_upstream_block *block;
    struct rem_conf_ctx *ctx;
    int rc;

    (void)d;
    (void)conf;
    if (upstream == NULL)
        return rem_conf_nomem(cf);
    if (upstream->defined)
        return rem_conf_error(cf, "duplicate upstream \"%.*s\"", REM_STR_ARG(upstream->name));
    if (upstream->name.n == 0 || upstream->name.n > REM_UPSTREAM_NAME_MAX)
        return rem_conf_error(cf, "invalid upstream name \"%.*s\"", REM_STR_ARG(upstream->name));
    upstream->defined = true;
    upstream->name = cf->args[1]; /* it may have been mentioned in other letters before */
    upstream->spec.name = upstream->name;
    ctx = rem_conf_ctx_new(cf, REM_MODULE_HTTP, REM_LEVEL_UPSTREAM);
    if (ctx == NULL)
        return REM_ENOMEM;
    block = ctx->server[rem_upstream_module.index];
    block->upstream = upstream;
    block->hash = REM_UPSTREAM_HASH_SEED;
    block->ctx = ctx;
    block->next = main_of(cf)->blocks;
    main_of(cf)->blocks = block;
    rc = rem_conf_block(cf, REM_CTX_UPSTREAM, ctx);
    if (rc != 0)
        return rc;
    upstream->spec.config_hash = block->hash;
    upstream->spec.servers = REM_ARRAY_OF(&block->servers, struct rem_server_spec);
    upstream->spec.server_count = block->servers.n;
    return block_check(cf, block);
}

static int upstream_server(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_upstream_block *block = conf;

    (void)d;
    rem_upstream_block_hash(cf, block);
    if (block->upstream->spec.state.n != 0)
        return rem_conf_error(cf, "\"server\" directive is not allowed here: the servers are in "
                                  "the file of \"state\"");
    return rem_upstream_server_set(cf, block);
}

static int upstream_state(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_upstream_block *block = conf;

    (void)d;
    rem_upstream_block_hash(cf, block);
    return rem_upstream_state_set(cf, block);
}

static int upstream_zone(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_upstream_block *block = conf;
    struct rem_upstream_spec *spec = &block->upstream->spec;
    size_t size = 0;

    (void)d;
    rem_upstream_block_hash(cf, block);
    if (spec->zone.n != 0)
        return rem_conf_duplicate(cf);
    if (cf->args[1].n == 0)
        return rem_conf_error(cf, "invalid zone name \"%s\"", cf->args[1].p);
    if (cf->n_args == 3) {
        if (rem_conf_parse_size(cf->args[2], &size) != 0)
            return rem_conf_error(cf, "invalid zone size \"%s\"", cf->args[2].p);
        if (size < REM_ZONE_MIN)
            return rem_conf_error(cf, "zone \"%s\" is too small", cf->args[1].p);
    }
    spec->zone = cf->args[1];
    spec->zone_size = size;
    spec->flags &= ~(uint32_t)REM_UPSTREAM_STATIC;
    return 0;
}

static int upstream_keepalive(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_upstream_block *block = conf;
    const struct keepalive_field *field = d->data;
    bool *set = (bool *)(void *)((char *)block + field->set);
    char *at = (char *)&block->upstream->spec.keepalive + field->offset;
    int64_t value;
    int rc;

    rem_upstream_block_hash(cf, block);
    if (*set)
        return rem_conf_duplicate(cf);
    *set = true;
    rc = field->is_time ? rem_conf_parse_msec(cf->args[1], &value)
                        : rem_conf_parse_num(cf->args[1], &value);
    if (rc != 0 || value < 0 || value > UINT32_MAX)
        return rem_conf_invalid_arg(cf, cf->args[1]);
    *(uint32_t *)(void *)at = (uint32_t)value;
    return 0;
}

/* ---- the module ---- */

static void *create_main(struct rem_conf *cf)
{
    struct upstream_main *all = rem_arena_zalloc(cf->arena, sizeof(*all));

    if (all == NULL)
        return NULL;
    all->tail = &all->first;
    rem_strmap_init(&all->names, cf->arena, true);
    return all;
}

static void *create_server(struct rem_conf *cf)
{
    struct rem_upstream_block *block = rem_arena_zalloc(cf->arena, sizeof(*block));

    if (block != NULL) {
        rem_array_init(&block->servers, sizeof(struct rem_server_spec));
        rem_array_init(&block->resolves, sizeof(struct rem_resolve_spec));
    }
    return block;
}

/* An address that proxy_pass names becomes an upstream of its own. */
static int resolve_implicit(struct rem_conf *cf, struct rem_upstream *upstream)
{
    const struct upstream_main *all = main_of(cf);
    struct rem_upstream_spec *spec = &upstream->spec;
    const struct rem_upstream *block = rem_strmap_get(&all->names, upstream->host);
    struct rem_addr_list list = {NULL, 0};
    struct rem_err err;
    int rc;

    if (block != NULL && block->defined)
        return rem_conf_error_at(cf, upstream->pos, "upstream \"%.*s\" may not have port %u",
                                 REM_STR_ARG(upstream->host), (unsigned)upstream->port);
    rc = rem_addr_resolve(upstream->name, upstream->default_port, &list, &err);
    if (rc == REM_EINVAL)
        return rem_conf_error_at(cf, upstream->pos, "invalid host in upstream \"%.*s\"",
                                 REM_STR_ARG(upstream->name));
    if (rc != 0)
        return rem_conf_error_at(cf, upstream->pos, "host not found in upstream \"%.*s\"",
                                 REM_STR_ARG(upstream->host));
    spec->flags |= REM_UPSTREAM_IMPLICIT;
    spec->servers = rem_arena_zalloc(cf->arena, list.count * sizeof(*spec->servers));
    spec->server_count = spec->servers != NULL ? list.count : 0;
    spec->config_hash = rem_hash(upstream->name.p, upstream->name.n);
    for (size_t i = 0; i < spec->server_count; i++) {
        rem_server_spec_init(&spec->servers[i]);
        spec->servers[i].addr = list.items[i];
        spec->servers[i].name = upstream->name;
        /* What a name resolves to may change between two reads of the same file. */
        spec->config_hash = spec->config_hash * 31 + rem_addr_hash(&list.items[i]);
    }
    rem_addr_list_fini(&list);
    return spec->servers != NULL ? 0 : rem_conf_nomem(cf);
}

/* Names to be resolved again and again need somebody to ask, and a place that can change. */
static int block_resolves(struct rem_conf *cf, struct rem_upstream_block *block)
{
    struct rem_resolve_spec *resolves = REM_ARRAY_OF(&block->resolves, struct rem_resolve_spec);
    struct rem_upstream *upstream = block->upstream;
    struct rem_resolver_conf resolver = rem_resolver_conf_of(cf, block->ctx);

    upstream->spec.resolver = resolver.spec;
    upstream->spec.resolver_timeout_ms = (uint64_t)resolver.timeout_ms;
    upstream->spec.queue = upstream->queue;
    if (block->resolves.n == 0)
        return 0;
    if (upstream->spec.flags & REM_UPSTREAM_STATIC)
        return rem_conf_error_at(cf, upstream->pos,
                                 "resolving names at run time requires upstream \"%.*s\" to be in "
                                 "shared memory",
                                 REM_STR_ARG(upstream->name));
    if (resolver.spec == NULL)
        return rem_conf_error_at(cf, upstream->pos,
                                 "no resolver defined to resolve names at run time in upstream "
                                 "\"%.*s\"",
                                 REM_STR_ARG(upstream->name));
    for (uint32_t i = 0; i < block->resolves.n; i++) {
        resolves[i].resolver = resolver.spec;
        resolves[i].timeout_ms = (uint64_t)resolver.timeout_ms;
    }
    upstream->spec.resolves = resolves;
    upstream->spec.resolve_count = block->resolves.n;
    return 0;
}

/* The servers that the block's state file has.  No two blocks may write one file. */
static int state_file(struct rem_conf *cf, const struct upstream_main *all,
                      struct rem_upstream_block *block)
{
    struct rem_upstream *upstream = block->upstream;

    if (upstream->spec.state.n == 0)
        return 0;
    for (const struct rem_upstream_block *b = all->blocks; b != NULL; b = b->next)
        if (b != block && rem_str_eq(b->upstream->spec.state, upstream->spec.state))
            return rem_conf_error_at(cf, block->state_pos,
                                     "state file \"%s\" is that of upstream \"%.*s\" too",
                                     upstream->spec.state.p, REM_STR_ARG(b->upstream->name));
    if (upstream->spec.flags & REM_UPSTREAM_STATIC)
        return rem_conf_error_at(cf, block->state_pos,
                                 "\"state\" requires upstream \"%.*s\" to be in shared memory",
                                 REM_STR_ARG(upstream->name));
    return rem_upstream_state_read(cf, block);
}

static int init_main(struct rem_conf *cf, void *conf)
{
    struct upstream_main *all = conf;
    struct rem_setup *setup = cf->user;
    size_t i = 0;

    for (struct rem_upstream *u = all->first; u != NULL; u = u->next) {
        int rc = u->defined ? 0 : resolve_implicit(cf, u);
        if (rc != 0)
            return rc;
    }
    for (struct rem_upstream_block *block = all->blocks; block != NULL; block = block->next) {
        int rc = state_file(cf, all, block);
        if (rc == 0)
            rc = block_resolves(cf, block);
        if (rc != 0)
            return rc;
    }
    setup->upstreams = rem_arena_zalloc(cf->arena, (all->count + 1) * sizeof(*setup->upstreams));
    if (setup->upstreams == NULL)
        return rem_conf_nomem(cf);
    for (struct rem_upstream *u = all->first; u != NULL; u = u->next)
        setup->upstreams[i++] = &u->spec;
    setup->upstream_count = i;
    return 0;
}

static const struct rem_http_hooks hooks = {
    .worker_init = rem_upstream_worker_init,
    .worker_fini = rem_upstream_worker_fini,
    .worker_drain = rem_upstream_worker_drain,
    .worker_reclaim = rem_upstream_worker_reclaim,
};

struct rem_module rem_upstream_module = {
    .name = "upstream",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .preconfigure = rem_upstream_add_variables,
    .create_main = create_main,
    .init_main = init_main,
    .create_server = create_server,
    .hooks = &hooks,
};
