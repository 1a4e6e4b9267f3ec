/* SPDX-License-Identifier: Apache-2.0 */
/* The order of what the system is asked, when it fails, and who shares what. */
#include "agent/persist.h"

#include "tests/unit/suite.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a system that takes notes, and fails where it is told to ---- */

static struct {
    char log[4096];
    const char *fail; /* the call that fails, as it stands in the log */
    int error;
    size_t at_once; /* bytes that one write takes; 0: all */
    int fds;
    char names[64][64]; /* by descriptor */
} sys;

static int note(const char *call)
{
    size_t n = strlen(sys.log);

    snprintf(sys.log + n, sizeof(sys.log) - n, "%s;", call);
    if (sys.fail == NULL || strcmp(sys.fail, call) != 0)
        return 0;
    errno = sys.error;
    return -1;
}

static int on_open(const char *path, int flags, mode_t mode)
{
    char call[128];

    (void)mode;
    ck_assert(flags & O_CLOEXEC);
    snprintf(call, sizeof(call), "%s %s", flags & O_DIRECTORY ? "dir" : "open", path);
    if (note(call) != 0)
        return -1;
    ck_assert((flags & O_DIRECTORY) || (flags & O_EXCL)); /* never what somebody else has made */
    snprintf(sys.names[sys.fds], sizeof(sys.names[0]), "%s", path);
    return sys.fds++;
}

static ssize_t on_write(int fd, const void *bytes, size_t n)
{
    char call[128];

    if (sys.at_once != 0 && n > sys.at_once)
        n = sys.at_once;
    snprintf(call, sizeof(call), "write %s %.*s", sys.names[fd], (int)n, (const char *)bytes);
    return note(call) != 0 ? -1 : (ssize_t)n;
}

static int on_fsync(int fd)
{
    char call[128];

    snprintf(call, sizeof(call), "fsync %s", sys.names[fd]);
    return note(call);
}

static int on_close(int fd)
{
    char call[128];

    snprintf(call, sizeof(call), "close %s", sys.names[fd]);
    return note(call);
}

static int on_rename(const char *from, const char *to)
{
    char call[128];

    snprintf(call, sizeof(call), "rename %s %s", from, to);
    return note(call);
}

static int on_exchange(const char *one, const char *other)
{
    char call[128];

    snprintf(call, sizeof(call), "exchange %s %s", one, other);
    return note(call);
}

static int on_unlink(const char *path)
{
    char call[128];

    snprintf(call, sizeof(call), "unlink %s", path);
    return note(call);
}

static const struct rem_persist_calls calls = {
    .open = on_open,
    .write = on_write,
    .fsync = on_fsync,
    .close = on_close,
    .rename = on_rename,
    .exchange = on_exchange,
    .unlink = on_unlink,
};

static void sys_reset(void)
{
    memset(&sys, 0, sizeof(sys));
}

/* ---- one file: each step behind the one it needs ---- */

