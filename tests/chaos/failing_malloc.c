/* SPDX-License-Identifier: Apache-2.0 */
/* failing_malloc.c - to be preloaded: in the children of the process that loaded it, allocations
 * fail by chance.  The file that FAILING_MALLOC names holds how many of a million fail (uint32_t,
 * native), and behind that how many have failed; both may be looked at and changed at any time.
 *
 *   cc -O2 -shared -fPIC -o failing_malloc.so failing_malloc.c  */
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

struct shared {
    _Atomic uint32_t per_million;
    _Atomic uint32_t failed;
};

static struct shared *shared;
static pid_t loader;
static _Thread_local uint64_t state;

/* Says where, on stderr: for addr2line. */
static void on_crash(int signal)
{
    void *frames[40];

    backtrace_symbols_fd(frames, backtrace(frames, 40), STDERR_FILENO);
    raise(signal);
}

__attribute__((constructor)) static void load(void)
{
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    void *frame;

    const char *path = getenv("FAILING_MALLOC");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    loader = getpid();
    backtrace(&frame, 1); /* loads what it needs, now that there is memory */
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGABRT, &action, NULL);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        shared = NULL;
    close(fd);
}

static int fails(void)
{
    uint32_t rate =
        shared != NULL ? atomic_load_explicit(&shared->per_million, memory_order_relaxed) : 0;

    if (rate == 0 || getpid() == loader)
        return 0;
    if (state == 0)
        state = (uint64_t)getpid() * 0x9e3779b97f4a7c15u | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if ((state >> 20) % 1000000 >= rate)
        return 0;
    atomic_fetch_add_explicit(&shared->failed, 1, memory_order_relaxed);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return fails() ? NULL : __libc_realloc(p, size);
}
