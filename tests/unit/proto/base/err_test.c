/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/err.h"

#include "tests/unit/suite.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The table is looked up by -code: values must be dense and in order. */
START_TEST(every_code)
{
    static const struct {
        int code;
        const char *name;
        const char *text;
        int status;
    } rows[] = {
#define ROW(name, value, text, status) {value, #name, text, status},
        REM_ERR_LIST(ROW)
#undef ROW
    };

    for (size_t i = 0; i < REM_COUNT(rows); i++) {
        ck_assert_int_eq(rows[i].code, -(int)i);
        ck_assert_str_eq(rem_err_name(rows[i].code), rows[i].name);
        ck_assert_str_eq(rem_err_text(rows[i].code), rows[i].text);
        ck_assert_int_eq(rem_err_status(rows[i].code), rows[i].status);
        ck_assert_int_ge(rows[i].status, i == 0 ? 200 : 400);
    }
}
END_TEST

START_TEST(unknown_codes)
{
    static const int codes[] = {1, INT_MAX, INT_MIN, -1000};

    for (size_t i = 0; i < REM_COUNT(codes); i++) {
        ck_assert_str_eq(rem_err_name(codes[i]), "unknown");
        ck_assert_str_eq(rem_err_text(codes[i]), "unknown error");
        ck_assert_int_eq(rem_err_status(codes[i]), 500);
    }
}
END_TEST

START_TEST(context)
{
    struct rem_err err;
    char *text = malloc(2000);

    memset(text, 'x', 1999);
    text[1999] = '\0';
    ck_assert_int_eq(rem_err_set(NULL, REM_EIO, "%d", 1), REM_EIO);
    ck_assert_int_eq(rem_err_set(&err, REM_EINVAL, "line %d", 7), REM_EINVAL);
    ck_assert_int_eq(err.code, REM_EINVAL);
    ck_assert_str_eq(err.text, "line 7");
    ck_assert_int_eq(rem_err_set(&err, REM_EIO, "%s", text), REM_EIO);
    ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
    free(text);
}
END_TEST

/* A broken invariant ends the process and names the place. */
START_TEST(check_aborts)
{
    char said[512] = "";
    int pipes[2];
    int status;
    pid_t pid;

    ck_assert_int_eq(pipe(pipes), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(pipes[1], STDERR_FILENO);
        REM_CHECK(1 + 1 == 2);
        REM_CHECK(1 + 1 == 3);
        _exit(0);
    }
    close(pipes[1]);
    ck_assert_int_gt(read(pipes[0], said, sizeof(said) - 1), 0);
    close(pipes[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ck_assert_ptr_nonnull(strstr(said, "1 + 1 == 3"));
    ck_assert_ptr_nonnull(strstr(said, "err_test.c:"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, every_code);
    tcase_add_test(tc, unknown_codes);
    tcase_add_test(tc, context);
    tcase_add_test(tc, check_aborts);
    return run_suite("err", tc);
}
