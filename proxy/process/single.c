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
    struct rem_timer drain; /* the next step of a drain */
    struct event *agent;    /* what the agent says, on the descriptor below */
    int agent_fd;
};

static void stop_now(struct single *single)
{
    single->m->signals.stop = true;
    single->run.worker.exiting = true;
    rem_loop_stop(&single->run.worker.loop);
}

/* Takes the step of a drain that is due, and waits for the next one. */
static void step_drain(struct single *single)
{
    struct rem_master *m = single->m;
    struct rem_worker *worker = &single->run.worker;
    int wait;

    if (rem_drain_deadline(m) == 0) {
        stop_now(single);
        return;
    }
    if (rem_drain_is_due(m)) {
        rem_drain_enter_closing(m);
        rem_worker_drain(worker);
    }
    wait = rem_children_earlier(rem_drain_wait(m), rem_drain_deadline(m));
    if (wait >= 0)
        rem_timer_set(&worker->loop.timers, &single->drain, (uint64_t)wait);
}

static void on_drain(struct rem_timer *timer)
{
    step_drain(REM_CONTAINER(timer, struct single, drain));
}

static void forget_agent(struct single *single)
{
    if (single->agent != NULL)
        event_free(single->agent);
    single->agent = NULL;
    single->agent_fd = -1;
}

static void hear_agent(struct single *single)
{
    rem_agent_hear(single->m);
    if (single->m->agent_fd != single->agent_fd)
        forget_agent(single);
    step_drain(single);
}

static void on_agent(evutil_socket_t fd, short what, void *data)
{
    struct single *single = data;

    (void)fd;
    (void)what;
    rem_loop_enter(&single->run.worker.loop);
    hear_agent(single);
}

/* The agent may be another one since this was last called. */
static void watch_agent(struct single *single)
{
    struct rem_master *m = single->m;

    if (m->agent_fd == single->agent_fd)
        return;
    forget_agent(single);
    if (m->agent_fd < 0)
        return;
    single->agent = event_new(single->run.worker.loop.base, m->agent_fd, EV_READ | EV_PERSIST,
                              on_agent, single);
    if (single->agent != NULL && event_add(single->agent, NULL) == 0)
        single->agent_fd = m->agent_fd;
    else
        forget_agent(single);
}

static void on_look(struct rem_timer *timer)
{
    struct single *single = REM_CONTAINER(timer, struct single, look);

    bool due;

    hear_agent(single);
    due = rem_children_respawn(single->m) >= 0;
    watch_agent(single);
    if (due || single->m->agent != REM_AGENT_READY)
        rem_timer_set(&single->run.worker.loop.timers, timer, LOOK_MS);
}

static void on_start(struct rem_worker_run *run)
{
    struct single *single = run->data;

    watch_agent(single);
    rem_timer_set(&run->worker.loop.timers, &single->look, 0);
}

static void on_end(struct rem_worker_run *run)
{
    forget_agent(run->data);
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
        rem_drain_enter_closing(m);
        rem_worker_drain(&run->worker);
        step_drain(single);
        return;
    case SIGUSR1: {
        struct rem_msg msg = {.kind = REM_MSG_REOPEN};

        rem_signals_log(info, ", reopening logs", log);
        rem_generation_reopen(m->gen->setup.log_files, 0, log);
        rem_agent_tell(m, &msg);
        return;
    }
    case SIGTERM:
        rem_signals_log(info, ", exiting", log);
        rem_drain_on_term(m);
        if (m->signals.stop)
            stop_now(single);
        else
            step_drain(single);
        return;
    case SIGINT:
        rem_signals_log(info, ", exiting", log);
        stop_now(single);
        return;
    default:
        rem_signals_log(info, ", ignored: it needs \"master_process on\"", log);
    }
}

void rem_single_serve(struct rem_master *m)
{
    struct single single = {.m = m, .agent_fd = -1};
    struct rem_worker_start start = {.gen = m->gen, .region = &m->region, .master = m->pid};
    sigset_t mask;

    single.run = (struct rem_worker_run){
        .on_signal = on_signal, .on_start = on_start, .on_end = on_end, .data = &single};
    rem_timer_init(&single.look, on_look);
    rem_timer_init(&single.drain, on_drain);
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
