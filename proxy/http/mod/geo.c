/* SPDX-License-Identifier: Apache-2.0 */
/* geo.c - geo: a variable whose value depends on an address.
 *
 * The address is that of the client or, behind trusted proxies, what they say in X-Forwarded-For;
 * or the text of another variable.  Clients on unix sockets, and texts that are no address, count
 * as 255.255.255.255.  */
#include "proxy/http/mod/geo.h"

#include "proxy/conf/value.h"
#include "proxy/http/core.h"
#include "proxy/http/core_var.h"

#include <arpa/inet.h>

struct geo {
    struct rem_geo_table v4;
    struct rem_geo_table v6;
    struct rem_geo_table proxies_v4;
    struct rem_geo_table proxies_v6;
    struct rem_str fallback; /* p == NULL: not given */
    uint32_t source;         /* of the variable, with has_source */
    bool has_source;
    bool ranges;
    bool has_proxies;
    bool recursive;
    bool is_volatile;
    bool any_line;
};

extern struct rem_module rem_geo_module;

/* ---- requests ---- */

static bool is_proxy(const struct geo *geo, const struct rem_addr *addr)
{
    struct rem_geo_point point;
    bool is_v6 = rem_geo_point_of(addr, &point);

    return rem_geo_table_find(is_v6 ? &geo->proxies_v6 : &geo->proxies_v4, point) != NULL;
}

/* The last element of a list; cuts it off. */
static struct rem_str take_last(struct rem_str *list)
{
    struct rem_str last;
    size_t i;

    while (list->n != 0 && strchr(" ,\t", list->p[list->n - 1]) != NULL)
        list->n--;
    for (i = list->n; i > 0 && list->p[i - 1] != ',' && list->p[i - 1] != ' '; i--)
        ;
    last = rem_str_skip(*list, i);
    list->n = i;
    return last;
}

/* A bare address, IPv4 or IPv6; anything else is no address. */
static void read_addr(struct rem_str text, struct rem_addr *out)
{
    char z[INET6_ADDRSTRLEN];

    memset(out, 0, sizeof(*out));
    if (text.n >= sizeof(z))
        return;
    if (text.n != 0)
        memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    if (inet_pton(AF_INET, z, &out->u.in.sin_addr) == 1) {
        out->len = sizeof(out->u.in);
        out->u.sa.sa_family = AF_INET;
    } else if (inet_pton(AF_INET6, z, &out->u.in6.sin6_addr) == 1) {
        out->len = sizeof(out->u.in6);
        out->u.sa.sa_family = AF_INET6;
    }
}

/* Goes from proxy to proxy through what one field says, from its end.
 * Returns: whether another field may say where the request came from before. */
static bool follow_field(const struct geo *geo, struct rem_str list, struct rem_addr *addr)
{
    for (;;) {
        struct rem_str text = take_last(&list);
        struct rem_addr before;

        if (text.n == 0)
            return true;
        read_addr(text, &before);
        if (before.len == 0 && rem_addr_parse(text, 1, &before) != 0)
            return false;
        *addr = before;
        if (!geo->recursive || !is_proxy(geo, addr))
            return false;
    }
}

/* Where a request came from, as far as those who say so are trusted. */
static struct rem_addr client_of(const struct geo *geo, const struct rem_request *request)
{
    struct rem_addr addr = *request->peer;
    const struct rem_fields *fields = &request->fields;

    if (!geo->has_proxies || !is_proxy(geo, &addr))
        return addr;
    for (uint32_t i = fields->n; i-- > 0;) {
        if (fields->v[i].id == REM_FIELD_X_FORWARDED_FOR &&
            !follow_field(geo, fields->v[i].value, &addr))
            break;
    }
    return addr;
}

static int find_addr(const struct geo *geo, struct rem_eval *e, struct rem_addr *out)
{
    const struct rem_var_value *value;
    int rc;

    if (!geo->has_source) {
        *out = client_of(geo, rem_core_var_request(e));
        return 0;
    }
    rc = rem_var_get(e, geo->source, &value);
    if (rc == 0)
        read_addr(value->str, out);
    return rc;
}

