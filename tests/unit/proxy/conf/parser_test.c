/* SPDX-License-Identifier: Apache-2.0 */
/* The words of errors and the lines they name; compared by hand with nginx 1.22. */
#include "tests/unit/proxy/conf/language.h"

static const struct {
    const char *text;
    const char *report; /* "": loads without a word */
} cases[] = {
    {"", ""},
    {"# only a comment", ""},
    {"events {}\n\n# x", ""},
    {"foo bar;", "unknown directive \"foo\" in DIR/c.conf:1\n"},
    {"\n\nfoo { bar; }", "unknown directive \"foo\" in DIR/c.conf:3\n"},
    {"$foo;", "unknown directive \"$foo\" in DIR/c.conf:1\n"},
    {"'';", "unknown directive \"\" in DIR/c.conf:1\n"},
    {"events {}\nhttp { daemon on; }",
     "\"daemon\" directive is not allowed here in DIR/c.conf:2\n"},
    {"location / {}", "\"location\" directive is not allowed here in DIR/c.conf:1\n"},
    {"http {\n server {\n  flag on\n }\n}", "unexpected \"}\" in DIR/c.conf:4\n"},
    {"http {\n server {\n  flag on;\n",
     "unexpected end of file, expecting \"}\" in DIR/c.conf:4\n"},
    {"http {\n server {\n  flag on",
     "unexpected end of file, expecting \";\" or \"}\" in DIR/c.conf:3\n"},
    {"http {\n flag 'on;\n", "unexpected end of file, expecting \";\" or \"}\" in DIR/c.conf:3\n"},
    {"}", "unexpected \"}\" in DIR/c.conf:1\n"},
    {"http }", "unexpected \"}\" in DIR/c.conf:1\n"},
    {";", "unexpected \";\" in DIR/c.conf:1\n"},
    {"{", "unexpected \"{\" in DIR/c.conf:1\n"},
    {"workers 1;;", "unexpected \";\" in DIR/c.conf:1\n"},
    {"http;", "directive \"http\" has no opening \"{\" in DIR/c.conf:1\n"},
    {"workers 1 {}", "directive \"workers\" is not terminated by \";\" in DIR/c.conf:1\n"},
    {"workers\n1\n2\n3;\n",
     "invalid number of arguments in \"workers\" directive in DIR/c.conf:4\n"},
    {"workers;", "invalid number of arguments in \"workers\" directive in DIR/c.conf:1\n"},
    {"http x {}", "invalid number of arguments in \"http\" directive in DIR/c.conf:1\n"},
    {"daemon on off;", "invalid number of arguments in \"daemon\" directive in DIR/c.conf:1\n"},
    {"daemon;", "invalid number of arguments in \"daemon\" directive in DIR/c.conf:1\n"},
    {"any; any 1; any 1 2 3 4 5 6 7 8 9;", "warn: \"any\" is deprecated in DIR/c.conf:1\n"
                                           "warn: \"any\" is deprecated in DIR/c.conf:1\n"
                                           "warn: \"any\" is deprecated in DIR/c.conf:1\n"},
    {"one_or_three 1;\none_or_three 1 2 3;",
     "warn: \"one_or_three\" is deprecated in DIR/c.conf:1\n"
     "warn: \"one_or_three\" is deprecated in DIR/c.conf:2\n"},
    {"one_or_three 1 2;",
     "invalid number of arguments in \"one_or_three\" directive in DIR/c.conf:1\n"},
    {"one_or_three 1 2 3 4 5 6 7 8 9;",
     "invalid number of arguments in \"one_or_three\" directive in DIR/c.conf:1\n"},
    {"two_or_more 1 2;", "warn: \"two_or_more\" is deprecated in DIR/c.conf:1\n"},
    {"two_or_more 1;",
     "invalid number of arguments in \"two_or_more\" directive in DIR/c.conf:1\n"},
    {"some;", "invalid number of arguments in \"some\" directive in DIR/c.conf:1\n"},
    {"mute;", "\"mute\" directive failed: not supported in DIR/c.conf:1\n"},
    {"workers 1;\nworkers 2;", "\"workers\" directive is duplicate in DIR/c.conf:2\n"},
    {"workers 5; events { workers 10; }", ""},
    {"workers 10;", "value must be between 1 and 9 in DIR/c.conf:1\n"},
    {"events { workers 9; }", "value must be equal to or greater than 10 in DIR/c.conf:1\n"},
    {"events {} events {}", "\"events\" directive is duplicate in DIR/c.conf:1\n"},
    {"http { types { a b; c d\n e; } }", ""},
    {"http { types { a { b; } } }", "unexpected \"{\" in DIR/c.conf:1\n"},
    {"http { types { a b } }", "unexpected \"}\" in DIR/c.conf:1\n"},
    {"http { types { a b;", "unexpected end of file, expecting \"}\" in DIR/c.conf:1\n"},
    {"http { types { ; } }", "unexpected \";\" in DIR/c.conf:1\n"},
    {"http { types { mute; } }", "\"mute\" failed: not supported in DIR/c.conf:1\n"},
    {"http { types { server a; } server { location a { location b { if x y { flag on; } } } } }",
     ""},
    {"http { server { location a { if x { location b {} } } } }",
     "\"location\" directive is not allowed here in DIR/c.conf:1\n"},
    {"http { server { name refused; } }",
     "module \"http\" failed: invalid value in DIR/c.conf:1\n"},
    {"'a'b;", "unexpected \"b\" in DIR/c.conf:1\n"},
    {"include;", "invalid number of arguments in \"include\" directive in DIR/c.conf:1\n"},
    {"include a b;", "invalid number of arguments in \"include\" directive in DIR/c.conf:1\n"},
    {"include {}", "directive \"include\" is not terminated by \";\" in DIR/c.conf:1\n"},
    {"\ninclude none;",
     "open() \"DIR/none\" failed (2: No such file or directory) in DIR/c.conf:2\n"},
    {"include none/*;", ""},
    {"include in[;", ""},
    {"\ninclude sub;", "pread() \"DIR/sub\" failed (21: Is a directory) in DIR/c.conf:2\n"},
    {"include one.inc;\nworkers 2;", "\"workers\" directive is duplicate in DIR/c.conf:2\n"},
    {"include one.inc; include 'one.inc';",
     "\"workers\" directive is duplicate in DIR/one.inc:2\n"},
    {"events {}\ninclude cut.inc;",
     "unexpected end of file, expecting \";\" or \"}\" in DIR/cut.inc:2\n"},
    {"http {\ninclude brace.inc; }", "unexpected \"}\" in DIR/brace.inc:1\n"},
    {"http {\ninclude open.inc; }", "unexpected end of file, expecting \"}\" in DIR/open.inc:2\n"},
    {"include loop.inc;", "too many blocks or includes within each other in DIR/loop.inc:1\n"},
    {"http { types { include line.inc; } }", ""},
    {"http { server { include line.inc; } }",
     "unknown directive \"text/html\" in DIR/line.inc:1\n"},
    {"include sub/deep.inc;", "\"workers\" directive is duplicate in DIR/one.inc:2\n"},
    {"include sub/g*.inc;", "warn: \"some\" is deprecated in DIR/sub/g1.inc:1\n"
                            "warn: \"some\" is deprecated in DIR/sub/g2.inc:2\n"},
};

