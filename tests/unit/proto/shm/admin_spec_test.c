/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/admin_spec.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *bytes;
    size_t n;
    int rc;
    const char *text; /* of the token, or part of the complaint */
} files[] = {
    {"abc", 3, 0, "abc"},
    {"abc\n", 4, 0, "abc"},
    {"abc \t\r\n\n", 8, 0, "abc"},
    {"~!#$%^&*()", 10, 0, "~!#$%^&*()"},
    {"", 0, REM_EINVAL, "empty"},
    {"\n \n", 3, REM_EINVAL, "empty"},
    {" abc", 4, REM_EINVAL, "more than a token"},
    {"a b", 3, REM_EINVAL, "more than a token"},
    {"a\nb\n", 4, REM_EINVAL, "more than a token"},
    {"a\0b", 3, REM_EINVAL, "more than a token"},
    {"a\x7f", 2, REM_EINVAL, "more than a token"},
    {"\xc3\xa4", 2, REM_EINVAL, "more than a token"},
};

START_TEST(test_read)
{
    struct rem_admin_secret secret = {.n = 99};
    struct rem_err err = {0};
    char path[] = "/tmp/remora-secret-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, files[_i].bytes, files[_i].n), (int)files[_i].n);
    close(fd);
    ck_assert_int_eq(rem_admin_secret_read(path, &secret, &err), files[_i].rc);
    if (files[_i].rc == 0) {
        ck_assert_uint_eq(secret.n, strlen(files[_i].text));
        ck_assert_mem_eq(secret.text, files[_i].text, secret.n);
        ck_assert_int_eq(secret.st.st_size, (long)files[_i].n);
    } else {
        ck_assert_uint_eq(secret.n, 99);
        ck_assert_msg(strstr(err.text, files[_i].text) != NULL, "%s", err.text);
    }
    unlink(path);
}
END_TEST

START_TEST(test_size)
{
    static char bytes[REM_ADMIN_TOKEN_MAX];
    struct rem_admin_secret secret;
    struct rem_err err = {0};
    char path[] = "/tmp/remora-secret-XXXXXX";
    int fd = mkstemp(path);

    memset(bytes, 'x', sizeof(bytes));
    ck_assert_int_eq(pwrite(fd, bytes, sizeof(bytes) - 1, 0), (int)sizeof(bytes) - 1);
    ck_assert_int_eq(rem_admin_secret_read(path, &secret, &err), 0);
    ck_assert_uint_eq(secret.n, sizeof(bytes) - 1);
    ck_assert_int_eq(pwrite(fd, bytes, sizeof(bytes), 0), (int)sizeof(bytes));
    ck_assert_int_eq(rem_admin_secret_read(path, &secret, &err), REM_EINVAL);
    ck_assert(strstr(err.text, "longer") != NULL);
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(test_no_file)
{
    struct rem_admin_secret secret;
    struct rem_err err = {0};
    char path[] = "/tmp/remora-secret-XXXXXX";

    ck_assert_int_eq(rem_admin_secret_read("/nonexistent/x", &secret, &err), REM_EIO);
    ck_assert(strstr(err.text, "No such file") != NULL);
    ck_assert_int_eq(rem_admin_secret_read("/tmp", &secret, &err), REM_EINVAL);
    ck_assert(strstr(err.text, "no regular file") != NULL);
    close(mkstemp(path));
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0); /* nobody writes: it must not wait */
    ck_assert_int_eq(rem_admin_secret_read(path, &secret, &err), REM_EINVAL);
    unlink(path);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, test_read, 0, REM_COUNT(files));
    tcase_add_test(tc, test_size);
    tcase_add_test(tc, test_no_file);
    return run_suite("admin_spec", tc);
}
