/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/single.h"

#include "proxy/process/worker_main.h"

#include <unistd.h>

#include <event2/event.h>

/* How often the agent's health is looked after: messages are read, a dead one started again. */
enum { LOOK_MS = 100 };

struct single {
    struct rem_worker_run run;
    struct rem_master *m;
    struct rem_timer look;
};

static void on_look(struct rem_timer *timer)
{
    struct single *single = REM_CONTAINER(timer, struct single, look);

    rem_agent_hear(single->m);
    if (rem_children_respawn(single->m) >= 0 || single->m->agent != REM_AGENT_READY)
        rem_timer_set(&single->run.worker.loop.timers, timer, LOOK_MS);
}

static void on_signal(struct rem_worker_run *run, const struct signalfd_siginfo *info)
{
    struct single *single = run->data;
    struct rem_master *m = single->m;
    const struct rem_log *log = rem_master_log(m);

    switch (info->ssi_signo) {
    case SIGCHLD:
        rem_children_reap(m);
        rem_timer_set(&run->worker.loop.timers, &single->look, 0);
        return;
    case SIGQUIT:
        rem_signals_log(info, ", shutting down", log);
        rem_worker_drain(&run->worker);
        return;
    case SIGUSR1: {
        struct rem_msg msg = {.kind = REM_MSG_REOPEN};

        rem_signals_log(info, ", reopening logs", log);
        rem_generation_reopen(m->gen->setup.log_files, 0, log);
        rem_agent_tell(m, &msg);
        return;
    }
    case SIGTERM:
    case SIGINT:
        rem_signals_log(info, ", exiting", log);
        m->signals.stop = true;
        run->worker.exiting = true;
        rem_loop_stop(&run->worker.loop);
        return;
    default:
        rem_signals_log(info, ", ignored: it needs \"master_process on\"", log);
    }
}

void rem_single_serve(struct rem_master *m)
{
    struct single single = {.run = {.on_signal = on_signal}, .m = m};
    struct rem_worker_start start = {.gen = m->gen, .region = &m->region, .master = m->pid};
    sigset_t mask;

    single.run.data = &single;
    rem_timer_init(&single.look, on_look);
    sigemptyset(&mask);
    for (size_t i = 0; i < 8; i++) {
        static const int numbers[] = {SIGTERM, SIGINT,  SIGQUIT,  SIGHUP,
                                      SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD};

        sigaddset(&mask, numbers[i]);
    }
    if (rem_region_claim_worker(&m->region, m->gen->number, rem_mono_ms(), &start.slot) != REM_OK)
        return;
    rem_region_set_worker_pid(&m->region, start.slot, m->pid);
    /* Two readers of one process's signals would each get half of them. */
    close(m->signals.fd);
    m->signals.fd = -1;
    if (rem_worker_serve(&single.run, &start, &mask) != REM_OK)
        m->signals.stop = true;
    rem_region_worker_gone(&m->region, start.slot);
    if (rem_signals_init(&m->signals) != REM_OK)
        m->signals.stop = true;
}