static int get_geo(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct geo *geo = v->data;
    const struct rem_geo_entry *entry;
    struct rem_geo_point point;
    struct rem_addr addr;
    bool is_v6;
    int rc = find_addr(geo, e, &addr);

    if (rc != 0)
        return rc;
    is_v6 = rem_geo_point_of(&addr, &point);
    if (is_v6 && geo->ranges) { /* of which there are none for IPv6 */
        is_v6 = false;
        point = (struct rem_geo_point){0, UINT32_MAX};
    }
    entry = rem_geo_table_find(is_v6 ? &geo->v6 : &geo->v4, point);
    return rem_core_var_text(out, entry != NULL ? entry->value : geo->fallback);
}

/* ---- configuration ---- */

static int set_default(struct rem_conf *cf, struct geo *geo, struct rem_str value)
{
    if (geo->fallback.p != NULL)
        rem_conf_warn(cf, "duplicate %s \"default\", value: \"%.*s\", old value: \"%.*s\"",
                      geo->ranges ? "default range" : "network", REM_STR_ARG(value),
                      REM_STR_ARG(geo->fallback));
    geo->fallback = value;
    return 0;
}

static int parse(struct rem_conf *cf, const struct geo *geo, struct rem_str text,
                 struct rem_geo_entry *entry, bool *is_v6)
{
    bool masked;

    *entry = (struct rem_geo_entry){.text = text, .pos = rem_conf_here(cf)};
    *is_v6 = false;
    if (geo->ranges) {
        if (rem_geo_parse_range(text, entry) != 0)
            return rem_conf_error(cf, "invalid range \"%.*s\"", REM_STR_ARG(text));
        return 0;
    }
    if (rem_geo_parse_network(text, entry, is_v6, &masked) != 0)
        return rem_conf_error(cf, "invalid network \"%.*s\"", REM_STR_ARG(text));
    if (masked)
        rem_conf_warn(cf, "low address bits of %.*s are meaningless", REM_STR_ARG(text));
    return 0;
}

static int add(struct rem_conf *cf, struct geo *geo, struct rem_str text, struct rem_str value)
{
    struct rem_geo_entry entry, *known;
    struct rem_geo_table *table;
    bool is_v6;
    int rc = parse(cf, geo, text, &entry, &is_v6);

    if (rc != 0)
        return rc;
    table = is_v6 ? &geo->v6 : &geo->v4;
    known = rem_geo_table_get(table, &entry);
    entry.value = value;
    if (known == NULL)
        return rem_geo_table_add(table, cf->arena, &entry) != 0 ? rem_conf_nomem(cf) : 0;
    if (!known->deleted)
        rem_conf_warn(cf, "duplicate %s \"%.*s\", value: \"%.*s\", old value: \"%.*s\"",
                      geo->ranges ? "range" : "network", REM_STR_ARG(text), REM_STR_ARG(value),
                      REM_STR_ARG(known->value));
    *known = entry;
    return 0;
}

static int delete (struct rem_conf *cf, struct geo *geo, struct rem_str text)
{
    struct rem_geo_entry entry, *known;
    bool is_v6;
    int rc;

    if (rem_str_is(text, "default")) {
        geo->fallback = (struct rem_str){NULL, 0};
        return 0;
    }
    rc = parse(cf, geo, text, &entry, &is_v6);
    if (rc != 0)
        return rc;
    known = rem_geo_table_get(is_v6 ? &geo->v6 : &geo->v4, &entry);
    if (known == NULL || known->deleted)
        rem_conf_warn(cf, "no %s \"%.*s\" to delete", geo->ranges ? "address range" : "network",
                      REM_STR_ARG(text));
    else
        known->deleted = true;
    return 0;
}

static int add_proxy(struct rem_conf *cf, struct geo *geo, struct rem_str text)
{
    struct rem_geo_entry entry = {.text = text, .pos = rem_conf_here(cf)};
    struct rem_geo_table *table;
    bool is_v6, masked;

    if (rem_geo_parse_network(text, &entry, &is_v6, &masked) != 0)
        return rem_conf_error(cf, "invalid network \"%.*s\"", REM_STR_ARG(text));
    if (masked)
        rem_conf_warn(cf, "low address bits of %.*s are meaningless", REM_STR_ARG(text));
    geo->has_proxies = true;
    table = is_v6 ? &geo->proxies_v6 : &geo->proxies_v4;
    if (rem_geo_table_get(table, &entry) != NULL)
        return 0;
    return rem_geo_table_add(table, cf->arena, &entry) != 0 ? rem_conf_nomem(cf) : 0;
}

