/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/inlet.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    BACKLOG = 4096, /* who finds no room is refused at once, without the wait that TCP has */
};

static int make_secret(char out[REM_INLET_SECRET + 1])
{
    unsigned char bytes[REM_INLET_SECRET / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return REM_EIO;
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static int get_address(int fd, struct rem_addr *out)
{
    union rem_addr_any any;
    socklen_t len = sizeof(any);

    if (getsockname(fd, &any.sa, &len) != 0)
        return REM_EIO;
    rem_addr_from(&any.sa, len, out);
    return rem_addr_family(out) == AF_UNIX ? 0 : REM_EINVAL;
}

int rem_inlet_open(struct rem_inlet *inlet)
{
    const struct sockaddr_un nameless = {.sun_family = AF_UNIX};
    struct rem_inlet next;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int saved;

    if (fd < 0)
        return REM_EIO;
    rem_inlet_init(&next);
    /* Bound to the family alone, the kernel finds an abstract name that is free. */
    if (bind(fd, (const struct sockaddr *)&nameless, offsetof(struct sockaddr_un, sun_path)) == 0 &&
        listen(fd, BACKLOG) == 0 && get_address(fd, &next.addr) == 0 &&
        make_secret(next.secret) == 0) {
        next.fd = fd;
        *inlet = next;
        return 0;
    }
    saved = errno;
    close(fd);
    errno = saved;
    return REM_EIO;
}

int rem_inlet_adopt(struct rem_inlet *inlet, int fd, const char *secret)
{
    struct rem_inlet next = {.fd = fd};
    int listening = 0;
    socklen_t len = sizeof(listening);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0 || listening == 0 ||
        get_address(fd, &next.addr) != 0 || strlen(secret) != REM_INLET_SECRET)
        return REM_EINVAL;
    memcpy(next.secret, secret, sizeof(next.secret));
    *inlet = next;
    return 0;
}

void rem_inlet_close(struct rem_inlet *inlet)
{
    if (rem_inlet_is_open(inlet))
        close(inlet->fd);
    rem_inlet_init(inlet);
}

bool rem_inlet_check(const struct rem_inlet *inlet, struct rem_str value, bool *write)
{
    struct rem_str role;
    unsigned difference = 0;

    if (value.n <= REM_INLET_SECRET || value.p[REM_INLET_SECRET] != ' ')
        return false;
    for (size_t i = 0; i < REM_INLET_SECRET; i++)
        difference |= (unsigned)(value.p[i] ^ inlet->secret[i]);
    role = rem_str_skip(value, REM_INLET_SECRET + 1);
    *write = rem_str_is(role, "write");
    return difference == 0 && (*write || rem_str_is(role, "read"));
}

bool rem_inlet_is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    return peer.uid == geteuid() || peer.uid == 0;
}
