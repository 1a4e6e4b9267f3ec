/* SPDX-License-Identifier: Apache-2.0 */
/* What Debian's nginx 1.22 answers for the same locations and URIs. */
#include "proxy/http/core_location.h"

#include "tests/unit/proxy/http/http_conf.h"

/* The name of the location, with its kind before it; "" for the server's own. */
static const char *find(const char *uri, int *rc)
{
    const struct rem_http_location_conf *found = NULL;
    struct rem_eval e = http_eval();
    static char text[128];

    *rc = rem_core_find_location(http_server(0), rem_str_from(uri), &e, &found);
    ck_assert_int_ge(*rc, 0);
    snprintf(text, sizeof(text), "%s%.*s",
             found->exact           ? "= "
             : found->regex != NULL ? "~ "
                                    : "",
             REM_STR_ARG(found->name));
    return text;
}

static const char order[] = "server {"
                            "  location = / { }"
                            "  location / { }"
                            "  location /docs/ { location ~ \\.txt$ { } location /docs/x/ { } }"
                            "  location ^~ /img/ { location /img/a { } }"
                            "  location ~* \\.(gif|jpg)$ { }"
                            "  location ~ /docs/.*\\.gif$ { }"
                            "  location ~ ^/re/ { location ~ deep { } }"
                            "  location = /exact { }"
                            "  location /exact { }"
                            "  location /ab { }"
                            "  location /abc { }"
                            "  location /abd/x { }"
                            "}";

static const struct {
    const char *uri, *location;
} uris[] = {
    {"/", "= /"},
    {"/index.html", "/"},
    {"/docs/1", "/docs/"},
    {"/docs", "/"},
    {"/docs/1.gif", "~ \\.(gif|jpg)$"}, /* the first regex in the file */
    {"/docs/1.txt", "~ \\.txt$"},       /* nested regex before outer ones */
    {"/docs/x/1", "/docs/x/"},
    {"/docs/x/1.gif", "~ \\.(gif|jpg)$"},
    {"/docs/x/1.txt", "~ \\.txt$"},
    {"/img/1.gif", "/img/"}, /* ^~: no regex */
    {"/img/a.gif", "/img/a"},
    {"/1.GIF", "~ \\.(gif|jpg)$"},
    {"/re/x", "~ ^/re/"},
    {"/re/deep", "~ deep"},
    {"/exact", "= /exact"},
    {"/exact/", "/exact"},
    {"/exactly", "/exact"},
    {"/a", "/"},
    {"/ab", "/ab"},
    {"/abb", "/ab"},
    {"/abc", "/abc"},
    {"/abcd", "/abc"},
    {"/abd", "/ab"},
    {"/abd/x", "/abd/x"},
    {"/abd/w", "/ab"},
    {"/abz", "/ab"},
    {"/b", "/"},
    {"", ""},
};

START_TEST(the_right_location)
{
    make_dir();
    ck_assert_msg(http_load(order) == 0, "%s", reported());
    for (size_t i = 0; i < REM_COUNT(uris); i++) {
        int rc;
        const char *got = find(uris[i].uri, &rc);

        ck_assert_msg(strcmp(got, uris[i].location) == 0, "\"%s\": \"%s\", want \"%s\"",
                      uris[i].uri, got, uris[i].location);
        ck_assert_int_eq(rc, REM_CORE_FOUND);
    }
    http_unload();
    drop_dir();
}
END_TEST

START_TEST(no_location_at_all)
{
    int rc;

    make_dir();
    ck_assert_int_eq(http_load("server { }"), 0);
    ck_assert_str_eq(find("/x", &rc), "");
    http_unload();
    ck_assert_int_eq(http_load("server { location /a { } }"), 0);
    ck_assert_str_eq(find("/x", &rc), "");
    ck_assert_str_eq(find("/a", &rc), "/a");
    http_unload();
    drop_dir();
}
END_TEST

static int handler(struct rem_request *request)
{
    (void)request;
    return REM_HTTP_OK;
}

/* Marks the locations of a level as a proxy_pass would and arranges them anew. */
static void give_handlers(const char *const *names, size_t n)
{
    struct rem_http_location_conf *own = http_server(0)->ctx->location[rem_http_core_module.index];
    struct rem_conf cf = {.cycle = hc.cycle, .arena = &hc.arena};

    for (uint32_t i = 0; i < own->nested->n; i++) {
        struct rem_http_location_conf *at =
            REM_ARRAY_OF(own->nested, struct rem_http_location_conf *)[i];

        for (size_t k = 0; k < n; k++) {
            struct rem_conf_ctx ctx = {.location = at->conf};

            cf.ctx = &ctx;
            if (rem_str_is(at->name, names[k]))
                rem_core_set_handler(&cf, handler);
        }
    }
    ck_assert_int_eq(rem_http_locations_build(&cf, own), 0);
}

