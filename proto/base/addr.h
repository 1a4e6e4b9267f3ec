/* SPDX-License-Identifier: Apache-2.0 */
/* addr.h - a socket address: parsed, resolved, compared and spelled.
 *
 * Runs in:    every process.
 * Not here:   name resolution at run time; rem_addr_resolve blocks and is for configuration time
 *             only.  */
#ifndef REM_BASE_ADDR_H
#define REM_BASE_ADDR_H

#include "proto/base/err.h"
#include "proto/base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Room for any address's text and its NUL. */
enum { REM_ADDR_TEXT = 128 };

struct rem_addr {
    socklen_t len; /* of the used part of `u`; 0: no address */
    union rem_addr_any {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } u;
};

enum rem_addr_kind {
    REM_ADDR_NAME = 0, /* needs resolving */
    REM_ADDR_INET,
    REM_ADDR_INET6, /* host is without its brackets */
    REM_ADDR_UNIX,  /* host is the path */
};

/* The halves of "host:port"; both borrow from the text that was split. */
struct rem_addr_parts {
    enum rem_addr_kind kind;
    struct rem_str host;
    bool has_port;
    uint16_t port; /* 0 without has_port */
};

/* Splits "name", "name:80", "1.2.3.4:80", "[::1]:80", "[::1]", "unix:/path".
 * Errors: REM_EINVAL (empty host, bad port, port 0, unbalanced bracket, path too long). */
int rem_addr_split(struct rem_str text, struct rem_addr_parts *out) REM_MUST_CHECK;

/* A literal address, no DNS; `default_port` where the text has none (0: a port is required).
 * Errors: REM_EINVAL (also: the host is a name). */
int rem_addr_parse(struct rem_str text, uint16_t default_port, struct rem_addr *out) REM_MUST_CHECK;

/* As rem_addr_parse, for listeners: also "80", ":80", "*:80", "*" (any IPv4 address).
 * Errors: REM_EINVAL. */
int rem_addr_parse_listen(struct rem_str text, uint16_t default_port,
                          struct rem_addr *out) REM_MUST_CHECK;

struct rem_addr_list {
    struct rem_addr *items; /* owned; IPv4 first, no address twice */
    size_t count;
};

/* A literal address or a name with all its addresses of both families.  Blocks.
 * Owns: *out belongs to the caller until rem_addr_list_fini.
 * Errors: REM_EINVAL (malformed), REM_ENOTFOUND (the name has no address), REM_ENOMEM. */
int rem_addr_resolve(struct rem_str text, uint16_t default_port, struct rem_addr_list *out,
                     struct rem_err *err) REM_MUST_CHECK;
void rem_addr_list_fini(struct rem_addr_list *list);

/* Writes "127.0.0.1:8001", "[::1]:80" or "unix:/p" and a NUL, cut to `size`.
 * Returns: the bytes before the NUL. */
size_t rem_addr_text(const struct rem_addr *addr, char *buf, size_t size);

/* Without the port: "127.0.0.1", "::1", "unix:"; as $remote_addr spells it. */
size_t rem_addr_host_text(const struct rem_addr *addr, char *buf, size_t size);

/* From what accept() or getsockname() gave; `len` may be short for an unnamed unix socket. */
void rem_addr_from(const struct sockaddr *sa, socklen_t len, struct rem_addr *out);

static inline int rem_addr_family(const struct rem_addr *addr)
{
    return addr->len == 0 ? AF_UNSPEC : addr->u.sa.sa_family;
}

/* 0 for unix sockets. */
uint16_t rem_addr_port(const struct rem_addr *addr);
void rem_addr_set_port(struct rem_addr *addr, uint16_t port);

/* 127/8, ::1, ::ffff:127/104 or a unix socket. */
bool rem_addr_is_loopback(const struct rem_addr *addr);

/* 0.0.0.0 or ::. */
bool rem_addr_is_wildcard(const struct rem_addr *addr);

bool rem_addr_eq(const struct rem_addr *a, const struct rem_addr *b);
uint64_t rem_addr_hash(const struct rem_addr *addr);

#endif
