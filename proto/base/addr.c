/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/addr.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

static const struct rem_str unix_prefix = REM_STR("unix:");

static int parse_port(struct rem_str text, uint16_t *out)
{
    uint64_t port;
    int rc = rem_str_to_u64(text, 65535, &port);

    if (rc != REM_OK || port == 0)
        return REM_EINVAL;
    *out = (uint16_t)port;
    return REM_OK;
}

static int split_unix(struct rem_str path, struct rem_addr_parts *out)
{
    struct sockaddr_un un;

    if (path.n == 0 || path.n >= sizeof(un.sun_path) || memchr(path.p, '\0', path.n) != NULL)
        return REM_EINVAL;
    *out = (struct rem_addr_parts){.kind = REM_ADDR_UNIX, .host = path};
    return REM_OK;
}

static int split_bracketed(struct rem_str text, struct rem_addr_parts *out)
{
    struct rem_addr_parts parts = {.kind = REM_ADDR_INET6};
    const char *close = rem_str_chr(text, ']');
    struct rem_str rest;

    if (close == NULL || close == text.p + 1)
        return REM_EINVAL;
    parts.host = rem_str_make(text.p + 1, (size_t)(close - text.p - 1));
    rest = rem_str_skip(text, parts.host.n + 2);
    if (rest.n != 0) {
        if (rest.p[0] != ':' || parse_port(rem_str_skip(rest, 1), &parts.port) != REM_OK)
            return REM_EINVAL;
        parts.has_port = true;
    }
    *out = parts;
    return REM_OK;
}

/* Copies a host to be NUL-terminated.  Returns false when it does not fit. */
static bool host_copy(struct rem_str host, char *buf, size_t size)
{
    if (host.n == 0 || host.n >= size || memchr(host.p, '\0', host.n) != NULL)
        return false;
    memcpy(buf, host.p, host.n);
    buf[host.n] = '\0';
    return true;
}

static bool is_inet(struct rem_str host)
{
    char buf[INET_ADDRSTRLEN];
    struct in_addr in;

    return host_copy(host, buf, sizeof(buf)) && inet_pton(AF_INET, buf, &in) == 1;
}

int rem_addr_split(struct rem_str text, struct rem_addr_parts *out)
{
    struct rem_addr_parts parts = {.kind = REM_ADDR_NAME, .host = text};
    const char *colon;

    if (rem_str_has_prefix(text, unix_prefix))
        return split_unix(rem_str_skip(text, unix_prefix.n), out);
    if (text.n != 0 && text.p[0] == '[')
        return split_bracketed(text, out);
    colon = rem_str_chr(text, ':');
    if (colon != NULL) {
        parts.host.n = (size_t)(colon - text.p);
        if (parse_port(rem_str_skip(text, parts.host.n + 1), &parts.port) != REM_OK)
            return REM_EINVAL;
        parts.has_port = true;
    }
    if (parts.host.n == 0 || parts.host.n > 253)
        return REM_EINVAL;
    for (size_t i = 0; i < parts.host.n; i++)
        if ((unsigned char)parts.host.p[i] <= ' ' || strchr("/[]*@?#\x7f", parts.host.p[i]))
            return REM_EINVAL;
    if (is_inet(parts.host))
        parts.kind = REM_ADDR_INET;
    *out = parts;
    return REM_OK;
}

static int from_parts(const struct rem_addr_parts *parts, uint16_t default_port,
                      struct rem_addr *out)
{
    uint16_t port = parts->has_port ? parts->port : default_port;
    struct rem_addr addr;
    char host[INET6_ADDRSTRLEN];

    memset(&addr, 0, sizeof(addr));
    if (parts->kind == REM_ADDR_UNIX) {
        addr.u.un.sun_family = AF_UNIX;
        memcpy(addr.u.un.sun_path, parts->host.p, parts->host.n);
        addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + parts->host.n + 1);
        *out = addr;
        return REM_OK;
    }
    if (port == 0 || parts->kind == REM_ADDR_NAME || !host_copy(parts->host, host, sizeof(host)))
        return REM_EINVAL;
    if (parts->kind == REM_ADDR_INET) {
        addr.len = sizeof(addr.u.in);
        addr.u.in.sin_family = AF_INET;
        addr.u.in.sin_port = htons(port);
        if (inet_pton(AF_INET, host, &addr.u.in.sin_addr) != 1)
            return REM_EINVAL;
    } else {
        addr.len = sizeof(addr.u.in6);
        addr.u.in6.sin6_family = AF_INET6;
        addr.u.in6.sin6_port = htons(port);
        if (inet_pton(AF_INET6, host, &addr.u.in6.sin6_addr) != 1)
            return REM_EINVAL;
    }
    *out = addr;
    return REM_OK;
}

