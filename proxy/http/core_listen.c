/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/core_listen.h"

#include "proxy/conf/set.h"
#include "proxy/net/setup.h"

#include <limits.h>

enum { DEFAULT_BACKLOG = 511, DEFAULT_PORT = 80 };

/* What one listen directive says. */
struct listen_args {
    struct rem_listen_options options;
    bool options_set;
    bool is_default;
    bool proxy_protocol;
    struct rem_str text; /* the address as given */
};

struct rem_http_listens *rem_http_listens_new(struct rem_arena *arena)
{
    struct rem_http_listens *listens = rem_arena_zalloc(arena, sizeof(*listens));

    if (listens == NULL)
        return NULL;
    rem_array_init(&listens->list, sizeof(struct rem_http_listen *));
    rem_strmap_init(&listens->by_address, arena, false);
    return listens;
}

/* ---- parameters ---- */

static int bad_parameter(struct rem_conf *cf, struct rem_str arg)
{
    return rem_conf_error(cf, "invalid parameter \"%.*s\"", REM_STR_ARG(arg));
}

static int param_on_off(struct rem_conf *cf, struct rem_str arg, struct rem_str value, bool *out)
{
    if (rem_str_is(value, "on"))
        *out = true;
    else if (rem_str_is(value, "off"))
        *out = false;
    else
        return bad_parameter(cf, arg);
    return 0;
}

static int param_count(struct rem_conf *cf, struct rem_str arg, struct rem_str value, int least,
                       int *out)
{
    int64_t n;
    size_t name = arg.n - value.n - 1;

    if (rem_conf_parse_num(value, &n) != 0 || n < least || n > INT_MAX)
        return rem_conf_error(cf, "invalid %.*s \"%.*s\"", (int)name, arg.p, REM_STR_ARG(arg));
    *out = (int)n;
    return 0;
}

static int param_size(struct rem_conf *cf, struct rem_str arg, struct rem_str value, int *out)
{
    size_t n, name = arg.n - value.n - 1;

    if (rem_conf_parse_size(value, &n) != 0 || n == 0 || n > INT_MAX)
        return rem_conf_error(cf, "invalid %.*s \"%.*s\"", (int)name, arg.p, REM_STR_ARG(arg));
    *out = (int)n;
    return 0;
}

/* One of idle:interval:count; an empty one keeps the system's. */
static int keepalive_part(struct rem_str part, bool seconds, int *out)
{
    int64_t n;
    int rc;

    if (part.n == 0)
        return 0;
    rc = seconds ? rem_conf_parse_sec(part, &n) : rem_conf_parse_num(part, &n);
    if (rc != 0 || n <= 0 || n > INT_MAX)
        return REM_EINVAL;
    *out = (int)n;
    return 0;
}

static int param_keepalive(struct rem_conf *cf, struct rem_str value,
                           struct rem_listen_options *options)
{
    struct rem_str parts[3] = {{NULL, 0}};
    struct rem_str rest = value;
    const char *colon = rem_str_chr(value, ':');
    size_t n = 0;

    if (rem_str_is(value, "on") || rem_str_is(value, "off")) {
        options->keepalive = value.n == 2;
        return 0;
    }
    if (colon == NULL)
        return rem_conf_error(cf, "invalid so_keepalive value: \"%.*s\"", REM_STR_ARG(value));
    while (n < 2 && colon != NULL) {
        parts[n++] = rem_str_make(rest.p, (size_t)(colon - rest.p));
        rest = rem_str_skip(rest, (size_t)(colon - rest.p) + 1);
        colon = rem_str_chr(rest, ':');
    }
    parts[n] = rest;
    if (value.n == n || keepalive_part(parts[0], true, &options->keepidle) != 0 ||
        keepalive_part(parts[1], true, &options->keepintvl) != 0 ||
        keepalive_part(parts[2], false, &options->keepcnt) != 0)
        return rem_conf_error(cf, "invalid so_keepalive value: \"%.*s\"", REM_STR_ARG(value));
    options->keepalive = 1;
    return 0;
}

