/* SPDX-License-Identifier: Apache-2.0 */
#include "api/process_stat.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add_fds(pid_t pid, struct rem_process_stat *sum)
{
    char path[64];
    struct dirent *entry;
    DIR *dir;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL)
        sum->fds += entry->d_name[0] != '.';
    closedir(dir);
}

void rem_process_stat_add(pid_t pid, struct rem_process_stat *sum)
{
    unsigned long user, system;
    long children_user, children_system, pages;
    char path[64], text[1024];
    const char *at;
    ssize_t n;
    int fd;

    if (pid <= 0)
        return;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return;
    text[n] = '\0';
    /* The name may hold anything; the fields we want are counted from the bracket behind it. */
    at = strrchr(text, ')');
    if (at == NULL || sscanf(at + 1,
                             " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld %*d %*d "
                             "%*d %*d %*u %*u %ld",
                             &user, &system, &children_user, &children_system, &pages) != 5)
        return;
    sum->cpu_seconds +=
        ((double)user + (double)system + (double)children_user + (double)children_system) /
        (double)sysconf(_SC_CLK_TCK);
    sum->resident_bytes += (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    add_fds(pid, sum);
}
