/* SPDX-License-Identifier: Apache-2.0 */
/* role.h - what whoever asks the admin API may do.
 *
 * Each role includes those before it, so they compare with "<".
 * Runs in:    master (configuration), agent.  */
#ifndef REM_SHM_ROLE_H
#define REM_SHM_ROLE_H

#include "proto/base/str.h"

enum rem_api_role {
    REM_ROLE_NONE = 0, /* not known who asks: probes only */
    REM_ROLE_METRICS,  /* /metrics */
    REM_ROLE_READ,     /* everything that changes nothing */
    REM_ROLE_WRITE,    /* upstreams, key-values... */
    REM_ROLE_ADMIN,    /* the instance itself: drain, shutdown */
    REM_ROLES
};

/* "read"; "none" for REM_ROLE_NONE. */
const char *rem_role_name(enum rem_api_role role);

/* Errors: REM_EINVAL ("none" is no role that can be given). */
int rem_role_parse(struct rem_str text, enum rem_api_role *out) REM_MUST_CHECK;

#endif
