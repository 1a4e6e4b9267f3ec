/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/master.h"
#include "proxy/process/worker_main.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that lived for less than this died at once: its successor waits, longer each time, but
 * never so long that service is missed for more than a second once the cause has gone. */
enum { AT_ONCE_MS = 250, DELAY_MIN_MS = 100, DELAY_MAX_MS = 800 };

/* How often another master's workers are looked for. */
enum { STRANGERS_MS = 1000 };

struct rem_child *rem_children_add(struct rem_master *m, enum rem_child_role role)
{
    for (size_t i = 0; i < REM_CHILDREN_MAX; i++)
        if (m->children[i].role == REM_CHILD_NONE) {
            m->children[i] = (struct rem_child){.role = role, .started_ms = rem_mono_ms()};
            return &m->children[i];
        }
    return NULL;
}

int rem_children_count(const struct rem_master *m, enum rem_child_role role)
{
    int n = 0;

    for (size_t i = 0; i < REM_CHILDREN_MAX; i++)
        n += m->children[i].role == role;
    return n;
}

/* Has it started again after a pause that grows while it dies at once. */
static void schedule(struct rem_respawn *respawn, uint64_t started_ms)
{
    uint64_t now = rem_mono_ms();

    if (now - started_ms >= AT_ONCE_MS)
        respawn->delay_ms = 0;
    else if (respawn->delay_ms == 0)
        respawn->delay_ms = DELAY_MIN_MS;
    else
        respawn->delay_ms =
            respawn->delay_ms * 2 < DELAY_MAX_MS ? respawn->delay_ms * 2 : DELAY_MAX_MS;
    respawn->at_ms = now + respawn->delay_ms;
}

/* The child's half: what belongs to the master alone is closed. */
static void run_worker(struct rem_master *m, const struct rem_child *child)
{
    struct rem_worker_start start = {m->gen, &m->region, child->index, child->slot, m->pid};

    close(m->signals.fd);
    if (m->agent_fd >= 0)
        close(m->agent_fd);
    REM_LIST_EACH(node, &m->gen->setup.admin_listeners) {
        struct rem_listener *l = REM_LIST_ENTRY(node, struct rem_listener, node);

        for (int i = 0; i < l->fd_count; i++)
            close(l->fds[i]);
    }
    exit(rem_worker_main(&start));
}

static int start_worker(struct rem_master *m, int index)
{
    struct rem_child *child = rem_children_add(m, REM_CHILD_WORKER);
    int rc;

    if (child == NULL)
        return REM_EFULL;
    child->index = index;
    child->generation = m->gen->number;
    rc = rem_region_claim_worker(&m->region, m->gen->number, rem_mono_ms(), &child->slot);
    if (rc != REM_OK) {
        child->role = REM_CHILD_NONE;
        return rc;
    }
    child->pid = fork();
    if (child->pid == 0)
        run_worker(m, child);
    if (child->pid < 0) {
        REM_LOG(rem_master_log(m), REM_LOG_ALERT, errno, "fork() failed while starting a worker");
        rem_region_worker_gone(&m->region, child->slot);
        child->role = REM_CHILD_NONE;
        return REM_EIO;
    }
    rem_region_set_worker_pid(&m->region, child->slot, child->pid);
    REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "start worker process %d", (int)child->pid);
    return REM_OK;
}

/* Starts one, or arranges for another attempt. */
static void try_worker(struct rem_master *m, int index)
{
    struct rem_respawn *respawn = &m->worker_respawn[index];
    int rc = start_worker(m, index);

    respawn->at_ms = 0;
    if (rc == REM_OK)
        return;
    if (rc == REM_EFULL)
        REM_LOG(rem_master_log(m), REM_LOG_ERROR, 0,
                "no worker slot is free, worker %d starts later", index);
    schedule(respawn, rem_mono_ms());
}

static void signal_child(struct rem_master *m, struct rem_child *child, int number)
{
    if (number == SIGQUIT || number == SIGTERM || number == SIGKILL)
        child->leaving = true;
    if (kill(child->pid, number) != 0 && errno != ESRCH)
        REM_LOG(rem_master_log(m), REM_LOG_ALERT, errno, "kill(%d, %d) failed", (int)child->pid,
                number);
}

/* Does a worker with this number serve the current configuration? */
static bool serves(const struct rem_master *m, int index)
{
    for (size_t i = 0; i < REM_CHILDREN_MAX; i++) {
        const struct rem_child *child = &m->children[i];

        if (child->role == REM_CHILD_WORKER && child->index == index && !child->leaving &&
            child->generation == m->gen->number)
            return true;
    }
    return false;
}

void rem_children_start_workers(struct rem_master *m)
{
    struct rem_msg msg = {.kind = REM_MSG_WORKERS_UP, .generation = m->gen->number};

    m->no_workers = false;
    memset(m->worker_respawn, 0, sizeof(m->worker_respawn));
    for (int i = 0; i < m->gen->setup.worker_processes; i++)
        if (!serves(m, i))
            try_worker(m, i);
    rem_agent_tell(m, &msg);
}

void rem_children_replace_missing(struct rem_master *m)
{
    for (int i = 0; i < m->gen->setup.worker_processes && !m->no_workers; i++)
        if (m->worker_respawn[i].at_ms == 0 && !serves(m, i))
            m->worker_respawn[i].at_ms = rem_mono_ms();
}

void rem_children_retire(struct rem_master *m)
{
    bool served = false;

    for (int i = 0; i < m->gen->setup.worker_processes && !served; i++)
        served = serves(m, i);
    for (size_t i = 0; i < REM_CHILDREN_MAX && served; i++) {
        struct rem_child *child = &m->children[i];

        if (child->role == REM_CHILD_WORKER && !child->leaving &&
            child->generation < m->gen->number)
            signal_child(m, child, SIGQUIT);
    }
}

