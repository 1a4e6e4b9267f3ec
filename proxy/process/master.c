/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/master.h"

#include "proxy/process/daemon.h"
#include "proxy/process/single.h"
#include "proxy/process/title.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BIND_TRIES = 5, BIND_WAIT_MS = 500, KILL_MS = 1000 };

void rem_master_pump(struct rem_master *m, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = m->signals.fd, .events = POLLIN},
                            {.fd = m->agent_fd, .events = POLLIN}};

    if (poll(fds, 2, timeout_ms) <= 0)
        return;
    if (fds[1].revents != 0)
        rem_agent_hear(m);
    if (fds[0].revents != 0)
        rem_signals_read(&m->signals, rem_master_log(m));
    if (m->signals.term) {
        m->signals.term = false;
        rem_drain_on_term(m);
    }
    if (m->signals.child) {
        m->signals.child = false;
        rem_children_reap(m);
    }
}

/* A log for what happens before the configuration's own exists: the file that -e names. */
static void open_early_log(const struct rem_options *options, struct rem_log_file *file,
                           struct rem_log_target *target, struct rem_log *log, char *path,
                           size_t size)
{
    rem_generation_log_path(options, path, size);
    *file = (struct rem_log_file){.fd = -1, .path = path};
    *target = (struct rem_log_target){.file = file, .level = REM_LOG_NOTICE};
    *log = (struct rem_log){.targets = target, .level = REM_LOG_NOTICE};
    if (*path != '\0' && rem_log_file_open(file) != REM_OK)
        fprintf(stderr,
                "remora: [alert] could not open error log file: open() \"%s\" failed "
                "(%d: %s)\n",
                path, errno, strerror(errno));
}

/* Loads and prepares m->gen, telling the terminal and the early log. */
static int load(struct rem_master *m, struct rem_reporter *to)
{
    char path[PATH_MAX];
    struct rem_log_file file;
    struct rem_log_target target;
    const struct rem_log_file *own;
    struct rem_log log;
    int rc;

    open_early_log(m->options, &file, &target, &log, path, sizeof(path));
    to->log = &log;
    rc = rem_generation_load(m->options, to, &m->gen);
    if (rc == REM_OK)
        rc = rem_generation_prepare(m->gen, to);
    if (file.fd >= 0)
        close(file.fd);
    to->log = NULL;
    if (rc != REM_OK)
        return rc;
    /* A log on stderr would say what the terminal is told a second time. */
    own = rem_log_first_file(m->gen->setup.log);
    if (own == NULL || own->path != NULL)
        to->log = m->gen->setup.log;
    return REM_OK;
}

/* A former process may need a moment to let go of an address. */
static int open_listeners(struct rem_master *m, const struct rem_reporter *to)
{
    struct rem_err err;
    int rc = REM_OK;

    for (int i = 0; i < BIND_TRIES; i++) {
        struct timespec pause = {0, BIND_WAIT_MS * 1000000L};

        rc = rem_reload_open(m, m->gen, NULL, &err);
        if (rc == REM_OK)
            return REM_OK;
        rem_report(to, REM_LOG_EMERG, 0, "%s", err.text);
        if (strstr(err.text, "Address already in use") == NULL)
            return rc;
        nanosleep(&pause, NULL);
    }
    rem_report(to, REM_LOG_EMERG, 0, "still could not bind()");
    return rc;
}

/* The history of the former binary if its registry goes on, or a new one. */
static int open_journal(struct rem_master *m, bool goes_on, const struct rem_reporter *to)
{
    if (m->inherited_journal >= 0) {
        if (goes_on && rem_journal_attach(&m->journal, m->inherited_journal) == REM_OK)
            return REM_OK;
        rem_report(to, REM_LOG_WARN, 0, "the history of changes starts anew");
        close(m->inherited_journal);
    }
    if (rem_journal_create(&m->journal, time(NULL)) == REM_OK)
        return REM_OK;
    rem_report(to, REM_LOG_EMERG, errno, "could not reserve memory for the journal");
    return REM_EIO;
}

