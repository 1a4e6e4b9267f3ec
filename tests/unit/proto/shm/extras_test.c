/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/extras.h"

#include "proto/shm/reader.h"

#include "tests/unit/suite.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { MANY = 30000 };

static struct rem_server_spec servers[MANY];
static struct rem_upstream_spec spec;
static struct rem_extras extras;

static void setup(void)
{
    for (uint32_t i = 0; i < MANY; i++) {
        rem_server_spec_init(&servers[i]);
        servers[i].addr.len = sizeof(servers[i].addr.u.in);
        servers[i].addr.u.in = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = htons(80), .sin_addr = {htonl(0x0a000000u + i)}};
    }
    spec = (struct rem_upstream_spec){.name = REM_STR("u"), .servers = servers};
}

static void teardown(void)
{
    rem_extras_fini(&extras);
}

static void build(uint32_t method, uint32_t sticky, uint32_t count)
{
    rem_extras_fini(&extras);
    spec.method = method;
    spec.sticky = sticky;
    spec.server_count = count;
    ck_assert_int_eq(rem_extras_build(&spec, &extras), REM_OK);
}

/* The extras inside a set, as readers see them; the caller frees it. */
static struct rem_shm_set *place(uint32_t count)
{
    uint64_t servers_size = count * sizeof(struct rem_shm_server);
    uint64_t size = sizeof(struct rem_shm_set) + servers_size + rem_extras_size(&extras, count);
    struct rem_shm_set *set = aligned_alloc(64, (size + 63) / 64 * 64);

    ck_assert_ptr_nonnull(set);
    memset(set, 0, size);
    set->count = count;
    set->servers_off = sizeof(*set);
    ck_assert_uint_le(rem_extras_fill(&extras, set, (uint32_t)(sizeof(*set) + servers_size)), size);
    return set;
}

START_TEST(nothing_is_kept_for_methods_that_need_nothing)
{
    build(REM_BALANCE_LEAST_CONN, REM_STICKY_NONE, 100);
    ck_assert_ptr_null(extras.shares);
    ck_assert_ptr_null(extras.ring);
    ck_assert_ptr_null(extras.routes);
    build(REM_BALANCE_HASH_CONSISTENT, REM_STICKY_ANYWAY, 0);
    ck_assert_uint_eq(extras.ring_length, 0);
}
END_TEST

START_TEST(shares_find_whom_they_belong_to)
{
    static const uint32_t owners[] = {0, 1, 1, 1, 2, 3, 3};
    struct rem_shm_set *set;

    servers[1].weight = 3;
    servers[3].weight = 2;
    build(REM_BALANCE_HASH, REM_STICKY_NONE, 4);
    set = place(4);
    ck_assert_uint_eq(set->shares, REM_COUNT(owners));
    for (uint32_t i = 0; i < REM_COUNT(owners); i++)
        ck_assert_uint_eq(rem_shm_share_of(set, i), owners[i]);
    free(set);
    servers[1].weight = servers[3].weight = 1;
    build(REM_BALANCE_HASH, REM_STICKY_NONE, 4);
    ck_assert_ptr_null(extras.shares); /* equal: computed, not looked up */
    set = place(4);
    for (uint32_t i = 0; i < 4; i++)
        ck_assert_uint_eq(rem_shm_share_of(set, i), i);
    free(set);
}
END_TEST

static void check_ring(uint32_t count)
{
    uint32_t *points = calloc(count, sizeof(*points));

    for (uint32_t i = 0; i < extras.ring_length; i++) {
        ck_assert_uint_lt(extras.ring[i].server, count);
        points[extras.ring[i].server]++;
        if (i != 0)
            ck_assert_uint_gt(extras.ring[i].hash, extras.ring[i - 1].hash);
    }
    for (uint32_t i = 0; i < count; i++)
        ck_assert_msg(points[i] != 0, "server %u has no point", i);
    free(points);
}

