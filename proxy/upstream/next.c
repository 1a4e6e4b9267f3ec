/* SPDX-License-Identifier: Apache-2.0 */
/* next.c - choosing servers, one after another. */
#include "proxy/upstream/next.h"

#include "proxy/http/http.h"
#include "proxy/upstream/bind.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/record.h"
#include "proxy/upstream/sticky.h"
#include "proxy/upstream/upstream_conf.h"

/* In turns of the schedule: how far ahead a connection is fetched, and its place in the table. */
enum { AHEAD_NEAR = 2, AHEAD_FAR = 6 };

static struct rem_str addr_text_dup(struct rem_upstream_exchange *x, const struct rem_addr *addr)
{
    char text[REM_ADDR_TEXT];

    return rem_arena_dup(&x->request->arena,
                         rem_str_make(text, rem_addr_text(addr, text, sizeof(text))));
}

/* Addresses of their own can be tried once each, and are not worth a pool. */
static int pick_literal(struct rem_upstream_exchange *x)
{
    if (x->try_count >= x->literal_count)
        return REM_EBUSY;
    x->addr = x->literals[x->try_count];
    x->addr_text = addr_text_dup(x, &x->addr);
    x->keepalive = (struct rem_keepalive_spec){0};
    return x->addr_text.p != NULL ? 0 : REM_ENOMEM;
}

/* What the method and stickiness go by. */
static int prepare(struct rem_upstream_exchange *x)
{
    const struct rem_upstream *conf = x->group->conf;

    x->prepared = true;
    x->balance.client = x->request->peer;
    if (conf == NULL)
        return 0;
    if (REM_UNLIKELY(conf->hash_key != NULL) &&
        rem_http_value(x->request, conf->hash_key, &x->balance.key) != 0)
        return REM_ENOMEM;
    if (REM_UNLIKELY(conf->sticky != NULL))
        x->balance.route = rem_sticky_wanted(x, conf->sticky);
    return 0;
}

/* The set is good for this turn only. */
static int note_sticky_id(struct rem_upstream_exchange *x)
{
    struct rem_str id;

    if (REM_LIKELY(x->balance.set->sticky == REM_STICKY_NONE))
        return 0;
    id = rem_set_sticky_id(x->balance.set, x->balance.index);
    x->sticky_id = id.n != 0 ? rem_arena_dup(&x->request->arena, id) : REM_STR("");
    return x->sticky_id.p != NULL ? 0 : REM_ENOMEM;
}

int rem_next_pick(struct rem_upstream_exchange *x)
{
    struct rem_worker *worker = x->request->worker;
    const struct rem_shm_set *set;
    struct rem_str text;
    int rc;

    if (x->group == NULL)
        return pick_literal(x);
    set = rem_reader_find(&worker->reader, &x->group->ref);
    if (set == NULL)
        return REM_ENOTFOUND;
    if (x->try_count == 0)
        x->first_servers = set->count;
    else if (x->try_count >= (uint64_t)x->first_servers + set->count)
        return REM_EBUSY; /* servers that come and go must not keep a request forever */
    if (!x->prepared && prepare(x) != 0)
        return REM_ENOMEM;
    rc = rem_balance_pick(&x->balance, worker->loop.clock.mono_ms);
    if (rc != 0)
        return rc;
    text = rem_arena_dup(&x->request->arena, rem_pin_name(&x->balance.pin));
    if (text.p == NULL || note_sticky_id(x) != 0) {
        const struct rem_pin_report report = {.outcome = REM_OUTCOME_NEUTRAL};
        rem_balance_done(&x->balance, &report, worker->loop.clock.mono_ms);
        return REM_ENOMEM;
    }
    x->addr = x->balance.pin.addr;
    x->addr_text = text;
    x->key = rem_bind_key(x->policy->bind, x->balance.pin.uid);
    x->upstream_uid = set->upstream_uid;
    rem_pool_prefetch(worker->upstreams, rem_balance_ahead(&x->balance, AHEAD_NEAR),
                      rem_balance_ahead(&x->balance, AHEAD_FAR));
    x->keepalive = (struct rem_keepalive_spec){
        .connections = set->keepalive_connections,
        .requests = set->keepalive_requests,
        .timeout_ms = set->keepalive_timeout_ms,
        .time_ms = set->keepalive_time_ms,
    };
    return 0;
}

