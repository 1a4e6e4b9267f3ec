/* SPDX-License-Identifier: Apache-2.0 */
/* shifting_clock.c - to be preloaded: the wall clock is as far off as the file that SHIFTING_CLOCK
 * names says (int64_t seconds, native); it may be changed at any time.
 *
 *   cc -O2 -shared -fPIC -o shifting_clock.so shifting_clock.c  */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static _Atomic int64_t *shift;
static int (*real)(clockid_t id, struct timespec *ts);

__attribute__((constructor)) static void load(void)
{
    const char *path = getenv("SHIFTING_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (fd < 0)
        return;
    shift = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, fd, 0);
    if (shift == MAP_FAILED)
        shift = NULL;
    close(fd);
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int rc = real(id, ts);

    if (rc == 0 && shift != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        ts->tv_sec += atomic_load(shift);
    return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    *tv = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    if (out != NULL)
        *out = ts.tv_sec;
    return ts.tv_sec;
}