static bool is_ours(const struct rem_master *m, pid_t pid)
{
    for (size_t i = 0; i < REM_CHILDREN_MAX; i++)
        if (m->children[i].role == REM_CHILD_WORKER && m->children[i].pid == pid)
            return true;
    return false;
}

bool rem_children_forget_strangers(struct rem_master *m)
{
    struct rem_msg msg = {.kind = REM_MSG_WORKER_GONE};
    struct rem_worker_status workers[REM_SHM_WORKERS];
    size_t count = rem_region_workers(&m->region, workers);
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        if (workers[i].pid == 0 || is_ours(m, workers[i].pid))
            continue;
        /* While its master lives, that master reaps it, and may give the slot away again. */
        if (!rem_upgrade_alone(m) || kill(workers[i].pid, 0) == 0 || errno != ESRCH) {
            any = true;
            continue;
        }
        msg.slot = workers[i].slot;
        rem_region_worker_gone(&m->region, msg.slot);
        rem_agent_tell(m, &msg);
    }
    return any;
}

void rem_children_signal(struct rem_master *m, enum rem_child_role role, int number)
{
    for (size_t i = 0; i < REM_CHILDREN_MAX; i++)
        if (m->children[i].role == role)
            signal_child(m, &m->children[i], number);
}

/* How a child ended.  The words for a worker that did are nginx's, and monitors count them. */
static void log_exit(struct rem_master *m, const struct rem_child *child, int status)
{
    static const char *const names[] = {"", "worker process", "agent process", "binary process"};
    const char *name = names[child->role];

    if (WIFSIGNALED(status)) {
        enum rem_log_level level = REM_LOG_ALERT;

        if (WTERMSIG(status) == SIGTERM || (child->leaving && WTERMSIG(status) == SIGKILL))
            level = REM_LOG_NOTICE; /* somebody wanted it gone */
        REM_LOG(rem_master_log(m), level, 0, "%s %d exited on signal %d%s", name, (int)child->pid,
                WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
    } else if (child->role == REM_CHILD_WORKER || WEXITSTATUS(status) != 0) {
        REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "%s %d exited with code %d", name,
                (int)child->pid, WEXITSTATUS(status));
    } else {
        REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "%s %d is done", name, (int)child->pid);
    }
}

static void worker_gone(struct rem_master *m, const struct rem_child *child)
{
    bool wanted =
        child->leaving || m->ending || m->no_workers || child->generation != m->gen->number;
    struct rem_msg msg = {.kind = REM_MSG_WORKER_GONE, .slot = child->slot, .result = !wanted};

    rem_region_worker_gone(&m->region, child->slot);
    rem_agent_tell(m, &msg);
    if (wanted)
        return;
    /* relaxed: written by the master alone, stands alone */
    rem_count(&m->region.header->worker_respawns, 1);
    schedule(&m->worker_respawn[child->index], child->started_ms);
}

static void agent_gone(struct rem_master *m, const struct rem_child *child)
{
    if (m->agent_fd >= 0)
        close(m->agent_fd);
    m->agent_fd = -1;
    m->agent = REM_AGENT_NONE;
    if (child->leaving || m->ending || m->new_binary != 0)
        return;
    rem_count(&m->region.header->agent_respawns, 1);
    schedule(&m->agent_respawn, child->started_ms);
}

void rem_children_reap(struct rem_master *m)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct rem_child *found = NULL;
        struct rem_child child;

        for (size_t i = 0; i < REM_CHILDREN_MAX && found == NULL; i++)
            if (m->children[i].role != REM_CHILD_NONE && m->children[i].pid == pid)
                found = &m->children[i];
        if (found == NULL)
            continue;
        child = *found;
        if (child.role == REM_CHILD_AGENT)
            rem_agent_hear(m); /* its last words */
        log_exit(m, &child, status);
        found->role = REM_CHILD_NONE;
        if (child.role == REM_CHILD_WORKER)
            worker_gone(m, &child);
        else if (child.role == REM_CHILD_AGENT)
            agent_gone(m, &child);
        else
            rem_upgrade_failed(m);
    }
}

/* ms until `respawn` is due, or -1. */
static int due_in(const struct rem_respawn *respawn, uint64_t now)
{
    if (respawn->at_ms == 0)
        return -1;
    return respawn->at_ms > now ? (int)(respawn->at_ms - now) : 0;
}

int rem_children_earlier(int a, int b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

int rem_children_respawn(struct rem_master *m)
{
    uint64_t now = rem_mono_ms();
    int wait = -1;

    if (m->ending)
        return -1;
    if (m->agent_respawn.at_ms != 0 && m->new_binary == 0) {
        if (due_in(&m->agent_respawn, now) == 0) {
            m->agent_respawn.at_ms = 0;
            if (rem_agent_start(m) != REM_OK)
                schedule(&m->agent_respawn, now);
        }
        wait = rem_children_earlier(wait, due_in(&m->agent_respawn, now));
    }
    for (int i = 0; i < m->gen->setup.worker_processes && !m->no_workers; i++) {
        if (due_in(&m->worker_respawn[i], now) == 0)
            try_worker(m, i);
        wait = rem_children_earlier(wait, due_in(&m->worker_respawn[i], now));
    }
    rem_children_retire(m);
    if (m->shared && rem_children_forget_strangers(m))
        wait = rem_children_earlier(wait, STRANGERS_MS);
    return wait;
}