/* Parameters that are complete words.  Returns 1 taken, 0 not one of them, negative reported. */
static int word_param(struct rem_conf *cf, struct rem_str arg, struct listen_args *args)
{
    static const char *const later[] = {"ssl", "http2", "quic", "spdy", "http3"};

    if (rem_str_is(arg, "default_server") || rem_str_is(arg, "default")) {
        args->is_default = true;
        return 1;
    }
    if (rem_str_is(arg, "proxy_protocol")) {
        args->proxy_protocol = true;
        return 1;
    }
    for (size_t i = 0; i < REM_COUNT(later); i++) {
        if (rem_str_is(arg, later[i]))
            return rem_conf_error(cf,
                                  "the \"%s\" parameter of the \"listen\" directive is not "
                                  "supported yet",
                                  later[i]);
    }
    if (rem_str_is(arg, "bind"))
        args->options_set = true;
    else if (rem_str_is(arg, "deferred"))
        args->options_set = args->options.deferred = true;
    else if (rem_str_is(arg, "reuseport"))
        args->options_set = args->options.reuseport = true;
    else
        return 0;
    return 1;
}

static int parameter(struct rem_conf *cf, struct rem_str arg, struct listen_args *args)
{
    struct rem_str value;
    int rc = word_param(cf, arg, args);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    args->options_set = true;
    if (rem_str_take_prefix(arg, "backlog=", &value))
        return param_count(cf, arg, value, 1, &args->options.backlog);
    if (rem_str_take_prefix(arg, "rcvbuf=", &value))
        return param_size(cf, arg, value, &args->options.rcvbuf);
    if (rem_str_take_prefix(arg, "sndbuf=", &value))
        return param_size(cf, arg, value, &args->options.sndbuf);
    if (rem_str_take_prefix(arg, "fastopen=", &value))
        return param_count(cf, arg, value, 0, &args->options.fastopen);
    if (rem_str_take_prefix(arg, "ipv6only=", &value))
        return param_on_off(cf, arg, value, &args->options.ipv6only);
    if (rem_str_take_prefix(arg, "so_keepalive=", &value))
        return param_keepalive(cf, value, &args->options);
    if (rem_str_take_prefix(arg, "accept_filter=", &value))
        return rem_conf_error(cf, "accept filters \"%.*s\" are not supported on this platform",
                              REM_STR_ARG(value));
    return bad_parameter(cf, arg);
}

/* ---- addresses ---- */

static int listen_new(struct rem_conf *cf, struct rem_http_listens *listens,
                      const struct rem_addr *addr, struct rem_str text,
                      struct rem_http_listen **out)
{
    struct rem_http_listen *listen = rem_arena_zalloc(cf->arena, sizeof(*listen));
    struct rem_http_listen **slot;

    if (listen == NULL)
        return rem_conf_nomem(cf);
    listen->address.addr = *addr;
    listen->address.text = rem_arena_dup(cf->arena, text);
    rem_array_init(&listen->servers, sizeof(struct rem_http_server_conf *));
    if (listen->address.text.p == NULL ||
        rem_strmap_add(&listens->by_address, listen->address.text, listen) != 0)
        return rem_conf_nomem(cf);
    slot = rem_array_push(cf->arena, &listens->list);
    if (slot == NULL)
        return rem_conf_nomem(cf);
    *slot = listen;
    *out = listen;
    return 0;
}

static int listen_add(struct rem_conf *cf, const struct rem_addr *addr,
                      const struct listen_args *args, struct rem_http_server_conf *server)
{
    struct rem_http_listens *listens = server->http->listens;
    struct rem_http_server_conf **slot;
    struct rem_http_listen *listen;
    char text[REM_ADDR_TEXT];
    struct rem_str key = {text, rem_addr_text(addr, text, sizeof(text))};

    listen = rem_strmap_get(&listens->by_address, key);
    if (listen == NULL) {
        int rc = listen_new(cf, listens, addr, key, &listen);

        if (rc != 0)
            return rc;
        listen->options = args->options;
        listen->as_given = args->text;
    }
    if (listen->servers.n != 0) {
        struct rem_http_server_conf **last = rem_array_at(&listen->servers, listen->servers.n - 1);

        if (*last == server)
            return rem_conf_error(cf, "a duplicate listen %s", text);
    }
    if (args->options_set) {
        if (listen->options_set)
            return rem_conf_error(cf, "duplicate listen options for %s", text);
        listen->options = args->options;
        listen->options_set = true;
    }
    if (args->is_default && listen->default_set)
        return rem_conf_error(cf, "a duplicate default server for %s", text);
    slot = rem_array_push(cf->arena, &listen->servers);
    if (slot == NULL)
        return rem_conf_nomem(cf);
    *slot = server;
    if (args->is_default || listen->address.fallback == NULL)
        listen->address.fallback = server;
    listen->default_set |= args->is_default;
    listen->address.proxy_protocol |= args->proxy_protocol;
    return 0;
}

