/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/signals.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const struct {
    int number;
    const char *name;
    const char *what; /* the master does about it */
    size_t flag;      /* offset in struct rem_signals */
    bool waits;       /* for the end of the start, where it is no reason to end it */
} table[] = {
    {SIGCHLD, "SIGCHLD", "", offsetof(struct rem_signals, child), false},
    {SIGTERM, "SIGTERM", ", exiting", offsetof(struct rem_signals, term), false},
    {SIGINT, "SIGINT", ", exiting", offsetof(struct rem_signals, stop), false},
    {SIGQUIT, "SIGQUIT", ", shutting down", offsetof(struct rem_signals, quit), false},
    {SIGHUP, "SIGHUP", ", reconfiguring", offsetof(struct rem_signals, reload), true},
    {SIGUSR1, "SIGUSR1", ", reopening logs", offsetof(struct rem_signals, reopen), true},
    {SIGUSR2, "SIGUSR2", ", changing binary", offsetof(struct rem_signals, upgrade), true},
    {SIGWINCH, "SIGWINCH", ", stopping workers", offsetof(struct rem_signals, winch), true},
};

const char *rem_signals_name(int number)
{
    for (size_t i = 0; i < REM_COUNT(table); i++)
        if (table[i].number == number)
            return table[i].name;
    return "SIG?";
}

void rem_signals_log(const struct signalfd_siginfo *info, const char *what,
                     const struct rem_log *log)
{
    int number = (int)info->ssi_signo;

    REM_LOG(log, REM_LOG_NOTICE, 0, "signal %d (%s) received from %d%s", number,
            rem_signals_name(number), (int)info->ssi_pid, what);
}

static void full_mask(sigset_t *mask)
{
    sigemptyset(mask);
    for (size_t i = 0; i < REM_COUNT(table); i++)
        sigaddset(mask, table[i].number);
}

void rem_signals_hold(void)
{
    sigset_t mask;

    sigemptyset(&mask);
    for (size_t i = 0; i < REM_COUNT(table); i++)
        if (table[i].waits)
            sigaddset(&mask, table[i].number);
    sigprocmask(SIG_BLOCK, &mask, NULL);
}

int rem_signals_init(struct rem_signals *signals)
{
    sigset_t mask;

    *signals = (struct rem_signals){.fd = -1};
    full_mask(&mask);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &mask, NULL) != 0)
        return REM_EIO;
    signals->fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    return signals->fd >= 0 ? REM_OK : REM_EIO;
}

void rem_signals_read(struct rem_signals *signals, const struct rem_log *log)
{
    struct signalfd_siginfo info;

    while (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        for (size_t i = 0; i < REM_COUNT(table); i++)
            if (table[i].number == (int)info.ssi_signo) {
                *(bool *)(void *)((char *)signals + table[i].flag) = true;
                rem_signals_log(&info, table[i].what, log);
            }
}

void rem_signals_reset(struct rem_signals *signals)
{
    sigset_t mask;

    if (signals->fd >= 0)
        close(signals->fd);
    signals->fd = -1;
    full_mask(&mask);
    sigprocmask(SIG_UNBLOCK, &mask, NULL);
}
