/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/h1_server_priv.h"

void h1_body_begin(struct rem_h1_exchange *x)
{
    const struct rem_h1_head *head = &x->parse.head;
    struct rem_request *request = x->request;
    bool chunked = head->framing == REM_FRAMING_CHUNKED;

    x->body_left = head->framing == REM_FRAMING_LENGTH ? head->content_length : 0;
    request->has_body = chunked || x->body_left > 0;
    request->content_length = chunked ? -1 : (int64_t)x->body_left;
    if (!request->has_body) {
        request->expect_continue = false;
        h1_goto(x->client, REM_H1_IN_NEXT);
        return;
    }
    if (chunked)
        rem_chunk_decoder_init(&x->chunks, x->parse.head.limits, &request->arena);
    x->body_seen = x->pos != x->last;
    h1_goto(x->client, REM_H1_IN_BODY);
}

/* The body has ended: what a client that closes now means, is another question than before. */
static void body_complete(struct rem_h1_exchange *x)
{
    x->body_due_ms = 0;
    h1_goto(x->client, REM_H1_IN_NEXT);
    if (x->client->conn.hangup)
        h1_wake(x->client);
}

/* Room to receive into, once all that was there has been used. */
static int make_room(struct rem_h1_exchange *x)
{
    struct rem_h1_block *block;

    if (x->pos == x->last) {
        x->pos = x->base;
        x->last = x->base;
    }
    if (x->in->size - x->last >= REM_H1_BODY_ROOM || x->in != x->head)
        return x->last < x->in->size ? REM_OK : REM_EAGAIN;
    block = h1_block_new(x->client->worker, 1);
    if (block == NULL)
        return REM_ENOMEM;
    x->in = block;
    x->base = 0;
    x->pos = 0;
    x->last = 0;
    return REM_OK;
}

static void wait_for_body(struct rem_h1_exchange *x)
{
    int64_t timeout = rem_core_location(x->request)->client_body_timeout;

    if (x->client->in != REM_H1_IN_BODY)
        return;
    x->body_due_ms = x->client->worker->loop.clock.mono_ms + (uint64_t)timeout;
    h1_arm_exchange(x);
}

/* Returns: REM_OK when bytes have arrived, REM_EAGAIN, or an error that stays. */
static int receive(struct rem_h1_exchange *x)
{
    struct rem_h1_client *client = x->client;
    ssize_t n;
    int rc;

    /* A client that sends faster than we can make something of it must not be all there is. */
    if (client->reads == 0 && client->conn.readable) {
        h1_wake(client);
        return REM_EAGAIN;
    }

    /* A reset that came together with the last bytes shows only when the socket is asked again, so
     * a short read does not count as its end here. */
    if (!client->conn.readable && x->drained) {
        wait_for_body(x);
        return REM_EAGAIN;
    }
    rc = make_room(x);
    if (rc != REM_OK)
        return rc;
    if (client->reads != 0)
        client->reads--;
    n = rem_conn_recv(&client->conn, x->in->data + x->last, x->in->size - x->last);
    x->drained = n == REM_EAGAIN;
    if (n == REM_EAGAIN) {
        wait_for_body(x);
        return REM_EAGAIN;
    }
    if (n < 0) {
        x->in_error = n == REM_EIO ? REM_ECLOSED : (int)n;
        if (client->in == REM_H1_IN_BODY)
            REM_LOG_IN(&x->request->log, REM_LOG_INFO, 0, "client prematurely closed connection");
        return x->in_error;
    }
    x->last += (uint32_t)n;
    x->body_due_ms = 0;
    x->body_seen = true;
    return REM_OK;
}

/* Takes from a body with a length.  Returns: whether there was something. */
static bool take_counted(struct rem_h1_exchange *x, struct rem_str *data)
{
    uint64_t n = x->last - x->pos;

    if (n > x->body_left)
        n = x->body_left;
    *data = rem_str_make(x->in->data + x->pos, (size_t)n);
    x->pos += (uint32_t)n;
    x->body_left -= n;
    x->request->received += n;
    return n > 0;
}

