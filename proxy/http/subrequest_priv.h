/* SPDX-License-Identifier: Apache-2.0 */
/* subrequest_priv.h - what subrequest.c and order.c know of a request with relatives. */
#ifndef REM_HTTP_SUBREQUEST_PRIV_H
#define REM_HTTP_SUBREQUEST_PRIV_H

#include "proto/base/list.h"
#include "proxy/http/subrequest.h"

struct rem_order_wrap;

/* A run of the output of one request that waits, or the place of a child's. */
struct rem_order_item {
    struct rem_order_item *next;
    struct rem_buf *bufs; /* NULL: a place */
    struct rem_buf **tail;
    uint64_t size;             /* of all of them */
    struct rem_request *child; /* NULL in a place: it has ended */
};

/* Of a request that is a child or has had children; in the request's arena. */
struct rem_family {
    struct rem_request *request;
    struct rem_request *client; /* of the whole family */
    struct rem_request *root;   /* whose body this one's goes into (order.h); perhaps itself */
    struct rem_post wake;

    /* as a child */
    struct rem_subrequest_spec spec;
    struct rem_list node;   /* on the parent's `children` */
    struct rem_list member; /* on the client's `members` */
    uint32_t depth;
    struct rem_conn *stub; /* BACKGROUND: in place of the connection, once that has gone */
    struct rem_order_item *place;
    bool out_done;                /* the end of its body has been passed on */
    uint32_t lent;                /* wrapped bufs with the client's codec */
    size_t lent_bytes;            /* theirs, when they went */
    struct rem_order_wrap *spare; /* wraps that have come back */

    /* as a parent */
    struct rem_list children; /* that are not over */
    uint32_t waited;          /* of these: not BACKGROUND */

    /* its output that waits */
    struct rem_order_item *first, *last;
    uint64_t held; /* bytes */
    bool stalled;  /* its maker was told to pause because of them */

    /* as a root */
    struct rem_request *active;
    char *memory; /* MEMORY: `room` bytes in the parent's arena, `used` of them full */
    size_t room;
    size_t used;
    uint64_t dropped; /* bytes that nobody wanted */
    bool too_big;

    /* as the client's request */
    struct rem_list members; /* all subrequests there have been */
    uint32_t total;
    uint32_t alive;    /* that are not over */
    bool holds_worker; /* the connection has gone, and these count in its place */
};

static inline bool rem_family_is_root(const struct rem_family *family)
{
    return family->root == family->request;
}

#endif
