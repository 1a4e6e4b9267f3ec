/* SPDX-License-Identifier: Apache-2.0 */
#include "api/remoractl_http.h"

#include "proto/base/addr.h"
#include "proto/wire/chunk.h"
#include "proto/wire/put.h"

#include <errno.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

enum { READ_SIZE = 16384 };

static int io_error(struct rem_err *err, const char *server, const char *what)
{
    return rem_err_set(err, REM_EIO, "%s: %s: %s", server, what, strerror(errno));
}

/* The socket address behind -s. */
static int server_address(const char *server, struct rem_addr *addr, struct rem_err *err)
{
    struct rem_str text = rem_str_from(server);
    struct rem_addr_list list;
    int rc;

    if (rem_str_has_prefix(text, REM_STR("https://")))
        return rem_err_set(err, REM_EINVAL,
                           "%s: there is no TLS yet: http://host:port or unix:/path", server);
    if (rem_str_has_prefix(text, REM_STR("http://")))
        text = rem_str_skip(text, 7);
    while (text.n > 1 && text.p[text.n - 1] == '/')
        text.n--;
    if (text.n != 0 && text.p[0] == '/') {
        char path[REM_ADDR_TEXT];
        int n = snprintf(path, sizeof(path), "unix:%.*s", REM_STR_ARG(text));
        if (n >= (int)sizeof(path) || rem_addr_parse(rem_str_make(path, (size_t)n), 0, addr) != 0)
            return rem_err_set(err, REM_EINVAL, "invalid server \"%s\"", server);
        return 0;
    }
    rc = rem_addr_resolve(text, 80, &list, err);
    if (rc != 0)
        return rc;
    *addr = list.items[0];
    rem_addr_list_fini(&list);
    return 0;
}

