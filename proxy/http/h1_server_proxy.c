/* SPDX-License-Identifier: Apache-2.0 */
/* h1_server_proxy.c - the PROXY protocol's header, before a connection's first request.
 *
 * What has arrived waits in client->left, as pipelined bytes do; what follows the header stays
 * there for the first request.  A connection without a proper header is closed.  */
#include "proto/wire/proxy_protocol.h"
#include "proxy/http/h1_server_priv.h"

#include <stdio.h>
#include <stdlib.h>

static size_t log_context(void *data, char *buf, size_t size)
{
    const struct rem_h1_client *client = data;
    char text[REM_ADDR_TEXT];
    int n;

    rem_addr_host_text(&client->peer, text, sizeof(text));
    n = snprintf(buf, size, " while reading PROXY protocol, client: %s, server: %.*s", text,
                 REM_STR_ARG(client->address->text));
    if (n < 0 || size == 0)
        return 0;
    return (size_t)n < size ? (size_t)n : size - 1;
}

static struct rem_log_scope scope_of(struct rem_h1_client *client)
{
    const struct rem_http_location_conf *loc =
        client->address->fallback->ctx->location[rem_http_core_module.index];

    return (struct rem_log_scope){loc->log, client->conn.number, log_context, client};
}

/* The text that came instead of a header, up to where it ceases to be text. */
static void refuse(struct rem_h1_client *client, const char *reason)
{
    struct rem_log_scope scope = scope_of(client);
    const char *bytes = client->left->data;
    int n = 0;

    while ((uint32_t)n < client->left_last && n < REM_PROXY_V1_MAX && bytes[n] >= ' ' &&
           bytes[n] <= '~')
        n++;
    if (strcmp(reason, "broken header") == 0)
        REM_LOG_IN(&scope, REM_LOG_ERROR, 0, "broken header: \"%.*s\"", n, bytes);
    else
        REM_LOG_IN(&scope, REM_LOG_ERROR, 0, "%s", reason);
    h1_count_rejected(client->listener, REM_REJECT_PROTOCOL);
    h1_close(client);
}

static void ended(struct rem_h1_client *client)
{
    struct rem_log_scope scope = scope_of(client);

    if (client->left_last != 0) {
        refuse(client, "broken header");
        return;
    }
    REM_LOG_IN(&scope, REM_LOG_INFO, 0, "client closed connection");
    h1_close(client);
}

/* Keeps the header, with TLVs of its own, for as long as the connection. */
static int keep(struct rem_h1_client *client, const struct rem_proxy_header *header)
{
    struct rem_proxy_header *kept = calloc(1, sizeof(*kept) + header->tlvs.n);

    if (kept == NULL)
        return REM_ENOMEM;
    *kept = *header;
    kept->tlvs = rem_str_make((char *)(kept + 1), header->tlvs.n);
    if (header->tlvs.n != 0)
        memcpy(kept + 1, header->tlvs.p, header->tlvs.n);
    client->proxied = kept;
    return REM_OK;
}

/* The header is complete: the connection begins. */
static void begin(struct rem_h1_client *client, const struct rem_proxy_header *header)
{
    if (keep(client, header) != REM_OK) {
        h1_close(client);
        return;
    }
    client->left_pos = (uint32_t)header->size;
    if (client->left_pos == client->left_last) {
        h1_block_put(client->worker, client->left);
        client->left = NULL;
    }
    h1_goto(client, REM_H1_IN_IDLE);
    h1_set_timer(client, client->address->fallback->client_header_timeout);
}

void h1_read_proxy(struct rem_h1_client *client)
{
    struct rem_proxy_header header = {.size = 0};
    const char *reason = "";
    int rc = REM_EAGAIN;

    if (client->left == NULL) {
        client->left = h1_block_new(client->worker, REM_PROXY_MAX);
        client->left_pos = client->left_last = 0;
    }
    while (client->left != NULL && rc == REM_EAGAIN) {
        ssize_t n = rem_conn_recv(&client->conn, client->left->data + client->left_last,
                                  client->left->size - client->left_last);

        if (n == REM_EAGAIN)
            break;
        if (n <= 0) {
            ended(client);
            return;
        }
        client->left_last += (uint32_t)n;
        rc = rem_proxy_header_parse(client->left->data, client->left_last, &header, &reason);
    }
    if (client->left == NULL) {
        h1_close(client);
    } else if (rc == REM_OK) {
        begin(client, &header);
    } else if (rc != REM_EAGAIN) {
        refuse(client, reason);
    } else if (client->left_last == 0) { /* who waits holds no block */
        h1_block_put(client->worker, client->left);
        client->left = NULL;
    }
}
