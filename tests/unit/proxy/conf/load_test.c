/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy/conf/language.h"

START_TEST(dump)
{
    struct rem_conf_cycle *cycle;
    struct rem_sbuf out, want;

    make_dir();
    write_file("b.inc", "daemon on;");
    write_file("a.inc", "");
    ck_assert_int_eq(
        load_lang("include b.inc;\ninclude a.inc;include a*.inc;\nworkers 2;\n", "some 1;", &cycle),
        0);
    rem_sbuf_init(&out);
    rem_sbuf_init(&want);
    rem_conf_dump(cycle, &out);
    rem_sbuf_addf(&want,
                  "# configuration file %s/c.conf:\ninclude b.inc;\ninclude a.inc;include "
                  "a*.inc;\nworkers 2;\n\n# configuration file %s/b.inc:\ndaemon on;\n"
                  "# configuration file %s/a.inc:\n\n",
                  test_dir, test_dir, test_dir);
    rem_sbuf_addc(&out, '\0');
    rem_sbuf_addc(&want, '\0');
    ck_assert_str_eq(out.p, want.p);
    rem_sbuf_fini(&out);
    rem_sbuf_fini(&want);
    rem_conf_free(cycle);
    drop_dir();
}
END_TEST

START_TEST(two_at_a_time)
{
    struct rem_conf_cycle *first, *second;
    const struct lang_core *core;

    make_dir();
    ck_assert_int_eq(load_lang("workers 3; http { str one; server {} }", "", &first), 0);
    ck_assert_int_eq(load_lang("workers 4; http { str two; server {} }", "", &second), 0);
    core = rem_conf_cycle_main(first, &lang_core_module);
    ck_assert_int_eq(core->workers, 3);
    ck_assert_str_eq(location_at(first, "0")->str.p, "one");
    rem_conf_free(first);
    core = rem_conf_cycle_main(second, &lang_core_module);
    ck_assert_int_eq(core->workers, 4);
    ck_assert_str_eq(location_at(second, "0")->str.p, "two");
    rem_conf_free(second);
    drop_dir();
}
END_TEST

START_TEST(paths)
{
    struct rem_conf_cycle *cycle = NULL;
    struct rem_conf_options options = {
        .file = REM_STR("etc/main.conf"),
        .modules = lang_modules,
        .n_modules = REM_COUNT(lang_modules),
        .report = collect,
        .user = &options,
    };
    char with_slash[80], want[128];

    make_dir();
    write_file("etc/main.conf", "http { path p; include x.inc; }");
    write_file("etc/x.inc", "str x;");
    snprintf(with_slash, sizeof(with_slash), "%s/", test_dir);
    for (int slash = 0; slash < 2; slash++) {
        options.prefix = rem_str_from(slash ? with_slash : test_dir);
        rem_sbuf_clear(&reports);
        ck_assert_int_eq(rem_conf_load(&options, &cycle), 0);
        ck_assert_str_eq(cycle->prefix.p, with_slash);
        snprintf(want, sizeof(want), "%s/etc/main.conf", test_dir);
        ck_assert_str_eq(cycle->file.p, want);
        snprintf(want, sizeof(want), "%s/p", test_dir);
        ck_assert_str_eq(location_at(cycle, "")->path.p, want);
        ck_assert_ptr_eq(cycle->user, &options);
        rem_conf_free(cycle);
    }
    drop_dir();
}
END_TEST

START_TEST(no_main_file)
{
    struct rem_conf_cycle *cycle;

    make_dir();
    ck_assert_int_lt(load_file(lang_modules, REM_COUNT(lang_modules), "", NULL, &cycle), 0);
    ck_assert_str_eq(reported(), "open() \"DIR/c.conf\" failed (2: No such file or directory)\n");
    drop_dir();
}
END_TEST

START_TEST(nul_byte)
{
    struct rem_conf_cycle *cycle;

    make_dir();
    write_bytes("c.conf", "workers 1;\nhttp { str a\0b; }", 27);
    ck_assert_int_lt(load_file(lang_modules, REM_COUNT(lang_modules), "", NULL, &cycle), 0);
    ck_assert_str_eq(reported(), "unexpected NUL byte in DIR/c.conf:2\n");
    drop_dir();
}
END_TEST

START_TEST(endless_file)
{
    struct rem_conf_cycle *cycle;

    make_dir();
    ck_assert_int_lt(load_lang("\ninclude /dev/zero;", "", &cycle), 0);
    ck_assert_str_eq(reported(),
                     "\"/dev/zero\" is too long for a configuration file in DIR/c.conf:2\n");
    drop_dir();
}
END_TEST

START_TEST(report_without_callback)
{
    struct rem_conf_cycle *cycle = NULL;
    struct rem_conf_options options = {.prefix = REM_STR("/"), .file = REM_STR("/none/none")};

    ck_assert_int_lt(rem_conf_load(&options, &cycle), 0);
    ck_assert_ptr_null(cycle);
    rem_conf_free(NULL);
}
END_TEST

/* A message longer than a log line is cut, not overrun. */
START_TEST(long_message)
{
    struct rem_conf_cycle *cycle;
    struct rem_sbuf text;

    make_dir();
    rem_sbuf_init(&text);
    for (int i = 0; i < 4000; i++)
        rem_sbuf_addc(&text, 'x');
    rem_sbuf_addf(&text, ";%c", '\0');
    ck_assert_int_lt(load_lang(text.p, "", &cycle), 0);
    ck_assert_uint_gt(strlen(reported()), 1000);
    ck_assert_uint_lt(strlen(reported()), REM_LOG_LINE + 200);
    ck_assert_ptr_nonnull(strstr(reported(), "xxx in DIR/c.conf:1\n"));
    rem_sbuf_fini(&text);
    drop_dir();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("load");

    tcase_add_test(tc, dump);
    tcase_add_test(tc, two_at_a_time);
    tcase_add_test(tc, paths);
    tcase_add_test(tc, no_main_file);
    tcase_add_test(tc, nul_byte);
    tcase_add_test(tc, endless_file);
    tcase_add_test(tc, report_without_callback);
    tcase_add_test(tc, long_message);
    tcase_set_timeout(tc, 60);
    return run_tests(tc);
}
