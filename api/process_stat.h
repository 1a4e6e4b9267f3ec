/* SPDX-License-Identifier: Apache-2.0 */
/* process_stat.h - what processes cost, from /proc.  */
#ifndef REM_API_PROCESS_STAT_H
#define REM_API_PROCESS_STAT_H

#include "proto/base/err.h"

#include <stdint.h>
#include <sys/types.h>

struct rem_process_stat {
    double cpu_seconds; /* and of its children that have ended */
    uint64_t resident_bytes;
    uint64_t fds; /* 0 where we may not look */
};

/* Adds the process's figures to *sum; a process that is gone adds nothing. */
void rem_process_stat_add(pid_t pid, struct rem_process_stat *sum);

#endif
