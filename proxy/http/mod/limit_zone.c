/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/limit_zone.h"

#include "proxy/http/core_var.h"
#include "proxy/net/setup.h"

const struct rem_conf_choice rem_limit_log_levels[] = {
    {"info", REM_LOG_INFO},
    {"notice", REM_LOG_NOTICE},
    {"warn", REM_LOG_WARN},
    {"error", REM_LOG_ERROR},
    {NULL, 0},
};

int rem_limit_set_status(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    int64_t *field = (int64_t *)(void *)((char *)conf + d->offset);
    int64_t status;

    if (*field != REM_CONF_UNSET)
        return rem_conf_duplicate(cf);
    if (rem_conf_parse_num(cf->args[1], &status) != REM_OK)
        return rem_conf_error(cf, "invalid number");
    if (status < 400 || status > 599)
        return rem_conf_error(cf, "value must be between 400 and 599");
    *field = status;
    return 0;
}

/* ---- zones ---- */

/* The zone of a name, made undefined if need be; NULL without memory (reported). */
static struct rem_limit_zone *zone_named(struct rem_conf *cf, struct rem_array *zones,
                                         struct rem_str name)
{
    struct rem_limit_zone *zone, **slot;

    for (uint32_t i = 0; i < zones->n; i++) {
        zone = REM_ARRAY_OF(zones, struct rem_limit_zone *)[i];
        if (rem_str_eq(zone->name, name))
            return zone;
    }
    zone = rem_arena_zalloc(cf->arena, sizeof(*zone));
    slot = zone != NULL ? rem_array_push(cf->arena, zones) : NULL;
    if (slot == NULL) {
        (void)rem_conf_nomem(cf);
        return NULL;
    }
    zone->name = name;
    zone->pos = rem_conf_here(cf);
    *slot = zone;
    return zone;
}

int rem_limit_zone_use(struct rem_conf *cf, struct rem_limit_main *main,
                       const struct rem_limit_conf *conf, struct rem_str name,
                       const struct rem_limit_zone **out)
{
    const struct rem_limit_zone *zone = zone_named(cf, &main->zones, name);

    if (zone == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; conf->limits != NULL && i < conf->limits->n; i++) {
        const struct rem_limit_zone *const *used = rem_array_at(conf->limits, i);

        if (*used == zone)
            return rem_conf_duplicate(cf);
    }
    *out = zone;
    return 0;
}

static int used_otherwise(struct rem_conf *cf, struct rem_conf_pos pos, struct rem_str name)
{
    return rem_conf_error_at(
        cf, pos, "the shared memory zone \"%.*s\" is already declared for a different use",
        REM_STR_ARG(name));
}

/* The name is taken: says by what. */
static int clash(struct rem_conf *cf, const struct rem_zone *old, const struct rem_zone *spec)
{
    if (old->kind != spec->kind)
        return used_otherwise(cf, rem_conf_here(cf), spec->name);
    if (old->size != spec->size)
        return rem_conf_error(cf,
                              "the size %zu of shared memory zone \"%.*s\" conflicts with already "
                              "declared size %zu",
                              spec->size, REM_STR_ARG(spec->name), old->size);
    return rem_conf_error(cf, "%s \"%.*s\" is already bound to key \"%.*s\"", cf->args[0].p,
                          REM_STR_ARG(spec->name), REM_STR_ARG(old->tag));
}

/* Splits "zone=NAME:SIZE". */
static int parse_zone(struct rem_conf *cf, struct rem_str arg, struct rem_zone *spec)
{
    struct rem_str text = rem_str_skip(arg, strlen("zone="));
    const char *colon = rem_str_chr(text, ':');

    spec->name = rem_str_make(text.p, colon != NULL ? (size_t)(colon - text.p) : text.n);
    if (colon == NULL ||
        rem_conf_parse_size(rem_str_skip(text, spec->name.n + 1), &spec->size) != REM_OK)
        return rem_conf_error(cf, "invalid zone size \"%.*s\"", REM_STR_ARG(arg));
    if (spec->size < REM_ZONE_SIZE_MIN)
        return rem_conf_error(cf, "zone \"%.*s\" is too small", REM_STR_ARG(arg));
    if (spec->name.n == 0)
        return rem_conf_error(cf, "\"%s\" must have \"zone\" parameter", cf->args[0].p);
    return 0;
}

int rem_limit_zone_define(struct rem_conf *cf, struct rem_array *zones, struct rem_str arg,
                          enum rem_zone_kind kind, uint32_t value_size, struct rem_limit_zone **out)
{
    struct rem_setup *setup = cf->user;
    struct rem_zone spec = {.kind = kind, .value_size = value_size, .tag = cf->args[1]};
    struct rem_limit_zone *zone;
    struct rem_zone *memory;
    int rc = parse_zone(cf, arg, &spec);

