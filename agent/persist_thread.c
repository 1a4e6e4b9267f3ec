/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/persist_thread.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK = 256 << 10 };

enum hand { IDLE = 0, GO, DONE, QUIT };

struct rem_persist_thread {
    pthread_t id;
    int fd; /* eventfd: the thread is done */
    struct event *done;
    pthread_mutex_t mutex;
    pthread_cond_t turned;
    struct { /* under the mutex */
        enum hand hand;
        const struct rem_persist_calls *calls;
        struct rem_persist_write *writes;
        size_t count;
    } shared;
};

static void *thread_main(void *data)
{
    struct rem_persist_thread *thread = data;
    const uint64_t one = 1;

    (void)pthread_mutex_lock(&thread->mutex);
    for (;;) {
        while (thread->shared.hand != GO && thread->shared.hand != QUIT)
            (void)pthread_cond_wait(&thread->turned, &thread->mutex);
        if (thread->shared.hand == QUIT)
            break;
        (void)pthread_mutex_unlock(&thread->mutex);
        /* The batch is this thread's own until `hand` changes. */
        rem_persist_write_all(thread->shared.calls, thread->shared.writes, thread->shared.count);
        (void)pthread_mutex_lock(&thread->mutex);
        thread->shared.hand = DONE;
        (void)pthread_cond_broadcast(&thread->turned);
        if (write(thread->fd, &one, sizeof(one)) < 0)
            break; /* it cannot be: the counter is far from full */
    }
    (void)pthread_mutex_unlock(&thread->mutex);
    return NULL;
}

static void on_done(evutil_socket_t fd, short what, void *data)
{
    struct rem_persist *persist = data;
    struct rem_persist_thread *thread = persist->thread;
    uint64_t times;
    bool done;

    (void)what;
    if (read(fd, &times, sizeof(times)) < 0)
        return;
    (void)pthread_mutex_lock(&thread->mutex);
    done = thread->shared.hand == DONE;
    if (done)
        thread->shared.hand = IDLE;
    (void)pthread_mutex_unlock(&thread->mutex);
    if (done)
        rem_persist_finish(persist);
}

/* Signals are the loop's. */
static int start_thread(struct rem_persist_thread *thread)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int rc;

    if (pthread_attr_init(&attributes) != 0)
        return -1;
    (void)pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread->id, &attributes, thread_main, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return rc == 0 ? 0 : -1;
}

static void destroy(struct rem_persist_thread *thread)
{
    if (thread->done != NULL)
        event_free(thread->done);
    if (thread->fd >= 0)
        (void)close(thread->fd);
    (void)pthread_cond_destroy(&thread->turned);
    (void)pthread_mutex_destroy(&thread->mutex);
    free(thread);
}

static bool start(struct rem_persist *persist)
{
    struct rem_persist_thread *thread = calloc(1, sizeof(*thread));

    if (thread == NULL)
        return false;
    (void)pthread_mutex_init(&thread->mutex, NULL);
    (void)pthread_cond_init(&thread->turned, NULL);
    thread->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (thread->fd >= 0)
        thread->done = event_new(persist->base, thread->fd, EV_READ | EV_PERSIST, on_done, persist);
    if (thread->done == NULL || event_add(thread->done, NULL) != 0 || start_thread(thread) != 0) {
        destroy(thread);
        return false;
    }
    persist->thread = thread;
    return true;
}

bool rem_persist_thread_write(struct rem_persist *persist)
{
    struct rem_persist_thread *thread;

    if (persist->base == NULL || (persist->thread == NULL && !start(persist)))
        return false;
    thread = persist->thread;
    (void)pthread_mutex_lock(&thread->mutex);
    thread->shared.calls = persist->calls;
    thread->shared.writes = persist->writes;
    thread->shared.count = persist->write_count;
    thread->shared.hand = GO;
    (void)pthread_cond_broadcast(&thread->turned);
    (void)pthread_mutex_unlock(&thread->mutex);
    return true;
}

void rem_persist_thread_wait(struct rem_persist *persist)
{
    struct rem_persist_thread *thread = persist->thread;

    (void)pthread_mutex_lock(&thread->mutex);
    while (thread->shared.hand == GO)
        (void)pthread_cond_wait(&thread->turned, &thread->mutex);
    thread->shared.hand = IDLE;
    (void)pthread_mutex_unlock(&thread->mutex);
}

void rem_persist_thread_stop(struct rem_persist *persist)
{
    struct rem_persist_thread *thread = persist->thread;

    if (thread == NULL)
        return;
    (void)pthread_mutex_lock(&thread->mutex);
    while (thread->shared.hand == GO)
        (void)pthread_cond_wait(&thread->turned, &thread->mutex);
    thread->shared.hand = QUIT;
    (void)pthread_cond_broadcast(&thread->turned);
    (void)pthread_mutex_unlock(&thread->mutex);
    (void)pthread_join(thread->id, NULL);
    destroy(thread);
    persist->thread = NULL;
}