/* A name: every address it has. */
static int add_resolved(struct rem_conf *cf, const struct listen_args *args,
                        struct rem_http_server_conf *server)
{
    struct rem_addr_list found;
    struct rem_err err = {0};
    int rc = rem_addr_resolve(args->text, DEFAULT_PORT, &found, &err);

    if (rc == REM_ENOTFOUND)
        return rem_conf_error(cf, "host not found in \"%.*s\" of the \"listen\" directive",
                              REM_STR_ARG(args->text));
    if (rc != 0)
        return rem_conf_error(cf, "invalid address \"%.*s\" of the \"listen\" directive",
                              REM_STR_ARG(args->text));
    for (size_t i = 0; rc == 0 && i < found.count; i++)
        rc = listen_add(cf, &found.items[i], args, server);
    rem_addr_list_fini(&found);
    return rc;
}

static int bad_port(struct rem_conf *cf, struct rem_str text)
{
    return rem_conf_error(cf, "invalid port in \"%.*s\" of the \"listen\" directive",
                          REM_STR_ARG(text));
}

/* "8000-8010", behind an address or alone.  *first and *last are the ports, *base the text with the
 * first alone.  Returns false where there is no range. */
static bool split_range(struct rem_str text, struct rem_str *base, uint64_t *first, uint64_t *last)
{
    size_t dash = text.n, digits;

    while (dash > 0 && rem_is_digit(text.p[dash - 1]))
        dash--;
    if (dash == text.n || dash == 0 || text.p[dash - 1] != '-')
        return false;
    digits = --dash;
    while (digits > 0 && rem_is_digit(text.p[digits - 1]))
        digits--;
    if (digits == dash || (digits != 0 && text.p[digits - 1] != ':'))
        return false;
    *base = rem_str_make(text.p, dash);
    return rem_str_to_u64(rem_str_make(text.p + digits, dash - digits), UINT64_MAX, first) == 0 &&
           rem_str_to_u64(rem_str_skip(text, dash + 1), UINT64_MAX, last) == 0;
}

static bool all_digits(struct rem_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!rem_is_digit(s.p[i]))
            return false;
    }
    return s.n != 0;
}

/* Says what is wrong with an address that is none, or resolves it. */
static int add_unparsed(struct rem_conf *cf, const struct listen_args *args,
                        struct rem_http_server_conf *server)
{
    const char *colon = memrchr(args->text.p, ':', args->text.n);
    struct rem_addr_parts parts;

    if (rem_str_is(args->text, "unix:"))
        return rem_conf_error(
            cf, "no path in the unix domain socket in \"unix:\" of the \"listen\" directive");
    if (all_digits(args->text))
        return bad_port(cf, args->text);
    if (rem_addr_split(args->text, &parts) != 0) {
        if (colon != NULL && args->text.p[0] != '[' &&
            !rem_str_has_prefix(args->text, REM_STR("unix:")))
            return bad_port(cf, args->text);
        return rem_conf_error(cf, "invalid address \"%.*s\" of the \"listen\" directive",
                              REM_STR_ARG(args->text));
    }
    return add_resolved(cf, args, server);
}

static int add_text(struct rem_conf *cf, const struct listen_args *args,
                    struct rem_http_server_conf *server)
{
    struct rem_str base;
    uint64_t first, last;
    struct rem_addr addr;
    int rc = 0;

