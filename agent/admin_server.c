/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/admin_server.h"

#include "agent/admin_conn.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_TURN = 32,
    RESUME_MS = 500,
    SETTLED_MS = 100, /* accepted or answered so long ago: its next request is not in the socket */
};

const struct rem_admin_patience rem_admin_patience_default = {
    .head = 10000,
    .body = 10000,
    .whole = 60000,
    .idle = 60000,
    .stream = 15000,
    .linger = 2000,
};

void rem_admin_server_start(struct rem_admin_server *server, struct event_base *base,
                            const struct rem_log *log, struct rem_clock *clock,
                            const struct rem_admin_handler *handler, struct rem_admin_auth *auth)
{
    *server = (struct rem_admin_server){
        .base = base,
        .log = log,
        .handler = *handler,
        .patience = rem_admin_patience_default,
        .clock = clock,
        .auth = auth,
        .connection_limit = REM_ADMIN_CONNECTIONS_MAX,
    };
    rem_list_init(&server->connections);
    rem_list_init(&server->streams);
}

static void set_accepting(struct rem_admin_server *server, bool on)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        if (on)
            (void)event_add(server->listeners[i].event, NULL);
        else
            (void)event_del(server->listeners[i].event);
    }
}

static void on_resume(evutil_socket_t fd, short what, void *data)
{
    struct rem_admin_server *server = data;

    (void)fd;
    (void)what;
    if (!server->quitting)
        set_accepting(server, true);
}

/* No descriptors or memory: leaves waiting clients in the queue for a moment. */
static void pause_accepting(struct rem_admin_server *server, int error)
{
    struct timeval tv = {0, RESUME_MS * 1000};

    if (server->complained_sec != server->clock->wall_sec) {
        server->complained_sec = server->clock->wall_sec;
        REM_LOG(server->log, REM_LOG_ALERT, error, "admin: accept4() failed");
    }
    if (evtimer_add(server->resume, &tv) == 0)
        set_accepting(server, false);
}

/* Without descriptors the longest idle one gives way, of this listener if it has any: a crowd on
 * one does not close the probes and the API on the others. */
static bool make_descriptor(struct rem_admin_listener_event *listener, int error)
{
    return (error == EMFILE || error == ENFILE) &&
           (rem_admin_conn_make_room(listener->server, listener, SETTLED_MS) ||
            rem_admin_conn_make_room(listener->server, NULL, SETTLED_MS));
}

static void on_accept(evutil_socket_t listener_fd, short what, void *data)
{
    struct rem_admin_listener_event *listener = data;
    struct rem_admin_server *server = listener->server;

    (void)what;
    rem_clock_update(server->clock);
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        union rem_addr_any any = {0};
        socklen_t len = sizeof(any);
        struct rem_addr peer;
        int fd = accept4(listener_fd, &any.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            if (make_descriptor(listener, errno))
                continue;
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(server, errno);
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            return;
        }
        rem_addr_from(&any.sa, len, &peer);
        if (listener->inlet != NULL && !rem_inlet_is_ours(fd))
            close(fd);
        else if (listener->connection_count >= server->connection_limit &&
                 !rem_admin_conn_make_room(listener->server, listener, 0))
            rem_admin_conn_refuse(server, fd);
        else if (rem_admin_conn_new(listener, fd, &peer) != 0)
            REM_LOG(server->log, REM_LOG_ALERT, 0, "admin: no memory for a connection");
    }
}

static int listen_on(struct rem_admin_server *server, int fd, enum rem_api_role role,
                     const struct rem_inlet *inlet)
{
    struct rem_admin_listener_event *listener = &server->listeners[server->listener_count];

    listener->server = server;
    listener->inlet = inlet;
    listener->fd = fd;
    listener->role = role;
    if (evutil_make_socket_nonblocking(fd) != 0)
        return REM_EIO;
    listener->event = event_new(server->base, fd, EV_READ | EV_PERSIST, on_accept, listener);
    if (listener->event == NULL)
        return REM_ENOMEM;
    server->listener_count++;
    return event_add(listener->event, NULL) == 0 ? 0 : REM_EIO;
}

int rem_admin_server_listen(struct rem_admin_server *server,
                            const struct rem_admin_listener *listeners, size_t count,
                            const struct rem_inlet *inlet)
{
    int rc = 0;

    server->resume = evtimer_new(server->base, on_resume, server);
    server->listeners = calloc(count + 1, sizeof(*server->listeners));
    if (server->resume == NULL || server->listeners == NULL)
        return REM_ENOMEM;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = listen_on(server, listeners[i].fd, listeners[i].role, NULL);
    if (rc == 0 && inlet != NULL)
        rc = listen_on(server, inlet->fd, REM_ROLE_NONE, inlet);
    return rc;
}

static void forget_listeners(struct rem_admin_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        event_free(server->listeners[i].event);
    free(server->listeners);
    server->listeners = NULL;
    server->listener_count = 0;
    if (server->resume != NULL)
        event_free(server->resume);
    server->resume = NULL;
}

void rem_admin_server_poke(struct rem_admin_server *server)
{
    REM_LIST_EACH(node, &server->streams)
        rem_admin_conn_poke(node);
}

void rem_admin_server_quit(struct rem_admin_server *server)
{
    server->quitting = true;
    forget_listeners(server);
    REM_LIST_EACH(node, &server->connections)
        rem_admin_conn_quit(rem_admin_conn_at(node));
}

void rem_admin_server_stop(struct rem_admin_server *server)
{
    server->quitting = true;
    while (!rem_list_empty(&server->connections))
        rem_admin_conn_close(rem_admin_conn_at(server->connections.next));
    forget_listeners(server);
}
