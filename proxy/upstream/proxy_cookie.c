/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/proxy_cookie.h"

#include "proto/wire/put.h"
#include "proxy/conf/set.h"
#include "proxy/http/http.h"

/* One part of a cookie's text, "NAME" or "NAME=VALUE"; the first one is the cookie itself. */
struct attr {
    struct rem_str name;
    struct rem_str value;
    bool has_value;
    bool gone;
};

/* ---- directives ---- */

static struct rem_proxy_cookie_conf *conf_at(const struct rem_directive *d, void *conf)
{
    return (struct rem_proxy_cookie_conf *)(void *)((char *)conf + d->offset);
}

/* Makes room for one more rule in *list.  Returns 1: nothing to add ("off"); 0; negative: reported.
 */
static int list_push(struct rem_conf *cf, struct rem_array **list, size_t size, void **out)
{
    if (*list == NULL) /* "off" stands before */
        return rem_conf_duplicate(cf);
    if (cf->n_args == 2) {
        if (!rem_str_is(cf->args[1], "off"))
            return rem_conf_error(cf, "invalid parameter \"%s\"", cf->args[1].p);
        if (*list != REM_CONF_UNSET_PTR)
            return rem_conf_duplicate(cf);
        *list = NULL;
        return 1;
    }
    *out = rem_set_push(cf, list, size);
    return *out != NULL ? 0 : REM_ENOMEM;
}

static int set_rule(struct rem_conf *cf, struct rem_array **list, uint32_t flags)
{
    void *rule = NULL;
    int rc = list_push(cf, list, sizeof(struct rem_proxy_rule), &rule);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    return rem_proxy_rule_compile(cf, cf->args[1], cf->args[2], flags, rule);
}

int rem_proxy_cookie_set_domain(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    return set_rule(cf, &conf_at(d, conf)->domains, REM_REGEX_NOCASE);
}

int rem_proxy_cookie_set_path(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    return set_rule(cf, &conf_at(d, conf)->paths, 0);
}

/* What a flag adds to a cookie, or takes from it. */
static const struct flag {
    const char *text;
    struct rem_str name; /* of the attribute */
    struct rem_str value;
    bool remove;
} flags[] = {
    {"secure", {"Secure", 6}, {NULL, 0}, false},
    {"nosecure", {"Secure", 6}, {NULL, 0}, true},
    {"httponly", {"HttpOnly", 8}, {NULL, 0}, false},
    {"nohttponly", {"HttpOnly", 8}, {NULL, 0}, true},
    {"samesite=strict", {"SameSite", 8}, {"Strict", 6}, false},
    {"samesite=lax", {"SameSite", 8}, {"Lax", 3}, false},
    {"samesite=none", {"SameSite", 8}, {"None", 4}, false},
    {"nosamesite", {"SameSite", 8}, {NULL, 0}, true},
};

static const struct flag *flag_find(struct rem_str text)
{
    for (size_t i = 0; i < REM_COUNT(flags); i++) {
        if (rem_str_eq_nocase(text, rem_str_from(flags[i].text)))
            return &flags[i];
    }
    return NULL;
}

int rem_proxy_cookie_set_flags(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_proxy_cookie_flags *set;
    void *pushed = NULL;
    int rc = list_push(cf, &conf_at(d, conf)->flags, sizeof(*set), &pushed);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    set = pushed;
    if (rem_proxy_rule_is_regex(cf->args[1]))
        rc = rem_proxy_rule_regex(cf, cf->args[1], REM_REGEX_NOCASE, &set->regex);
    else
        rc = rem_value_compile(cf, cf->args[1], &set->name);
    rem_array_init(&set->values, sizeof(struct rem_value));
    for (size_t i = 2; rc == 0 && i < cf->n_args; i++) {
        struct rem_value *value = rem_array_push(cf->arena, &set->values);
        if (value == NULL)
            return rem_conf_nomem(cf);
        rc = rem_value_compile(cf, cf->args[i], value);
        if (rc == 0 && rem_value_is_static(value) && flag_find(value->text) == NULL)
            rc = rem_conf_error(cf, "invalid parameter \"%s\"", cf->args[i].p);
    }
    return rc;
}

void rem_proxy_cookie_unset(struct rem_proxy_cookie_conf *conf)
{
    conf->domains = REM_CONF_UNSET_PTR;
    conf->paths = REM_CONF_UNSET_PTR;
    conf->flags = REM_CONF_UNSET_PTR;
}

void rem_proxy_cookie_merge(struct rem_proxy_cookie_conf *conf,
                            const struct rem_proxy_cookie_conf *up)
{
    rem_merge_ptr(conf->domains, up->domains, NULL);
    rem_merge_ptr(conf->paths, up->paths, NULL);
    rem_merge_ptr(conf->flags, up->flags, NULL);
}

/* ---- a cookie's text, taken apart and put together ---- */

static int attrs_parse(struct rem_request *request, struct rem_str text, struct rem_array *attrs)
{
    rem_array_init(attrs, sizeof(struct attr));
    for (;;) {
        const char *end = rem_str_chr(text, ';'), *equals;
        struct rem_str part = end != NULL ? rem_str_make(text.p, (size_t)(end - text.p)) : text;
        struct attr *attr = rem_array_push(&request->arena, attrs);

        if (attr == NULL)
            return REM_ENOMEM;
        equals = rem_str_chr(part, '=');
        attr->has_value = equals != NULL;
        attr->name = part;
        if (equals != NULL) {
            attr->name.n = (size_t)(equals - part.p);
            attr->value = rem_str_trim(rem_str_skip(part, attr->name.n + 1));
        }
        attr->name = rem_str_trim(attr->name);
        if (end == NULL)
            return 0;
        text = rem_str_skip(text, part.n + 1);
    }
}

