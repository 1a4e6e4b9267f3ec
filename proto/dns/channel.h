/* SPDX-License-Identifier: Apache-2.0 */
/* channel.h - c-ares on the user's loop: the servers to be asked, and the sockets it opens.
 *
 * Runs in:    as dns.h, which is the only one to use it.
 * Not here:   questions (lookup.h), when c-ares is to be called again (dns.c).  */
#ifndef REM_DNS_CHANNEL_H
#define REM_DNS_CHANNEL_H

#include "proto/dns/dns.h"

#include <ares.h>

struct rem_dns_socket;

struct rem_dns_channel {
    ares_channel ares;
    const struct rem_dns_io *io;    /* borrowed, for as long as it is open */
    struct rem_dns_socket *sockets; /* owned; those the loop watches */
};

/* The struct must stay where it is until it is closed.  Errors: REM_ENOMEM, REM_EINVAL (servers),
 * REM_EIO; it may be closed even then. */
int rem_dns_channel_open(struct rem_dns_channel *channel, const struct rem_dns_spec *spec,
                         const struct rem_dns_io *io) REM_MUST_CHECK;

/* The loop has been told to forget all sockets. */
void rem_dns_channel_close(struct rem_dns_channel *channel);

#endif
