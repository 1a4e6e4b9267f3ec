/* SPDX-License-Identifier: Apache-2.0 */
/* upstream_json.h - what an upstream is besides its servers, as /v1 shows and takes it.
 *
 * Members:    method (written as its directive), keepalive, limits, outlier_detection (null: off).
 * Not here:   servers (see server_json.h), counters (see v1_read.c).  */
#ifndef REM_API_UPSTREAM_JSON_H
#define REM_API_UPSTREAM_JSON_H

#include "api/json.h"
#include "proto/shm/spec.h"

/* What an upstream is that nobody has said anything about: as in a configuration. */
void rem_upstream_json_defaults(struct rem_upstream_spec *spec);

/* Does the method need a key, which only a configuration can give? */
bool rem_upstream_json_keyed(uint32_t method);

/* Reads one member into *spec, on top of what is there; null sets the default.  `keyed`: the
 * configuration has a key for the upstream.
 * Returns: 0; REM_ENOTFOUND: no member of ours; REM_EINVAL with the fault. */
int rem_upstream_json_member(struct rem_upstream_spec *spec, bool keyed, const char *key,
                             const json_t *value, struct rem_fault *fault) REM_MUST_CHECK;

/* Whether no member differs. */
bool rem_upstream_json_same(const struct rem_upstream_spec *a, const struct rem_upstream_spec *b);

/* Appends the members as text, each behind a comma; only those that differ in `other`, if that is
 * not NULL. */
void rem_upstream_json_put(struct rem_sbuf *out, const struct rem_upstream_spec *spec,
                           const struct rem_upstream_spec *other);

#endif
