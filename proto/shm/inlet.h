/* SPDX-License-Identifier: Apache-2.0 */
/* inlet.h - the socket through which workers pass requests for the `api` directive to the agent.
 *
 * Runs in:    the master makes it and holds it, so that what arrives while an agent is replaced
 *             waits for the next one; workers connect, the agent accepts.
 * Trust:      the address is an abstract one, which anybody in the network namespace may connect
 *             to.  A request counts only with the secret, which is known to nobody but the
 *             processes of this instance, and from a process of the agent's own user (or root).
 * Lifecycle:  open -> (adopt, in the next binary) -> close.  */
#ifndef REM_SHM_INLET_H
#define REM_SHM_INLET_H

#include "proto/base/addr.h"

enum {
    REM_INLET_SECRET = 32, /* hexadecimal digits */
};

/* The field that a worker puts before all others: the secret, a space, "read" or "write". */
#define REM_INLET_FIELD "Remora-Inlet"
/* The address that the client connected to, for what the API says of itself. */
#define REM_INLET_LOCAL "Remora-Local"
/* The client's own, for the audit log. */
#define REM_INLET_CLIENT "Remora-Client"

struct rem_inlet {
    int fd; /* listening, non-blocking, close-on-exec; -1: closed */
    struct rem_addr addr;
    char secret[REM_INLET_SECRET + 1];
};

static inline void rem_inlet_init(struct rem_inlet *inlet)
{
    *inlet = (struct rem_inlet){.fd = -1};
}

static inline bool rem_inlet_is_open(const struct rem_inlet *inlet)
{
    return inlet->fd >= 0;
}

/* Errors: REM_EIO (errno says why); the inlet stays closed. */
int rem_inlet_open(struct rem_inlet *inlet) REM_MUST_CHECK;

/* Takes over the socket and the secret of a former binary; takes `fd` on success.
 * Errors: REM_EINVAL (no such socket, no such secret). */
int rem_inlet_adopt(struct rem_inlet *inlet, int fd, const char *secret) REM_MUST_CHECK;

void rem_inlet_close(struct rem_inlet *inlet);

/* Takes the value of REM_INLET_FIELD apart, in a time that does not depend on how much of the
 * secret is right.  Returns: whether the request may be believed; *write then says what it may do.
 */
bool rem_inlet_check(const struct rem_inlet *inlet, struct rem_str value, bool *write);

/* Whether the process at the other end of an accepted socket is of our own user, or root's. */
bool rem_inlet_is_ours(int fd);

#endif
