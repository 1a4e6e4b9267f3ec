/* SPDX-License-Identifier: Apache-2.0 */
/* realip.c - the client's address as a trusted proxy before us tells it.
 *
 * Phases:     post-read (with the server's configuration) and preaccess (with the location's, if
 *             the server's had nothing to say).  Afterwards request->peer is the told address and
 *             request->real_peer the one that connected.
 * Lists:      read from the right: each address that is trusted vouches for the one before it.  */
#include "proto/base/cidr.h"
#include "proto/wire/proxy_protocol.h"
#include "proxy/conf/set.h"
#include "proxy/http/core_var.h"
#include "proxy/http/http.h"

#include <stdio.h>

enum source { SOURCE_FIELD = 0, SOURCE_LIST, SOURCE_PROXY };

struct realip_conf {
    struct rem_array *from; /* of struct rem_cidr; NULL: none */
    struct rem_str header;  /* lower case; .p NULL: unset */
    enum source source;
    int recursive;
};

extern struct rem_module rem_realip_module;

/* ---- configuration ---- */

static void *create_location(struct rem_conf *cf)
{
    struct realip_conf *conf = rem_arena_zalloc(cf->arena, sizeof(*conf));

    if (conf != NULL)
        conf->recursive = REM_CONF_UNSET;
    return conf;
}

static int merge_location(struct rem_conf *cf, void *parent, void *child)
{
    const struct realip_conf *prev = parent;
    struct realip_conf *conf = child;

    (void)cf;
    if (conf->from == NULL)
        conf->from = prev->from;
    if (conf->header.p == NULL) {
        conf->header = prev->header;
        conf->source = prev->source;
    }
    if (conf->header.p == NULL)
        conf->header = REM_STR("X-Real-IP");
    rem_merge_flag(&conf->recursive, prev->recursive, 0);
    return 0;
}

static int add_range(struct rem_conf *cf, struct realip_conf *conf, const struct rem_cidr *range)
{
    struct rem_cidr *slot = rem_set_push(cf, &conf->from, sizeof(*slot));

    if (slot == NULL)
        return REM_ENOMEM;
    *slot = *range;
    return 0;
}

/* A host name: all its addresses. */
static int add_host(struct rem_conf *cf, struct realip_conf *conf, struct rem_str name)
{
    struct rem_addr_list list;
    int rc = rem_addr_resolve(name, 1, &list, NULL);

    if (rc == REM_ENOMEM)
        return rem_conf_nomem(cf);
    if (rc != REM_OK)
        return rem_conf_error(cf, "host not found in set_real_ip_from \"%.*s\"", REM_STR_ARG(name));
    for (size_t i = 0; rc == REM_OK && i < list.count; i++) {
        struct rem_cidr range;

        rem_cidr_from_addr(&list.items[i], &range);
        rc = add_range(cf, conf, &range);
    }
    rem_addr_list_fini(&list);
    return rc;
}

static int set_from(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_str text = cf->args[1];
    struct rem_cidr range;
    bool low;

    (void)d;
    if (rem_cidr_parse(text, &range, &low) != REM_OK) {
        if (rem_str_chr(text, '/') != NULL)
            return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(text));
        return add_host(cf, conf, text);
    }
    if (low)
        rem_conf_warn(cf, "low address bits of %.*s are meaningless", REM_STR_ARG(text));
    return add_range(cf, conf, &range);
}

static int set_header(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct realip_conf *location = conf;

    (void)d;
    if (location->header.p != NULL)
        return rem_conf_duplicate(cf);
    location->header = cf->args[1];
    if (rem_str_is(location->header, "proxy_protocol"))
        location->source = SOURCE_PROXY;
    else if (rem_str_eq_nocase(location->header, REM_STR("X-Forwarded-For")))
        location->source = SOURCE_LIST;
    else
        location->source = SOURCE_FIELD;
    return 0;
}

/* ---- lists ---- */

/* What is left of the fields of one name: those before `field`, and `value` of it. */
struct cursor {
    const struct rem_fields *fields;
    const struct rem_field *field;
    struct rem_str value;
};

static bool is_separator(char c)
{
    return c == ' ' || c == ',' || c == '\t';
}

/* The last address of a value, which becomes shorter by it. */
static bool last_item(struct rem_str *value, struct rem_str *item)
{
    size_t end = value->n, from;

    while (end > 0 && is_separator(value->p[end - 1]))
        end--;
    from = end;
    while (from > 0 && !is_separator(value->p[from - 1]))
        from--;
    *item = rem_str_make(value->p + from, end - from);
    value->n = from;
    return item->n != 0;
}

/* The field of the cursor's name before the current one. */
static const struct rem_field *field_before(const struct cursor *at)
{
    const struct rem_field *field = rem_fields_find_name(at->fields, at->field->name);
    const struct rem_field *before = NULL;

    while (field != NULL && field != at->field) {
        before = field;
        field = rem_fields_next(at->fields, field);
    }
    return before;
}

static bool next_item(struct cursor *at, struct rem_str *item)
{
    while (at->field != NULL) {
        if (last_item(&at->value, item))
            return true;
        at->field = field_before(at);
        if (at->field != NULL)
            at->value = at->field->value;
    }
    return false;
}

