/* SPDX-License-Identifier: Apache-2.0 */
/* setup.h - what reading a configuration collects for the processes.
 *
 * Runs in:    the master fills it through the modules' directives; children inherit it by fork.
 * Lifecycle:  one per loaded configuration, in that configuration's arena.
 * Reached:    by modules as `cf->user`.  */
#ifndef REM_NET_SETUP_H
#define REM_NET_SETUP_H

#include "proto/base/addr.h"
#include "proto/base/log.h"
#include "proto/base/syslog.h"
#include "proto/shm/admin_spec.h"
#include "proto/shm/inlet.h"
#include "proto/shm/keyval.h"
#include "proto/shm/spec.h"
#include "proto/shm/stat.h"
#include "proto/shm/zone.h"
#include "proxy/conf/array.h"
#include "proxy/net/listener.h"

#include <sched.h>
#include <sys/resource.h>

struct rem_conf;

struct rem_setup {
    struct rem_arena *arena; /* the configuration's */

    /* main level */
    int worker_processes; /* resolved: `auto` is already a number */
    uint32_t worker_connections;
    int64_t worker_rlimit_nofile;       /* -1: leave */
    int64_t worker_shutdown_timeout_ms; /* 0: wait for ever */
    size_t shared_memory;
    bool daemon;
    bool master_process;
    struct rem_str pid_path;
    struct rem_str prefix;
    struct rem_str user; /* empty: keep */
    uid_t uid;
    gid_t gid;
    struct rem_log *log;            /* the main-level error_log */
    struct rem_log_file *log_files; /* every file to be opened and reopened on USR1 */

    /* collected from http (and stream) */
    struct rem_list listeners;
    struct rem_upstream_spec **upstreams; /* as the registry wants them */
    size_t upstream_count;
    int (*worker_init)(struct rem_worker *worker); /* set by http: pools, caches */
    void (*worker_drain)(struct rem_worker *worker);
    void (*worker_fini)(struct rem_worker *worker);

    /* admin */
    bool admin;
    bool admin_write;
    const char *admin_state;         /* the file of `state DIR`; NULL: none */
    struct rem_list admin_listeners; /* of struct rem_listener; accepted by the agent, `data` is
                                        struct rem_setup_admin_listen */
    struct rem_admin_spec admin_spec;
    unsigned admin_max_series;          /* 0: the API's own default */
    unsigned admin_max_upstream_series; /* likewise */
    unsigned admin_history;             /* revisions; likewise */
    int admin_priority;                 /* added to the nice value of the agent */

    /* more of the main level */
    struct rem_setup_dir *dirs;          /* to be made before privileges are dropped */
    struct rem_setup_env *env;           /* what children keep of or add to the environment */
    struct rem_setup_affinity *affinity; /* by worker index, the last one repeats; NULL: leave */
    size_t affinity_count;
    bool affinity_auto;  /* one CPU each, of those in affinity[0] if there is one */
    int worker_priority; /* nice value */
    bool has_priority;
    struct rem_str default_log;       /* of -e, absolute; empty: stderr */
    int64_t worker_rlimit_core;       /* -1: leave */
    struct rem_str working_directory; /* empty: leave */
    bool multi_accept;                /* accept all that wait, not one per turn */
    /* Optional, set by http: closes up to `n` idle connections to make room for new clients;
     * returns how many. */
    uint32_t (*worker_reclaim)(struct rem_worker *worker, uint32_t n);
    void *http;             /* set by http: its struct rem_http_main_conf; NULL: no http block */
    struct rem_zone *zones; /* shared memory that workers write (proto/shm/zone.h) */
    struct rem_syslog *syslogs;    /* every one that logs go to */
    struct rem_check_spec *checks; /* health checks, for the agent (proto/shm/check_spec.h) */
    size_t check_count;
    struct rem_array tables;       /* of struct rem_table_spec, for the registry */
    struct rem_array keyvals;      /* of struct rem_keyval_spec; each has its table */
    bool wants_inlet;              /* some location has `api` */
    const struct rem_inlet *inlet; /* what it reaches the agent by; set by the master */
    struct rem_stat_spec *stats;   /* groups of counters (proto/shm/stat.h) */
    struct rem_dns_spec *resolvers;
};

struct rem_setup_admin_listen {
    enum rem_api_role role; /* the most that anybody gets through this listener */
};

struct rem_setup_dir {
    struct rem_setup_dir *next;
    const char *path;
    bool written;      /* files are made in it later, by the user of `user` */
    const char *where; /* " in FILE:LINE", for a complaint; or empty */
};

struct rem_setup_env {
    struct rem_setup_env *next;
    struct rem_str name;
    struct rem_str text; /* "NAME=value"; empty: inherited */
};

struct rem_setup_affinity {
    cpu_set_t cpus;
};

/* The log file of that path, shared by all that name it; made when new.  NULL without memory. */
struct rem_log_file *rem_setup_log_file(struct rem_setup *setup, struct rem_str path);

/* The syslog destination of those parameters (see rem_syslog_parse), shared by all that name them
 * alike; made when new.  `text` is borrowed for as long as the setup lives.
 * Errors: REM_ENOMEM, those of rem_syslog_parse (err says what is wrong). */
int rem_setup_syslog(struct rem_setup *setup, struct rem_str text, struct rem_syslog **out,
                     struct rem_err *err) REM_MUST_CHECK;

/* Has the registry keep a table; one of the same kind and name takes the other's place.  What the
 * spec points at lives as long as the setup.  Errors: REM_ENOMEM. */
int rem_setup_add_table(struct rem_setup *setup, const struct rem_table_spec *spec) REM_MUST_CHECK;

/* A key-value zone, and an empty table for it.  Errors: REM_ENOMEM. */
int rem_setup_add_keyval(struct rem_setup *setup,
                         const struct rem_keyval_spec *spec) REM_MUST_CHECK;

/* Takes note of a temporary directory (client_body_temp_path ...) to be made before privileges
 * are dropped.  Errors: REM_ENOMEM. */
int rem_setup_add_dir(struct rem_setup *setup, struct rem_str path) REM_MUST_CHECK;

/* Where temporary files go that no directive has a place for: NAME below the prefix, or, where
 * nothing can be made there (no such directory, a read-only root), /tmp.  Returns: {NULL} without
 * memory. */
struct rem_str rem_setup_temp_path(struct rem_conf *cf, struct rem_str name);

/* As rem_setup_add_dir, of a directory that may be there already, named by the directive at hand:
 * the start fails, with file and line, if the user of `user` cannot make files in it.  Errors:
 * REM_ENOMEM (reported).
 */
int rem_setup_add_written_dir(struct rem_conf *cf, struct rem_str path) REM_MUST_CHECK;

/* A file that is replaced by new ones made beside it.  Returns: *out, its absolute path.
 * Errors: REM_ENOMEM (reported). */
int rem_setup_add_state_file(struct rem_conf *cf, struct rem_str path,
                             struct rem_str *out) REM_MUST_CHECK;

#endif
