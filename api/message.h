/* SPDX-License-Identifier: Apache-2.0 */
/* message.h - a request to the admin API and the answer to it, without any transport.
 *
 * Runs in:    agent.
 * Ownership:  a request borrows everything from whoever received it; a response owns its body.
 * Not here:   HTTP framing (see agent/admin_conn.h), which path means what (see route.h).  */
#ifndef REM_API_MESSAGE_H
#define REM_API_MESSAGE_H

#include "proto/base/sbuf.h"
#include "proto/shm/journal.h"
#include "proto/shm/role.h"
#include "proto/wire/h1.h"

struct rem_route;

struct rem_api_request {
    enum rem_method method; /* HEAD is to be answered as GET; the transport drops the body */
    struct rem_str method_text;
    struct rem_str path;  /* raw, begins with "/" */
    struct rem_str args;  /* raw, behind "?" */
    struct rem_str local; /* the server's address without port; may be empty */
    struct rem_str body;
    struct rem_str accept;   /* empty: any */
    struct rem_str if_match; /* empty without has_if_match */
    bool has_if_match;
    struct rem_str if_none_match; /* likewise */
    bool has_if_none_match;
    struct rem_str last_event_id; /* empty: not given */
    const char *why;     /* it is no request at all: what is wrong with its head; NULL: not said */
    bool foreign_origin; /* a page from elsewhere asks, in a browser */
    bool strange_host;   /* a name that might not be ours: the role is METRICS at most */
    enum rem_api_role role;
    struct rem_str who;          /* "token:NAME", "uid:1000(pid 7)", "loopback", "anonymous"... */
    struct rem_str address;      /* "127.0.0.1:1234", "unix:" */
    bool wrong_token;            /* and therefore refused */
    bool hopeless;               /* nothing that the client could show would give it a role */
    struct rem_str content_type; /* may be empty */
    bool read_only;              /* came by a way that allows no changes: they are answered 405 */
    bool from_location; /* passed on by a worker: `api` says what it may, `admin` does not matter */
};

enum { REM_API_REQUEST_ID = 32 };

struct rem_api_response {
    int status;
    const char *content_type;                /* static text; NULL with an empty body */
    const char *allow;                       /* static text for Allow; NULL: none */
    const char *code;                        /* of a fault, static; NULL: none */
    const char *policy;                      /* static Content-Security-Policy; NULL: none */
    unsigned retry_sec;                      /* for Retry-After; 0: none */
    char request_id[REM_API_REQUEST_ID + 1]; /* for X-Request-ID; empty: none yet */
    uint64_t etag;                           /* the revision, for ETag */
    bool has_etag;
    bool streams; /* the body goes on: see api/events.h; `cursor` says where */
    struct rem_journal_cursor cursor;
    const struct rem_route *route; /* that was asked for; NULL: none */
    struct rem_sbuf body;
};

void rem_api_response_init(struct rem_api_response *response);
void rem_api_response_fini(struct rem_api_response *response);

/* As after init, keeping memory and route. */
void rem_api_response_reset(struct rem_api_response *response);

/* Gives it a request id (hexadecimal digits, random) unless it has one. */
void rem_api_request_id(struct rem_api_response *response);

#define REM_API_JSON        "application/json"
#define REM_API_PROBLEM     "application/problem+json"
#define REM_API_TEXT        "text/plain; charset=utf-8"
#define REM_API_HTML        "text/html; charset=utf-8"
#define REM_API_EVENTS      "text/event-stream"
#define REM_API_METRICS     "text/plain; version=0.0.4; charset=utf-8"
#define REM_API_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

#endif
