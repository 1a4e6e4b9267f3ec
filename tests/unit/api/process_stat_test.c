/* SPDX-License-Identifier: Apache-2.0 */
#include "api/process_stat.h"

#include "tests/unit/suite.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

START_TEST(test_self)
{
    struct rem_process_stat one = {0}, two = {0};
    int fd;

    /* A name made to mislead whoever looks for the first bracket. */
    ck_assert_int_eq(prctl(PR_SET_NAME, "a) R 1 (b"), 0);
    rem_process_stat_add(getpid(), &one);
    ck_assert_uint_gt(one.resident_bytes, 100000);
    ck_assert_uint_lt(one.resident_bytes, 1ull << 40);
    ck_assert_uint_ge(one.fds, 3);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    rem_process_stat_add(getpid(), &two);
    ck_assert_uint_eq(two.fds, one.fds + 1);
    close(fd);
    rem_process_stat_add(getpid(), &two); /* adds */
    ck_assert_uint_eq(two.fds, 2 * one.fds + 1);
}
END_TEST

/* What children used up stays counted when they are gone. */
START_TEST(test_children)
{
    struct rem_process_stat before = {0}, after = {0};
    pid_t child;
    int status;

    rem_process_stat_add(getpid(), &before);
    child = fork();
    if (child == 0) {
        while (clock() < CLOCKS_PER_SEC / 5)
            continue;
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    rem_process_stat_add(getpid(), &after);
    ck_assert_double_ge(after.cpu_seconds, before.cpu_seconds + 0.1);
}
END_TEST

START_TEST(test_nobody)
{
    struct rem_process_stat sum = {0};

    rem_process_stat_add(0, &sum);
    rem_process_stat_add(-1, &sum);
    rem_process_stat_add(0x7ffffff0, &sum);
    ck_assert_uint_eq(sum.resident_bytes, 0);
    ck_assert_uint_eq(sum.fds, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, test_self);
    tcase_add_test(tc, test_children);
    tcase_add_test(tc, test_nobody);
    return run_suite("process_stat", tc);
}
