/* SPDX-License-Identifier: Apache-2.0 */
/* admin_conn.h - one client connection of the admin server.
 *
 * Lifecycle:  READ_HEAD -> READ_BODY -> ANSWER -> WRITE -> (READ_HEAD | STREAM | LINGER | closed).
 * Rule:       answers go out in the order of the requests.  Changes that a client pipelines are
 *             under way together, as far as they fit into the input buffer; all else waits there
 *             until what is before it is answered, and no more is read meanwhile.  */
#ifndef REM_AGENT_ADMIN_CONN_H
#define REM_AGENT_ADMIN_CONN_H

#include "agent/admin_server.h"

struct rem_admin_conn;

/* Takes an accepted, non-blocking descriptor; closes it on failure too.  `peer` is borrowed.
 * Errors: REM_ENOMEM. */
int rem_admin_conn_new(struct rem_admin_listener_event *listener, int fd,
                       const struct rem_addr *peer) REM_MUST_CHECK;

/* Closes a connection of the listener (NULL: of any) that has done nothing for `idle_ms`, for
 * another's place.  Whoever has shown a token comes last, else the longest in its state first.
 * Returns: false when there is none. */
bool rem_admin_conn_make_room(struct rem_admin_server *server,
                              const struct rem_admin_listener_event *listener, uint64_t idle_ms);

/* Over the limit of connections: answers 503 as far as one write goes, and closes. */
void rem_admin_conn_refuse(struct rem_admin_server *server, int fd);

/* The server quits: closes an idle connection, lets a busy one end. */
void rem_admin_conn_quit(struct rem_admin_conn *conn);

/* Closes at once; the call in progress is abandoned. */
void rem_admin_conn_close(struct rem_admin_conn *conn);

/* The connection in server->connections. */
struct rem_admin_conn *rem_admin_conn_at(struct rem_list *node);

/* Has a stream look for news, unless it is busy sending older ones. */
void rem_admin_conn_poke(struct rem_list *stream);

#endif
