/* SPDX-License-Identifier: Apache-2.0 */
/* subrequest.h - requests that a request makes of its own server: for its output, for its parent's
 * eyes only, or for nobody.
 *
 * Runs in:    workers.
 * Lifecycle:  rem_subrequest_start -> posted; its phases run from the event loop (server-rewrite
 *             first, access left out) -> rem_request_finalize -> `done` -> over.
 * Rule 1:     a parent ends only after its children, those of kind BACKGROUND aside; when it is
 *             aborted, so are they.
 * Rule 2:     a family's memory leans on each other's, so it goes all at once, when all are over.
 * Rule 3:     a parent and its children share the values of variables; a child sees its own URI,
 *             arguments and response, and the head that the client sent.
 * Rule 4:     a child has an exchange of its own (rem_subrequest_ops), so neither handlers nor
 *             filters nor the upstream know the difference; see order.h for what becomes of the
 *             bytes.
 * Bounds:     50 levels, and 4096 subrequests for one request of a client.
 * Not here:   whose turn it is to be sent (order.h).  */
#ifndef REM_HTTP_SUBREQUEST_H
#define REM_HTTP_SUBREQUEST_H

#include "proxy/http/request.h"

enum { REM_SUBREQUEST_DEPTH_MAX = 50, REM_SUBREQUEST_COUNT_MAX = 4096 };

enum rem_subrequest_kind {
    REM_SUBREQUEST_OUTPUT = 0, /* its body stands in the parent's, where it was started */
    REM_SUBREQUEST_MEMORY,     /* its body is kept for `done`, up to `limit` bytes */
    REM_SUBREQUEST_HEAD,       /* only its status and fields count */
    REM_SUBREQUEST_BACKGROUND, /* nothing of it is seen, and nobody waits for it */
};

/* How a child has ended. */
struct rem_subrequest_result {
    int status;          /* of its response, or what it failed with; never 0 */
    struct rem_str body; /* MEMORY: in the parent's arena */
    bool too_big;        /* MEMORY: there was more */
};

/* Called once, when the child is over and all it owns is still there; not when the parent is over
 * before.  Only records, and perhaps rem_request_resume(child->parent). */
typedef void (*rem_subrequest_done_fn)(struct rem_request *child,
                                       const struct rem_subrequest_result *result, void *data);

struct rem_subrequest_spec {
    enum rem_subrequest_kind kind;
    struct rem_str uri; /* these two live as long as the parent */
    struct rem_str args;
    bool same_method;            /* else GET */
    bool with_body;              /* the parent's body, if it is complete, is the child's too */
    size_t limit;                /* MEMORY */
    rem_subrequest_done_fn done; /* may be NULL */
    void *data;
};

/* Makes a child; its phases run later in this turn.  `out` may be NULL.
 * Errors: REM_ENOMEM; REM_ETOOBIG (too deep or too many; logged). */
int rem_subrequest_start(struct rem_request *parent, const struct rem_subrequest_spec *spec,
                         struct rem_request **out) REM_MUST_CHECK;

/* ---- for request.c alone ---- */

/* Whether something of the request or its children is still to come or to be sent. */
bool rem_subrequest_pending(const struct rem_request *request);

/* The client's codec has room again. */
void rem_subrequest_writable(struct rem_request *request);

/* The client has closed its side, while the request itself waits for its children alone: those who
 * want to know are told. */
void rem_subrequest_hangup(struct rem_request *request);

/* The request is over: children that it does not outlive are aborted, and the others (BACKGROUND)
 * learn that the connection is no longer there. */
void rem_subrequest_leave(struct rem_request *request);

/* Whether members of the family are left that are not over. */
bool rem_subrequest_alive(const struct rem_request *client);

/* The client's request that `request` belongs to, perhaps itself. */
struct rem_request *rem_subrequest_client(struct rem_request *request);

/* The family's memory is about to go.  Returns: a member to be freed, or NULL when only the
 * client's request is left. */
struct rem_request *rem_subrequest_take(struct rem_request *client);

#endif
