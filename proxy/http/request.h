/* SPDX-License-Identifier: Apache-2.0 */
/* request.h - one request and the response to it, whatever protocol carries them.
 *
 * Runs in:    workers.
 * Lifecycle:  made by a client-side codec when a head has arrived (rem_request_new) -> phases ->
 *             a content handler answers -> rem_request_finalize -> log phase -> the codec is told
 *             (exchange->finish) -> freed at the end of the loop turn.
 * Ownership:  everything about a request lives in its arena, and nothing that lives longer points
 *             there.  What runs on a request's behalf (upstream, timers, body reading) is cancelled
 *             by rem_request_on_cleanup before the arena goes.
 * Rule 1:     after rem_request_finalize the caller only returns.
 * Rule 2:     a request knows nothing of HTTP/1 or HTTP/2; it talks to `exchange`.
 * Not here:   bytes (see exchange.h and h1_server.h), phases (phase.h), filters (filter.h).  */
#ifndef REM_HTTP_REQUEST_H
#define REM_HTTP_REQUEST_H

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/log.h"
#include "proto/wire/field.h"
#include "proto/wire/h1.h"
#include "proxy/conf/value.h"
#include "proxy/http/rate.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"

enum { REM_REQUEST_MAGIC = 0x72726571, REM_URI_CHANGES_MAX = 10 };

/* What handlers return beside a positive HTTP status (which ends the request with that status). */
enum rem_http_result {
    REM_HTTP_OK = 0,
    REM_HTTP_DECLINED = -100, /* not mine: the next handler */
    REM_HTTP_AGAIN = -101,    /* called again by rem_request_resume */
    REM_HTTP_DONE = -102,     /* taken over; rem_request_finalize comes from elsewhere */
    REM_HTTP_ERROR = -103,    /* the connection is unusable: end without a response */
};

struct rem_exchange_ops;
struct rem_family;
struct rem_http_address;
struct rem_proxy_header;
struct rem_http_server_conf;
struct rem_upstream_exchange;
struct rem_request_body;

struct rem_http_cleanup {
    struct rem_http_cleanup *next;
    void (*run)(void *data);
    void *data;
};

/* What goes out: filled in by the content handler, changed by header filters. */
struct rem_response {
    int status;
    struct rem_str status_line;  /* the upstream's own reason phrase ("OK"); empty: the usual one */
    struct rem_fields fields;    /* without framing and Connection, Date, Server unless set */
    int64_t content_length;      /* -1: unknown */
    int64_t last_modified;       /* -1: none */
    struct rem_str content_type; /* emitted as Content-Type, with charset if any; empty: none */
    struct rem_str charset;      /* for content_type, as an upstream wants it; empty: no wish */
    struct rem_fields trailers;  /* sent after a body of unknown length where the peer takes them */
    bool has_trailers;           /* there will be: where they take the place of a length, it goes */
    bool head_sent;              /* header filters have run and the codec has the head */
    bool body_done;              /* the final buf has been handed over */
    bool no_body;                /* HEAD, 204, 304: body bytes are dropped by the codec */
    bool has_date;               /* fields carry the upstream's own Date / Server */
    bool has_server;
    bool from_upstream; /* for error interception and logs */
    bool allow_ranges;  /* the handler's body may be sent in parts (range.c) */
    bool varies;        /* "Vary: Accept-Encoding" is among the fields (gzip_accept.h) */
    bool single_range;  /* in one part only: the body comes in pieces that cannot be had twice */
};

struct rem_request {
    uint32_t magic;
    struct rem_worker *worker;
    struct rem_arena arena;

    /* the client's side */
    const struct rem_exchange_ops *exchange;
    void *codec; /* the codec's own state of this exchange; NULL once the client has gone */
    struct rem_conn *conn;       /* the client connection; borrowed, lives longer */
    const struct rem_addr *peer; /* as accepted */
    const struct rem_listener *listener;
    const struct rem_http_address *address; /* of the listener, by the local address (core.h) */
    struct rem_log_scope log;
    struct rem_str log_upstream; /* URL shown as "upstream" in log lines; empty: none */

    /* the head as received */
    enum rem_method method;
    struct rem_str method_name;
    struct rem_str target; /* request line's target, raw ($request_uri) */
    struct rem_str line;   /* the whole request line ($request) */
    int version;           /* 9, 10, 11, 20 */
    struct rem_fields fields;
    struct rem_str scheme; /* "http", "https" */
    struct rem_str host;   /* validated, lower case, no port ($host's first choice); may be empty */
    struct rem_str host_port; /* digits as sent, may be empty */
    bool has_body;
    int64_t content_length; /* of the body; -1: unknown until its end (chunked), 0: none */
    bool expect_continue;
    bool upgrade_asked; /* HTTP/1.1 with Upgrade and Connection: upgrade */
    uint64_t head_size;

    /* the target as it stands (rewrites change it) */
    struct rem_str uri;  /* decoded and normalised */
    struct rem_str args; /* behind '?', raw */
    bool uri_as_sent;    /* uri and args still say what `target` says, so it may be forwarded raw */
    bool uri_replaced;   /* `rewrite ... break`: the location's name says nothing about uri now */
    bool uri_behind_alias; /* try_files: an alias of a regular expression takes the URI, too */
    bool uri_quoted;       /* target contained % escapes: uri differs from the raw path */

    /* configuration */
    void **main_conf; /* indexed by rem_module.index */
    void **server_conf;
    void **location_conf;
    const struct rem_http_server_conf *server;
    struct rem_request *parent; /* subrequests; NULL for a client's request */
    uint32_t uri_changes;       /* internal redirects, and rewrites that led back to find-config */
    bool uri_changed;  /* a rewrite changed the URI: post-rewrite goes back to find-config */
    bool internal;     /* redirected or rewritten: `internal` locations are open */
    bool error_paged;  /* an error_page has been followed */
    int error_status;  /* answered instead of the status of whatever makes the page; 0: that */
    int access_status; /* 401 or 403 found in the access phase, 0: none */

