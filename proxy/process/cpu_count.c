/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/process/cpu_count.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* First line of a file, without its newline.  False when there is none. */
static bool read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    bool got;

    if (file == NULL)
        return false;
    got = fgets(line, (int)size, file) != NULL;
    fclose(file);
    if (got)
        line[strcspn(line, "\n")] = '\0';
    return got;
}

/* CPUs, rounded up, of `quota` in every `period`; 0: no limit. */
static int cpus_of(long long quota, long long period)
{
    long long n;

    if (quota <= 0 || period <= 0)
        return 0;
    n = quota / period + (quota % period != 0);
    return n < INT_MAX ? (int)n : 0;
}

static int quota_v2(const char *dir)
{
    char path[PATH_MAX + 64];
    char line[128];
    long long quota, period = 100000;

    snprintf(path, sizeof(path), "%s/cpu.max", dir);
    if (!read_line(path, line, sizeof(line)) || sscanf(line, "%lld %lld", &quota, &period) < 1)
        return 0; /* "max 100000" is no number */
    return cpus_of(quota, period);
}

static int quota_v1(const char *dir)
{
    char path[PATH_MAX + 64];
    char line[128];
    long long quota, period;

    snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
    if (!read_line(path, line, sizeof(line)) || sscanf(line, "%lld", &quota) != 1)
        return 0;
    snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
    if (!read_line(path, line, sizeof(line)) || sscanf(line, "%lld", &period) != 1)
        return 0;
    return cpus_of(quota, period);
}

/* The smaller of two limits, of which 0 is none. */
static int tighter(int a, int b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* The tightest quota on the way from `group` up to the hierarchy's mount point.  In a container the
 * group's own path may not exist below the mount point, which then is the container's group. */
static int walk(const char *mount, const char *group, int (*quota)(const char *dir))
{
    char dir[PATH_MAX];
    size_t top = strlen(mount);
    int limit = 0;

    if (snprintf(dir, sizeof(dir), "%s%s", mount, group) >= (int)sizeof(dir))
        return quota(mount);
    for (;;) {
        char *slash;

        limit = tighter(limit, quota(dir));
        slash = strrchr(dir, '/');
        if (strlen(dir) <= top || slash == NULL)
            return limit;
        *slash = '\0';
        if (strlen(dir) < top)
            return limit;
    }
}

static bool lists_cpu(const char *controllers)
{
    size_t n;

    for (const char *at = controllers; *at != '\0'; at += n + (at[n] == ',')) {
        n = strcspn(at, ",");
        if (n == 3 && memcmp(at, "cpu", 3) == 0)
            return true;
    }
    return false;
}

/* One line of /proc/self/cgroup: "0::/group" or "2:cpu,cpuacct:/group". */
static int quota_of_line(const char *root, char *line)
{
    char mount[PATH_MAX];
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    int limit;

    if (group == NULL)
        return 0;
    *group++ = '\0';
    controllers++;
    group[strcspn(group, "\n")] = '\0';
    if (strcmp(group, "/") == 0)
        *group = '\0';
    if (*controllers == '\0') {
        snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
        limit = walk(mount, group, quota_v2);
        snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/unified", root);
        return tighter(limit, walk(mount, group, quota_v2));
    }
    if (!lists_cpu(controllers))
        return 0;
    snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu", root);
    limit = walk(mount, group, quota_v1);
    snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu,cpuacct", root);
    return tighter(limit, walk(mount, group, quota_v1));
}

int rem_cpu_count_quota(const char *root)
{
    char path[PATH_MAX];
    char line[PATH_MAX];
    FILE *file;
    int limit = 0;

    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL)
        limit = tighter(limit, quota_of_line(root, line));
    fclose(file);
    return limit;
}

/* A machine may have more CPUs than a cpu_set_t has bits. */
static int scheduled_on(void)
{
    for (int bits = 1024; bits <= 1 << 16; bits *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)bits);
        size_t size = CPU_ALLOC_SIZE((size_t)bits);
        int count = 0;

        if (set == NULL)
            break;
        if (sched_getaffinity(0, size, set) == 0)
            count = CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int rem_cpu_count(void)
{
    int count = scheduled_on();
    int quota = rem_cpu_count_quota("");

    if (quota > 0 && quota < count)
        count = quota;
    return count > 0 ? count : 1;
}