static int open_connection(const char *server, int *out, struct rem_err *err)
{
    const struct timeval timeout = {REM_CTL_TIMEOUT_MS / 1000, 0};
    struct rem_addr addr;
    int rc = server_address(server, &addr, err);
    int fd;

    if (rc != 0)
        return rc;
    fd = socket(rem_addr_family(&addr), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return io_error(err, server, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, &addr.u.sa, addr.len) != 0) {
        rc = io_error(err, server, "cannot connect");
        close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

static int send_all(int fd, const struct rem_ctl_request *request, struct rem_str bytes,
                    struct rem_err *err)
{
    while (bytes.n != 0) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        /* A server that has refused already may not read on; its answer says why. */
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return 0;
        if (n < 0)
            return io_error(err, request->server, "send");
        bytes = rem_str_skip(bytes, (size_t)n);
    }
    return 0;
}

static int send_request(int fd, const struct rem_ctl_request *request, struct rem_err *err)
{
    char head[8192];
    struct rem_put put;
    int rc;

    rem_put_init(&put, head, sizeof(head));
    rem_put_request_line(&put, rem_str_from(request->method), rem_str_from(request->path), 1);
    REM_PUT(&put,
            "Host: localhost\r\nUser-Agent: remoractl/" REM_VERSION "\r\nConnection: close\r\n");
    if (request->if_match != NULL) {
        REM_PUT(&put, "If-Match: \"");
        rem_put_add(&put, rem_str_from(request->if_match));
        REM_PUT(&put, "\"\r\n");
    }
    if (request->token != NULL) {
        REM_PUT(&put, "Authorization: Bearer ");
        rem_put_add(&put, rem_str_from(request->token));
        REM_PUT(&put, "\r\n");
    }
    if (request->last_id != NULL) {
        REM_PUT(&put, "Last-Event-ID: ");
        rem_put_add(&put, rem_str_from(request->last_id));
        REM_PUT(&put, "\r\n");
    }
    if (request->body.n != 0) {
        REM_PUT(&put, "Content-Type: application/json\r\n");
        rem_put_field_u64(&put, REM_STR("Content-Length"), request->body.n);
    }
    rem_put_crlf(&put);
    if (put.full)
        return rem_err_set(err, REM_EINVAL, "the request is too long");
    rc = send_all(fd, request, rem_put_str(&put), err);
    return rc != 0 ? rc : send_all(fd, request, request->body, err);
}

/* The connection closes behind the answer, so all of it is read before it is looked at. */
static int read_all(int fd, const struct rem_ctl_request *request, struct rem_sbuf *in,
                    struct rem_err *err)
{
    char chunk[READ_SIZE];

    for (;;) {
        ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
        if (n > 0)
            rem_sbuf_add(in, rem_str_make(chunk, (size_t)n));
        else if (n == 0 || (errno == ECONNRESET && in->n != 0))
            break;
        else if (errno == EAGAIN)
            return rem_err_set(err, REM_EIO, "%s: no answer in %d seconds", request->server,
                               REM_CTL_TIMEOUT_MS / 1000);
        else if (errno != EINTR)
            return io_error(err, request->server, "recv");
    }
    if (in->failed)
        return rem_err_set(err, REM_ENOMEM, "out of memory");
    if (in->n == 0)
        return rem_err_set(err, REM_EIO, "%s: closed without an answer", request->server);
    return 0;
}

static int take_chunked(struct rem_arena *arena, struct rem_str in, struct rem_sbuf *body)
{
    struct rem_chunk_decoder decoder;
    struct rem_str data;
    int rc;

    rem_chunk_decoder_init(&decoder, &rem_h1_limits_default, arena);
    do {
        size_t used;
        rc = rem_chunk_decode(&decoder, in.p, in.n, &used, &data);
        if (rc != 0)
            return REM_EPROTO;
        in = rem_str_skip(in, used);
        rem_sbuf_add(body, data);
    } while (data.n != 0);
    return 0;
}

/* Takes the answer apart, past interim ones. */
int rem_ctl_http_answer(struct rem_str in, int *status, struct rem_sbuf *body)
{
    struct rem_h1_response response;
    struct rem_arena arena;
    int rc;

    rem_arena_init(&arena, NULL);
    do {
        rem_h1_response_init(&response, &rem_h1_limits_default, &arena);
        rc = rem_h1_response_parse(&response, REM_H1_ASKED_OTHER, in.p, in.n);
        if (rc == 0)
            in = rem_str_skip(in, response.head.head_size);
    } while (rc == 0 && response.code < 200);
    if (rc == 0) {
        *status = response.code;
        if (response.head.framing == REM_FRAMING_CHUNKED) {
            rc = take_chunked(&arena, in, body);
        } else {
            bool sized = response.head.framing == REM_FRAMING_LENGTH;
            if (sized && in.n < response.head.content_length)
                rc = REM_EPROTO;
            else if (response.head.framing != REM_FRAMING_NONE)
                rem_sbuf_add(
                    body, rem_str_make(in.p, sized ? (size_t)response.head.content_length : in.n));
        }
    }
    rem_arena_reset(&arena);
    return rc;
}

int rem_ctl_http_send(const struct rem_ctl_request *request, int *out_fd, struct rem_err *err)
{
    int fd = -1;
    int rc = open_connection(request->server, &fd, err);

    if (rc != 0)
        return rc;
    rc = send_request(fd, request, err);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    *out_fd = fd;
    return 0;
}

int rem_ctl_http(const struct rem_ctl_request *request, int *status, struct rem_sbuf *body,
                 struct rem_err *err)
{
    struct rem_sbuf in;
    int fd = -1;
    int rc = rem_ctl_http_send(request, &fd, err);

    if (rc != 0)
        return rc;
    rem_sbuf_init(&in);
    rc = read_all(fd, request, &in, err);
    if (rc == 0 && rem_ctl_http_answer(rem_sbuf_str(&in), status, body) != 0)
        rc =
            rem_err_set(err, REM_EPROTO, "%s: the answer is not whole or no HTTP", request->server);
    close(fd);
    rem_sbuf_fini(&in);
    return rc;
}
