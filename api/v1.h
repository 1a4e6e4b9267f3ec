/* SPDX-License-Identifier: Apache-2.0 */
/* v1.h - the endpoints of remora's own API, and what they share.
 *
 * Writes:     a handler takes its steps on the turn's change and ends with rem_v1_stage.  One that
 *             takes several steps has a route that is `alone`: the change holds nothing else then,
 *             and is dropped as a whole when a step fails.  dry_run and preconditions are looked
 *             at before and behind the handler (see api.c).  */
#ifndef REM_API_V1_H
#define REM_API_V1_H

#include "api/call.h"

/* ---- endpoints, by file ---- */

/* v1_read.c */
int rem_v1_upstreams(struct rem_api_call *call);
int rem_v1_upstream(struct rem_api_call *call);
int rem_v1_servers(struct rem_api_call *call);
int rem_v1_server(struct rem_api_call *call);
int rem_v1_revision(struct rem_api_call *call);
int rem_v1_status(struct rem_api_call *call);

/* v1_overview.c */
int rem_v1_overview(struct rem_api_call *call);

/* v1_state.c */
int rem_v1_state(struct rem_api_call *call);

/* v1_upstream.c */
int rem_v1_upstreams_post(struct rem_api_call *call);
int rem_v1_upstream_put(struct rem_api_call *call);
int rem_v1_upstream_patch(struct rem_api_call *call);
int rem_v1_upstream_delete(struct rem_api_call *call);

/* v1_server.c */
int rem_v1_servers_put(struct rem_api_call *call);
int rem_v1_servers_post(struct rem_api_call *call);
int rem_v1_server_patch(struct rem_api_call *call);
int rem_v1_server_delete(struct rem_api_call *call);

/* v1_transaction.c */
int rem_v1_transaction(struct rem_api_call *call);

/* v1_history.c */
int rem_v1_history(struct rem_api_call *call);
int rem_v1_history_one(struct rem_api_call *call);
int rem_v1_rollback(struct rem_api_call *call);

/* events.c */
int rem_v1_events(struct rem_api_call *call);

/* openapi.c */
int rem_v1_openapi(struct rem_api_call *call);

/* ---- shared ---- */

/* The request's body, an object or array.  Owns: *out is the caller's.  Errors: REM_EINVAL with the
 * fault. */
int rem_v1_body(struct rem_api_call *call, json_t **out) REM_MUST_CHECK;

/* The change is staged: `body` (taken; NULL: out of memory) is the answer, which gets "revision"
 * and "applied" in front.  Returns 0. */
int rem_v1_stage(struct rem_api_call *call, int status, json_t *body);

/* Has the client asked (?return=minimal) to be spared what it has sent? */
bool rem_v1_minimal(const struct rem_api_call *call);

/* The upstream without servers as staged; only one that users see.  Errors: REM_EINVAL with the
 * fault. */
int rem_v1_head(struct rem_api_call *call, struct rem_str name,
                struct rem_upstream_spec *out) REM_MUST_CHECK;

/* Appends the members of the upstream as staged, its servers among them. */
void rem_v1_put_staged(struct rem_api_call *call, struct rem_str name, struct rem_sbuf *out);

/* Steps.  All return 0, or REM_EINVAL with the fault. */
enum rem_v1_use { REM_V1_CREATE = 0, REM_V1_REPLACE, REM_V1_PATCH };
int rem_v1_put_upstream(struct rem_api_call *call, struct rem_str name, const json_t *object,
                        enum rem_v1_use use) REM_MUST_CHECK;
int rem_v1_remove_upstream(struct rem_api_call *call, struct rem_str name) REM_MUST_CHECK;
int rem_v1_put_servers(struct rem_api_call *call, struct rem_str name,
                       const json_t *servers) REM_MUST_CHECK;
int rem_v1_add_server(struct rem_api_call *call, struct rem_str name, const json_t *server,
                      uint32_t *out_id) REM_MUST_CHECK;
int rem_v1_patch_server(struct rem_api_call *call, struct rem_str name, uint32_t id,
                        const json_t *patch) REM_MUST_CHECK;
int rem_v1_remove_server(struct rem_api_call *call, struct rem_str name,
                         uint32_t id) REM_MUST_CHECK;

/* The id of the staged server with this address.  Errors: REM_EINVAL with the fault. */
int rem_v1_find_address(struct rem_api_call *call, struct rem_str name, struct rem_str address,
                        uint32_t *out) REM_MUST_CHECK;

#endif
