/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/handover.h"

#include <errno.h>

int rem_msg_pair(int fds[2])
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return REM_EIO;
    fds[0] = pair[0];
    fds[1] = pair[1];
    return REM_OK;
}

/* What a failed send or recv means. */
static int failure(void)
{
    switch (errno) {
    case EAGAIN:
    case ENOBUFS:
        return REM_EAGAIN;
    case EPIPE:
    case ECONNRESET:
        return REM_ECLOSED;
    default:
        return REM_EIO;
    }
}

int rem_msg_send(int fd, const struct rem_msg *msg)
{
    ssize_t n;

    do
        n = send(fd, msg, sizeof(*msg), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return failure();
    return n == (ssize_t)sizeof(*msg) ? REM_OK : REM_EIO;
}

int rem_msg_recv(int fd, struct rem_msg *out)
{
    struct rem_msg msg;
    ssize_t n;

    do
        n = recv(fd, &msg, sizeof(msg), MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return failure();
    if (n == 0)
        return REM_ECLOSED;
    if (n != (ssize_t)sizeof(msg) || msg.kind >= REM_MSG_KINDS)
        return REM_EPROTO;
    msg.text[sizeof(msg.text) - 1] = '\0';
    *out = msg;
    return REM_OK;
}
