/* SPDX-License-Identifier: Apache-2.0 */
/* relay.c - moves a response's body from the server's connection to the client's codec. */
#include "proxy/upstream/relay.h"

#include "proxy/http/filter.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/record.h"
#include "proxy/upstream/store.h"
#include "proxy/upstream/upstream.h"

#include <stdlib.h>

enum {
    REM_RELAY_HEADER = offsetof(struct rem_relay_block, data),
    REM_RELAY_SMALL_DATA = REM_BLOCK_LARGE - REM_RELAY_HEADER,
    REM_RELAY_BIG_DATA = 65536,
    REM_RELAY_BIG_FROM = 32768, /* bytes to come that make a big block worth its memory */
    REM_RELAY_LEAST = 1024,     /* no read into less room, unless less is to come */
};

_Static_assert(REM_RELAY_BIG_DATA + REM_RELAY_HEADER <= REM_RELAY_BIG, "block header");

/* ---- blocks ---- */

static struct rem_relay_block *block_get(struct rem_upstream_exchange *x, size_t size, bool counted)
{
    struct rem_worker *worker = x->relay.worker;
    struct rem_relay_block *block;
    enum rem_relay_kind kind = REM_RELAY_LARGE;

    if (size > REM_RELAY_SMALL_DATA)
        kind = size > REM_RELAY_BIG_DATA ? REM_RELAY_MALLOC : REM_RELAY_BIGGER;
    if (kind == REM_RELAY_LARGE)
        block = rem_block_get(&worker->large);
    else if (kind == REM_RELAY_BIGGER)
        block = rem_block_get(&worker->upstreams->blocks);
    else
        block = malloc(REM_RELAY_HEADER + size);
    if (block == NULL)
        return NULL;
    block->relay = &x->relay;
    block->refs = 1;
    block->size = (uint32_t)size;
    block->kind = (uint8_t)kind;
    block->n_bufs = 0;
    block->counted = counted;
    block->lent = false;
    block->last = block->data;
    if (counted)
        x->relay.held += size;
    return block;
}

/* Nothing of the block is with anybody any more. */
static void block_unlend(struct rem_relay_block *block)
{
    if (block->lent)
        block->relay->lent -= block->size;
    block->lent = false;
}

static void block_drop(struct rem_relay_block *block)
{
    struct rem_relay *relay = block->relay;
    struct rem_worker *worker = relay->worker;

    REM_CHECK(block->refs > 0);
    if (--block->refs != 0)
        return;
    block_unlend(block);
    if (block->counted)
        relay->held -= block->size;
    if (block->kind == REM_RELAY_LARGE)
        rem_block_put(&worker->large, block);
    else if (block->kind == REM_RELAY_BIGGER)
        rem_block_put(&worker->upstreams->blocks, block);
    else
        free(block);
}

static void relay_wake(struct rem_relay *relay)
{
    struct rem_upstream_exchange *x = relay->exchange;

    if (!relay->starved)
        return;
    relay->starved = false;
    rem_loop_post(&relay->worker->loop, &x->wake);
}

static void on_buf_done(struct rem_buf *buf)
{
    struct rem_relay_block *block = buf->owner;
    struct rem_relay *relay = block->relay;

    block_drop(block);
    relay_wake(relay);
}

/* ---- lifetime ---- */

static void relay_discard(struct rem_relay *relay)
{
    while (relay->pending != NULL) {
        struct rem_buf *buf = relay->pending;

        relay->pending = buf->next;
        buf->next = NULL;
        rem_buf_done(buf);
    }
    relay->tail = &relay->pending;
}

void rem_relay_reset(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    struct rem_relay_block *in = relay->in;

    REM_CHECK(relay->pending == NULL && relay->head == NULL);
    if (relay->exchange == NULL) {
        relay->exchange = x;
        relay->worker = x->request->worker;
        relay->file.fd = -1;
        relay->budget = (size_t)x->policy->bufs.num * x->policy->bufs.size;
    }
    if (in != NULL) {
        in->last = in->data;
        in->n_bufs = 0;
        relay->pos = in->data;
    }
    relay->tail = &relay->pending;
    relay->buffering = x->policy->buffering != 0;
    relay->input_done = false;
    relay->broken = false;
    relay->surplus = false;
    relay->filled = false;
    relay->drained = true;
    relay->delayed = false;
    relay->rate.limit = 0;
    relay->got = 0;
    relay->expected = -1;
}

