/* SPDX-License-Identifier: Apache-2.0 */
/* keyval_ops.h - what the API does to key-value zones.
 *
 * How to use: an endpoint that changes a zone does
 *                 rem_keyval_zone(call, name, &spec)     404 KeyvalNotFound
 *                 rem_keyval_begin(call, spec, &edit)    the zone as staged changes leave it
 *                 rem_keyval_apply(call, &edit, key, json, mode), for each member of the body
 *                 rem_keyval_stage(call, &edit)          a step of the turn's change
 *                 rem_keyval_end(&edit)                  in any case, begun or not
 *             and then says that it is staged (call->is_staged) as endpoints of servers do. Nothing
 *             is changed before rem_keyval_stage, so that an error at any step leaves all as it
 *             was.  One that reads takes rem_keyval_zone, rem_keyval_bytes and rem_keyval_json.
 *             api->keyvals lists the zones of the configuration, in its order.
 * Errors:     all of these return REM_EINVAL with the fault, as handlers do.  */
#ifndef REM_API_KEYVAL_OPS_H
#define REM_API_KEYVAL_OPS_H

#include "api/call.h"
#include "proto/shm/keyval.h"

/* The zone of that name in the present configuration: KEYVAL_NOT_FOUND. */
int rem_keyval_zone(struct rem_api_call *call, struct rem_str name,
                    const struct rem_keyval_spec **out) REM_MUST_CHECK;

/* The zone as it is published; empty when it holds nothing yet.  Borrowed until the next publish.
 */
struct rem_str rem_keyval_bytes(struct rem_api_call *call, const struct rem_keyval_spec *spec);

/* Living entries as an object: {"k":"v"}; `expiry`: entries that will go are
 * {"value":"v","expire":MS}, with the time that is left.  `key` empty: all; else that one alone,
 * and *found says whether it is there (may be NULL).  NULL without memory. */
json_t *rem_keyval_json(struct rem_api_call *call, struct rem_str bytes, struct rem_str key,
                        bool expiry, bool *found);

struct rem_keyval_op {
    const struct rem_keyval_spec *spec;
    struct rem_keyval_edit edit;
    bool begun;
    bool expire_always; /* "expire" may be given although the zone has no timeout: in /v1 */
};

/* The zone as staged changes leave it; begins the turn's change. */
int rem_keyval_begin(struct rem_api_call *call, const struct rem_keyval_spec *spec,
                     struct rem_keyval_op *op) REM_MUST_CHECK;

enum rem_keyval_mode {
    REM_KEYVAL_ADD = 0, /* POST: KEYVAL_KEY_EXISTS if it is there; null is no value */
    REM_KEYVAL_MODIFY,  /* PATCH of the Plus API: KEYVAL_KEY_NOT_FOUND if it is not; null removes */
    REM_KEYVAL_MERGE,   /* merge patch: adds or modifies; null removes, if there is anything */
};

/* One member of a body: a text; null; {"value": text, "expire": milliseconds}, of which a modified
 * entry may have one alone.  KEYVAL_FORMAT with what is wrong (also: a key that is no address in a
 * zone of addresses; "expire" where the zone has no timeout). */
int rem_keyval_apply(struct rem_api_call *call, struct rem_keyval_op *op, struct rem_str key,
                     const json_t *value, enum rem_keyval_mode mode) REM_MUST_CHECK;

/* Makes what was applied a step of the turn's change: KEYVAL_FULL (413, in /v1 507) when the zone
 * would be larger than the configuration allows. */
int rem_keyval_stage(struct rem_api_call *call, struct rem_keyval_op *op) REM_MUST_CHECK;

/* Frees; `op` may be zeroed. */
void rem_keyval_end(struct rem_keyval_op *op);

#endif
