/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/early_hints.h"

#include "proxy/conf/set.h"
#include "proxy/http/http.h"

struct early_hints_conf {
    struct rem_array *conditions; /* of struct rem_value; UNSET_PTR until merged; NULL: none */
};

extern struct rem_module rem_early_hints_module;

bool rem_early_hints_wanted(struct rem_request *request)
{
    const struct early_hints_conf *conf = request->location_conf[rem_early_hints_module.index];

    for (uint32_t i = 0; conf->conditions != NULL && i < conf->conditions->n; i++) {
        struct rem_str text;

        if (rem_http_value(request, rem_array_at(conf->conditions, i), &text) != 0)
            return false;
        if (text.n != 0 && !rem_str_is(text, "0"))
            return true;
    }
    return false;
}

static int set_early_hints(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct early_hints_conf *hints = conf;

    (void)d;
    if (hints->conditions != REM_CONF_UNSET_PTR)
        return rem_conf_duplicate(cf);
    for (size_t i = 1; i < cf->n_args; i++) {
        struct rem_value *value = rem_set_push(cf, &hints->conditions, sizeof(*value));
        int rc = value != NULL ? rem_value_compile(cf, cf->args[i], value) : REM_ENOMEM;

        if (rc != 0)
            return rc;
    }
    return 0;
}

static void *create_location(struct rem_conf *cf)
{
    struct early_hints_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        conf->conditions = REM_CONF_UNSET_PTR;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct early_hints_conf *prev = parent;
    struct early_hints_conf *conf = child;

    (void)cf;
    rem_merge_ptr(conf->conditions, prev->conditions, NULL);
    return 0;
}

static const struct rem_directive directives[] = {
    {.name = "early_hints",
     .contexts = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION,
     .args = REM_ARGS_1MORE,
     .set = set_early_hints,
     .level = REM_LEVEL_LOCATION},
    REM_DIRECTIVE_END,
};

struct rem_module rem_early_hints_module = {
    .name = "early_hints",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
};
