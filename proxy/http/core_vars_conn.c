/* SPDX-License-Identifier: Apache-2.0 */
/* core_vars_conn.c - variables made of the connection, the time and the process. */
#include "proxy/http/core_priv.h"
#include "proxy/http/core_var.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <unistd.h>

/* ---- addresses ---- */

static int get_remote_addr(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    char text[REM_ADDR_TEXT];
    size_t n = rem_addr_host_text(rem_core_var_request(e)->peer, text, sizeof(text));

    (void)v;
    return rem_core_var_copy(e, out, rem_str_make(text, n));
}

static int get_binary_remote_addr(struct rem_eval *e, const struct rem_var *v,
                                  struct rem_var_value *out)
{
    const struct rem_addr *peer = rem_core_var_request(e)->peer;

    (void)v;
    switch (rem_addr_family(peer)) {
    case AF_INET:
        return rem_core_var_text(
            out, rem_str_make((const char *)&peer->u.in.sin_addr, sizeof(peer->u.in.sin_addr)));
    case AF_INET6:
        return rem_core_var_text(
            out, rem_str_make((const char *)&peer->u.in6.sin6_addr, sizeof(peer->u.in6.sin6_addr)));
    default:
        return rem_core_var_text(out, REM_STR("unix:"));
    }
}

static int get_remote_port(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    uint16_t port = rem_addr_port(rem_core_var_request(e)->peer);

    (void)v;
    return port != 0 ? rem_core_var_number(e, out, port) : rem_core_var_text(out, REM_STR(""));
}

/* A socket on a wildcard address has another local address for each connection. */
static void local_address(const struct rem_request *request, struct rem_addr *out)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);

    *out = request->address->addr;
    if (rem_addr_is_wildcard(out) &&
        getsockname(request->conn->fd, (struct sockaddr *)&storage, &len) == 0)
        rem_addr_from((struct sockaddr *)&storage, len, out);
}

static int get_server_addr(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    struct rem_addr addr;
    char text[REM_ADDR_TEXT];
    size_t n;

    (void)v;
    local_address(rem_core_var_request(e), &addr);
    /* A unix socket is told apart by its path, which the text without port leaves out. */
    n = rem_addr_family(&addr) == AF_UNIX ? rem_addr_text(&addr, text, sizeof(text))
                                          : rem_addr_host_text(&addr, text, sizeof(text));
    return rem_core_var_copy(e, out, rem_str_make(text, n));
}

static int get_server_port(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    uint16_t port = rem_addr_port(&rem_core_var_request(e)->address->addr);

    (void)v;
    return port != 0 ? rem_core_var_number(e, out, port) : rem_core_var_text(out, REM_STR(""));
}

/* ---- the connection ---- */

static int get_connection(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)v;
    return rem_core_var_number(e, out, (int64_t)rem_core_var_request(e)->conn->number);
}

static int get_connection_time(struct rem_eval *e, const struct rem_var *v,
                               struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);
    uint64_t now = request->worker->loop.clock.mono_ms;

    (void)v;
    return rem_core_var_seconds(
        e, out, now > request->connection_start_ms ? now - request->connection_start_ms : 0);
}

static int get_pipe(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)v;
    return rem_core_var_text(out, rem_core_var_request(e)->pipelined ? REM_STR("p") : REM_STR("."));
}

/* ---- time ---- */

static int get_request_time(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);
    uint64_t now = request->worker->loop.clock.mono_ms;

    (void)v;
    return rem_core_var_seconds(e, out, now > request->start_ms ? now - request->start_ms : 0);
}

static int get_msec(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_clock *clock = &rem_core_var_request(e)->worker->loop.clock;

    (void)v;
    return rem_core_var_seconds(e, out, (uint64_t)clock->wall_sec * 1000 + clock->wall_msec);
}

static int get_time_local(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)v;
    return rem_core_var_copy(e, out, rem_clock_log(&rem_core_var_request(e)->worker->loop.clock));
}

static int get_time_iso(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)v;
    return rem_core_var_copy(e, out, rem_clock_iso(&rem_core_var_request(e)->worker->loop.clock));
}

/* ---- the process ---- */

static int get_pid(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)v;
    return rem_core_var_number(e, out, getpid());
}

static int get_version(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    (void)e;
    (void)v;
    return rem_core_var_text(out, REM_STR(REM_VERSION));
}

static int get_hostname(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    char name[256];

    (void)v;
    if (gethostname(name, sizeof(name)) != 0)
        return rem_core_var_absent(out);
    name[sizeof(name) - 1] = '\0';
    for (char *p = name; *p != '\0'; p++)
        *p = rem_lower(*p);
    return rem_core_var_copy(e, out, rem_str_from(name));
}

/* What the kernel knows of the client's connection; `data` is the offset of a number in it. */
static int get_tcp_info(struct rem_eval *e, const struct rem_var *v, struct rem_var_value *out)
{
    const struct rem_request *request = rem_core_var_request(e);
    size_t offset = (size_t)(uintptr_t)v->data;
    struct tcp_info info;
    socklen_t len = sizeof(info);
    uint32_t number;

    if (getsockopt(request->conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offset + sizeof(number))
        return rem_core_var_absent(out); /* not TCP, or gone */
    memcpy(&number, (const char *)&info + offset, sizeof(number));
    return rem_core_var_number(e, out, number);
}

#define TCP_MEMBER(field) (const void *)(uintptr_t)offsetof(struct tcp_info, field)

static const struct rem_core_var_def defs[] = {
    {"remote_addr", get_remote_addr, NULL, 0},
    {"binary_remote_addr", get_binary_remote_addr, NULL, 0},
    {"remote_port", get_remote_port, NULL, 0},
    {"server_addr", get_server_addr, NULL, 0},
    {"server_port", get_server_port, NULL, 0},
    {"connection", get_connection, NULL, 0},
    {"connection_time", get_connection_time, NULL, REM_VAR_NOCACHE},
    {"pipe", get_pipe, NULL, 0},
    {"request_time", get_request_time, NULL, REM_VAR_NOCACHE},
    {"msec", get_msec, NULL, REM_VAR_NOCACHE},
    {"time_local", get_time_local, NULL, REM_VAR_NOCACHE},
    {"time_iso8601", get_time_iso, NULL, REM_VAR_NOCACHE},
    {"pid", get_pid, NULL, 0},
    {"nginx_version", get_version, NULL, 0},
    {"hostname", get_hostname, NULL, 0},
    {"tcpinfo_rtt", get_tcp_info, TCP_MEMBER(tcpi_rtt), REM_VAR_NOCACHE},
    {"tcpinfo_rttvar", get_tcp_info, TCP_MEMBER(tcpi_rttvar), REM_VAR_NOCACHE},
    {"tcpinfo_snd_cwnd", get_tcp_info, TCP_MEMBER(tcpi_snd_cwnd), REM_VAR_NOCACHE},
    {"tcpinfo_rcv_space", get_tcp_info, TCP_MEMBER(tcpi_rcv_space), REM_VAR_NOCACHE},
};

int rem_core_add_conn_vars(struct rem_vars *vars)
{
    return rem_core_var_define(vars, defs, REM_COUNT(defs));
}
