/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/proxy/conf/language.h"

START_TEST(order_of_merging)
{
    struct rem_conf_cycle *cycle;
    const struct lang_main *m;

    make_dir();
    ck_assert_int_eq(
        load_lang("http { str top; upstream up { str u; }\n"
                  " server { name a; location a1 { location a11 { str s; location a111 {} }"
                  "          location a12 {} if x { } } location a2 { str t; } }\n"
                  " server { str other; location b1 {} } }",
                  "", &cycle),
        0);
    m = rem_conf_cycle_main(cycle, &lang_http_module);
    ck_assert_str_eq(m->trace.p, "pre init"
                                 " server=a server:top a1:top a11:s a111:s a12:top x:top a2:t"
                                 " server=unnamed server:other b1:other");
    ck_assert_int_eq(m->limit, 64);
    /* The upstream's own structs are as the file left them. */
    ck_assert_int_eq(location_at(cycle, "0")->num, REM_CONF_UNSET);
    ck_assert_str_eq(location_at(cycle, "0")->str.p, "u");
    rem_conf_free(cycle);
    drop_dir();
}
END_TEST

START_TEST(inheritance)
{
    struct rem_conf_cycle *cycle;
    const struct lang_location *own, *inherited, *defaults;

    make_dir();
    ck_assert_int_eq(load_lang("http { server { location d {} }\n"
                               "server { flag on; choice off; num 1; off 2; msec 3ms; sec 4;"
                               " size 5; mask exact; bufs 2 1k; str ''; path /p; value v;"
                               " strs a;\n"
                               " location i { location own { flag off; num 0; str own; mask off;"
                               "   strs b c; } } } }",
                               "", &cycle),
                     0);
    defaults = location_at(cycle, "00");
    ck_assert_int_eq(defaults->flag, 0);
    ck_assert_int_eq(defaults->choice, 7);
    ck_assert_int_eq(defaults->num, 70);
    ck_assert_int_eq(defaults->off, 71);
    ck_assert_int_eq(defaults->msec, 72);
    ck_assert_int_eq(defaults->sec, 73);
    ck_assert_uint_eq(defaults->size, 74);
    ck_assert_uint_eq(defaults->mask, 8);
    ck_assert_int_eq(defaults->bufs.num, 8);
    ck_assert_uint_eq(defaults->bufs.size, 4096);
    ck_assert_str_eq(defaults->str.p, "none");
    ck_assert_ptr_null(defaults->value);
    ck_assert_ptr_null(defaults->strs);

    inherited = location_at(cycle, "10");
    ck_assert_int_eq(inherited->flag, 1);
    ck_assert_int_eq(inherited->choice, 1);
    ck_assert_int_eq(inherited->num, 1);
    ck_assert_int_eq(inherited->off, 2);
    ck_assert_int_eq(inherited->msec, 3);
    ck_assert_int_eq(inherited->sec, 4);
    ck_assert_uint_eq(inherited->size, 5);
    ck_assert_uint_eq(inherited->mask, 2);
    ck_assert_int_eq(inherited->bufs.num, 2);
    ck_assert_str_eq(inherited->str.p, ""); /* empty is a value */
    ck_assert_str_eq(inherited->path.p, "/p");
    ck_assert_str_eq(inherited->value->text.p, "v");
    ck_assert_uint_eq(inherited->strs->n, 1);

    own = location_at(cycle, "100");
    ck_assert_int_eq(own->flag, 0);
    ck_assert_int_eq(own->num, 0);
    ck_assert_str_eq(own->str.p, "own");
    ck_assert_uint_eq(own->mask, 1);
    ck_assert_uint_eq(own->strs->n, 2); /* replaces, does not add */
    rem_conf_free(cycle);
    drop_dir();
}
END_TEST

/* A module that has no structs at some levels leaves holes that nobody touches. */
START_TEST(modules_with_gaps)
{
    static const struct rem_directive none[] = {REM_DIRECTIVE_END};
    struct rem_module empty = {.name = "empty", .kind = REM_MODULE_HTTP, .directives = none};
    struct rem_module bare = {.name = "bare", .kind = REM_MODULE_CORE};
    struct rem_module *const modules[] = {&bare, &lang_core_module, &empty, &lang_http_module};
    struct rem_conf_cycle *cycle;

    make_dir();
    write_file("c.conf", "http { server { location a {} } }");
    ck_assert_int_eq(load_file(modules, REM_COUNT(modules), "", NULL, &cycle), 0);
    ck_assert_uint_eq(lang_http_module.index, 3);
    ck_assert_ptr_null(rem_conf_cycle_main(cycle, &empty));
    ck_assert_ptr_null(rem_conf_cycle_main(cycle, &bare));
    ck_assert_str_eq(location_at(cycle, "00")->label.p, "a");
    rem_conf_free(cycle);
    drop_dir();
}
END_TEST

static int fail_pre(struct rem_conf *cf)
{
    (void)cf;
    return REM_EUNSUPPORTED;
}

static int fail_init(struct rem_conf *cf, void *conf)
{
    (void)conf;
    return rem_conf_error_at(cf, (struct rem_conf_pos){REM_STR("elsewhere"), 7}, "no good");
}

static void *fail_create(struct rem_conf *cf)
{
    (void)cf;
    return NULL;
}

static const struct {
    struct rem_module module;
    const char *report;
} failing[] = {
    {{.name = "x", .kind = REM_MODULE_HTTP, .preconfigure = fail_pre},
     "module \"x\" failed: not supported in DIR/c.conf:1\n"},
    {{.name = "x", .kind = REM_MODULE_HTTP, .init_main = fail_init}, "no good in elsewhere:7\n"},
    {{.name = "x", .kind = REM_MODULE_HTTP, .create_main = fail_create},
     "out of memory in DIR/c.conf:1\n"},
    {{.name = "x", .kind = REM_MODULE_HTTP, .create_server = fail_create},
     "out of memory in DIR/c.conf:1\n"},
    {{.name = "x", .kind = REM_MODULE_HTTP, .create_location = fail_create},
     "out of memory in DIR/c.conf:1\n"},
    {{.name = "x", .kind = REM_MODULE_CORE, .create_main = fail_create}, "out of memory\n"},
    {{.name = "x", .kind = REM_MODULE_CORE, .preconfigure = fail_pre},
     "module \"x\" failed: not supported\n"},
    {{.name = "x", .kind = REM_MODULE_CORE, .init_main = fail_init}, "no good in elsewhere:7\n"},
};

START_TEST(failing_modules)
{
    struct rem_module module = failing[_i].module;
    struct rem_module *const modules[] = {&lang_core_module, &module, &lang_http_module};
    struct rem_conf_cycle *cycle;

    make_dir();
    write_file("c.conf", "http {\n server {}\n }");
    ck_assert_int_lt(load_file(modules, REM_COUNT(modules), "", NULL, &cycle), 0);
    ck_assert_ptr_null(cycle);
    ck_assert_str_eq(reported(), failing[_i].report);
    drop_dir();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("context");

    tcase_add_test(tc, order_of_merging);
    tcase_add_test(tc, inheritance);
    tcase_add_test(tc, modules_with_gaps);
    tcase_add_loop_test(tc, failing_modules, 0, REM_COUNT(failing));
    return run_tests(tc);
}
