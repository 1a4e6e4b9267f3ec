/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tokens.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
    char dir[64];
    char paths[2][128];
    struct rem_admin_token specs[2];
    struct rem_clock clock;
    struct rem_log log;
    struct rem_tokens tokens;
};

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void world_init(struct world *w, const char *one, const char *two)
{
    *w = (struct world){.dir = "/tmp/remora-tokens-XXXXXX", .log = {.level = REM_LOG_STDERR}};
    ck_assert_ptr_nonnull(mkdtemp(w->dir));
    for (int i = 0; i < 2; i++) {
        strcpy(w->paths[i], w->dir);
        strcat(w->paths[i], i == 0 ? "/one" : "/two");
        w->specs[i] = (struct rem_admin_token){.name = i == 0 ? REM_STR("one") : REM_STR("two"),
                                               .role = i == 0 ? REM_ROLE_READ : REM_ROLE_WRITE,
                                               .path = w->paths[i],
                                               .place = REM_STR("conf:1")};
    }
    w->specs[0].next = &w->specs[1];
    put(w->paths[0], one);
    put(w->paths[1], two);
    rem_clock_update(&w->clock);
    ck_assert_int_eq(rem_tokens_init(&w->tokens, w->specs, &w->log, &w->clock), 0);
}

static void world_fini(struct world *w)
{
    char path[128];

    rem_tokens_fini(&w->tokens);
    for (int i = 0; i < 2; i++)
        unlink(w->paths[i]);
    snprintf(path, sizeof(path), "%s/next", w->dir);
    unlink(path);
    ck_assert_int_eq(rmdir(w->dir), 0);
}

static const char *who(struct world *w, const char *text)
{
    const struct rem_token *token = rem_tokens_find(&w->tokens, rem_str_from(text));

    return token != NULL ? token->who : "nobody";
}

static void later(struct world *w)
{
    w->clock.mono_ms += REM_TOKENS_LOOK_MS;
}

START_TEST(test_find)
{
    struct world w;

    world_init(&w, "alpha\n", "beta \t\r\n");
    ck_assert_str_eq(who(&w, "alpha"), "token:one");
    ck_assert_str_eq(who(&w, "beta"), "token:two");
    ck_assert_str_eq(who(&w, "alph"), "nobody");
    ck_assert_str_eq(who(&w, "alphab"), "nobody");
    ck_assert_str_eq(who(&w, "alpha\n"), "nobody");
    ck_assert_str_eq(who(&w, ""), "nobody");
    world_fini(&w);
}
END_TEST

/* An unreadable token's digest, which nothing has been put into, opens to nobody. */
START_TEST(test_bad_files)
{
    struct world w;

    world_init(&w, "", "two words");
    ck_assert_str_eq(who(&w, ""), "nobody");
    ck_assert_str_eq(who(&w, "two words"), "nobody");
    ck_assert_str_eq(who(&w, "two"), "nobody");
    put(w.paths[0], "alpha");
    ck_assert_str_eq(who(&w, "alpha"), "nobody");
    later(&w);
    ck_assert_str_eq(who(&w, "alpha"), "token:one");
    world_fini(&w);
}
END_TEST

START_TEST(test_changes_are_seen)
{
    struct world w;
    char next[128];

    world_init(&w, "alpha", "beta");
    put(w.paths[0], "gamma"); /* the same size, perhaps the same time */
    later(&w);
    ck_assert_str_eq(who(&w, "gamma"), "token:one");
    ck_assert_str_eq(who(&w, "alpha"), "nobody");
    snprintf(next, sizeof(next), "%s/next", w.dir);
    put(next, "delta");
    ck_assert_int_eq(rename(next, w.paths[0]), 0);
    later(&w);
    ck_assert_str_eq(who(&w, "delta"), "token:one");
    ck_assert_int_eq(unlink(w.paths[0]), 0);
    later(&w);
    ck_assert_str_eq(who(&w, "delta"), "nobody");
    ck_assert_str_eq(who(&w, "beta"), "token:two");
    world_fini(&w);
}
END_TEST

START_TEST(test_files_are_not_looked_at_all_the_time)
{
    struct world w;

    world_init(&w, "alpha", "beta");
    put(w.paths[0], "gamma");
    ck_assert_str_eq(who(&w, "alpha"), "token:one");
    w.clock.mono_ms += REM_TOKENS_LOOK_MS - 1;
    ck_assert_str_eq(who(&w, "alpha"), "token:one");
    w.clock.mono_ms++;
    ck_assert_str_eq(who(&w, "alpha"), "nobody");
    world_fini(&w);
}
END_TEST

/* Between two users of the same token the first of the block counts. */
START_TEST(test_the_same_token_twice)
{
    struct world w;

    world_init(&w, "alpha", "alpha");
    ck_assert_str_eq(who(&w, "alpha"), "token:one");
    world_fini(&w);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, test_find);
    tcase_add_test(tc, test_bad_files);
    tcase_add_test(tc, test_changes_are_seen);
    tcase_add_test(tc, test_files_are_not_looked_at_all_the_time);
    tcase_add_test(tc, test_the_same_token_twice);
    return run_suite("tokens", tc);
}
