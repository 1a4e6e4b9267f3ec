/* SPDX-License-Identifier: Apache-2.0 */
/* referer.c - valid_referers, and $invalid_referer: "1" where a request comes from another place.
 *
 * Names match hosts, and the path behind where one is given; regexes match all that stands behind
 * the scheme; the regexes among server names match the host.  */
#include "proxy/conf/array.h"
#include "proxy/conf/capture.h"
#include "proxy/conf/hostmap.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/core_names.h"
#include "proxy/http/core_var.h"

enum {
    SHORTEST = sizeof("http://i.ru") - 1, /* what is shorter names no place */
    HOST_MAX = 256,
};

/* The paths that are valid behind a host. */
struct place {
    struct rem_str path; /* empty: any */
};

struct referer_conf {
    bool given;        /* here, not above */
    bool none;         /* no field at all is fine */
    bool blocked;      /* as is one that somebody has emptied or garbled */
    bool server_names; /* to be added when all are known */
    bool any_names;
    struct rem_hostmap hosts;      /* of struct place * */
    struct rem_array regexes;      /* of struct rem_capture *: for all behind the scheme */
    const struct rem_array *names; /* of struct rem_http_server_name, with server_names */
};

extern struct rem_module rem_referer_module;

/* ---- requests ---- */

/* What stands behind "http://" or "https://"; .p NULL where neither is there. */
static struct rem_str behind_scheme(struct rem_str text)
{
    const struct rem_str http = REM_STR("http://"), https = REM_STR("https://");

    if (text.n < SHORTEST)
        return (struct rem_str){NULL, 0};
    if (rem_str_eq_nocase(rem_str_make(text.p, http.n), http))
        return rem_str_skip(text, http.n);
    if (rem_str_eq_nocase(rem_str_make(text.p, https.n), https))
        return rem_str_skip(text, https.n);
    return (struct rem_str){NULL, 0};
}

/* Returns 1 valid, 0 not, negative. */
static int match_regexes(const struct referer_conf *conf, struct rem_eval *e, struct rem_str text)
{
    for (uint32_t i = 0; i < conf->regexes.n; i++) {
        struct rem_capture *const *regex = rem_array_at(&conf->regexes, i);
        int rc = rem_capture_match(*regex, e, text);

        if (rc != 0)
            return rc;
    }
    return 0;
}

static int match_server_names(const struct referer_conf *conf, struct rem_eval *e,
                              struct rem_str host)
{
    for (uint32_t i = 0; conf->names != NULL && i < conf->names->n; i++) {
        const struct rem_http_server_name *name = rem_array_at(conf->names, i);
        int rc = name->regex != NULL ? rem_capture_match(name->regex, e, host) : 0;

        if (rc != 0)
            return rc;
    }
    return 0;
}

static int is_valid(const struct referer_conf *conf, struct rem_eval *e, struct rem_str referer)
{
    struct rem_str rest = behind_scheme(referer), host, path;
    const struct place *place;
    int rc;

    if (rest.p == NULL)
        return conf->blocked;
    host = rest;
    for (host.n = 0; host.n < rest.n && rest.p[host.n] != '/' && rest.p[host.n] != ':'; host.n++) {
        if (host.n == HOST_MAX)
            return 0;
    }
    place = rem_hostmap_find(&conf->hosts, host);
    if (place != NULL) {
        path = rem_str_skip(rest, host.n);
        while (path.n != 0 && path.p[0] != '/')
            path = rem_str_skip(path, 1);
        return rem_str_has_prefix(path, place->path);
    }
    rc = match_server_names(conf, e, host);
    return rc != 0 ? rc : match_regexes(conf, e, rest);
}

static int get_invalid(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);
    const struct referer_conf *conf = request->location_conf[rem_referer_module.index];
    const struct rem_field *field = rem_fields_find(&request->fields, REM_FIELD_REFERER);
    int valid;

    (void)v;
    if (!conf->any_names)
        valid = 1;
    else if (field == NULL)
        valid = conf->none;
    else
        valid = is_valid(conf, e, field->value);
    if (valid < 0)
        return valid;
    return rem_core_var_text(out, valid != 0 ? REM_STR("") : REM_STR("1"));
}

/* ---- configuration ---- */

static void *create_location(struct rem_conf *cf)
{
    struct referer_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL) {
        rem_hostmap_init(&conf->hosts, cf->arena);
        rem_array_init(&conf->regexes, sizeof(struct rem_capture *));
    }
    return conf;
}

