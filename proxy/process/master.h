/* SPDX-License-Identifier: Apache-2.0 */
/* master.h - the process that owns configuration, listeners and region, and carries no traffic.
 *
 * Start:      load -> listeners -> (daemon) -> region -> agent, ready -> pid file -> workers.
 * Then:       one loop that waits for signals, for the agent's messages and for deadlines. Requests
 *             (reload, upgrade, quit) are carried out one after another, each to its end, so two
 *             never overlap; what arrives meanwhile is remembered.
 * Waits:      every wait inside a request is bounded, reaps children, and ends early on TERM.
 * Files:      children.c forks and reaps, agent_child.c runs the agent, reload.c, upgrade.c.  */
#ifndef REM_PROCESS_MASTER_H
#define REM_PROCESS_MASTER_H

#include "proto/shm/handover.h"
#include "proxy/process/generation.h"
#include "proxy/process/signals.h"

#include <limits.h>

enum { REM_CHILDREN_MAX = 512, REM_WORKERS_MAX = 128 };

enum rem_child_role {
    REM_CHILD_NONE = 0, /* the entry is free */
    REM_CHILD_WORKER,
    REM_CHILD_AGENT,
    REM_CHILD_BINARY, /* the master of the next binary (USR2) */
};

struct rem_child {
    enum rem_child_role role;
    pid_t pid;
    bool leaving;        /* told to go: not started again, its death is no alarm */
    int index;           /* worker: 0 .. worker_processes-1 */
    unsigned slot;       /* worker: in the region */
    uint64_t generation; /* whose configuration it runs */
    uint64_t started_ms;
};

/* When what died may be started again. */
struct rem_respawn {
    uint64_t at_ms;    /* 0: nothing to do */
    uint32_t delay_ms; /* the last one; doubles while children die at once */
};

enum rem_agent_state {
    REM_AGENT_NONE = 0,
    REM_AGENT_STARTING,
    REM_AGENT_READY,
    REM_AGENT_FAILED, /* it said so; its exit follows */
};

struct rem_master {
    const struct rem_options *options;
    struct rem_generation *gen;
    struct rem_region region;
    struct rem_journal journal;
    struct rem_signals signals;
    pid_t pid;
    struct rem_child children[REM_CHILDREN_MAX];
    struct rem_respawn worker_respawn[REM_WORKERS_MAX];
    struct rem_respawn agent_respawn;
    enum rem_agent_state agent;
    int agent_fd;          /* -1: no agent */
    char agent_error[256]; /* of FAILED */
    bool no_workers;       /* WINCH: workers have been sent away */
    bool ending;           /* QUIT or TERM is being carried out */
    bool single;           /* master_process off */
    bool serving;          /* started; what is asked for now is not about the start */
    bool term_seen;        /* drain_on_term: the next TERM forces */
    struct rem_drain drain;
    int64_t reload_sec; /* of the last reload, 0: none */
    int reload_result;
    char reload_error[256];
    pid_t old_master; /* the former binary's; 0: none */
    pid_t new_binary; /* 0: none */
    bool inherited;   /* listeners came from a former binary */
    bool shared;      /* the region has known another master */
    struct rem_list inherited_listeners;
    int inherited_region;    /* -1: none */
    struct rem_inlet inlet;  /* made when a configuration first needs it, and kept */
    int inherited_journal;   /* likewise */
    char pid_path[PATH_MAX]; /* as written; empty: not yet */
};

static inline const struct rem_log *rem_master_log(const struct rem_master *m)
{
    return m->gen->setup.log;
}

/* Runs until told to stop.  Returns: the exit code. */
int rem_master_run(const struct rem_options *options);

/* Waits at most `timeout_ms` for signals and messages, and digests them: reaps, reads what the
 * agent says.  Requests are only remembered. */
void rem_master_pump(struct rem_master *m, int timeout_ms);

/* Sets a request's outcome for the agent and for /metrics. */
void rem_master_tell_reload(struct rem_master *m, int result, const char *error);