static void write_includes(void)
{
    write_file("one.inc", "\nworkers 1;\n");
    write_file("cut.inc", "\ndaemon on");
    write_file("brace.inc", "server {} }");
    write_file("open.inc", "server {\n");
    write_file("loop.inc", "include loop.inc;");
    write_file("line.inc", "text/html html;");
    /* Paths are relative to the main file, wherever the including file is. */
    write_file("sub/deep.inc", "include one.inc; include one.inc;");
    write_file("sub/g2.inc", "\nsome 1;");
    write_file("sub/g1.inc", "some 1;");
}

START_TEST(errors)
{
    struct rem_conf_cycle *cycle;
    int rc;
    bool fails = cases[_i].report[0] != '\0' && strncmp(cases[_i].report, "warn", 4) != 0;

    make_dir();
    write_includes();
    rc = load_lang(cases[_i].text, "", &cycle);
    ck_assert_msg(strcmp(reported(), cases[_i].report) == 0, "%s\n gave: %s wanted: %s",
                  cases[_i].text, reported(), cases[_i].report);
    ck_assert_msg((rc < 0) == fails && (cycle == NULL) == fails, "%s gave %d", cases[_i].text, rc);
    rem_conf_free(cycle);
    drop_dir();
}
END_TEST

static const struct {
    const char *globals, *report;
} globals_cases[] = {
    {"daemon off;", ""},
    {"daemon off; workers 2;", ""},
    {"daemon off", "unexpected end of parameter, expecting \";\" in command line\n"},
    {"workers 'a", "unexpected end of parameter, expecting \";\" in command line\n"},
    {"foo;", "unknown directive \"foo\" in command line\n"},
    {"}", "unexpected \"}\" in command line\n"},
    {"{", "unexpected \"{\" in command line\n"},
    {"daemon x;", "invalid value \"x\" in \"daemon\" directive, it must be \"on\" or \"off\" in "
                  "command line\n"},
    {"events {", "block directives are not supported in -g option in command line\n"},
    {"events { }", "block directives are not supported in -g option in command line\n"},
    {"include none;",
     "open() \"DIR/none\" failed (2: No such file or directory) in command line\n"},
    {"workers 1;", ""},
    {"include in.inc;", "\"daemon\" directive is duplicate in DIR/c.conf:2\n"},
};

