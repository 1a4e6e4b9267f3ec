/* SPDX-License-Identifier: Apache-2.0 */
/* access.c - allow and deny by the client's address; the first rule that fits decides.
 *
 * Phase:      access.  Inheritance: a level with any rule has none of its parent's.  */
#include "proto/base/cidr.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"

struct rule {
    struct rem_cidr range;
    bool deny;
};

struct access_conf {
    struct rem_array *rules; /* of struct rule; NULL: none */
};

extern struct rem_module rem_access_module;

static void *create_location(struct rem_conf *cf)
{
    return rem_arena_zalloc(cf->arena, sizeof(struct access_conf));
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct access_conf *prev = parent;
    struct access_conf *conf = child;

    (void)cf;
    if (conf->rules == NULL)
        conf->rules = prev->rules;
    return 0;
}

static int set_rule(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct access_conf *location = conf;
    struct rem_str text = cf->args[1];
    struct rem_cidr range = {.family = AF_UNSPEC};
    struct rule *rule;
    bool low;

    (void)d;
    if (!rem_str_is(text, "all")) {
        if (rem_cidr_parse(text, &range, &low) != REM_OK)
            return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(text));
        if (low)
            rem_conf_warn(cf, "low address bits of %.*s are meaningless", REM_STR_ARG(text));
    }
    rule = rem_set_push(cf, &location->rules, sizeof(struct rule));
    if (rule == NULL)
        return REM_ENOMEM;
    *rule = (struct rule){range, rem_str_is(cf->args[0], "deny")};
    return 0;
}

static int on_access(struct rem_request *request)
{
    const struct access_conf *conf = request->location_conf[rem_access_module.index];
    const struct rule *rules;

    if (conf->rules == NULL)
        return REM_HTTP_DECLINED;
    rules = REM_ARRAY_OF(conf->rules, const struct rule);
    for (uint32_t i = 0; i < conf->rules->n; i++) {
        if (!rem_cidr_has(&rules[i].range, request->peer))
            continue;
        if (!rules[i].deny)
            return REM_HTTP_OK;
        /* Where one of several kinds of access will do, the others may still grant it. */
        if (rem_core_location(request)->satisfy == REM_SATISFY_ALL)
            REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "access forbidden by rule");
        return 403;
    }
    return REM_HTTP_DECLINED;
}

static int install(struct rem_http_setup *setup)
{
    return rem_http_add_handler(setup, REM_PHASE_ACCESS, on_access);
}

enum { HSLX = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION | REM_CTX_LIMIT_EXCEPT };

static const struct rem_directive directives[] = {
    {"allow", HSLX, REM_ARGS_1, set_rule, REM_LEVEL_LOCATION, 0, NULL},
    {"deny", HSLX, REM_ARGS_1, set_rule, REM_LEVEL_LOCATION, 0, NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.install = install};

struct rem_module rem_access_module = {
    .name = "access",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
