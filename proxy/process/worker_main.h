/* SPDX-License-Identifier: Apache-2.0 */
/* worker_main.h - a worker's life, from the fork to its exit code.
 *
 * Runs in:    workers, and the only process of `master_process off`.  */
#ifndef REM_PROCESS_WORKER_MAIN_H
#define REM_PROCESS_WORKER_MAIN_H

#include "proxy/net/worker.h"
#include "proxy/process/generation.h"

#include <signal.h>

#include <sys/signalfd.h>

struct rem_worker_start {
    struct rem_generation *gen;
    const struct rem_region *region;
    int index;
    unsigned slot;
    pid_t master;
};

struct rem_worker_run {
    struct rem_worker worker;
    int signal_fd;
    struct event *signal_event;
    void (*on_signal)(struct rem_worker_run *run, const struct signalfd_siginfo *info);
    void (*on_start)(struct rem_worker_run *run); /* the loop is about to run; may be NULL */
    void (*on_end)(struct rem_worker_run *run); /* it has, and is about to be freed; may be NULL */
    void *data;                                 /* for these */
};

/* The worker process: returns its exit code. */
int rem_worker_main(const struct rem_worker_start *start);

/* The parts of it, for a process that is master as well: serves until rem_loop_stop.
 * `mask` are the signals that `on_signal` gets.  Errors: of setting up; logged. */
int rem_worker_serve(struct rem_worker_run *run, const struct rem_worker_start *start,
                     const sigset_t *mask) REM_MUST_CHECK;

#endif
