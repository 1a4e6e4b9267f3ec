/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/h1_server_priv.h"

#include "proto/wire/date.h"
#include "proto/wire/put.h"
#include "proxy/http/special.h"

/* Beside the status line and the response's own fields: Server, Date, Last-Modified, framing, and
 * Connection, with what they are called. */
enum { FIXED_FIELDS_MAX = 400 };

static struct rem_buf *new_buf(struct rem_request *request, struct rem_put *put, size_t size)
{
    struct rem_buf *buf = rem_arena_zalloc(&request->arena, sizeof(*buf));
    char *memory = rem_arena_alloc(&request->arena, size);

    if (buf == NULL || memory == NULL)
        return NULL;
    rem_put_init(put, memory, size);
    buf->fd = -1;
    return buf;
}

static void queue_head(struct rem_h1_exchange *x, struct rem_buf *buf, struct rem_put *put)
{
    REM_CHECK(!put->full);
    buf->pos = put->start;
    buf->last = put->at;
    x->head_size += rem_buf_size(buf);
    h1_queue(x, buf);
}

/* ---- decisions ---- */

static enum rem_h1_out body_mode(const struct rem_request *request)
{
    const struct rem_response *response = &request->response;

    bool chunks = request->version >= 11 && rem_core_location(request)->chunked_transfer_encoding;

    if (response->no_body)
        return REM_H1_OUT_EMPTY;
    if (response->content_length >= 0 && !(chunks && response->has_trailers))
        return REM_H1_OUT_LENGTH;
    if (chunks)
        return REM_H1_OUT_CHUNKED;
    return REM_H1_OUT_UNTIL_CLOSE;
}

/* keepalive_disable: browsers that cannot cope. */
static bool is_disabled_browser(const struct rem_request *request)
{
    uint32_t disable = rem_core_location(request)->keepalive_disable;
    bool msie6 = (disable & REM_NO_KEEPALIVE_MSIE6) != 0 && request->method == REM_METHOD_POST;
    bool safari = (disable & REM_NO_KEEPALIVE_SAFARI) != 0;
    const struct rem_field *agent;
    struct rem_str s;
    const char *msie;

    if (!msie6 && !safari)
        return false;
    agent = rem_fields_find(&request->fields, REM_FIELD_USER_AGENT);
    if (agent == NULL)
        return false;
    s = agent->value;
    msie = msie6 ? memmem(s.p, s.n, "MSIE ", 5) : NULL;
    if (msie != NULL && s.p + s.n - msie > 6 && msie[5] >= '4' && msie[5] <= '6' &&
        msie[6] == '.' && memmem(s.p, s.n, "SV1", 3) == NULL &&
        memmem(s.p, s.n, "Opera", 5) == NULL)
        return true;
    return safari && memmem(s.p, s.n, "Safari/", 7) != NULL &&
           memmem(s.p, s.n, "Mac OS X", 8) != NULL && memmem(s.p, s.n, "Chrome/", 7) == NULL;
}

/* Whether the head may promise that the connection serves another request. */
static bool may_keep(const struct rem_h1_exchange *x)
{
    const struct rem_request *request = x->request;
    const struct rem_h1_client *client = x->client;
    const struct rem_http_location_conf *loc = rem_core_location(request);
    uint64_t age = client->worker->loop.clock.mono_ms - client->accepted_ms;

    if (!request->keepalive || client->worker->draining || x->in_error != REM_OK ||
        x->mode == REM_H1_OUT_UNTIL_CLOSE)
        return false;
    if (loc->keepalive_timeout <= 0 || client->requests >= (uint64_t)loc->keepalive_requests ||
        age >= (uint64_t)loc->keepalive_time)
        return false;
    /* A client that was not told to continue may send its body or leave it out: what would come
     * next cannot be told apart. */
    if (request->expect_continue && !x->told_continue && !x->body_seen)
        return false;
    return !is_disabled_browser(request);
}

/* ---- the text ---- */

/* Whether a field is ours to say, or nobody's. */
static bool is_left_out(const struct rem_request *request, const struct rem_field *field)
{
    switch (field->id) {
    case REM_FIELD_UPGRADE:
        return request->response.status != 101;
    case REM_FIELD_CONTENT_LENGTH:
    case REM_FIELD_TRANSFER_ENCODING:
    case REM_FIELD_CONNECTION:
        return true;
    default:
        return (field->flags & REM_FIELD_HOP) != 0;
    }
}

