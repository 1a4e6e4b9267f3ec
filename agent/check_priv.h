/* SPDX-License-Identifier: Apache-2.0 */
/* check_priv.h - what the files of health checks share.
 *
 * A check:    waits in `starts` -> rem_check_begin: a connection is opened, or the kept one is
 *             used again -> the response is read -> rem_check_verdict, once -> what is left of the
 *             response is read, so that the server is not cut off -> rem_check_end -> waits.
 * Deadlines:  a check under way is in `deadlines`; one at a time, of what it waits for now.
 * Memory:     connections and buffers are used again, so that a check costs no allocation.  What a
 *             callback may have an event for is let go of at the end of the batch (`dead`).  */
#ifndef REM_AGENT_CHECK_PRIV_H
#define REM_AGENT_CHECK_PRIV_H

#include "agent/check.h"
#include "proto/base/list.h"
#include "proto/wire/chunk.h"
#include "proto/wire/h1.h"

struct event;

enum {
    REM_CHECK_SLACK_MS = 10,   /* starts so close to each other share a wake-up */
    REM_CHECK_STARTS_MAX = 64, /* in one turn of the loop, lest API calls wait */
    REM_CHECK_EVENTS = 128,    /* taken from epoll at a time */
    REM_CHECK_INPUT = 64 << 10,
    REM_CHECK_FIELDS = 64, /* of a response without asking for memory */
    REM_CHECK_DRAIN_MS = 1000,
    REM_CHECK_OPEN_MIN = 64,    /* connections at a time, however few descriptors there are */
    REM_CHECK_OPEN_MAX = 16384, /* and however many */
    REM_CHECK_FDS_SPARE = 512,  /* descriptors that others need */
    REM_CHECK_HOLD = 4096,      /* a buffer's first size */
    REM_CHECK_HOLD_KEPT = 64 << 10,
};

#define REM_CHECK_NOWHERE UINT32_MAX

/* One check of one server. */
struct rem_check {
    struct rem_check_target *target;
    const struct rem_check_spec *spec;
    struct rem_check_conn *conn; /* open; NULL: none */
    uint64_t due_ms;             /* when it starts; while it is under way: when it has failed */
    uint64_t turn_ms;            /* its place in time, jitter aside */
    uint32_t at;                 /* in its heap; NOWHERE: in none */
    uint32_t row;                /* results of one kind, one after the other */
    bool passed;                 /* of which kind they are, with row > 0 */
    bool running;
    uint8_t state; /* enum rem_shm_health, as this check has it */
};

/* A server that is checked. */
struct rem_check_target {
    struct rem_check_upstream *upstream;
    struct rem_shm_server_slot *slot;
    const struct rem_shm_server *server; /* in the upstream's set */
    uint64_t uid;                        /* the slot's */
    struct rem_check checks[];           /* upstream->spec_count */
};

struct rem_check_upstream {
    struct rem_checks *owner;
    struct rem_str name;
    const struct rem_check_spec **specs; /* owned array */
    size_t spec_count;
    const struct rem_shm_set *set; /* as of the last sync; NULL: no such upstream */
    uint64_t set_uid;
    struct rem_check_target **targets; /* owned, as the set has its servers */
    size_t target_count;
};

/* The earliest first. */
struct rem_check_heap {
    struct rem_check **v; /* owned */
    size_t n, room;
};

enum rem_check_step {
    REM_CHECK_CONNECTING = 0,
    REM_CHECK_SENDING,
    REM_CHECK_HEAD,  /* of the response */
    REM_CHECK_BODY,  /* which tests look at */
    REM_CHECK_DRAIN, /* the verdict is given: the rest is read and dropped */
    REM_CHECK_IDLE,  /* kept for the next check */
};

/* A growing buffer, used again. */
struct rem_check_hold {
    struct rem_check_hold *next; /* free */
    char *p;
    size_t n, room;
};

struct rem_check_conn {
    struct rem_check *check;
    struct rem_check_conn *next; /* free or dead */
    struct rem_list idle_node;
    int fd; /* -1: closed */
    enum rem_check_step step;
    bool used;       /* it has brought a response before */
    bool reusable;   /* the response lets it be used again */
    bool wants_out;  /* epoll tells when it can be written to */
    uint8_t framing; /* enum rem_framing */
    size_t sent;     /* of the request */
    uint64_t opened_ms, began_ms, connected_ms;
    uint64_t received;                /* bytes of the response */
    uint64_t left;                    /* of the body, with a length */
    struct rem_check_hold *head;      /* the beginning of a head that did not come whole */
    struct rem_check_hold *body;      /* what tests are to look at */
    struct rem_chunk_decoder decoder; /* with REM_FRAMING_CHUNKED */
    struct rem_arena trailers;
};

