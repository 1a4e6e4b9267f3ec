/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/region.h"

#include "tests/unit/proto/shm/fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(creates_and_attaches)
{
    struct rem_region region, again;

    ck_assert_int_eq(rem_region_create(&region, REM_REGION_MIN - 1, 1), REM_EINVAL);
    ck_assert_int_eq(rem_region_create(&region, REM_REGION_MIN + 1, 3), REM_OK);
    ck_assert_uint_eq(region.size % (size_t)sysconf(_SC_PAGESIZE), 0);
    ck_assert_uint_eq(region.lines, 8);
    region.header->workers[7].pid = 4711;
    ck_assert_int_eq(rem_region_attach(&again, dup(region.fd)), REM_OK);
    ck_assert_uint_eq(again.lines, 8);
    ck_assert_int_eq(again.header->workers[7].pid, 4711);
    ck_assert_ptr_ne(again.header, region.header);
    rem_region_close(&again);
    rem_region_close(&region);
    ck_assert_int_eq(region.fd, -1);
}
END_TEST

START_TEST(lines_follow_the_workers)
{
    static const struct {
        unsigned workers, lines;
    } cases[] = {{0, 2}, {1, 2}, {2, 4}, {4, 8}, {5, 16}, {128, 256}, {1000, 256}};
    struct rem_region region;

    ck_assert_int_eq(rem_region_create(&region, REM_REGION_MIN, cases[_i].workers), REM_OK);
    ck_assert_uint_eq(region.lines, cases[_i].lines);
    rem_region_close(&region);
}
END_TEST

START_TEST(refuses_what_is_not_a_region)
{
    struct rem_region region, again;
    struct rem_shm_header saved;
    int empty = memfd_create("empty", MFD_CLOEXEC);

    ck_assert_int_eq(rem_region_attach(&again, empty), REM_EINVAL);
    ck_assert_int_eq(ftruncate(empty, REM_REGION_MIN), 0);
    ck_assert_int_eq(rem_region_attach(&again, empty), REM_EINVAL);
    close(empty);
    ck_assert_int_eq(rem_region_attach(&again, -1), REM_EIO);
    ck_assert_int_eq(rem_region_create(&region, REM_REGION_MIN, 1), REM_OK);
    for (int bad = 0; bad < 6; bad++) {
        memcpy(&saved, region.header, offsetof(struct rem_shm_header, root));
        if (bad == 0)
            region.header->layout++;
        if (bad == 1)
            region.header->sizes++;
        if (bad == 2)
            region.header->size++;
        if (bad == 3)
            region.header->lines = 3;
        if (bad == 4)
            region.header->data = 64;
        if (bad == 5)
            region.header->header_size--;
        int want = bad == 0 || bad == 1 || bad == 5 ? REM_EUNSUPPORTED : REM_EINVAL;
        ck_assert_msg(rem_region_attach(&again, region.fd) == want, "case %d", bad);
        memcpy(region.header, &saved, offsetof(struct rem_shm_header, root));
    }
    rem_region_close(&region);
}
END_TEST

START_TEST(worker_slots)
{
    struct fixture fix;
    unsigned slots[REM_SHM_WORKERS], slot;
    bool lines[8] = {false};

    fix_init(&fix, 4);
    /* the first ones get a line each */
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(rem_region_claim_worker(&fix.region, 3, 99, &slots[i]), REM_OK);
        ck_assert(!lines[slots[i] % 8]);
        lines[slots[i] % 8] = true;
    }
    rem_region_set_worker_pid(&fix.region, slots[5], 1234);
    for (int i = 8; i < REM_SHM_WORKERS; i++)
        ck_assert_int_eq(rem_region_claim_worker(&fix.region, 3, 99, &slots[i]), REM_OK);
    ck_assert_int_eq(rem_region_claim_worker(&fix.region, 3, 99, &slot), REM_EFULL);
    /* totals survive a worker, gauges do not */
    struct rem_shm_worker *worker = rem_region_worker(&fix.region, slots[5]);
    rem_count(&worker->requests, 7);
    rem_count_status(worker, 204);
    rem_count_status(worker, 99);
    rem_count_status(worker, 600);
    rem_gauge(&worker->conn_active, 5);
    atomic_store(&worker->seen, 1);
    rem_region_worker_gone(&fix.region, slots[5]);
    rem_region_worker_gone(&fix.region, slots[5]);
    ck_assert_uint_eq(atomic_load(&worker->seen), 0);
    struct rem_region_totals totals;
    rem_region_totals(&fix.region, &totals);
    ck_assert_uint_eq(totals.requests, 7);
    ck_assert_uint_eq(totals.responses[1], 1);
    ck_assert_int_eq(totals.conn_active, 0);
    ck_assert_uint_eq(totals.workers_live, REM_SHM_WORKERS - 1);
    /* a dead one's slot is not cleaned while others live on its line, but is better than none */
    rem_writer_reclaim(fix.writer);
    ck_assert_uint_eq(atomic_load(&worker->state), REM_WORKER_DEAD);
    ck_assert_int_eq(rem_region_claim_worker(&fix.region, 3, 99, &slot), REM_OK);
    ck_assert_uint_eq(slot, slots[5]);
    ck_assert_int_eq(rem_region_claim_worker(&fix.region, 3, 99, &slot), REM_EFULL);
    /* one that is just being cleaned is not taken */
    rem_region_worker_gone(&fix.region, slots[5]);
    atomic_store(&worker->state, REM_WORKER_CLEANING);
    ck_assert_int_eq(rem_region_claim_worker(&fix.region, 3, 99, &slot), REM_EFULL);
    atomic_store(&worker->state, REM_WORKER_DEAD);
    for (int i = 0; i < REM_SHM_WORKERS; i++)
        if (slots[i] % 8 == slots[5] % 8)
            rem_region_worker_gone(&fix.region, slots[i]);
    rem_writer_reclaim(fix.writer);
    uint64_t before = atomic_load(&worker->incarnation);
    for (int i = 0; i < REM_SHM_WORKERS / 8; i++) {
        ck_assert_int_eq(rem_region_claim_worker(&fix.region, 3, 99, &slot), REM_OK);
        ck_assert_uint_eq(slot % 8, slots[5] % 8);
    }
    ck_assert_uint_eq(atomic_load(&worker->incarnation), before + 1);
    fix_fini(&fix);
}
END_TEST

