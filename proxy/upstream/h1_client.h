/* SPDX-License-Identifier: Apache-2.0 */
/* h1_client.h - HTTP/1 towards servers: responses read and framed.
 *
 * Runs in:    workers.
 * Lifecycle:  init per try -> head until REM_OK -> body until input_done.
 * Strictness: that of proto/wire; whatever is doubtful ends the connection.
 * Not here:   I/O (upstream.c), what fields mean to a proxy (proxy_answer.c).  */
#ifndef REM_UPSTREAM_H1_CLIENT_H
#define REM_UPSTREAM_H1_CLIENT_H

#include "proto/wire/chunk.h"
#include "proto/wire/h1.h"
#include "proxy/upstream/upstream.h"

enum { REM_H1_CLIENT_FIELDS = 32 }; /* without asking the arena for more */

struct rem_h1_client {
    struct rem_h1_response head;
    struct rem_field storage[REM_H1_CLIENT_FIELDS];
    struct rem_chunk_decoder chunks;
    uint64_t left; /* of a body with a length */
    enum rem_framing framing;
    enum rem_h1_asked asked;
    uint32_t interim; /* 1xx heads skipped */
    bool upgrade;     /* 101 would be an answer to what was asked */
    /* Told of each 1xx head that is skipped; may be NULL. */
    void (*on_interim)(struct rem_upstream_exchange *x, const struct rem_h1_response *head);
    const struct rem_h1_limits *limits;
};

/* Borrows: limits, for as long as the request lives. */
void rem_h1_client_init(struct rem_h1_client *client, struct rem_upstream_exchange *x,
                        const struct rem_h1_limits *limits, enum rem_h1_asked asked, bool upgrade);

/* As rem_upstream_protocol has them. */
int rem_h1_client_head(struct rem_h1_client *client, struct rem_upstream_exchange *x);
int rem_h1_client_body(struct rem_h1_client *client, struct rem_upstream_exchange *x, char **at,
                       size_t n, size_t *used, size_t *kept);
int rem_h1_client_end(struct rem_h1_client *client);

#endif