void rem_relay_fini(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;

    if (relay->exchange == NULL)
        return;
    relay->starved = false;
    relay_discard(relay);
    if (relay->in != NULL)
        block_drop(relay->in);
    relay->in = NULL;
    rem_spill_fini(x);
}

void rem_relay_drop_head(struct rem_upstream_exchange *x)
{
    if (x->relay.head != NULL)
        block_drop(x->relay.head);
    x->relay.head = NULL;
}

void rem_relay_keep_head(struct rem_upstream_exchange *x)
{
    x->relay.head = x->relay.in;
    x->relay.in->refs++;
}

/* ---- reading ---- */

/* How large the next block should be, and may be. */
static size_t room_size(const struct rem_upstream_exchange *x)
{
    const struct rem_relay *relay = &x->relay;
    size_t size = REM_RELAY_SMALL_DATA, half = relay->budget / 2;

    if (relay->expected >= REM_RELAY_BIG_FROM || (relay->expected < 0 && relay->filled))
        size = REM_RELAY_BIG_DATA;
    if (size > half)
        size = half > REM_RELAY_LEAST ? half : REM_RELAY_LEAST;
    if (relay->held + size > relay->budget && size > REM_RELAY_SMALL_DATA)
        size = REM_RELAY_SMALL_DATA;
    return size;
}

int rem_relay_room(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    struct rem_relay_block *in = relay->in, *fresh;
    size_t size;

    if (in == NULL && relay->head == NULL) {
        size = x->policy->buffer_size;
        in = block_get(x, size > REM_RELAY_SMALL_DATA ? size : REM_RELAY_SMALL_DATA, false);
        if (in == NULL)
            return REM_ENOMEM;
        relay->in = in;
        relay->pos = in->data;
        return 0;
    }
    if (in != NULL) {
        if (in->refs == 1 && relay->pos == in->last) {
            block_unlend(in);
            in->last = in->data;
            in->n_bufs = 0;
            relay->pos = in->data;
        }
        size = in->size - (size_t)(in->last - in->data);
        if (relay->head == NULL) /* a head lies in one piece */
            return size > 0 ? 0 : REM_EAGAIN;
        if (in->n_bufs < REM_RELAY_BUFS &&
            (size >= REM_RELAY_LEAST ||
             (relay->expected >= 0 && size > (size_t)relay->expected && size > 0)))
            return 0;
    }
    size = room_size(x);
    if (relay->held != 0 && relay->held + size > relay->budget)
        return REM_EAGAIN;
    fresh = block_get(x, size, true);
    if (fresh == NULL)
        return REM_ENOMEM;
    if (in != NULL)
        block_drop(in);
    relay->in = fresh;
    relay->pos = fresh->data;
    return 0;
}

/* How much of `room` may be read now.  With a rate that is used up: 0, and the exchange waits. */
static size_t rate_room(struct rem_upstream_exchange *x, size_t room)
{
    struct rem_relay *relay = &x->relay;
    uint64_t now = x->request->worker->loop.clock.mono_ms;
    uint64_t left =
        relay->expected > 0 && (uint64_t)relay->expected < room ? (uint64_t)relay->expected : room;
    uint64_t some = rem_rate_room(&relay->rate, relay->got, left, now, &relay->wait_ms);

    relay->delayed = some == 0;
    return some < room ? (size_t)some : room;
}

bool rem_relay_may_read(const struct rem_upstream_exchange *x)
{
    return x->peer->conn.readable || !x->relay.drained;
}

