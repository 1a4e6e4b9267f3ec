/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.h - what the tests of balancers share: a worker, and an upstream "app" of many servers of
 * which server i has the address 127.0.0.1 + i.  */
#ifndef REM_TESTS_BALANCE_FIXTURE_H
#define REM_TESTS_BALANCE_FIXTURE_H

#include "proxy/upstream/balance/balance.h"

#include "tests/unit/proto/shm/fixture.h"

enum { MANY = 5000 };

static struct fixture fix;
static struct rem_reader reader;
static struct rem_upstream_ref ref;
static struct rem_server_spec many[MANY];

static inline void setup(void)
{
    fix_init(&fix, 2);
    fix_worker(&fix, &reader);
    rem_upstream_ref_init(&ref, rem_str_from("app"));
    for (uint32_t i = 0; i < MANY; i++) {
        fix_server(&many[i], 1 + i);
        many[i].weight = 1;
        many[i].max_fails = 1;
        many[i].fail_timeout_ms = 1000;
        many[i].flags = 0;
    }
}

static inline void teardown(void)
{
    rem_upstream_ref_fini(&ref);
    fix_fini(&fix);
}

/* The first `count` servers are the upstream's. */
static inline void publish(uint32_t method, uint32_t flags, uint32_t count)
{
    struct rem_upstream_spec spec = {.name = REM_STR("app"),
                                     .servers = many,
                                     .server_count = count,
                                     .method = method,
                                     .method_flags = flags,
                                     .sticky = REM_STICKY_ANYWAY};
    struct rem_commit commit;

    rem_reader_quiesce(&reader);
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
}

static inline uint32_t picked(const struct rem_balance_state *state)
{
    return ntohl(state->pin.addr.u.in.sin_addr.s_addr) - 0x7f000001u;
}

#endif
