/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/lexer.h"

#include "tests/unit/proxy/conf/helper.h"

/* Tokens are spelled [word] ; { } and at the end . (or ~ inside quotes), errors as "line: text". */
static void spell(const char *text, size_t n, struct rem_sbuf *out)
{
    struct rem_arena arena;
    struct rem_lexer lexer;
    struct rem_token token;
    struct rem_err err;
    char *copy = malloc(n + (n == 0)); /* exact, so that the sanitizer sees one byte too many */

    memcpy(copy, text, n);
    rem_arena_init(&arena, NULL);
    rem_lexer_init(&lexer, &arena, REM_STR("f"), rem_str_make(copy, n), true);
    do {
        if (rem_lexer_next(&lexer, &token, &err) < 0) {
            rem_sbuf_addf(out, "%u: %s", lexer.line, err.text);
            break;
        }
        if (token.kind == REM_TOKEN_WORD) {
            ck_assert_uint_eq(strlen(token.text.p), token.text.n);
            rem_sbuf_addf(out, "[%s]", token.text.p);
        } else {
            rem_sbuf_addc(out, " ;{}.~"[token.kind]);
        }
        if (token.kind == REM_TOKEN_END || token.kind == REM_TOKEN_CUT)
            rem_sbuf_addf(out, "%u", lexer.line);
    } while (token.kind != REM_TOKEN_END && token.kind != REM_TOKEN_CUT);
    rem_sbuf_addc(out, '\0');
    rem_arena_reset(&arena);
    free(copy);
}

static const struct {
    const char *text, *tokens;
} cases[] = {
    {"", ".1"},
    {"a b;", "[a][b];.1"},
    {"a\n\tb\r\n;\n", "[a][b];.4"},
    {"a{b;}", "[a]{[b];}.1"},
    {"a}b", "[a}b].1"},
    {"} a", "}[a].1"},
    {"# x ; {\na;", "[a];.2"},
    {"a#b c#;", "[a#b][c#];.1"},
    {"a # b", "[a].1"},
    {"#", ".1"},
    {"\"a b;{}#\" 'c \"d' ;", "[a b;{}#][c \"d];.1"},
    {"'';\"\"", "[];[].1"},
    {"a'b c'", "[a'b][c'].1"},
    {"('a')", "[('a')].1"},
    {"'a')b;", "[a][)b];.1"},
    {"'a';'b'{", "[a];[b]{.1"},
    {"'a''b'", "1: unexpected \"'\""},
    {"\n'a'b", "2: unexpected \"b\""},
    {"'a'#", "1: unexpected \"#\""},
    {"'a'}", "1: unexpected \"}\""},
    {"'a", "~1"},
    {"\"a\n\n", "~3"},
    {"'a\\'", "~1"},
    {"'a\nb' c", "[a\nb][c].2"},
    {"\"\\\"\\'\\\\\\t\\r\\n\"", "[\"'\\\t\r\n].1"},
    {"\\\"\\'\\\\\\t\\r\\n", "[\"'\\\t\r\n].1"},
    {"'\\q\\.\\$' \\d+\\.x", "[\\q\\.\\$][\\d+\\.x].1"},
    {"a\\ b\\;c\\{d;", "[a\\ b\\;c\\{d];.1"},
    {"\\", "[\\].1"},
    {"a\\", "[a\\].1"},
    {"a\\\nb;", "[a\\\nb];.2"},
    {"${a};", "[${a}];.1"},
    {"x${a}y{", "[x${a}y]{.1"},
    {"${a{", "[${a]{.1"},
    {"$a{", "[$a]{.1"},
    {"$", "[$].1"},
    {"a{2}", "[a]{[2}].1"},
    {"a\vb", "[a\vb].1"},
    {"\xEF\xBB\xBF"
     "a",
     "[\xEF\xBB\xBF"
     "a].1"},
};

START_TEST(tokens)
{
    struct rem_sbuf out;

    rem_sbuf_init(&out);
    spell(cases[_i].text, strlen(cases[_i].text), &out);
    ck_assert_str_eq(out.p, cases[_i].tokens);
    rem_sbuf_fini(&out);
}
END_TEST

START_TEST(nul_byte)
{
    struct rem_sbuf out;

    rem_sbuf_init(&out);
    spell("a\nb\0c;", 6, &out);
    ck_assert_str_eq(out.p, "[a]2: unexpected NUL byte");
    rem_sbuf_fini(&out);
}
END_TEST

static const struct {
    size_t n;
    const char *before, *after;
    const char *error; /* NULL: fits */
} lengths[] = {
    {REM_LEXER_MAX_WORD, "", ";", NULL},
    {REM_LEXER_MAX_WORD + 1, "\n", ";", "2: too long parameter \"aaaaaaaaaa...\" started"},
    {REM_LEXER_MAX_WORD - 1, "\"", "\";", NULL},
    {REM_LEXER_MAX_WORD, "\n\n\"", "\n\n\";",
     "3: too long parameter, probably missing terminating \"\"\" character"},
    {REM_LEXER_MAX_WORD, "'", "",
     "1: too long parameter, probably missing terminating \"'\" character"},
};

START_TEST(long_words)
{
    struct rem_sbuf text, out;

    rem_sbuf_init(&text);
    rem_sbuf_init(&out);
    rem_sbuf_adds(&text, lengths[_i].before);
    for (size_t i = 0; i < lengths[_i].n; i++)
        rem_sbuf_addc(&text, 'a');
    rem_sbuf_adds(&text, lengths[_i].after);
    spell(text.p, text.n, &out);
    if (lengths[_i].error != NULL)
        ck_assert_str_eq(out.p, lengths[_i].error);
    else
        ck_assert_uint_ge(out.n, lengths[_i].n);
    rem_sbuf_fini(&text);
    rem_sbuf_fini(&out);
}
END_TEST

/* No text of three odd bytes may be read beyond its end or loop. */
START_TEST(all_short_texts)
{
    static const char alphabet[] = "a\\$\"'{};# \n)";
    size_t k = sizeof(alphabet) - 1;
    struct rem_sbuf out;

    rem_sbuf_init(&out);
    for (size_t i = 0; i < k * k * k; i++) {
        char text[3] = {alphabet[i % k], alphabet[i / k % k], alphabet[i / k / k]};

        for (size_t n = 0; n <= 3; n++) {
            rem_sbuf_clear(&out);
            spell(text, n, &out);
            ck_assert_uint_gt(out.n, 1);
        }
    }
    rem_sbuf_fini(&out);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("lexer");

    tcase_add_loop_test(tc, tokens, 0, REM_COUNT(cases));
    tcase_add_test(tc, nul_byte);
    tcase_add_loop_test(tc, long_words, 0, REM_COUNT(lengths));
    tcase_add_test(tc, all_short_texts);
    return run_tests(tc);
}
