/* SPDX-License-Identifier: Apache-2.0 */
/* The `admin` block: its listeners, and whether they lead to those who may ask. */
#include "proxy/process/admin_conf.h"

#include "proxy/conf/merge.h"
#include "proxy/conf/set.h"

#define DEFAULT_LISTEN "unix:/run/remora/admin.sock"

/* Below, no server could be shown; above, an answer would take hundreds of megabytes. */
enum { SERIES_MIN = 100, SERIES_MAX = 1000000, HISTORY_MAX = 10000, PRIORITY_MAX = 19 };
/* What the configuration says of a listener; checked at the end of the block. */
struct admin_listener {
    struct rem_setup_admin_listen listen; /* first: what others see of it */
    struct rem_conf_pos pos;
};

struct admin_conf {
    int write;
    int drain_on_term;
    bool seen;
    bool has_metrics;
    bool has_priority;
};

static void *create_admin(struct rem_conf *cf)
{
    struct admin_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));
    struct rem_setup *setup = cf->user;

    rem_admin_spec_init(&setup->admin_spec);
    if (conf == NULL)
        return NULL;
    conf->write = REM_CONF_UNSET;
    conf->drain_on_term = REM_CONF_UNSET;
    return conf;
}

/* ---- listen ---- */

static int add_listener(struct rem_conf *cf, struct rem_str text, const struct rem_addr *addr,
                        struct rem_listener **out)
{
    struct rem_setup *setup = cf->user;
    struct rem_listener *listener = rem_arena_zalloc(cf->arena, sizeof(*listener));
    struct admin_listener *own = rem_arena_zalloc(cf->arena, sizeof(*own));

    if (listener == NULL || own == NULL)
        return rem_conf_nomem(cf);
    own->listen.role = REM_ROLE_ADMIN;
    own->pos = rem_conf_here(cf);
    listener->addr = *addr;
    listener->text = text;
    listener->data = own;
    rem_listen_options_init(&listener->options);
    listener->options.mode = 0660;
    rem_list_append(&setup->admin_listeners, &listener->node);
    *out = listener;
    return REM_OK;
}

/* "0660" */
static int parse_mode(struct rem_str text, unsigned *out)
{
    unsigned mode = 0;

    if (text.n < 3 || text.n > 4)
        return REM_EINVAL;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '7')
            return REM_EINVAL;
        mode = mode * 8 + (unsigned)(text.p[i] - '0');
    }
    if (mode == 0 || mode > 0777)
        return REM_EINVAL;
    *out = mode;
    return REM_OK;
}

static int set_listen_option(struct rem_conf *cf, struct rem_listener *listener, struct rem_str arg)
{
    struct admin_listener *own = listener->data;
    struct rem_str value;

    if (rem_str_take_prefix(arg, "role=", &value)) {
        if (rem_role_parse(value, &own->listen.role) != REM_OK)
            return rem_conf_error(cf,
                                  "invalid role \"%.*s\", it must be metrics, read, write or "
                                  "admin",
                                  REM_STR_ARG(arg));
        return REM_OK;
    }
    if (rem_str_take_prefix(arg, "mode=", &value)) {
        if (rem_addr_family(&listener->addr) != AF_UNIX)
            return rem_conf_error(cf, "\"%.*s\": only unix sockets have a mode", REM_STR_ARG(arg));
        if (parse_mode(value, &listener->options.mode) != REM_OK)
            return rem_conf_error(cf,
                                  "invalid mode \"%.*s\", it must be octal, as in \"mode=0660\"",
                                  REM_STR_ARG(arg));
        return REM_OK;
    }
    return rem_conf_invalid_arg(cf, arg);
}

static int set_listen(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    struct rem_str text = cf->args[1];
    struct rem_listener *listener;
    struct rem_addr addr;
    int rc;

    (void)d;
    (void)conf;
    if (rem_addr_parse_listen(text, 0, &addr) != REM_OK)
        return rem_conf_error(cf, "invalid address \"%.*s\" of the \"listen\" directive",
                              REM_STR_ARG(text));
    REM_LIST_EACH(node, &setup->admin_listeners)
        if (rem_addr_eq(&REM_LIST_ENTRY(node, struct rem_listener, node)->addr, &addr))
            return rem_conf_error(cf, "a duplicate listen %.*s", REM_STR_ARG(text));
    rc = add_listener(cf, text, &addr, &listener);
    for (size_t i = 2; rc == REM_OK && i < cf->n_args; i++)
        rc = set_listen_option(cf, listener, cf->args[i]);
    return rc;
}

/* Whoever reaches an address of the network must show who he is. */
static int check_listeners(struct rem_conf *cf, const struct rem_setup *setup)
{
    int rc = REM_OK;

    for (const struct rem_list *at = setup->admin_listeners.next; at != &setup->admin_listeners;
         at = at->next) {
        const struct rem_listener *listener = REM_LIST_ENTRY(at, struct rem_listener, node);
        const struct admin_listener *own = listener->data;

        if (rem_addr_is_loopback(&listener->addr) || own->listen.role == REM_ROLE_METRICS ||
            setup->admin_spec.tokens != NULL)
            continue;
        rc = rem_conf_error_at(cf, own->pos,
                               "admin listener \"%.*s\" could be reached from other machines, and "
                               "there is no authentication: add a \"token\", or \"role=metrics\", "
                               "or listen on a unix socket or on a loopback address",
                               REM_STR_ARG(listener->text));
    }
    return rc;
}

