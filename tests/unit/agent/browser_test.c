/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/browser.h"

#include "tests/unit/suite.h"

static struct rem_authority authority_of(const char *text)
{
    struct rem_authority authority = {.kind = REM_HOST_NAME};

    if (*text != '\0')
        ck_assert_msg(rem_authority_split(rem_str_from(text), &authority) == 0, "%s", text);
    return authority;
}

static const struct {
    const char *host;
    bool known;
} hosts[] = {
    {"", true},
    {"localhost", true},
    {"LocalHost:8080", true},
    {"localhost.", true},
    {"a.localhost", true},
    {"127.0.0.1", true},
    {"10.1.2.3:1", true},
    {"[::1]", true},
    {"[fe80::1]:80", true},
    {"one.example", true},
    {"ONE.example:9", true},
    {"a.two.example", true},
    {"a.b.two.example", true},
    {"two.example", false},
    {"xtwo.example", false},
    {".localhost", false},
    {"xlocalhost", false},
    {"localhost.example", false},
    {"127.0.0.1.example", false},
    {"one.example.com", false},
    {"1.2.3", false},
    {"1.2.3.4.5", false},
    {"example", false},
};

START_TEST(test_hosts)
{
    struct rem_admin_host wild = {.name = REM_STR(".two.example")};
    struct rem_admin_host one = {.next = &wild, .name = REM_STR("one.example")};
    struct rem_authority authority = authority_of(hosts[_i].host);

    ck_assert_msg(rem_browser_knows_host(&one, &authority) == hosts[_i].known, "%s",
                  hosts[_i].host);
}
END_TEST

static const struct {
    const char *origin;
    const char *host;
    bool same;
} origins[] = {
    {"http://a", "a", true},
    {"http://A", "a:80", true},
    {"http://a:80", "a", true},
    {"https://a", "a", true},
    {"https://a", "a:443", true},
    {"https://a:443", "a", true},
    {"http://a:8080", "a:8080", true},
    {"http://[::1]:1", "[::1]:1", true},
    {"http://a", "a:8080", false},
    {"http://a:8080", "a", false},
    {"https://a", "a:80", false},
    {"http://a", "b", false},
    {"http://a.b", "b", false},
    {"http://a/", "a", false},
    {"http://u@a", "a", false},
    {"http://a", "", false},
    {"http://", "", false},
    {"ftp://a", "a", false},
    {"a", "a", false},
    {"null", "null", false},
    {"", "a", false},
    {"HTTP://a", "a", false},
};

START_TEST(test_origins)
{
    struct rem_authority authority = authority_of(origins[_i].host);

    ck_assert_msg(rem_browser_same_origin(rem_str_from(origins[_i].origin), &authority) ==
                      origins[_i].same,
                  "%s at %s", origins[_i].origin, origins[_i].host);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, test_hosts, 0, REM_COUNT(hosts));
    tcase_add_loop_test(tc, test_origins, 0, REM_COUNT(origins));
    return run_suite("browser", tc);
}
