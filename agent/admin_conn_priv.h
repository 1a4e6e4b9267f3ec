/* SPDX-License-Identifier: Apache-2.0 */
/* admin_conn_priv.h - a connection from the inside: its states, and who does what in them.
 *
 * Files:      admin_conn.c (life, driver), admin_conn_read.c (heads and bodies),
 *             admin_conn_write.c (answers, lingering), admin_conn_stream.c (answers that go on). */
#ifndef REM_AGENT_ADMIN_CONN_PRIV_H
#define REM_AGENT_ADMIN_CONN_PRIV_H

#include "agent/admin_conn.h"
#include "proto/wire/chunk.h"

enum {
    REM_ADMIN_CONN_MAGIC = 0x61646d63,
    REM_ADMIN_INPUT_SIZE = REM_ADMIN_HEAD_MAX,
    REM_ADMIN_ANSWER_HEAD = 1024,
    REM_ADMIN_PIPELINE = 64, /* calls of a connection under way at a time */
};

/* In the order a request takes; each waits for what is named, with the timer in brackets. */
enum rem_admin_state {
    REM_ADMIN_READ_HEAD = 0, /* a head [idle, then head] */
    REM_ADMIN_READ_BODY,     /* the rest of a body [body, whole] */
    REM_ADMIN_ANSWER,        /* rem_admin_call_reply [none: the handler bounds it] */
    REM_ADMIN_WRITE,         /* room in the socket's buffer [body] */
    REM_ADMIN_STREAM,        /* news, or room for them in the socket's buffer [stream, body] */
    REM_ADMIN_LINGER,        /* the client to read the answer and close [linger] */
    REM_ADMIN_CLOSED,
    REM_ADMIN_STATES
};

enum rem_admin_step { REM_ADMIN_NEXT = 0, REM_ADMIN_WAIT };

/* A request and its answer. */
struct rem_admin_exchange {
    struct rem_admin_call call;
    struct rem_admin_conn *conn;
    struct rem_list node;   /* in conn->line */
    struct rem_arena arena; /* everything of the request */
    struct rem_sbuf body;   /* of the request */
    enum rem_method method;
    unsigned minor; /* of the client's HTTP version */
    size_t counted; /* of the answer, in server->answers */
    bool answered;
};

struct rem_admin_conn {
    uint32_t magic;
    int fd;
    struct rem_list node;
    struct rem_list stream; /* in server->streams while a stream goes on */
    struct rem_admin_server *server;
    struct rem_admin_listener_event *listener; /* NULL: gone, as the server quits */
    struct rem_admin_client client;
    uint64_t since_ms;             /* when the state was entered */
    const struct rem_inlet *inlet; /* workers pass requests on; NULL: the client itself is there */
    struct event *readable;
    struct event *writable;
    struct event *timer;
    uint64_t fires_ms;         /* when `timer` does; UINT64_MAX: never */
    uint64_t deadline_ms;      /* of the state; UINT64_MAX: none */
    char local[REM_ADDR_TEXT]; /* the address the client connected to, without its port */
    size_t local_n;
    bool has_local;
    enum rem_admin_state state;
    bool driving;   /* drive() is on the stack and will look at the state again */
    bool keepalive; /* as far as the request allows */
    bool linger;    /* input was left unread */
    bool eof;
    bool drained; /* nothing more was there to read when this was last tried */
    bool expired; /* the timer of this state has run out */
    unsigned budget;

    char *in; /* REM_ADMIN_INPUT_SIZE bytes; NULL while idle */
    size_t in_n;

    struct rem_admin_exchange *x; /* being read; NULL: the newest is in the line */
    struct rem_list line;         /* exchanges handed over, oldest first, and refused ones */
    unsigned count;               /* of the line */
    unsigned open;                /* those that are not answered */
    bool joins;                   /* the newest may have others behind it before it is answered */
    struct rem_h1_request head;
    struct rem_chunk_decoder chunks;
    uint64_t body_left;  /* REM_FRAMING_LENGTH: bytes to come */
    uint64_t body_since; /* monotonic ms, when the body began */

    struct rem_sbuf batch; /* several answers that are being sent as one */
    char out[REM_ADMIN_ANSWER_HEAD];
    size_t out_n;
    size_t sent;  /* of head and body together */
    bool chunked; /* how a stream is framed: in chunks, or by the end of the connection */
    bool last;    /* the stream ends with the piece that is being sent */
    int unread;   /* bytes the client's side had not taken yet when this was last looked at */
};

/* One step of a state; WAIT: for an event. */
enum rem_admin_step rem_admin_conn_read_head(struct rem_admin_conn *conn);
enum rem_admin_step rem_admin_conn_read_body(struct rem_admin_conn *conn);
enum rem_admin_step rem_admin_conn_write(struct rem_admin_conn *conn);
enum rem_admin_step rem_admin_conn_stream(struct rem_admin_conn *conn);
enum rem_admin_step rem_admin_conn_linger(struct rem_admin_conn *conn);

/* The exchange whose answer is next. */
struct rem_admin_exchange *rem_admin_conn_first(const struct rem_admin_conn *conn);

/* Puts the exchange that was read into the line. */
void rem_admin_conn_enqueue(struct rem_admin_conn *conn, bool answered);

/* Ends the first exchange of the line. */
void rem_admin_conn_drop(struct rem_admin_conn *conn);

/* Makes conn->x if there is none.  Returns: false without memory. */
bool rem_admin_conn_make_exchange(struct rem_admin_conn *conn);

/* Hands over the request behind the newest one when it may join that: a change behind a change, all
 * of it in the input buffer. */
bool rem_admin_conn_look_ahead(struct rem_admin_conn *conn);

/* The head of a streaming answer is out; its body is the first piece. */
void rem_admin_conn_begin_stream(struct rem_admin_conn *conn);

/* Sends what is left of `out` and `body`.  Returns: NEXT when something was sent, WAIT when there
 * is no room; the state is CLOSED when the client is gone or does not read. */
enum rem_admin_step rem_admin_conn_send(struct rem_admin_conn *conn, struct rem_str body);

/* The only place where the state changes; sets the timer that belongs to it. */
void rem_admin_conn_goto(struct rem_admin_conn *conn, enum rem_admin_state state);

/* Sets the timer of the present state anew; 0 stops it. */
void rem_admin_conn_arm(struct rem_admin_conn *conn, uint32_t ms);

/* Reads once into the free part of `in`.  Returns: false when there is nothing to be had now
 * (also at the end of input, with eof set). */
bool rem_admin_conn_fill(struct rem_admin_conn *conn);

extern const struct rem_h1_limits rem_admin_conn_limits;

#endif