/* ---- the block ---- */

static int set_admin(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    struct admin_conf *admin = conf;
    struct rem_listener *listener;
    struct rem_addr addr;
    int rc;

    (void)d;
    if (admin->seen)
        return rem_conf_duplicate(cf);
    admin->seen = true;
    rc = rem_conf_block(cf, REM_CTX_ADMIN, NULL);
    if (rc != REM_OK)
        return rc;
    setup->admin = true;
    setup->admin_write = admin->write == 1;
    setup->admin_spec.drain_on_term = admin->drain_on_term == 1;
    rc = check_listeners(cf, setup);
    if (rc == REM_OK)
        rc = rem_admin_check_life(cf);
    if (rc != REM_OK || !rem_list_empty(&setup->admin_listeners))
        return rc;
    if (rem_addr_parse_listen(REM_STR(DEFAULT_LISTEN), 0, &addr) != REM_OK)
        return rem_conf_error(cf, "invalid address \"" DEFAULT_LISTEN "\"");
    return add_listener(cf, REM_STR(DEFAULT_LISTEN), &addr, &listener);
}

/* metrics [max_series=N] [max_upstream_series=N] */
static int set_metrics(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    struct admin_conf *admin = conf;

    (void)d;
    if (admin->has_metrics)
        return rem_conf_duplicate(cf);
    admin->has_metrics = true;
    for (size_t i = 1; i < cf->n_args; i++) {
        struct rem_str text = {NULL, 0};
        unsigned *series = NULL;
        int64_t n;

        if (rem_str_take_prefix(cf->args[i], "max_series=", &text))
            series = &setup->admin_max_series;
        else if (rem_str_take_prefix(cf->args[i], "max_upstream_series=", &text))
            series = &setup->admin_max_upstream_series;
        if (series == NULL || *series != 0 || rem_conf_parse_num(text, &n) != REM_OK ||
            n < SERIES_MIN || n > SERIES_MAX)
            return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[i]));
        *series = (unsigned)n;
    }
    return REM_OK;
}

/* How many revisions can be looked at and gone back to. */
static int set_history(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    int64_t n;

    (void)d;
    (void)conf;
    if (setup->admin_history != 0)
        return rem_conf_duplicate(cf);
    if (rem_conf_parse_num(cf->args[1], &n) != REM_OK || n < 1 || n > HISTORY_MAX)
        return rem_conf_error(cf, "invalid number of revisions \"%.*s\", it must be 1 to %d",
                              REM_STR_ARG(cf->args[1]), HISTORY_MAX);
    setup->admin_history = (unsigned)n;
    return REM_OK;
}

/* How far the agent stands behind the workers where CPUs are short. */
static int set_priority(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    struct admin_conf *admin = conf;
    int64_t n;

    (void)d;
    if (admin->has_priority)
        return rem_conf_duplicate(cf);
    admin->has_priority = true;
    if (rem_conf_parse_num(cf->args[1], &n) != REM_OK || n > PRIORITY_MAX)
        return rem_conf_error(cf, "invalid priority \"%.*s\", it must be 0 to %d",
                              REM_STR_ARG(cf->args[1]), PRIORITY_MAX);
    setup->admin_priority = (int)n;
    return REM_OK;
}

#define ADMIN(name_, args_, set_)                                                                  \
    {                                                                                              \
        .name = name_, .contexts = REM_CTX_ADMIN, .args = args_, .set = set_,                      \
        .level = REM_LEVEL_MAIN                                                                    \
    }

static const struct rem_directive admin_directives[] = {
    {"admin", REM_CTX_MAIN, REM_ARGS_0 | REM_ARGS_BLOCK, set_admin, REM_LEVEL_MAIN, 0, NULL},
    {"write", REM_CTX_ADMIN, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_MAIN,
     offsetof(struct admin_conf, write), NULL},
    {"drain_on_term", REM_CTX_ADMIN, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_MAIN,
     offsetof(struct admin_conf, drain_on_term), NULL},
    ADMIN("listen", REM_ARGS_1 | REM_ARGS_2 | REM_ARGS_3, set_listen),
    ADMIN("token", REM_ARGS_3, rem_admin_set_token),
    ADMIN("peer", REM_ARGS_2, rem_admin_set_peer),
    ADMIN("host", REM_ARGS_1MORE, rem_admin_set_host),
    ADMIN("metrics", REM_ARGS_12, set_metrics),
    ADMIN("history", REM_ARGS_1, set_history),
    ADMIN("priority", REM_ARGS_1, set_priority),
    ADMIN("auth_failures", REM_ARGS_1, rem_admin_set_failures),
    ADMIN("state", REM_ARGS_1, rem_admin_set_state),
    ADMIN("audit", REM_ARGS_1, rem_admin_set_audit),
    ADMIN("ready_when", REM_ARGS_12, rem_admin_set_ready),
    ADMIN("drain_delay", REM_ARGS_1, rem_admin_set_drain_delay),
    ADMIN("drain_timeout", REM_ARGS_1, rem_admin_set_drain_timeout),
    REM_DIRECTIVE_END,
};

struct rem_module rem_admin_module = {
    .name = "admin",
    .kind = REM_MODULE_CORE,
    .directives = admin_directives,
    .create_main = create_admin,
};
