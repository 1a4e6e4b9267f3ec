/* SPDX-License-Identifier: Apache-2.0 */
/* upload.h - a request on its way to the server: its head, and its body buffered or streamed.
 *
 * Memory:     buffered bodies are sent from where they lie (memory or file) through bufs of our
 *             own, so that another try can send them again.  A streamed run is sent from the
 *             client's buffer; what the socket does not take is copied, and no more is taken until
 *             it is gone.  */
#ifndef REM_UPSTREAM_UPLOAD_H
#define REM_UPSTREAM_UPLOAD_H

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/wire/chunk.h"

struct rem_upstream_exchange;

enum rem_upload_state {
    REM_UPLOAD_IDLE = 0, /* no connection */
    REM_UPLOAD_SENDING,  /* waits for room in the socket */
    REM_UPLOAD_WAITING,  /* waits for more of the client's body */
    REM_UPLOAD_DONE,     /* everything is written */
    REM_UPLOAD_BROKEN,   /* the server takes no more; its answer may still come */
};

struct rem_upload {
    enum rem_upload_state state;
    struct rem_str head;        /* made once by the protocol */
    const struct rem_buf *body; /* buffered: what is to be sent behind the head; never changed */
    bool streamed;              /* the body is read as it comes */
    bool chunked;               /* ... and sent in chunks, its length being unknown */
    bool raw;                   /* a tunnel: bytes come from the codec as they are */
    bool body_end;              /* streamed: the end was taken from the client */
    bool consumed;              /* streamed: body bytes were taken and cannot be taken again */
    uint64_t base;              /* conn.sent when the try began */
    struct rem_buf *queue;      /* to be written */
    struct rem_buf head_buf;
    struct rem_buf *copies; /* bufs over `body`, as many as it has */
    uint32_t copy_count;
    struct rem_buf data_buf, open_buf, close_buf; /* a streamed run with its chunk framing */
    char open_text[REM_CHUNK_HEAD_MAX];
    struct rem_buf whole_buf; /* a body that came in one piece, kept for another try */
    char *stash;              /* what the socket did not take of a streamed run */
    size_t stash_size;
};

/* Prepares a try: everything is sent from the start.  Errors: REM_ENOMEM. */
int rem_upload_start(struct rem_upstream_exchange *x) REM_MUST_CHECK;

/* Writes what goes now.  Returns: REM_OK (all is written), REM_EAGAIN (see state), REM_ECLOSED or
 * REM_EIO (the server's connection; errno), REM_ENOMEM, or a positive status: the client's body
 * cannot be read. */
int rem_upload_pump(struct rem_upstream_exchange *x) REM_MUST_CHECK;

/* From now on raw bytes of the client's connection are sent. */
void rem_upload_tunnel(struct rem_upstream_exchange *x);

/* Bytes of the request written in this try. */
uint64_t rem_upload_sent(const struct rem_upstream_exchange *x);

/* Whether another try could send the same request. */
bool rem_upload_repeatable(const struct rem_upstream_exchange *x);

#endif
