/* SPDX-License-Identifier: Apache-2.0 */
/* upstream.h - carries a request to a server and its answer back: a mechanism that a protocol fills
 * in with callbacks.
 *
 * Runs in:    workers.
 * Lifecycle:  rem_upstream_start (from a content handler) -> states in the order of
 *             enum rem_upstream_state -> rem_request_finalize.  A failing state leads back to PICK
 *             where proxy_next_upstream allows it.
 * Ownership:  the exchange lives in the request's arena.  The server's pin, the connection and
 *             the relay's blocks are released exactly once, at the latest by the request's cleanup.
 * Two ways:   the request's direction has states of its own (upload.h), so has the response's
 *             body (relay.h); enum rem_upstream_state follows the happy path of the whole.
 * Not here:   HTTP/1 (h1_client.h), proxy_* directives (proxy.h), `upstream` blocks
 *             (upstream_conf.h), idle connections (pool.h), choosing (balance/).  */
#ifndef REM_UPSTREAM_UPSTREAM_H
#define REM_UPSTREAM_UPSTREAM_H

#include "proxy/conf/merge.h"
#include "proxy/http/exchange.h"
#include "proxy/upstream/balance/balance.h"
#include "proxy/upstream/relay.h"
#include "proxy/upstream/upload.h"

enum { REM_UPSTREAM_MAGIC = 0x75707374 };

struct rem_store;
struct rem_upstream;
struct rem_upstream_bind;
struct rem_upstream_conn;
struct rem_upstream_local;
struct rem_upstream_resolve;
struct rem_upstream_store;
struct rem_upstream_group;

/* What each waits for, and the timer that runs meanwhile. */
enum rem_upstream_state {
    REM_UPSTREAM_INIT = 0,  /* the buffered request body; the client's timer */
    REM_UPSTREAM_RESOLVE,   /* addresses of a name that a variable gave; resolver_timeout */
    REM_UPSTREAM_PICK,      /* nothing: a server and perhaps a pooled connection are chosen */
    REM_UPSTREAM_CONNECT,   /* the connection; connect_timeout */
    REM_UPSTREAM_SEND,      /* room for the request, or its body; send_timeout */
    REM_UPSTREAM_READ_HEAD, /* the response's head; read_timeout once all is sent */
    REM_UPSTREAM_RELAY,     /* body bytes, or the client's reading; read_timeout */
    REM_UPSTREAM_TUNNEL,    /* bytes either way after 101; read_timeout, send_timeout */
    REM_UPSTREAM_FINALIZE,  /* nothing: all is released */
    REM_UPSTREAM_STATES,
};

/* Why a try failed, and what proxy_next_upstream lists. */
enum rem_upstream_fault {
    REM_FAULT_ERROR = 1 << 1,
    REM_FAULT_TIMEOUT = 1 << 2,
    REM_FAULT_INVALID_HEADER = 1 << 3,
    REM_FAULT_HTTP_500 = 1 << 4,
    REM_FAULT_HTTP_502 = 1 << 5,
    REM_FAULT_HTTP_503 = 1 << 6,
    REM_FAULT_HTTP_504 = 1 << 7,
    REM_FAULT_HTTP_403 = 1 << 8,
    REM_FAULT_HTTP_404 = 1 << 9,
    REM_FAULT_HTTP_429 = 1 << 10,
    REM_FAULT_NON_IDEMPOTENT = 1 << 11, /* in the list only: no restriction by method */
    REM_FAULT_OFF = 1 << 12,            /* in the list only */
};

/* How a location wants its requests carried; in the configuration. */
struct rem_upstream_policy {
    int64_t connect_timeout; /* ms */
    int64_t send_timeout;
    int64_t read_timeout;
    uint32_t next_upstream; /* enum rem_upstream_fault */
    int64_t next_tries;     /* 0: as many as there are servers */
    int64_t next_timeout;   /* ms; 0: no limit */
    int buffering;
    int request_buffering;
    int intercept_errors;
    int ignore_client_abort;
    int socket_keepalive;
    int pass_body;
    bool needs_length;  /* a body of unknown length cannot be sent, so it is buffered */
    size_t buffer_size; /* for the head */
    struct rem_conf_bufs bufs;
    size_t busy_size;
    int64_t max_temp_file_size;
    size_t temp_file_write_size;
    struct rem_str temp_path;
    const struct rem_upstream_bind *bind; /* NULL: no local address asked for */
    uint32_t ignore;                      /* enum rem_accel_field */
    const struct rem_value *limit_rate;   /* of reading, where it is buffered; NULL: none */
    const struct rem_upstream_store *store;
    int store_access; /* mode of stored files */
    int force_ranges;
    int pass_trailers;
};