static const struct order_case {
    const char *path;
    bool aside;
    const char *fail;
    int error;
    const char *step; /* NULL: it is safe */
    const char *log;
} order_cases[] = {
    {"d/f", false, NULL, 0, NULL,
     "unlink d/f.new;open d/f.new;write d/f.new text;fsync d/f.new;close d/f.new;"
     "rename d/f.new d/f;dir d;fsync d;close d;"},
    {"f", false, NULL, 0, NULL,
     "unlink f.new;open f.new;write f.new text;fsync f.new;close f.new;rename f.new f;"
     "dir .;fsync .;close .;"},
    {"/f", false, NULL, 0, NULL,
     "unlink /f.new;open /f.new;write /f.new text;fsync /f.new;close /f.new;rename /f.new /f;"
     "dir /;fsync /;close /;"},
    {"d/f", true, NULL, 0, NULL,
     "unlink d/f.new;open d/f.new;write d/f.new text;fsync d/f.new;close d/f.new;"
     "exchange d/f.new d/f;rename d/f.new d/f.broken;dir d;fsync d;close d;"},
    {"d/f", true, "exchange d/f.new d/f", EINVAL, NULL,
     "unlink d/f.new;open d/f.new;write d/f.new text;fsync d/f.new;close d/f.new;"
     "exchange d/f.new d/f;rename d/f.new d/f;dir d;fsync d;close d;"},
    /* nothing left over is no failure */
    {"d/f", false, "unlink d/f.new", ENOENT, NULL,
     "unlink d/f.new;open d/f.new;write d/f.new text;fsync d/f.new;close d/f.new;"
     "rename d/f.new d/f;dir d;fsync d;close d;"},
    {"d/f", false, "unlink d/f.new", EISDIR, "write", "unlink d/f.new;unlink d/f.new;"},
    {"d/f", false, "open d/f.new", EACCES, "write", "unlink d/f.new;open d/f.new;unlink d/f.new;"},
    {"d/f", false, "write d/f.new text", ENOSPC, "write",
     "unlink d/f.new;open d/f.new;write d/f.new text;close d/f.new;unlink d/f.new;"},
    /* what could not be synced never gets the file's name */
    {"d/f", false, "fsync d/f.new", EIO, "write",
     "unlink d/f.new;open d/f.new;write d/f.new text;fsync d/f.new;close d/f.new;"
     "unlink d/f.new;"},
    {"d/f", false, "close d/f.new", EIO, "write",
     "unlink d/f.new;open d/f.new;write d/f.new text;fsync d/f.new;close d/f.new;"
     "unlink d/f.new;"},
    {"d/f", false, "rename d/f.new d/f", EROFS, "rename",
     "unlink d/f.new;open d/f.new;write d/f.new text;fsync d/f.new;close d/f.new;"
     "rename d/f.new d/f;unlink d/f.new;"},
    {"d/f", false, "dir d", EMFILE, "sync the directory of",
     "unlink d/f.new;open d/f.new;write d/f.new text;fsync d/f.new;close d/f.new;"
     "rename d/f.new d/f;dir d;"},
    /* some file systems have no such thing, and say so */
    {"d/f", false, "fsync d", EINVAL, NULL,
     "unlink d/f.new;open d/f.new;write d/f.new text;fsync d/f.new;close d/f.new;"
     "rename d/f.new d/f;dir d;fsync d;close d;"},
    {"d/f", false, "fsync d", EIO, "sync the directory of",
     "unlink d/f.new;open d/f.new;write d/f.new text;fsync d/f.new;close d/f.new;"
     "rename d/f.new d/f;dir d;fsync d;close d;"},
};

START_TEST(order)
{
    const struct order_case *c = &order_cases[_i];
    struct rem_persist_write write = {
        .path = c->path, .text = REM_STR("text"), .aside = c->aside, .error = 99};

    sys_reset();
    sys.fail = c->fail;
    sys.error = c->error;
    rem_persist_write_all(&calls, &write, 1);
    ck_assert_str_eq(sys.log, c->log);
    ck_assert_int_eq(write.error, c->step != NULL ? c->error : 0);
    if (c->step != NULL)
        ck_assert_str_eq(write.step, c->step);
}
END_TEST

START_TEST(short_writes_go_on)
{
    struct rem_persist_write write = {.path = "f", .text = REM_STR("abcde")};

    sys_reset();
    sys.at_once = 2;
    rem_persist_write_all(&calls, &write, 1);
    ck_assert_int_eq(write.error, 0);
    ck_assert_ptr_nonnull(strstr(sys.log, "write f.new ab;write f.new cd;write f.new e;fsync"));
}
END_TEST