struct rem_shm_upstream_line *rem_next_line(struct rem_upstream_exchange *x)
{
    if (x->group == NULL || rem_reader_find(&x->request->worker->reader, &x->group->ref) == NULL)
        return NULL;
    return x->group->ref.line;
}

void rem_next_count_retry(struct rem_upstream_exchange *x, enum rem_upstream_fault fault)
{
    struct rem_shm_upstream_line *line = rem_next_line(x);
    enum rem_retry_reason reason = REM_RETRY_STATUS;

    if (line == NULL)
        return;
    if (fault == REM_FAULT_ERROR)
        reason = REM_RETRY_ERROR;
    else if (fault == REM_FAULT_TIMEOUT)
        reason = REM_RETRY_TIMEOUT;
    else if (fault == REM_FAULT_INVALID_HEADER)
        reason = REM_RETRY_INVALID;
    rem_upstream_count(&line->retries);
    rem_upstream_count(&line->retries_by[reason]);
}

/* Methods whose repetition does no harm.  nginx names those that may do: POST, LOCK and PATCH; a
 * method nobody here knows is taken for one of them. */
static bool is_repeatable(enum rem_method method)
{
    return method != REM_METHOD_POST && method != REM_METHOD_LOCK && method != REM_METHOD_PATCH &&
           method != REM_METHOD_CONNECT && method != REM_METHOD_OTHER;
}

bool rem_next_allowed(const struct rem_upstream_exchange *x, enum rem_upstream_fault fault)
{
    const struct rem_upstream_policy *policy = x->policy;
    uint64_t now = x->request->worker->loop.clock.mono_ms;

    if (x->request->response.head_sent || x->client_gone ||
        (policy->next_upstream & (uint32_t)fault) == 0 ||
        (policy->next_upstream & REM_FAULT_OFF) != 0)
        return false;
    if (!rem_upload_repeatable(x))
        return false;
    if (rem_upload_sent(x) != 0 && !is_repeatable(x->request->method) &&
        (policy->next_upstream & REM_FAULT_NON_IDEMPOTENT) == 0)
        return false;
    if (policy->next_tries != 0 && x->try_count >= (uint64_t)policy->next_tries)
        return false;
    return policy->next_timeout == 0 || now - x->start_ms < (uint64_t)policy->next_timeout;
}

bool rem_next_stale(const struct rem_upstream_exchange *x, enum rem_upstream_fault fault)
{
    if (fault != REM_FAULT_ERROR || x->peer == NULL || !x->peer->reused || x->client_gone)
        return false;
    if (x->peer->conn.received != x->received_base || !rem_upload_repeatable(x))
        return false;
    return rem_upload_sent(x) == 0 || is_repeatable(x->request->method);
}

uint32_t rem_next_fault_of(int status)
{
    switch (status) {
    case 403:
        return REM_FAULT_HTTP_403;
    case 404:
        return REM_FAULT_HTTP_404;
    case 429:
        return REM_FAULT_HTTP_429;
    case 500:
        return REM_FAULT_HTTP_500;
    case 502:
        return REM_FAULT_HTTP_502;
    case 503:
        return REM_FAULT_HTTP_503;
    case 504:
        return REM_FAULT_HTTP_504;
    default:
        return 0;
    }
}

int rem_next_swap(struct rem_upstream_exchange *x, enum rem_outcome outcome)
{
    struct rem_pin held = x->balance.pin, fresh;
    struct rem_addr addr = x->addr;
    struct rem_str text = x->addr_text, fresh_text;
    uint64_t key = x->key, held_uid = x->upstream_uid, fresh_uid;
    int rc;

    memset(&x->balance.pin, 0, sizeof(x->balance.pin));
    rc = rem_next_pick(x);
    if (rc != 0) {
        x->balance.pin = held;
        x->addr = addr;
        x->addr_text = text;
        x->key = key;
        return rc;
    }
    /* What comes of the old one counts on the upstream it was picked from, and is told of it. */
    fresh = x->balance.pin;
    fresh_text = x->addr_text;
    fresh_uid = x->upstream_uid;
    x->balance.pin = held;
    x->addr_text = text;
    x->upstream_uid = held_uid;
    rem_record_done(x, outcome);
    x->balance.pin = fresh;
    x->addr_text = fresh_text;
    x->upstream_uid = fresh_uid;
    x->picked = true;
    return 0;
}
