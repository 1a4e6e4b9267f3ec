/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/uri.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

struct row {
    const char *path;
    const char *merged; /* with merge_slashes; NULL: refused */
    const char *kept;   /* without; NULL: as merged */
};

/* What nginx 1.22 makes of the same paths, but for those refused here on purpose. */
static const struct row rows[] = {
    {"/", "/", NULL},
    {"/a/b", "/a/b", NULL},
    {"/a//b", "/a/b", "/a//b"},
    {"//", "/", "//"},
    {"//a", "/a", "//a"},
    {"/a///", "/a/", "/a///"},
    {"/a/./b", "/a/b", NULL},
    {"/a/.", "/a/", NULL},
    {"/.", "/", NULL},
    {"/./", "/", NULL},
    {"/a/../b", "/b", NULL},
    {"/a/..", "/", NULL},
    {"/a/b/../../c", "/c", NULL},
    {"/a//../b", "/b", "/a/b"},
    {"/...", "/...", NULL},
    {"/a/..b", "/a/..b", NULL},
    {"/a/.b", "/a/.b", NULL},
    {"/a/b../c", "/a/b../c", NULL},
    {"/a.", "/a.", NULL},
    {"/a%2fb", "/a/b", NULL},
    {"/a%2F/b", "/a/b", "/a//b"},
    {"/a%2f..%2fb", "/b", NULL},
    {"/a/%2e%2e/b", "/b", NULL},
    {"/a/.%2e/b", "/b", NULL},
    {"/a/%2e", "/a/", NULL},
    {"/a/b/%2e%2e%2f%2e%2e/c", "/c", NULL},
    {"/a%23b", "/a#b", NULL},
    {"/a%3fb", "/a?b", NULL},
    {"/a%20b+c", "/a b+c", NULL},
    {"/%c3%A4", "/\xc3\xa4", NULL},
    {"/%41", "/A", NULL},
    {"/%2541", "/%41", NULL},
    {"/\xff\"\\", "/\xff\"\\", NULL},
    {"", NULL, NULL},
    {"a", NULL, NULL},
    {"/..", NULL, NULL},
    {"/../", NULL, NULL},
    {"/../a", NULL, NULL},
    {"/a/../..", NULL, NULL},
    {"/a/../../b", NULL, NULL},
    {"/%2e%2e/", NULL, NULL},
    {"/./..", NULL, NULL},
    {"/a%00", NULL, NULL},
    {"/a%", NULL, NULL},
    {"/a%1", NULL, NULL},
    {"/a%zz", NULL, NULL},
    {"/a%1z", NULL, NULL},
};

static void check_path(const char *path, bool merge, const char *want)
{
    size_t n = strlen(path);
    char *exact = malloc(n ? n : 1);
    struct rem_arena arena;
    struct rem_str out = REM_STR("unset");
    struct rem_str again;
    int rc;

    memcpy(exact, path, n);
    rem_arena_init(&arena, NULL);
    rc = rem_uri_normalize(rem_str_make(exact, n), merge, &arena, &out);
    ck_assert_msg(rc == (want != NULL ? REM_OK : REM_EINVAL), "'%s': %d", path, rc);
    ck_assert_msg(rem_str_is(out, want != NULL ? want : "unset"), "'%s': '%.*s' instead of '%s'",
                  path, REM_STR_ARG(out), want != NULL ? want : "unset");
    if (want != NULL) {
        /* The same bytes if and only if nothing had to change. */
        ck_assert_int_eq(out.p == exact, strcmp(path, want) == 0);
        if (strchr(want, '%') == NULL) {
            ck_assert_int_eq(rem_uri_normalize(out, merge, &arena, &again), REM_OK);
            ck_assert(rem_str_eq(out, again));
        }
    }
    rem_arena_reset(&arena);
    free(exact);
}

START_TEST(normalize)
{
    const struct row *row = &rows[_i];

    check_path(row->path, true, row->merged);
    check_path(row->path, false, row->kept != NULL ? row->kept : row->merged);
}
END_TEST

