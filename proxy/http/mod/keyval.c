/* SPDX-License-Identifier: Apache-2.0 */
/* keyval.c - keyval_zone and keyval: variables whose values are looked up in zones that the API
 * changes.
 *
 * A zone is a table of the registry (proto/shm/keyval.h): a lookup takes no lock and sees a request
 * of the API whole or not at all.  The zone's file is the agent's business.  */
#include "proto/shm/keyval.h"
#include "proxy/conf/array.h"
#include "proxy/conf/set.h"
#include "proxy/conf/value.h"
#include "proxy/http/core_var.h"
#include "proxy/http/http.h"
#include "proxy/net/setup.h"

struct zone {
    struct rem_keyval_spec spec;
    struct rem_table_ref ref; /* each worker's own, as all memory of a configuration is */
    bool declared;
    struct rem_conf_pos pos; /* where it was first mentioned */
};

struct keyval {
    struct rem_value key;
    struct zone *zone;
};

struct keyval_main {
    struct rem_array zones; /* of struct zone * */
};

extern struct rem_module rem_keyval_module;

/* ---- requests ---- */

static int get_keyval(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct keyval *keyval = v->data;
    struct rem_worker *worker = rem_core_var_request(e)->worker;
    const struct rem_clock *clock = &worker->loop.clock;
    const void *table;
    struct rem_str key, value;
    size_t size;
    int rc = rem_value_eval(&keyval->key, e, &key);

    if (rc != 0)
        return rc;
    table = rem_reader_table(&worker->reader, &keyval->zone->ref, &size);
    if (table == NULL || !rem_keyval_valid(rem_str_make(table, size), keyval->zone->spec.type) ||
        !rem_keyval_lookup(table, key, (uint64_t)clock->wall_sec * 1000 + clock->wall_msec, &value))
        return rem_core_var_absent(out);
    return rem_core_var_copy(e, out, value);
}

/* ---- configuration ---- */

static struct zone *zone_named(struct rem_conf *cf, struct keyval_main *conf, struct rem_str name)
{
    struct zone *zone, **place;

    for (uint32_t i = 0; i < conf->zones.n; i++) {
        zone = REM_ARRAY_OF(&conf->zones, struct zone *)[i];
        if (rem_str_eq(zone->spec.name, name))
            return zone;
    }
    zone = rem_arena_zalloc(cf->arena, sizeof(*zone));
    place = zone != NULL ? rem_array_push(cf->arena, &conf->zones) : NULL;
    if (place == NULL)
        return NULL;
    *place = zone;
    zone->spec.name = name;
    zone->pos = rem_conf_here(cf);
    rem_table_ref_init(&zone->ref, REM_TABLE_KEYVAL, name);
    return zone;
}

/* "zone=NAME:SIZE" */
static int parse_zone(struct rem_conf *cf, struct rem_str text, struct rem_keyval_spec *spec)
{
    const char *colon = rem_str_chr(text, ':');

    spec->name = rem_str_make(text.p, colon != NULL ? (size_t)(colon - text.p) : text.n);
    if (spec->name.n == 0 || spec->name.n > REM_TABLE_NAME_MAX)
        return rem_conf_error(cf, "invalid zone name \"%.*s\"", REM_STR_ARG(text));
    if (colon == NULL ||
        rem_conf_parse_size(rem_str_skip(text, spec->name.n + 1), &spec->size) != 0 ||
        spec->size > REM_KEYVAL_SIZE_MAX)
        return rem_conf_error(cf, "invalid zone size \"%.*s\"", REM_STR_ARG(text));
    if (spec->size < REM_KEYVAL_SIZE_MIN)
        return rem_conf_error(cf, "zone \"%.*s\" is too small", REM_STR_ARG(text));
    return 0;
}

static int parse_state(struct rem_conf *cf, struct rem_str path, struct rem_keyval_spec *spec)
{
    if (path.n == 0 || path.p[path.n - 1] == '/')
        return rem_conf_error(cf, "invalid state file \"%.*s\"", REM_STR_ARG(path));
    return rem_setup_add_state_file(cf, path, &spec->state);
}

