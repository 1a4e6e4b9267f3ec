/* SPDX-License-Identifier: Apache-2.0 */
/* call.h - what the endpoints of the API share while they answer one request.
 *
 * Lifecycle:  on the stack of rem_api_handle; the arena holds what the answer is made of.  */
#ifndef REM_API_CALL_H
#define REM_API_CALL_H

#include "api/api.h"

enum { REM_CALL_PARAMS = 3 };

struct rem_api_call {
    struct rem_api *api;
    const struct rem_api_request *request;
    struct rem_api_response *response;
    struct rem_api_staged *staged;
    struct rem_str params[REM_CALL_PARAMS]; /* what stood for "*" in the route, decoded */
    struct rem_arena arena;
    struct rem_fault fault;
    bool is_staged; /* the handler has staged a change */
    bool dry_run;   /* it is to be dropped, and the answer is the difference it makes */
    bool flush;     /* the request can only be handled when nothing is staged */
};

/* Handlers return 0 (the response is made, or staged) or REM_EINVAL with a fault. */
typedef int (*rem_api_handler_fn)(struct rem_api_call *call);

/* The change of this turn, begun if there is none.  Errors: REM_EINVAL with the fault. */
int rem_call_change(struct rem_api_call *call) REM_MUST_CHECK;

/* A published upstream by name, whether or not it has a zone; not those made for an address in
 * proxy_pass or kept for old workers.  *flags: enum rem_upstream_flag.
 * Errors: REM_EINVAL with UPSTREAM_NOT_FOUND. */
int rem_call_find(struct rem_api_call *call, struct rem_str name, size_t *index,
                  uint32_t *flags) REM_MUST_CHECK;

/* Its description, all servers included.  Errors: REM_EINVAL with the fault. */
int rem_call_read(struct rem_api_call *call, size_t index,
                  struct rem_upstream_spec *spec) REM_MUST_CHECK;

/* The same as staged changes leave it; *spec is a copy in the arena. */
int rem_call_find_staged(struct rem_api_call *call, struct rem_str name,
                         struct rem_upstream_spec *spec) REM_MUST_CHECK;

/* Whether an upstream with these flags is one that users see. */
static inline bool rem_call_flags_are_shown(uint32_t flags)
{
    return !(flags & (REM_UPSTREAM_IMPLICIT | REM_UPSTREAM_ORPHAN));
}

static inline bool rem_call_is_shown(const struct rem_upstream_spec *spec)
{
    return rem_call_flags_are_shown(spec->flags);
}

/* Whether changes are refused to everybody who comes that way. */
static inline bool rem_call_is_read_only(const struct rem_api_call *call)
{
    return call->request->read_only || !(call->api->write || call->request->from_location);
}

/* Errors of the registry writer as faults.  Returns REM_EINVAL. */
int rem_call_fault(struct rem_api_call *call, int rc, const struct rem_err *err);

/* Makes `value` (taken; NULL: out of memory) the body of the response. */
static inline int rem_call_answer(struct rem_api_call *call, int status, json_t *value)
{
    call->response->status = status;
    rem_json_answer(call->response, value);
    return 0;
}

/* A wall-clock time as the APIs write it: "2026-08-21T10:00:00.123Z". */
enum { REM_PLUS_TIME = 32 };
void rem_plus_time(int64_t sec, unsigned ms, char out[REM_PLUS_TIME]);

/* ---- the endpoints, by file; those of the NGINX Plus API are in plus.h, remora's own in
 * v1.h ---- */

/* v1_drain.c */
int rem_v1_drain(struct rem_api_call *call);
int rem_v1_drain_post(struct rem_api_call *call);
int rem_v1_shutdown(struct rem_api_call *call);

/* health.c */
int rem_health_live(struct rem_api_call *call);
int rem_health_ready(struct rem_api_call *call);
int rem_health_startup(struct rem_api_call *call);

/* metrics.c */
int rem_metrics_get(struct rem_api_call *call);

#endif
