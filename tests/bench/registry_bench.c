/* SPDX-License-Identifier: Apache-2.0 */
/* registry_bench.c - what a pick costs with few and with many servers, and how fast sets swap.
 *
 * A pick is what a request does: find, pick, pin, report, quiesce.  Exits with 1 when ten thousand
 * servers cost round robin more than 1.5 times as much as four, or another method so much more than
 * a hundred do that a few cache misses (their reads cannot be foreseen) do not explain it.  */
#include "proto/shm/writer.h"
#include "proxy/upstream/balance/balance.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MISSES_NS = 1500, PICKS = 2000000, ROUNDS = 5, SWAPS = 5000, MOST = 10000, TRIES = 3 };

static struct rem_server_spec specs[MOST];

/* The processor's time, of which neighbours take none. */
static double now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void must(int rc)
{
    if (rc != REM_OK) {
        fprintf(stderr, "%s\n", rem_err_name(rc));
        exit(2);
    }
}

/* What is measured. */
static const struct method {
    const char *name;
    uint32_t method, flags;
} methods[] = {
    {"round robin", REM_BALANCE_ROUND_ROBIN, 0},
    {"least_conn", REM_BALANCE_LEAST_CONN, 0},
    {"least_time", REM_BALANCE_LEAST_TIME, REM_METHOD_LAST_BYTE | REM_METHOD_INFLIGHT},
    {"random", REM_BALANCE_RANDOM, 0},
    {"random two", REM_BALANCE_RANDOM, REM_METHOD_TWO},
    {"ip_hash", REM_BALANCE_IP_HASH, 0},
    {"hash", REM_BALANCE_HASH, 0},
    {"hash consistent", REM_BALANCE_HASH_CONSISTENT, 0},
};

static void publish(struct rem_writer *writer, const struct method *method, size_t first,
                    size_t count)
{
    struct rem_upstream_spec spec = {.name = REM_STR("app"),
                                     .servers = specs + first,
                                     .server_count = count,
                                     .method = method->method,
                                     .method_flags = method->flags};
    struct rem_change *change;
    struct rem_commit commit;

    must(rem_change_new(writer, &change));
    must(rem_change_put(change, &spec, NULL));
    must(rem_change_commit(change, REM_REVISION_ANY, &commit, NULL));
    rem_change_free(&change);
    rem_writer_reclaim(writer);
}

/* The best of several rounds, so that a neighbour's noise is not measured. */
static double pick_ns(struct rem_reader *reader, struct rem_upstream_ref *ref, int picks)
{
    const struct rem_pin_report report = {
        .outcome = REM_OUTCOME_OK, .status = 200, .sent = 500, .received = 900};
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < picks / ROUNDS; i++) {
            struct rem_balance_state state;
            struct rem_addr client = {.len = sizeof(client.u.in)};
            rem_balance_init(&state, reader, ref);
            client.u.in.sin_family = AF_INET;
            client.u.in.sin_addr.s_addr = (uint32_t)i * 2654435761u;
            state.client = &client;
            state.key = rem_str_make((const char *)&client.u.in.sin_addr, 4);
            must(rem_balance_pick(&state, 1000));
            rem_balance_done(&state, &report, 1000);
            rem_balance_fini(&state);
            rem_reader_quiesce(reader);
        }
        double each = (now_ns() - start) / (picks / ROUNDS);
        best = each < best ? each : best;
    }
    return best;
}

static void make_specs(uint32_t weights)
{
    for (uint32_t i = 0; i < MOST; i++) {
        rem_server_spec_init(&specs[i]);
        specs[i].weight = 1 + i % weights;
        specs[i].addr.len = sizeof(specs[i].addr.u.in);
        specs[i].addr.u.in = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = htons(8000), .sin_addr = {htonl(0x0a000000u + i)}};
    }
}