START_TEST(directories_are_synced_once_and_last)
{
    struct rem_persist_write writes[] = {{.path = "a/1", .text = REM_STR("x")},
                                         {.path = "b/2", .text = REM_STR("y")},
                                         {.path = "a/3", .text = REM_STR("z")}};

    sys_reset();
    rem_persist_write_all(&calls, writes, 3);
    ck_assert_str_eq(sys.log, "unlink a/1.new;open a/1.new;write a/1.new x;fsync a/1.new;"
                              "close a/1.new;"
                              "unlink b/2.new;open b/2.new;write b/2.new y;fsync b/2.new;"
                              "close b/2.new;"
                              "unlink a/3.new;open a/3.new;write a/3.new z;fsync a/3.new;"
                              "close a/3.new;"
                              "rename a/1.new a/1;rename b/2.new b/2;rename a/3.new a/3;"
                              "dir a;fsync a;close a;dir b;fsync b;close b;");
    sys_reset();
    sys.fail = "fsync a";
    sys.error = EIO;
    rem_persist_write_all(&calls, writes, 3);
    ck_assert_int_eq(writes[0].error, EIO);
    ck_assert_int_eq(writes[1].error, 0);
    ck_assert_int_eq(writes[2].error, EIO);
    sys_reset();
    sys.fail = "fsync a/1.new";
    sys.error = ENOSPC;
    rem_persist_write_all(&calls, writes, 3);
    ck_assert_int_eq(writes[0].error, ENOSPC);
    ck_assert_int_eq(writes[2].error, 0);
    ck_assert_ptr_nonnull(strstr(sys.log, "fsync a;"));
    ck_assert_ptr_null(strstr(sys.log, "rename a/1.new"));
}
END_TEST

/* ---- batches ---- */

enum { FILES = 2, SAVES = 8 };

struct world {
    struct rem_clock clock;
    struct rem_log log;
    struct rem_persist persist;
    struct rem_persist_file files[FILES];
    char paths[FILES][512];
    char dir[64];
    int values[FILES]; /* what the files say */
    int made[FILES];
    struct rem_save saves[SAVES];
    int rc[SAVES]; /* 1: not answered */
    int answered;
    struct event_base *base;
};

static struct world world;

static int make_text(void *data, struct rem_sbuf *out)
{
    long i = (struct rem_persist_file *)data - world.files;

    world.made[i]++;
    rem_sbuf_addf(out, "%d", world.values[i]);
    return world.values[i] < 0 ? REM_ENOMEM : 0;
}

static void on_saved(void *data, struct rem_save *save, int rc)
{
    struct world *w = data;

    w->rc[save - w->saves] = rc;
    w->answered++;
}

