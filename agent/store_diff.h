/* SPDX-License-Identifier: Apache-2.0 */
/* store_diff.h - what run-time changes have made of an upstream of the configuration.
 *
 * Not here:   servers found by asking DNS, as long as they are what their name's line says.  */
#ifndef REM_AGENT_STORE_DIFF_H
#define REM_AGENT_STORE_DIFF_H

#include "proto/base/err.h"
#include "proto/base/sbuf.h"
#include "proto/shm/spec.h"

/* Are the settings the same, servers left out? */
bool rem_store_same_settings(const struct rem_upstream_spec *conf,
                             const struct rem_upstream_spec *now);

/* Does `now` say nothing that `conf` does not say?  The order of servers counts. */
bool rem_store_same(const struct rem_upstream_spec *conf, const struct rem_upstream_spec *now);

/* The changes as words separated by ", ": "+127.0.0.1:1 weight=5", "-127.0.0.1:2",
 * "127.0.0.1:3 weight=2 down", "max_requests=7"; the first `most` of them, then "and N more";
 * empty: none. `conf` NULL: all of `now` is new.  Errors: REM_ENOMEM. */
int rem_store_changes(const struct rem_upstream_spec *conf, const struct rem_upstream_spec *now,
                      size_t most, struct rem_sbuf *out) REM_MUST_CHECK;

#endif