/* With a hundred servers and with all of them, of different weights. */
static int measure_method(const struct method *method, struct rem_writer *writer,
                          struct rem_reader *reader, struct rem_upstream_ref *ref)
{
    static const size_t counts[] = {4, 100, MOST};
    double ns[REM_COUNT(counts)];

    make_specs(3);
    printf("%-16s", method->name);
    for (size_t i = 0; i < REM_COUNT(counts); i++) {
        publish(writer, method, 0, counts[i]);
        ns[i] = pick_ns(reader, ref, PICKS / 4);
        printf("  %zu servers: %7.1f ns", counts[i], ns[i]);
    }
    printf("%s\n", ns[2] > ns[1] + MISSES_NS ? "  FAILED" : "");
    return ns[2] > ns[1] + MISSES_NS;
}

/* Round robin from four servers to all of them. */
static int measure_round_robin(uint32_t weights, struct rem_writer *writer,
                               struct rem_reader *reader, struct rem_upstream_ref *ref)
{
    static const size_t counts[] = {4, 100, 1000, MOST};
    double few = 0, ns = 0;

    make_specs(weights);
    for (size_t i = 0; i < REM_COUNT(counts); i++) {
        publish(writer, &methods[0], 0, counts[i]);
        ns = pick_ns(reader, ref, PICKS);
        few = i == 0 ? ns : few;
        printf("pick, %5zu servers, weights 1..%u: %6.1f ns\n", counts[i], weights, ns);
    }
    return ns > few * 1.5;
}

/* How fast sets are replaced. */
static void measure_swaps(struct rem_writer *writer)
{
    double start;

    make_specs(1);
    start = now_ns();
    for (size_t i = 0; i < SWAPS; i++)
        publish(writer, &methods[0], i % 100 * 50, 1 + i * 7 % 50);
    printf("swap of disjoint sets of 1..50: %.0f a second\n", SWAPS / ((now_ns() - start) / 1e9));
    start = now_ns();
    for (size_t i = 0; i < 20; i++)
        publish(writer, &methods[0], 0, MOST - i);
    printf("change of a set of %d: %.1f ms\n", MOST, (now_ns() - start) / 20e6);
    start = now_ns();
    for (size_t i = 0; i < 5; i++)
        publish(writer, &methods[REM_COUNT(methods) - 1], 0, MOST - i);
    printf("the same with a ring: %.1f ms\n", (now_ns() - start) / 5e6);
}

/* A neighbour that empties the cache can spoil a try, not all of them. */
static int measure(struct rem_writer *writer, struct rem_reader *reader,
                   struct rem_upstream_ref *ref)
{
    int failed = 0;

    for (uint32_t weights = 1; weights <= 5; weights += 4) {
        int bad = 1;
        for (int try = 0; bad && try < TRIES; try++)
            bad = measure_round_robin(weights, writer, reader, ref);
        failed |= bad;
    }
    for (size_t m = 1; m < REM_COUNT(methods); m++) {
        int bad = 1;
        for (int try = 0; bad && try < TRIES; try++)
            bad = measure_method(&methods[m], writer, reader, ref);
        failed |= bad;
    }
    return failed;
}

int main(void)
{
    struct rem_upstream_ref ref;
    struct rem_region region;
    struct rem_writer *writer;
    struct rem_reader reader;
    int failed;
    unsigned slot;

    must(rem_region_create(&region, 256 << 20, 4));
    must(rem_writer_new(&region, &writer, NULL));
    must(rem_region_claim_worker(&region, 1, 0, &slot));
    rem_reader_init(&reader, &region, slot);
    rem_upstream_ref_init(&ref, rem_str_from("app"));
    failed = measure(writer, &reader, &ref);
    measure_swaps(writer);
    if (failed)
        printf("FAILED: %d servers cost too much more than few\n", MOST);
    rem_upstream_ref_fini(&ref);
    rem_writer_free(&writer);
    rem_region_close(&region);
    return failed;
}