    /* where it stands */
    uint32_t phase;                              /* index into the flat array of handlers */
    int (*content)(struct rem_request *request); /* the location's own handler */
    bool finalized;
    bool client_gone;
    bool held;      /* the codec still uses its memory: it calls rem_request_release later */
    bool keepalive; /* may the connection serve another request; any part may say no */
    bool lingering; /* unread body bytes may follow */
    struct rem_post resume;
    struct rem_post free;
    struct rem_http_cleanup *cleanups;

    struct rem_request_body *body; /* see body.h; NULL: untouched */
    struct rem_response response;
    struct rem_upstream_exchange *upstream; /* see upstream.h; NULL: none */
    struct rem_rate rate;                   /* how fast it may be sent (rate.h) */
    uint32_t buffered;    /* enum rem_filter_holds: filters that go on when there is room */
    void **module_ctx;    /* indexed by rem_module.index, zeroed */
    struct rem_eval eval; /* variables: subject is the request */

    /* events from the codec; set by whoever is interested, may be NULL */
    void (*on_writable)(struct rem_request *request);    /* output fell below the watermark */
    void (*on_body)(struct rem_request *request);        /* request body bytes or its end arrived */
    void (*on_client_gone)(struct rem_request *request); /* NULL: the request is finalized */

    /* accounts */
    uint64_t start_ms; /* monotonic */
    int64_t start_sec; /* wall */
    uint32_t start_msec;
    uint64_t received;            /* head and body as on the wire ($request_length) */
    uint64_t sent_body;           /* $body_bytes_sent */
    uint64_t sent;                /* $bytes_sent */
    uint64_t connection_requests; /* this one's number on its connection, from 1 */
    uint64_t connection_start_ms; /* monotonic; set by the codec ($connection_time) */
    bool pipelined;               /* it was there before the answer to the one before it ($pipe) */

    /* access and limits; all of it outlives internal redirects */
    const struct rem_addr *real_peer; /* who connected, where realip changed `peer`; or NULL */
    const struct rem_proxy_header *proxied; /* of the PROXY protocol, if the listener has it */
    uint8_t limit_req_status;               /* enum rem_limit_status; 0: not looked at yet */
    uint8_t limit_conn_status;
    bool refusal_delayed; /* auth_delay has passed */

    bool body_refused;         /* 413: too large for the location it came to first */
    bool over;                 /* finished with: all that is left is the memory */
    bool logs_parent;          /* a post_action: the access log's line is of both */
    struct rem_family *family; /* of a request with a parent or children (subrequest.h) */
};

/* Makes a request in an arena of its own, with the address's fallback server as configuration;
 * `codec`, `peer`, `listener` are for the caller to fill in.  Returns: NULL without memory. */
struct rem_request *rem_request_new(struct rem_worker *worker, const struct rem_exchange_ops *ops,
                                    struct rem_conn *conn,
                                    const struct rem_http_address *address) REM_MUST_CHECK;

/* A request that `parent` makes of its server, without a place in any order and without a body; its
 * URI is for the caller to fill in (see subrequest.h).  Returns: NULL without memory. */
struct rem_request *rem_request_new_child(struct rem_request *parent,
                                          const struct rem_exchange_ops *ops) REM_MUST_CHECK;

/* Codec: drops a request whose head never came whole; nothing is answered or logged. */
void rem_request_drop(struct rem_request *request);

/* Codec: a request whose memory was held (request->held) is freed at the end of the turn. */
void rem_request_release(struct rem_request *request);

/* Codec: the server that serves request->host, for a request that is to be rejected.
 * Errors: REM_ENOMEM, REM_ETOOBIG (a regex); the address's default server it stays then. */
int rem_request_choose_server(struct rem_request *request);

/* Codec: the head is complete and its fields are filled in.  Chooses the server by host and runs
 * the phases.  May finalize. */
void rem_request_start(struct rem_request *request);

/* Codec: the head is unacceptable; answers `status` (400, 414, 431, 408 ...) and closes. */
void rem_request_reject(struct rem_request *request, int status);

/* Codec: output fell below the watermark.  Lets filters pass on what they hold, then whoever makes
 * the body.  May end the request. */
void rem_request_writable(struct rem_request *request);

/* Runs the phases from where they stopped (a handler had returned REM_HTTP_AGAIN). */
void rem_request_resume(struct rem_request *request);

/* Ends the request: `result` is REM_HTTP_OK (the response is complete or needs only flushing), a
 * status (an error page or redirect is made of it, unless the head has gone: then the connection is
 * aborted), REM_HTTP_DONE or REM_HTTP_AGAIN (nothing happens), REM_HTTP_ERROR (abort). */
void rem_request_finalize(struct rem_request *request, int result);

/* Ends the request at once, whatever has become of it; its client is cut off. */
void rem_request_abort(struct rem_request *request);

/* Sends the request again through find-config with another URI; `args` may be empty.  After ten
 * redirects: 500.  `uri` must live in the arena.  Returns REM_HTTP_DONE. */
int rem_request_redirect(struct rem_request *request, struct rem_str uri, struct rem_str args);

/* The same into the named location ("@name").  Returns REM_HTTP_DONE. */
int rem_request_redirect_named(struct rem_request *request, struct rem_str name);

/* Has `run(data)` called once when the request ends, newest first.  Errors: REM_ENOMEM. */
int rem_request_on_cleanup(struct rem_request *request, void (*run)(void *data),
                           void *data) REM_MUST_CHECK;

#endif
