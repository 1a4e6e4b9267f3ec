/* SPDX-License-Identifier: Apache-2.0 */
/* privileges_test.c - what a child keeps of its environment, and its limits.  Each test is a
 * process of its own (check forks), so that nothing of it stays. */
#include "proxy/process/privileges.h"

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rem_log_file file = {.fd = -1};
static struct rem_log_target target = {.file = &file, .level = REM_LOG_WARN};
static struct rem_log quiet = {.targets = &target, .level = REM_LOG_WARN};

static struct rem_setup blank(void)
{
    return (struct rem_setup){.log = &quiet, .worker_rlimit_nofile = -1, .worker_rlimit_core = -1};
}

START_TEST(environment)
{
    struct rem_setup setup = blank();
    struct rem_setup_env set = {.name = REM_STR("ADDED"), .text = REM_STR("ADDED=there")};
    struct rem_setup_env absent = {.next = &set, .name = REM_STR("NOT_THERE")};
    struct rem_setup_env over = {
        .next = &absent, .name = REM_STR("OVER"), .text = REM_STR("OVER=new")};
    struct rem_setup_env kept = {.next = &over, .name = REM_STR("KEPT")};

    setup.env = &kept;
    setenv("KEPT", "yes", 1);
    setenv("KEPT_NOT", "no", 1);
    setenv("OVER", "old", 1);
    setenv("TZ", "UTC", 1);
    unsetenv("NOT_THERE");
    ck_assert_int_eq(rem_privileges_drop(&setup, getppid(), 0), REM_OK);
    ck_assert_str_eq(getenv("KEPT"), "yes");
    ck_assert_str_eq(getenv("ADDED"), "there");
    ck_assert_str_eq(getenv("OVER"), "new");
    ck_assert_str_eq(getenv("TZ"), "UTC");
    ck_assert_ptr_null(getenv("KEPT_NOT"));
    ck_assert_ptr_null(getenv("NOT_THERE"));
    ck_assert_ptr_null(getenv("PATH"));
}
END_TEST

START_TEST(directory)
{
    struct rem_setup setup = blank();
    char path[] = "/tmp/remora_priv_test.XXXXXX", cwd[PATH_MAX];

    ck_assert_ptr_nonnull(mkdtemp(path));
    setup.working_directory = rem_str_from(path);
    ck_assert_int_eq(rem_privileges_drop(&setup, getppid(), 0), REM_OK);
    ck_assert_str_eq(getcwd(cwd, sizeof(cwd)), path);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(rem_privileges_drop(&setup, getppid(), 0), REM_EIO);
}
END_TEST

START_TEST(limits)
{
    struct rem_setup setup = blank();
    struct rlimit got;

    setup.worker_rlimit_nofile = 77;
    setup.worker_rlimit_core = 0;
    rem_privileges_limits(&setup, 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &got), 0);
    ck_assert_uint_eq(got.rlim_cur, 77);
    ck_assert_int_eq(getrlimit(RLIMIT_CORE, &got), 0);
    ck_assert_uint_eq(got.rlim_cur, 0);
}
END_TEST

START_TEST(cpus)
{
    struct rem_setup setup = blank();
    struct rem_setup_affinity masks[2];
    cpu_set_t all, got;
    size_t first = 0;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
    while (!CPU_ISSET(first, &all))
        first++;
    masks[0].cpus = all;
    CPU_ZERO(&masks[1].cpus);
    CPU_SET(first, &masks[1].cpus);
    setup.affinity = masks;
    setup.affinity_count = 2;
    rem_privileges_limits(&setup, 0);
    ck_assert_int_eq(sched_getaffinity(0, sizeof(got), &got), 0);
    ck_assert(CPU_EQUAL(&got, &all));
    rem_privileges_limits(&setup, 5); /* the last mask serves all the rest */
    ck_assert_int_eq(sched_getaffinity(0, sizeof(got), &got), 0);
    ck_assert(CPU_EQUAL(&got, &masks[1].cpus));
}
END_TEST

/* A master that is gone before the child could ask to be told. */
START_TEST(orphan)
{
    struct rem_setup setup = blank();
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        (void)!rem_privileges_drop(&setup, 1 << 22, SIGUSR1); /* nobody's pid */
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("privileges");
    TCase *t = tcase_create("privileges");
    SRunner *r;
    int failed;

    tcase_add_test(t, environment);
    tcase_add_test(t, directory);
    tcase_add_test(t, limits);
    tcase_add_test(t, cpus);
    tcase_add_test(t, orphan);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_set_fork_status(r, CK_FORK);
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
