/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - active health checks: asks servers, again and again, whether they are well.
 *
 * Lifecycle:  begin (before the registry is reconciled) -> start (with the loop) -> sync at the end
 *             of every turn, as changes bring and remove servers -> stop.
 * Results:    in the servers' slots (proto/shm/health.h), where workers and the API find them.  A
 *             new agent goes on from there.
 * Times:      a server that nobody knows yet is checked at once; from then on every check has its
 *             place in the interval, so that many of them spread over it.
 * Idle cost:  nothing without `health_check`; with it one timer, which wakes for several checks at
 *             once.
 * Files:      check.c is about servers and states, check_time.c about when, check_conn.c and
 *             check_read.c about one check's connection and response, check_match.c about what a
 *             response must be like.  */
#ifndef REM_AGENT_CHECK_H
#define REM_AGENT_CHECK_H

#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/shm/check_spec.h"
#include "proto/shm/health.h"

struct event_base;
struct rem_check_upstream;
struct rem_checks_io;

/* A server's state changed. */
struct rem_check_change {
    struct rem_str upstream;
    struct rem_str server;  /* address */
    uint32_t id;            /* of the server */
    struct rem_str check;   /* the match block's name; may be empty */
    enum rem_shm_health to; /* of the server: UP or DOWN */
    const char *reason;     /* what the check was doing: "checking status code" */
};

typedef void (*rem_check_change_fn)(void *data, const struct rem_check_change *change);

struct rem_checks {
    struct rem_writer *writer;
    struct rem_clock *clock;
    rem_check_change_fn on_change; /* may be NULL */
    void *data;

    /* For the files of checks. */
    struct rem_check_upstream *upstreams; /* owned */
    size_t upstream_count;
    uint64_t epoch;           /* of the publish they are in step with */
    bool reloaded;            /* the configuration is a new one */
    struct rem_checks_io *io; /* owned; NULL: nothing is checked */
};

/* Begins to check.  `specs` outlive the struct.  `reloaded`: rem_health_is_reload, asked before the
 * registry was reconciled.  Without specs nothing is done, but that states of earlier checks are
 * forgotten.  Errors: REM_ENOMEM, REM_EIO. */
int rem_checks_start(struct rem_checks *checks, struct event_base *base,
                     const struct rem_check_spec *specs, size_t count,
                     bool reloaded) REM_MUST_CHECK;

/* Learns of published changes. */
void rem_checks_sync(struct rem_checks *checks);

/* Ends all checks under way; states stay as they are. */
void rem_checks_stop(struct rem_checks *checks);

#endif