static int open_region(struct rem_master *m, const struct rem_reporter *to)
{
    const struct rem_setup *setup = &m->gen->setup;
    struct rem_shm_header *header;
    bool goes_on;
    int rc = REM_ENOTFOUND;

    if (m->inherited_region >= 0) {
        rc = rem_region_attach(&m->region, m->inherited_region);
        if (rc != REM_OK) {
            rem_report(to, REM_LOG_WARN, 0,
                       "the former binary's shared memory cannot be used (%s): runtime changes "
                       "start anew",
                       rem_err_text(rc));
            close(m->inherited_region);
        }
    }
    goes_on = rc == REM_OK;
    if (rc != REM_OK)
        rc = rem_region_create(&m->region, setup->shared_memory, (unsigned)setup->worker_processes);
    if (rc != REM_OK) {
        rem_report(to, REM_LOG_EMERG, errno, "could not reserve %zu bytes of shared memory",
                   setup->shared_memory);
        return rc;
    }
    rc = open_journal(m, goes_on, to);
    if (rc != REM_OK)
        return rc;
    /* relaxed: the master alone writes these, before it forks */
    header = m->region.header;
    if (atomic_load_explicit(&header->started_sec, memory_order_relaxed) == 0)
        atomic_store_explicit(&header->started_sec, time(NULL), memory_order_relaxed);
    m->gen->number = atomic_load_explicit(&header->config_generation, memory_order_relaxed) + 1;
    atomic_store_explicit(&header->config_generation, m->gen->number, memory_order_relaxed);
    rem_reload_open_stats(m, m->gen);
    return REM_OK;
}

static int start_agent(struct rem_master *m, const struct rem_reporter *to)
{
    int rc = rem_agent_start(m);

    if (rc == REM_OK)
        rc = rem_agent_wait(m);
    if (rc == REM_ETIMEOUT) { /* late is better than never: it goes on trying */
        rem_report(to, REM_LOG_ERROR, 0, "the agent is not ready yet");
        return REM_OK;
    }
    if (rc != REM_OK && !m->signals.stop)
        rem_report(to, REM_LOG_EMERG, 0, "the agent could not start: %s",
                   m->agent_error[0] != '\0' ? m->agent_error : "it exited");
    return rc;
}

static int write_pidfile(struct rem_master *m, const struct rem_reporter *to)
{
    const char *path = m->gen->setup.pid_path.p;

    if (rem_pidfile_write(path, m->pid) != REM_OK) {
        rem_report(to, REM_LOG_EMERG, errno, "open() \"%s\" failed", path);
        return REM_EIO;
    }
    snprintf(m->pid_path, sizeof(m->pid_path), "%s", path);
    return REM_OK;
}

static void tell_agent(struct rem_master *m, enum rem_msg_kind kind)
{
    struct rem_msg msg = {.kind = (uint32_t)kind};

    rem_agent_tell(m, &msg);
}

static void reopen(struct rem_master *m)
{
    REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "reopening logs");
    rem_generation_reopen(m->gen->setup.log_files, m->gen->setup.uid, rem_master_log(m));
    rem_children_signal(m, REM_CHILD_WORKER, SIGUSR1);
    tell_agent(m, REM_MSG_REOPEN);
}

/* Whether what is left must go now: somebody lost patience, or the deadline of a drain has come. */
static bool must_stop(struct rem_master *m)
{
    if (!m->signals.stop && rem_drain_deadline(m) == 0) {
        REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0,
                "draining: the time is up, ending what is left");
        m->signals.stop = true;
    }
    return m->signals.stop;
}

/* Waits for the workers; a stop signal makes a graceful end a fast one. */
static void end_workers(struct rem_master *m)
{
    uint64_t kill_at = 0;

    rem_children_signal(m, REM_CHILD_WORKER, m->signals.stop ? SIGTERM : SIGQUIT);
    while (rem_children_count(m, REM_CHILD_WORKER) > 0) {
        uint64_t now = rem_mono_ms();

        if (must_stop(m) && kill_at == 0) {
            rem_children_signal(m, REM_CHILD_WORKER, SIGTERM);
            kill_at = now + KILL_MS;
        }
        if (kill_at != 0 && now >= kill_at) {
            rem_children_signal(m, REM_CHILD_WORKER, SIGKILL);
            kill_at = now + KILL_MS;
        }
        rem_master_pump(m, kill_at != 0 ? (int)(kill_at - now) + 1 : rem_drain_deadline(m));
        if (m->signals.reopen) {
            m->signals.reopen = false;
            reopen(m);
        }
    }
}

