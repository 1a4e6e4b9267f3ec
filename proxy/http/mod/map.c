/* SPDX-License-Identifier: Apache-2.0 */
/* map.c - map: a variable whose value depends on what others are.
 *
 * Order:      the text itself; with `hostnames` the longest "*.x", then the longest "x.*"; the
 *             regexes in the order of the file; default.
 * Cost:       one hash lookup, and the regexes.  */
#include "proxy/conf/array.h"
#include "proxy/conf/capture.h"
#include "proxy/conf/hostmap.h"
#include "proxy/conf/set.h"
#include "proxy/conf/value.h"
#include "proxy/http/core.h"
#include "proxy/http/core_var.h"

struct map_regex {
    struct rem_capture regex;
    struct rem_value *value;
};

struct map {
    struct rem_value source;
    struct rem_hostmap names; /* of struct rem_value *; without `hostnames` only the exact ones */
    struct rem_array regexes; /* of struct map_regex */
    struct rem_value *fallback;
    bool hostnames;
    bool is_volatile;
};

extern struct rem_module rem_map_module;

/* ---- requests ---- */

static int find_regex(const struct map *map, struct rem_eval *e, struct rem_str text,
                      const struct rem_value **out)
{
    for (uint32_t i = 0; i < map->regexes.n; i++) {
        const struct map_regex *entry = rem_array_at(&map->regexes, i);
        int rc = rem_capture_match(&entry->regex, e, text);

        if (rc < 0)
            return rc;
        if (rc > 0) {
            *out = entry->value;
            return 0;
        }
    }
    return 0;
}

static int evaluate(const struct map *map, struct rem_eval *e, struct rem_var_value *out)
{
    const struct rem_value *value;
    struct rem_str text;
    int rc = rem_value_eval(&map->source, e, &text);

    if (rc != 0)
        return rc;
    if (map->hostnames && text.n != 0 && text.p[text.n - 1] == '.')
        text.n--;
    value = rem_hostmap_find(&map->names, text);
    if (value == NULL)
        rc = find_regex(map, e, text, &value);
    if (rc != 0)
        return rc;
    if (value == NULL)
        value = map->fallback;
    if (value == NULL)
        return rem_core_var_text(out, REM_STR(""));
    rc = rem_value_eval(value, e, &text);
    return rc != 0 ? rc : rem_core_var_text(out, text);
}

static int get_map(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    int rc = evaluate(v->data, e, out);

    /* Said once, by the variable that was asked for first. */
    if (rc == REM_EINVAL && e->depth == 1)
        REM_LOG_IN(&rem_core_var_request(e)->log, REM_LOG_ERROR, 0,
                   "cycle while evaluating variable \"%.*s\"",
                   REM_STR_ARG(e->failed != NULL ? e->failed->name : v->name));
    return rc;
}

/* ---- configuration ---- */

static struct rem_value *new_value(struct rem_conf *cf, struct rem_str text)
{
    struct rem_value *value = rem_arena_zalloc(cf->arena, sizeof(*value));

    if (value == NULL) {
        (void)rem_conf_nomem(cf);
        return NULL;
    }
    return rem_value_compile(cf, text, value) == 0 ? value : NULL;
}

static int add_regex(struct rem_conf *cf, struct map *map, struct rem_str pattern,
                     struct rem_value *value)
{
    struct map_regex *entry = rem_array_push(cf->arena, &map->regexes);
    uint32_t flags = 0;

    if (entry == NULL)
        return rem_conf_nomem(cf);
    if (pattern.n != 0 && pattern.p[0] == '*') {
        flags = REM_REGEX_NOCASE;
        pattern = rem_str_skip(pattern, 1);
    }
    entry->value = value;
    return rem_capture_compile(cf, pattern, flags, &entry->regex);
}

static int add_name(struct rem_conf *cf, struct map *map, struct rem_str key,
                    struct rem_value *value)
{
    int rc;

    if (key.n != 0 && key.p[0] == '\\')
        key = rem_str_skip(key, 1);
    rc = map->hostnames ? rem_hostmap_add(&map->names, key, value)
                        : rem_strmap_add(&map->names.exact, key, value);
    if (rc == REM_EEXIST)
        return rem_conf_error(cf, "conflicting parameter \"%.*s\"", REM_STR_ARG(key));
    if (rc == REM_EINVAL)
        return rem_conf_error(cf, "invalid hostname or wildcard \"%.*s\"", REM_STR_ARG(key));
    return rc != 0 ? rem_conf_nomem(cf) : 0;
}

static int on_line(struct rem_conf *cf, void *data)
{
    struct map *map = data;
    struct rem_str key = cf->args[0];
    struct rem_value *value;

    if (cf->n_args == 1 && rem_str_is(key, "hostnames")) {
        map->hostnames = true;
        return 0;
    }
    if (cf->n_args == 1 && rem_str_is(key, "volatile")) {
        map->is_volatile = true;
        return 0;
    }
    if (cf->n_args != 2)
        return rem_conf_error(cf, "invalid number of the map parameters");
    if (rem_str_is(key, "include"))
        return rem_conf_include(cf);
    value = new_value(cf, cf->args[1]);
    if (value == NULL)
        return REM_EINVAL;
    if (rem_str_is(key, "default")) {
        if (map->fallback != NULL)
            return rem_conf_error(cf, "duplicate default map parameter");
        map->fallback = value;
        return 0;
    }
    if (key.n != 0 && key.p[0] == '~')
        return add_regex(cf, map, rem_str_skip(key, 1), value);
    return add_name(cf, map, key, value);
}

static int set_map(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct map *map = rem_arena_zalloc(cf->arena, sizeof(*map));
    struct rem_str name;
    struct rem_var *var;
    int rc;

    (void)d;
    (void)conf;
    if (map == NULL)
        return rem_conf_nomem(cf);
    rem_hostmap_init(&map->names, cf->arena);
    rem_array_init(&map->regexes, sizeof(struct map_regex));
    rc = rem_conf_var_name(cf, cf->args[2], &name);
    if (rc == 0)
        rc = rem_value_compile(cf, cf->args[1], &map->source);
    if (rc == 0)
        rc =
            rem_conf_var_add(cf, name, get_map, map, REM_VAR_CHANGEABLE | REM_VAR_CLIENTLESS, &var);
    if (rc == 0)
        rc = rem_conf_block_lines(cf, on_line, map);
    if (rc == 0 && map->is_volatile)
        var->flags |= REM_VAR_NOCACHE;
    return rc;
}

static const struct rem_directive directives[] = {
    {"map", REM_CTX_HTTP, REM_ARGS_2 | REM_ARGS_BLOCK, set_map, REM_LEVEL_NONE, 0, NULL},
    {"map_hash_max_size", REM_CTX_HTTP, REM_ARGS_1, rem_set_without_effect, REM_LEVEL_NONE, 0,
     NULL},
    {"map_hash_bucket_size", REM_CTX_HTTP, REM_ARGS_1, rem_set_without_effect, REM_LEVEL_NONE, 0,
     NULL},
    REM_DIRECTIVE_END,
};

struct rem_module rem_map_module = {
    .name = "map",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
};
