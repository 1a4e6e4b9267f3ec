/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/delay.h"

#include "proxy/http/special.h"

struct delay {
    struct rem_timer timer;
    struct rem_request *request;
};

static void on_time(struct rem_timer *timer)
{
    struct rem_request *request = REM_CONTAINER(timer, struct delay, timer)->request;

    request->on_client_gone = NULL;
    rem_request_resume(request);
}

static void on_gone(struct rem_request *request)
{
    request->client_gone = true;
    rem_request_finalize(request, REM_STATUS_CLIENT_CLOSED);
}

static void cancel(void *data)
{
    struct delay *delay = data;

    rem_timer_cancel(&delay->request->worker->loop.timers, &delay->timer);
}

int rem_request_delay(struct rem_request *request, uint64_t ms)
{
    struct delay *delay = rem_arena_zalloc(&request->arena, sizeof(*delay));

    if (delay == NULL || rem_request_on_cleanup(request, cancel, delay) != REM_OK)
        return 500;
    delay->request = request;
    rem_timer_init(&delay->timer, on_time);
    rem_timer_set(&request->worker->loop.timers, &delay->timer, ms);
    request->on_client_gone = on_gone;
    return REM_HTTP_AGAIN;
}