ssize_t rem_relay_recv(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    struct rem_relay_block *in = relay->in;
    size_t room = in->size - (size_t)(in->last - in->data);
    ssize_t n;

    if (REM_UNLIKELY(relay->rate.limit != 0)) {
        room = rate_room(x, room);
        if (room == 0)
            return REM_EAGAIN;
    }
    n = rem_conn_recv(&x->peer->conn, in->last, room);
    relay->drained = n == REM_EAGAIN;

    if (n > 0) {
        in->last += n;
        relay->filled = (size_t)n == room;
        x->progress = true;
    }
    return n;
}

static void pending_push(struct rem_relay *relay, char *at, size_t n)
{
    struct rem_relay_block *in = relay->in;
    struct rem_buf *buf = &in->bufs[in->n_bufs];

    REM_CHECK(in->n_bufs < REM_RELAY_BUFS);
    in->n_bufs++;
    in->refs++;
    *buf = (struct rem_buf){.pos = at, .last = at + n, .fd = -1, .done = on_buf_done, .owner = in};
    *relay->tail = buf;
    relay->tail = &buf->next;
}

/* What comes behind the response's end is nobody's, and its connection no longer to be trusted. */
static void feed_surplus(struct rem_upstream_exchange *x)
{
    if (!x->relay.surplus)
        rem_record_log(x, REM_LOG_WARN, 0,
                       rem_fields_find(x->fields, REM_FIELD_CONTENT_LENGTH) != NULL
                           ? "upstream sent more data than specified in \"Content-Length\" header"
                           : "upstream sent more data than its response has",
                       "reading upstream");
    x->relay.surplus = true;
}

