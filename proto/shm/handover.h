/* SPDX-License-Identifier: Apache-2.0 */
/* handover.h - what the master hands the agent, and what the two tell each other.
 *
 * Runs in:    the master fills it in before it forks the agent; the agent reads it.
 * Why here:   proxy and agent never include each other; both may include this.  */
#ifndef REM_SHM_HANDOVER_H
#define REM_SHM_HANDOVER_H

#include "proto/base/addr.h"
#include "proto/base/log.h"
#include "proto/shm/admin_spec.h"
#include "proto/shm/drain.h"
#include "proto/shm/inlet.h"
#include "proto/shm/journal.h"
#include "proto/shm/region.h"
#include "proto/shm/spec.h"
#include "proto/shm/table.h"

/* A socket of the `admin` block, bound and listening, non-blocking. */
struct rem_admin_listener {
    int fd;
    struct rem_addr addr;
    enum rem_api_role role; /* the most that anybody gets through it; NONE: whatever is due */
};

struct rem_check_spec;
struct rem_zone;
struct rem_keyval_spec;

struct rem_handover {
    const struct rem_region *region;
    int master_fd; /* SOCK_SEQPACKET; end of file: the master is gone */
    const struct rem_admin_listener *listeners;
    size_t listener_count;
    const struct rem_inlet *inlet;      /* requests from workers come by it; NULL: none */
    bool write;                         /* may the API change anything? */
    const struct rem_admin_spec *admin; /* NULL: as without directives */
    const char *state_path;             /* the file of `state DIR`; NULL: none */
    struct rem_drain drain;             /* as far as it has come */
    const struct rem_upstream_spec *upstreams;
    size_t upstream_count;
    const struct rem_table_spec *tables;
    size_t table_count;
    uint64_t config_generation;
    struct rem_journal *journal; /* NULL: the agent makes one, and takes it with it */
    uint32_t history;            /* revisions to show and to roll back to; 0: the default */
    const struct rem_log *log;
    struct rem_log_file *log_files; /* to reopen on REM_MSG_REOPEN; linked by .next */
    struct rem_clock *clock;        /* the process's own; the agent updates it */
    int64_t started_sec;            /* wall clock, of the master */
    int64_t loaded_sec;             /* wall clock, of this configuration */
    pid_t master_pid;
    unsigned workers;    /* how many the configuration wants */
    const char *version; /* "0.1.0" */
    const char *build;   /* "remora-0.1.0 (gcc ...)"; may be empty */
    bool last_reload_ok;
    int64_t last_reload_sec;
    const struct rem_keyval_spec *keyvals; /* keyval.h; each is one of the tables, too */
    size_t keyval_count;
    const struct rem_check_spec *checks; /* check_spec.h */
    size_t check_count;
    const struct rem_zone *zones; /* opened; for status pages, see rem_zone_peek */
    unsigned max_series;          /* of single servers in a scrape; 0: the API's default */
    unsigned max_upstream_series; /* of upstreams; likewise */
};

/* Runs the agent until it is told to quit or the master is gone.  Defined in agent/.
 * Returns: the process's exit code. */
int rem_agent_run(const struct rem_handover *handover);

enum rem_msg_kind {
    REM_MSG_READY = 0,   /* agent: registry built, API served */
    REM_MSG_FAILED,      /* agent: gives up, `text` says why */
    REM_MSG_WORKER_GONE, /* master: worker `slot` was reaped and its slot marked */
    REM_MSG_QUIT,        /* master: finish open requests, then exit 0 */
    REM_MSG_REOPEN,      /* master: reopen the logs */
    REM_MSG_RELOADED,    /* master: a reload ended; result, generation, sec */
    REM_MSG_DRAINING,    /* master: the whole instance is shutting down; drain */
    REM_MSG_WORKERS_UP,  /* master: the workers of `generation` were forked */
    REM_MSG_DRAIN,       /* agent: shut the instance down; delay_ms, timeout_ms */
    REM_MSG_KINDS
};

struct rem_msg {
    uint32_t kind;  /* enum rem_msg_kind */
    uint32_t slot;  /* WORKER_GONE */
    int32_t result; /* RELOADED: 0 or REM_E*; WORKER_GONE: 1: nobody wanted it to end */
    int32_t reserved;
    uint64_t generation; /* RELOADED, WORKERS_UP */
    int64_t sec;         /* RELOADED: wall clock */
    struct rem_drain drain;
    uint32_t delay_ms;   /* DRAIN */
    uint32_t timeout_ms; /* DRAIN; 0: without bound */
    char text[256];      /* FAILED, RELOADED: NUL-terminated */
};

/* A connected pair for master and agent: SOCK_SEQPACKET, non-blocking, close-on-exec.
 * Errors: REM_EIO (errno). */
int rem_msg_pair(int fds[2]) REM_MUST_CHECK;

/* Errors: REM_EAGAIN (the peer does not read), REM_ECLOSED, REM_EIO. */
int rem_msg_send(int fd, const struct rem_msg *msg) REM_MUST_CHECK;

/* Errors: REM_EAGAIN (nothing there), REM_ECLOSED, REM_EPROTO (not a message), REM_EIO. */
int rem_msg_recv(int fd, struct rem_msg *out) REM_MUST_CHECK;

#endif