    if (!rem_str_has_prefix(args->text, REM_STR("unix:")) &&
        split_range(args->text, &base, &first, &last)) {
        if (first == 0 || last > UINT16_MAX || first > last)
            return rem_conf_error(cf, "invalid port range in \"%.*s\" of the \"listen\" directive",
                                  REM_STR_ARG(args->text));
        if (rem_addr_parse_listen(base, DEFAULT_PORT, &addr) != 0)
            return rem_conf_error(cf, "invalid address \"%.*s\" of the \"listen\" directive",
                                  REM_STR_ARG(args->text));
        for (uint64_t port = first; rc == 0 && port <= last; port++) {
            rem_addr_set_port(&addr, (uint16_t)port);
            rc = listen_add(cf, &addr, args, server);
        }
        return rc;
    }
    if (rem_addr_parse_listen(args->text, DEFAULT_PORT, &addr) == 0)
        return listen_add(cf, &addr, args, server);
    return add_unparsed(cf, args, server);
}

static void default_args(struct listen_args *args, struct rem_str text)
{
    *args = (struct listen_args){
        .options = {.backlog = DEFAULT_BACKLOG, .fastopen = -1, .ipv6only = true, .keepalive = -1},
        .text = text,
    };
}

int rem_http_listen_set(struct rem_conf *cf, const struct rem_directive *d, void *conf)
{
    struct rem_http_server_conf *server = conf;
    struct listen_args args;

    (void)d;
    default_args(&args, cf->args[1]);
    for (size_t i = 2; i < cf->n_args; i++) {
        int rc = parameter(cf, cf->args[i], &args);

        if (rc != 0)
            return rc;
    }
    server->listens = true;
    return add_text(cf, &args, server);
}

int rem_http_listen_default(struct rem_conf *cf, struct rem_http_server_conf *server)
{
    struct listen_args args;

    default_args(&args, REM_STR("*:80"));
    return add_text(cf, &args, server);
}

/* ---- after reading ---- */

static int add_names(struct rem_conf *cf, const struct rem_http_listen *listen,
                     struct rem_http_names *names, struct rem_http_server_conf *server)
{
    for (uint32_t i = 0; i < server->names.n; i++) {
        const struct rem_http_server_name *name = rem_array_at(&server->names, i);
        int rc = rem_http_names_add(names, name, server);

        if (rc == REM_EEXIST)
            rem_conf_warn_at(cf, (struct rem_conf_pos){0},
                             "conflicting server name \"%.*s\" on %s, ignored",
                             REM_STR_ARG(name->name), listen->address.text.p);
        else if (rc == REM_EINVAL)
            return rem_conf_error_at(cf, server->pos,
                                     "invalid server name or wildcard \"%.*s\" on %s",
                                     REM_STR_ARG(name->name), listen->address.text.p);
        else if (rc != 0)
            return rem_conf_nomem(cf);
    }
    return 0;
}

static int name_servers(struct rem_conf *cf, struct rem_http_listen *listen)
{
    struct rem_http_names *names = rem_arena_alloc(cf->arena, sizeof(*names));

    if (names == NULL)
        return rem_conf_nomem(cf);
    rem_http_names_init(names, cf->arena);
    for (uint32_t i = 0; i < listen->servers.n; i++) {
        struct rem_http_server_conf **server = rem_array_at(&listen->servers, i);
        int rc = add_names(cf, listen, names, *server);

        if (rc != 0)
            return rc;
    }
    /* One server takes all requests; names matter only for what their captures say. */
    if (listen->servers.n > 1 || names->n_regexes != 0)
        listen->address.names = names;
    return 0;
}

static int add_to_port(struct rem_conf *cf, struct rem_http_port *port, uint32_t room,
                       struct rem_http_address *address)
{
    if (port->addresses == NULL) {
        port->addresses = rem_arena_zalloc(cf->arena, room * sizeof(struct rem_http_address *));
        if (port->addresses == NULL)
            return rem_conf_nomem(cf);
    }
    port->addresses[port->n++] = address;
    return 0;
}

