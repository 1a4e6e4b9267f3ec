/* SPDX-License-Identifier: Apache-2.0 */
/* URLs as proxy_pass names them. */
#include "proxy/upstream/proxy.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

static const struct url {
    const char *text;
    const char *bad; /* NULL: good */
    const char *host, *header, *port_text, *uri;
    unsigned port;
} urls[] = {
    {"http://backend", NULL, "backend", "backend", "80", "", 0},
    {"http://backend/", NULL, "backend", "backend", "80", "/", 0},
    {"http://backend:80/x?y", NULL, "backend", "backend", "80", "/x?y", 80},
    {"HTTP://backend:8080", NULL, "backend", "backend:8080", "8080", "", 8080},
    {"http://127.0.0.1:8080?a=b", NULL, "127.0.0.1", "127.0.0.1:8080", "8080", "?a=b", 8080},
    {"http://[::1]:81/z", NULL, "[::1]", "[::1]:81", "81", "/z", 81},
    {"http://[::1]", NULL, "[::1]", "[::1]", "80", "", 0},
    {"http://unix:/tmp/s", NULL, "unix:/tmp/s", "localhost", "", "", 0},
    {"http://unix:/tmp/s:/a/b", NULL, "unix:/tmp/s", "localhost", "", "/a/b", 0},
    {"http://", "no host in upstream \"\"", NULL, NULL, NULL, NULL, 0},
    {"http:///x", "no host in upstream \"/x\"", NULL, NULL, NULL, NULL, 0},
    {"http://:80", "no host in upstream \":80\"", NULL, NULL, NULL, NULL, 0},
    {"http://a:0", "invalid port in upstream \"a:0\"", NULL, NULL, NULL, NULL, 0},
    {"http://a:65536", "invalid port in upstream \"a:65536\"", NULL, NULL, NULL, NULL, 0},
    {"http://a:x/", "invalid port in upstream \"a:x\"", NULL, NULL, NULL, NULL, 0},
    {"http://[::1", "invalid host in upstream \"[::1\"", NULL, NULL, NULL, NULL, 0},
    {"http://unix:", "no path in the unix domain socket in upstream \"unix:\"", NULL, NULL, NULL,
     NULL, 0},
    {"https://a", "https protocol requires SSL support", NULL, NULL, NULL, NULL, 0},
    {"ftp://a", "invalid URL prefix", NULL, NULL, NULL, NULL, 0},
    {"a", "invalid URL prefix", NULL, NULL, NULL, NULL, 0},
    {"", "invalid URL prefix", NULL, NULL, NULL, NULL, 0},
};

static void same(struct rem_str got, const char *expected)
{
    ck_assert_msg(rem_str_is(got, expected), "\"%.*s\", not \"%s\"", REM_STR_ARG(got), expected);
}

START_TEST(parse)
{
    const struct url *u = &urls[_i];
    struct rem_proxy_url url;
    struct rem_arena arena;
    const char *bad;

    rem_arena_init(&arena, NULL);
    bad = rem_proxy_url_parse(&arena, rem_str_from(u->text), &url);
    if (u->bad != NULL) {
        ck_assert_pstr_eq(bad, u->bad);
    } else {
        ck_assert_pstr_eq(bad, NULL);
        same(url.host, u->host);
        same(url.host_header, u->header);
        same(url.port_text, u->port_text);
        same(url.uri, u->uri);
        ck_assert_uint_eq(url.port, u->port);
    }
    rem_arena_reset(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("urls");

    tcase_add_loop_test(tc, parse, 0, (int)REM_COUNT(urls));
    return run_suite("proxy_pass", tc);
}