/* Closes all sockets; their paths go too unless another master serves them. */
static void close_listeners(struct rem_master *m, struct rem_list *listeners)
{
    rem_listeners_close(listeners, rem_upgrade_alone(m) ? NULL : listeners);
}

static void remove_pidfile(struct rem_master *m)
{
    char path[PATH_MAX + 16];

    if (m->pid_path[0] == '\0')
        return;
    snprintf(path, sizeof(path), "%s%s", m->pid_path, m->new_binary != 0 ? ".oldbin" : "");
    if (unlink(path) != 0)
        REM_LOG(rem_master_log(m), REM_LOG_ERROR, errno, "unlink() \"%s\" failed", path);
}

static void end(struct rem_master *m)
{
    m->ending = true;
    rem_drain_enter_closing(m);
    close_listeners(m, &m->gen->setup.listeners);
    end_workers(m);
    rem_agent_stop(m);
    close_listeners(m, &m->gen->setup.admin_listeners);
    remove_pidfile(m);
    REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "exit");
}

/* Carries out one request, or waits for one.  Returns false when it was the last. */
static bool one_turn(struct rem_master *m)
{
    struct rem_signals *s = &m->signals;
    int wait = rem_children_earlier(rem_children_respawn(m), rem_drain_wait(m));

    if (!s->stop && !s->quit && !s->reload && !s->reopen && !s->upgrade && !s->winch)
        rem_master_pump(m, wait);
    if (s->stop || s->quit || rem_drain_is_due(m))
        return false;
    if (s->reload) {
        s->reload = false;
        if (!rem_drain_refuses(m, "the reload"))
            rem_reload(m);
    }
    if (s->reopen) {
        s->reopen = false;
        reopen(m);
    }
    if (s->upgrade) {
        s->upgrade = false;
        if (!rem_drain_refuses(m, "the change of the binary"))
            rem_upgrade_start(m);
    }
    if (s->winch) {
        s->winch = false;
        if (m->gen->setup.daemon || m->new_binary != 0 || m->inherited) {
            m->no_workers = true;
            rem_children_signal(m, REM_CHILD_WORKER, SIGQUIT);
        }
    }
    return true;
}

static int serve(struct rem_master *m, const struct rem_reporter *to, struct rem_daemon *daemon)
{
    if (start_agent(m, to) != REM_OK || write_pidfile(m, to) != REM_OK) {
        end(m);
        return m->signals.stop ? 0 : 1;
    }
    REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "remora/" REM_VERSION);
    rem_daemon_ready(daemon);
    m->serving = true;
    if (!m->gen->setup.master_process) {
        rem_single_serve(m);
    } else {
        REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "start worker processes");
        rem_children_start_workers(m);
        while (one_turn(m))
            continue;
    }
    end(m);
    return 0;
}

/* "master process" and the command line it was started with. */
static void set_title(const struct rem_options *options)
{
    char text[1024];
    size_t n = (size_t)snprintf(text, sizeof(text), "master process");

    for (int i = 0; i < options->argc && n < sizeof(text); i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", options->argv[i]);
    rem_title_set(text);
}

int rem_master_run(const struct rem_options *options)
{
    struct rem_master *m = calloc(1, sizeof(*m));
    struct rem_reporter to = {.terminal = stderr};
    struct rem_daemon daemon;
    int code = 1;

    if (m == NULL)
        return 1;
    m->options = options;
    m->agent_fd = -1;
    m->signals.fd = -1;
    rem_inlet_init(&m->inlet);
    rem_signals_hold();
    if (load(m, &to) != REM_OK)
        goto done;
    rem_upgrade_inherit(m);
    if (open_listeners(m, &to) != REM_OK)
        goto done;
    rem_upgrade_inherited(m);
    if (rem_daemon_start(m->gen->setup.daemon && !m->inherited, m->gen->setup.log, &daemon) !=
        REM_OK) {
        rem_report(&to, REM_LOG_EMERG, errno, "could not become a daemon");
        goto done;
    }
    m->pid = getpid();
    set_title(options);
    if (rem_signals_init(&m->signals) != REM_OK || open_region(m, &to) != REM_OK)
        goto done;
    code = serve(m, &to, &daemon);
    rem_region_close(&m->region);
    rem_journal_close(&m->journal);

done:
    rem_inlet_close(&m->inlet);
    rem_generation_free(m->gen);
    free(m);
    return code;
}
