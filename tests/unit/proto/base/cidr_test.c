/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/cidr.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

static struct rem_addr addr_of(const char *text)
{
    struct rem_addr addr = {0};

    if (strcmp(text, "unix:") == 0) {
        addr.u.un.sun_family = AF_UNIX;
        addr.len = sizeof(sa_family_t);
    } else {
        ck_assert_msg(rem_addr_parse(rem_str_from(text), 80, &addr) == 0, "%s", text);
    }
    return addr;
}

START_TEST(test_has)
{
    static const struct {
        const char *range, *addr;
        bool has;
    } cases[] = {
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.0/23", "192.0.3.255", true},
        {"192.0.2.0/23", "192.0.4.0", false},
        {"1.2.3.4", "1.2.3.4:8080", true},
        {"1.2.3.4", "1.2.3.5", false},
        {"1.2.3.4/32", "1.2.3.4", true},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "[::1]", false},
        {"10.0.0.0/8", "[::ffff:10.1.2.3]", true},
        {"10.0.0.0/8", "[::ffff:11.1.2.3]", false},
        {"2001:db8::/32", "[2001:db8:ffff::1]:1", true},
        {"2001:db8::/32", "[2001:db9::]", false},
        {"2001:db8::/33", "[2001:db8:7fff::]", true},
        {"2001:db8::/33", "[2001:db8:8000::]", false},
        {"::1", "[::1]", true},
        {"::/0", "[2001::]", true},
        {"::/0", "1.2.3.4", false},
        {"unix:", "unix:", true},
        {"unix:", "127.0.0.1", false},
        {"127.0.0.0/8", "unix:", false},
    };

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_addr addr = addr_of(cases[i].addr);
        struct rem_cidr range;
        bool low;

        ck_assert_int_eq(rem_cidr_parse(rem_str_from(cases[i].range), &range, &low), 0);
        ck_assert_msg(!low, "%s", cases[i].range);
        ck_assert_msg(rem_cidr_has(&range, &addr) == cases[i].has, "%s in %s", cases[i].addr,
                      cases[i].range);
    }
}
END_TEST

START_TEST(test_everything)
{
    static const char *const addrs[] = {"1.2.3.4", "[::1]", "unix:"};
    struct rem_cidr all = {.family = AF_UNSPEC};

    for (size_t i = 0; i < REM_COUNT(addrs); i++) {
        struct rem_addr addr = addr_of(addrs[i]);

        ck_assert(rem_cidr_has(&all, &addr));
    }
}
END_TEST

START_TEST(test_low_bits)
{
    static const struct {
        const char *range, *addr;
        bool low;
    } cases[] = {
        {"1.2.3.4/8", "1.0.0.0", true},   {"1.2.3.4/29", "1.2.3.7", true},
        {"1.2.3.4/31", "1.2.3.5", false}, {"1.2.3.5/31", "1.2.3.4", true},
        {"::1/127", "[::]", true},        {"ff00::/1", "[8000::]", true},
        {"0.0.0.1/0", "255.0.0.0", true},
    };

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_addr addr = addr_of(cases[i].addr);
        struct rem_cidr range;
        bool low = !cases[i].low;

        ck_assert_int_eq(rem_cidr_parse(rem_str_from(cases[i].range), &range, &low), 0);
        ck_assert_msg(low == cases[i].low, "%s", cases[i].range);
        ck_assert_msg(rem_cidr_has(&range, &addr), "%s", cases[i].range);
    }
}
END_TEST

START_TEST(test_refused)
{
    static const char *const texts[] = {"",
                                        "/",
                                        "/8",
                                        "x",
                                        "localhost",
                                        "1.2.3",
                                        "1.2.3.4.5",
                                        "300.1.1.1",
                                        "1.2.3.4/",
                                        "1.2.3.4/33",
                                        "1.2.3.4/-1",
                                        "1.2.3.4/8x",
                                        "1.2.3.4/255.0.0.0",
                                        "::/129",
                                        "[::1]",
                                        "1.2.3.4:80",
                                        ":::",
                                        "unix:/x",
                                        "1.2.3.4/99999999999999999999",
                                        "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111"};
    struct rem_cidr range = {.family = -7};

    for (size_t i = 0; i < REM_COUNT(texts); i++)
        ck_assert_msg(rem_cidr_parse(rem_str_from(texts[i]), &range, NULL) == REM_EINVAL, "%s",
                      texts[i]);
    ck_assert_int_eq(range.family, -7);
}
END_TEST

START_TEST(test_from_addr)
{
    struct rem_addr mapped = addr_of("[::ffff:1.2.3.4]:9"), plain = addr_of("1.2.3.4:10");
    struct rem_addr other = addr_of("1.2.3.5");
    struct rem_cidr range;

    rem_cidr_from_addr(&mapped, &range);
    ck_assert(rem_cidr_has(&range, &plain));
    ck_assert(!rem_cidr_has(&range, &other));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("cidr");

    tcase_add_test(tests, test_has);
    tcase_add_test(tests, test_everything);
    tcase_add_test(tests, test_low_bits);
    tcase_add_test(tests, test_refused);
    tcase_add_test(tests, test_from_addr);
    return run_suite("cidr", tests);
}
