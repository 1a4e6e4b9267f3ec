/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.h - a registry to test with: servers whose every field follows from one number.
 *
 * A reader that finds fields of two different servers, or freed memory, notices.  */
#ifndef REM_TESTS_SHM_FIXTURE_H
#define REM_TESTS_SHM_FIXTURE_H

#include "proto/shm/reader.h"
#include "proto/shm/writer.h"

#include "tests/unit/suite.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIX_SIZE = 64 << 20, FIX_SERVERS = 64 };

struct fixture {
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_server_spec servers[FIX_SERVERS];
};

static inline uint32_t fix_mix(uint32_t number, uint32_t salt)
{
    return (number * 2654435761u + salt) >> 7;
}

/* Server `number`, below 2^24. */
static inline void fix_server(struct rem_server_spec *spec, uint32_t number)
{
    rem_server_spec_init(spec);
    spec->addr.len = sizeof(spec->addr.u.in);
    spec->addr.u.in = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)(1024 + fix_mix(number, 1) % 60000)),
        .sin_addr = {htonl(0x7f000000u + number)},
    };
    spec->weight = 1 + fix_mix(number, 2) % 7;
    spec->max_fails = fix_mix(number, 3) % 5;
    spec->fail_timeout_ms = fix_mix(number, 4) % 100000;
}

/* The number a published server was made from; aborts when its fields are of several. */
static inline uint32_t fix_number(const struct rem_shm_set *set,
                                  const struct rem_shm_server *server)
{
    struct rem_server_spec spec;
    struct rem_addr addr = {0};
    uint32_t number;

    rem_set_addr(set, server, &addr);
    REM_CHECK(addr.u.in.sin_family == AF_INET);
    number = ntohl(addr.u.in.sin_addr.s_addr) - 0x7f000000u;
    fix_server(&spec, number);
    REM_CHECK(addr.u.in.sin_port == spec.addr.u.in.sin_port);
    REM_CHECK(server->weight == spec.weight && server->max_fails == spec.max_fails);
    REM_CHECK(server->fail_timeout_ms == spec.fail_timeout_ms);
    return number;
}

static inline struct rem_upstream_spec fix_upstream(struct fixture *fix, const char *name,
                                                    uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        fix_server(&fix->servers[i], first + i);
    return (struct rem_upstream_spec){.name = rem_str_from(name),
                                      .zone = REM_STR("z"),
                                      .zone_size = 65536,
                                      .config_hash = 1,
                                      .servers = fix->servers,
                                      .server_count = count};
}

static inline void fix_init(struct fixture *fix, unsigned workers)
{
    *fix = (struct fixture){0};
    ck_assert_int_eq(rem_region_create(&fix->region, FIX_SIZE, workers), REM_OK);
    ck_assert_int_eq(rem_writer_new(&fix->region, &fix->writer, NULL), REM_OK);
}

static inline void fix_fini(struct fixture *fix)
{
    rem_writer_free(&fix->writer);
    rem_region_close(&fix->region);
}

static inline int fix_try_put(struct fixture *fix, const struct rem_upstream_spec *spec,
                              struct rem_commit *commit)
{
    struct rem_change *change;
    int rc = rem_change_new(fix->writer, &change);

    if (rc != REM_OK)
        return rc;
    rc = rem_change_put(change, spec, NULL);
    if (rc == REM_OK)
        rc = rem_change_commit(change, REM_REVISION_ANY, commit, NULL);
    rem_change_free(&change);
    return rc;
}

/* Publishes servers first .. first + count - 1 as `name`. */
static inline struct rem_commit fix_put(struct fixture *fix, const char *name, uint32_t first,
                                        uint32_t count)
{
    struct rem_upstream_spec spec = fix_upstream(fix, name, first, count);
    struct rem_commit commit = {0};

    ck_assert_int_eq(fix_try_put(fix, &spec, &commit), REM_OK);
    return commit;
}

static inline void fix_remove(struct fixture *fix, const char *name)
{
    struct rem_commit commit;
    struct rem_change *change;

    ck_assert_int_eq(rem_change_new(fix->writer, &change), REM_OK);
    ck_assert_int_eq(rem_change_remove(change, rem_str_from(name)), REM_OK);
    ck_assert_int_eq(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL), REM_OK);
    rem_change_free(&change);
}

/* Reclaims until nothing is pending; fails after too many rounds. */
static inline void fix_settle(struct fixture *fix)
{
    struct rem_writer_stats stats;
    int rounds = 0;

    while (rem_writer_reclaim(fix->writer))
        ck_assert_int_lt(rounds++, 100);
    ck_assert_int_eq(rem_writer_stats(fix->writer, &stats), REM_OK);
    ck_assert_uint_eq(stats.pending, 0);
    ck_assert_uint_eq(stats.used, stats.reachable);
}

static inline unsigned fix_worker(struct fixture *fix, struct rem_reader *reader)
{
    unsigned slot;

    ck_assert_int_eq(rem_region_claim_worker(&fix->region, 1, 0, &slot), REM_OK);
    rem_reader_init(reader, &fix->region, slot);
    return slot;
}

static inline struct rem_upstream_status fix_status(struct fixture *fix, const char *name,
                                                    struct rem_arena *arena)
{
    struct rem_upstream_status status;
    size_t index;

    ck_assert_int_eq(rem_writer_find(fix->writer, rem_str_from(name), &index), REM_OK);
    ck_assert_int_eq(rem_writer_status(fix->writer, index, 1000, arena, &status), REM_OK);
    return status;
}

#endif