START_TEST(globals)
{
    struct rem_conf_cycle *cycle;
    int rc;

    make_dir();
    write_file("in.inc", "daemon on;");
    rc = load_lang(strstr(globals_cases[_i].globals, "in.inc") ? "\ndaemon on;" : "events {}",
                   globals_cases[_i].globals, &cycle);
    ck_assert_str_eq(reported(), globals_cases[_i].report);
    ck_assert_int_eq(rc < 0, globals_cases[_i].report[0] != '\0');
    rem_conf_free(cycle);
    drop_dir();
}
END_TEST

START_TEST(free_lines)
{
    struct rem_conf_cycle *cycle;
    const struct rem_array *types;

    make_dir();
    write_file("t1.types", "x y;");
    write_file("t2.types", "z;");
    ck_assert_int_eq(
        load_lang("http { types { a 'b c'; include t*.types; d; } flag on; }", "", &cycle), 0);
    types = location_at(cycle, "")->types;
    ck_assert_uint_eq(types->n, 4);
    ck_assert_str_eq(REM_ARRAY_OF(types, struct rem_str)[0].p, "a,b c");
    ck_assert_str_eq(REM_ARRAY_OF(types, struct rem_str)[1].p, "x,y");
    ck_assert_str_eq(REM_ARRAY_OF(types, struct rem_str)[2].p, "z");
    ck_assert_str_eq(REM_ARRAY_OF(types, struct rem_str)[3].p, "d");
    ck_assert_int_eq(location_at(cycle, "")->flag, 1);
    rem_conf_free(cycle);
    drop_dir();
}
END_TEST

/* Deep nesting of blocks ends in an error before the stack does. */
START_TEST(deep_blocks)
{
    struct rem_conf_cycle *cycle;
    struct rem_sbuf text;

    make_dir();
    rem_sbuf_init(&text);
    rem_sbuf_adds(&text, "http { server { ");
    for (int i = 0; i < 5000; i++)
        rem_sbuf_adds(&text, "location a { ");
    rem_sbuf_addc(&text, '\0');
    ck_assert_int_lt(load_lang(text.p, "", &cycle), 0);
    ck_assert_str_eq(reported(), "too many blocks or includes within each other in DIR/c.conf:1\n");
    rem_sbuf_fini(&text);
    drop_dir();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("parser");

    tcase_add_loop_test(tc, errors, 0, REM_COUNT(cases));
    tcase_add_loop_test(tc, globals, 0, REM_COUNT(globals_cases));
    tcase_add_test(tc, free_lines);
    tcase_add_test(tc, deep_blocks);
    return run_tests(tc);
}
