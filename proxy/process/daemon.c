/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The process that was started: waits for the daemon's word. */
static void wait_for(int fd)
{
    char byte;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    _exit(n == 1 ? 0 : 1);
}

static int detach(const struct rem_log *log)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct rem_log_file *file = rem_log_first_file(log);

    if (null < 0 || setsid() < 0)
        return REM_EIO;
    if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return REM_EIO;
    if (file != NULL && file->path != NULL && dup2(file->fd, STDERR_FILENO) < 0)
        return REM_EIO;
    if (null > STDERR_FILENO)
        close(null);
    return REM_OK;
}

int rem_daemon_start(bool wanted, const struct rem_log *log, struct rem_daemon *daemon)
{
    int fds[2];
    pid_t pid;

    daemon->ready_fd = -1;
    if (!wanted)
        return REM_OK;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return REM_EIO;
    pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return REM_EIO;
    }
    if (pid > 0) {
        close(fds[1]);
        wait_for(fds[0]);
    }
    close(fds[0]);
    daemon->ready_fd = fds[1];
    return detach(log);
}

void rem_daemon_ready(struct rem_daemon *daemon)
{
    char byte = 'r';

    if (daemon->ready_fd < 0)
        return;
    if (write(daemon->ready_fd, &byte, 1) != 1)
        (void)0; /* whoever started us has gone: nobody is left to be told */
    close(daemon->ready_fd);
    daemon->ready_fd = -1;
}
