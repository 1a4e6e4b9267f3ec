/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/dns/channel.h"

#include <stdlib.h>
#include <string.h>

enum {
    TIMEOUT_MS = 2000, /* of the first try; doubled with each round through the servers */
    TRIES = 4,
};

/* A socket that the loop watches, and what it keeps of it. */
struct rem_dns_socket {
    struct rem_dns_socket *next;
    int fd;
    void *kept;
};

static struct rem_dns_socket **find(struct rem_dns_channel *channel, int fd)
{
    struct rem_dns_socket **at = &channel->sockets;

    while (*at != NULL && (*at)->fd != fd)
        at = &(*at)->next;
    return at;
}

/* Without memory the socket is not watched, and what was asked through it times out. */
static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct rem_dns_channel *channel = data;
    const struct rem_dns_io *io = channel->io;
    struct rem_dns_socket **at = find(channel, fd), *socket = *at;
    bool watched = readable || writable;

    if (socket == NULL && watched) {
        socket = *at = calloc(1, sizeof(*socket));
        if (socket == NULL)
            return;
        socket->fd = fd;
    }
    if (socket == NULL)
        return;
    if (io->watch(io->data, fd, readable != 0, writable != 0, &socket->kept) == REM_OK && watched)
        return;
    *at = socket->next;
    free(socket);
}

static int set_servers(ares_channel channel, const struct rem_dns_spec *spec)
{
    struct ares_addr_port_node *nodes = calloc(spec->server_count, sizeof(*nodes));
    int rc = nodes != NULL ? REM_OK : REM_ENOMEM;

    for (size_t i = 0; rc == REM_OK && i < spec->server_count; i++) {
        const struct rem_addr *addr = &spec->servers[i];

        nodes[i].family = rem_addr_family(addr);
        nodes[i].udp_port = nodes[i].tcp_port = rem_addr_port(addr);
        nodes[i].next = i + 1 < spec->server_count ? &nodes[i + 1] : NULL;
        if (nodes[i].family == AF_INET)
            nodes[i].addr.addr4 = addr->u.in.sin_addr;
        else if (nodes[i].family == AF_INET6)
            memcpy(&nodes[i].addr.addr6, &addr->u.in6.sin6_addr, sizeof(nodes[i].addr.addr6));
        else
            rc = REM_EINVAL;
    }
    if (rc == REM_OK)
        switch (ares_set_servers_ports(channel, nodes)) {
        case ARES_SUCCESS:
            break;
        case ARES_ENOMEM:
            rc = REM_ENOMEM;
            break;
        default:
            rc = REM_EINVAL;
        }
    free(nodes);
    return rc;
}

int rem_dns_channel_open(struct rem_dns_channel *channel, const struct rem_dns_spec *spec,
                         const struct rem_dns_io *io)
{
    char lookups[] = "b";
    struct ares_options options = {
        /* What a server says is the answer: other servers are for when it says nothing. */
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP,
        .timeout = TIMEOUT_MS,
        .tries = TRIES,
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = channel,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
               ARES_OPT_SOCK_STATE_CB | ARES_OPT_ROTATE;

    *channel = (struct rem_dns_channel){.io = io};
    switch (ares_init_options(&channel->ares, &options, mask)) {
    case ARES_SUCCESS:
        return set_servers(channel->ares, spec);
    case ARES_ENOMEM:
        return REM_ENOMEM;
    default:
        return REM_EIO;
    }
}

void rem_dns_channel_close(struct rem_dns_channel *channel)
{
    if (channel->ares != NULL)
        ares_destroy(channel->ares); /* which closes its sockets */
    channel->ares = NULL;
}
