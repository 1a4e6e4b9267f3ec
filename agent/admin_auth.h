/* SPDX-License-Identifier: Apache-2.0 */
/* admin_auth.h - who asks, and what he may do.
 *
 * Runs in:    agent.
 * A client:   has a role when it connects (of its user on a unix socket, of the listener on a
 *             loopback address without tokens) and may show a token with any request.
 * Not here:   which request needs which role (see api/route.h).  */
#ifndef REM_AGENT_ADMIN_AUTH_H
#define REM_AGENT_ADMIN_AUTH_H

#include "agent/failures.h"
#include "agent/tokens.h"
#include "api/message.h"
#include "proto/base/addr.h"

struct rem_admin_auth {
    const struct rem_admin_spec *spec; /* borrowed */
    const struct rem_clock *clock;
    struct rem_tokens tokens;
    struct rem_failures failures;
};

enum { REM_ADMIN_WHO = 48 };

/* What is known of a connection's other end. */
struct rem_admin_client {
    enum rem_api_role most; /* through this listener */
    enum rem_api_role role; /* without a token */
    bool local;             /* a unix socket: no browser's page gets there */
    bool proven;            /* has shown a valid token on this connection */
    uint64_t failures_key;
    char who[REM_ADMIN_WHO];     /* without a token */
    char address[REM_ADDR_TEXT]; /* "127.0.0.1:1234", "unix:" */
};

/* Borrows: spec, log and clock.  Errors: REM_ENOMEM. */
int rem_admin_auth_init(struct rem_admin_auth *auth, const struct rem_admin_spec *spec,
                        const struct rem_log *log, const struct rem_clock *clock) REM_MUST_CHECK;
void rem_admin_auth_fini(struct rem_admin_auth *auth);

/* A connection was accepted: `most` is the listener's role (NONE: no limit), `peer` as accept()
 * gave it. */
void rem_admin_auth_meet(const struct rem_admin_auth *auth, int fd, enum rem_api_role most,
                         const struct rem_addr *peer, struct rem_admin_client *out);

/* Fills in who asks: role, who, address, and what a browser's page gives away.  Borrows from
 * client and tokens.
 * Returns: 0; 401 (wrong token); 429 (too many of them, *retry_sec says for how long). */
int rem_admin_auth_ask(struct rem_admin_auth *auth, struct rem_admin_client *client,
                       const struct rem_h1_request *head, struct rem_api_request *request,
                       unsigned *retry_sec);

#endif
