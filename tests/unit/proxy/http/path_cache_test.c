/* SPDX-License-Identifier: Apache-2.0 */
/* path_cache_test.c - which files stay open, for how long, and when they are looked at again. */
#include "proxy/http/path_cache.h"

#include "proto/base/attr.h"

#include "tests/unit/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/rem-path-cache-XXXXXX";
static struct rem_timers timers;

static struct rem_str path_of(const char *name)
{
    static char path[200];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return rem_str_from(path);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int open_file(const char *name)
{
    int fd = open(path_of(name).p, O_WRONLY | O_APPEND | O_CREAT, 0600);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static int find(struct rem_path_cache *cache, const char *name)
{
    struct rem_path_entry *entry = rem_path_cache_find(cache, &timers, path_of(name));

    return entry != NULL ? rem_path_current(cache, entry) : -1;
}

/* One use as a worker makes it.  Returns whether the cache had the descriptor. */
static bool use(struct rem_path_cache *cache, const char *name)
{
    struct rem_path_entry *entry = rem_path_cache_find(cache, &timers, path_of(name));
    int fd = entry != NULL ? rem_path_current(cache, entry) : -1;
    struct stat st;

    if (fd >= 0) {
        ck_assert(is_open(fd));
        return true;
    }
    fd = open_file(name);
    if (entry == NULL)
        entry = rem_path_cache_add(cache, &timers, path_of(name));
    ck_assert_ptr_nonnull(entry);
    ck_assert_int_eq(fstat(fd, &st), 0);
    if (!rem_path_keep(cache, entry, fd, &st))
        close(fd);
    return false;
}

static bool has(struct rem_path_cache *cache, const char *name)
{
    return find(cache, name) >= 0;
}

static struct rem_path_cache make(uint32_t max, uint32_t min_uses)
{
    rem_timers_init(&timers, 1000000);
    return (struct rem_path_cache){
        .max = max, .min_uses = min_uses, .inactive_ms = 10000, .valid_ms = 60000};
}

static void pass(uint64_t ms)
{
    rem_timers_run(&timers, timers.now_ms + ms);
}

START_TEST(test_kept)
{
    struct rem_path_cache cache = make(10, 1);

    rem_path_cache_stop(&cache); /* never used: nothing to do */
    ck_assert(!has(&cache, "a"));
    ck_assert(!use(&cache, "a"));
    ck_assert(use(&cache, "a"));
    ck_assert(!use(&cache, "b"));
    ck_assert(use(&cache, "b"));
    ck_assert(use(&cache, "a"));
    rem_path_cache_stop(&cache);
    ck_assert(!has(&cache, "a"));
    ck_assert(!use(&cache, "a")); /* starts over */
    rem_path_cache_stop(&cache);
}
END_TEST

START_TEST(test_min_uses)
{
    struct rem_path_cache cache = make(10, 3);

    ck_assert(!use(&cache, "a"));
    ck_assert(!use(&cache, "a"));
    ck_assert(!use(&cache, "a")); /* the third opens it to stay */
    ck_assert(use(&cache, "a"));
    ck_assert(!use(&cache, "b"));
    ck_assert(!use(&cache, "b"));
    pass(10000); /* uses too far apart do not add up */
    ck_assert(!use(&cache, "b"));
    ck_assert(!use(&cache, "b"));
    ck_assert(!use(&cache, "b"));
    ck_assert(use(&cache, "b"));
    rem_path_cache_stop(&cache);
}
END_TEST

/* The one unused for longest makes room, and a file that could not be opened takes none. */
START_TEST(test_max)
{
    struct rem_path_cache cache = make(3, 1);
    int fd;

    use(&cache, "a");
    use(&cache, "b");
    use(&cache, "c");
    fd = find(&cache, "b");
    ck_assert(use(&cache, "a"));
    ck_assert(use(&cache, "c"));
    ck_assert(!has(&cache, "nothing"));
    ck_assert(is_open(fd));
    use(&cache, "d");
    ck_assert(!is_open(fd));
    ck_assert(has(&cache, "a") && has(&cache, "c") && has(&cache, "d") && !has(&cache, "b"));
    ck_assert_uint_eq(cache.n, 3);
    rem_path_cache_stop(&cache);
}
END_TEST

START_TEST(test_many)
{
    struct rem_path_cache cache = make(100, 1);
    char name[16];

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        ck_assert(!use(&cache, name));
        ck_assert_uint_le(cache.n, 100);
        unlink(path_of(name).p);
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        ck_assert_int_eq(has(&cache, name), i >= 900);
    }
    rem_path_cache_stop(&cache);
}
END_TEST

START_TEST(test_inactive)
{
    struct rem_path_cache cache = make(10, 1);
    int fd;

    use(&cache, "a");
    fd = find(&cache, "a");
    pass(6000);
    use(&cache, "b");
    pass(3000);
    ck_assert(is_open(fd));
    pass(1100); /* closed without anybody asking */
    ck_assert(!is_open(fd));
    ck_assert_uint_eq(cache.n, 1);
    ck_assert(has(&cache, "b"));
    pass(20000);
    ck_assert_uint_eq(cache.n, 0);
    ck_assert_uint_eq(timers.count, 0);
    ck_assert(!use(&cache, "a"));
    rem_path_cache_stop(&cache);
    ck_assert_uint_eq(timers.count, 0);
}
END_TEST

/* Renamed files are noticed when `valid` has passed, not before. */
START_TEST(test_valid)
{
    struct rem_path_cache cache = make(10, 1);
    char moved[200];

    cache.inactive_ms = 1000000;
    use(&cache, "a");
    snprintf(moved, sizeof(moved), "%s", path_of("moved").p);
    pass(60000);
    ck_assert(use(&cache, "a")); /* still the same: good for another minute */
    ck_assert_int_eq(rename(path_of("a").p, moved), 0);
    pass(59000);
    ck_assert(use(&cache, "a"));
    pass(1000);
    ck_assert(!use(&cache, "a")); /* gone */
    ck_assert(use(&cache, "a"));
    unlink(path_of("a").p);
    close(open_file("a")); /* replaced */
    pass(60000);
    ck_assert(!use(&cache, "a"));
    ck_assert(use(&cache, "a"));
    rem_path_cache_stop(&cache);
    unlink(moved);
}
END_TEST

/* Who shares a file keeps it, whatever the cache does meanwhile. */
START_TEST(test_shared)
{
    struct rem_path_cache cache = make(1, 1);
    struct rem_path_entry *entry;
    struct rem_open_file *file;

    use(&cache, "a");
    entry = rem_path_cache_find(&cache, &timers, path_of("a"));
    file = rem_open_file_share(entry->file);
    use(&cache, "b"); /* takes the only place */
    ck_assert(!has(&cache, "a"));
    ck_assert(is_open(file->fd));
    rem_path_cache_stop(&cache);
    ck_assert(is_open(file->fd));
    int fd = file->fd;
    rem_open_file_release(file);
    ck_assert(!is_open(fd));
}
END_TEST

/* Failures are remembered as long as files are, and a failure ends a file that was kept. */
START_TEST(test_failures)
{
    struct rem_path_cache cache = make(10, 1);
    struct rem_path_entry *entry = rem_path_cache_add(&cache, &timers, path_of("never"));

    ck_assert(!rem_path_is_fresh(&cache, entry)); /* nothing is known yet */
    rem_path_note(&cache, entry, ENOENT, NULL);
    ck_assert(rem_path_is_fresh(&cache, entry));
    ck_assert_int_eq(entry->error, ENOENT);
    cache.inactive_ms = 1000000;
    pass(60000);
    entry = rem_path_cache_find(&cache, &timers, path_of("never"));
    ck_assert(!rem_path_is_fresh(&cache, entry));
    use(&cache, "a");
    entry = rem_path_cache_find(&cache, &timers, path_of("a"));
    ck_assert_ptr_nonnull(entry->file);
    rem_path_note(&cache, entry, EACCES, NULL);
    ck_assert_ptr_null(entry->file);
    rem_path_look(&cache, entry);
    ck_assert_int_eq(entry->error, 0);
    ck_assert_int_eq(rem_path_current(&cache, entry), -1);
    rem_path_cache_stop(&cache);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    int failed;

    if (mkdtemp(dir) == NULL)
        return 1;
    tcase_add_test(tc, test_kept);
    tcase_add_test(tc, test_min_uses);
    tcase_add_test(tc, test_max);
    tcase_add_test(tc, test_many);
    tcase_add_test(tc, test_inactive);
    tcase_add_test(tc, test_valid);
    tcase_add_test(tc, test_shared);
    tcase_add_test(tc, test_failures);
    failed = run_suite("path_cache", tc);
    for (const char *name = "abcd"; *name != '\0'; name++)
        unlink(path_of((char[]){*name, '\0'}).p);
    rmdir(dir);
    return failed;
}