static int take_chunked(struct rem_h1_exchange *x, struct rem_str *data)
{
    size_t used = 0;
    int rc = rem_chunk_decode(&x->chunks, x->in->data + x->pos, x->last - x->pos, &used, data);

    x->pos += (uint32_t)used;
    x->request->received += used;
    if (rc != REM_OK && rc != REM_EAGAIN) {
        REM_LOG_IN(&x->request->log, REM_LOG_ERROR, 0, "client sent invalid chunked body: %s",
                   x->chunks.reason != NULL ? x->chunks.reason : rem_err_text(rc));
        x->in_error = rc == REM_ENOMEM ? rc : REM_EPROTO;
        return x->in_error;
    }
    return rc;
}

/* Takes what has arrived.  REM_OK with no data: the body's end; REM_EAGAIN: more must come. */
static int take(struct rem_h1_exchange *x, struct rem_str *data)
{
    if (x->parse.head.framing == REM_FRAMING_CHUNKED)
        return x->pos == x->last ? REM_EAGAIN : take_chunked(x, data);
    if (x->body_left == 0) {
        *data = (struct rem_str){NULL, 0};
        return REM_OK;
    }
    return take_counted(x, data) ? REM_OK : REM_EAGAIN;
}

static int take_raw(struct rem_h1_exchange *x, struct rem_str *data, bool *final)
{
    int rc = x->pos == x->last ? receive(x) : REM_OK;

    if (rc == REM_ECLOSED) {
        *final = true;
        return REM_OK;
    }
    if (rc != REM_OK)
        return rc;
    *data = rem_str_make(x->in->data + x->pos, x->last - x->pos);
    x->request->received += data->n;
    x->pos = x->last;
    return REM_OK;
}

static int read_body(struct rem_h1_exchange *x, struct rem_str *data, bool *final)
{
    int rc;

    *data = (struct rem_str){NULL, 0};
    *final = false;
    if (x->client->in == REM_H1_IN_RAW)
        return take_raw(x, data, final);
    if (x->client->in == REM_H1_IN_NEXT) {
        *final = true;
        return REM_OK;
    }
    if (x->in_error != REM_OK)
        return x->in_error;
    do {
        rc = take(x, data);
        if (rc == REM_OK && data->n == 0) {
            *final = true;
            body_complete(x);
        }
        if (rc != REM_EAGAIN)
            return rc;
        rc = receive(x);
    } while (rc == REM_OK);
    return rc;
}

int h1_read_body(struct rem_request *request, struct rem_str *data, bool *final)
{
    struct rem_h1_exchange *x = request->codec;

    if (x->gone)
        return REM_ECLOSED;
    return read_body(x, data, final);
}

int h1_body_drop(struct rem_h1_exchange *x)
{
    struct rem_str data;
    bool final = false;
    int rc = REM_OK;

    if (x->client->in == REM_H1_IN_NEXT)
        return REM_OK;
    while (rc == REM_OK && !final)
        rc = read_body(x, &data, &final);
    return rc;
}

int h1_upgrade(struct rem_request *request)
{
    struct rem_h1_exchange *x = request->codec;

    if (x->gone)
        return REM_ECLOSED;
    REM_CHECK(x->mode == REM_H1_OUT_EMPTY || x->mode == REM_H1_OUT_UNTIL_CLOSE);
    x->mode = REM_H1_OUT_RAW;
    x->keep = false;
    x->body_due_ms = 0;
    request->rate.limit = 0; /* it is for responses, not for what both sides say to each other */
    if (rem_core_location(request)->tcp_nodelay)
        rem_conn_nodelay(&x->client->conn);
    h1_goto(x->client, REM_H1_IN_RAW);
    h1_flush(x);
    return x->gone ? REM_ECLOSED : REM_OK;
}
