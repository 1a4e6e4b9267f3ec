/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - a server as the tests of state files want one.  */
#ifndef REM_TESTS_AGENT_SERVER_H
#define REM_TESTS_AGENT_SERVER_H

#include "proto/shm/spec.h"

#include "tests/unit/suite.h"

/* Of an address; port 80 unless that has one.  All else as usual. */
static inline struct rem_server_spec server(const char *addr)
{
    struct rem_server_spec s;

    rem_server_spec_init(&s);
    ck_assert_int_eq(rem_addr_parse(rem_str_from(addr), 80, &s.addr), 0);
    return s;
}

#endif
