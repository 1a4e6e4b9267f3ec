/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/gzip_accept.h"

#include "proto/base/regex.h"
#include "proto/wire/date.h"
#include "proxy/conf/set.h"
#include "proxy/http/core.h"
#include "proxy/http/response.h"

/* gzip_proxied: when a request that came through another proxy may be answered so. */
enum proxied {
    PROXIED_OFF = 1 << 0,
    PROXIED_EXPIRED = 1 << 1,
    PROXIED_NO_CACHE = 1 << 2,
    PROXIED_NO_STORE = 1 << 3,
    PROXIED_PRIVATE = 1 << 4,
    PROXIED_NO_LAST_MODIFIED = 1 << 5,
    PROXIED_NO_ETAG = 1 << 6,
    PROXIED_AUTH = 1 << 7,
    PROXIED_ANY = 1 << 8,
};

struct accept_conf {
    int http_version;
    int vary;
    uint32_t proxied;
    struct rem_array *disable; /* of struct rem_regex *, over User-Agent; NULL: none */
};

extern struct rem_module rem_gzip_accept_module;

static void *create_location(struct rem_conf *cf)
{
    struct accept_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf == NULL)
        return NULL;
    conf->http_version = REM_CONF_UNSET;
    conf->vary = REM_CONF_UNSET;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct accept_conf *prev = parent;
    struct accept_conf *conf = child;

    (void)cf;
    rem_merge_enum(&conf->http_version, prev->http_version, 11);
    rem_merge_flag(&conf->vary, prev->vary, 0);
    rem_merge_bitmask(&conf->proxied, prev->proxied, PROXIED_OFF);
    if (conf->disable == NULL)
        conf->disable = prev->disable;
    return 0;
}

static int add_agent(struct rem_conf *cf, struct accept_conf *conf, struct rem_str pattern)
{
    struct rem_err err = {0};
    struct rem_regex **regex = rem_set_push(cf, &conf->disable, sizeof(*regex));

    if (regex == NULL)
        return REM_ENOMEM;
    /* A name for browsers whose decompression was broken; those of service pack 2 and later say
     * so. */
    if (rem_str_is(pattern, "msie6"))
        pattern = REM_STR("MSIE ([45]\\.|6\\.(?!.*SV1))");
    if (rem_regex_new(cf->arena, pattern, REM_REGEX_NOCASE, regex, &err) != 0)
        return rem_conf_error(cf, "%s", err.text);
    return 0;
}

