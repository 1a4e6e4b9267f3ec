/* SPDX-License-Identifier: Apache-2.0 */
/* What Debian's nginx 1.22 answers for the same servers and hosts. */
#include "proxy/http/core_names.h"

#include "tests/unit/proxy/http/http_conf.h"

static const struct rem_http_address *only_address(void)
{
    const struct rem_listener *listener =
        REM_LIST_ENTRY(hc.setup.listeners.next, struct rem_listener, node);
    const struct rem_http_port *port = listener->data;

    ck_assert_uint_eq(port->n, 1);
    return port->addresses[0];
}

/* The number of the server that answers; each names itself as the last of its names "sN". */
static int find(const char *host)
{
    const struct rem_http_server_conf *found = NULL;
    struct rem_eval e = http_eval();

    ck_assert_int_eq(rem_core_find_server(only_address(), rem_str_from(host), &e, &found), 0);
    for (uint32_t i = 0; i < hc.http->servers.n; i++) {
        if (http_server(i) == found)
            return (int)i;
    }
    return -1;
}

static const char preference[] = "server { listen 81; server_name first; }"                /* 0 */
                                 "server { listen 81; server_name www.example.com; }"      /* 1 */
                                 "server { listen 81; server_name *.example.com; }"        /* 2 */
                                 "server { listen 81; server_name *.www.example.com; }"    /* 3 */
                                 "server { listen 81; server_name www.*; }"                /* 4 */
                                 "server { listen 81; server_name www.example.*; }"        /* 5 */
                                 "server { listen 81; server_name ~^(?<who>.+)\\.re$; }"   /* 6 */
                                 "server { listen 81; server_name ~re$; }"                 /* 7 */
                                 "server { listen 81; server_name .dot.org UPPER.case; }"; /* 8 */

static const struct {
    const char *host;
    int server;
} hosts[] = {
    {"www.example.com", 1},
    {"a.example.com", 2},
    {"a.b.example.com", 2},
    {"example.com", 0},
    {".example.com", 0},
    {"a.www.example.com", 3},
    {"www.example.org", 5},
    {"www.example.org.uk", 5},
    {"www.other", 4},
    {"www.", 0},
    {"www", 0},
    {"me.re", 6},
    {".re", 7},
    {"re", 7},
    {"more", 7},
    {"www.re", 4}, /* a wildcard comes before a regex */
    {"dot.org", 8},
    {"x.dot.org", 8},
    {"y.x.dot.org", 8},
    {"xdot.org", 0},
    {"upper.case", 8},
    {"", 0},
    {"nobody", 0},
};

START_TEST(the_right_server)
{
    make_dir();
    ck_assert_msg(http_load(preference) == 0, "%s", reported());
    for (size_t i = 0; i < REM_COUNT(hosts); i++)
        ck_assert_msg(find(hosts[i].host) == hosts[i].server, "host \"%s\": server %d, want %d",
                      hosts[i].host, find(hosts[i].host), hosts[i].server);
    http_unload();
    drop_dir();
}
END_TEST

START_TEST(default_server_and_the_empty_name)
{
    make_dir();
    ck_assert_int_eq(http_load("server { listen 81; server_name a; }"
                               "server { listen 81 default_server; server_name b; }"
                               "server { listen 81; server_name \"\"; }"),
                     0);
    ck_assert_int_eq(find("a"), 0);
    ck_assert_int_eq(find("zzz"), 1);
    ck_assert_int_eq(find(""), 2);
    http_unload();
    drop_dir();
}
END_TEST

START_TEST(named_captures_become_variables)
{
    const struct rem_http_server_conf *found;
    const struct rem_var_value *value;
    struct rem_eval e;
    uint32_t index = UINT32_MAX;

    make_dir();
    ck_assert_int_eq(http_load("server { server_name ~^(?<who>.+)\\.re$; add_header A $who; }"), 0);
    e = http_eval();
    ck_assert_int_eq(rem_core_find_server(only_address(), REM_STR("me.re"), &e, &found), 0);
    for (uint32_t i = 0; i < rem_vars_count(hc.http->vars); i++) {
        if (rem_str_is(rem_vars_at(hc.http->vars, i)->name, "who"))
            index = i;
    }
    ck_assert_uint_ne(index, UINT32_MAX);
    ck_assert_int_eq(rem_var_get(&e, index, &value), 0);
    ck_assert(rem_str_is(value->str, "me"));
    http_unload();
    drop_dir();
}
END_TEST

