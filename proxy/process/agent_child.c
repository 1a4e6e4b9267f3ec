/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/master.h"
#include "proxy/process/privileges.h"
#include "proxy/process/title.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { READY_MS = 5000, QUIT_MS = 3000 };

/* Descriptors that a child keeps. */
struct keep {
    int *fds;
    size_t n;
    size_t room;
};

/* Without memory the child ends: what it would close are descriptors it goes on to write to. */
static void keep_fd(struct keep *keep, int fd)
{
    if (keep->n == keep->room) {
        keep->room = keep->room * 2 + 64;
        keep->fds = reallocarray(keep->fds, keep->room, sizeof(*keep->fds));
        if (keep->fds == NULL)
            exit(2);
    }
    if (fd >= 0)
        keep->fds[keep->n++] = fd;
}

static int compare_fds(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

static bool is_kept(const struct keep *keep, int fd)
{
    return bsearch(&fd, keep->fds, keep->n, sizeof(fd), compare_fds) != NULL;
}

/* The agent is forked while others' sockets are open: listeners that a reload is about to close,
 * and with `master_process off` clients.  It must not hold any of them open. */
static void close_others(struct keep *keep)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;

    if (dir == NULL)
        return;
    qsort(keep->fds, keep->n, sizeof(*keep->fds), compare_fds);
    while ((entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);

        if (fd <= STDERR_FILENO || fd == dirfd(dir) || is_kept(keep, fd))
            continue;
        close(fd);
    }
    closedir(dir);
}

static size_t admin_listeners(const struct rem_setup *setup, struct rem_admin_listener **out)
{
    size_t n = 0;

    REM_LIST_EACH(node, &setup->admin_listeners)
        n++;
    *out = calloc(n + 1, sizeof(**out));
    if (*out == NULL)
        return 0;
    n = 0;
    REM_LIST_EACH(at, &setup->admin_listeners) {
        const struct rem_listener *l = REM_LIST_ENTRY(at, struct rem_listener, node);
        const struct rem_setup_admin_listen *listen = l->data;

        (*out)[n].fd = l->fds[0];
        (*out)[n].role = listen->role;
        (*out)[n++].addr = l->addr;
    }
    return n;
}

/* The specs in one vector, as the agent wants them. */
static struct rem_upstream_spec *upstreams(const struct rem_setup *setup)
{
    struct rem_upstream_spec *specs = calloc(setup->upstream_count + 1, sizeof(*specs));

    for (size_t i = 0; specs != NULL && i < setup->upstream_count; i++)
        specs[i] = *setup->upstreams[i];
    return specs;
}

/* What the agent is to know.  Vectors are on the heap; NULL without memory. */
static void fill_handover(struct rem_master *m, int fd, struct rem_clock *clock,
                          struct rem_handover *out)
{
    const struct rem_setup *setup = &m->gen->setup;
    struct rem_admin_listener *listeners;
    size_t listener_count = admin_listeners(setup, &listeners);

    *out = (struct rem_handover){
        .region = &m->region,
        .master_fd = fd,
        .listeners = listeners,
        .listener_count = listener_count,
        .inlet = setup->inlet,
        .write = setup->admin_write,
        .admin = &setup->admin_spec,
        .state_path = setup->admin_state,
        .max_series = setup->admin_max_series,
        .max_upstream_series = setup->admin_max_upstream_series,
        .history = setup->admin_history,
        .drain = m->drain,
        .upstreams = upstreams(setup),
        .upstream_count = setup->upstream_count,
        .tables = REM_ARRAY_OF(&setup->tables, struct rem_table_spec),
        .table_count = setup->tables.n,
        .keyvals = REM_ARRAY_OF(&setup->keyvals, struct rem_keyval_spec),
        .keyval_count = setup->keyvals.n,
        .config_generation = m->gen->number,
        .journal = &m->journal,
        .log = setup->log,
        .log_files = setup->log_files,
        .clock = clock,
        .started_sec = atomic_load_explicit(&m->region.header->started_sec, memory_order_relaxed),
        .loaded_sec = m->gen->loaded_sec,
        .master_pid = m->pid,
        .workers = (unsigned)setup->worker_processes,
        .version = REM_VERSION,
        .build = "remora-" REM_VERSION,
        .last_reload_ok = m->reload_result == REM_OK,
        .last_reload_sec = m->reload_sec,
        .zones = setup->zones,
        .checks = setup->checks,
        .check_count = setup->check_count,
    };
}

static void keep_own(struct keep *keep, const struct rem_handover *handover)
{
    keep_fd(keep, handover->master_fd);
    keep_fd(keep, handover->region->fd);
    keep_fd(keep, handover->journal->fd);
    for (const struct rem_log_file *file = handover->log_files; file != NULL; file = file->next)
        keep_fd(keep, file->fd);
    for (size_t i = 0; i < handover->listener_count; i++)
        keep_fd(keep, handover->listeners[i].fd);
    if (handover->inlet != NULL)
        keep_fd(keep, handover->inlet->fd);
}