static int add_name(struct rem_conf *cf, struct referer_conf *conf, struct rem_str name)
{
    struct place *place = rem_arena_zalloc(cf->arena, sizeof(*place));
    const char *slash = rem_str_chr(name, '/');
    struct rem_str host = name;
    int rc;

    if (place == NULL)
        return rem_conf_nomem(cf);
    if (slash != NULL) {
        host.n = (size_t)(slash - name.p);
        place->path = rem_str_skip(name, host.n);
    }
    rc = rem_hostmap_add(&conf->hosts, host, place);
    conf->any_names = true;
    if (rc == REM_EEXIST)
        return rem_conf_error(cf, "conflicting parameter \"%.*s\"", REM_STR_ARG(name));
    if (rc == REM_EINVAL)
        return rem_conf_error(cf, "invalid hostname or wildcard \"%.*s\"", REM_STR_ARG(name));
    return rc != 0 ? rem_conf_nomem(cf) : 0;
}

static int add_regex(struct rem_conf *cf, struct referer_conf *conf, struct rem_str pattern)
{
    struct rem_capture *regex = rem_arena_zalloc(cf->arena, sizeof(*regex));
    struct rem_capture **slot = rem_array_push(cf->arena, &conf->regexes);

    if (regex == NULL || slot == NULL)
        return rem_conf_nomem(cf);
    if (pattern.n == 0)
        return rem_conf_error(cf, "empty regex in \"~\"");
    *slot = regex;
    conf->any_names = true;
    return rem_capture_compile(cf, pattern, REM_REGEX_NOCASE, regex);
}

static int set_valid(struct rem_conf *cf, const struct rem_directive *d, void *data)
{
    struct referer_conf *conf = data;

    (void)d;
    conf->given = true;
    for (size_t i = 1; i < cf->n_args; i++) {
        struct rem_str arg = cf->args[i];
        int rc = 0;

        if (arg.n == 0)
            return rem_conf_error(cf, "invalid referer \"\"");
        if (rem_str_is(arg, "none"))
            conf->none = true;
        else if (rem_str_is(arg, "blocked"))
            conf->blocked = true;
        else if (rem_str_is(arg, "server_names"))
            conf->server_names = conf->any_names = true;
        else if (arg.p[0] == '~')
            rc = add_regex(cf, conf, rem_str_skip(arg, 1));
        else if (rem_str_has_prefix(arg, REM_STR("http://")) ||
                 rem_str_has_prefix(arg, REM_STR("https://")))
            rc = rem_conf_error(cf, "invalid hostname or wildcard \"%.*s\"", REM_STR_ARG(arg));
        else
            rc = add_name(cf, conf, arg);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Names that are in the list already stay as they are. */
static int add_server_names(struct rem_conf *cf, struct referer_conf *conf)
{
    const struct rem_http_server_conf *server = rem_conf_server(cf, &rem_http_core_module);

    conf->names = &server->names;
    for (uint32_t i = 0; i < server->names.n; i++) {
        const struct rem_http_server_name *name = rem_array_at(&server->names, i);
        struct place *place = rem_arena_zalloc(cf->arena, sizeof(*place));
        int rc;

        if (place == NULL)
            return rem_conf_nomem(cf);
        if (name->regex != NULL || name->name.n == 0)
            continue;
        rc = rem_hostmap_add(&conf->hosts, name->name, place);
        if (rc != 0 && rc != REM_EEXIST)
            return rc;
    }
    return 0;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct referer_conf *prev = parent;
    struct referer_conf *conf = child;

    if (!conf->given) {
        bool given = prev->given;

        *conf = *prev;
        conf->given = given;
        return 0;
    }
    if (!conf->any_names)
        return rem_conf_error(cf, "the \"none\" or \"blocked\" referers are specified in the "
                                  "\"valid_referers\" directive without any valid referer");
    return conf->server_names ? add_server_names(cf, conf) : 0;
}

static int add_variables(struct rem_http_setup *setup)
{
    static const struct rem_core_var_def defs[] = {
        {"invalid_referer", get_invalid, NULL, REM_VAR_CHANGEABLE | REM_VAR_NOCACHE},
    };

    return rem_core_var_define(setup->vars, defs, REM_COUNT(defs));
}

enum { SL = REM_CTX_SERVER | REM_CTX_LOCATION };

static const struct rem_directive directives[] = {
    {"valid_referers", SL, REM_ARGS_1MORE, set_valid, REM_LEVEL_LOCATION, 0, NULL},
    {"referer_hash_max_size", SL, REM_ARGS_1, rem_set_without_effect, REM_LEVEL_NONE, 0, NULL},
    {"referer_hash_bucket_size", SL, REM_ARGS_1, rem_set_without_effect, REM_LEVEL_NONE, 0, NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.variables = add_variables};

struct rem_module rem_referer_module = {
    .name = "referer",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