static void put_framing(const struct rem_h1_exchange *x, struct rem_put *put)
{
    const struct rem_response *response = &x->request->response;
    int status = response->status;

    if (response->content_length >= 0 && x->mode != REM_H1_OUT_CHUNKED && status >= 200 &&
        status != 204)
        rem_put_field_u64(put, REM_STR("Content-Length"), (uint64_t)response->content_length);
    if (response->last_modified >= 0) {
        char date[REM_DATE_SIZE];

        rem_date_format(date, (time_t)response->last_modified);
        REM_PUT_FIELD(put, "Last-Modified", rem_str_make(date, sizeof(date)));
    }
    if (x->mode == REM_H1_OUT_CHUNKED)
        REM_PUT(put, "Transfer-Encoding: chunked\r\n");
}

static void put_connection(const struct rem_h1_exchange *x, struct rem_put *put)
{
    int64_t seconds = rem_core_location(x->request)->keepalive_header;

    if (x->request->response.status == 101) {
        REM_PUT(put, "Connection: upgrade\r\n");
    } else if (!x->keep) {
        REM_PUT(put, "Connection: close\r\n");
    } else {
        REM_PUT(put, "Connection: keep-alive\r\n");
        if (seconds > 0) {
            REM_PUT(put, "Keep-Alive: timeout=");
            rem_put_u64(put, (uint64_t)seconds);
            rem_put_crlf(put);
        }
    }
}

static void put_head(const struct rem_h1_exchange *x, struct rem_put *put)
{
    struct rem_request *request = x->request;
    const struct rem_response *response = &request->response;

    rem_put_status_line(put, (unsigned)response->status, response->status_line);
    if (!response->has_server)
        REM_PUT_FIELD(put, "Server", rem_special_token(request));
    if (!response->has_date)
        REM_PUT_FIELD(put, "Date", rem_clock_http(&request->worker->loop.clock));
    if (response->content_type.n != 0)
        REM_PUT_FIELD(put, "Content-Type", response->content_type);
    put_framing(x, put);
    put_connection(x, put);
    REM_FIELDS_EACH(field, &response->fields) {
        if (!is_left_out(request, field))
            rem_put_field(put, field->name, field->value);
    }
    rem_put_crlf(put);
}

int h1_send_head(struct rem_request *request)
{
    struct rem_h1_exchange *x = request->codec;
    const struct rem_response *response = &request->response;
    const struct rem_http_location_conf *loc = rem_core_location(request);
    struct rem_put put;
    struct rem_buf *buf;

    if (x->gone)
        return REM_ECLOSED;
    REM_CHECK(x->mode == REM_H1_OUT_NONE);
    buf = new_buf(request, &put,
                  FIXED_FIELDS_MAX + rem_put_status_line_size(response->status_line) +
                      response->content_type.n + rem_put_fields_size(&response->fields));
    if (buf == NULL)
        return REM_ENOMEM;
    x->mode = (uint8_t)body_mode(request);
    x->out_left = x->mode == REM_H1_OUT_LENGTH ? (uint64_t)response->content_length : 0;
    x->keep = may_keep(x);
    x->client->loc = loc;
    put_head(x, &put);
    queue_head(x, buf, &put);
    if (x->keep && loc->tcp_nodelay)
        rem_conn_nodelay(&x->client->conn);
    return REM_OK;
}

int h1_send_informational(struct rem_request *request, int status, const struct rem_fields *fields)
{
    struct rem_h1_exchange *x = request->codec;
    struct rem_put put;
    struct rem_buf *buf;

    if (x->gone)
        return REM_ECLOSED;
    REM_CHECK(x->mode == REM_H1_OUT_NONE);
    if (request->version < 11) /* which knows no interim responses */
        return REM_OK;
    buf = new_buf(request, &put,
                  rem_put_status_line_size((struct rem_str){NULL, 0}) +
                      (fields != NULL ? rem_put_fields_size(fields) : 0) + 2);
    if (buf == NULL)
        return REM_ENOMEM;
    rem_put_status_line(&put, (unsigned)status, (struct rem_str){NULL, 0});
    if (fields != NULL)
        rem_put_fields(&put, fields);
    rem_put_crlf(&put);
    queue_head(x, buf, &put);
    x->told_continue = x->told_continue || status == 100;
    h1_flush(x);
    return x->gone ? REM_ECLOSED : REM_OK;
}
