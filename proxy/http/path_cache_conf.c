/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a cache of paths, as open_file_cache and open_log_file_cache have them. */
#include "proxy/conf/conf.h"
#include "proxy/conf/set.h"
#include "proxy/http/path_cache.h"

static int parse_parameter(struct rem_conf *cf, struct rem_str arg, bool all,
                           struct rem_path_cache *cache)
{
    struct rem_str value;
    int64_t n;

    if (rem_str_take_prefix(arg, "max=", &value) && rem_conf_parse_num(value, &n) == 0 &&
        n >= !all && n <= UINT32_MAX)
        cache->max = (uint32_t)n;
    else if (all && rem_str_take_prefix(arg, "min_uses=", &value) &&
             rem_conf_parse_num(value, &n) == 0 && n <= UINT32_MAX)
        cache->min_uses = (uint32_t)n;
    else if (rem_str_take_prefix(arg, "inactive=", &value) && rem_conf_parse_sec(value, &n) == 0)
        cache->inactive_ms = (uint64_t)n * 1000;
    else if (all && rem_str_take_prefix(arg, "valid=", &value) &&
             rem_conf_parse_sec(value, &n) == 0)
        cache->valid_ms = (uint64_t)n * 1000;
    else
        return rem_conf_error(cf, "invalid \"%.*s\" parameter \"%.*s\"", REM_STR_ARG(cf->args[0]),
                              REM_STR_ARG(arg));
    return 0;
}

int rem_path_cache_parse(struct rem_conf *cf, const struct rem_path_cache *defaults, bool all,
                         struct rem_path_cache **out)
{
    struct rem_path_cache *cache;

    *out = NULL;
    if (cf->n_args == 2 && rem_str_is(cf->args[1], "off"))
        return 0;
    cache = rem_arena_zalloc(cf->arena, sizeof(*cache));
    if (cache == NULL)
        return rem_conf_nomem(cf);
    *cache = *defaults;
    for (size_t i = 1; i < cf->n_args; i++) {
        int rc = parse_parameter(cf, cf->args[i], all, cache);

        if (rc != 0)
            return rc;
    }
    if (cache->max == 0)
        return rem_conf_error(cf, "\"%.*s\" must have %s\"max\" parameter",
                              REM_STR_ARG(cf->args[0]), all ? "" : "the ");
    *out = cache;
    return 0;
}
