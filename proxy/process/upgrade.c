/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* How a binary hands over: the next one is executed with REMORA_FDS="r7;j5;8;9;" in its
 * environment: region, journal, then listening sockets, which it asks for their addresses.  The
 * inlet, which the old workers go on using, is "i10;", and its secret is in REMORA_INLET.  The
 * registry has one writer, so the old master's agent quits first, and starts again if the new
 * binary dies.  Workers of both serve until the old master is told to QUIT. */

#define ENV_NAME   "REMORA_FDS"
#define ENV_SECRET "REMORA_INLET"

extern char **environ;

static struct rem_listener *inherited_at(struct rem_master *m, const struct rem_addr *addr)
{
    struct rem_listener *l;

    REM_LIST_EACH(node, &m->inherited_listeners) {
        l = REM_LIST_ENTRY(node, struct rem_listener, node);
        if (rem_addr_eq(&l->addr, addr))
            return l;
    }
    l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    l->addr = *addr;
    rem_list_append(&m->inherited_listeners, &l->node);
    return l;
}

/* Without the secret the socket is of no use. */
static void inherit_inlet(struct rem_master *m, int fd)
{
    const char *secret = getenv(ENV_SECRET);

    if (secret == NULL || rem_inlet_adopt(&m->inlet, fd, secret) != REM_OK)
        close(fd);
}

static void inherit_socket(struct rem_master *m, int fd)
{
    union rem_addr_any any;
    socklen_t len = sizeof(any);
    struct rem_addr addr;
    struct rem_listener *l;
    int *fds;

    if (getsockname(fd, &any.sa, &len) != 0) {
        close(fd);
        return;
    }
    rem_addr_from(&any.sa, len, &addr);
    l = inherited_at(m, &addr);
    fds = l != NULL ? realloc(l->fds, (size_t)(l->fd_count + 1) * sizeof(*fds)) : NULL;
    if (fds == NULL) {
        close(fd);
        return;
    }
    fds[l->fd_count++] = fd;
    l->fds = fds;
}

void rem_upgrade_inherit(struct rem_master *m)
{
    const char *text = getenv(ENV_NAME);

    rem_list_init(&m->inherited_listeners);
    m->inherited_region = -1;
    m->inherited_journal = -1;
    if (text == NULL)
        return;
    REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "using inherited sockets from \"%s\"", text);
    for (const char *at = text; *at != '\0';) {
        bool region = *at == 'r', journal = *at == 'j', inlet = *at == 'i';
        char *end;
        long fd = strtol(at + (region || journal || inlet), &end, 10);

        if (*end != ';' || fd <= STDERR_FILENO || fd > INT_MAX ||
            fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0) {
            REM_LOG(rem_master_log(m), REM_LOG_EMERG, 0,
                    "invalid descriptor \"%s\" in " ENV_NAME ", ignoring the rest", at);
            break;
        }
        if (region)
            m->inherited_region = (int)fd;
        else if (journal)
            m->inherited_journal = (int)fd;
        else if (inlet)
            inherit_inlet(m, (int)fd);
        else
            inherit_socket(m, (int)fd);
        at = end + 1;
    }
    unsetenv(ENV_NAME);
    unsetenv(ENV_SECRET);
    m->inherited = true;
    m->shared = true;
    m->old_master = getppid();
}

static bool in_use(const struct rem_list *listeners, int fd)
{
    for (const struct rem_list *at = listeners->next; at != listeners; at = at->next) {
        const struct rem_listener *l = REM_LIST_ENTRY(at, struct rem_listener, node);

        for (int i = 0; i < l->fd_count; i++)
            if (l->fds[i] == fd)
                return true;
    }
    return false;
}

void rem_upgrade_inherited(struct rem_master *m)
{
    REM_LIST_EACH(node, &m->inherited_listeners) {
        struct rem_listener *l = REM_LIST_ENTRY(node, struct rem_listener, node);

        for (int i = 0; i < l->fd_count; i++)
            if (!in_use(&m->gen->setup.listeners, l->fds[i]) &&
                !in_use(&m->gen->setup.admin_listeners, l->fds[i]))
                close(l->fds[i]);
        rem_list_remove(&l->node);
        free(l->fds);
        free(l);
    }
}

