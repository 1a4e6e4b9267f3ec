/* SPDX-License-Identifier: Apache-2.0 */
/* helper.h - what the configuration's tests share: files in a temporary directory, a load whose
 * reports are collected, and the main function of a check program. */
#ifndef REM_TESTS_CONF_HELPER_H
#define REM_TESTS_CONF_HELPER_H

#include "proto/base/sbuf.h"
#include "proxy/conf/load.h"

#include "tests/unit/suite.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char test_dir[64]; /* ends without slash */

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void make_dir(void)
{
    snprintf(test_dir, sizeof(test_dir), "/tmp/rem-conf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(test_dir));
}

static inline void drop_dir(void)
{
    nftw(test_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file below test_dir, and its folder (one level). */
static inline void write_bytes(const char *name, const char *bytes, size_t n)
{
    char path[256];
    FILE *f;
    const char *slash = strchr(name, '/');

    if (slash != NULL) {
        snprintf(path, sizeof(path), "%s/%.*s", test_dir, (int)(slash - name), name);
        ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
    }
    snprintf(path, sizeof(path), "%s/%s", test_dir, name);
    f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

static inline void write_file(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

/* All reports, one a line; test_dir shows as "DIR", warnings begin with "warn: ". */
static struct rem_sbuf reports;

static inline void collect(void *data, const struct rem_conf_report *report)
{
    struct rem_sbuf line;
    const char *at, *hit;

    (void)data;
    rem_sbuf_init(&line);
    if (report->level == REM_LOG_WARN)
        rem_sbuf_adds(&line, "warn: ");
    rem_conf_report_text(report, &line);
    rem_sbuf_addc(&line, '\0');
    for (at = line.p; (hit = strstr(at, test_dir)) != NULL; at = hit + strlen(test_dir)) {
        rem_sbuf_add(&reports, rem_str_make(at, (size_t)(hit - at)));
        rem_sbuf_adds(&reports, "DIR");
    }
    rem_sbuf_adds(&reports, at);
    rem_sbuf_addc(&reports, '\n');
    rem_sbuf_fini(&line);
}

/* Loads DIR/c.conf; *out NULL on failure.  Returns what rem_conf_load returned. */
static inline int load_file(struct rem_module *const *modules, size_t n, const char *globals,
                            void *user, struct rem_conf_cycle **out)
{
    struct rem_conf_options options = {
        .prefix = rem_str_from(test_dir),
        .file = REM_STR("c.conf"),
        .globals = rem_str_from(globals),
        .modules = modules,
        .n_modules = n,
        .report = collect,
        .user = user,
    };

    *out = NULL;
    rem_sbuf_clear(&reports);
    return rem_conf_load(&options, out);
}

/* The collected reports as text; empty: none. */
static inline const char *reported(void)
{
    if (reports.n == 0)
        return "";
    if (reports.p[reports.n - 1] != '\0')
        rem_sbuf_addc(&reports, '\0');
    return reports.p;
}

static inline int run_tests(TCase *tc)
{
    int failed;

    rem_sbuf_init(&reports);
    failed = run_suite("conf", tc);
    rem_sbuf_fini(&reports);
    return failed;
}

#endif
