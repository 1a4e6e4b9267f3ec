/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/log.h"

#include "proto/base/err.h"

#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/rem-log-XXXXXX";
static char text[16384];

/* A clock that stands still. */
static struct rem_clock noon;

static const char *path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static size_t slurp(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t n;

    ck_assert_int_ge(fd, 0);
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    return (size_t)n;
}

static void open_file(struct rem_log_file *file, const char *name)
{
    *file = (struct rem_log_file){.fd = -1, .path = strdup(path_of(name))};
    ck_assert_int_eq(rem_log_file_open(file), REM_OK);
}

static void close_file(struct rem_log_file *file)
{
    close(file->fd);
    unlink(file->path);
    free((char *)(uintptr_t)file->path);
}

/* The text behind "date time [level] pid#tid: ". */
static const char *message(void)
{
    const char *at = strstr(text, ": ");

    ck_assert_ptr_nonnull(at);
    return at + 2;
}

START_TEST(a_line)
{
    struct rem_log_file file;
    struct rem_log_target target = {.file = &file, .level = REM_LOG_WARN};
    struct rem_log log = {&target, REM_LOG_WARN, &noon};
    char want[200];

    open_file(&file, "a");
    errno = 77;
    rem_log_write(&log, REM_LOG_ERROR, ECONNREFUSED, "connect() to %s failed", "x");
    ck_assert_int_eq(errno, 77);
    slurp(file.path);
    snprintf(want, sizeof(want),
             "1994/11/06 08:49:37 [error] %d#%d: connect() to x failed (111: Connection refused)\n",
             getpid(), getpid());
    ck_assert_str_eq(text, want);
    close_file(&file);
}
END_TEST

static size_t add_client(void *data, char *buf, size_t size)
{
    int n = snprintf(buf, size, ", client: %s", (const char *)data);

    return (size_t)n < size ? (size_t)n : size;
}

START_TEST(a_scope)
{
    struct rem_log_file file;
    struct rem_log_target target = {.file = &file, .level = REM_LOG_DEBUG};
    struct rem_log log = {&target, REM_LOG_DEBUG, &noon};
    char client[] = "127.0.0.1";
    struct rem_log_scope scope = {&log, 5, add_client, client};

    open_file(&file, "b");
    REM_LOG_IN(&scope, REM_LOG_INFO, 0, "closed");
    slurp(file.path);
    ck_assert_str_eq(message(), "*5 closed, client: 127.0.0.1\n");
    close_file(&file);
}
END_TEST

/* Each target takes what is at least as severe as its level. */
START_TEST(levels)
{
    struct rem_log_file quiet, loud;
    struct rem_log_target second = {.file = &loud, .level = REM_LOG_INFO};
    struct rem_log_target first = {.file = &quiet, .level = REM_LOG_ERROR, .next = &second};
    struct rem_log log = {&first, REM_LOG_INFO, NULL};
    int evaluated = 0;

    open_file(&quiet, "quiet");
    open_file(&loud, "loud");
    REM_LOG(&log, REM_LOG_DEBUG, 0, "%d", ++evaluated);
    ck_assert_int_eq(evaluated, 0);
    REM_LOG(&log, REM_LOG_INFO, 0, "%d", ++evaluated);
    ck_assert_int_eq(evaluated, 1);
    REM_LOG(&log, REM_LOG_EMERG, 0, "two");
    slurp(quiet.path);
    ck_assert_str_eq(message(), "two\n");
    slurp(loud.path);
    ck_assert_ptr_nonnull(strstr(text, "[info] "));
    ck_assert_ptr_nonnull(strstr(text, ": 1\n"));
    ck_assert_ptr_nonnull(strstr(text, ": two\n"));
    close_file(&quiet);
    close_file(&loud);
}
END_TEST

static size_t add_much(void *data, char *buf, size_t size)
{
    (void)data;
    memset(buf, 'c', size);
    return size;
}

/* Whatever is too long is cut; the line still ends. */
START_TEST(long_lines)
{
    struct rem_log_file file;
    struct rem_log_target target = {.file = &file, .level = REM_LOG_INFO};
    struct rem_log log = {&target, REM_LOG_INFO, &noon};
    struct rem_log_scope scope = {&log, 0, add_much, NULL};

    for (int n = 0; n < 5000; n += n < 1900 || n > 2200 ? 100 : 1) {
        size_t size;

        open_file(&file, "long");
        rem_log_write(&log, REM_LOG_INFO, EIO, "%0*d", n, 1);
        size = slurp(file.path);
        ck_assert_uint_le(size, REM_LOG_LINE);
        ck_assert_int_eq(text[size - 1], '\n');
        ck_assert_ptr_eq(strchr(text, '\n'), text + size - 1);
        rem_log_write_in(&scope, REM_LOG_INFO, 0, "%0*d", n, 1);
        size = slurp(file.path) - size;
        ck_assert_uint_eq(size, REM_LOG_LINE);
        close_file(&file);
    }
}
END_TEST