/* A raw NUL, which no parser lets through, is no path either. */
START_TEST(raw_nul)
{
    struct rem_arena arena;
    struct rem_str out;

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_uri_normalize(rem_str_make("/a\0b", 4), true, &arena, &out), REM_EINVAL);
    ck_assert_int_eq(rem_uri_normalize(rem_str_make("/.\0", 3), true, &arena, &out), REM_EINVAL);
    rem_arena_reset(&arena);
}
END_TEST

/* Escaping a normal path and normalising it again gives the path back. */
START_TEST(escape_is_undone)
{
    unsigned seed = 3;

    for (int turn = 0; turn < 5000; turn++) {
        struct rem_arena arena;
        char path[40];
        size_t n = 1 + (size_t)rand_r(&seed) % (sizeof(path) - 1);
        struct rem_str normal, escaped, back;

        path[0] = '/';
        for (size_t i = 1; i < n; i++)
            path[i] = (char)(rand_r(&seed) % 3 != 0 ? "/.a%"[rand_r(&seed) % 4]
                                                    : 1 + rand_r(&seed) % 255);
        rem_arena_init(&arena, NULL);
        if (rem_uri_normalize(rem_str_make(path, n), true, &arena, &normal) == REM_OK) {
            ck_assert_int_eq(rem_uri_escape(normal, REM_URI_ESCAPE_PATH, &arena, &escaped), REM_OK);
            ck_assert_int_eq(rem_uri_normalize(escaped, true, &arena, &back), REM_OK);
            ck_assert_msg(rem_str_eq(back, normal), "'%.*s' instead of '%.*s'", REM_STR_ARG(back),
                          REM_STR_ARG(normal));
        }
        rem_arena_reset(&arena);
    }
}
END_TEST

/* The bytes that nginx 1.22 escapes when it sends a changed path upstream. */
START_TEST(escaped_bytes)
{
    struct rem_arena arena;

    rem_arena_init(&arena, NULL);
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        char hex[4];
        bool in_path = c <= 0x20 || c >= 0x7f || strchr("\"#%<>?\\^`{|}", c) != NULL;
        bool in_args = c <= 0x20 || c == 0x7f;
        bool alnum = rem_is_digit(byte) || (rem_lower(byte) >= 'a' && rem_lower(byte) <= 'z');
        bool in_component = !(alnum || (c != 0 && strchr("-._~", c) != NULL));
        const bool want[] = {in_path, in_args, in_component};

        snprintf(hex, sizeof(hex), "%%%02X", c);
        for (int set = 0; set < 3; set++) {
            struct rem_str out;

            ck_assert_int_eq(
                rem_uri_escape(rem_str_make(&byte, 1), (enum rem_uri_escape_set)set, &arena, &out),
                REM_OK);
            if (want[set])
                ck_assert_msg(rem_str_is(out, hex), "byte %d, set %d", c, set);
            else
                ck_assert_msg(out.p == &byte && out.n == 1, "byte %d, set %d", c, set);
        }
    }
    rem_arena_reset(&arena);
}
END_TEST

START_TEST(unescape)
{
    static const char *const pairs[][2] = {
        {"", ""},       {"a", "a"},     {"%41%42c", "ABc"}, {"%", "%"}, {"%4", "%4"},
        {"%zz", "%zz"}, {"%%41", "%A"}, {"a%20", "a "},     {"+", "+"},
    };
    struct rem_arena arena;
    struct rem_str out;

    rem_arena_init(&arena, NULL);
    for (size_t i = 0; i < REM_COUNT(pairs); i++) {
        ck_assert_int_eq(rem_uri_unescape(rem_str_from(pairs[i][0]), &arena, &out), REM_OK);
        ck_assert_msg(rem_str_is(out, pairs[i][1]), "'%s': '%.*s'", pairs[i][0], REM_STR_ARG(out));
    }
    ck_assert_int_eq(rem_uri_unescape(REM_STR("%00"), &arena, &out), REM_OK);
    ck_assert(rem_str_eq(out, rem_str_make("", 1)));
    rem_arena_reset(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, raw_nul);
    tcase_add_test(tc, escape_is_undone);
    tcase_add_test(tc, escaped_bytes);
    tcase_add_test(tc, unescape);
    tcase_add_loop_test(tc, normalize, 0, (int)REM_COUNT(rows));
    return run_suite("uri_path", tc);
}
