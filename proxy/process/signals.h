/* SPDX-License-Identifier: Apache-2.0 */
/* signals.h - signals as data: blocked, read from a descriptor, remembered as requests.
 *
 * Runs in:    the master (workers have a signalfd of their own in their loop).
 * Nothing runs in signal context.  Several signals of a kind that arrive together are one request.
 */
#ifndef REM_PROCESS_SIGNALS_H
#define REM_PROCESS_SIGNALS_H

#include "proto/base/err.h"
#include "proto/base/log.h"

#include <signal.h>
#include <sys/signalfd.h>

struct rem_signals {
    int fd;
    bool child;   /* CHLD: somebody is to be reaped */
    bool stop;    /* INT */
    bool term;    /* TERM: the same, or a drain (drain_on_term) */
    bool quit;    /* QUIT */
    bool reload;  /* HUP */
    bool reopen;  /* USR1 */
    bool upgrade; /* USR2 */
    bool winch;   /* WINCH */
};

/* For a process that only starts: HUP, USR1, USR2 and WINCH wait for rem_signals_init() instead of
 * killing it; the others end it as they do any program. */
void rem_signals_hold(void);

/* Blocks the signals above, ignores PIPE.  Errors: REM_EIO. */
int rem_signals_init(struct rem_signals *signals) REM_MUST_CHECK;

/* Reads all that have arrived and remembers them. */
void rem_signals_read(struct rem_signals *signals, const struct rem_log *log);

/* In a child: descriptor closed, mask and dispositions as a program expects them. */
void rem_signals_reset(struct rem_signals *signals);

/* "SIGHUP" */
const char *rem_signals_name(int number);

/* `signal N (NAME) received from PID, WHAT` at notice level. */
void rem_signals_log(const struct signalfd_siginfo *info, const char *what,
                     const struct rem_log *log);

#endif