static bool parse_address(struct rem_str text, struct rem_addr *out)
{
    char bracketed[REM_ADDR_TEXT];
    int n;

    if (rem_str_has_prefix(text, REM_STR("unix:")))
        return false;
    if (rem_addr_parse(text, 1, out) == REM_OK) {
        struct rem_addr_parts parts;

        if (rem_addr_split(text, &parts) == REM_OK && !parts.has_port)
            rem_addr_set_port(out, 0);
        return true;
    }
    /* An IPv6 address stands without brackets where it has no port. */
    n = snprintf(bracketed, sizeof(bracketed), "[%.*s]", REM_STR_ARG(text));
    if (n < 0 || (size_t)n >= sizeof(bracketed) ||
        rem_addr_parse(rem_str_make(bracketed, (size_t)n), 1, out) != REM_OK)
        return false;
    rem_addr_set_port(out, 0);
    return true;
}

/* ---- requests ---- */

static bool is_trusted(const struct realip_conf *conf, const struct rem_addr *addr)
{
    const struct rem_cidr *ranges = REM_ARRAY_OF(conf->from, const struct rem_cidr);

    for (uint32_t i = 0; i < conf->from->n; i++) {
        if (rem_cidr_has(&ranges[i], addr))
            return true;
    }
    return false;
}

/* Follows the list to the first address that nobody trusted vouches further for.
 * Returns: whether there is any. */
static bool from_fields(const struct rem_request *request, const struct realip_conf *conf,
                        struct rem_addr *out)
{
    struct cursor at = {.fields = &request->fields};
    struct rem_str item;
    bool found = false;

    at.field = rem_fields_find_name(&request->fields, conf->header);
    if (conf->source == SOURCE_LIST) {
        const struct rem_field *next = at.field;

        for (; next != NULL; next = rem_fields_next(&request->fields, next))
            at.field = next;
    }
    if (at.field == NULL)
        return false;
    at.value = at.field->value;
    while ((!found || (conf->recursive && is_trusted(conf, out))) && next_item(&at, &item)) {
        struct rem_addr addr;

        if (!parse_address(item, &addr))
            break;
        *out = addr;
        found = true;
    }
    return found;
}

static int on_request(struct rem_request *request)
{
    const struct realip_conf *conf = request->location_conf[rem_realip_module.index];
    struct rem_addr told, *addr;

    if (conf->from == NULL || request->real_peer != NULL || request->parent != NULL ||
        !is_trusted(conf, request->peer))
        return REM_HTTP_DECLINED;
    if (conf->source == SOURCE_PROXY) {
        if (request->proxied == NULL || request->proxied->src.len == 0)
            return REM_HTTP_DECLINED;
        told = request->proxied->src;
    } else if (!from_fields(request, conf, &told)) {
        return REM_HTTP_DECLINED;
    }
    addr = rem_arena_alloc(&request->arena, sizeof(*addr));
    if (addr == NULL)
        return 500;
    *addr = told;
    request->real_peer = request->peer;
    request->peer = addr;
    return REM_HTTP_DECLINED;
}

/* ---- variables ---- */

static const struct rem_addr *real_peer(struct rem_eval *e)
{
    const struct rem_request *request = rem_core_var_request(e);

    return request->real_peer != NULL ? request->real_peer : request->peer;
}

static int get_addr(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    char text[REM_ADDR_TEXT];
    size_t n = rem_addr_host_text(real_peer(e), text, sizeof(text));

    (void)v;
    return rem_core_var_copy(e, out, rem_str_make(text, n));
}

static int get_port(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    uint16_t port = rem_addr_port(real_peer(e));

    (void)v;
    return port != 0 ? rem_core_var_number(e, out, port) : rem_core_var_text(out, REM_STR(""));
}

static int add_variables(struct rem_http_setup *setup)
{
    static const struct rem_core_var_def defs[] = {
        {"realip_remote_addr", get_addr, NULL, 0},
        {"realip_remote_port", get_port, NULL, 0},
    };

    return rem_core_var_define(setup->vars, defs, REM_COUNT(defs));
}

/* ---- the module ---- */

static int install(struct rem_http_setup *setup)
{
    int rc = rem_http_add_handler(setup, REM_PHASE_POST_READ, on_request);

    return rc != REM_OK ? rc : rem_http_add_handler(setup, REM_PHASE_PREACCESS, on_request);
}

enum { HSL = REM_CTX_HTTP | REM_CTX_SERVER | REM_CTX_LOCATION };

static const struct rem_directive directives[] = {
    {"set_real_ip_from", HSL, REM_ARGS_1, set_from, REM_LEVEL_LOCATION, 0, NULL},
    {"real_ip_header", HSL, REM_ARGS_1, set_header, REM_LEVEL_LOCATION, 0, NULL},
    {"real_ip_recursive", HSL, REM_ARGS_FLAG, rem_set_flag, REM_LEVEL_LOCATION,
     offsetof(struct realip_conf, recursive), NULL},
    REM_DIRECTIVE_END,
};

static const struct rem_http_hooks hooks = {.variables = add_variables, .install = install};

struct rem_module rem_realip_module = {
    .name = "realip",
    .kind = REM_MODULE_HTTP,
    .directives = directives,
    .create_location = create_location,
    .merge_location = merge_location,
    .hooks = &hooks,
};
