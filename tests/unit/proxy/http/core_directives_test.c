/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults, inheritance and refusals of the core's directives, worded as Debian's nginx 1.22. */
#include "tests/unit/proxy/http/http_conf.h"

static const struct rem_http_location_conf *own(uint32_t server)
{
    return http_server(server)->ctx->location[rem_http_core_module.index];
}

static const struct rem_http_location_conf *nested(uint32_t i)
{
    return REM_ARRAY_OF(own(0)->nested, struct rem_http_location_conf *)[i];
}

START_TEST(defaults)
{
    const struct rem_http_location_conf *l;
    const struct rem_http_server_conf *s;

    make_dir();
    ck_assert_int_eq(http_load("server { }"), 0);
    l = own(0);
    s = http_server(0);
    ck_assert_int_eq(l->client_max_body_size, 1 << 20);
    ck_assert_int_eq(l->client_body_timeout, 60000);
    ck_assert_int_eq(l->keepalive_timeout, 75000);
    ck_assert_int_eq(l->keepalive_header, 0);
    ck_assert_int_eq(l->keepalive_requests, 1000);
    ck_assert_int_eq(l->lingering_close, REM_LINGERING_ON);
    ck_assert_int_eq(l->server_tokens, REM_TOKENS_ON);
    ck_assert_int_eq(l->satisfy, REM_SATISFY_ALL);
    ck_assert(rem_str_is(l->default_type, "text/plain"));
    ck_assert_ptr_eq(l->log, &hc.log);
    ck_assert_ptr_null(l->error_pages);
    ck_assert_ptr_null(l->root);
    ck_assert_ptr_nonnull(rem_strmap_get(l->types, REM_STR("html")));
    ck_assert_ptr_null(rem_strmap_get(l->types, REM_STR("css")));
    ck_assert_uint_eq(s->limits.max_line, 8192);
    ck_assert_uint_eq(s->limits.max_head, 4 * 8192 + 1024);
    ck_assert_uint_eq(s->limits.max_fields, 1000);
    ck_assert(s->limits.ignore_invalid && !s->limits.underscores);
    ck_assert(s->merge_slashes);
    ck_assert(rem_str_is(s->name, ""));
    http_unload();
    drop_dir();
}
END_TEST

START_TEST(inheritance)
{
    make_dir();
    ck_assert_msg(http_load("client_max_body_size 2m; keepalive_timeout 9 8; error_page 404 /h;"
                            "types { a/b x; } large_client_header_buffers 2 16k; root /h;"
                            "server { client_max_body_size 3m; location /a { }"
                            "  location /b { client_max_body_size 0; keepalive_timeout 7;"
                            "    error_page 500 502 =200 /s; types { c/d y; } root /b; } }"
                            "server { }") == 0,
                  "%s", reported());
    ck_assert_int_eq(own(0)->client_max_body_size, 3 << 20);
    ck_assert_int_eq(own(1)->client_max_body_size, 2 << 20);
    ck_assert_int_eq(nested(0)->client_max_body_size, 3 << 20);
    ck_assert_int_eq(nested(1)->client_max_body_size, 0);
    ck_assert_int_eq(nested(0)->keepalive_timeout, 9000);
    ck_assert_int_eq(nested(0)->keepalive_header, 8);
    ck_assert_int_eq(nested(1)->keepalive_timeout, 7000);
    ck_assert_int_eq(nested(1)->keepalive_header, 0);
    ck_assert_uint_eq(nested(0)->error_pages->n, 1);
    ck_assert_uint_eq(nested(1)->error_pages->n, 2);
    ck_assert_ptr_nonnull(rem_strmap_get(nested(0)->types, REM_STR("X")));
    ck_assert_ptr_null(rem_strmap_get(nested(1)->types, REM_STR("x")));
    ck_assert_ptr_null(rem_strmap_get(nested(0)->types, REM_STR("html")));
    ck_assert_ptr_eq(nested(0)->types, own(1)->types);
    ck_assert(rem_str_is(nested(0)->root->text, "/h"));
    ck_assert(rem_str_is(nested(1)->root->text, "/b"));
    ck_assert_uint_eq(http_server(0)->limits.max_line, 16384);
    http_unload();
    drop_dir();
}
END_TEST

START_TEST(error_pages)
{
    static const struct {
        int status, overwrite;
        const char *to;
    } want[] = {
        {404, -1, "/a"}, {500, 200, "/b"}, {502, 200, "/b"}, {403, 0, "@n"}, {494, 400, "/c"},
    };
    const struct rem_http_error_page *pages;

    make_dir();
    ck_assert_int_eq(http_load("server { error_page 404 /a; error_page 500 502 =200 /b;"
                               " error_page 403 = @n; error_page 494 /c; }"),
                     0);
    ck_assert_uint_eq(own(0)->error_pages->n, REM_COUNT(want));
    pages = REM_ARRAY_OF(own(0)->error_pages, struct rem_http_error_page);
    for (size_t i = 0; i < REM_COUNT(want); i++) {
        ck_assert_int_eq(pages[i].status, want[i].status);
        ck_assert_int_eq(pages[i].overwrite, want[i].overwrite);
        ck_assert(rem_str_is(pages[i].to.text, want[i].to));
    }
    http_unload();
    drop_dir();
}
END_TEST

