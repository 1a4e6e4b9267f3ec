/* SPDX-License-Identifier: Apache-2.0 */
/* order.h - the bodies of a request and its subrequests, brought into one order.
 *
 * Runs in:    workers.
 * Position:   the module `order` is a body filter.  Filters listed before it in modules.c work on
 *             one request's body, be it a subrequest's; those behind it see the client's response,
 *             with what subrequests put into it.  Header filters behind it never see a subrequest.
 * Root:       the request whose body the others end up in: the client's, or a subrequest of another
 *             kind than OUTPUT, whose bytes are kept or dropped.
 * Turn:       of all requests below a root one is *active*: its bytes go on as they come.  What
 *             comes from the others waits in a queue of each, among the places of its children.
 * Memory:     waiting bytes are lent by their makers, who are told to pause beyond ORDER_HELD_MAX.
 * Lifetime:   bufs of a subrequest go on wrapped, so that it is not over before they are written.
 */
#ifndef REM_HTTP_ORDER_H
#define REM_HTTP_ORDER_H

#include "proxy/http/http.h"

struct rem_family;

/* Takes a list from a member of a family (NULL: moves on).  Results as exchange->send_body. */
int rem_order_output(struct rem_request *request, struct rem_buf *list) REM_MUST_CHECK;

/* Passes on what may go now.  Results as exchange->send_body; an error is the client's leaving. */
int rem_order_advance(struct rem_family *root) REM_MUST_CHECK;

/* A child's place behind all that the parent has given so far.  Errors: REM_ENOMEM. */
int rem_order_reserve(struct rem_family *child) REM_MUST_CHECK;

/* The child is over: its turn passes, and bufs that still wait are given back. */
void rem_order_leave(struct rem_family *child);

/* Gives back the bufs that wait in a request's queue. */
void rem_order_drop(struct rem_family *family);

extern struct rem_module rem_order_module;

#endif