static int parse_parameter(struct rem_conf *cf, struct rem_str arg, struct rem_keyval_spec *spec)
{
    const char *equals = rem_str_chr(arg, '=');
    struct rem_str name = rem_str_make(arg.p, equals != NULL ? (size_t)(equals - arg.p) : arg.n);
    struct rem_str value = equals != NULL ? rem_str_skip(arg, name.n + 1) : REM_STR("");
    int64_t ms = 0;

    if (equals != NULL && rem_str_is(name, "zone"))
        return parse_zone(cf, value, spec);
    if (equals != NULL && rem_str_is(name, "state"))
        return parse_state(cf, value, spec);
    if (equals != NULL && rem_str_is(name, "timeout")) {
        if (rem_conf_parse_msec(value, &ms) != 0 || ms == 0)
            return rem_conf_error(cf, "invalid timeout value \"%.*s\"", REM_STR_ARG(value));
        spec->timeout_ms = (uint64_t)ms;
        return 0;
    }
    if (equals != NULL && rem_str_is(name, "type")) {
        if (rem_keyval_type_parse(value, &spec->type) != 0)
            return rem_conf_error(cf, "invalid type \"%.*s\"", REM_STR_ARG(value));
        return 0;
    }
    if (rem_str_is(arg, "sync")) {
        rem_conf_warn(cf, "\"sync\" of \"keyval_zone\" has no effect: there is no zone_sync");
        return 0;
    }
    return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(arg));
}

static int set_zone(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_keyval_spec spec = {.type = REM_KEYVAL_STRING};
    struct zone *zone;

    (void)d;
    for (uint32_t i = 1; i < cf->n_args; i++) {
        int rc = parse_parameter(cf, cf->args[i], &spec);
        if (rc != 0)
            return rc;
    }
    if (spec.name.n == 0)
        return rem_conf_error(cf, "\"keyval_zone\" must have \"zone\" parameter");
    zone = zone_named(cf, conf, spec.name);
    if (zone == NULL)
        return rem_conf_nomem(cf);
    if (zone->declared)
        return rem_conf_error(cf, "duplicate keyval_zone \"%.*s\"", REM_STR_ARG(spec.name));
    zone->declared = true;
    zone->spec = spec;
    return rem_setup_add_keyval(cf->user, &spec) == 0 ? 0 : rem_conf_nomem(cf);
}

static int set_keyval(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    const struct rem_str lead = REM_STR("zone=");
    struct keyval *keyval = rem_arena_zalloc(cf->arena, sizeof(*keyval));
    struct rem_str name;
    struct rem_var *var;
    int rc;

    (void)d;
    if (keyval == NULL)
        return rem_conf_nomem(cf);
    rc = rem_conf_var_name(cf, cf->args[2], &name);
    if (rc != 0)
        return rc;
    if (!rem_str_has_prefix(cf->args[3], lead) || cf->args[3].n == lead.n)
        return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(cf->args[3]));
    rc = rem_value_compile(cf, cf->args[1], &keyval->key);
    if (rc != 0)
        return rc;
    keyval->zone = zone_named(cf, conf, rem_str_skip(cf->args[3], lead.n));
    if (keyval->zone == NULL)
        return rem_conf_nomem(cf);
    return rem_conf_var_add(cf, name, get_keyval, keyval, REM_VAR_CHANGEABLE, &var);
}

static void *create_main(struct rem_conf *cf)
{
    struct keyval_main *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        rem_array_init(&conf->zones, sizeof(struct zone *));
    return conf;
}

static int init_main(struct rem_conf *cf, void *data)
{
    const struct keyval_main *conf = data;

    for (uint32_t i = 0; i < conf->zones.n; i++) {
        const struct zone *zone = REM_ARRAY_OF(&conf->zones, struct zone *)[i];

        if (!zone->declared)
            return rem_conf_error_at(cf, zone->pos, "zero size shared memory zone \"%.*s\"",
                                     REM_STR_ARG(zone->spec.name));
    }
    return 0;
}

static const struct rem_directive directives[] = {
    {"keyval_zone", REM_CTX_HTTP, REM_ARGS_1MORE, set_zone, REM_LEVEL_MAIN, 0, NULL},
    {"keyval", REM_CTX_HTTP, REM_ARGS_3, set_keyval, REM_LEVEL_MAIN, 0, NULL},
    REM_DIRECTIVE_END,
};

struct rem_module rem_keyval_module = {
    .name = "keyval",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_main = create_main,
    .init_main = init_main,
};
