/* SPDX-License-Identifier: Apache-2.0 */
/* check_conf.c - the `health_check` and `match` directives. */
#include "proxy/upstream/check_conf.h"

#include "proto/base/sbuf.h"
#include "proto/wire/put.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/http.h"
#include "proxy/net/setup.h"
#include "proxy/upstream/check_eval.h"
#include "proxy/upstream/proxy.h"

/* A `health_check` line. */
struct check_conf {
    struct check_conf *next;
    struct rem_check_spec spec;
    struct rem_str uri;
    struct rem_str match;
    struct rem_conf_pos pos;
    struct rem_conf_ctx *ctx; /* of the location */
};

struct check_main {
    struct check_conf *first;
    struct check_conf **tail;
    size_t count;
    struct rem_match_conf *matches;
};

extern struct rem_module rem_check_module;

/* ---- parameters ---- */

/* Fills in a field from what stands behind "="; false for a value it does not like. */
typedef bool (*param_fn)(struct check_conf *check, struct rem_str value);

static bool time_of(struct rem_str value, int64_t min, uint32_t *out)
{
    int64_t ms;

    if (rem_conf_parse_msec(value, &ms) != 0 || ms < min || ms > UINT32_MAX)
        return false;
    *out = (uint32_t)ms;
    return true;
}