static int set_disable(struct rem_conf *cf, const struct rem_directive *d, void *data)
{
    struct accept_conf *conf = data;

    (void)d;
    for (size_t i = 1; i < cf->n_args; i++) {
        int rc = add_agent(cf, conf, cf->args[i]);

        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- what the client says ---- */

/* A weight ("0.5"): whether it is above 0.  What is no weight means no. */
static bool is_wanted(struct rem_str weight)
{
    bool above = false;

    if (weight.n == 0 || weight.n > 5 || (weight.p[0] != '0' && weight.p[0] != '1') ||
        (weight.n > 1 && weight.p[1] != '.'))
        return false;
    for (size_t i = 0; i < weight.n; i++) {
        if (i != 1 && !rem_is_digit(weight.p[i]))
            return false;
        above = above || (i != 1 && weight.p[i] != '0');
    }
    return above;
}

bool rem_gzip_listed(struct rem_str list)
{
    struct rem_str item;

    while (rem_field_list_next(&list, &item)) {
        const char *semicolon = rem_str_chr(item, ';');
        size_t n = semicolon != NULL ? (size_t)(semicolon - item.p) : item.n;
        struct rem_str rest;

        if (!rem_str_eq_nocase(rem_str_trim(rem_str_make(item.p, n)), REM_STR("gzip")))
            continue;
        if (semicolon == NULL)
            return true;
        rest = rem_str_trim(rem_str_skip(item, n + 1));
        return rest.n > 2 && rem_lower(rest.p[0]) == 'q' && rest.p[1] == '=' &&
               is_wanted(rem_str_skip(rest, 2));
    }
    return false;
}

/* ---- what the location says ---- */

static bool is_expired(const struct rem_request *request)
{
    const struct rem_response *response = &request->response;
    struct rem_str expires = rem_response_field(response, REM_FIELD_EXPIRES);
    struct rem_str date = rem_response_field(response, REM_FIELD_DATE);
    time_t now = request->worker->loop.clock.wall_sec, until, from = now;

    if (expires.n == 0 || rem_date_parse(expires, now, &until) != 0)
        return expires.n != 0; /* what is no date lies in the past */
    if (date.n != 0 && rem_date_parse(date, now, &from) != 0)
        from = now;
    return until < from;
}

/* Whether one of the directives that `proxied` lists stands in a Cache-Control. */
static bool is_uncached(const struct rem_response *response, uint32_t proxied)
{
    REM_FIELDS_EACH(field, &response->fields) {
        struct rem_str rest = field->value, item;

        if (field->id != REM_FIELD_CACHE_CONTROL)
            continue;
        while (rem_field_list_next(&rest, &item)) {
            if (((proxied & PROXIED_NO_CACHE) != 0 &&
                 rem_str_eq_nocase(item, REM_STR("no-cache"))) ||
                ((proxied & PROXIED_NO_STORE) != 0 &&
                 rem_str_eq_nocase(item, REM_STR("no-store"))) ||
                ((proxied & PROXIED_PRIVATE) != 0 && rem_str_eq_nocase(item, REM_STR("private"))))
                return true;
        }
    }
    return false;
}

/* The other proxy may keep the answer for clients that cannot read it, so what can be kept is not
 * compressed: the first thing that says whether it can be kept decides. */
static bool may_be_proxied(const struct rem_request *request, uint32_t proxied)
{
    const struct rem_response *response = &request->response;

    if ((proxied & PROXIED_OFF) != 0)
        return false;
    if ((proxied & PROXIED_ANY) != 0 ||
        ((proxied & PROXIED_AUTH) != 0 &&
         rem_fields_find(&request->fields, REM_FIELD_AUTHORIZATION) != NULL))
        return true;
    if (rem_fields_find(&response->fields, REM_FIELD_EXPIRES) != NULL)
        return (proxied & PROXIED_EXPIRED) != 0 && is_expired(request);
    if (rem_fields_find(&response->fields, REM_FIELD_CACHE_CONTROL) != NULL)
        return is_uncached(response, proxied);
    if ((proxied & PROXIED_NO_LAST_MODIFIED) != 0 &&
        rem_fields_find(&response->fields, REM_FIELD_LAST_MODIFIED) != NULL)
        return false;
    return (proxied & PROXIED_NO_ETAG) == 0 ||
           rem_fields_find(&response->fields, REM_FIELD_ETAG) == NULL;
}

static bool is_disabled_agent(const struct rem_request *request, const struct rem_array *disable)
{
    const struct rem_field *agent = rem_fields_find(&request->fields, REM_FIELD_USER_AGENT);
    const size_t *ovector;

    if (disable == NULL || agent == NULL)
        return false;
    for (uint32_t i = 0; i < disable->n; i++) {
        if (rem_regex_match(REM_ARRAY_OF(disable, struct rem_regex *)[i], agent->value, &ovector) !=
            0)
            return true; /* also where matching went out of bounds */
    }
    return false;
}

bool rem_gzip_accepted(const struct rem_request *request)
{
    const struct accept_conf *conf = request->location_conf[rem_gzip_accept_module.index];
    const struct rem_field *accept = rem_fields_find(&request->fields, REM_FIELD_ACCEPT_ENCODING);

    if (request->parent != NULL || accept == NULL || !rem_gzip_listed(accept->value) ||
        request->version < conf->http_version)
        return false;
    if (rem_fields_find(&request->fields, REM_FIELD_VIA) != NULL &&
        !may_be_proxied(request, conf->proxied))
        return false;
    return !is_disabled_agent(request, conf->disable);
}

int rem_gzip_vary(struct rem_request *request)
{
    const struct accept_conf *conf = request->location_conf[rem_gzip_accept_module.index];

    if (!conf->vary || request->response.varies)
        return 0;
    request->response.varies = true;
    return rem_fields_add(&request->response.fields, REM_STR("Vary"), REM_STR("Accept-Encoding"));
}

/* ---- directives ---- */

static const struct rem_conf_choice version_choices[] = {{"1.0", 10}, {"1.1", 11}, {0}};
static const struct rem_conf_choice proxied_choices[] = {
    {"off", PROXIED_OFF},           {"expired", PROXIED_EXPIRED},
    {"no-cache", PROXIED_NO_CACHE}, {"no-store", PROXIED_NO_STORE},
    {"private", PROXIED_PRIVATE},   {"no_last_modified", PROXIED_NO_LAST_MODIFIED},
    {"no_etag", PROXIED_NO_ETAG},   {"auth", PROXIED_AUTH},
    {"any", PROXIED_ANY},           {0},
};

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

#define FIELD(name) REM_LEVEL_LOCATION, offsetof(struct accept_conf, name)

static const struct rem_directive directives[] = {
    {"gzip_http_version", HSL, REM_ARGS_1, rem_set_enum, FIELD(http_version), version_choices},
    {"gzip_proxied", HSL, REM_ARGS_1MORE, rem_set_bitmask, FIELD(proxied), proxied_choices},
    {"gzip_vary", HSL, REM_ARGS_FLAG, rem_set_flag, FIELD(vary), NULL},
    {"gzip_disable", HSL, REM_ARGS_1MORE, set_disable, REM_LEVEL_LOCATION, 0, NULL},
    REM_DIRECTIVE_END,
};

struct rem_module rem_gzip_accept_module = {
    .name = "gzip_accept",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
};