static const struct {
    const char *text, *report;
} bad[] = {
    {"error_page 200 /x;", "value \"200\" must be between 300 and 599"},
    {"error_page 600 /x;", "value \"600\" must be between 300 and 599"},
    {"error_page 499 /x;", "invalid value \"499\""},
    {"error_page 404 =xx /x;", "invalid value \"=xx\""},
    {"error_page = /x;", "invalid value \"=\""},
    {"error_page 404;", "invalid number of arguments in \"error_page\" directive"},
    {"root /x; root /y;", "\"root\" directive is duplicate"},
    {"location / { alias /z; root /q; }",
     "\"root\" directive is duplicate, \"alias\" directive was specified earlier"},
    {"location / { root /z; alias /q; }",
     "\"alias\" directive is duplicate, \"root\" directive was specified earlier"},
    {"root $document_root;",
     "the $document_root variable cannot be used in the \"root\" directive"},
    {"root /x/${realpath_root};",
     "the $realpath_root variable cannot be used in the \"root\" directive"},
    {"location @x { alias /x; }",
     "the \"alias\" directive cannot be used inside the named location"},
    {"alias /x;", "\"alias\" directive is not allowed here"},
    {"keepalive_timeout 5 x;", "\"keepalive_timeout\" directive invalid value"},
    {"keepalive_timeout 5; keepalive_timeout 6;", "\"keepalive_timeout\" directive is duplicate"},
    {"client_max_body_size x;", "\"client_max_body_size\" directive invalid value"},
    {"server_tokens foo;", "invalid value \"foo\""},
    {"satisfy none;", "invalid value \"none\""},
    {"location / { internal; internal; }", "\"internal\" directive is duplicate"},
    {"client_body_temp_path x 4;", "invalid value \"4\" in \"client_body_temp_path\" directive"},
    {"try_files /x =1000;", "invalid code \"=1000\""},
    {"try_files /x;", "invalid number of arguments in \"try_files\" directive"},
    {"return foo;", "invalid return code \"foo\""},
    {"return 1000;", "invalid return code \"1000\""},
    {"return 200 a b;", "invalid number of arguments in \"return\" directive"},
    {"set foo 1;", "invalid variable name \"foo\""},
    {"set $host 1;", "the duplicate \"host\" variable"},
    {"add_header a b c;", "invalid parameter \"c\""},
    {"add_header \"a b\" c;", "invalid field name \"a b\""},
    {"add_header a $nobody;", "unknown \"nobody\" variable"},
    {"index \"\";", "index \"\" in \"index\" directive is invalid"},
    {"access_log /tmp/a nofmt;", "unknown log format \"nofmt\""},
    {"access_log /tmp/a combined foo=1;", "invalid parameter \"foo=1\""},
    {"access_log /tmp/a combined buffer=x;", "invalid buffer size \"x\""},
    {"access_log /tmp/a combined flush=1s;", "no buffer is defined for access_log \"/tmp/a\""},
    {"access_log /tmp/$host combined buffer=4k;", "buffered logs cannot have variables in name"},
    {"access_log /tmp/a combined buffer=4k; access_log /tmp/a combined buffer=8k;",
     "access_log \"/tmp/a\" already defined with conflicting parameters"},
    {"access_log off foo;", "invalid parameter \"foo\""},
    {"access_log syslog:server=127.0.0.1,facility=nope;", "unknown syslog facility \"nope\""},
    {"frobnicate on;", "unknown directive \"frobnicate\""},
    {"types { text/html html; include /nonexistent; }",
     "open() \"/nonexistent\" failed (2: No such file or directory)"},
};

START_TEST(what_is_refused)
{
    char text[256], want[256];

    make_dir();
    for (size_t i = 0; i < REM_COUNT(bad); i++) {
        snprintf(text, sizeof(text), "server { %s }", bad[i].text);
        snprintf(want, sizeof(want), "%s in DIR/c.conf:1\n", bad[i].report);
        ck_assert_msg(http_load(text) < 0, "%s was taken", bad[i].text);
        ck_assert_msg(strcmp(reported(), want) == 0, "%s: \"%s\", want \"%s\"", bad[i].text,
                      reported(), want);
        http_unload();
    }
    drop_dir();
}
END_TEST

START_TEST(without_effect_but_not_silently)
{
    make_dir();
    ck_assert_int_eq(http_load("types_hash_max_size 2048; server { aio on; }"), 0);
    ck_assert_str_eq(
        reported(),
        "warn: the \"types_hash_max_size\" directive has no effect in remora in DIR/c.conf:1\n"
        "warn: the \"aio\" directive has no effect in remora in DIR/c.conf:1\n");
    http_unload();
    ck_assert_int_eq(http_load("types { a/b x; c/d x; } server { }"), 0);
    ck_assert_str_eq(reported(), "warn: duplicate extension \"x\", content type: \"c/d\", previous "
                                 "content type: \"a/b\" in DIR/c.conf:1\n");
    http_unload();
    drop_dir();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("directives");

    tcase_add_test(tc, defaults);
    tcase_add_test(tc, inheritance);
    tcase_add_test(tc, error_pages);
    tcase_add_test(tc, what_is_refused);
    tcase_add_test(tc, without_effect_but_not_silently);
    return run_tests(tc);
}
