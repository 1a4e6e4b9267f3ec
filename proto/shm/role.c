/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/role.h"

#include "proto/base/err.h"

static const char *const names[REM_ROLES] = {"none", "metrics", "read", "write", "admin"};

const char *rem_role_name(enum rem_api_role role)
{
    return names[role];
}

int rem_role_parse(struct rem_str text, enum rem_api_role *out)
{
    for (int i = REM_ROLE_METRICS; i < REM_ROLES; i++)
        if (rem_str_is(text, names[i])) {
            *out = (enum rem_api_role)i;
            return REM_OK;
        }
    return REM_EINVAL;
}
