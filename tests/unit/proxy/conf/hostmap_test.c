/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/hostmap.h"

#include "tests/unit/proxy/conf/helper.h"

static struct rem_arena arena;
static struct rem_hostmap map;
static const char *const names[] = {"exact.com", ".ex.com",  "*.wild.com", "*.a.wild.com",
                                    "mail.*",    "mail.x.*", "www.ex.com", ""};

static void setup(void)
{
    rem_arena_init(&arena, NULL);
    rem_hostmap_init(&map, &arena);
    for (size_t i = 0; i < REM_COUNT(names); i++)
        ck_assert_int_eq(rem_hostmap_add(&map, rem_str_from(names[i]), (void *)(uintptr_t)names[i]),
                         0);
}

static void teardown(void)
{
    rem_arena_reset(&arena);
}

static const struct {
    const char *host, *name;
} found[] = {
    {"exact.com", "exact.com"},
    {"EXACT.com", "exact.com"},
    {"exact.comm", NULL},
    {"ex.com", ".ex.com"},
    {"a.ex.com", ".ex.com"},
    {"a.b.EX.com", ".ex.com"},
    {"www.ex.com", "www.ex.com"},
    {"wex.com", NULL},
    {".ex.com", NULL},
    {"wild.com", NULL},
    {"x.wild.com", "*.wild.com"},
    {"a.wild.com", "*.wild.com"},
    {"x.a.wild.com", "*.a.wild.com"},
    {"mail.foo", "mail.*"},
    {"mail.x.y", "mail.x.*"},
    {"mail.", NULL},
    {"mail", NULL},
    {"", ""},
    {"x", NULL},
    {".", NULL},
    {"..", NULL},
};

START_TEST(finds)
{
    const char *want = found[_i].name;
    const char *got = rem_hostmap_find(&map, rem_str_from(found[_i].host));

    ck_assert_msg(got == want || (got != NULL && want != NULL && strcmp(got, want) == 0),
                  "%s: %s, not %s", found[_i].host, got != NULL ? got : "none",
                  want != NULL ? want : "none");
}
END_TEST

static const struct {
    const char *name;
    int rc;
} refused[] = {
    {"exact.com", REM_EEXIST}, {"Exact.COM", REM_EEXIST}, {"ex.com", REM_EEXIST},
    {"*.ex.com", REM_EEXIST},  {".wild.com", REM_EEXIST}, {"mail.*", REM_EEXIST},
    {"a*b", REM_EINVAL},       {"*a", REM_EINVAL},        {"a..b", REM_EINVAL},
    {"*.*", REM_EINVAL},       {"*..a", REM_EINVAL},      {".a.*", REM_EINVAL},
};

START_TEST(refuses)
{
    static int other;

    ck_assert_int_eq(rem_hostmap_add(&map, rem_str_from(refused[_i].name), &other), refused[_i].rc);
    /* Nothing has changed: not even half of what ".wild.com" stands for was taken. */
    ck_assert_ptr_ne(rem_hostmap_find(&map, rem_str_from(refused[_i].name)), &other);
    ck_assert_ptr_null(rem_hostmap_find(&map, REM_STR("wild.com")));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("hostmap");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, finds, 0, REM_COUNT(found));
    tcase_add_loop_test(tc, refuses, 0, REM_COUNT(refused));
    return run_tests(tc);
}
