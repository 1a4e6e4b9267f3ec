/* SPDX-License-Identifier: Apache-2.0 */
/* h1_server_priv.h - the inside of h1_server*.c.
 *
 * Objects:    a *client* is a connection and lives as long as it; an *exchange* is one request and
 *             its answer on the wire, and lives in the request's arena; a *block* is 16 KiB of
 *             received bytes, counted, since pipelined requests share one.
 * Two ways:   what arrives and what leaves have a state each, enum rem_h1_in and enum rem_h1_out.
 * Turns:      events, posts and timers only run the driver (run); what it finds to do,
 *             the states say.  A
 *             callback into a request may end the exchange, so its caller looks at client->x again.
 * Files:      h1_server.c (events, timers), h1_server_read.c (heads), h1_server_body.c (bodies),
 *             h1_server_head.c and h1_server_write.c (answers), h1_server_life.c (what follows). */
#ifndef REM_HTTP_H1_SERVER_PRIV_H
#define REM_HTTP_H1_SERVER_PRIV_H

#include "proto/shm/stat.h"
#include "proto/wire/chunk.h"
#include "proxy/http/core.h"
#include "proxy/http/h1_server.h"

#include <sys/socket.h>

/* What the bytes that arrive belong to. */
enum rem_h1_in {
    REM_H1_IN_IDLE = 0, /* the next request; no exchange, no block; keepalive_timeout runs, for a
                           fresh connection client_header_timeout */
    REM_H1_IN_HEAD,     /* a head that is not complete; client_header_timeout runs */
    REM_H1_IN_BODY,     /* the request's body, when asked for; client_body_timeout while waiting */
    REM_H1_IN_NEXT,     /* the next request, which has to wait; nothing is read */
    REM_H1_IN_RAW,      /* the tunnel the connection has become */
    REM_H1_IN_DISCARD,  /* the rest of a body after its answer; lingering_timeout runs */
    REM_H1_IN_LINGER,   /* nothing any more, until the client closes; lingering_timeout runs */
    REM_H1_IN_EBB,      /* nothing any more, until what was sent has arrived; lingering_time */
    REM_H1_IN_CLOSED,
    REM_H1_IN_PROXY, /* the PROXY protocol's header, before anything else; client_header_timeout */
    REM_H1_IN_STATES,
};

/* How the answer's body is framed. */
enum rem_h1_out {
    REM_H1_OUT_NONE = 0, /* no head yet */
    REM_H1_OUT_EMPTY,    /* HEAD, 204, 304: body bytes are dropped */
    REM_H1_OUT_LENGTH,
    REM_H1_OUT_CHUNKED,
    REM_H1_OUT_UNTIL_CLOSE,
    REM_H1_OUT_DONE, /* the final buf has been queued */
    REM_H1_OUT_RAW,
    REM_H1_OUT_RAW_DONE, /* so it has, and the tunnel's write side closes behind it */
};

enum {
    REM_H1_CLIENT_MAX = 512,
    REM_H1_WATERMARK = 65536,
    REM_H1_BODY_ROOM = 4096,  /* less behind the head than this: a block of its own for the body */
    REM_H1_PIPELINE_MAX = 64, /* requests of one connection in one go */
    REM_H1_READS = 16,        /* of a body in a row, before others get their turn */
};

struct rem_h1_exchange;

struct rem_h1_block {
    uint32_t refs;
    uint32_t size; /* of `data` */
    bool in_pool;
    char data[];
};

enum { REM_H1_BLOCK_ROOM = REM_BLOCK_LARGE - sizeof(struct rem_h1_block) };

struct rem_h1_client {
    struct rem_conn conn;
    struct rem_list node; /* on worker->clients */
    struct rem_worker *worker;
    const struct rem_listener *listener;
    const struct rem_http_address *address;
    const struct rem_http_location_conf *loc; /* of the last request; NULL: none yet */
    struct rem_h1_exchange *x;                /* NULL: idle, lingering or closed */
    struct rem_proxy_header *proxied;         /* of the PROXY protocol; owned; NULL: none */
    struct rem_h1_block *left;                /* pipelined bytes between two exchanges */
    uint32_t left_pos, left_last;
    uint32_t requests;
    uint8_t in;    /* enum rem_h1_in */
    uint8_t reads; /* of a body, until the driver runs again */
    bool running;
    bool pipelined; /* a request has come before the answer to the one before it was out */
    uint64_t accepted_ms;
    uint64_t linger_until_ms;
    struct rem_post wake;
    struct rem_post free;
    struct rem_addr peer;
};