/* "NAMES of server 0 | NAMES of server 1" and what is said about them. */
static const struct {
    const char *first, *second, *report;
} conflicts[] = {
    {"a.x", "a.x", "warn: conflicting server name \"a.x\" on 0.0.0.0:80, ignored\n"},
    {"A.x", "a.X", "warn: conflicting server name \"a.x\" on 0.0.0.0:80, ignored\n"},
    {"*.b", ".b", "warn: conflicting server name \".b\" on 0.0.0.0:80, ignored\n"},
    {".b", "b *.b b.*",
     "warn: conflicting server name \"b\" on 0.0.0.0:80, ignored\n"
     "warn: conflicting server name \"*.b\" on 0.0.0.0:80, ignored\n"},
    {"a", "b", ""},
    {"a", "*.a a.*", ""},
    {"~a", "~a", ""},
};

START_TEST(conflicting_names)
{
    char text[256];

    make_dir();
    for (size_t i = 0; i < REM_COUNT(conflicts); i++) {
        snprintf(text, sizeof(text), "server { server_name %s; } server { server_name %s; }",
                 conflicts[i].first, conflicts[i].second);
        ck_assert_int_eq(http_load(text), 0);
        ck_assert_msg(strcmp(reported(), conflicts[i].report) == 0, "%s | %s: \"%s\"",
                      conflicts[i].first, conflicts[i].second, reported());
        http_unload();
    }
    drop_dir();
}
END_TEST

static const struct {
    const char *name, *report;
} bad[] = {
    {"*", "server name \"*\" is invalid in DIR/c.conf:1\n"},
    {"*a", "server name \"*a\" is invalid in DIR/c.conf:1\n"},
    {".", "server name \".\" is invalid in DIR/c.conf:1\n"},
    {"a.*.b", "invalid server name or wildcard \"a.*.b\" on 0.0.0.0:80 in DIR/c.conf:1\n"},
    {"a*", "invalid server name or wildcard \"a*\" on 0.0.0.0:80 in DIR/c.conf:1\n"},
    {"a..b", "invalid server name or wildcard \"a..b\" on 0.0.0.0:80 in DIR/c.conf:1\n"},
    {"*..", "invalid server name or wildcard \"*..\" on 0.0.0.0:80 in DIR/c.conf:1\n"},
    {"~", "empty regex in server name \"~\" in DIR/c.conf:1\n"},
    {"~(", "pcre2_compile() failed: missing closing parenthesis in \"(\" in DIR/c.conf:1\n"},
};

START_TEST(names_that_are_none)
{
    char text[128];

    make_dir();
    for (size_t i = 0; i < REM_COUNT(bad); i++) {
        snprintf(text, sizeof(text), "server { server_name %s; }", bad[i].name);
        ck_assert_int_lt(http_load(text), 0);
        ck_assert_msg(strcmp(reported(), bad[i].report) == 0, "%s: \"%s\"", bad[i].name,
                      reported());
        http_unload();
    }
    drop_dir();
}
END_TEST

/* A host of many labels must not cost a lookup for each. */
START_TEST(long_hosts)
{
    static char host[20001];

    make_dir();
    ck_assert_int_eq(http_load("server { server_name a; } server { server_name *.b.c x.*; }"), 0);
    for (size_t i = 0; i < 10000; i++)
        memcpy(host + 2 * i, "q.", 2);
    memcpy(host + sizeof(host) - 5, ".b.c", 5);
    ck_assert_int_eq(find(host), 1);
    host[sizeof(host) - 2] = 'd';
    ck_assert_int_eq(find(host), 0);
    http_unload();
    drop_dir();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("names");

    tcase_add_test(tc, the_right_server);
    tcase_add_test(tc, default_server_and_the_empty_name);
    tcase_add_test(tc, named_captures_become_variables);
    tcase_add_test(tc, conflicting_names);
    tcase_add_test(tc, names_that_are_none);
    tcase_add_test(tc, long_hosts);
    return run_tests(tc);
}
