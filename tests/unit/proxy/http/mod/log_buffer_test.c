/* SPDX-License-Identifier: Apache-2.0 */
/* log_buffer_test.c - when lines that wait are written, plain and compressed. */
#include "proxy/http/mod/log_buffer.h"

#include "proxy/http/mod/deflates.h"
#include "proxy/net/setup.h"

#include "tests/unit/suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/rem-log-buffer-XXXXXX";
static char path[100], moved[100];

static struct rem_log_target targets = {.level = REM_LOG_ALERT};
static struct rem_log complaints = {.targets = &targets, .level = REM_LOG_ALERT};
static struct rem_setup setup = {.log = &complaints};
static struct rem_worker worker;
static struct rem_log_file file;

static void start(void)
{
    worker = (struct rem_worker){.setup = &setup, .deflates = rem_deflates_new()};
    worker.loop.clock.wall_sec = 1000000;
    rem_timers_init(&worker.loop.timers, 1000);
    unlink(path);
    file = (struct rem_log_file){.fd = -1, .path = path};
    ck_assert_int_eq(rem_log_file_open(&file), 0);
}

static void stop(void)
{
    close(file.fd);
    rem_deflates_free(worker.deflates);
}

static struct rem_str slurp(const char *name)
{
    static char text[100000];
    int fd = open(name, O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text));

    close(fd);
    ck_assert_int_ge(n, 0);
    return rem_str_make(text, (size_t)n);
}

static void check_text(struct rem_str got, const char *want)
{
    ck_assert_msg(rem_str_is(got, want), "\"%.*s\", not \"%s\"", REM_STR_ARG(got), want);
}

static void put(const char *line)
{
    rem_log_buffer_write(&worker, &file, rem_str_from(line));
}

START_TEST(test_without_a_buffer)
{
    start();
    put("a\n");
    check_text(slurp(path), "a\n");
    put("b\n");
    check_text(slurp(path), "a\nb\n");
    stop();
}
END_TEST

START_TEST(test_full)
{
    struct rem_log_buffer buffer = {.file = &file, .size = 8};

    start();
    ck_assert_int_eq(rem_log_buffer_start(&buffer, &worker), 0);
    put("123\n");
    put("456\n"); /* fits exactly */
    check_text(slurp(path), "");
    put("7\n");
    check_text(slurp(path), "123\n456\n");
    put("12345678\n"); /* larger than all of it: what waits goes first */
    check_text(slurp(path), "123\n456\n7\n12345678\n");
    put("8\n");
    check_text(slurp(path), "123\n456\n7\n12345678\n");
    rem_log_buffer_stop(&buffer);
    check_text(slurp(path), "123\n456\n7\n12345678\n8\n");
    rem_log_buffer_stop(&buffer);
    put("9\n");
    check_text(slurp(path), "123\n456\n7\n12345678\n8\n9\n");
    stop();
}
END_TEST

START_TEST(test_time)
{
    struct rem_log_buffer buffer = {.file = &file, .size = 100, .flush_ms = 500};
    struct rem_timers *timers = &worker.loop.timers;

    start();
    ck_assert_int_eq(rem_log_buffer_start(&buffer, &worker), 0);
    put("a\n");
    rem_timers_run(timers, 1300);
    put("b\n"); /* does not put off the first */
    rem_timers_run(timers, 1499);
    check_text(slurp(path), "");
    rem_timers_run(timers, 1510);
    check_text(slurp(path), "a\nb\n");
    put("c\n");
    rem_timers_run(timers, 2100);
    check_text(slurp(path), "a\nb\nc\n");
    put("d\n");
    rem_log_buffer_stop(&buffer);
    ck_assert_uint_eq(timers->count, 0);
    check_text(slurp(path), "a\nb\nc\nd\n");
    stop();
}
END_TEST