static void world_init(bool loop)
{
    struct world *w = &world;

    *w = (struct world){.log = {.level = REM_LOG_STDERR}};
    w->log.clock = &w->clock;
    rem_persist_init(&w->persist, &w->log);
    w->persist.on_saved = on_saved;
    w->persist.data = w;
    strcpy(w->dir, "/tmp/remora-persist-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(w->dir));
    if (loop) {
        w->base = event_base_new();
        w->persist.base = w->base;
    }
    for (int i = 0; i < FILES; i++) {
        snprintf(w->paths[i], sizeof(w->paths[i]), "%.60s/%d", w->dir, i);
        w->files[i] = (struct rem_persist_file){.path = w->paths[i],
                                                .subject = REM_STR("they"),
                                                .make = make_text,
                                                .data = &w->files[i]};
        rem_persist_add(&w->persist, &w->files[i]);
    }
}

static void world_fini(void)
{
    struct world *w = &world;

    rem_persist_stop(&w->persist);
    for (int i = 0; i < FILES; i++)
        unlink(w->paths[i]);
    ck_assert_int_eq(rmdir(w->dir), 0); /* nothing else is left */
    if (w->base != NULL)
        event_base_free(w->base);
}

/* Publishes: the files in `which` (bits) say something new. */
static void publish(int save, unsigned which)
{
    struct world *w = &world;

    for (int i = 0; i < FILES; i++) {
        if (!(which & 1u << i))
            continue;
        w->values[i]++;
        rem_persist_note(&w->persist, &w->files[i]);
    }
    w->rc[save] = 1;
    ck_assert_int_eq(rem_persist_prepare(&w->persist, &w->saves[save]), 0);
    w->saves[save].calls = 1;
    rem_persist_queue(&w->persist, &w->saves[save]);
}

static int value_on_disk(int i)
{
    FILE *f = fopen(world.paths[i], "r");
    int value = -1;

    if (f == NULL)
        return -1;
    ck_assert_int_eq(fscanf(f, "%d", &value), 1);
    fclose(f);
    return value;
}

START_TEST(turns_share_a_batch)
{
    struct world *w = &world;

    world_init(true);
    publish(0, 1);
    rem_persist_run(&w->persist);
    ck_assert(w->persist.busy);
    publish(1, 1); /* while the first is under way */
    publish(2, 3);
    publish(3, 0);
    ck_assert(!rem_persist_needed(&w->saves[3]));
    rem_persist_run(&w->persist);
    ck_assert_int_eq(w->made[0], 1);
    while (w->answered < 1)
        event_base_loop(w->base, EVLOOP_ONCE);
    ck_assert_int_eq(w->rc[0], 0);
    ck_assert_int_eq(w->rc[1], 1);
    ck_assert_int_ge(value_on_disk(0), 1);
    while (w->answered < 3) {
        rem_persist_run(&w->persist); /* the turn's end; it may be held for a while */
        event_base_loop(w->base, EVLOOP_ONCE);
    }
    ck_assert_int_eq(w->rc[1], 0);
    ck_assert_int_eq(w->rc[2], 0);
    ck_assert_int_eq(w->made[0], 2); /* two turns, one text */
    ck_assert_int_eq(value_on_disk(0), 3);
    ck_assert_int_eq(value_on_disk(1), 1);
    ck_assert(!rem_persist_busy(&w->persist));
    world_fini();
}
END_TEST

START_TEST(who_was_answered_is_waited_for)
{
    struct world *w = &world;

    world_init(true);
    w->persist.hold_until_us = UINT64_MAX; /* held, until two wait */
    w->persist.expected = 2;
    publish(0, 1);
    rem_persist_run(&w->persist);
    ck_assert(!w->persist.busy);
    publish(1, 1);
    rem_persist_run(&w->persist);
    ck_assert(w->persist.busy);
    while (w->answered < 2)
        event_base_loop(w->base, EVLOOP_ONCE);
    ck_assert_uint_eq(w->persist.hold_until_us, 0); /* nobody waits now */
    publish(2, 1);
    rem_persist_run(&w->persist);
    ck_assert(w->persist.busy); /* who is alone is not held */
    publish(3, 1);
    while (w->answered < 3)
        event_base_loop(w->base, EVLOOP_ONCE);
    ck_assert_uint_ne(w->persist.hold_until_us, 0);
    ck_assert_uint_eq(w->persist.expected, 2);
    while (w->answered < 4) {
        rem_persist_run(&w->persist);
        event_base_loop(w->base, EVLOOP_ONCE); /* the timer brings the next turn */
    }
    world_fini();
}
END_TEST

START_TEST(a_failure_is_told_to_those_it_is_about)
{
    struct world *w = &world;
    char fresh[sizeof(w->paths[0]) + 8];

    world_init(_i == 1);
    snprintf(fresh, sizeof(fresh), "%.400s.new", w->paths[0]);
    ck_assert_int_eq(mkdir(fresh, 0700), 0); /* in the way */
    publish(0, 1);
    publish(1, 2);
    publish(2, 3);
    rem_persist_run(&w->persist);
    while (w->answered < 3)
        event_base_loop(w->base, EVLOOP_ONCE);
    ck_assert_int_eq(w->rc[0], REM_EIO);
    ck_assert_int_eq(w->rc[1], 0);
    ck_assert_int_eq(w->rc[2], REM_EIO);
    ck_assert_int_eq(value_on_disk(1), 2);
    ck_assert_int_eq(rmdir(fresh), 0);
    publish(3, 2); /* the next one makes up for it */
    rem_persist_run(&w->persist);
    while (w->answered < 4)
        event_base_loop(w->base, EVLOOP_ONCE);
    ck_assert_int_eq(value_on_disk(0), 2);
    world_fini();
}
END_TEST

START_TEST(what_failed_is_tried_again)
{
    struct world *w = &world;
    char fresh[sizeof(w->paths[0]) + 8];

    world_init(true);
    w->persist.retry_ms = 5;
    snprintf(fresh, sizeof(fresh), "%.400s.new", w->paths[0]);
    ck_assert_int_eq(mkdir(fresh, 0700), 0); /* in the way */
    publish(0, 1);
    rem_persist_run(&w->persist);
    while (w->answered < 1)
        event_base_loop(w->base, EVLOOP_ONCE);
    ck_assert_int_eq(w->rc[0], REM_EIO);
    for (int tries = 0; tries < 3; tries++) {
        event_base_loop(w->base, EVLOOP_ONCE); /* the timer, or the thread */
        rem_persist_run(&w->persist);
    }
    ck_assert(w->persist.failed || w->persist.busy);
    ck_assert_int_eq(rmdir(fresh), 0);
    while (value_on_disk(0) != 1) {
        event_base_loop(w->base, EVLOOP_ONCE);
        rem_persist_run(&w->persist);
    }
    world_fini();
}
END_TEST

START_TEST(a_text_that_cannot_be_made_fails)
{
    struct world *w = &world;

    world_init(true);
    w->values[0] = -9;
    publish(0, 3);
    publish(1, 2);
    rem_persist_run(&w->persist);
    while (w->answered < 2)
        event_base_loop(w->base, EVLOOP_ONCE);
    ck_assert_int_eq(w->rc[0], REM_EIO);
    ck_assert_int_eq(w->rc[1], 0);
    ck_assert_int_eq(value_on_disk(0), -1);
    w->values[0] = 5;
    world_fini();
}
END_TEST

START_TEST(drained_at_the_end)
{
    struct world *w = &world;

    world_init(true);
    publish(0, 1);
    rem_persist_run(&w->persist);
    publish(1, 3);
    rem_persist_drain(&w->persist); /* without the loop */
    ck_assert_int_eq(w->answered, 2);
    ck_assert_int_eq(w->rc[0], 0);
    ck_assert_int_eq(w->rc[1], 0);
    ck_assert_int_eq(value_on_disk(0), 2);
    ck_assert_int_eq(value_on_disk(1), 1);
    world_fini();
}
END_TEST

START_TEST(cancelled)
{
    struct world *w = &world;

    world_init(false);
    rem_persist_note(&w->persist, &w->files[0]);
    ck_assert_int_eq(rem_persist_prepare(&w->persist, &w->saves[0]), 0);
    ck_assert(rem_persist_needed(&w->saves[0]));
    rem_persist_cancel(&w->saves[0]);
    rem_persist_run(&w->persist);
    ck_assert_int_eq(w->made[0], 0);
    publish(1, 2); /* and the note is gone */
    ck_assert_uint_eq(w->saves[1].file_count, 1);
    rem_persist_run(&w->persist);
    ck_assert_int_eq(w->made[0], 0);
    world_fini();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, order, 0, (int)REM_COUNT(order_cases));
    tcase_add_test(tc, short_writes_go_on);
    tcase_add_test(tc, directories_are_synced_once_and_last);
    tcase_add_test(tc, turns_share_a_batch);
    tcase_add_test(tc, who_was_answered_is_waited_for);
    tcase_add_loop_test(tc, a_failure_is_told_to_those_it_is_about, 0, 2);
    tcase_add_test(tc, what_failed_is_tried_again);
    tcase_add_test(tc, a_text_that_cannot_be_made_fails);
    tcase_add_test(tc, drained_at_the_end);
    tcase_add_test(tc, cancelled);
    return run_suite("persist", tc);
}
