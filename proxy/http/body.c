/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/body.h"

#include "proxy/http/body_spill.h"
#include "proxy/http/core.h"
#include "proxy/http/exchange.h"

#include <stdlib.h>

enum { SMALL_BODY = 512 };

/* What buffering a body takes beside what others see of it. */
struct body_state {
    struct rem_request_body pub;
    char *memory; /* `room` bytes, `used` of them full */
    size_t room;
    size_t used;
    int64_t limit; /* client_max_body_size; 0: none */
    bool in_pool;  /* `memory` is a block of worker->large, otherwise, with `in_heap`, malloc'ed */
    bool in_heap;
    bool told_continue;
    bool lost; /* streamed: there was too much of it to be kept for $request_body */
    int error; /* why reading has failed, for good: some of the body is missing from here on */
    struct rem_buf buf;
    struct rem_body_file file;
};

static struct body_state *state_of(struct rem_request *request)
{
    return REM_CONTAINER(request->body, struct body_state, pub);
}

/* With the request's memory, not before: the log may still show the body, and subrequests that the
 * request does not wait for may still send it. */
static void on_arena_reset(void *data)
{
    struct rem_request *request = data;
    struct body_state *state = state_of(request);

    if (state->in_pool)
        rem_block_put(&request->worker->large, state->memory);
    else if (state->in_heap)
        free(state->memory);
    rem_body_file_close(&state->file);
}

static struct body_state *begin(struct rem_request *request)
{
    struct body_state *state;

    if (request->body != NULL)
        return state_of(request);
    state = rem_arena_zalloc(&request->arena, sizeof(*state));
    if (state == NULL)
        return NULL;
    state->pub.temp_fd = -1;
    state->file.fd = -1;
    state->limit = rem_core_location(request)->client_max_body_size;
    if (rem_arena_on_reset(&request->arena, on_arena_reset, request) != REM_OK)
        return NULL;
    request->body = &state->pub;
    return state;
}

static void say_continue(struct rem_request *request, struct body_state *state)
{
    if (!request->expect_continue || state->told_continue || request->response.head_sent)
        return;
    state->told_continue = true;
    /* A client that has gone shows when its body is read. */
    if (request->exchange->send_informational(request, 100, NULL) != REM_OK)
        return;
}

/* Errors: REM_EBUSY (an earlier location has streamed some of it away). */
static int take_over(struct rem_request *request, struct body_state *state)
{
    if (!state->pub.streaming || state->pub.size == 0)
        return REM_OK;
    REM_LOG_IN(&request->log, REM_LOG_ERROR, 0,
               "the request body cannot be passed on: it was sent before, unbuffered");
    return REM_EBUSY;
}

/* The next run of the body, counted and held against the limit. */
static int next_run(struct rem_request *request, struct body_state *state, struct rem_str *data,
                    bool *final)
{
    int rc;

    *final = false;
    *data = (struct rem_str){NULL, 0};
    if (state->error != REM_OK)
        return state->error;
    if (state->pub.complete || !request->has_body) {
        state->pub.complete = true;
        *final = true;
        return REM_OK;
    }
    rc = request->exchange->read_body(request, data, final);
    if (rc != REM_OK)
        return rc;
    state->pub.size += data->n;
    if (state->limit > 0 && state->pub.size > (uint64_t)state->limit) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0,
                   "client intended to send too large chunked body: %llu bytes",
                   (unsigned long long)state->pub.size);
        state->error = REM_ETOOBIG;
        return REM_ETOOBIG;
    }
    if (*final)
        state->pub.complete = true;
    return REM_OK;
}

int rem_body_error_status(int error)
{
    switch (error) {
    case REM_ETOOBIG:
        return 413;
    case REM_ETIMEOUT:
        return 408;
    case REM_EPROTO:
    case REM_ECLOSED:
        return 400;
    default:
        return 500;
    }
}

/* ---- buffered ---- */