struct rem_upstream_exchange;

/* What a protocol fills in.  Results are REM_OK, or negative REM_E*. */
struct rem_upstream_protocol {
    const char *name;   /* "http" */
    const char *scheme; /* for logs: "http://" */

    /* Once, when the request's body is there (or streaming): makes upload.head and says with
     * upload.chunked how the body is framed.  Errors: an HTTP status to end with, or REM_ENOMEM. */
    int (*create_request)(struct rem_upstream_exchange *x);

    /* Before every try: forgets what an earlier server said. */
    int (*reinit_request)(struct rem_upstream_exchange *x);

    /* Looks at the bytes [relay.pos, relay.in->last).  REM_OK: the head is complete, relay.pos is
     * behind it, `status` is set.  Errors: REM_EAGAIN, REM_EPROTO (`fault_text` says why),
     * REM_ETOOBIG, REM_ENOMEM. */
    int (*process_head)(struct rem_upstream_exchange *x);

    /* The head is taken: fills in request->response.  Errors: REM_ENOMEM. */
    int (*answer)(struct rem_upstream_exchange *x);

    /* The client gets another response instead (X-Accel-Redirect): fills in what it gets of this
     * one nevertheless.  Errors: REM_ENOMEM. */
    int (*answer_redirect)(struct rem_upstream_exchange *x);

    /* Body bytes as they came, [*at, *at + n): says how many were looked at, and which run of body
     * bytes that gave (moved together where little stood between framing); called again for the
     * rest.  Sets relay.input_done at the body's end.  Errors: REM_EPROTO, REM_ETOOBIG. */
    int (*input_filter)(struct rem_upstream_exchange *x, char **at, size_t n, size_t *used,
                        size_t *kept);

    /* The server has closed: REM_OK when that is how the body ends, else REM_ECLOSED. */
    int (*input_end)(struct rem_upstream_exchange *x);

    /* The exchange is given up before its end.  May be NULL. */
    void (*abort)(struct rem_upstream_exchange *x);

    /* The exchange is over, with the result the request will be finalized with.  May be NULL. */
    void (*finalize)(struct rem_upstream_exchange *x, int result);
};

/* One server that was asked; for variables and logs. */
struct rem_upstream_try {
    struct rem_upstream_try *next;
    struct rem_str addr;
    int status;         /* 0: none */
    int64_t connect_ms; /* -1: did not happen */
    int64_t header_ms;
    int64_t response_ms;
    uint64_t length; /* of the response's body */
    uint64_t sent, received;
    bool redirected; /* an internal redirect lies before it */
};

struct rem_upstream_exchange {
    uint32_t magic;
    enum rem_upstream_state state;
    struct rem_request *request;
    const struct rem_upstream_policy *policy;
    const struct rem_upstream_protocol *protocol;
    void *data; /* the protocol's */
    struct rem_post wake;

    /* where to */
    struct rem_upstream_group *group; /* the worker's state of the upstream; NULL: `literal` */
    struct rem_addr literal;          /* an address that is in no upstream */
    const struct rem_addr *literals;  /* ... or several: of a resolved name, or `literal` itself */
    uint32_t literal_count;
    struct rem_upstream_resolve *resolve;   /* NULL: there is no name to be resolved */
    const struct rem_upstream_local *local; /* where connections come from; NULL: not bound */
    struct rem_balance_state balance;
    bool picked;              /* the next server has been picked already */
    bool prepared;            /* `balance` knows what methods go by */
    struct rem_str sticky_id; /* of the server of this try; empty: not asked for */
    struct rem_str session;   /* the client's, as looked up by `sticky learn` */
    struct rem_list queue_node;
    uint64_t queue_due_ms;    /* waits for a server until then; 0: it does not */
    uint64_t queue_uid;       /* of the upstream it is counted on meanwhile */
    uint32_t first_servers;   /* how many there were at the first pick */
    struct rem_addr addr;     /* of the server of this try */
    struct rem_str addr_text; /* in the request's arena */
    struct rem_str target;    /* what the protocol asks for there; for logs */
    uint64_t key;             /* of the server, for the pool */
    struct rem_keepalive_spec keepalive;
    uint64_t upstream_uid; /* the registry's, for its gauges */
    uint64_t holds_uid;    /* the one on which it is counted as `holds` says */
    uint8_t holds;         /* enum rem_limits_hold */
    struct rem_upstream_conn *peer;
    uint64_t received_base; /* conn.received when the try began */
    bool fresh;             /* no pooled connection for this try */

