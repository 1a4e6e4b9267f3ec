/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/log_format.h"

#include "tests/unit/proxy/conf/variables.h"

static const char odd[] = "q\"b\\s\x1b\n\t\x7f\xc3z";

/* The line of `log_format x WORDS` with the variables of the stage and $odd. */
static struct rem_str line_of(struct stage *s, const struct rem_str *words, size_t n, char *room,
                              size_t size)
{
    struct rem_log_format format;
    struct rem_str line;

    stage_init(s);
    define(s, "odd", get_text, odd, 0);
    s->cf.args = words;
    s->cf.n_args = n;
    ck_assert_int_eq(rem_log_format_parse(&s->cf, &format), 0);
    ck_assert(rem_str_is(format.name, "x"));
    stage_ready(s);
    ck_assert_int_eq(rem_log_format_line(&format, &s->e, room, size, &line), 0);
    return line;
}

static const struct {
    const char *words[3];
    const char *line;
} lines[] = {
    {{"plain"}, "plain\n"},
    {{""}, "\n"},
    {{"$host ", "$scheme", "!"}, "example.org http!\n"},
    {{"$scheme", "x", "$host"}, "httpxexample.org\n"}, /* a name ends with its word */
    {{"<$empty>"}, "<->\n"},
    {{"$odd"}, "q\\x22b\\x5Cs\\x1B\\x0A\\x09\\x7F\\xC3z\n"},
    {{"escape=default", "$odd"}, "q\\x22b\\x5Cs\\x1B\\x0A\\x09\\x7F\\xC3z\n"},
    {{"escape=json", "$odd<$empty>"}, "q\\\"b\\\\s\\u001B\\n\\t\x7f\xc3z<>\n"},
    {{"escape=none", "$odd<$empty>"}, "q\"b\\s\x1b\n\t\x7f\xc3z<>\n"},
    {{"escape=json", "\"text\""}, "\"text\"\n"}, /* only values are escaped */
    {{"<$1>"}, "<>\n"},
};

START_TEST(escapes)
{
    for (size_t i = 0; i < REM_COUNT(lines); i++) {
        struct rem_str words[5] = {REM_STR("log_format"), REM_STR("x")}, line;
        char room[256];
        struct stage s;
        size_t n = 2;

        for (size_t k = 0; k < 3 && lines[i].words[k] != NULL; k++)
            words[n++] = rem_str_from(lines[i].words[k]);
        line = line_of(&s, words, n, room, sizeof(room));
        ck_assert_msg(rem_str_is(line, lines[i].line), "line %zu: \"%.*s\"", i, REM_STR_ARG(line));
        stage_fini(&s);
    }
}
END_TEST

/* Whatever the room, the line is whole. */
START_TEST(rooms)
{
    static const char want[] = "a q\\x22b\\x5Cs\\x1B\\x0A\\x09\\x7F\\xC3z b\n";
    const struct rem_str words[] = {REM_STR("log_format"), REM_STR("x"), REM_STR("a $odd b")};

    for (size_t size = 0; size < sizeof(want) + 2; size++) {
        char *room = malloc(size + 1); /* so that a byte too many is found */
        struct rem_str line;
        struct stage s;

        line = line_of(&s, words, REM_COUNT(words), room, size);
        ck_assert_msg(rem_str_is(line, want), "room %zu: \"%.*s\"", size, REM_STR_ARG(line));
        ck_assert_int_eq(line.p == room, size >= sizeof(want) - 1);
        stage_fini(&s);
        free(room);
    }
}
END_TEST

START_TEST(unknown_escaping)
{
    const struct rem_str words[] = {REM_STR("log_format"), REM_STR("x"), REM_STR("escape=xml"),
                                    REM_STR("a")};
    struct rem_log_format format;
    struct stage s;

    stage_init(&s);
    s.cf.args = words;
    s.cf.n_args = REM_COUNT(words);
    ck_assert_int_lt(rem_log_format_parse(&s.cf, &format), 0);
    ck_assert_ptr_nonnull(strstr(reported(), "unknown log format escaping \"xml\""));
    stage_fini(&s);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_format");

    tcase_add_test(tc, escapes);
    tcase_add_test(tc, rooms);
    tcase_add_test(tc, unknown_escaping);
    return run_tests(tc);
}