static int add_listener(struct rem_conf *cf, struct rem_http_listen *listen,
                        struct rem_http_port *port,
                        void (*on_accept)(struct rem_worker *, struct rem_listener *, int,
                                          const struct rem_addr *))
{
    struct rem_setup *setup = cf->user;
    struct rem_listener *listener = rem_arena_zalloc(cf->arena, sizeof(*listener));

    if (listener == NULL)
        return rem_conf_nomem(cf);
    listener->addr = listen->address.addr;
    listener->options = listen->options;
    listener->text = listen->address.text;
    listener->on_accept = on_accept;
    listener->data = port;
    if (rem_stat_declare(&setup->stats, cf->arena, REM_STAT_LISTENER, listener->text,
                         &listener->stat) != REM_OK)
        return rem_conf_nomem(cf);
    rem_list_append(&setup->listeners, &listener->node);
    return 0;
}

/* Addresses that share `listen`'s socket: those of its port, if it is the wildcard. */
static bool shares(const struct rem_http_listen *wildcard, const struct rem_http_listen *other)
{
    return other != wildcard && !other->options_set &&
           rem_addr_family(&other->address.addr) == rem_addr_family(&wildcard->address.addr) &&
           rem_addr_port(&other->address.addr) == rem_addr_port(&wildcard->address.addr) &&
           rem_addr_is_wildcard(&wildcard->address.addr);
}

/* The wildcard address whose socket serves `listen` too, or NULL. */
static const struct rem_http_listen *wildcard_for(const struct rem_http_listens *listens,
                                                  const struct rem_http_listen *listen)
{
    struct rem_addr any = listen->address.addr;
    const struct rem_http_listen *wildcard;
    char text[REM_ADDR_TEXT];
    size_t n;

    if (rem_addr_family(&any) == AF_INET)
        any.u.in.sin_addr.s_addr = INADDR_ANY;
    else if (rem_addr_family(&any) == AF_INET6)
        any.u.in6.sin6_addr = in6addr_any;
    else
        return NULL;
    n = rem_addr_text(&any, text, sizeof(text));
    wildcard = rem_strmap_get(&listens->by_address, rem_str_make(text, n));
    return wildcard != NULL && shares(wildcard, listen) ? wildcard : NULL;
}

int rem_http_listens_finish(struct rem_conf *cf, struct rem_http_listens *listens,
                            void (*on_accept)(struct rem_worker *worker,
                                              struct rem_listener *listener, int fd,
                                              const struct rem_addr *peer))
{
    struct rem_http_listen **all = listens->list.v;
    uint32_t n = listens->list.n;

    for (uint32_t i = 0; i < n; i++) {
        struct rem_http_port *port;
        uint32_t guests = 0;
        int rc = name_servers(cf, all[i]);

        if (rc != 0)
            return rc;
        if (wildcard_for(listens, all[i]) != NULL)
            continue; /* it comes with the wildcard's listener */
        port = rem_arena_zalloc(cf->arena, sizeof(*port));
        if (port == NULL)
            return rem_conf_nomem(cf);
        if (rem_addr_is_wildcard(&all[i]->address.addr)) {
            for (uint32_t k = 0; k < n; k++)
                guests += shares(all[i], all[k]);
        }
        for (uint32_t k = 0; rc == 0 && guests != 0 && k < n; k++) {
            if (shares(all[i], all[k]))
                rc = add_to_port(cf, port, guests + 1, &all[k]->address);
        }
        if (rc == 0)
            rc = add_to_port(cf, port, guests + 1, &all[i]->address);
        if (rc == 0)
            rc = add_listener(cf, all[i], port, on_accept);
        if (rc != 0)
            return rc;
    }
    return 0;
}

const struct rem_http_address *rem_core_address(const struct rem_listener *listener, int fd)
{
    const struct rem_http_port *port = listener->data;
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);
    struct rem_addr local;

    if (port->n == 1)
        return port->addresses[0];
    if (getsockname(fd, (struct sockaddr *)&storage, &len) != 0)
        return port->addresses[port->n - 1];
    rem_addr_from((struct sockaddr *)&storage, len, &local);
    for (uint32_t i = 0; i + 1 < port->n; i++) {
        if (rem_addr_eq(&port->addresses[i]->addr, &local))
            return port->addresses[i];
    }
    return port->addresses[port->n - 1];
}
