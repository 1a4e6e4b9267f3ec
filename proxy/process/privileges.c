/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int change_user(const struct rem_setup *setup)
{
    if (setup->user.n == 0 || geteuid() != 0)
        return REM_OK;
    if (setgid(setup->gid) != 0) {
        REM_LOG(setup->log, REM_LOG_EMERG, errno, "setgid(%u) failed", (unsigned)setup->gid);
        return REM_EIO;
    }
    if (initgroups(setup->user.p, setup->gid) != 0)
        REM_LOG(setup->log, REM_LOG_EMERG, errno, "initgroups(%s, %u) failed", setup->user.p,
                (unsigned)setup->gid);
    if (setuid(setup->uid) != 0) {
        REM_LOG(setup->log, REM_LOG_EMERG, errno, "setuid(%u) failed", (unsigned)setup->uid);
        return REM_EIO;
    }
    return REM_OK;
}

/* Asked in a child, which can take on another user for good. */
/* What access() would say in a child. */
static bool may(const struct rem_setup *setup, const char *path, int mode)
{
    int status = 0;
    pid_t pid, got;

    if (setup->user.n == 0 || geteuid() != 0)
        return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
    pid = fork();
    if (pid == 0)
        _exit(change_user(setup) == REM_OK && access(path, mode) == 0 ? 0 : 1);
    do
        got = pid > 0 ? waitpid(pid, &status, 0) : -1;
    while (got < 0 && pid > 0 && errno == EINTR);
    return got == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool rem_privileges_can_write(const struct rem_setup *setup, const char *dir)
{
    return may(setup, dir, W_OK | X_OK);
}

bool rem_privileges_can_read(const struct rem_setup *setup, const char *path)
{
    return may(setup, path, R_OK);
}

/* The value a name shall have in a child: "NAME=value", or NULL. */
static char *env_text(const struct rem_setup_env *env)
{
    for (size_t i = 0; env->text.n == 0 && environ != NULL && environ[i] != NULL; i++)
        if (strncmp(environ[i], env->name.p, env->name.n) == 0 && environ[i][env->name.n] == '=')
            return environ[i];
    return env->text.n > 0 ? (char *)(uintptr_t)env->text.p : NULL;
}

/* A child keeps TZ and what `env` names, as with nginx. */
static int change_environment(const struct rem_setup *setup)
{
    struct rem_setup_env tz = {.next = setup->env, .name = REM_STR("TZ")};
    char **fresh;
    size_t n = 0;

    for (const struct rem_setup_env *env = &tz; env != NULL; env = env->next)
        n++;
    fresh = calloc(n + 1, sizeof(*fresh));
    if (fresh == NULL)
        return REM_ENOMEM;
    n = 0;
    for (const struct rem_setup_env *env = &tz; env != NULL; env = env->next) {
        char *text = env_text(env);

        if (text != NULL)
            fresh[n++] = text;
    }
    environ = fresh;
    return REM_OK;
}

int rem_privileges_drop(const struct rem_setup *setup, pid_t master, int death_signal)
{
    int rc = change_user(setup);

    if (rc != REM_OK)
        return rc;
    /* Changing the user has made the process undumpable and forgotten the death signal. */
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
        REM_LOG(setup->log, REM_LOG_ALERT, errno, "prctl(PR_SET_DUMPABLE) failed");
    if (death_signal != 0) {
        if (prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0)
            REM_LOG(setup->log, REM_LOG_ALERT, errno, "prctl(PR_SET_PDEATHSIG) failed");
        if (getppid() != master)
            raise(death_signal); /* it died before we asked to be told */
    }
    if (setup->working_directory.n > 0 && chdir(setup->working_directory.p) != 0) {
        REM_LOG(setup->log, REM_LOG_ALERT, errno, "chdir(\"%s\") failed",
                setup->working_directory.p);
        return REM_EIO;
    }
    return change_environment(setup);
}

static void set_limit(const struct rem_setup *setup, __rlimit_resource_t what, const char *name,
                      int64_t value)
{
    struct rlimit limit = {(rlim_t)value, (rlim_t)value};

    if (value >= 0 && setrlimit(what, &limit) != 0)
        REM_LOG(setup->log, REM_LOG_ALERT, errno, "setrlimit(%s, %lld) failed", name,
                (long long)value);
}

/* `auto`: worker i gets the i-th of the allowed CPUs, round and round. */
static bool auto_cpu(const struct rem_setup *setup, int index, cpu_set_t *out)
{
    cpu_set_t allowed;
    int n, turn;

    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        return false;
    if (setup->affinity_count > 0)
        CPU_AND(&allowed, &allowed, &setup->affinity[0].cpus);
    n = CPU_COUNT(&allowed);
    if (n == 0)
        return false;
    turn = index % n;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && turn-- == 0) {
            CPU_ZERO(out);
            CPU_SET(cpu, out);
            return true;
        }
    return false;
}

static void set_cpus(const struct rem_setup *setup, int index)
{
    cpu_set_t cpus;

    if (setup->affinity_auto) {
        if (!auto_cpu(setup, index, &cpus))
            return;
    } else if (setup->affinity_count > 0) {
        size_t last = setup->affinity_count - 1;

        cpus = setup->affinity[(size_t)index < last ? (size_t)index : last].cpus;
    } else {
        return;
    }
    if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0)
        REM_LOG(setup->log, REM_LOG_WARN, errno, "sched_setaffinity() failed");
}

void rem_privileges_limits(const struct rem_setup *setup, int index)
{
    struct rlimit files;

    set_limit(setup, RLIMIT_NOFILE, "RLIMIT_NOFILE", setup->worker_rlimit_nofile);
    set_limit(setup, RLIMIT_CORE, "RLIMIT_CORE", setup->worker_rlimit_core);
    if (index == 0 && getrlimit(RLIMIT_NOFILE, &files) == 0 &&
        files.rlim_cur < setup->worker_connections)
        REM_LOG(setup->log, REM_LOG_WARN, 0,
                "%u worker_connections exceed open file resource limit: %llu",
                setup->worker_connections, (unsigned long long)files.rlim_cur);
    if (setup->has_priority && setpriority(PRIO_PROCESS, 0, setup->worker_priority) != 0)
        REM_LOG(setup->log, REM_LOG_ALERT, errno, "setpriority(%d) failed", setup->worker_priority);
    set_cpus(setup, index);
}