int rem_relay_feed(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;

    while (relay->in != NULL && relay->pos != relay->in->last) {
        char *at = relay->pos;
        size_t used = 0, kept = 0;
        int rc;

        if (relay->input_done) {
            feed_surplus(x);
            return 0;
        }
        rc = x->protocol->input_filter(x, &at, (size_t)(relay->in->last - at), &used, &kept);
        if (kept != 0)
            pending_push(relay, at, kept);
        if (x->store != NULL)
            rem_store_write(x, at, kept);
        relay->got += kept;
        if (!x->upgraded) /* what passes a tunnel is no response's body */
            x->current->length += kept;
        relay->pos += used;
        if (relay->expected > 0)
            relay->expected -= (int64_t)kept < relay->expected ? (int64_t)kept : relay->expected;
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- writing ---- */

/* The least a block is, for this budget. */
static size_t relay_unit(const struct rem_relay *relay)
{
    size_t half = relay->budget / 2;

    return half < REM_RELAY_SMALL_DATA ? half : REM_RELAY_SMALL_DATA;
}

/* Pending bufs that may be lent now.  Where the temporary file can take what a slow client leaves,
 * a block is always kept to read into: the server is to be rid of its response. */
static struct rem_buf *pending_take(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    bool limited = relay->buffering && !relay->input_done && !relay->broken &&
                   x->policy->max_temp_file_size != 0;
    struct rem_buf *list = relay->pending, **at = &list;

    for (; *at != NULL; at = &(*at)->next) {
        struct rem_relay_block *block = (*at)->owner;
        if (block->lent || !block->counted)
            continue;
        if (limited && relay->lent != 0 &&
            relay->lent + block->size + relay_unit(relay) > relay->budget) {
            relay->starved = true;
            break;
        }
        block->lent = true;
        relay->lent += block->size;
    }
    relay->pending = *at;
    *at = NULL;
    if (relay->pending == NULL)
        relay->tail = &relay->pending;
    return list;
}

/* What can go to the codec, in order; `final` marked.  NULL: nothing. */
static struct rem_buf *relay_collect(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    struct rem_buf *list, *last;

    list = rem_spill_take(x);
    if (list == NULL && relay->file.sent != relay->file.written) {
        relay->starved = true; /* the file's earlier part is still with the codec */
        return NULL;
    }
    if (list != NULL)
        list->next = pending_take(x);
    else
        list = pending_take(x);
    if (list == NULL && relay->input_done && !relay->final_sent) {
        relay->final = (struct rem_buf){.fd = -1};
        list = &relay->final;
    }
    if (list == NULL)
        return NULL;
    for (last = list; last->next != NULL;)
        last = last->next;
    last->final = relay->input_done;
    last->flush = !relay->buffering; /* the client is to see every piece as it comes */
    last->idle = x->peer == NULL || !x->peer->conn.readable;
    relay->final_sent = relay->input_done;
    return list;
}

void rem_relay_detach(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;

    relay->detached = true;
    relay->down_full = false;
    rem_upstream_run(x);
}

/* Returns REM_OK, or REM_EACCES when the client has gone, or REM_ENOMEM. */
static int relay_forward(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    struct rem_request *request = x->request;
    struct rem_buf *list;
    int rc;

    if (relay->detached) {
        relay_discard(relay);
        relay->final_sent = relay->input_done;
        return 0;
    }
    if (relay->down_full || relay->final_sent)
        return 0;
    if (!relay->input_done && relay->pending != NULL && relay->buffering &&
        request->codec != NULL && request->exchange->queued(request) >= x->policy->busy_size) {
        relay->starved = true;
        return 0;
    }
    list = relay_collect(x);
    if (list == NULL)
        return 0;
    relay->handed = true;
    rc = rem_http_send_body(request, list);
    if (rc == REM_EAGAIN) {
        relay->down_full = true;
        return 0;
    }
    if (rc == REM_ECLOSED && x->store != NULL) {
        relay->detached = true; /* the client has gone, but the file is wanted */
        return 0;
    }
    return rc == 0 || rc == REM_ENOMEM ? rc : REM_EACCES;
}

/* Room to read into, made by spilling if need be. */
static int relay_make_room(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    int rc;

    if (!relay->buffering && (relay->down_full || relay->pending != NULL))
        return REM_EAGAIN;
    rc = rem_relay_room(x);
    /* Several times, perhaps: a block is free only when nothing else of it is lent. */
    while (rc == REM_EAGAIN && relay->buffering && relay->pending != NULL) {
        rc = rem_spill_write(x);
        if (rc != 0)
            return rc;
        rc = rem_relay_room(x);
    }
    return rc;
}

/* One read's worth.  Returns REM_OK (bytes, or the end, came), REM_EAGAIN or an error. */
static int relay_read(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    ssize_t n;
    int rc;

    relay->paused = false;
    if (!rem_relay_may_read(x))
        return REM_EAGAIN;
    rc = relay_make_room(x);
    if (rc != 0) {
        if (rc == REM_EAGAIN) {
            relay->paused = true;
            relay->starved = true;
        }
        return rc;
    }
    n = rem_relay_recv(x);
    if (n > 0)
        return 0;
    if (n != 0 && n != REM_ECLOSED)
        return (int)n;
    rc = x->protocol->input_end(x);
    if (rc == 0)
        relay->input_done = true;
    return rc;
}

int rem_relay_move(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;

    relay->starved = false;
    for (int round = 0;; round++) {
        int bad = rem_relay_feed(x);
        int rc = relay_forward(x);

        if (rc != 0)
            return rc;
        if (bad != 0)
            return bad; /* what was good before it has been handed on */
        if (relay->input_done)
            return relay->final_sent ? 0 : REM_EAGAIN;
        if (round == REM_RELAY_ROUNDS) {
            rem_loop_post(&x->request->worker->loop, &x->wake);
            return REM_EAGAIN;
        }
        rc = relay_read(x);
        if (rc != 0)
            return rc;
    }
}

int rem_relay_rest(struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;
    struct rem_request *request = x->request;
    int rc;

    relay->starved = false;
    rc = relay_forward(x);
    if (rc != 0 || relay->detached)
        return rc;
    if (!relay->down_full && request->exchange->queued(request) != 0) {
        rc = rem_http_send_body(request, NULL);
        if (rc == REM_EAGAIN)
            relay->down_full = true;
        else if (rc != 0)
            return REM_EACCES;
    }
    return relay->pending == NULL && relay->file.sent == relay->file.written &&
                   request->exchange->queued(request) == 0
               ? REM_OK
               : REM_EAGAIN;
}

bool rem_relay_wants_input(const struct rem_upstream_exchange *x)
{
    return !x->relay.input_done && !x->relay.paused;
}
