/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/sub_match.h"

#include "tests/unit/suite.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATTERNS = 4, OUT = 4096 };

static struct rem_str patterns[PATTERNS];
static struct rem_sub_set *set;
static struct rem_sub_scan scan;
static struct rem_arena arena;
static char out[OUT];
static size_t n_out;

static void put(const char *p, size_t n)
{
    ck_assert_uint_le(n_out + n, sizeof(out));
    memcpy(out + n_out, p, n);
    n_out += n;
}

static uint32_t begin(const char *const *texts, bool once)
{
    uint32_t n = 0;

    rem_arena_init(&arena, NULL);
    for (; n < PATTERNS && texts[n] != NULL; n++)
        patterns[n] = rem_str_from(texts[n]);
    ck_assert_int_eq(rem_sub_set_new(&arena, patterns, n, &set), 0);
    ck_assert_int_eq(rem_sub_scan_init(&scan, &arena, set, once), 0);
    n_out = 0;
    return n;
}

/* Writes "<0>" for a match of the first pattern, and so on. */
static void feed(struct rem_str input, bool final)
{
    for (;;) {
        struct rem_str text;
        uint32_t pattern;
        char mark[16];

        switch (rem_sub_scan_next(&scan, &input, final, &text, &pattern)) {
        case REM_SUB_MORE:
            ck_assert_uint_eq(input.n, 0);
            return;
        case REM_SUB_TEXT:
            put(text.p, text.n);
            break;
        case REM_SUB_MATCH:
            put(mark, (size_t)snprintf(mark, sizeof(mark), "<%u>", pattern));
            break;
        }
    }
}

static const struct {
    const char *patterns[PATTERNS];
    const char *in, *out;
    const char *out_once;
} cases[] = {
    {{"a"}, "", "", ""},
    {{"a"}, "a", "<0>", "<0>"},
    {{"a"}, "bAb", "b<0>b", "b<0>b"},
    {{"A"}, "aa", "<0><0>", "<0>a"},
    {{"foo"}, "fofoo", "fo<0>", "fo<0>"},
    {{"foo"}, "fofo", "fofo", "fofo"},
    {{"abac"}, "ababac", "ab<0>", "ab<0>"},
    {{"aab"}, "aaaab", "aa<0>", "aa<0>"},
    {{"aabb", "aaabb"}, "aabbaaabbaabb", "<0><1><0>", "<0><1>aabb"},
    {{"ab", "abcd"}, "abcabcdab", "<0>c<1><0>", "<0>c<1>ab"},
    {{"abcd", "ab"}, "abcabcdab", "<1>c<0><1>", "<1>c<0>ab"},
    {{"abcd", "bc"}, "abce", "a<1>e", "a<1>e"},
    {{"abcd", "bc"}, "abc", "a<1>", "a<1>"},
    {{"abcd", "b", "c"}, "abcxabcd", "a<1><2>x<0>", "a<1><2>x<0>"},
    {{"abpatternyz", "abpa", "tter"}, "abpatternyAabpatternyz", "<1><2>nyA<0>", "<1><2>nyA<0>"},
    {{"x", "x"}, "xx", "<0><0>", "<0>x"},
    {{"", "b"}, "abc", "a<1>c", "a<1>c"},
    {{"", ""}, "abc", "abc", "abc"},
    {{"[", "{"}, "[{K", "<0><1>K", "<0><1>K"}, /* what lies near letters has no case */
    {{"\xc3\xa9"}, "\xc3\xa9\xc3\x89", "<0>\xc3\x89", "<0>\xc3\x89"},
    {{"aaab"}, "aaaaaaaa", "aaaaaaaa", "aaaaaaaa"},
    {{"aaab", "a"}, "aaaab", "<1><0>", "<1><0>"},
    {{"ab", "bc", "ca"}, "abcabc", "<0><2><1>", "<0><2><1>"},
};

START_TEST(in_pieces)
{
    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_str in = rem_str_from(cases[i].in);

        for (size_t piece = 1; piece <= in.n + 1; piece++) {
            for (int once = 0; once < 2; once++) {
                const char *want = once ? cases[i].out_once : cases[i].out;

                begin(cases[i].patterns, once);
                for (size_t at = 0; at < in.n; at += piece)
                    feed(rem_str_make(in.p + at, at + piece < in.n ? piece : in.n - at), false);
                feed((struct rem_str){NULL, 0}, true);
                ck_assert_msg(n_out == strlen(want) && memcmp(out, want, n_out) == 0,
                              "case %zu, pieces of %zu, once %d: \"%.*s\", want \"%s\"", i, piece,
                              once, (int)n_out, out, want);
                rem_arena_reset(&arena);
            }
        }
    }
}
END_TEST

