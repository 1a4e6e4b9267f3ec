/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void rem_listen_options_init(struct rem_listen_options *options)
{
    *options = (struct rem_listen_options){
        .backlog = 511, .fastopen = -1, .ipv6only = true, .keepalive = -1};
}

static int fail(struct rem_err *err, const struct rem_listener *l, const char *what, int sys)
{
    char text[REM_ADDR_TEXT];

    rem_addr_text(&l->addr, text, sizeof(text));
    return rem_err_set(err, REM_EIO, "%s %s failed (%d: %s)", what, text, sys, strerror(sys));
}

/* A unix path whose socket nobody listens on any more, left by a process that was killed. */
static bool is_stale(const struct rem_addr *addr)
{
    struct stat st;
    bool stale = false;
    int fd;

    if (lstat(addr->u.un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    if (connect(fd, &addr->u.sa, addr->len) != 0 && errno == ECONNREFUSED)
        stale = true;
    close(fd);
    return stale;
}

static bool is_unix_path(const struct rem_addr *addr)
{
    return rem_addr_family(addr) == AF_UNIX && addr->u.un.sun_path[0] != '\0';
}

/* Binds, taking the place of a stale unix socket. */
static int bind_addr(int fd, const struct rem_addr *addr)
{
    if (bind(fd, &addr->u.sa, addr->len) == 0)
        return 0;
    if (errno != EADDRINUSE || !is_unix_path(addr))
        return -1;
    if (!is_stale(addr) || unlink(addr->u.un.sun_path) != 0) {
        errno = EADDRINUSE;
        return -1;
    }
    return bind(fd, &addr->u.sa, addr->len);
}

static void set_int(int fd, int level, int name, int value)
{
    /* These tune; a kernel that refuses one still serves. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* Options that may change on a socket that is already listening. */
static void tune(int fd, const struct rem_listener *l)
{
    const struct rem_listen_options *o = &l->options;

    if (o->rcvbuf > 0)
        set_int(fd, SOL_SOCKET, SO_RCVBUF, o->rcvbuf);
    if (o->sndbuf > 0)
        set_int(fd, SOL_SOCKET, SO_SNDBUF, o->sndbuf);
    if (rem_addr_family(&l->addr) == AF_UNIX)
        return;
    if (o->keepalive >= 0)
        set_int(fd, SOL_SOCKET, SO_KEEPALIVE, o->keepalive);
    if (o->keepidle > 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->keepidle);
    if (o->keepintvl > 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->keepintvl);
    if (o->keepcnt > 0)
        set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepcnt);
    if (o->fastopen >= 0)
        set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, o->fastopen);
    set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, o->deferred ? 1 : 0);
}

/* Nobody is let in before listen(), whatever the umask was. */
static void set_mode(const struct rem_listener *l)
{
    if (is_unix_path(&l->addr))
        (void)chmod(l->addr.u.un.sun_path, l->options.mode != 0 ? l->options.mode : 0666);
}

static int start_listening(int fd, const struct rem_listener *l, struct rem_err *err)
{
    tune(fd, l);
    if (listen(fd, l->options.backlog > 0 ? l->options.backlog : 511) != 0)
        return fail(err, l, "listen() to", errno);
    return REM_OK;
}

static int open_socket(const struct rem_listener *l, int *out, struct rem_err *err)
{
    int family = rem_addr_family(&l->addr);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc;

    if (fd < 0)
        return fail(err, l, "socket()", errno);
    if (family != AF_UNIX)
        set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (l->options.reuseport && family != AF_UNIX)
        set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (family == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, l->options.ipv6only ? 1 : 0);
    if (bind_addr(fd, &l->addr) != 0) {
        rc = fail(err, l, "bind() to", errno);
        close(fd);
        return rc;
    }
    set_mode(l);
    rc = start_listening(fd, l, err);
    if (rc != REM_OK) {
        if (is_unix_path(&l->addr))
            unlink(l->addr.u.un.sun_path);
        close(fd);
        return rc;
    }
    *out = fd;
    return REM_OK;
}

static struct rem_listener *find(struct rem_list *list, const struct rem_addr *addr)
{
    if (list == NULL)
        return NULL;
    REM_LIST_EACH(node, list) {
        struct rem_listener *l = REM_LIST_ENTRY(node, struct rem_listener, node);

        if (rem_addr_eq(&l->addr, addr))
            return l;
    }
    return NULL;
}

static bool has_fd(const struct rem_listener *l, int fd)
{
    for (int i = 0; l != NULL && i < l->fd_count; i++)
        if (l->fds[i] == fd)
            return true;
    return false;
}

/* Closes what `l` has beyond the sockets of `kept`.  Returns whether any was kept. */
static bool close_fds(struct rem_listener *l, const struct rem_listener *kept)
{
    bool any = false;

    for (int i = 0; i < l->fd_count; i++) {
        if (l->fds[i] < 0)
            continue;
        if (has_fd(kept, l->fds[i]))
            any = true;
        else
            close(l->fds[i]);
        l->fds[i] = -1;
    }
    free(l->fds);
    l->fds = NULL;
    l->fd_count = 0;
    return any;
}

/* Opens the sockets of one listener; those of `old` first. */
static int open_one(struct rem_listener *l, const struct rem_listener *old, int workers,
                    struct rem_err *err)
{
    int count = l->options.reuseport && rem_addr_family(&l->addr) != AF_UNIX ? workers : 1;

    l->fds = malloc((size_t)count * sizeof(*l->fds));
    if (l->fds == NULL)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    l->fd_count = count;
    for (int i = 0; i < count; i++)
        l->fds[i] = -1;
    for (int i = 0; i < count; i++) {
        int rc;

        if (old != NULL && i < old->fd_count && old->fds[i] >= 0) {
            l->fds[i] = old->fds[i];
            if (count > 1)
                set_int(l->fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
            rc = start_listening(l->fds[i], l, err);
        } else {
            rc = open_socket(l, &l->fds[i], err);
        }
        if (rc != REM_OK)
            return rc;
    }
    return REM_OK;
}

/* Undoes what rem_listeners_open has done so far. */
static void undo(struct rem_list *next, struct rem_list *previous)
{
    REM_LIST_EACH(node, next) {
        struct rem_listener *l = REM_LIST_ENTRY(node, struct rem_listener, node);
        const struct rem_listener *old = find(previous, &l->addr);
        bool opened = l->fd_count > 0 && old == NULL && l->fds[0] >= 0;

        close_fds(l, old);
        if (opened && is_unix_path(&l->addr))
            unlink(l->addr.u.un.sun_path);
    }
}

int rem_listeners_open(struct rem_list *next, struct rem_list *previous, int workers,
                       struct rem_err *err)
{
    REM_LIST_EACH(node, next) {
        struct rem_listener *l = REM_LIST_ENTRY(node, struct rem_listener, node);
        int rc = open_one(l, find(previous, &l->addr), workers, err);

        if (rc != REM_OK) {
            undo(next, previous);
            return rc;
        }
    }
    return REM_OK;
}

void rem_listeners_close(struct rem_list *listeners, struct rem_list *kept)
{
    REM_LIST_EACH(node, listeners) {
        struct rem_listener *l = REM_LIST_ENTRY(node, struct rem_listener, node);
        const struct rem_listener *same = find(kept, &l->addr);
        bool open = l->fd_count > 0;

        if (!close_fds(l, same) && open && is_unix_path(&l->addr))
            unlink(l->addr.u.un.sun_path);
        else if (same != NULL && same->options.mode != l->options.mode)
            set_mode(same); /* only now is it certain whose configuration counts */
    }
}