int rem_addr_parse(struct rem_str text, uint16_t default_port, struct rem_addr *out)
{
    struct rem_addr_parts parts;
    int rc = rem_addr_split(text, &parts);

    return rc != REM_OK ? rc : from_parts(&parts, default_port, out);
}

int rem_addr_parse_listen(struct rem_str text, uint16_t default_port, struct rem_addr *out)
{
    struct rem_addr_parts any = {.kind = REM_ADDR_INET, .host = REM_STR("0.0.0.0")};
    struct rem_str port = text;
    bool bare;

    if (rem_str_is(text, "*"))
        return from_parts(&any, default_port, out);
    bare = text.n != 0;
    for (size_t i = 0; i < text.n; i++)
        bare = bare && rem_is_digit(text.p[i]);
    if (!bare) {
        if (port.n != 0 && port.p[0] == '*')
            port = rem_str_skip(port, 1);
        if (port.n == 0 || port.p[0] != ':')
            return rem_addr_parse(text, default_port, out);
        port = rem_str_skip(port, 1);
    }
    if (parse_port(port, &any.port) != REM_OK)
        return REM_EINVAL;
    any.has_port = true;
    return from_parts(&any, default_port, out);
}

/* Appends unless the address is there already. */
static int list_add(struct rem_addr_list *list, const struct rem_addr *addr)
{
    struct rem_addr *grown;

    for (size_t i = 0; i < list->count; i++)
        if (rem_addr_eq(&list->items[i], addr))
            return REM_OK;
    grown = realloc(list->items, (list->count + 1) * sizeof(*grown));
    if (grown == NULL)
        return REM_ENOMEM;
    grown[list->count++] = *addr;
    list->items = grown;
    return REM_OK;
}

static int add_family(struct rem_addr_list *list, const struct addrinfo *found, int family,
                      uint16_t port)
{
    struct rem_addr addr;

    for (; found != NULL; found = found->ai_next) {
        if (found->ai_family != family)
            continue;
        rem_addr_from(found->ai_addr, found->ai_addrlen, &addr);
        rem_addr_set_port(&addr, port);
        int rc = list_add(list, &addr);
        if (rc != REM_OK)
            return rc;
    }
    return REM_OK;
}

static int resolve_name(const struct rem_addr_parts *parts, uint16_t port,
                        struct rem_addr_list *out, struct rem_err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct rem_addr_list list = {0};
    struct addrinfo *found = NULL;
    char name[256];
    int rc;

    if (!host_copy(parts->host, name, sizeof(name)))
        return rem_err_set(err, REM_EINVAL, "invalid host");
    rc = getaddrinfo(name, NULL, &hints, &found);
    if (rc != 0)
        return rem_err_set(err, REM_ENOTFOUND, "host not found: \"%s\" (%s)", name,
                           gai_strerror(rc));
    rc = add_family(&list, found, AF_INET, port);
    if (rc == REM_OK)
        rc = add_family(&list, found, AF_INET6, port);
    freeaddrinfo(found);
    if (rc == REM_OK && list.count == 0)
        rc = REM_ENOTFOUND;
    if (rc != REM_OK) {
        rem_addr_list_fini(&list);
        return rem_err_set(err, rc, "host not found: \"%s\"", name);
    }
    *out = list;
    return REM_OK;
}

int rem_addr_resolve(struct rem_str text, uint16_t default_port, struct rem_addr_list *out,
                     struct rem_err *err)
{
    struct rem_addr_list list = {0};
    struct rem_addr_parts parts;
    struct rem_addr addr;
    uint16_t port;
    int rc = rem_addr_split(text, &parts);

    if (rc != REM_OK)
        return rem_err_set(err, rc, "invalid address \"%.*s\"", REM_STR_ARG(text));
    port = parts.has_port ? parts.port : default_port;
    if (parts.kind != REM_ADDR_UNIX && port == 0)
        return rem_err_set(err, REM_EINVAL, "no port in \"%.*s\"", REM_STR_ARG(text));
    if (parts.kind == REM_ADDR_NAME)
        return resolve_name(&parts, port, out, err);
    rc = from_parts(&parts, port, &addr);
    if (rc != REM_OK)
        return rem_err_set(err, rc, "invalid address \"%.*s\"", REM_STR_ARG(text));
    rc = list_add(&list, &addr);
    if (rc != REM_OK)
        return rem_err_set(err, rc, "out of memory");
    *out = list;
    return REM_OK;
}

void rem_addr_list_fini(struct rem_addr_list *list)
{
    free(list->items);
    *list = (struct rem_addr_list){0};
}

static struct rem_str unix_path(const struct rem_addr *addr)
{
    size_t room = addr->len - offsetof(struct sockaddr_un, sun_path);