START_TEST(reopening)
{
    struct rem_log_file file;
    struct rem_log_target target = {.file = &file, .level = REM_LOG_INFO};
    struct rem_log log = {&target, REM_LOG_INFO, &noon};
    char moved[300];
    struct stat st;

    open_file(&file, "c");
    ck_assert_int_eq(stat(file.path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0133, 0);
    snprintf(moved, sizeof(moved), "%s.1", file.path);
    rem_log_write(&log, REM_LOG_INFO, 0, "one");
    ck_assert_int_eq(rename(file.path, moved), 0);
    ck_assert_int_eq(rem_log_file_open(&file), REM_OK);
    rem_log_write(&log, REM_LOG_INFO, 0, "two");
    slurp(moved);
    ck_assert_str_eq(message(), "one\n");
    slurp(file.path);
    ck_assert_str_eq(message(), "two\n");
    unlink(moved);
    close_file(&file);
}
END_TEST

/* A file that cannot be opened again stays as it is. */
START_TEST(failing_to_reopen)
{
    struct rem_log_file file = {.fd = 42, .path = "/nonexistent/rem/log"};
    struct rem_log_file inherited = {.fd = 43, .path = NULL};

    ck_assert_int_eq(rem_log_file_open(&file), REM_EIO);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(file.fd, 42);
    ck_assert_int_eq(rem_log_file_open(&inherited), REM_OK);
    ck_assert_int_eq(inherited.fd, 43);
}
END_TEST

/* After ENOSPC the rest of the second is let go, then writing is tried again. */
START_TEST(full_disk)
{
    struct rem_log_file file = {.fd = open("/dev/full", O_WRONLY)};
    struct rem_log_target target = {.file = &file, .level = REM_LOG_INFO};
    struct rem_clock clock = noon;
    struct rem_log log = {&target, REM_LOG_INFO, &clock};
    struct rem_log_file real;

    ck_assert_int_ge(file.fd, 0);
    rem_log_write(&log, REM_LOG_INFO, 0, "lost");
    ck_assert_int_eq(file.full_sec, clock.wall_sec);
    close(file.fd);
    open_file(&real, "d");
    file.fd = real.fd;
    rem_log_write(&log, REM_LOG_INFO, 0, "lost too");
    ck_assert_uint_eq(slurp(real.path), 0);
    clock.wall_sec++;
    rem_log_write(&log, REM_LOG_INFO, 0, "kept");
    slurp(real.path);
    ck_assert_str_eq(message(), "kept\n");
    close_file(&real);
}
END_TEST

START_TEST(level_names)
{
    static const char *const names[] = {"emerg", "alert",  "crit", "error",
                                        "warn",  "notice", "info", "debug"};
    enum rem_log_level level = REM_LOG_STDERR;

    ck_assert_int_eq(rem_log_level_parse(REM_STR(""), &level), REM_EINVAL);
    ck_assert_int_eq(rem_log_level_parse(REM_STR("Error"), &level), REM_EINVAL);
    ck_assert_int_eq(rem_log_level_parse(REM_STR("err"), &level), REM_EINVAL);
    ck_assert_int_eq(level, REM_LOG_STDERR);
    for (size_t i = 0; i < REM_COUNT(names); i++) {
        ck_assert_int_eq(rem_log_level_parse(rem_str_from(names[i]), &level), REM_OK);
        ck_assert_int_eq(level, REM_LOG_EMERG + (int)i);
    }
}
END_TEST

START_TEST(standard_error)
{
    int saved = dup(STDERR_FILENO);
    int fd = open(path_of("stderr"), O_RDWR | O_CREAT | O_APPEND, 0600);

    ck_assert_int_ge(fd, 0);
    dup2(fd, STDERR_FILENO);
    REM_LOG(rem_log_stderr(REM_LOG_NOTICE), REM_LOG_INFO, 0, "unheard");
    REM_LOG(rem_log_stderr(REM_LOG_NOTICE), REM_LOG_NOTICE, 0, "heard");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    slurp(path_of("stderr"));
    unlink(path_of("stderr"));
    ck_assert_ptr_nonnull(strstr(text, "[notice]"));
    ck_assert_str_eq(message(), "heard\n");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    int failed;

    setenv("TZ", "UTC0", 1);
    noon.wall_sec = 784111777;
    if (mkdtemp(dir) == NULL)
        return 1;
    tcase_add_test(tc, a_line);
    tcase_add_test(tc, a_scope);
    tcase_add_test(tc, levels);
    tcase_add_test(tc, long_lines);
    tcase_add_test(tc, reopening);
    tcase_add_test(tc, failing_to_reopen);
    tcase_add_test(tc, full_disk);
    tcase_add_test(tc, level_names);
    tcase_add_test(tc, standard_error);
    failed = run_suite("log", tc);
    rmdir(dir);
    return failed;
}