    if (rc != 0)
        return rc;
    rc = rem_zone_declare(&setup->zones, cf->arena, &spec, &memory);
    if (rc == REM_EEXIST)
        return clash(cf, rem_zone_find(setup->zones, spec.name), &spec);
    if (rc == REM_EINVAL)
        return rem_conf_error(cf, "invalid zone size \"%.*s\"", REM_STR_ARG(arg));
    if (rc != REM_OK)
        return rem_conf_nomem(cf);
    zone = zone_named(cf, zones, spec.name);
    if (zone == NULL)
        return REM_ENOMEM;
    zone->memory = memory;
    *out = zone;
    rc = rem_stat_declare(&setup->stats, cf->arena,
                          kind == REM_ZONE_LIMIT_REQ ? REM_STAT_LIMIT_REQ : REM_STAT_LIMIT_CONN,
                          spec.name, &zone->stat);
    if (rc == REM_EINVAL)
        return rem_conf_error(cf, "the name of zone \"%.*s\" is too long", REM_STR_ARG(spec.name));
    if (rc != REM_OK)
        return rem_conf_nomem(cf);
    return rem_value_compile(cf, cf->args[1], &zone->key);
}

int rem_limit_main_check(struct rem_conf *cf, void *conf)
{
    const struct rem_array *zones = &((struct rem_limit_main *)conf)->zones;
    struct rem_setup *setup = cf->user;

    for (uint32_t i = 0; i < zones->n; i++) {
        const struct rem_limit_zone *zone = REM_ARRAY_OF(zones, struct rem_limit_zone *)[i];

        if (zone->memory != NULL)
            continue;
        if (rem_zone_find(setup->zones, zone->name) != NULL)
            return used_otherwise(cf, zone->pos, zone->name);
        return rem_conf_error_at(cf, zone->pos, "zero size shared memory zone \"%.*s\"",
                                 REM_STR_ARG(zone->name));
    }
    return 0;
}

/* ---- requests ---- */

bool rem_limit_zone_key(struct rem_request *request, const struct rem_limit_zone *zone,
                        struct rem_str *key, int *rc)
{
    *rc = REM_HTTP_OK;
    if (rem_http_value(request, &zone->key, key) != REM_OK) {
        *rc = 500;
        return false;
    }
    if (key->n > REM_ZONE_KEY_MAX) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0,
                   "the value of the \"%.*s\" key is more than 65535 bytes: \"%.*s\"",
                   REM_STR_ARG(zone->key.text), REM_STR_ARG(*key));
        return false;
    }
    return key->n != 0;
}

void rem_limit_zone_count(const struct rem_limit_zone *zone, enum rem_limit_status status)
{
    struct rem_stat_limit_line *line = zone->stat->line;
    _Atomic uint64_t *counter = NULL;

    if (line == NULL)
        return;
    switch (status) {
    case REM_LIMIT_PASSED:
        counter = &line->passed;
        break;
    case REM_LIMIT_DELAYED:
        counter = &line->delayed;
        break;
    case REM_LIMIT_REJECTED:
        counter = &line->rejected;
        break;
    case REM_LIMIT_DELAYED_DRY_RUN:
        counter = &line->delayed_dry_run;
        break;
    case REM_LIMIT_REJECTED_DRY_RUN:
        counter = &line->rejected_dry_run;
        break;
    case REM_LIMIT_NONE:
        return;
    }
    /* relaxed: each counter stands alone */
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

int rem_limit_status_text(struct rem_var_value *out, enum rem_limit_status status)
{
    static const char *const names[] = {
        [REM_LIMIT_NONE] = "",
        [REM_LIMIT_PASSED] = "PASSED",
        [REM_LIMIT_DELAYED] = "DELAYED",
        [REM_LIMIT_REJECTED] = "REJECTED",
        [REM_LIMIT_DELAYED_DRY_RUN] = "DELAYED_DRY_RUN",
        [REM_LIMIT_REJECTED_DRY_RUN] = "REJECTED_DRY_RUN",
    };

    if (status == REM_LIMIT_NONE)
        return rem_core_var_absent(out);
    return rem_core_var_text(out, rem_str_from(names[status]));
}

/* ---- what both modules keep ---- */

void *rem_limit_main_new(struct rem_conf *cf)
{
    struct rem_limit_main *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        rem_array_init(&conf->zones, sizeof(struct rem_limit_zone *));
    return conf;
}

void *rem_limit_conf_new(struct rem_conf *cf)
{
    struct rem_limit_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    conf->log_level = REM_CONF_UNSET;
    conf->status = REM_CONF_UNSET;
    conf->dry_run = REM_CONF_UNSET;
    return conf;
}

int rem_limit_conf_merge(struct rem_conf *cf, void *parent, void *child)
{
    const struct rem_limit_conf *prev = parent;
    struct rem_limit_conf *conf = child;

    (void)cf;
    if (conf->limits == NULL)
        conf->limits = prev->limits;
    rem_merge_enum(&conf->log_level, prev->log_level, REM_LOG_ERROR);
    rem_merge_num(&conf->status, prev->status, 503);
    rem_merge_flag(&conf->dry_run, prev->dry_run, 0);
    return 0;
}
