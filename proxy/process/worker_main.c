/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/worker_main.h"

#include "proxy/process/privileges.h"
#include "proxy/process/signals.h"
#include "proxy/process/title.h"

#include <errno.h>
#include <unistd.h>

#include <event2/event.h>

static void on_signals(evutil_socket_t fd, short what, void *data)
{
    struct rem_worker_run *run = data;
    struct signalfd_siginfo info;

    (void)what;
    rem_loop_enter(&run->worker.loop);
    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        run->on_signal(run, &info);
}

static void on_worker_signal(struct rem_worker_run *run, const struct signalfd_siginfo *info)
{
    struct rem_worker *worker = &run->worker;
    const struct rem_log *log = worker->setup->log;

    switch (info->ssi_signo) {
    case SIGQUIT:
    case SIGWINCH:
        if (worker->draining)
            return;
        REM_LOG(log, REM_LOG_NOTICE, 0, "gracefully shutting down");
        rem_title_set("worker process is shutting down");
        rem_worker_drain(worker);
        return;
    case SIGUSR1:
        REM_LOG(log, REM_LOG_NOTICE, 0, "reopening logs");
        rem_generation_reopen(worker->setup->log_files, 0, log);
        return;
    default: /* TERM, INT */
        worker->exiting = true;
        rem_loop_stop(&worker->loop);
    }
}

static int watch_signals(struct rem_worker_run *run, const sigset_t *mask)
{
    run->signal_fd = signalfd(-1, mask, SFD_NONBLOCK | SFD_CLOEXEC);
    if (run->signal_fd < 0)
        return REM_EIO;
    run->signal_event =
        event_new(run->worker.loop.base, run->signal_fd, EV_READ | EV_PERSIST, on_signals, run);
    if (run->signal_event == NULL)
        return REM_ENOMEM;
    return event_add(run->signal_event, NULL) == 0 ? REM_OK : REM_EIO;
}

static void end_serving(struct rem_worker_run *run)
{
    if (run->signal_event != NULL)
        event_free(run->signal_event);
    if (run->signal_fd >= 0)
        close(run->signal_fd);
    rem_reader_quiesce(&run->worker.reader);
    rem_worker_fini(&run->worker);
}

int rem_worker_serve(struct rem_worker_run *run, const struct rem_worker_start *start,
                     const sigset_t *mask)
{
    struct rem_worker *worker = &run->worker;
    struct rem_setup *setup = &start->gen->setup;
    int rc;

    worker->setup = setup;
    worker->index = start->index;
    worker->slot = (int)start->slot;
    worker->generation = (uint32_t)start->gen->number;
    worker->counters = rem_region_worker(start->region, start->slot);
    run->signal_fd = -1;
    rem_reader_init(&worker->reader, start->region, start->slot);
    rem_stats_use(setup->stats, start->slot);
    rc = rem_worker_init(worker);
    if (rc != REM_OK) {
        REM_LOG(setup->log, REM_LOG_EMERG, errno, "worker could not start: %s", rem_err_text(rc));
        return rc;
    }
    rc = watch_signals(run, mask);
    if (rc == REM_OK && setup->worker_init != NULL)
        rc = setup->worker_init(worker);
    if (rc == REM_OK)
        rc = rem_listeners_enable(&setup->listeners, worker);
    if (rc != REM_OK) {
        REM_LOG(setup->log, REM_LOG_EMERG, errno, "worker could not start: %s", rem_err_text(rc));
        end_serving(run);
        return rc;
    }
    if (run->on_start != NULL)
        run->on_start(run);
    rem_loop_run(&worker->loop);
    if (run->on_end != NULL)
        run->on_end(run);
    if (setup->worker_fini != NULL)
        setup->worker_fini(worker);
    end_serving(run);
    return REM_OK;
}

int rem_worker_main(const struct rem_worker_start *start)
{
    struct rem_worker_run run = {.on_signal = on_worker_signal};
    const struct rem_setup *setup = &start->gen->setup;
    sigset_t mask;

    /* TERM ... are blocked since before the fork, so none can have been lost. */
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGQUIT);
    sigaddset(&mask, SIGWINCH);
    sigaddset(&mask, SIGUSR1);
    rem_title_set("worker process");
    rem_privileges_limits(setup, start->index);
    if (rem_privileges_drop(setup, start->master, SIGQUIT) != REM_OK)
        return 2;
    if (rem_worker_serve(&run, start, &mask) != REM_OK)
        return 2;
    REM_LOG(setup->log, REM_LOG_NOTICE, 0, "exiting");
    if (run.worker.connections > 0)
        _exit(0); /* stopped in the middle of things: what requests hold goes with the process */
    return 0;
}
