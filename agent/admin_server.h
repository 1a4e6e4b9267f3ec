/* SPDX-License-Identifier: Apache-2.0 */
/* admin_server.h - the admin API's HTTP/1.1 server: listeners and the set of its connections.
 *
 * Runs in:    agent, on its event loop; single-threaded.
 * Lifecycle:  start -> (quit: no new connections, answers in progress end) -> stop.
 * Idle cost:  no timer runs unless a connection is open.
 * Not here:   one connection's life (see admin_conn.h), what is answered (see api/).  */
#ifndef REM_AGENT_ADMIN_SERVER_H
#define REM_AGENT_ADMIN_SERVER_H

#include "agent/admin_auth.h"
#include "api/api.h"
#include "proto/base/list.h"
#include "proto/base/log.h"
#include "proto/shm/handover.h"
#include "proto/shm/inlet.h"

struct event;
struct event_base;

/* One listening socket. */
struct rem_admin_listener_event {
    struct rem_admin_server *server;
    struct event *event;
    const struct rem_inlet *inlet; /* each request must carry its secret; NULL: of `admin` */
    int fd;
    enum rem_api_role role;    /* the most that anybody gets through it; NONE: no limit */
    unsigned connection_count; /* of its own, so that one listener's clients leave others alone */
};

enum {
    REM_ADMIN_HEAD_MAX = 16384,
    REM_ADMIN_BODY_MAX = 8 << 20,
    REM_ADMIN_BODY_SMALL = 16384,    /* of clients that may not write */
    REM_ADMIN_CONNECTIONS_MAX = 256, /* of a listener */
    REM_ADMIN_STREAMS_MAX = 64,
    REM_ADMIN_ANSWERS_MAX = 32 << 20, /* bytes of answers that wait to be read, of all clients */
    REM_ADMIN_ANSWER_SMALL = 65536,   /* one that is given whatever waits */
};

/* A request that waits for its answer.  Owned by its connection. */
struct rem_admin_call {
    struct rem_api_request request;
    struct rem_api_response response;
    struct rem_api_staged staged;
    struct rem_list node; /* for whoever answers later; on no list at first */
    uint64_t due_ms;      /* likewise */
    uint64_t since_ms;    /* monotonic, when it was handed over */
};

struct rem_admin_handler {
    /* Answers by rem_admin_call_reply, now or later. */
    void (*on_call)(void *data, struct rem_admin_call *call);
    /* Puts what is new into the empty body of a streaming answer, at most some 64 KB.
     * Returns: false: the stream ends behind it. */
    bool (*on_stream)(void *data, struct rem_admin_call *call);
    /* The client went away before the answer: forget the call. */
    void (*on_abandon)(void *data, struct rem_admin_call *call);
    /* Its answer is complete and about to be sent. */
    void (*on_answer)(void *data, struct rem_admin_call *call);
    /* A request that never became a call (bad head, too large) gets this body. */
    void (*on_error)(void *data, const struct rem_api_request *request, int status,
                     struct rem_api_response *response);
    void *data;
};

/* Times a client gets, in milliseconds. */
struct rem_admin_patience {
    uint32_t head;   /* from the first byte of a request to the end of its head */
    uint32_t body;   /* between two reads of a body, or two writes of an answer */
    uint32_t whole;  /* a body in all */
    uint32_t idle;   /* between requests */
    uint32_t stream; /* between two signs of life in a stream that has no news */
    uint32_t linger; /* reading on after an early error answer, so that it is not lost */
};

extern const struct rem_admin_patience rem_admin_patience_default;

struct rem_admin_server {
    struct event_base *base; /* borrowed */
    const struct rem_log *log;
    struct rem_admin_handler handler;
    struct rem_admin_patience patience;
    struct rem_clock *clock;     /* borrowed; as of this turn */
    struct rem_admin_auth *auth; /* borrowed */
    struct rem_list connections;
    unsigned connection_count;
    unsigned connection_limit; /* of a listener */
    size_t answers;            /* bytes that wait to be read */
    struct rem_list streams;   /* connections with answers that go on */
    unsigned stream_count;
    struct rem_admin_listener_event *listeners;
    size_t listener_count;
    struct event *resume; /* accepting again after descriptors ran out */
    bool quitting;
    bool workers_leave; /* streams that go through them end, or they would wait for their clients */
    int64_t complained_sec; /* when exhaustion was last logged */
};

/* Prepares a server that must not move from here on. */
void rem_admin_server_start(struct rem_admin_server *server, struct event_base *base,
                            const struct rem_log *log, struct rem_clock *clock,
                            const struct rem_admin_handler *handler, struct rem_admin_auth *auth);

/* Listens on `fds` (bound and listening; they stay the caller's and are not closed), and on
 * `inlet`, if there is one. Errors: REM_ENOMEM, REM_EIO; stop the server then. */
int rem_admin_server_listen(struct rem_admin_server *server,
                            const struct rem_admin_listener *listeners, size_t count,
                            const struct rem_inlet *inlet) REM_MUST_CHECK;

/* There is news for streams. */
void rem_admin_server_poke(struct rem_admin_server *server);

/* Accepts no more, closes idle connections; the others close behind their answers. */
void rem_admin_server_quit(struct rem_admin_server *server);

/* Closes everything at once. */
void rem_admin_server_stop(struct rem_admin_server *server);

/* Sends call->response.  The call may be gone afterwards. */
void rem_admin_call_reply(struct rem_admin_call *call);

#endif