/* ---- children.c ---- */
void rem_children_start_workers(struct rem_master *m);
/* Arranges for workers that died unnoticed while another configuration was tried. */
void rem_children_replace_missing(struct rem_master *m);
/* Sends away the workers of earlier configurations, once one of the current serves: where none can
 * be forked, the old ones go on. */
void rem_children_retire(struct rem_master *m);
/* Frees the slots of workers whose master, the other one of an upgrade, died before it could.
 * Returns whether there are any that still live. */
bool rem_children_forget_strangers(struct rem_master *m);
void rem_children_signal(struct rem_master *m, enum rem_child_role role, int number);
int rem_children_count(const struct rem_master *m, enum rem_child_role role);
/* Collects the dead; arranges for successors. */
void rem_children_reap(struct rem_master *m);
/* Starts what is due.  Returns ms until something else is, -1: nothing. */
int rem_children_respawn(struct rem_master *m);
/* The smaller of two waits in ms, of which -1 is for ever. */
int rem_children_earlier(int a, int b);
/* A free entry, or NULL. */
struct rem_child *rem_children_add(struct rem_master *m, enum rem_child_role role);

/* ---- agent_child.c ---- */
/* Forks an agent for m->gen.  Errors: REM_EIO. */
int rem_agent_start(struct rem_master *m) REM_MUST_CHECK;
/* Waits until it serves, at most 5 s.  Errors: REM_EIO (it failed), REM_ETIMEOUT. */
int rem_agent_wait(struct rem_master *m) REM_MUST_CHECK;
/* Has it finish and go; kills it after a while. */
void rem_agent_stop(struct rem_master *m);
void rem_agent_tell(struct rem_master *m, const struct rem_msg *msg);
/* The agent's end of the conversation has something for us. */
void rem_agent_hear(struct rem_master *m);

/* ---- reload.c ---- */
void rem_reload(struct rem_master *m);
/* Opens http and admin listeners and zones of `gen`, taking over those of `old` (may be NULL). */
int rem_reload_open(struct rem_master *m, struct rem_generation *gen, struct rem_generation *old,
                    struct rem_err *err) REM_MUST_CHECK;
/* Has `gen` counted, in the region; what there is no room for is told. */
void rem_reload_open_stats(struct rem_master *m, struct rem_generation *gen);

/* ---- drain.c ---- */
/* Not ready from now on; see rem_drain_announce. */
void rem_drain_begin(struct rem_master *m, uint32_t delay_ms, uint32_t timeout_ms);
/* TERM was received: drains, or stops at once. */
void rem_drain_on_term(struct rem_master *m);
/* ms until listeners are to be closed; -1: not asked for. */
int rem_drain_wait(const struct rem_master *m);
bool rem_drain_is_due(const struct rem_master *m);
/* They are being closed now, for whatever reason. */
void rem_drain_enter_closing(struct rem_master *m);
/* ms until what is left is cut off; -1: never. */
int rem_drain_deadline(const struct rem_master *m);
/* Whether there is no point in it any more; then says so. */
bool rem_drain_refuses(const struct rem_master *m, const char *what);

/* ---- upgrade.c ---- */
/* Takes what REMORA_FDS names. */
void rem_upgrade_inherit(struct rem_master *m);
/* The listeners were opened: closes what the configuration no longer names. */
void rem_upgrade_inherited(struct rem_master *m);
/* USR2 */
void rem_upgrade_start(struct rem_master *m);
/* The new binary's master has died. */
void rem_upgrade_failed(struct rem_master *m);
/* May this process remove the paths of unix listeners?  Not while another master serves them. */
bool rem_upgrade_alone(const struct rem_master *m);

/* ---- pidfile.c ---- */
/* Errors: REM_EIO (errno). */
int rem_pidfile_write(const char *path, pid_t pid) REM_MUST_CHECK;
/* Errors: REM_EIO (errno), REM_EINVAL (no number in it). */
int rem_pidfile_read(const char *path, pid_t *out) REM_MUST_CHECK;

#endif