static bool count_of(struct rem_str value, uint64_t max, uint32_t *out)
{
    uint64_t n;

    if (rem_str_to_u64(value, max, &n) != 0 || n == 0)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool set_interval(struct check_conf *check, struct rem_str value)
{
    return time_of(value, 1, &check->spec.interval_ms);
}

static bool set_jitter(struct check_conf *check, struct rem_str value)
{
    return time_of(value, 0, &check->spec.jitter_ms);
}

static bool set_fails(struct check_conf *check, struct rem_str value)
{
    return count_of(value, INT32_MAX, &check->spec.fails);
}

static bool set_passes(struct check_conf *check, struct rem_str value)
{
    return count_of(value, INT32_MAX, &check->spec.passes);
}

static bool set_port(struct check_conf *check, struct rem_str value)
{
    uint32_t port;

    if (!count_of(value, UINT16_MAX, &port))
        return false;
    check->spec.port = (uint16_t)port;
    return true;
}

static bool set_keepalive_time(struct check_conf *check, struct rem_str value)
{
    return time_of(value, 1, &check->spec.keepalive_ms);
}

static bool set_uri(struct check_conf *check, struct rem_str value)
{
    check->uri = value;
    return value.n != 0 && value.p[0] == '/' && rem_put_is_value(value) &&
           rem_str_chr(value, ' ') == NULL && rem_str_chr(value, '\t') == NULL;
}

static bool set_match(struct check_conf *check, struct rem_str value)
{
    check->match = value;
    return value.n != 0;
}

static const struct check_param {
    const char *name;
    param_fn set;
} params[] = {
    {"interval=", set_interval}, {"jitter=", set_jitter}, {"fails=", set_fails},
    {"passes=", set_passes},     {"port=", set_port},     {"keepalive_time=", set_keepalive_time},
    {"uri=", set_uri},           {"match=", set_match},
};

static int read_param(struct rem_conf *cf, struct check_conf *check, struct rem_str arg,
                      uint32_t *seen)
{
    if (rem_str_is(arg, "mandatory")) {
        check->spec.mandatory = true;
        return 0;
    }
    if (rem_str_is(arg, "persistent")) {
        check->spec.persistent = true;
        return 0;
    }
    if (rem_str_is(arg, "type=grpc") || rem_str_has_prefix(arg, REM_STR("grpc_")))
        return rem_conf_error(cf, "parameter \"%s\" is not supported: there is no gRPC", arg.p);
    for (uint32_t i = 0; i < REM_COUNT(params); i++) {
        struct rem_str value;

        if (!rem_str_take_prefix(arg, params[i].name, &value))
            continue;
        if (*seen & 1u << i)
            return rem_conf_error(cf, "duplicate parameter \"%s\"", arg.p);
        *seen |= 1u << i;
        if (params[i].set(check, value))
            return 0;
        break;
    }
    return rem_conf_error(cf, "invalid parameter \"%s\"", arg.p);
}

static int set_health_check(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct check_main *all = conf;
    struct check_conf *check = rem_arena_zalloc(cf->arena, sizeof(*check));
    uint32_t seen = 0;

    (void)d;
    if (check == NULL)
        return rem_conf_nomem(cf);
    check->spec = (struct rem_check_spec){.interval_ms = 5000, .fails = 1, .passes = 1};
    check->uri = REM_STR("/");
    check->pos = rem_conf_here(cf);
    check->ctx = cf->ctx;
    for (size_t i = 1; i < cf->n_args; i++) {
        int rc = read_param(cf, check, cf->args[i], &seen);
        if (rc != 0)
            return rc;
    }
    if (check->spec.persistent && !check->spec.mandatory)
        return rem_conf_error(cf, "parameter \"persistent\" requires \"mandatory\"");
    *all->tail = check;
    all->tail = &check->next;
    all->count++;
    return 0;
}

static struct rem_match_conf *find_match(const struct check_main *all, struct rem_str name)
{
    struct rem_match_conf *match = all->matches;

    while (match != NULL && !rem_str_eq(match->spec.name, name))
        match = match->next;
    return match;
}

static int set_match_block(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct check_main *all = conf;
    struct rem_match_conf *match;

    (void)d;
    if (cf->args[1].n == 0)
        return rem_conf_error(cf, "invalid match name \"\"");
    if (find_match(all, cf->args[1]) != NULL)
        return rem_conf_error(cf, "duplicate match \"%s\"", cf->args[1].p);
    match = rem_arena_zalloc(cf->arena, sizeof(*match));
    if (match == NULL)
        return rem_conf_nomem(cf);
    match->spec.name = cf->args[1];
    match->next = all->matches;
    all->matches = match;
    return rem_match_conf_read(cf, match);
}

static const struct rem_directive directives[] = {
    {.name = "health_check",
     .contexts = REM_CTX_LOCATION,
     .args = REM_ARGS_ANY,
     .set = set_health_check,
     .level = REM_LEVEL_MAIN},
    {.name = "match",
     .contexts = REM_CTX_HTTP,
     .args = REM_ARGS_1 | REM_ARGS_BLOCK,
     .set = set_match_block,
     .level = REM_LEVEL_MAIN},
    REM_DIRECTIVE_END,
};

static void *create_main(struct rem_conf *cf)
{
    struct check_main *all = rem_arena_zalloc(cf->arena, sizeof(*all));

    if (all != NULL)
        all->tail = &all->first;
    return all;
}

/* ---- the request ---- */

/* What the check says itself, or cannot mean. */
static bool is_ours(enum rem_field_id id)
{
    return id == REM_FIELD_CONNECTION || id == REM_FIELD_UPGRADE || id == REM_FIELD_KEEP_ALIVE ||
           id == REM_FIELD_TE || id == REM_FIELD_EXPECT || id == REM_FIELD_TRAILER ||
           id == REM_FIELD_HTTP2_SETTINGS;
}

/* Adds the field unless there is nothing to say. */
static void add_field(struct rem_sbuf *out, struct rem_str name, struct rem_str value)
{
    if (value.n != 0)
        rem_sbuf_addf(out, "%.*s: %.*s\r\n", REM_STR_ARG(name), REM_STR_ARG(value));
}

/* The fields of proxy_set_header.  Where a variable leaves Host empty, the upstream's name stands
 * for it, as a server would refuse the request. */
static int add_fields(struct rem_conf *cf, const struct check_conf *check,
                      const struct rem_proxy_conf *proxy, struct rem_check_eval *eval,
                      struct rem_sbuf *out)
{
    bool agent = false;

    for (uint32_t i = 0; i < proxy->own_sets->n; i++) {
        const struct rem_proxy_set *set = rem_array_at(proxy->own_sets, i);
        enum rem_field_id id = rem_field_id(set->name);
        struct rem_str text;

        if (is_ours(id))
            continue;
        if (rem_check_eval_text(eval, &set->value, &text) != 0)
            return rem_conf_error_at(cf, check->pos, "cannot evaluate \"%.*s\" for health checks",
                                     REM_STR_ARG(set->name));
        if (!rem_put_is_value(text))
            return rem_conf_error_at(cf, check->pos,
                                     "control characters in \"%.*s\" for health checks",
                                     REM_STR_ARG(set->name));
        if (id == REM_FIELD_HOST && text.n == 0)
            text = proxy->target->url.host_header;
        agent = agent || (id == REM_FIELD_USER_AGENT && text.n != 0);
        add_field(out, set->name, text);
    }
    if (!agent)
        add_field(out, REM_STR("User-Agent"), REM_STR("remora/" REM_VERSION " (health check)"));
    return 0;
}

static int make_request(struct rem_conf *cf, struct check_conf *check,
                        const struct rem_proxy_conf *proxy, const struct rem_log *log)
{
    struct rem_check_eval *eval;
    struct rem_sbuf out;
    int rc = rem_check_eval_new(cf, check->ctx->main, check->ctx->location, log, &eval);

    if (rc != 0)
        return rc;
    rem_sbuf_init(&out);
    rem_sbuf_addf(&out, "GET %.*s HTTP/1.%d\r\n", REM_STR_ARG(check->uri),
                  proxy->http_version == 10 ? 0 : 1);
    rc = add_fields(cf, check, proxy, eval, &out);
    if (check->spec.keepalive_ms == 0)
        rem_sbuf_adds(&out, "Connection: close\r\n");
    else if (proxy->http_version == 10)
        rem_sbuf_adds(&out, "Connection: keep-alive\r\n");
    rem_sbuf_adds(&out, "\r\n");
    if (rc == 0 && !out.failed)
        check->spec.request = rem_arena_dup(cf->arena, rem_sbuf_str(&out));
    rem_sbuf_fini(&out);
    if (rc != 0)
        return rc;
    return check->spec.request.p != NULL ? 0 : rem_conf_nomem(cf);
}

/* ---- when everything is known ---- */

static uint32_t timeout_of(int64_t ms)
{
    return ms < 1 ? 1 : ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

/* The upstream that is checked: proxy_pass must name it, and it must have room for states. */
static int find_upstream(struct rem_conf *cf, struct check_conf *check,
                         const struct rem_proxy_conf *proxy)
{
    struct rem_upstream *upstream;

    if (proxy->target == NULL || proxy->target->value != NULL)
        return rem_conf_error_at(cf, check->pos,
                                 "\"health_check\" requires a \"proxy_pass\" in the same location "
                                 "that names an upstream%s",
                                 proxy->target != NULL ? " without variables" : "");
    upstream = proxy->target->upstream;
    if (upstream->spec.flags & (REM_UPSTREAM_STATIC | REM_UPSTREAM_IMPLICIT))
        return rem_conf_error_at(cf, check->pos,
                                 "\"health_check\" requires upstream \"%.*s\" to be in shared "
                                 "memory",
                                 REM_STR_ARG(upstream->name));
    check->spec.upstream = upstream->name;
    if (check->spec.mandatory)
        upstream->spec.flags |= REM_UPSTREAM_MANDATORY;
    return 0;
}

static int check_ready(struct rem_conf *cf, const struct check_main *all, struct check_conf *check)
{
    const struct rem_http_location_conf *core = check->ctx->location[rem_http_core_module.index];
    const struct rem_proxy_conf *proxy = check->ctx->location[rem_proxy_module.index];
    const struct rem_upstream_policy *policy = &proxy->policy;
    const struct rem_match_conf *match;
    int rc = find_upstream(cf, check, proxy);

    if (rc != 0)
        return rc;
    if (check->match.n != 0) {
        match = find_match(all, check->match);
        if (match == NULL)
            return rem_conf_error_at(cf, check->pos, "match \"%.*s\" is not found",
                                     REM_STR_ARG(check->match));
        check->spec.match = &match->spec;
    }
    if (policy->bind != NULL && rem_value_is_static(&policy->bind->value) &&
        !policy->bind->transparent)
        check->spec.local = policy->bind->addr;
    check->spec.connect_ms = timeout_of(policy->connect_timeout);
    check->spec.send_ms = timeout_of(policy->send_timeout);
    check->spec.read_ms = timeout_of(policy->read_timeout);
    check->spec.head_max = proxy->limits.max_head;
    check->spec.log = core->log;
    return make_request(cf, check, proxy, core->log);
}

static int ready(struct rem_http_setup *http)
{
    struct rem_conf *cf = http->conf;
    const struct rem_http_main_conf *core = rem_conf_main(cf, &rem_http_core_module);
    struct check_main *all = rem_conf_main(cf, &rem_check_module);
    struct rem_check_spec *specs;
    size_t n = 0;
    int rc = 0;

    for (struct rem_match_conf *m = all->matches; rc == 0 && m != NULL; m = m->next)
        rc = rem_match_conf_ready(cf, m, core->ctx->main, core->ctx->location, http->setup->log);
    specs = rem_arena_alloc(cf->arena, (all->count + 1) * sizeof(*specs));
    if (specs == NULL)
        return rem_conf_nomem(cf);
    for (struct check_conf *check = all->first; rc == 0 && check != NULL; check = check->next) {
        rc = check_ready(cf, all, check);
        specs[n++] = check->spec;
    }
    http->setup->checks = specs;
    http->setup->check_count = n;
    return rc;
}

static const struct rem_http_hooks hooks = {.ready = ready};

struct rem_module rem_check_module = {
    .name = "health_check",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_main = create_main,
    .hooks = &hooks,
};