struct rem_checks_io {
    struct rem_checks *owner;
    struct event *timer;
    struct event *ready; /* the epoll descriptor has events */
    int epoll;
    uint64_t armed_ms; /* when the timer fires; 0: it does not */
    struct rem_check_heap starts, deadlines;
    size_t open, open_max; /* connections */
    size_t checks;         /* in all */
    bool full;             /* starts wait until a connection ends */
    struct rem_list idle;  /* kept connections, the longest first */
    struct rem_check_conn *free, *dead;
    struct rem_check_hold *holds;
    uint64_t random;
    uint32_t sequence; /* places in the interval given so far */
    struct rem_block_pool pool;
    struct rem_arena arena; /* of one response's head */
    struct rem_field fields[REM_CHECK_FIELDS];
    char in[REM_CHECK_INPUT];
};

/* ---- check.c ---- */

/* A check's result: counts it and draws the consequences.  `doing` as in logs. */
void rem_check_verdict(struct rem_check *check, bool passed, const char *doing);

/* "WHAT while DOING, health check ... of peer ...": at level error for the first failure in a row.
 */
void rem_check_log_failure(const struct rem_check *check, int sys_errno, const char *what,
                           const char *doing);

/* ---- check_time.c ---- */

/* Has the check begin at `due_ms`, or be given up then if it is under way.
 * Errors: REM_ENOMEM (rem_check_reserve makes sure that there are none). */
void rem_check_wait(struct rem_checks_io *io, struct rem_check *check, uint64_t due_ms);
void rem_check_unwait(struct rem_checks_io *io, struct rem_check *check);

/* Room for `n` checks in both heaps.  Errors: REM_ENOMEM. */
int rem_check_reserve(struct rem_checks_io *io, size_t n) REM_MUST_CHECK;

/* The check is over, the next one takes its turn. */
void rem_check_end(struct rem_checks_io *io, struct rem_check *check);

/* Where in an interval the next server has its place. */
uint64_t rem_check_phase(struct rem_checks_io *io, uint32_t interval_ms);

/* Sets the timer for what comes next. */
void rem_check_arm(struct rem_checks_io *io);

void rem_check_on_timer(int fd, short what, void *data);

/* ---- check_conn.c ---- */

/* Starts the check.  Returns: false if there is no descriptor for it now. */
bool rem_check_begin(struct rem_checks_io *io, struct rem_check *check);

/* What it waits for has not come in time. */
void rem_check_expire(struct rem_checks_io *io, struct rem_check *check);

/* Closes the check's connection, without a verdict. */
void rem_check_close(struct rem_checks_io *io, struct rem_check *check);

/* The check fails for want of a response. */
void rem_check_fail(struct rem_checks_io *io, struct rem_check *check, int sys_errno,
                    const char *what);

/* The response has been dealt with: the connection is kept or closed. */
void rem_check_finish(struct rem_checks_io *io, struct rem_check *check, bool keep);

/* A kept connection turned out to be closed: asks again on a new one. */
void rem_check_again(struct rem_checks_io *io, struct rem_check *check);

void rem_check_on_ready(int fd, short what, void *data);

/* Makes the memory of closed connections usable again: when no event can be for them. */
void rem_check_bury(struct rem_checks_io *io);

/* Frees connections and buffers. */
void rem_check_conns_free(struct rem_checks_io *io);

/* "connecting to upstream" and its like. */
const char *rem_check_doing(const struct rem_check_conn *conn);

/* ---- check_read.c ---- */

/* Reads what there is, as far as it goes now. */
void rem_check_read(struct rem_checks_io *io, struct rem_check_conn *conn);

/* Lets go of what a response has left behind. */
void rem_check_read_reset(struct rem_checks_io *io, struct rem_check_conn *conn);

/* ---- check_match.c ---- */

/* Do status and fields pass?  *doing: what decided. */
bool rem_check_match_head(const struct rem_match_spec *match, const struct rem_check_answer *answer,
                          const char **doing);
bool rem_check_match_body(const struct rem_match_spec *match, struct rem_str body,
                          const char **doing);

#endif