static int alloc_memory(struct rem_request *request, struct body_state *state)
{
    size_t room = rem_core_location(request)->client_body_buffer_size;

    if (request->content_length >= 0 && (uint64_t)request->content_length < room)
        room = (size_t)request->content_length;
    if (room == 0)
        room = 1;
    state->room = room;
    if (room <= SMALL_BODY) {
        state->memory = rem_arena_alloc(&request->arena, room);
    } else if (room <= REM_BLOCK_LARGE) {
        state->memory = rem_block_get(&request->worker->large);
        state->in_pool = state->memory != NULL;
    } else {
        state->memory = malloc(room);
        state->in_heap = state->memory != NULL;
    }
    return state->memory != NULL ? REM_OK : REM_ENOMEM;
}

static int spill(struct rem_request *request, struct body_state *state)
{
    int rc;

    if (state->file.fd < 0) {
        rc = rem_body_file_open(request, &state->file);
        if (rc != REM_OK)
            return rc;
        state->pub.temp_fd = state->file.fd;
        state->pub.temp_path = state->file.path;
    }
    rc = rem_body_file_write(request, &state->file, state->memory, state->used);
    if (rc == REM_OK)
        state->used = 0;
    return rc;
}

static int keep(struct rem_request *request, struct body_state *state, struct rem_str data)
{
    int rc = REM_OK;

    while (data.n > 0) {
        size_t n = state->room - state->used;

        if (n == 0) {
            rc = spill(request, state);
            if (rc != REM_OK)
                return rc;
            continue;
        }
        if (n > data.n)
            n = data.n;
        memcpy(state->memory + state->used, data.p, n);
        state->used += n;
        data = rem_str_skip(data, n);
    }
    return rc;
}

/* The whole body is here: makes the buf that stands for it. */
static int complete(struct rem_request *request, struct body_state *state)
{
    bool in_file = state->file.fd >= 0 ||
                   (rem_core_location(request)->client_body_in_file_only != REM_IN_FILE_OFF &&
                    state->pub.size > 0);

    if (in_file) {
        int rc = spill(request, state);
        if (rc != REM_OK)
            return rc;
        state->buf = (struct rem_buf){
            .in_file = true, .fd = state->file.fd, .file_last = state->file.size, .final = true};
    } else {
        state->buf = (struct rem_buf){
            .pos = state->memory, .last = state->memory + state->used, .fd = -1, .final = true};
    }
    state->pub.bufs = state->pub.size > 0 ? &state->buf : NULL;
    return REM_OK;
}

/* Returns: REM_OK when the body is complete, REM_EAGAIN, or an error. */
static int read_whole(struct rem_request *request, struct body_state *state)
{
    struct rem_str data;
    bool final = false;
    int rc;

    while (!final) {
        rc = next_run(request, state, &data, &final);
        if (rc == REM_OK && data.n > 0)
            rc = state->error = keep(request, state, data);
        if (rc != REM_OK)
            return rc;
    }
    state->error = complete(request, state);
    return state->error;
}

bool rem_body_is_settled(const struct rem_request *request)
{
    const struct body_state *state;

    if (request->body == NULL)
        return false;
    state = REM_CONTAINER(request->body, const struct body_state, pub);
    return state->pub.discarding || (state->memory != NULL && !state->pub.streaming);
}

static void on_body_buffered(struct rem_request *request)
{
    int rc = read_whole(request, state_of(request));

    if (rc == REM_EAGAIN)
        return;
    request->on_body = NULL;
    if (rc == REM_OK)
        request->body->ready(request);
    else
        rem_request_finalize(request, rem_body_error_status(rc));
}

