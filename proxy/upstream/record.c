/* SPDX-License-Identifier: Apache-2.0 */
/* record.c - the history of an exchange. */
#include "proxy/upstream/record.h"

#include "proto/shm/stat.h"
#include "proxy/upstream/next.h"
#include "proxy/upstream/outlier.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/queue.h"

int rem_record_try(struct rem_upstream_exchange *x)
{
    struct rem_upstream_try *try = rem_arena_zalloc(&x->request->arena, sizeof(*try));

    if (try == NULL)
        return REM_ENOMEM;
    try->addr = x->addr_text;
    try->connect_ms = -1;
    try->header_ms = -1;
    try->response_ms = -1;
    if (x->current == NULL && x->tries != NULL) {
        struct rem_upstream_try *last = x->tries; /* of exchanges before an internal redirect */
        while (last->next != NULL)
            last = last->next;
        last->next = try;
        try->redirected = true;
    } else if (x->current != NULL) {
        x->current->next = try;
    } else {
        x->tries = try;
    }
    x->current = try;
    x->try_count++;
    x->try_ms = x->request->worker->loop.clock.mono_ms;
    x->try_open = true;
    return 0;
}

static int64_t record_elapsed(const struct rem_upstream_exchange *x)
{
    return (int64_t)(x->request->worker->loop.clock.mono_ms - x->try_ms);
}

void rem_record_connected(struct rem_upstream_exchange *x)
{
    struct rem_shm_upstream_line *line = x->peer->reused ? NULL : rem_next_line(x);

    x->current->connect_ms = record_elapsed(x);
    if (line != NULL)
        rem_histogram_count(&line->connect_ms, (uint64_t)x->current->connect_ms);
}

void rem_record_head(struct rem_upstream_exchange *x)
{
    x->current->header_ms = record_elapsed(x);
    x->current->status = x->status;
}

/* Whether a failure that is about to be counted keeps the server from being asked for a while. */
static bool is_disabling(const struct rem_pin *pin, enum rem_outcome outcome)
{
    /* relaxed: other workers count too, so that this is a guess, good enough for a log */
    return outcome == REM_OUTCOME_FAIL && pin->slot != NULL && pin->max_fails != 0 &&
           !(pin->set_flags & REM_SET_SINGLE) &&
           atomic_load_explicit(&pin->slot->fails, memory_order_relaxed) + 1 >= pin->max_fails;
}

/* A try that the client gave up says nothing; of a tunnel only its beginning is a request. */
static void count_duration(struct rem_upstream_exchange *x, enum rem_outcome outcome)
{
    const struct rem_upstream_try *try = x->current;
    int64_t ms = x->upgraded ? try->header_ms : try->response_ms;
    struct rem_shm_upstream_line *line;

    if (try->header_ms < 0 && outcome != REM_OUTCOME_FAIL)
        return;
    line = rem_next_line(x);
    if (line != NULL)
        rem_histogram_count(&line->request_ms, (uint64_t)ms);
}

/* The server that was picked may be picked by others. */
static void give_back(struct rem_upstream_exchange *x, const struct rem_pin_report *report)
{
    if (x->group == NULL)
        return;
    rem_balance_done(&x->balance, report, x->request->worker->loop.clock.mono_ms);
    rem_queue_wake(x->group);
}

void rem_record_done(struct rem_upstream_exchange *x, enum rem_outcome outcome)
{
    struct rem_upstream_try *try = x->current;
    struct rem_pin_report report = {.outcome = outcome};

    if (!x->try_open)
        return;
    x->try_open = false;
    try->response_ms = record_elapsed(x);
    if (x->peer != NULL) {
        try->sent += rem_upload_sent(x);
        try->received += x->peer->conn.received - x->received_base;
    }
    /* A status made up for the log is no response of the server's. */
    report.status = try->header_ms >= 0 ? (unsigned)try->status : 0;
    report.sent = try->sent;
    report.received = try->received;
    report.header_ms = try->header_ms > 0 ? (uint32_t)try->header_ms : 0;
    report.response_ms = (uint32_t)try->response_ms;
    if (x->group != NULL && is_disabling(&x->balance.pin, outcome))
        rem_record_log(x, REM_LOG_WARN, 0, "upstream server temporarily disabled",
                       rem_record_doing(x));
    count_duration(x, outcome);
    if (x->group != NULL)
        rem_outlier_note(x, &report);
    give_back(x, &report);
}

void rem_record_give_up(struct rem_upstream_exchange *x)
{
    give_back(x, &(struct rem_pin_report){.outcome = REM_OUTCOME_NEUTRAL});
}

void rem_record_log(struct rem_upstream_exchange *x, enum rem_log_level level, int sys_errno,
                    const char *what, const char *doing)
{
    if (x->request->log.log->level < level)
        return;
    /* A colon tells a socket's path from the request's. */
    x->request->log_upstream = rem_arena_printf(
        &x->request->arena, "%s%.*s%s%.*s", x->protocol->scheme, REM_STR_ARG(x->addr_text),
        rem_str_has_prefix(x->addr_text, REM_STR("unix:")) ? ":" : "", REM_STR_ARG(x->target));
    if (x->request->log_upstream.p == NULL)
        x->request->log_upstream.n = 0;
    if (doing == NULL)
        rem_log_write_in(&x->request->log, level, sys_errno, "%s", what);
    else if (sys_errno != 0) /* the errno stands before "while": it is part of what happened */
        rem_log_write_in(&x->request->log, level, 0, "%s (%d: %s) while %s", what, sys_errno,
                         strerrordesc_np(sys_errno), doing);
    else
        rem_log_write_in(&x->request->log, level, 0, "%s while %s", what, doing);
}

const char *rem_record_doing(const struct rem_upstream_exchange *x)
{
    static const char *const doing[REM_UPSTREAM_STATES] = {
        [REM_UPSTREAM_INIT] = "preparing a request to upstream",
        [REM_UPSTREAM_PICK] = "connecting to upstream",
        [REM_UPSTREAM_CONNECT] = "connecting to upstream",
        [REM_UPSTREAM_SEND] = "sending request to upstream",
        [REM_UPSTREAM_READ_HEAD] = "reading response header from upstream",
        [REM_UPSTREAM_RELAY] = "reading upstream",
        [REM_UPSTREAM_TUNNEL] = "proxying upgraded connection",
        [REM_UPSTREAM_FINALIZE] = "closing upstream",
    };

    return doing[x->state];
}