    /* both directions */
    struct rem_upload upload;
    struct rem_relay relay;

    /* the response */
    int status;
    const struct rem_fields *fields;   /* of its head; NULL: none yet */
    const struct rem_fields *trailers; /* NULL: none yet */
    const char *fault_text;            /* static, or as long as the request */
    struct rem_str redirect;           /* where the request goes on instead; p NULL: nowhere */
    struct rem_store *store;           /* the file it is kept in; NULL: none */
    bool reusable;                     /* the head lets the connection persist */
    bool upgraded;

    /* the way so far */
    struct rem_upstream_try *tries;
    struct rem_upstream_try *current; /* the last of them */
    uint32_t try_count;
    uint64_t start_ms; /* of the exchange */
    uint64_t try_ms;   /* of the try */
    bool try_open;     /* `current` is not yet reported */

    /* events, recorded by callbacks */
    bool timed_out;
    bool armed; /* the timer runs for what is waited for now */
    bool client_gone;
    bool progress; /* bytes moved on the connection since the timer was set */
    bool running;  /* the driver is at work, further down the stack */
    bool again;

    enum rem_outcome outcome; /* for the balancer, when the try ends */
    int result;               /* for rem_request_finalize */
};

/* Starts carrying `request`; to be returned from a content handler.  `upstream` NULL: `literal` is
 * where to.  `name` NULL of both: see rem_upstream_start_named.
 * Returns: REM_HTTP_DONE, or a status. */
int rem_upstream_start(struct rem_request *request, const struct rem_upstream_policy *policy,
                       const struct rem_upstream_protocol *protocol, void *data,
                       const struct rem_upstream *upstream, const struct rem_addr *literal);

/* As above for an upstream known by name only: one made at run time, or named by a variable.
 * Returns: REM_HTTP_DECLINED (and nothing has happened) when there is none of that name. */
int rem_upstream_start_named(struct rem_request *request, const struct rem_upstream_policy *policy,
                             const struct rem_upstream_protocol *protocol, void *data,
                             struct rem_str name);

/* As rem_upstream_start for one address that is asked up to `tries` times, where the policy's
 * next_upstream allows it.  `addr` lives as long as the request. */
int rem_upstream_start_again(struct rem_request *request, const struct rem_upstream_policy *policy,
                             const struct rem_upstream_protocol *protocol, void *data,
                             const struct rem_addr *addr, uint32_t tries);

/* As above for a name that is no upstream's: its addresses are asked of the location's resolver and
 * tried one after another.  `host` lives as long as the request. */
int rem_upstream_start_resolved(struct rem_request *request,
                                const struct rem_upstream_policy *policy,
                                const struct rem_upstream_protocol *protocol, void *data,
                                struct rem_str host, uint16_t port);

/* Advances the exchange as far as it goes now.  May end the request. */
void rem_upstream_run(struct rem_upstream_exchange *x);

/* The only way from one state to another; aborts on an edge that is not legal. */
void rem_upstream_goto(struct rem_upstream_exchange *x, enum rem_upstream_state next);
const char *rem_upstream_state_name(enum rem_upstream_state state);

/* A worker's pools and cursors.  Errors: REM_ENOMEM. */
int rem_upstream_worker_init(struct rem_worker *worker) REM_MUST_CHECK;

/* The worker is to finish: closes idle connections; none are kept from here on. */
void rem_upstream_worker_drain(struct rem_worker *worker);

/* Makes room for clients: closes up to `n` idle connections.  Returns: how many. */
uint32_t rem_upstream_worker_reclaim(struct rem_worker *worker, uint32_t n);
void rem_upstream_worker_fini(struct rem_worker *worker);

extern struct rem_module rem_upstream_module;
extern struct rem_module rem_proxy_module;

#endif