START_TEST(rings_are_in_order_and_know_everybody)
{
    servers[2].weight = 4;
    build(REM_BALANCE_HASH_CONSISTENT, REM_STICKY_NONE, 5);
    ck_assert_uint_gt(extras.ring_length, 8 * REM_RING_POINTS - 10);
    ck_assert_uint_le(extras.ring_length, 8 * REM_RING_POINTS);
    check_ring(5);
}
END_TEST

START_TEST(rings_end_somewhere)
{
    build(REM_BALANCE_HASH_CONSISTENT, REM_STICKY_NONE, MANY);
    ck_assert_uint_le(extras.ring_length, REM_RING_MAX + MANY);
    check_ring(MANY);
}
END_TEST

/* Addresses of one name have the points of one server. */
START_TEST(names_share_points)
{
    servers[0].name = servers[1].name = REM_STR("a.test:80");
    servers[2].name = REM_STR("b.test:80");
    build(REM_BALANCE_HASH_CONSISTENT, REM_STICKY_NONE, 3);
    for (uint32_t i = 0; i < extras.ring_length; i++)
        ck_assert_uint_ne(extras.ring[i].server, 1);
    ck_assert_uint_le(extras.ring_length, 2 * REM_RING_POINTS);
}
END_TEST

START_TEST(routes_lead_to_all_servers)
{
    struct rem_shm_set *set;

    build(REM_BALANCE_ROUND_ROBIN, REM_STICKY_ANYWAY, 1000);
    set = place(1000);
    for (uint32_t i = 0; i < 1000; i++) {
        struct rem_str id = rem_set_sticky_id(set, i);
        uint32_t where = 0;
        ck_assert_uint_eq(id.n, REM_STICKY_ID);
        ck_assert_uint_eq(rem_set_route(set, rem_hash(id.p, id.n), &where), i);
        ck_assert_uint_eq(rem_set_route(set, rem_hash(id.p, id.n), &where), REM_SHM_NONE);
    }
    /* md5("10.0.0.0:80") */
    ck_assert_mem_eq(rem_set_sticky_id(set, 0).p, "99dc1cdfe40feca1ff3affaa4a2ef943", 32);
    free(set);
}
END_TEST

START_TEST(servers_without_routes_have_none)
{
    servers[1].route = REM_STR("one");
    build(REM_BALANCE_ROUND_ROBIN, REM_STICKY_ROUTE, 3);
    ck_assert_ptr_null(extras.sticky_ids);
    unsigned known = 0;
    for (uint32_t i = 0; i <= extras.routes_mask; i++)
        known += extras.routes[i] != REM_SHM_NONE;
    ck_assert_uint_eq(known, 1);
}
END_TEST

START_TEST(the_heaviest_sets_fit)
{
    for (uint32_t i = 0; i < MANY; i++)
        servers[i].weight = REM_SERVER_WEIGHT_MAX;
    spec.method = REM_BALANCE_HASH;
    spec.server_count = MANY;
    ck_assert_int_eq(rem_extras_build(&spec, &extras), REM_OK); /* 30000 * 65535 < 2^32 */
    rem_extras_fini(&extras);
    spec.method = REM_BALANCE_HASH_CONSISTENT;
    ck_assert_int_eq(rem_extras_build(&spec, &extras), REM_OK);
    ck_assert_uint_le(extras.ring_length, REM_RING_MAX + MANY);
}
END_TEST

int main(void)
{
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, nothing_is_kept_for_methods_that_need_nothing);
    tcase_add_test(all, shares_find_whom_they_belong_to);
    tcase_add_test(all, rings_are_in_order_and_know_everybody);
    tcase_add_test(all, rings_end_somewhere);
    tcase_add_test(all, names_share_points);
    tcase_add_test(all, routes_lead_to_all_servers);
    tcase_add_test(all, servers_without_routes_have_none);
    tcase_add_test(all, the_heaviest_sets_fit);
    return run_suite("extras", all);
}
