/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_count.h - how many CPUs this process may really use: `worker_processes auto`.
 *
 * Runs in:    the master.
 * Result:     the smaller of the CPUs it may be scheduled on (cpuset) and of the cgroup's time
 *             quota, versions 1 and 2, this group's and those above it; at least 1.  */
#ifndef REM_PROCESS_CPU_COUNT_H
#define REM_PROCESS_CPU_COUNT_H

#include "proto/base/attr.h"

int rem_cpu_count(void);

/* The quota in CPUs, rounded up; 0: none.  `root` stands before /proc and /sys ("" in earnest). */
int rem_cpu_count_quota(const char *root);

#endif
