/* SPDX-License-Identifier: Apache-2.0 */
/* h1_client.c - reads HTTP/1 responses. */
#include "proxy/upstream/h1_client.h"

enum {
    REM_H1_CLIENT_INTERIM_MAX = 64,
    REM_H1_CLIENT_RUN = 4096, /* not worth moving any more */
};

static void head_again(struct rem_h1_client *client, struct rem_arena *arena)
{
    rem_h1_response_init(&client->head, client->limits, arena);
    rem_fields_init_in(&client->head.head.fields, client->storage, REM_H1_CLIENT_FIELDS, arena);
}

void rem_h1_client_init(struct rem_h1_client *client, struct rem_upstream_exchange *x,
                        const struct rem_h1_limits *limits, enum rem_h1_asked asked, bool upgrade)
{
    client->limits = limits;
    client->asked = asked;
    client->upgrade = upgrade;
    client->interim = 0;
    client->on_interim = NULL;
    client->left = 0;
    client->framing = REM_FRAMING_NONE;
    head_again(client, &x->request->arena);
}

/* The head says how the body ends, and whether the connection survives it. */
static int head_framing(struct rem_h1_client *client, struct rem_upstream_exchange *x)
{
    const struct rem_h1_head *head = &client->head.head;

    x->status = client->head.code;
    client->framing = (enum rem_framing)head->framing;
    client->left = head->content_length;
    x->reusable = rem_h1_persists(head);
    x->fields = &head->fields;
    if (x->status == 101) {
        bool unsent = x->upload.queue != NULL || (x->upload.streamed && !x->upload.body_end);

        /* What is left of the request's body would be taken for the tunnel's first bytes. */
        if (!client->upgrade || (head->flags & REM_H1_UPGRADE) == 0 || unsent) {
            x->fault_text = "upstream sent invalid header: unexpected status 101";
            return REM_EPROTO;
        }
        x->upgraded = true;
        x->reusable = false;
        client->framing = REM_FRAMING_UNTIL_CLOSE;
    }
    switch (client->framing) {
    case REM_FRAMING_NONE:
        x->relay.expected = 0;
        x->relay.input_done = true;
        break;
    case REM_FRAMING_LENGTH:
        x->relay.expected = client->left > INT64_MAX ? INT64_MAX : (int64_t)client->left;
        x->relay.input_done = client->left == 0;
        break;
    case REM_FRAMING_CHUNKED:
        rem_chunk_decoder_init(&client->chunks, client->limits, &x->request->arena);
        break;
    case REM_FRAMING_UNTIL_CLOSE:
        break;
    }
    return 0;
}

int rem_h1_client_head(struct rem_h1_client *client, struct rem_upstream_exchange *x)
{
    struct rem_relay *relay = &x->relay;

    for (;;) {
        size_t n = (size_t)(relay->in->last - relay->pos);
        int rc = rem_h1_response_parse(&client->head, client->asked, relay->pos, n);

        if (rc == REM_EAGAIN)
            return n >= client->limits->max_head ? REM_ETOOBIG : REM_EAGAIN;
        if (rc != 0) {
            x->fault_text = rem_h1_refusal(&client->head.head, relay->pos, n, &x->request->arena);
            return rc == REM_EUNSUPPORTED ? REM_EPROTO : rc;
        }
        relay->pos += client->head.head.head_size;
        if (client->head.code >= 200 || client->head.code == 101)
            return head_framing(client, x);
        /* Interim responses are the server's business with us; another head follows. */
        if (++client->interim > REM_H1_CLIENT_INTERIM_MAX) {
            x->fault_text = "upstream sent too many interim responses";
            return REM_EPROTO;
        }
        if (client->on_interim != NULL)
            client->on_interim(x, &client->head);
        head_again(client, &x->request->arena);
        if (relay->pos == relay->in->last)
            return REM_EAGAIN;
    }
}

/* Small chunks are moved together, so that a read of many makes few bufs; a large one stays where
 * it was read to, in a buf of its own as long as the block has some to spare. */
static int body_chunked(struct rem_h1_client *client, struct rem_upstream_exchange *x, char **at,
                        size_t n, size_t *used, size_t *kept)
{
    bool spare = x->relay.in->n_bufs + 1 < REM_RELAY_BUFS;
    const char *in = *at;
    char *from = *at, *to = *at;
    size_t off = 0;
    int rc = 0;

    while (off < n && !(spare && to - from >= REM_H1_CLIENT_RUN)) {
        struct rem_str data = {NULL, 0};
        size_t step = 0;

        rc = rem_chunk_decode(&client->chunks, in + off, n - off, &step, &data);
        if (rc == 0 && data.n != 0) {
            char *run = *at + (data.p - in);
            if (to == from)
                from = to = run;
            if (to != run)
                memmove(to, run, data.n);
            to += data.n;
        }
        off += step;
        if (rc != 0 || data.n == 0)
            break;
    }
    if (rc == REM_EAGAIN)
        rc = 0;
    if (rc != 0)
        x->fault_text = "upstream sent invalid chunked response";
    x->relay.input_done = rem_chunk_is_done(&client->chunks);
    if (x->relay.input_done)
        x->trailers = &client->chunks.trailers.fields;
    *at = from;
    *used = off;
    *kept = (size_t)(to - from);
    return rc;
}

int rem_h1_client_body(struct rem_h1_client *client, struct rem_upstream_exchange *x, char **at,
                       size_t n, size_t *used, size_t *kept)
{
    switch (client->framing) {
    case REM_FRAMING_CHUNKED:
        return body_chunked(client, x, at, n, used, kept);
    case REM_FRAMING_LENGTH:
        if (n > client->left)
            n = (size_t)client->left;
        client->left -= n;
        x->relay.input_done = client->left == 0;
        break;
    case REM_FRAMING_NONE:
        n = 0;
        x->relay.input_done = true;
        break;
    case REM_FRAMING_UNTIL_CLOSE:
        break;
    }
    *used = n;
    *kept = n;
    return 0;
}

int rem_h1_client_end(struct rem_h1_client *client)
{
    return client->framing == REM_FRAMING_UNTIL_CLOSE ? 0 : REM_ECLOSED;
}