/* What was logged before the file was renamed belongs to the old one. */
START_TEST(test_reopening)
{
    struct rem_log_buffer buffer = {.file = &file, .size = 100};

    start();
    ck_assert_int_eq(rem_log_buffer_start(&buffer, &worker), 0);
    put("old\n");
    ck_assert_int_eq(rename(path, moved), 0);
    put("older\n");
    ck_assert_int_eq(rem_log_file_open(&file), 0);
    put("new\n");
    rem_log_buffer_stop(&buffer);
    check_text(slurp(moved), "old\nolder\n");
    check_text(slurp(path), "new\n");
    stop();
    unlink(moved);
}
END_TEST

/* All members of a gzip file, one after the other. */
static struct rem_str unpack(struct rem_str packed, int *members)
{
    static char text[100000];
    size_t n = 0;

    *members = 0;
    while (packed.n != 0) {
        z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.p,
                      .avail_in = (uInt)packed.n,
                      .next_out = (Bytef *)text + n,
                      .avail_out = (uInt)(sizeof(text) - n)};

        ck_assert_int_eq(inflateInit2(&z, 31), Z_OK);
        ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
        n = sizeof(text) - z.avail_out;
        packed = rem_str_skip(packed, packed.n - z.avail_in);
        inflateEnd(&z);
        ++*members;
    }
    return rem_str_make(text, n);
}

START_TEST(test_gzip)
{
    struct rem_log_buffer buffer = {.file = &file, .size = 8, .gzip = _i};
    static char large[50002];
    int members;

    start();
    ck_assert_int_eq(rem_log_buffer_start(&buffer, &worker), 0);
    put("123\n");
    put("456\n");
    ck_assert_uint_eq(slurp(path).n, 0);
    put("7\n");
    check_text(unpack(slurp(path), &members), "123\n456\n");
    ck_assert_int_eq(members, 1);
    put("12345678\n");
    check_text(unpack(slurp(path), &members), "123\n456\n7\n12345678\n");
    ck_assert_int_eq(members, 3);
    for (size_t i = 0; i < sizeof(large) - 2; i++)
        large[i] = (char)('a' + rand() % 26); /* hard to compress */
    large[sizeof(large) - 2] = '\n';
    put(large);
    rem_log_buffer_stop(&buffer);
    ck_assert_uint_eq(unpack(slurp(path), &members).n, 19 + sizeof(large) - 1);
    ck_assert_int_eq(members, 4);
    stop();
}
END_TEST

/* A full disk is told once a minute, and lines go on when there is room again. */
START_TEST(test_full_disk)
{
    struct rem_log_buffer buffer = {.file = &file, .size = 4};
    struct rem_log_file log = {.fd = open(moved, O_CREAT | O_RDWR | O_APPEND, 0600)};
    size_t told;

    start();
    targets.file = &log;
    ck_assert_int_eq(rem_log_buffer_start(&buffer, &worker), 0);
    close(file.fd);
    file.fd = open("/dev/full", O_WRONLY);
    put("one line\n");
    ck_assert_ptr_nonnull(strstr(slurp(moved).p, "failed (28: No space left on device)\n"));
    told = slurp(moved).n;
    put("another line\n");
    worker.loop.clock.wall_sec += 59;
    put("another line\n");
    ck_assert_uint_eq(slurp(moved).n, told);
    worker.loop.clock.wall_sec += 1;
    put("another line\n");
    ck_assert_uint_gt(slurp(moved).n, told);
    ck_assert_int_eq(rem_log_file_open(&file), 0);
    put("kept\n");
    check_text(slurp(path), "kept\n");
    rem_log_buffer_stop(&buffer);
    close(log.fd);
    stop();
    unlink(moved);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    int failed;

    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/log", dir);
    snprintf(moved, sizeof(moved), "%s/moved", dir);
    tcase_add_test(tc, test_without_a_buffer);
    tcase_add_test(tc, test_full);
    tcase_add_test(tc, test_time);
    tcase_add_test(tc, test_reopening);
    tcase_add_loop_test(tc, test_gzip, 1, 10);
    tcase_add_test(tc, test_full_disk);
    failed = run_suite("log_buffer", tc);
    unlink(path);
    rmdir(dir);
    return failed;
}