/* A line of one word.  Returns 1 taken, 0 not, negative reported. */
static int take_flag(struct rem_conf *cf, struct geo *geo, struct rem_str word)
{
    if (rem_str_is(word, "ranges")) {
        if (geo->any_line)
            return rem_conf_error(cf, "the \"ranges\" directive must be the first directive inside "
                                      "\"geo\" block");
        geo->ranges = true;
    } else if (rem_str_is(word, "proxy_recursive")) {
        geo->recursive = true;
    } else if (rem_str_is(word, "volatile")) {
        geo->is_volatile = true;
    } else {
        return 0;
    }
    return 1;
}

static int on_line(struct rem_conf *cf, void *data)
{
    struct geo *geo = data;
    struct rem_str key = cf->args[0], value;

    if (cf->n_args == 1) {
        int rc = take_flag(cf, geo, key);

        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    if (cf->n_args != 2)
        return rem_conf_error(cf, "invalid number of the geo parameters");
    value = cf->args[1];
    if (rem_str_is(key, "include"))
        return rem_conf_include(cf);
    if (rem_str_is(key, "proxy"))
        return add_proxy(cf, geo, value);
    geo->any_line = true;
    if (rem_str_is(key, "delete"))
        return delete (cf, geo, value);
    if (rem_str_is(key, "default"))
        return set_default(cf, geo, value);
    return add(cf, geo, key, value);
}

static int build(struct rem_conf *cf, struct rem_geo_table *table)
{
    const struct rem_geo_entry *later, *earlier;
    int rc = rem_geo_table_build(table, cf->arena, &later, &earlier);

    if (rc == REM_EEXIST)
        return rem_conf_error_at(cf, later->pos, "range \"%.*s\" overlaps \"%.*s\"",
                                 REM_STR_ARG(later->text), REM_STR_ARG(earlier->text));
    return rc != 0 ? rem_conf_nomem(cf) : 0;
}

static int read_block(struct rem_conf *cf, struct geo *geo)
{
    struct rem_geo_table *tables[] = {&geo->v4, &geo->v6, &geo->proxies_v4, &geo->proxies_v6};
    int rc;

    for (size_t i = 0; i < REM_COUNT(tables); i++)
        rem_geo_table_init(tables[i], cf->arena);
    rc = rem_conf_block_lines(cf, on_line, geo);
    for (size_t i = 0; rc == 0 && i < REM_COUNT(tables); i++)
        rc = build(cf, tables[i]);
    return rc;
}

static int parse_source(struct rem_conf *cf, struct geo *geo)
{
    struct rem_str name;
    int rc = rem_conf_var_name(cf, cf->args[1], &name);

    if (rc != 0)
        return rc;
    geo->has_source = true;
    if (rem_var_index(cf->vars, name, rem_conf_here(cf), &geo->source) != 0)
        return rem_conf_nomem(cf);
    return 0;
}

static int set_geo(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct geo *geo = rem_arena_zalloc(cf->arena, sizeof(*geo));
    struct rem_str name;
    struct rem_var *var;
    int rc;

    (void)d;
    (void)conf;
    if (geo == NULL)
        return rem_conf_nomem(cf);
    rc = rem_conf_var_name(cf, cf->args[cf->n_args - 1], &name);
    if (rc == 0 && cf->n_args == 3)
        rc = parse_source(cf, geo);
    if (rc == 0)
        rc = rem_conf_var_add(cf, name, get_geo, geo, REM_VAR_CHANGEABLE, &var);
    if (rc == 0)
        rc = read_block(cf, geo);
    if (rc == 0 && geo->is_volatile)
        var->flags |= REM_VAR_NOCACHE;
    return rc;
}

static const struct rem_directive directives[] = {
    {"geo", REM_CTX_HTTP, REM_ARGS_12 | REM_ARGS_BLOCK, set_geo, REM_LEVEL_NONE, 0, NULL},
    REM_DIRECTIVE_END,
};

struct rem_module rem_geo_module = {
    .name = "geo",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
};