static int attrs_join(struct rem_request *request, const struct rem_array *attrs,
                      struct rem_str *out)
{
    struct rem_put put;
    size_t size = 0;
    char *memory;

    for (uint32_t i = 0; i < attrs->n; i++) {
        const struct attr *attr = rem_array_at(attrs, i);
        size += attr->name.n + attr->value.n + 3;
    }
    memory = rem_arena_alloc(&request->arena, size);
    if (memory == NULL)
        return REM_ENOMEM;
    rem_put_init(&put, memory, size);
    for (uint32_t i = 0; i < attrs->n; i++) {
        const struct attr *attr = rem_array_at(attrs, i);
        if (attr->gone)
            continue;
        if (i != 0)
            REM_PUT(&put, "; ");
        rem_put_add(&put, attr->name);
        if (attr->has_value) {
            rem_put_char(&put, '=');
            rem_put_add(&put, attr->value);
        }
    }
    REM_CHECK(!put.full);
    *out = rem_put_str(&put);
    return 0;
}

/* ---- applying ---- */

/* Rewrites the values of the attributes called `name`.  Returns: whether one was changed;
 * negative: an error. */
static int attrs_rewrite(struct rem_request *request, struct rem_array *attrs, struct rem_str name,
                         const struct rem_array *rules, enum rem_proxy_rule_kind kind)
{
    int changed = 0;

    for (uint32_t i = 1; rules != NULL && i < attrs->n; i++) {
        struct attr *attr = rem_array_at(attrs, i);
        int rc;

        if (!attr->has_value || !rem_str_eq_nocase(attr->name, name))
            continue;
        rc = rem_proxy_rules_apply(request, rules, kind, &attr->value);
        if (rc < 0)
            return rc;
        changed |= rc;
    }
    return changed;
}

static int flag_apply(struct rem_request *request, struct rem_array *attrs, const struct flag *flag)
{
    struct attr *attr;
    bool found = false;

    for (uint32_t i = 1; i < attrs->n; i++) {
        attr = rem_array_at(attrs, i);
        if (attr->gone || !rem_str_eq_nocase(attr->name, flag->name))
            continue;
        found = true;
        attr->gone = flag->remove;
        if (flag->value.n != 0) {
            attr->value = flag->value;
            attr->has_value = true;
        }
    }
    if (found || flag->remove)
        return 0;
    attr = rem_array_push(&request->arena, attrs);
    if (attr == NULL)
        return REM_ENOMEM;
    *attr = (struct attr){flag->name, flag->value, flag->value.n != 0, false};
    return 0;
}

static int flags_match(struct rem_request *request, const struct rem_proxy_cookie_flags *set,
                       struct rem_str cookie)
{
    struct rem_str name;
    int rc;

    if (set->regex != NULL) {
        rc = rem_capture_match(set->regex, &request->eval, cookie);
        return rc >= 0 || rc == REM_ENOMEM ? rc : 0;
    }
    rc = rem_http_value(request, &set->name, &name);
    return rc != 0 ? rc : rem_str_eq_nocase(name, cookie);
}

/* The order in which flags are added is always the same, whatever the directive's is. */
static int flags_set(struct rem_request *request, struct rem_array *attrs,
                     const struct rem_proxy_cookie_flags *set)
{
    bool wanted[REM_COUNT(flags)] = {false};

    for (uint32_t i = 0; i < set->values.n; i++) {
        struct rem_str text;
        const struct flag *flag;
        int rc = rem_http_value(request, rem_array_at(&set->values, i), &text);

        if (rc != 0)
            return rc;
        flag = flag_find(text);
        if (flag != NULL)
            wanted[flag - flags] = true;
        else if (text.n != 0)
            REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "invalid proxy_cookie_flags flag \"%.*s\"",
                       REM_STR_ARG(text));
    }
    for (size_t i = 0; i < REM_COUNT(flags); i++) {
        int rc = wanted[i] ? flag_apply(request, attrs, &flags[i]) : 0;
        if (rc != 0)
            return rc;
    }
    return 1;
}

static int attrs_flag(struct rem_request *request, struct rem_array *attrs,
                      const struct rem_array *sets)
{
    const struct attr *cookie = rem_array_at(attrs, 0);

    for (uint32_t i = 0; sets != NULL && i < sets->n; i++) {
        const struct rem_proxy_cookie_flags *set = rem_array_at(sets, i);
        int rc = flags_match(request, set, cookie->name);

        if (rc != 0)
            return rc < 0 ? rc : flags_set(request, attrs, set);
    }
    return 0;
}

int rem_proxy_cookie_apply(struct rem_request *request, const struct rem_proxy_cookie_conf *conf,
                           struct rem_str *value)
{
    struct rem_array attrs;
    int domain, path, flagged;
    int rc;

    if (conf->domains == NULL && conf->paths == NULL && conf->flags == NULL)
        return 0;
    rc = attrs_parse(request, *value, &attrs);
    if (rc != 0)
        return rc;
    if (!((const struct attr *)rem_array_at(&attrs, 0))->has_value)
        return 0; /* no cookie */
    domain = attrs_rewrite(request, &attrs, REM_STR("domain"), conf->domains, REM_RULE_DOMAIN);
    if (domain < 0)
        return domain;
    path = attrs_rewrite(request, &attrs, REM_STR("path"), conf->paths, REM_RULE_PREFIX);
    if (path < 0)
        return path;
    flagged = attrs_flag(request, &attrs, conf->flags);
    if (flagged < 0)
        return flagged;
    return domain + path + flagged != 0 ? attrs_join(request, &attrs, value) : 0;
}