int rem_body_read(struct rem_request *request, void (*ready)(struct rem_request *request))
{
    struct body_state *state = begin(request);
    int rc;

    if (state == NULL || take_over(request, state) != REM_OK)
        return 500;
    state->pub.streaming = false;
    state->pub.ready = ready;
    if (state->pub.complete || state->pub.discarding || !request->has_body) {
        state->pub.complete = true;
        ready(request);
        return REM_HTTP_DONE;
    }
    if (state->memory == NULL && alloc_memory(request, state) != REM_OK)
        return 500;
    say_continue(request, state);
    request->on_body = on_body_buffered;
    rc = read_whole(request, state);
    if (rc == REM_EAGAIN)
        return REM_HTTP_DONE;
    request->on_body = NULL;
    if (rc != REM_OK)
        return rem_body_error_status(rc);
    ready(request);
    return REM_HTTP_DONE;
}

/* ---- streamed ---- */

static void on_body_streamed(struct rem_request *request)
{
    request->body->ready(request);
}

int rem_body_stream(struct rem_request *request, void (*ready)(struct rem_request *request))
{
    struct body_state *state = begin(request);

    if (state == NULL || take_over(request, state) != REM_OK)
        return 500;
    REM_CHECK(!rem_body_is_settled(request));
    state->pub.streaming = true;
    state->pub.ready = ready;
    say_continue(request, state);
    request->on_body = on_body_streamed;
    ready(request);
    return REM_HTTP_DONE;
}

/* Keeps what passes by for $request_body, as far as a buffered body would be kept in memory. */
static void remember(struct rem_request *request, struct body_state *state, struct rem_str data)
{
    if (!state->lost && state->memory == NULL && alloc_memory(request, state) != REM_OK)
        state->lost = true;
    if (state->lost || data.n > state->room - state->used) {
        state->lost = true;
        state->pub.seen.n = 0;
        return;
    }
    memcpy(state->memory + state->used, data.p, data.n);
    state->used += data.n;
    state->pub.seen = rem_str_make(state->memory, state->used);
}

int rem_body_next(struct rem_request *request, struct rem_str *data, bool *final)
{
    struct body_state *state = state_of(request);

    int rc;

    REM_CHECK(state->pub.streaming);
    rc = next_run(request, state, data, final);
    if (rc == REM_OK && data->n != 0 && rem_core_main(request)->shows_body)
        remember(request, state, *data);
    return rc;
}

/* ---- shared ---- */

int rem_body_share(struct rem_request *child, struct rem_request *parent)
{
    struct body_state *from = parent->body != NULL ? state_of(parent) : NULL;
    struct body_state *state;

    if (from == NULL || !from->pub.complete || from->pub.bufs == NULL)
        return REM_OK; /* there is none */
    state = begin(child);
    if (state == NULL)
        return REM_ENOMEM;
    state->memory = from->memory; /* lent: a family's memory goes all at once */
    state->pub.bufs = from->pub.bufs;
    state->pub.size = from->pub.size;
    state->pub.temp_fd = from->pub.temp_fd;
    state->pub.temp_path = from->pub.temp_path;
    state->pub.complete = true;
    child->has_body = true;
    child->content_length = (int64_t)from->pub.size;
    return REM_OK;
}

/* ---- discarded ---- */

static void on_body_discarded(struct rem_request *request)
{
    struct rem_str data;
    bool final = false;
    int rc = REM_OK;

    while (rc == REM_OK && !final)
        rc = request->exchange->read_body(request, &data, &final);
    if (rc == REM_EAGAIN)
        return;
    request->on_body = NULL;
    if (rc == REM_OK) {
        request->body->complete = true;
        return;
    }
    state_of(request)->error = rc;
    request->keepalive = false;
}

int rem_body_discard(struct rem_request *request)
{
    struct body_state *state;

    if (!request->has_body || (request->body != NULL && request->body->complete))
        return REM_HTTP_OK;
    state = begin(request);
    /* A client that waits for "100 Continue" is not asked for a body that nobody wants. */
    if (state == NULL || (request->expect_continue && !state->told_continue)) {
        request->keepalive = false;
        return REM_HTTP_OK;
    }
    state->pub.discarding = true;
    request->on_body = on_body_discarded;
    on_body_discarded(request);
    return state->error == REM_EPROTO ? 400 : REM_HTTP_OK;
}
