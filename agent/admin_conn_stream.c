/* SPDX-License-Identifier: Apache-2.0 */
/* An answer that goes on: server-sent events.  The connection holds one piece at a time; a client
 * that does not read finds itself overtaken, or is dropped, and costs no memory meanwhile. */
#include "agent/admin_conn_priv.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

enum { END_READS = 4 };

/* Makes a chunk of the body, if need be. */
static void frame(struct rem_admin_conn *conn)
{
    struct rem_sbuf *body = &rem_admin_conn_first(conn)->call.response.body;

    conn->sent = conn->out_n = 0;
    if (!conn->chunked)
        return;
    if (body->n != 0) {
        conn->out_n = (size_t)snprintf(conn->out, sizeof(conn->out), "%zx\r\n", body->n);
        rem_sbuf_adds(body, "\r\n");
    }
    if (conn->last)
        rem_sbuf_adds(body, "0\r\n\r\n");
}

void rem_admin_conn_begin_stream(struct rem_admin_conn *conn)
{
    rem_admin_conn_goto(conn, REM_ADMIN_STREAM);
    rem_list_append(&conn->server->streams, &conn->stream);
    conn->server->stream_count++;
    frame(conn);
    (void)event_add(conn->readable, NULL);
}

/* Asks for the next piece and frames it.  Returns: false when there is nothing to send. */
static bool next_piece(struct rem_admin_conn *conn)
{
    struct rem_admin_handler *handler = &conn->server->handler;
    struct rem_sbuf *body = &rem_admin_conn_first(conn)->call.response.body;
    bool goes_on;

    rem_sbuf_clear(body);
    goes_on = handler->on_stream(handler->data, &rem_admin_conn_first(conn)->call) &&
              !conn->server->quitting && !(conn->inlet != NULL && conn->server->workers_leave);
    if (body->n == 0 && goes_on && conn->expired)
        rem_sbuf_adds(body, ":\n\n");
    conn->expired = false;
    if (body->n == 0 && goes_on)
        return false;
    conn->last = !goes_on;
    frame(conn);
    return true;
}

/* A client has nothing more to say; what it says is thrown away, and its end is noticed.  One that
 * floods is heard again in the next turn. */
static void look_for_end(struct rem_admin_conn *conn)
{
    bool more = true;

    for (int i = 0; i < END_READS && more; i++) {
        conn->in_n = 0;
        more = rem_admin_conn_fill(conn);
    }
    conn->in_n = 0;
    free(conn->in);
    conn->in = NULL;
}

/* The piece is out.  Memory for the next one is taken when there is one. */
static void end_piece(struct rem_admin_conn *conn)
{
    struct rem_sbuf *body = &rem_admin_conn_first(conn)->call.response.body;

    rem_sbuf_fini(body);
    rem_sbuf_init(body);
    conn->out_n = conn->sent = 0;
    if (conn->last)
        rem_admin_conn_goto(conn, REM_ADMIN_CLOSED);
    else
        rem_admin_conn_arm(conn, conn->server->patience.stream);
    (void)event_add(conn->readable, NULL);
}

enum rem_admin_step rem_admin_conn_stream(struct rem_admin_conn *conn)
{
    struct rem_sbuf *body = &rem_admin_conn_first(conn)->call.response.body;

    if (conn->out_n + body->n == 0) {
        look_for_end(conn);
        if (!conn->eof && !next_piece(conn))
            return REM_ADMIN_WAIT;
        rem_admin_conn_arm(conn, conn->server->patience.body);
    }
    if (conn->eof || body->failed)
        rem_admin_conn_goto(conn, REM_ADMIN_CLOSED);
    else if (conn->sent != conn->out_n + body->n)
        return rem_admin_conn_send(conn, rem_sbuf_str(body));
    else
        end_piece(conn);
    return REM_ADMIN_NEXT;
}
