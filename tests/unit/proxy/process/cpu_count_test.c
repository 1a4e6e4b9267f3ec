/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_count_test.c - cgroup quotas from trees of fake files, and what of them wins. */
#include "proxy/process/cpu_count.h"

#include "tests/unit/suite.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *name;
    const char *files[12]; /* path, text, ...; NULL ends */
    int expect;
} trees[] = {
    {"no cgroup at all", {NULL}, 0},
    {"v2 without a limit",
     {"proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "max 100000\n"},
     0},
    {"v2, whole", {"proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "200000 100000\n"}, 2},
    {"v2, rounded up",
     {"proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "150000 100000\n"},
     2},
    {"v2, below one", {"proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "5000 100000\n"}, 1},
    {"v2, own group",
     {"proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max", "300000 100000\n"},
     3},
    {"v2, the group above is tighter",
     {"proc/self/cgroup", "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max", "400000 100000\n",
      "sys/fs/cgroup/a/cpu.max", "100000 100000\n"},
     1},
    {"v2, the group's path is not mounted here",
     {"proc/self/cgroup", "0::/kubepods/pod1/c1\n", "sys/fs/cgroup/cpu.max", "250000 100000\n"},
     3},
    {"v2 without a period", {"proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "700000\n"}, 7},
    {"v2, rubbish", {"proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "many\n"}, 0},
    {"v2, period 0", {"proc/self/cgroup", "0::/\n", "sys/fs/cgroup/cpu.max", "100 0\n"}, 0},
    {"v1",
     {"proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x\n",
      "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "350000\n",
      "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"},
     4},
    {"v1 without a limit",
     {"proc/self/cgroup", "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"},
     0},
    {"v1, cpuset and cpuacct are not cpu",
     {"proc/self/cgroup", "4:cpuset,cpuacct:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"},
     0},
    {"both: the tighter",
     {"proc/self/cgroup", "4:cpu:/\n0::/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "500000\n",
      "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n", "sys/fs/cgroup/unified/cpu.max",
      "200000 100000\n"},
     2},
    {"a broken list", {"proc/self/cgroup", "nonsense\n\n:::\n"}, 0},
};

/* Writes root/path, making directories. */
static void put(const char *root, const char *path, const char *text)
{
    char full[PATH_MAX];
    FILE *file;

    snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *at = full + 1; *at != '\0'; at++)
        if (*at == '/') {
            *at = '\0';
            mkdir(full, 0700);
            *at = '/';
        }
    file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

START_TEST(quota)
{
    char root[] = "/tmp/remora_cpu_test.XXXXXX";
    char command[64];
    int got;

    ck_assert_ptr_nonnull(mkdtemp(root));
    for (int i = 0; trees[_i].files[i] != NULL; i += 2)
        put(root, trees[_i].files[i], trees[_i].files[i + 1]);
    got = rem_cpu_count_quota(root);
    snprintf(command, sizeof(command), "rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
    ck_assert_msg(got == trees[_i].expect, "%s: got %d, expected %d", trees[_i].name, got,
                  trees[_i].expect);
}
END_TEST

START_TEST(cpuset)
{
    cpu_set_t all, one;
    size_t cpu = 0;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
    ck_assert_int_ge(rem_cpu_count(), 1);
    ck_assert_int_le(rem_cpu_count(), CPU_COUNT(&all));
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    ck_assert_int_eq(rem_cpu_count(), 1);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("cpu_count");

    tcase_add_loop_test(t, quota, 0, (int)(sizeof(trees) / sizeof(trees[0])));
    tcase_add_test(t, cpuset);
    return run_suite("cpu_count", t);
}