/* Only ever behind the workers, whatever these got: for that no right is needed. */
static void set_priority(const struct rem_setup *setup)
{
    int base = getpriority(PRIO_PROCESS, 0);

    if (setup->has_priority && setup->worker_priority > base)
        base = setup->worker_priority;
    if (setup->admin_priority != 0 &&
        setpriority(PRIO_PROCESS, 0, base + setup->admin_priority) != 0)
        REM_LOG(setup->log, REM_LOG_ALERT, errno, "setpriority() failed for the agent");
}

/* The agent's process.  What a terminal or a supervisor sends to the whole group is for the master
 * to decide upon; it tells the agent through its socket. */
static void run_agent(struct rem_master *m, int fd)
{
    static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGPIPE};
    struct rem_clock clock = {0};
    struct rem_handover handover;
    struct keep keep = {0};

    rem_title_set("agent process");
    for (size_t i = 0; i < REM_COUNT(ignored); i++)
        signal(ignored[i], SIG_IGN);
    rem_clock_update(&clock);
    fill_handover(m, fd, &clock, &handover);
    keep_own(&keep, &handover);
    close_others(&keep);
    free(keep.fds);
    m->signals.fd = -1;
    rem_signals_reset(&m->signals);
    set_priority(&m->gen->setup);
    if (handover.listeners == NULL || handover.upstreams == NULL ||
        rem_privileges_drop(&m->gen->setup, m->pid, 0) != REM_OK)
        exit(2);
    exit(rem_agent_run(&handover));
}

int rem_agent_start(struct rem_master *m)
{
    struct rem_child *child = rem_children_add(m, REM_CHILD_AGENT);
    int fds[2];

    m->agent_error[0] = '\0';
    if (child == NULL)
        return REM_EIO;
    if (rem_msg_pair(fds) != REM_OK) {
        REM_LOG(rem_master_log(m), REM_LOG_ALERT, errno, "socketpair() failed for the agent");
        child->role = REM_CHILD_NONE;
        return REM_EIO;
    }
    child->generation = m->gen->number;
    child->pid = fork();
    if (child->pid == 0) {
        close(fds[0]);
        run_agent(m, fds[1]);
    }
    close(fds[1]);
    if (child->pid < 0) {
        REM_LOG(rem_master_log(m), REM_LOG_ALERT, errno, "fork() failed while starting the agent");
        close(fds[0]);
        child->role = REM_CHILD_NONE;
        return REM_EIO;
    }
    m->agent_fd = fds[0];
    m->agent = REM_AGENT_STARTING;
    REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "start agent process %d", (int)child->pid);
    return REM_OK;
}

/* Ends early when the agent is ready, has failed or died, or the master is told to stop. */
int rem_agent_wait(struct rem_master *m)
{
    uint64_t end = rem_mono_ms() + READY_MS;

    while (m->agent == REM_AGENT_STARTING && !m->signals.stop) {
        uint64_t now = rem_mono_ms();

        if (now >= end)
            return REM_ETIMEOUT;
        rem_master_pump(m, (int)(end - now));
    }
    return m->agent == REM_AGENT_READY ? REM_OK : REM_EIO;
}

void rem_agent_stop(struct rem_master *m)
{
    struct rem_msg msg = {.kind = REM_MSG_QUIT};
    uint64_t end = rem_mono_ms() + QUIT_MS;
    bool killed = false;

    for (size_t i = 0; i < REM_CHILDREN_MAX; i++)
        if (m->children[i].role == REM_CHILD_AGENT)
            m->children[i].leaving = true;
    m->agent_respawn.at_ms = 0;
    rem_agent_tell(m, &msg);
    while (rem_children_count(m, REM_CHILD_AGENT) > 0) {
        uint64_t now = rem_mono_ms();

        if (now >= end && !killed) {
            REM_LOG(rem_master_log(m), REM_LOG_WARN, 0, "the agent did not quit in time");
            rem_children_signal(m, REM_CHILD_AGENT, SIGKILL);
            killed = true;
        }
        rem_master_pump(m, killed ? 1000 : (int)(end - now));
    }
}

void rem_agent_tell(struct rem_master *m, const struct rem_msg *msg)
{
    int rc;

    if (m->agent_fd < 0)
        return;
    rc = rem_msg_send(m->agent_fd, msg);
    if (rc != REM_OK && rc != REM_ECLOSED) /* closed: it is about to be reaped */
        REM_LOG(rem_master_log(m), REM_LOG_ERROR, 0, "message %u for the agent was lost: %s",
                msg->kind, rem_err_text(rc));
}

void rem_agent_hear(struct rem_master *m)
{
    struct rem_msg msg;
    int rc = REM_OK;

    while (m->agent_fd >= 0 && (rc = rem_msg_recv(m->agent_fd, &msg)) == REM_OK) {
        if (msg.kind == REM_MSG_READY) {
            m->agent = REM_AGENT_READY;
        } else if (msg.kind == REM_MSG_FAILED) {
            m->agent = REM_AGENT_FAILED;
            snprintf(m->agent_error, sizeof(m->agent_error), "%.*s",
                     (int)sizeof(m->agent_error) - 1, msg.text);
        } else if (msg.kind == REM_MSG_DRAIN) {
            rem_drain_begin(m, msg.delay_ms, msg.timeout_ms);
        }
    }
    if (m->agent_fd >= 0 && rc != REM_EAGAIN) {
        close(m->agent_fd); /* it has closed its end; its exit is reaped in a moment */
        m->agent_fd = -1;
    }
}
