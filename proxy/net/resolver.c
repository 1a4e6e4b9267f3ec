/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/resolver.h"

#include <event2/event.h>
#include <stdlib.h>

struct rem_resolvers {
    struct resolver *first;
};

struct resolver {
    struct resolver *next;
    const struct rem_dns_spec *spec;
    struct rem_shm_resolver *counters; /* of the status zone; NULL: none */
    struct rem_worker *worker;
    struct rem_dns *dns;
    struct rem_timer timer;
};

/* ---- what c-ares asks of the loop ---- */

static void on_ready(evutil_socket_t fd, short what, void *data)
{
    struct resolver *resolver = data;

    rem_loop_enter(&resolver->worker->loop);
    rem_dns_on_fd(resolver->dns, fd, what & EV_READ, what & EV_WRITE);
}

static void on_timer(struct rem_timer *timer)
{
    rem_dns_on_timer(REM_CONTAINER(timer, struct resolver, timer)->dns);
}

static int resolver_watch(void *data, int fd, bool read, bool write, void **kept)
{
    struct resolver *resolver = data;
    short what = (short)(EV_PERSIST | (read ? EV_READ : 0) | (write ? EV_WRITE : 0));
    struct event *event = *kept;

    if (event != NULL)
        event_free(event);
    *kept = NULL;
    if (!read && !write)
        return REM_OK;
    event = event_new(resolver->worker->loop.base, fd, what, on_ready, resolver);
    if (event == NULL)
        return REM_ENOMEM;
    if (event_add(event, NULL) != 0) {
        event_free(event);
        return REM_ENOMEM;
    }
    *kept = event;
    return REM_OK;
}

static void resolver_set_timer(void *data, uint64_t delay_ms)
{
    struct resolver *resolver = data;

    rem_timer_set(&resolver->worker->loop.timers, &resolver->timer, delay_ms);
}

static uint64_t resolver_now(void *data)
{
    const struct resolver *resolver = data;

    return resolver->worker->loop.clock.mono_ms;
}

static void resolver_count(void *data, enum rem_dns_counter counter)
{
    const struct resolver *resolver = data;

    if (resolver->counters != NULL)
        atomic_fetch_add_explicit(&resolver->counters->counters[counter], 1, memory_order_relaxed);
}

/* ---- resolvers ---- */

static void resolver_free(struct resolver *resolver)
{
    rem_dns_free(&resolver->dns);
    rem_timer_cancel(&resolver->worker->loop.timers, &resolver->timer);
    free(resolver);
}

static struct resolver *resolver_new(struct rem_worker *worker, const struct rem_dns_spec *spec)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    const struct rem_dns_io io = {
        .data = resolver,
        .watch = resolver_watch,
        .set_timer = resolver_set_timer,
        .now_ms = resolver_now,
        .count = resolver_count,
    };

    if (resolver == NULL)
        return NULL;
    resolver->spec = spec;
    resolver->worker = worker;
    resolver->counters = rem_region_resolver(worker->reader.header, spec->status_zone);
    rem_timer_init(&resolver->timer, on_timer);
    if (rem_dns_new(spec, &io, &resolver->dns) == REM_OK)
        return resolver;
    resolver_free(resolver);
    return NULL;
}

struct rem_dns *rem_resolver_get(struct rem_worker *worker, const struct rem_dns_spec *spec)
{
    struct resolver *resolver;

    if (worker->resolvers == NULL)
        worker->resolvers = calloc(1, sizeof(*worker->resolvers));
    if (worker->resolvers == NULL)
        return NULL;
    for (resolver = worker->resolvers->first; resolver != NULL; resolver = resolver->next)
        if (resolver->spec == spec)
            return resolver->dns;
    resolver = resolver_new(worker, spec);
    if (resolver == NULL)
        return NULL;
    resolver->next = worker->resolvers->first;
    worker->resolvers->first = resolver;
    return resolver->dns;
}

void rem_resolvers_free(struct rem_worker *worker)
{
    struct resolver *resolver = worker->resolvers != NULL ? worker->resolvers->first : NULL;

    while (resolver != NULL) {
        struct resolver *next = resolver->next;

        resolver_free(resolver);
        resolver = next;
    }
    free(worker->resolvers);
    worker->resolvers = NULL;
}