START_TEST(redirect_to_the_last_slash)
{
    static const char *const names[] = {"/p/", "/q/", "/r/", "/s"};
    static const struct {
        const char *uri, *location;
        int rc;
    } asked[] = {
        {"/p", "/p/", REM_CORE_REDIRECT}, {"/p/", "/p/", REM_CORE_FOUND},
        {"/px", "", REM_CORE_FOUND},      {"/q", "= /q", REM_CORE_FOUND},
        {"/r", "/r", REM_CORE_FOUND},     {"/s", "/s", REM_CORE_FOUND},
        {"/p/x", "/p/", REM_CORE_FOUND},
    };

    make_dir();
    ck_assert_int_eq(http_load("server { location /p/ { } location /q/ { } location = /q { }"
                               " location /r/ { } location /r { } location /s { }"
                               " location ~ ^/z { } }"),
                     0);
    give_handlers(names, REM_COUNT(names));
    for (size_t i = 0; i < REM_COUNT(asked); i++) {
        int rc;
        const char *got = find(asked[i].uri, &rc);

        ck_assert_msg(strcmp(got, asked[i].location) == 0 && rc == asked[i].rc,
                      "\"%s\": \"%s\" %d, want \"%s\" %d", asked[i].uri, got, rc, asked[i].location,
                      asked[i].rc);
    }
    http_unload();
    drop_dir();
}
END_TEST

START_TEST(named_locations)
{
    const struct rem_http_location_conf *found;
    int rc;

    make_dir();
    ck_assert_int_eq(http_load("server { location @a { } location / { } }"), 0);
    found = rem_core_find_named(http_server(0), REM_STR("@a"));
    ck_assert_ptr_nonnull(found);
    ck_assert(found->named);
    ck_assert_ptr_null(rem_core_find_named(http_server(0), REM_STR("@b")));
    ck_assert_str_eq(find("@a", &rc), ""); /* never by URI */
    http_unload();
    drop_dir();
}
END_TEST

/* Prefixes of every length must be found through parents of parents. */
START_TEST(many_prefixes)
{
    struct rem_sbuf sb;
    char uri[64];
    int rc;

    make_dir();
    rem_sbuf_init(&sb);
    rem_sbuf_adds(&sb, "server { location /n { }");
    for (int i = 0; i < 500; i++)
        rem_sbuf_addf(&sb, "location /n/%d { } location /n/%d/deep/er { }", i, i);
    rem_sbuf_adds(&sb, "}");
    rem_sbuf_addc(&sb, '\0');
    ck_assert_int_eq(http_load(sb.p), 0);
    for (int i = 0; i < 500; i++) {
        char want[32];

        snprintf(uri, sizeof(uri), "/n/%d/deep/earth", i);
        snprintf(want, sizeof(want), "/n/%d", i);
        ck_assert_str_eq(find(uri, &rc), want);
        snprintf(uri, sizeof(uri), "/n/%d/deep/er/x", i);
        snprintf(want, sizeof(want), "/n/%d/deep/er", i);
        ck_assert_str_eq(find(uri, &rc), want);
    }
    ck_assert_str_eq(find("/n/x", &rc), "/n");
    ck_assert_str_eq(find("/m", &rc), "");
    rem_sbuf_fini(&sb);
    http_unload();
    drop_dir();
}
END_TEST

static const struct {
    const char *text, *report;
} bad[] = {
    {"location /a/ { location /b {} }", "location \"/b\" is outside location \"/a/\""},
    {"location = /a/ { location /a/b {} }",
     "location \"/a/b\" cannot be inside the exact location \"/a/\""},
    {"location @a { location /b {} }",
     "location \"/b\" cannot be inside the named location \"@a\""},
    {"location /a { location @b {} }", "named location \"@b\" can be on the server level only"},
    {"location ! /a {}", "invalid location modifier \"!\""},
    {"location /a {} location ^~ /a {}", "duplicate location \"/a\""},
    {"location = /a {} location =/a {}", "duplicate location \"/a\""},
    {"location @a {} location @a {}", "duplicate location \"@a\""},
    {"location ~ ( {}", "pcre2_compile() failed: missing closing parenthesis in \"(\""},
};

START_TEST(blocks_that_are_refused)
{
    char text[256], want[256];

    make_dir();
    for (size_t i = 0; i < REM_COUNT(bad); i++) {
        snprintf(text, sizeof(text), "server { %s }", bad[i].text);
        snprintf(want, sizeof(want), "%s in DIR/c.conf:1\n", bad[i].report);
        ck_assert_int_lt(http_load(text), 0);
        ck_assert_msg(strcmp(reported(), want) == 0, "%s: \"%s\"", bad[i].text, reported());
        http_unload();
    }
    drop_dir();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("location");

    tcase_add_test(tc, the_right_location);
    tcase_add_test(tc, no_location_at_all);
    tcase_add_test(tc, redirect_to_the_last_slash);
    tcase_add_test(tc, named_locations);
    tcase_add_test(tc, many_prefixes);
    tcase_add_test(tc, blocks_that_are_refused);
    return run_tests(tc);
}
