/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the command line's branches: help, version, test, signal, run.  */
#include "proxy/process/generation.h"
#include "proxy/process/master.h"
#include "proxy/process/title.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Would the pid file be written?  Nothing is created, so a live one stays what it is. */
static int check_pid_path(const char *path, const struct rem_reporter *to)
{
    char dir[PATH_MAX];

    snprintf(dir, sizeof(dir), "%s", path);
    if (access(dirname(dir), W_OK | X_OK) == 0)
        return REM_OK;
    rem_report(to, REM_LOG_EMERG, errno, "open() \"%s\" failed", path);
    return REM_EIO;
}

static int dump(const struct rem_generation *gen)
{
    struct rem_sbuf text;
    bool whole;

    rem_sbuf_init(&text);
    rem_conf_dump(gen->cycle, &text);
    whole = !text.failed && fwrite(text.p, 1, text.n, stdout) == text.n && fflush(stdout) == 0;
    rem_sbuf_fini(&text);
    return whole ? REM_OK : REM_EIO;
}

/* -t, -T: reads everything and opens files, but binds nothing. */
static int test(const struct rem_options *options)
{
    struct rem_reporter to = {.terminal = stderr};
    struct rem_generation *gen = NULL;
    char path[PATH_MAX];
    int rc;

    rem_generation_conf_path(options, path, sizeof(path));
    rc = rem_generation_load(options, &to, &gen);
    if (rc == REM_OK && !options->quiet)
        fprintf(stderr, "remora: the configuration file %s syntax is ok\n", path);
    if (rc == REM_OK)
        rc = rem_generation_prepare(gen, &to);
    if (rc == REM_OK)
        rc = check_pid_path(gen->setup.pid_path.p, &to);
    if (rc != REM_OK)
        fprintf(stderr, "remora: configuration file %s test failed\n", path);
    else if (!options->quiet)
        fprintf(stderr, "remora: configuration file %s test is successful\n", path);
    if (rc == REM_OK && options->dump)
        rc = dump(gen);
    rem_generation_free(gen);
    return rc == REM_OK ? 0 : 1;
}

static int signal_number(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } table[] = {{"stop", SIGTERM}, {"quit", SIGQUIT}, {"reopen", SIGUSR1}, {"reload", SIGHUP}};

    for (size_t i = 0; i < REM_COUNT(table); i++)
        if (strcmp(name, table[i].name) == 0)
            return table[i].number;
    return 0;
}

/* -s: the configuration says where the pid is. */
static int send_signal(const struct rem_options *options)
{
    struct rem_reporter to = {.terminal = stderr};
    struct rem_generation *gen = NULL;
    int number = signal_number(options->signal);
    const char *path;
    pid_t pid;
    int rc;

    if (rem_generation_load(options, &to, &gen) != REM_OK)
        return 1;
    path = gen->setup.pid_path.p;
    rc = rem_pidfile_read(path, &pid);
    if (rc == REM_EIO)
        rem_report(&to, REM_LOG_ERROR, errno, "open() \"%s\" failed", path);
    else if (rc != REM_OK)
        rem_report(&to, REM_LOG_ERROR, 0, "invalid PID number in \"%s\"", path);
    else if (kill(pid, number) != 0) {
        rem_report(&to, REM_LOG_ALERT, errno, "kill(%d, %d) failed", (int)pid, number);
        rc = REM_EIO;
    }
    rem_generation_free(gen);
    return rc == REM_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct rem_options options;
    struct rem_err err;

    argv = rem_title_init(argc, argv);
    if (rem_options_parse(argc, argv, &options, &err) != REM_OK) {
        fprintf(stderr, "remora: %s\n", err.text);
        return 1;
    }
    if (options.help) {
        rem_options_help(stdout);
        return 0;
    }
    if (options.version) {
        rem_options_version(stderr, options.build);
        return 0;
    }
    if (options.test)
        return test(&options);
    if (options.signal != NULL)
        return send_signal(&options);
    return rem_master_run(&options);
}