/* With the agent away, workers that keep dying still find slots; when it is back it cleans what has
 * nobody alive. */
START_TEST(no_agent_no_shortage)
{
    struct fixture fix;
    unsigned slot;

    fix_init(&fix, 1);
    for (int i = 0; i < 2 * REM_SHM_WORKERS; i++) {
        ck_assert_int_eq(rem_region_claim_worker(&fix.region, 1, 0, &slot), REM_OK);
        if (i < 2 * REM_SHM_WORKERS - 1)
            rem_region_worker_gone(&fix.region, slot);
    }
    rem_writer_reclaim(fix.writer);
    unsigned dead = 0;
    for (unsigned i = 0; i < REM_SHM_WORKERS; i++)
        if (atomic_load(&rem_region_worker(&fix.region, i)->state) == REM_WORKER_DEAD) {
            ck_assert_uint_eq(i % fix.region.lines, slot % fix.region.lines);
            dead++;
        }
    ck_assert_uint_gt(dead, 0);
    rem_region_worker_gone(&fix.region, slot);
    rem_writer_reclaim(fix.writer);
    for (unsigned i = 0; i < REM_SHM_WORKERS; i++)
        ck_assert_uint_eq(atomic_load(&rem_region_worker(&fix.region, i)->state), REM_WORKER_FREE);
    fix_fini(&fix);
}
END_TEST

/* Two masters take turns; the writer's lock is another one. */
START_TEST(statistics_are_locked)
{
    struct rem_region region;
    pid_t other;
    int up[2];
    char byte;
    int status;

    ck_assert_int_eq(rem_region_create(&region, REM_REGION_MIN, 2), REM_OK);
    ck_assert_int_eq(pipe(up), 0);
    ck_assert_int_eq(rem_region_lock_stats(&region), REM_OK);
    other = fork();
    if (other == 0) {
        if (rem_region_lock_writer(&region) != REM_OK || write(up[1], "w", 1) != 1)
            _exit(1);
        _exit(rem_region_lock_stats(&region) != REM_OK || write(up[1], "s", 1) != 1);
    }
    ck_assert_int_eq(read(up[0], &byte, 1), 1);
    ck_assert_int_eq(byte, 'w');
    ck_assert_int_eq(waitpid(other, &status, WNOHANG), 0); /* it waits for us */
    rem_region_unlock_stats(&region);
    ck_assert_int_eq(read(up[0], &byte, 1), 1);
    ck_assert_int_eq(byte, 's');
    ck_assert_int_eq(waitpid(other, &status, 0), other);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(rem_region_lock_stats(&region), REM_OK); /* gone with the process */
    close(up[0]);
    close(up[1]);
    rem_region_close(&region);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("region");

    tcase_add_test(tcase, creates_and_attaches);
    tcase_add_loop_test(tcase, lines_follow_the_workers, 0, 7);
    tcase_add_test(tcase, refuses_what_is_not_a_region);
    tcase_add_test(tcase, worker_slots);
    tcase_add_test(tcase, no_agent_no_shortage);
    tcase_add_test(tcase, statistics_are_locked);
    return run_suite("region", tcase);
}
