/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/core_conf.h"

#include "proxy/conf/conf.h"
#include "proxy/conf/merge.h"
#include "proxy/conf/set.h"
#include "proxy/net/setup.h"

#define DEFAULT_LISTEN "unix:/run/remora/admin.sock"

struct admin_conf {
    int write;
    bool seen;
};

static void *create_admin(struct rem_conf *cf)
{
    struct admin_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        conf->write = REM_CONF_UNSET;
    return conf;
}

static int add_listener(struct rem_conf *cf, struct rem_str text, const struct rem_addr *addr)
{
    struct rem_setup *setup = cf->user;
    struct rem_listener *listener = rem_arena_zalloc(cf->arena, sizeof(*listener));

    if (listener == NULL)
        return rem_conf_nomem(cf);
    listener->addr = *addr;
    listener->text = text;
    rem_listen_options_init(&listener->options);
    listener->options.mode = 0660;
    rem_list_append(&setup->admin_listeners, &listener->node);
    return REM_OK;
}

static int set_listen(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    struct rem_str text = cf->args[1];
    struct rem_addr addr;

    (void)d;
    (void)conf;
    if (rem_addr_parse_listen(text, 0, &addr) != REM_OK)
        return rem_conf_error(cf, "invalid address \"%.*s\" of the \"listen\" directive",
                              REM_STR_ARG(text));
    if (!rem_addr_is_loopback(&addr))
        return rem_conf_error(cf,
                              "admin listener \"%.*s\" could be reached from other machines, and "
                              "there is no authentication: listen on a unix socket or on a "
                              "loopback address",
                              REM_STR_ARG(text));
    REM_LIST_EACH(node, &setup->admin_listeners)
    if (rem_addr_eq(&REM_LIST_ENTRY(node, struct rem_listener, node)->addr, &addr))
        return rem_conf_error(cf, "a duplicate listen %.*s", REM_STR_ARG(text));
    return add_listener(cf, text, &addr);
}

static int set_admin(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_setup *setup = cf->user;
    struct admin_conf *admin = conf;
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
    if (!rem_list_empty(&setup->admin_listeners))
        return REM_OK;
    if (rem_addr_parse_listen(REM_STR(DEFAULT_LISTEN), 0, &addr) != REM_OK)
        return rem_conf_error(cf, "invalid address \"" DEFAULT_LISTEN "\"");
    return add_listener(cf, REM_STR(DEFAULT_LISTEN), &addr);
}

static const struct rem_directive admin_directives[] = {
    {"admin", REM_CTX_MAIN, REM_ARGS_0 | REM_ARGS_BLOCK, set_admin, REM_LEVEL_MAIN, 0, NULL},
    {"listen", REM_CTX_ADMIN, REM_ARGS_1, set_listen, REM_LEVEL_MAIN, 0, NULL},
    {"write", REM_CTX_ADMIN, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_MAIN,
     offsetof(struct admin_conf, write), NULL},
    REM_DIRECTIVE_END,
};

struct rem_module rem_admin_module = {
    .name = "admin",
    .kind = REM_MODULE_CORE,
    .directives = admin_directives,
    .create_main = create_admin,
};
