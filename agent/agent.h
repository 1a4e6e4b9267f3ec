/* SPDX-License-Identifier: Apache-2.0 */
/* agent.h - the agent process: one loop that serves the admin API and keeps the registry.
 *
 * Lifecycle:  rem_agent_run (declared in proto/shm/handover.h) -> start -> turns -> end.
 * A turn:     wait for events -> run their callbacks (requests are answered or staged) -> publish
 *             what was staged, once -> hand state files to the thread that writes them -> answer
 *             those whose change is saved and run by all workers.
 * Idle cost:  the loop sleeps without a timeout unless a change waits for workers, memory waits to
 *             be freed, a connection is open, or servers are checked.  */
#ifndef REM_AGENT_AGENT_H
#define REM_AGENT_AGENT_H

#include "agent/admin_server.h"
#include "agent/audit.h"
#include "agent/check.h"
#include "agent/keyval_state.h"
#include "agent/outlier.h"
#include "agent/resolve.h"
#include "agent/state.h"
#include "agent/store.h"
#include "proto/shm/handover.h"

enum {
    REM_AGENT_APPLIED_MS = 100,       /* a writer waits no longer for the workers */
    REM_AGENT_APPLIED_FIRST_US = 25,  /* when they are looked at; doubled until... */
    REM_AGENT_APPLIED_POLL_US = 200,  /* a busy worker's turn */
    REM_AGENT_APPLIED_REST_US = 2000, /* and when the first tries were in vain */
    REM_AGENT_APPLIED_TRIES = 10,     /* that many */
    REM_AGENT_RECLAIM_MIN_MS = 5,     /* between two attempts to free memory, doubled each time */
    REM_AGENT_RECLAIM_MAX_MS = 1000,  /* up to this */
    REM_AGENT_NEWS_MS = 20,           /* between two pieces of news for streams */
    REM_AGENT_QUIT_MS = 2000,         /* for answers in progress when told to quit */
    REM_AGENT_DEFLATE_MS = 500,       /* after a large request or answer */
    REM_AGENT_LARGE = 256 << 10,      /* bodies and blocks of memory that count as large */
};

struct rem_agent {
    const struct rem_handover *handover;
    const struct rem_log *log;
    struct rem_clock *clock;
    struct event_base *base;
    struct rem_writer *writer;
    struct rem_api api;
    struct rem_journal journal;    /* our own, when the master gave us none */
    struct rem_admin_spec no_spec; /* where the handover has none */
    struct rem_admin_auth auth;
    struct rem_audit audit;
    struct rem_admin_server server;
    struct rem_resolves resolves;
    struct rem_table_spec *tables; /* owned; those of the configuration and our own */
    struct rem_states states;
    struct rem_store store;
    struct rem_keyval_states keyvals;
    struct rem_persist persist;
    struct rem_checks checks;
    struct rem_outliers outliers;

    struct rem_list staged;   /* calls whose change is published at the end of this turn */
    struct rem_list deferred; /* calls that must be handled when nothing is staged */
    struct rem_list waiting;  /* calls whose change is published, but not run by all yet */
    struct event *applied;    /* polls for `waiting` */
    unsigned applied_tries;   /* since the last publish */
    struct event *reclaim;
    struct event *news;  /* when streams may be told of what has happened since */
    uint64_t told;       /* the latest event that they know of */
    uint64_t told_ms;    /* when they were told */
    uint32_t reclaim_ms; /* delay of the next attempt; 0: nothing to free */
    struct event *master;
    struct event *deadline; /* of a quit */
    struct event *signals[3];
    bool reloaded;         /* the registry was last reconciled with another configuration */
    bool turn_ends;        /* what has been staged is being published and answered */
    bool held;             /* a change waits for the turn's end: later ones wait behind it */
    struct event *deflate; /* gives memory back when no more large requests come */
    bool swollen;          /* a large request or answer has passed through */
    bool quitting;
    bool stopping;
};

/* The beginning (agent_registry.c): attaches to the registry as its only writer, then has it say
 * what the configuration says.  `err` tells of a failure, which ends the agent. */
int rem_agent_registry_open(struct rem_agent *agent, struct rem_err *err) REM_MUST_CHECK;
int rem_agent_registry_fill(struct rem_agent *agent, struct rem_err *err) REM_MUST_CHECK;

/* The end of a turn; see above.  (agent_turn.c) */
void rem_agent_turn_end(struct rem_agent *agent);

/* Tries to free what waits for it, now and if need be later. */
void rem_agent_reclaim(struct rem_agent *agent);

/* What the admin server calls. */
void rem_agent_on_call(void *data, struct rem_admin_call *call);
bool rem_agent_on_stream(void *data, struct rem_admin_call *call);
void rem_agent_on_abandon(void *data, struct rem_admin_call *call);
void rem_agent_on_answer(void *data, struct rem_admin_call *call);
void rem_agent_on_error(void *data, const struct rem_api_request *request, int status,
                        struct rem_api_response *response);

/* What rem_persist calls: the changes that waited for `save` are on the disk, or (rc) are not. */
void rem_agent_on_saved(void *data, struct rem_save *save, int rc);

/* Events of the turn's own timers. */
void rem_agent_on_news(int fd, short what, void *data);
void rem_agent_on_deflate(int fd, short what, void *data);
void rem_agent_on_applied(int fd, short what, void *data);
void rem_agent_on_reclaim(int fd, short what, void *data);

#endif