/* Only what may become part of a match is held back. */
START_TEST(held_back)
{
    static const struct {
        const char *patterns[PATTERNS];
        const char *in, *out;
    } held[] = {
        {{"za"}, "xyz", "xy"},       {{"ab"}, "xyz", "xyz"},     {{"abc"}, "xab", "x"},
        {{"abc"}, "xabx", "xabx"},   {{"abc", "b"}, "xab", "x"}, {{"abc", "b"}, "xabd", "xa<1>d"},
        {{"aab"}, "aaaaaa", "aaaa"}, {{"abab"}, "abax", "abax"},
    };

    for (size_t i = 0; i < REM_COUNT(held); i++) {
        begin(held[i].patterns, false);
        feed(rem_str_from(held[i].in), false);
        ck_assert_msg(n_out == strlen(held[i].out) && memcmp(out, held[i].out, n_out) == 0,
                      "case %zu: \"%.*s\", want \"%s\"", i, (int)n_out, out, held[i].out);
        rem_arena_reset(&arena);
    }
}
END_TEST

/* Finds matches the slow way: at each place the longest pattern. */
static size_t reference(const char *in, size_t n, uint32_t n_patterns, char *to)
{
    size_t size = 0;

    for (size_t at = 0; at < n;) {
        uint32_t best = n_patterns;

        for (uint32_t i = 0; i < n_patterns; i++) {
            if (patterns[i].n <= n - at && memcmp(in + at, patterns[i].p, patterns[i].n) == 0 &&
                (best == n_patterns || patterns[i].n > patterns[best].n))
                best = i;
        }
        if (best == n_patterns)
            to[size++] = in[at++];
        else
            size += (size_t)sprintf(to + size, "<%u>", best);
        at += best == n_patterns ? 0 : patterns[best].n;
    }
    return size;
}

START_TEST(against_the_slow_way)
{
    static const char *const sets[][PATTERNS] = {
        {"aab", "abab", "b"},
        {"aaaa", "ab"},
        {"abba", "bb", "a"},
        {"babb", "abb", "bba", "aaa"},
    };
    char in[200], want[OUT];

    srand(1);
    for (int round = 0; round < 2000; round++) {
        uint32_t n = begin(sets[(size_t)round % REM_COUNT(sets)], false);
        size_t size = (size_t)rand() % sizeof(in), at = 0, n_want;

        for (size_t i = 0; i < size; i++)
            in[i] = "ab"[rand() % 2];
        while (at < size) {
            size_t piece = (size_t)rand() % 9;

            piece = piece < size - at ? piece : size - at;
            feed(rem_str_make(in + at, piece), false);
            at += piece;
        }
        feed((struct rem_str){NULL, 0}, true);
        n_want = reference(in, size, n, want);
        ck_assert_msg(n_out == n_want && memcmp(out, want, n_out) == 0,
                      "round %d: \"%.*s\" -> \"%.*s\", want \"%.*s\"", round, (int)size, in,
                      (int)n_out, out, (int)n_want, want);
        rem_arena_reset(&arena);
    }
}
END_TEST

/* An attempt of the longest pattern that always fails at its end, larger than the window's slack.
 */
START_TEST(long_attempts)
{
    static char pattern[3001], input[9001];
    const char *texts[PATTERNS] = {pattern};
    size_t total = 0;
    struct rem_str text, in;
    uint32_t found;

    memset(pattern, 'a', sizeof(pattern) - 2);
    pattern[sizeof(pattern) - 2] = 'b';
    memset(input, 'a', sizeof(input) - 1);
    begin(texts, false);
    in = rem_str_from(input);
    for (enum rem_sub_event event = REM_SUB_TEXT; event != REM_SUB_MORE;) {
        event = rem_sub_scan_next(&scan, &in, true, &text, &found);
        ck_assert_int_ne(event, REM_SUB_MATCH);
        total += event == REM_SUB_TEXT ? text.n : 0;
    }
    ck_assert_uint_eq(total, sizeof(input) - 1);
    rem_arena_reset(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("sub_match");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, in_pieces);
    tcase_add_test(tc, held_back);
    tcase_add_test(tc, against_the_slow_way);
    tcase_add_test(tc, long_attempts);
    return run_suite("sub_match", tc);
}