bool rem_upgrade_alone(const struct rem_master *m)
{
    return m->new_binary == 0 && (m->old_master == 0 || getppid() != m->old_master);
}

static void add_sockets(struct rem_sbuf *text, const struct rem_list *listeners)
{
    for (const struct rem_list *at = listeners->next; at != listeners; at = at->next) {
        const struct rem_listener *l = REM_LIST_ENTRY(at, struct rem_listener, node);

        for (int i = 0; i < l->fd_count; i++)
            rem_sbuf_addf(text, "%d;", l->fds[i]);
    }
}

/* Lets the descriptors named in `text` survive the exec. */
static void keep_open(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        char *end;
        long fd = strtol(at + (*at == 'r' || *at == 'j' || *at == 'i'), &end, 10);

        fcntl((int)fd, F_SETFD, 0);
        at = end;
    }
}

static void run_binary(struct rem_master *m, const char *fds)
{
    rem_signals_reset(&m->signals);
    keep_open(fds);
    if (setenv(ENV_NAME, fds, 1) == 0 &&
        (!rem_inlet_is_open(&m->inlet) || setenv(ENV_SECRET, m->inlet.secret, 1) == 0))
        execvp(m->options->argv[0], m->options->argv);
    REM_LOG(rem_master_log(m), REM_LOG_ALERT, errno, "execve() failed while executing \"%s\"",
            m->options->argv[0]);
    _exit(2);
}

static void old_path(const struct rem_master *m, char *buf, size_t size)
{
    snprintf(buf, size, "%s.oldbin", m->pid_path);
}

static int fork_binary(struct rem_master *m, const char *fds)
{
    struct rem_child *child = rem_children_add(m, REM_CHILD_BINARY);

    if (child == NULL)
        return REM_EFULL;
    child->pid = fork();
    if (child->pid == 0)
        run_binary(m, fds);
    if (child->pid < 0) {
        REM_LOG(rem_master_log(m), REM_LOG_ALERT, errno, "fork() failed while changing binary");
        child->role = REM_CHILD_NONE;
        return REM_EIO;
    }
    m->new_binary = child->pid;
    m->shared = true;
    REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "start new binary process %d", (int)child->pid);
    return REM_OK;
}

void rem_upgrade_start(struct rem_master *m)
{
    char moved[PATH_MAX + 16];
    struct rem_sbuf fds;

    if (m->new_binary != 0 || !rem_upgrade_alone(m)) {
        REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0,
                "changing binary: another upgrade is still under way, ignored");
        return;
    }
    REM_LOG(rem_master_log(m), REM_LOG_NOTICE, 0, "changing binary");
    rem_sbuf_init(&fds);
    rem_sbuf_addf(&fds, "r%d;j%d;", m->region.fd, m->journal.fd);
    if (rem_inlet_is_open(&m->inlet))
        rem_sbuf_addf(&fds, "i%d;", m->inlet.fd);
    add_sockets(&fds, &m->gen->setup.listeners);
    add_sockets(&fds, &m->gen->setup.admin_listeners);
    rem_sbuf_addc(&fds, '\0');
    old_path(m, moved, sizeof(moved));
    if (fds.failed || rename(m->pid_path, moved) != 0) {
        REM_LOG(rem_master_log(m), REM_LOG_ALERT, errno,
                "rename() %s to %s failed before "
                "executing new binary",
                m->pid_path, moved);
        rem_sbuf_fini(&fds);
        return;
    }
    rem_agent_stop(m);
    if (fork_binary(m, fds.p) != REM_OK)
        rem_upgrade_failed(m);
    rem_sbuf_fini(&fds);
}

void rem_upgrade_failed(struct rem_master *m)
{
    char moved[PATH_MAX + 16];

    m->new_binary = 0;
    old_path(m, moved, sizeof(moved));
    if (rename(moved, m->pid_path) != 0)
        REM_LOG(rem_master_log(m), REM_LOG_ALERT, errno,
                "rename() %s to %s failed after the new "
                "binary's process exited",
                moved, m->pid_path);
    if (m->ending)
        return;
    m->agent_respawn = (struct rem_respawn){.at_ms = rem_mono_ms()};
    if (m->no_workers) /* sent away for the new binary's sake, which is gone */
        rem_children_start_workers(m);
}