_Static_assert(sizeof(struct rem_h1_client) <= REM_H1_CLIENT_MAX, "an idle connection stays small");

struct rem_h1_exchange {
    struct rem_h1_client *client;
    struct rem_request *request;

    /* in */
    struct rem_h1_block *head; /* holds the head, which the request points into */
    struct rem_h1_block *in;   /* where bytes arrive: `head`, or a second block */
    uint32_t base;             /* in `in`: bytes before belong to the head */
    uint32_t pos, last;        /* in `in`: received and not used up */
    uint64_t body_left;        /* of a body with a length */
    struct rem_h1_request parse;
    struct rem_chunk_decoder chunks;
    int in_error;   /* REM_ECLOSED, REM_EPROTO ...: found, and final */
    bool drained;   /* the socket has said so, since body bytes last came */
    bool body_seen; /* some of it has arrived */
    bool told_continue;
    bool hangup_told;
    uint64_t body_due_ms; /* 0: nobody waits */

    /* out */
    struct rem_buf *out; /* queued */
    struct rem_buf *out_last;
    struct rem_buf *spare; /* used framing bufs */
    uint64_t queued;       /* bytes */
    uint64_t out_left;     /* of an answer with a length */
    uint64_t head_size;
    uint64_t send_due_ms; /* 0: nothing is stuck */
    uint64_t rate_due_ms; /* when limit_rate lets more out; 0: now */
    uint8_t mode;         /* enum rem_h1_out */
    bool keep;            /* the head promises another request */
    bool gone;            /* the client is: nothing is queued any more */
    bool timed_out;
    bool corked;
    bool shut; /* a tunnel's write side has been closed */
};

/* The only way from one state to another; keeps the counters. */
void h1_goto(struct rem_h1_client *client, enum rem_h1_in next);

/* Has the client looked at again later in this turn. */
void h1_wake(struct rem_h1_client *client);
void h1_set_timer(struct rem_h1_client *client, int64_t delay_ms);
/* Arms the timer for whichever of the exchange's moments comes first. */
void h1_arm_exchange(struct rem_h1_exchange *x);

/* ---- h1_server_read.c ---- */

/* Reads and parses heads; starts a request when one is complete. */
void h1_read_head(struct rem_h1_client *client);
/* The head did not come in time. */
void h1_head_timeout(struct rem_h1_client *client);

struct rem_h1_block *h1_block_new(struct rem_worker *worker, size_t size);
void h1_block_put(struct rem_worker *worker, struct rem_h1_block *block);

/* Counts on the listener that the connection is closed before its first request. */
void h1_count_rejected(const struct rem_listener *listener, enum rem_reject_reason reason);

/* ---- h1_server_proxy.c ---- */

/* Reads the header of the PROXY protocol; the first request follows. */
void h1_read_proxy(struct rem_h1_client *client);

/* ---- h1_server_body.c ---- */

int h1_read_body(struct rem_request *request, struct rem_str *data, bool *final);
int h1_upgrade(struct rem_request *request);
/* The exchange waits for body bytes, or the head's framing announces none. */
void h1_body_begin(struct rem_h1_exchange *x);
/* Drops what is left of the body.  Returns: REM_OK at its end, REM_EAGAIN, or an error. */
int h1_body_drop(struct rem_h1_exchange *x);

/* ---- h1_server_head.c ---- */

int h1_send_informational(struct rem_request *request, int status, const struct rem_fields *fields);
int h1_send_head(struct rem_request *request);

/* ---- h1_server_write.c ---- */

int h1_send_body(struct rem_request *request, struct rem_buf *list);
size_t h1_queued(const struct rem_request *request);
void h1_queue(struct rem_h1_exchange *x, struct rem_buf *buf);
/* Writes what the socket takes. */
void h1_flush(struct rem_h1_exchange *x);
/* Gives all queued bufs back. */
void h1_drop_queue(struct rem_h1_exchange *x);

/* ---- h1_server_life.c ---- */

void h1_finish(struct rem_request *request, bool abort);
/* The client is gone for good: tells the request. */
void h1_gone(struct rem_h1_exchange *x);
/* After a body whose answer is out. */
void h1_discard(struct rem_h1_client *client);
void h1_linger(struct rem_h1_client *client);
void h1_ebb(struct rem_h1_client *client);
void h1_close(struct rem_h1_client *client);

#endif