    if (addr->len <= offsetof(struct sockaddr_un, sun_path))
        return (struct rem_str){"", 0};
    return (struct rem_str){addr->u.un.sun_path, strnlen(addr->u.un.sun_path, room)};
}

/* What snprintf wrote, not what it would have liked to. */
static size_t written(int n, size_t size)
{
    if (n < 0 || size == 0)
        return 0;
    return (size_t)n < size ? (size_t)n : size - 1;
}

size_t rem_addr_host_text(const struct rem_addr *addr, char *buf, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";

    switch (rem_addr_family(addr)) {
    case AF_INET:
        inet_ntop(AF_INET, &addr->u.in.sin_addr, host, sizeof(host));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &addr->u.in6.sin6_addr, host, sizeof(host));
        break;
    case AF_UNIX:
        return written(snprintf(buf, size, "unix:"), size);
    default:
        break;
    }
    return written(snprintf(buf, size, "%s", host), size);
}

size_t rem_addr_text(const struct rem_addr *addr, char *buf, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    const char *format = "%s:%u";

    if (rem_addr_family(addr) == AF_UNIX) {
        struct rem_str path = unix_path(addr);
        return written(snprintf(buf, size, "unix:%.*s", REM_STR_ARG(path)), size);
    }
    rem_addr_host_text(addr, host, sizeof(host));
    if (rem_addr_family(addr) == AF_UNSPEC)
        return written(snprintf(buf, size, "%s", ""), size);
    if (rem_addr_family(addr) == AF_INET6)
        format = "[%s]:%u";
    return written(snprintf(buf, size, format, host, (unsigned)rem_addr_port(addr)), size);
}

void rem_addr_from(const struct sockaddr *sa, socklen_t len, struct rem_addr *out)
{
    struct rem_addr addr;

    memset(&addr, 0, sizeof(addr));
    addr.len = len < (socklen_t)sizeof(addr.u) ? len : (socklen_t)sizeof(addr.u);
    memcpy(&addr.u, sa, addr.len);
    if (addr.len < sizeof(sa_family_t))
        addr.len = 0;
    *out = addr;
}

uint16_t rem_addr_port(const struct rem_addr *addr)
{
    switch (rem_addr_family(addr)) {
    case AF_INET:
        return ntohs(addr->u.in.sin_port);
    case AF_INET6:
        return ntohs(addr->u.in6.sin6_port);
    default:
        return 0;
    }
}

void rem_addr_set_port(struct rem_addr *addr, uint16_t port)
{
    if (rem_addr_family(addr) == AF_INET)
        addr->u.in.sin_port = htons(port);
    else if (rem_addr_family(addr) == AF_INET6)
        addr->u.in6.sin6_port = htons(port);
}

bool rem_addr_is_loopback(const struct rem_addr *addr)
{
    const struct in6_addr *in6 = &addr->u.in6.sin6_addr;

    switch (rem_addr_family(addr)) {
    case AF_INET:
        return (ntohl(addr->u.in.sin_addr.s_addr) >> 24) == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
    default:
        return rem_addr_family(addr) == AF_UNIX;
    }
}

bool rem_addr_is_wildcard(const struct rem_addr *addr)
{
    switch (rem_addr_family(addr)) {
    case AF_INET:
        return addr->u.in.sin_addr.s_addr == htonl(INADDR_ANY);
    case AF_INET6:
        return IN6_IS_ADDR_UNSPECIFIED(&addr->u.in6.sin6_addr);
    default:
        return false;
    }
}

bool rem_addr_eq(const struct rem_addr *a, const struct rem_addr *b)
{
    if (rem_addr_family(a) != rem_addr_family(b))
        return false;
    switch (rem_addr_family(a)) {
    case AF_INET:
        return a->u.in.sin_port == b->u.in.sin_port &&
               a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
    case AF_INET6:
        return a->u.in6.sin6_port == b->u.in6.sin6_port &&
               a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id &&
               IN6_ARE_ADDR_EQUAL(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr);
    case AF_UNIX:
        return rem_str_eq(unix_path(a), unix_path(b));
    default:
        return true;
    }
}

uint64_t rem_addr_hash(const struct rem_addr *addr)
{
    struct rem_str path;

    switch (rem_addr_family(addr)) {
    case AF_INET:
        return rem_hash(&addr->u.in.sin_addr, 4) + rem_addr_port(addr);
    case AF_INET6:
        return rem_hash(&addr->u.in6.sin6_addr, 16) + rem_addr_port(addr);
    case AF_UNIX:
        path = unix_path(addr);
        return rem_hash(path.p, path.n);
    default:
        return 0;
    }
}
