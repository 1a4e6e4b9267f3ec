/* SPDX-License-Identifier: Apache-2.0 */
/* core_find.c - a request finds its server and its location. */
#include "proto/wire/put.h"
#include "proxy/http/body.h"
#include "proxy/http/core_location.h"
#include "proxy/http/core_names.h"
#include "proxy/http/core_priv.h"

#include <stdio.h>

int rem_core_find_server(const struct rem_http_address *address, struct rem_str host,
                         struct rem_eval *eval, const struct rem_http_server_conf **out)
{
    const struct rem_http_server_conf *found = NULL;

    if (address->names != NULL) {
        int rc = rem_http_names_find(address->names, host, eval, &found);

        if (rc != 0)
            return rc;
    }
    *out = found != NULL ? found : address->fallback;
    return 0;
}

void rem_core_use_server(struct rem_request *request, const struct rem_http_server_conf *server)
{
    request->server = server;
    request->main_conf = server->ctx->main;
    request->server_conf = server->ctx->server;
    request->location_conf = server->ctx->location;
    request->log.log = rem_core_location(request)->log;
}

void rem_core_use_location(struct rem_request *request,
                           const struct rem_http_location_conf *location)
{
    request->location_conf = location->conf;
    request->log.log = location->log;
    request->content = location->handler;
}

void rem_core_use_block(struct rem_request *request, const struct rem_http_location_conf *block)
{
    request->location_conf = block->conf;
    request->log.log = block->log;
    if (block->handler != NULL)
        request->content = block->handler;
}

int rem_core_find_location(const struct rem_http_server_conf *server, struct rem_str uri,
                           struct rem_eval *eval, const struct rem_http_location_conf **out)
{
    const struct rem_http_location_conf *own = server->ctx->location[rem_http_core_module.index];

    *out = own;
    if (own->locations == NULL)
        return REM_CORE_FOUND;
    return rem_http_locations_find(own->locations, uri, eval, out);
}

const struct rem_http_location_conf *rem_core_find_named(const struct rem_http_server_conf *server,
                                                         struct rem_str name)
{
    return rem_strmap_get(&server->named, name);
}

/* ---- the find-config phase ---- */

static int refuse_body(struct rem_request *request)
{
    const struct rem_http_location_conf *location = rem_core_location(request);

    /* A page that says so may have the same limit. */
    if (!request->has_body || request->body_refused || location->client_max_body_size == 0 ||
        request->content_length <= location->client_max_body_size)
        return REM_HTTP_OK;
    REM_LOG_IN(&request->log, REM_LOG_ERROR, 0,
               "client intended to send too large body: %lld bytes",
               (long long)request->content_length);
    request->body_refused = true;
    rem_body_discard(request);
    return 413;
}

/* From "/x" to "/x/", with the arguments. */
static int redirect_to_slash(struct rem_request *request,
                             const struct rem_http_location_conf *location)
{
    struct rem_str to = location->name;
    int rc;

    if (rem_uri_escape(to, REM_URI_ESCAPE_PATH, &request->arena, &to) != 0)
        return 500;
    if (request->args.n != 0) {
        to = rem_arena_printf(&request->arena, "%.*s?%.*s", REM_STR_ARG(to),
                              REM_STR_ARG(request->args));
        if (to.p == NULL)
            return 500;
    }
    rc = rem_core_set_location_field(request, to);
    return rc != 0 ? 500 : 301;
}

int rem_core_find_config(struct rem_request *request)
{
    const struct rem_http_location_conf *location;
    int found = rem_core_find_location(request->server, request->uri, &request->eval, &location);
    int status;

    if (found < 0) {
        REM_LOG_IN(&request->log, REM_LOG_ERROR, 0, "no location could be chosen for \"%.*s\": %s",
                   REM_STR_ARG(request->uri), rem_err_text(found));
        return 500;
    }
    if (location->internal && !request->internal) {
        request->location_conf = location->conf;
        return 404;
    }
    rem_core_use_location(request, location);
    status = refuse_body(request);
    if (status != REM_HTTP_OK)
        return status;
    return found == REM_CORE_REDIRECT ? redirect_to_slash(request, location) : REM_HTTP_OK;
}

/* ---- redirects ---- */

static bool is_usual_port(const struct rem_request *request, uint16_t port)
{
    return port == (rem_str_is(request->scheme, "https") ? 443 : 80);
}

/* An error page that redirects makes what was to be said before void. */
static int set_location(struct rem_request *request, struct rem_str to)
{
    struct rem_fields *fields = &request->response.fields;

    rem_fields_remove_all(fields, REM_FIELD_LOCATION);
    return rem_fields_add(fields, REM_STR("Location"), to);
}

int rem_core_set_location_field(struct rem_request *request, struct rem_str to)
{
    const struct rem_http_location_conf *location = rem_core_location(request);
    struct rem_str host = request->host;
    uint16_t port = rem_addr_port(&request->address->addr);
    char text[REM_ADDR_TEXT];
    char colon_port[8] = "";
    bool bare; /* an IPv6 address without its brackets */

    /* What was decoded from a URI must not end a line of the head. */
    if (!rem_put_is_value(to) && rem_uri_escape(to, REM_URI_ESCAPE_ARGS, &request->arena, &to) != 0)
        return REM_ENOMEM;
    if (to.n == 0 || to.p[0] != '/' || !location->absolute_redirect)
        return set_location(request, to);

    if (location->server_name_in_redirect)
        host = request->server->name;
    if (host.n == 0) {
        struct sockaddr_storage local;
        socklen_t len = sizeof(local);
        struct rem_addr addr = request->address->addr;

        if (getsockname(request->conn->fd, (struct sockaddr *)&local, &len) == 0)
            rem_addr_from((struct sockaddr *)&local, len, &addr);
        host = rem_str_make(text, rem_addr_host_text(&addr, text, sizeof(text)));
    }
    if (location->port_in_redirect && port != 0 && !is_usual_port(request, port))
        (void)snprintf(colon_port, sizeof(colon_port), ":%u", port);
    bare = host.n != 0 && host.p[0] != '[' && rem_str_chr(host, ':') != NULL;
    to = rem_arena_printf(&request->arena, "%.*s://%s%.*s%s%s%.*s", REM_STR_ARG(request->scheme),
                          bare ? "[" : "", REM_STR_ARG(host), bare ? "]" : "", colon_port,
                          REM_STR_ARG(to));
    if (to.p == NULL)
        return REM_ENOMEM;
    return set_location(request, to);
}
