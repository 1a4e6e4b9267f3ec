/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/dns_loop.h"

#include "proto/shm/region.h"

#include <event2/event.h>

static void on_ready(evutil_socket_t fd, short what, void *data)
{
    struct rem_dns_loop *loop = data;

    rem_clock_update(loop->clock);
    rem_dns_on_fd(loop->dns, fd, what & EV_READ, what & EV_WRITE);
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
    struct rem_dns_loop *loop = data;

    (void)fd;
    (void)what;
    rem_clock_update(loop->clock);
    rem_dns_on_timer(loop->dns);
}

static int dns_watch(void *data, int fd, bool read, bool write, void **kept)
{
    struct rem_dns_loop *loop = data;
    short what = (short)(EV_PERSIST | (read ? EV_READ : 0) | (write ? EV_WRITE : 0));
    struct event *event = *kept;

    if (event != NULL)
        event_free(event);
    *kept = NULL;
    if (!read && !write)
        return REM_OK;
    event = event_new(loop->base, fd, what, on_ready, loop);
    if (event == NULL)
        return REM_ENOMEM;
    if (event_add(event, NULL) != 0) {
        event_free(event);
        return REM_ENOMEM;
    }
    *kept = event;
    return REM_OK;
}

static void dns_set_timer(void *data, uint64_t delay_ms)
{
    const struct rem_dns_loop *loop = data;
    const struct timeval tv = {(time_t)(delay_ms / 1000), (suseconds_t)(delay_ms % 1000) * 1000};

    (void)evtimer_add(loop->timer, &tv);
}

static uint64_t dns_now(void *data)
{
    const struct rem_dns_loop *loop = data;

    return loop->clock->mono_ms;
}

static void dns_count(void *data, enum rem_dns_counter counter)
{
    const struct rem_dns_loop *loop = data;

    if (loop->counters != NULL)
        atomic_fetch_add_explicit(&loop->counters->counters[counter], 1, memory_order_relaxed);
}

int rem_dns_loop_init(struct rem_dns_loop *loop, struct event_base *base, struct rem_clock *clock,
                      struct rem_shm_header *header, const struct rem_dns_spec *spec)
{
    const struct rem_dns_io io = {.data = loop,
                                  .watch = dns_watch,
                                  .set_timer = dns_set_timer,
                                  .now_ms = dns_now,
                                  .count = dns_count};
    int rc = REM_ENOMEM;

    *loop = (struct rem_dns_loop){.spec = spec, .base = base, .clock = clock};
    loop->counters = rem_region_resolver(header, spec->status_zone);
    loop->timer = evtimer_new(base, on_timer, loop);
    if (loop->timer != NULL)
        rc = rem_dns_new(spec, &io, &loop->dns);
    if (rc != REM_OK)
        rem_dns_loop_fini(loop);
    return rc;
}

void rem_dns_loop_fini(struct rem_dns_loop *loop)
{
    rem_dns_free(&loop->dns);
    if (loop->timer != NULL)
        event_free(loop->timer);
    loop->timer = NULL;
}
