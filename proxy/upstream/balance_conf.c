/* SPDX-License-Identifier: Apache-2.0 */
/* balance_conf.c - the directives of an upstream block that say how a server is chosen. */
#include "proxy/conf/set.h"
#include "proxy/conf/value.h"
#include "proxy/upstream/upstream.h"
#include "proxy/upstream/upstream_conf.h"

enum { QUEUE_TIMEOUT_MS = 60000 };

extern struct rem_module rem_balance_module;

/* A keyword, and the flags it stands for. */
struct keyword {
    const char *name;
    uint32_t flags;
};

/* What a directive's word means, as flags; false: it is none of these. */
static bool keyword_of(struct rem_str arg, const struct keyword *words, size_t n, uint32_t *flags)
{
    for (size_t i = 0; i < n; i++) {
        if (!rem_str_is(arg, words[i].name))
            continue;
        *flags |= words[i].flags;
        return true;
    }
    return false;
}

static struct rem_upstream_block *block_of(struct rem_conf *cf)
{
    return rem_conf_server(cf, &rem_upstream_module);
}

static int set_method(struct rem_conf *cf, uint32_t method, uint32_t flags)
{
    struct rem_upstream_block *block = block_of(cf);

    rem_upstream_block_hash(cf, block);
    if (block->method_set)
        rem_conf_warn(cf, "load balancing method redefined");
    block->method_set = true;
    block->upstream->spec.method = method;
    block->upstream->spec.method_flags = flags;
    return 0;
}

/* least_conn, ip_hash: the method is in d->data. */
static int set_simple(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    (void)conf;
    return set_method(cf, *(const uint32_t *)d->data, 0);
}

static int set_least_time(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    static const struct keyword what[] = {{"header", 0}, {"last_byte", REM_METHOD_LAST_BYTE}};
    static const struct keyword more[] = {{"inflight", REM_METHOD_INFLIGHT}};
    uint32_t flags = 0;

    (void)d;
    (void)conf;
    if (!keyword_of(cf->args[1], what, REM_COUNT(what), &flags))
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[1]));
    if (cf->n_args == 3 && !keyword_of(cf->args[2], more, REM_COUNT(more), &flags))
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[2]));
    return set_method(cf, REM_BALANCE_LEAST_TIME, flags);
}

static int set_random(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    static const struct keyword two[] = {{"two", REM_METHOD_TWO}};
    static const struct keyword by[] = {
        {"least_conn", 0},
        {"least_time=header", REM_METHOD_BY_TIME},
        {"least_time=last_byte", REM_METHOD_BY_TIME | REM_METHOD_LAST_BYTE},
    };
    uint32_t flags = 0;

    (void)d;
    (void)conf;
    if (cf->n_args > 1 && !keyword_of(cf->args[1], two, REM_COUNT(two), &flags))
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[1]));
    if (cf->n_args > 2 && !keyword_of(cf->args[2], by, REM_COUNT(by), &flags))
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[2]));
    return set_method(cf, REM_BALANCE_RANDOM, flags);
}

static int set_hash(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_value *key = rem_arena_zalloc(cf->arena, sizeof(*key));
    uint32_t method = REM_BALANCE_HASH;
    int rc;

    (void)d;
    (void)conf;
    if (key == NULL)
        return rem_conf_nomem(cf);
    if (cf->n_args == 3) {
        if (!rem_str_is(cf->args[2], "consistent"))
            return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[2]));
        method = REM_BALANCE_HASH_CONSISTENT;
    }
    rc = rem_value_compile(cf, cf->args[1], key);
    if (rc != 0)
        return rc;
    block_of(cf)->upstream->hash_key = key;
    return set_method(cf, method, 0);
}

static int set_queue(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    const struct rem_str timeout = REM_STR("timeout=");
    struct rem_upstream_block *block = block_of(cf);
    struct rem_upstream *upstream = block->upstream;
    int64_t ms = QUEUE_TIMEOUT_MS, number;

    (void)d;
    (void)conf;
    rem_upstream_block_hash(cf, block);
    if (upstream->queue != 0)
        return rem_conf_duplicate(cf);
    if (rem_conf_parse_num(cf->args[1], &number) != 0 || number < 1 || number > INT32_MAX)
        return rem_conf_error(cf, "invalid value \"%.*s\"", REM_STR_ARG(cf->args[1]));
    if (cf->n_args == 3 &&
        (!rem_str_has_prefix(cf->args[2], timeout) ||
         rem_conf_parse_msec(rem_str_skip(cf->args[2], timeout.n), &ms) != 0 || ms < 0))
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[2]));
    upstream->queue = (uint32_t)number;
    upstream->queue_timeout_ms = (uint64_t)ms;
    return 0;
}

static const uint32_t least_conn = REM_BALANCE_LEAST_CONN, ip_hash = REM_BALANCE_IP_HASH;

static const struct rem_directive directives[] = {
    {.name = "least_conn",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_0,
     .set = set_simple,
     .data = &least_conn},
    {.name = "ip_hash",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_0,
     .set = set_simple,
     .data = &ip_hash},
    {.name = "least_time",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_12,
     .set = set_least_time},
    {.name = "random",
     .contexts = REM_CTX_UPSTREAM,
     .args = REM_ARGS_0 | REM_ARGS_12,
     .set = set_random},
    {.name = "hash", .contexts = REM_CTX_UPSTREAM, .args = REM_ARGS_12, .set = set_hash},
    {.name = "queue", .contexts = REM_CTX_UPSTREAM, .args = REM_ARGS_12, .set = set_queue},
    REM_DIRECTIVE_END,
};

struct rem_module rem_balance_module = {
    .name = "balance",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
};
